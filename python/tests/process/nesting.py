"""Tasks that submit to the pool that they run in, and wait."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tasks

from manyhands import (
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    CancelledError,
    ThreadPoolExecutor,
    as_completed,
    current_executor,
    wait,
)
from manyhands.process import NoWorkerLeftError


def fib(number: int) -> int:
    if number < 2:
        return number
    both = [current_executor().submit(fib, number - less) for less in (1, 2)]
    return sum(future.result() for future in both)


def deadly_fib(number: int, waiter: int, seed: int) -> int:
    """Some of its calls kill the worker that waits for them, or their own."""
    chance = random.Random(seed).random()
    if chance < 0.03:
        os.kill(waiter, signal.SIGKILL)
    elif chance < 0.05:
        os.kill(os.getpid(), signal.SIGKILL)
    if number < 2:
        return number
    pool = current_executor()
    both = [pool.submit(deadly_fib, number - less, os.getpid(), 3 * seed + less) for less in (1, 2)]
    wait(both, return_when=FIRST_EXCEPTION)
    return sum(future.result() for future in both)


def sort(items: list[int]) -> list[int]:
    if not items:
        return items
    pivot, *rest = items
    small = current_executor().submit(sort, [item for item in rest if item < pivot])
    large = sort([item for item in rest if item >= pivot])
    return [*small.result(), pivot, *large]


def with_executor(executor: Any, number: int) -> tuple[int, bool]:
    """The pool as an argument, which goes on to a task of that one."""
    inner = executor.submit(with_executor, executor, number - 1) if number else None
    same = executor is current_executor()
    return (inner.result()[0] if inner else 0) + number, same


def collect(way: str) -> int:
    pool = current_executor()
    if way == "map":
        return sum(pool.map(tasks.double, range(40)))
    if way == "chunks":
        return sum(pool.map(tasks.double, range(40), chunksize=7))  # type: ignore[call-arg]
    if way == "unordered":
        return sum(pool.map(tasks.double, range(40), ordered=False))  # type: ignore[call-arg]
    futures = [pool.submit(tasks.double, number) for number in range(40)]
    if way == "result":
        return sum(future.result() for future in futures)
    if way == "timeout":
        return sum(future.result(60) for future in futures)
    if way == "wait":
        return sum(future.result() for future in wait(futures).done)
    if way == "as_completed":
        return sum(future.result() for future in as_completed(futures))
    if way == "callback":
        return _sum_by_callbacks(futures)
    if way == "poll":
        while not all(future.done() for future in futures):
            time.sleep(0.001)
        return sum(future.result() for future in futures)
    if way == "threads":
        with ThreadPoolExecutor(4) as threads:
            return sum(threads.map(_result, futures))
    import asyncio

    async def gather() -> int:
        return sum(await asyncio.gather(*map(asyncio.wrap_future, futures)))

    return asyncio.run(gather())


WAYS = ("map", "chunks", "unordered", "result", "timeout", "wait", "as_completed", "threads")

# They look, or are told, and do not wait: another worker has to be there.
WAYS_WITHOUT_WAITING = ("callback", "poll", "asyncio")


def _result(future: Any) -> Any:
    return future.result()


def _sum_by_callbacks(futures: list[Any]) -> int:
    results: list[int] = []
    all_there = threading.Event()

    def note(future: Any) -> None:
        results.append(future.result())
        if len(results) == len(futures):
            all_there.set()

    for future in futures:
        future.add_done_callback(note)
    all_there.wait()
    return sum(results)


def in_place() -> tuple[int, int]:
    return os.getpid(), current_executor().submit(os.getpid).result()


def elsewhere(started: Path, go: Path) -> tuple[int, int]:
    """Nobody can run in place what `wait` waits for."""
    inner = current_executor().submit(_hold, started, go)
    wait([inner], return_when=FIRST_COMPLETED)
    return os.getpid(), inner.result()


def _hold(started: Path, go: Path) -> int:
    tasks.hold(started, go)
    return os.getpid()


def told_of(task: Callable[..., Any], *args: Any) -> tuple[str, str]:
    """How a task fails that cannot be run in place."""
    future = current_executor().submit(task, *args)
    wait([future], return_when=FIRST_COMPLETED)
    error = future.exception()
    return type(error).__name__, str(error)


def hurries() -> str:
    hasty = current_executor().options(timeout=0.05)  # type: ignore[attr-defined]
    return type(hasty.submit(tasks.slow, 60).exception()).__name__


def sends(what: str) -> str:
    """What is to be said of what cannot be sent."""
    try:
        current_executor().submit(tasks.same, lambda: what).result()
    except Exception as error:  # noqa: BLE001  # whatever it is
        return type(error).__name__
    return "sent"


def cancels(started: Path, go: Path) -> list[bool]:
    pool = current_executor()
    running = pool.submit(tasks.hold, started, go)
    while not started.exists():
        time.sleep(0.001)
    pending = pool.submit(tasks.double, 1)
    told: list[bool] = []
    pending.add_done_callback(lambda future: told.append(future.cancelled()))
    answers = [pending.cancel(), pending.cancelled(), running.cancel()]
    stopped = running.cancel_running()  # type: ignore[attr-defined]
    try:
        running.result()
    except CancelledError:
        return [*answers, stopped, *told]
    return []


def large(array: Any) -> float:
    """A large array goes on to others, and comes back from them."""
    pool = current_executor()
    doubled = pool.submit(_double_array, array)
    wait([doubled], return_when=FIRST_COMPLETED)
    total = pool.submit(_total, doubled.result())
    wait([total], return_when=FIRST_COMPLETED)
    return total.result()


def _double_array(array: Any) -> Any:
    return array * 2


def _total(array: Any) -> float:
    return float(array.sum())


def chain(depth: int) -> int | str:
    """Each waits for one more, which is not run in place."""
    if depth == 0:
        return 0
    inner = current_executor().submit(chain, depth - 1)
    wait([inner], return_when=FIRST_COMPLETED)
    try:
        below = inner.result()
    except NoWorkerLeftError as error:
        return f"{error} ({error.workers})"
    return below if isinstance(below, str) else below + 1


def submits_late(started: Path, go: Path) -> tuple[str, int]:
    pool = current_executor()
    before = pool.submit(tasks.double, 21)
    tasks.hold(started, go)
    try:
        while True:
            pool.submit(tasks.double, 1).result()
    except RuntimeError as error:
        return str(error), before.result()


def leaves_pending(started: Path, mark: Path) -> None:
    for _ in range(20):
        current_executor().submit(tasks.tell, mark)
    tasks.sleep_for_an_hour(started)


def leaves_behind(mark: Path) -> None:
    current_executor().submit(tasks.tell, mark)


def has_executor() -> bool:
    try:
        current_executor()
    except RuntimeError:
        return False
    return True


def has_executor_after_fork() -> bool:
    """Whether a child that a task has forked has one."""
    pid = os.fork()
    if pid == 0:
        os._exit(int(has_executor()))
    return os.waitpid(pid, 0)[1] != 0


def in_a_pool_of_its_own(method: str) -> tuple[int, int]:
    """A worker's own pool, in whose workers the current executor is that one."""
    import multiprocessing

    from manyhands import ProcessPoolExecutor

    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as own:
        return own.submit(fib, 6).result(), current_executor().submit(fib, 6).result()
