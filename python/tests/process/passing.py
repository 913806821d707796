"""Tasks that get futures."""

from __future__ import annotations

import asyncio
import gc
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
    CancelledError,
    Future,
    ThreadPoolExecutor,
    TimeoutError,
    as_completed,
    current_executor,
    gather,
    wait,
)

WAYS = [
    "result",
    "timeout",
    "exception",
    "wait",
    "first",
    "as_completed",
    "callback",
    "then",
    "await",
]

_kept: list[Any] = []


def value(future: Future[Any]) -> Any:
    return future.result()


def value_soon(future: Future[Any], started: Path) -> Any:
    started.touch()
    return future.result()


def values(held: dict[str, list[Any]]) -> list[Any]:
    return [future.result() for future in held["futures"]]


def kind(future: Any) -> tuple[type, bool, bool, bool]:
    """What the task has got."""
    return type(future), future.done(), future.cancelled(), future is current_executor()


def collect(way: str, future: Future[int]) -> int:
    if way == "result":
        return future.result()
    if way == "timeout":
        return future.result(60)
    if way == "exception":
        assert future.exception() is None
    elif way == "wait":
        assert wait([future]) == ({future}, set())
    elif way == "first":
        assert wait([future, Future()], return_when=FIRST_COMPLETED).done == {future}
    elif way == "as_completed":
        assert list(as_completed([future])) == [future]
    elif way == "callback":
        ended = threading.Event()
        future.add_done_callback(lambda _: ended.set())
        assert ended.wait(60)
    elif way == "then":
        return future.then(lambda number: number).result()
    elif way == "await":
        return asyncio.run(_awaited(future))
    assert future.done()
    return future.result()


async def _awaited(future: Future[int]) -> int:
    return await future


def end_of(future: Future[Any]) -> tuple[str, str, str]:
    """How it has failed, with what is said of its cause."""
    try:
        error = future.exception()
    except CancelledError as cancelled:
        error = cancelled
    return type(error).__name__, str(error), str(error.__cause__ if error else None)


def impatient(future: Future[Any], late: Path) -> tuple[str, Any]:
    try:
        future.result(0.05)
    except TimeoutError as error:
        late.touch()
        return type(error).__name__, future.result()
    return "in time", None


def cancels(future: Future[Any]) -> tuple[bool, bool]:
    return future.cancel(), future.cancelled()


def cancels_running(future: Future[Any]) -> tuple[bool, bool]:
    return future.cancel_running(), future.cancelled()


def inner(future: Future[Any]) -> Any:
    """The value of the future that is its value."""
    return future.result().result()


def inner_of_list(future: Future[Any]) -> list[Any]:
    return [each.result() for each in future.result()]


def drops(future: Future[Any]) -> None:
    """Lets go of it, as any task does that does not ask."""


def drops_unopened(future: Future[Any]) -> None:
    """Waits for what holds futures, and never looks at it."""
    assert wait([future]).done
    _kept.append(future)
    _kept.clear()


def keeps(future: Future[Any] | None) -> int:
    """From task to task."""
    _kept[:] = [future] if future is not None else []
    gc.collect()
    return os.getpid()


def value_of_kept() -> Any:
    return _kept[0].result()


def passes_on(started: Path, go: Path) -> tuple[int, int, int]:
    """A future of its own, to other tasks of the pool: pending, running and ended."""
    pool = current_executor()
    first = pool.submit(_waits_for, started, go)
    second = pool.submit(_adds_one, first)
    third = pool.submit(_adds_one, second)
    go.touch()
    return third.result(), second.result(), pool.submit(_adds_one, first).result()


def _waits_for(started: Path, go: Path) -> int:
    started.touch()
    while not go.exists():
        time.sleep(0.001)
    return 1


def _adds_one(future: Future[int]) -> int:
    return future.result() + 1


def passes_many(number: int) -> int:
    """Many are told of their ends while they are on their way to others."""
    pool = current_executor()
    futures = []
    for each in range(number):
        first = pool.submit(tasks.double, each)
        futures.append(pool.submit(_adds_one, first))
    return sum(future.result() for future in futures)


def passes_what_it_got(future: Future[int], depth: int) -> int:
    if depth == 0:
        return future.result()
    return current_executor().submit(passes_what_it_got, future, depth - 1).result()


def passes_what_has_ended(future: Future[int]) -> tuple[int, int]:
    pool = current_executor()
    future.result()
    own: Future[int] = Future()
    own.set_result(7)
    return pool.submit(value, future).result(), pool.submit(value, own).result()


def passes_what_it_has_made() -> tuple[str, str]:
    error = current_executor().submit(value, Future()).exception()
    return type(error).__name__, str(error)


def passes_failures() -> list[tuple[str, str, str]]:
    pool = current_executor()
    failed = pool.submit(tasks.odd_only, 2)
    crashed = pool.submit(tasks.exit_hard, 3)
    return [pool.submit(end_of, future).result() for future in (failed, crashed)]


def waits_for_the_one_that_waits(own: Future[Future[Any]]) -> tuple[str, str]:
    """A task that has submitted another one, which waits for it."""
    error = current_executor().submit(inner, own).exception()
    return type(error).__name__, str(error)


def waits_for_any(futures: Future[list[Future[Any]]]) -> int:
    return len(wait(futures.result(), return_when=FIRST_COMPLETED).done)


def waits_for_all(futures: Future[list[Future[Any]]]) -> int:
    return len(wait(futures.result()).done)


def waits_in_order(futures: Future[list[Future[Any]]]) -> int:
    return len(list(as_completed(futures.result())))


def waits_for_a_while(future: Future[Future[Any]]) -> str:
    try:
        future.result().result(0.3)
    except TimeoutError as error:
        return type(error).__name__
    return "in time"


def has_another_wait(future: Future[Future[Any]], go: Path) -> str:
    """A thread that it has started waits for ever, and it does not."""
    waits = ThreadPoolExecutor(1).submit(inner, future)
    while not go.exists():
        time.sleep(0.001)
    return "running" if waits.running() else "ended"


def gathers(futures: list[Future[int]]) -> int:
    return sum(gather(*futures).result())


class Unpicklable:
    def __reduce__(self) -> Any:
        raise ValueError("not this one")


class Unreadable:
    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _refuses, ()


def _refuses() -> None:
    raise ValueError("not here")


def deadly(futures: list[Future[int]], seed: int) -> int:
    """Some kill their worker, or pass on what they have got, or wait, or do not."""
    chance = random.Random(seed)
    if chance.random() < 0.1:
        os.kill(os.getpid(), signal.SIGKILL)
    if chance.random() < 0.5:
        return sum(future.result() for future in futures)
    if chance.random() < 0.5:
        part = chance.sample(futures, len(futures) // 2)
        mine = current_executor().submit(deadly, part, seed + 1000)
        return current_executor().submit(value, mine).result()
    wait(futures, return_when=FIRST_COMPLETED)
    return 1
