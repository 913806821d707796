"""What is measured: the rows of the report, each a workload that any subject can be put to."""

from __future__ import annotations

import functools
import gc
import os
import queue
import statistics
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from subjects import WORKERS, Cannot, Function, Subject

# Metric name -> figure; the first is the one rows are compared by.
Figures = dict[str, float]

PER_TASK = "us per task"
# The same in the first round of a new process, for which the system has to find all memory.
FIRST_TIME = "first time"
# A property of the subject, not compared with that of another: 2 is linear, 4 is quadratic.
GROWTH = "growth"

# A round trip has so many samples that a slow subject need not give all of them.
ROUND_TRIP_SECONDS = 3.0


def noop(item: object = None) -> object:
    """The cheapest Python function that a subject can hand back the result of."""
    return item


def busy(loops: int, item: object = None) -> object:
    """Keeps the GIL for a while, as pure Python does."""
    for _ in range(loops):
        pass
    return item


def loops_for(microseconds: float) -> int:
    """How many loops of `busy` take so long here, on an otherwise idle machine."""
    loops = 50.0 * microseconds
    # Not quite proportional: a call has its price, and small numbers cost less than large ones.
    for _ in range(5):
        task = functools.partial(busy, round(loops))
        times = []
        for _ in range(300):
            start = time.perf_counter()
            task()
            times.append(time.perf_counter() - start)
        loops = max(1.0, loops * microseconds * 1e-6 / min(times))
    return round(loops)


def per_task(count: int, work: Callable[[], Iterable[Any]]) -> Figures:
    """Times `work`, which must come back with `count` results."""
    gc.collect()
    start = time.perf_counter()
    results = work()
    elapsed = time.perf_counter() - start
    found = len(list(results))
    if found != count:
        raise AssertionError(f"{found} results of {count} tasks")
    return {PER_TASK: elapsed / count * 1e6}


def first_and_next(count: int, round_: Callable[[int], Figures]) -> Figures:
    """Two whole rounds, after a few tasks for which a pool starts its workers."""
    round_(100)
    first = round_(count)
    return {**round_(count), FIRST_TIME: first[PER_TASK]}


def submit(subject: Subject, count: int, task: Function) -> Figures:
    return first_and_next(count, lambda n: per_task(n, lambda: subject.submit_all(task, n)))


def map_(subject: Subject, count: int, task: Function) -> Figures:
    return first_and_next(count, lambda n: per_task(n, lambda: subject.map_all(task, n)))


def from_threads(
    subject: Subject, count: int, each: Callable[[Function, int], Iterable[Any]], task: Function
) -> Figures:
    """So many tasks in all, shared out between several threads that begin together."""
    subject.several_callers()
    return first_and_next(count, lambda n: _from_threads(n, each, task))


def _from_threads(
    count: int, each: Callable[[Function, int], Iterable[Any]], task: Function
) -> Figures:
    callers = 4
    results: list[Any] = []
    ready = threading.Barrier(callers + 1)

    def caller() -> None:
        ready.wait()
        results.extend(each(task, count // callers))

    threads = [threading.Thread(target=caller, daemon=True) for _ in range(callers)]
    for thread in threads:
        thread.start()

    def work() -> list[Any]:
        ready.wait()
        for thread in threads:
            thread.join()
        return results

    return per_task(count, work)


def submit_from_threads(subject: Subject, count: int, task: Function) -> Figures:
    return from_threads(subject, count, subject.submit_all, task)


def map_from_threads(subject: Subject, count: int, task: Function) -> Figures:
    return from_threads(subject, count, subject.map_all, task)


def round_trip(subject: Subject, count: int, task: Function) -> Figures:
    one, clock = subject.one, time.perf_counter_ns
    for _ in range(200):
        one(task)
    times: list[int] = []
    end = time.monotonic() + ROUND_TRIP_SECONDS
    while len(times) < count and time.monotonic() < end:
        start = clock()
        one(task)
        times.append(clock() - start)
    times.sort()
    return {
        "median us": statistics.median(times) / 1e3,
        "p99 us": times[len(times) * 99 // 100] / 1e3,
    }


def future(subject: Subject, count: int, task: Function) -> Figures:
    make = subject.future_class()
    result = task()
    rounds = range(count)

    def work() -> range:
        for _ in rounds:
            make().set_result(result)
        return rounds

    return per_task(count, work)


def wait_first(subject: Subject, count: int, task: Function) -> Figures:
    """A loop that takes what has ended until all has, with tasks that end one at a time."""
    half = _wait_first(subject, count // 2)
    whole = _wait_first(subject, count)
    return {PER_TASK: whole / count * 1e6, GROWTH: whole / half}


def _wait_first(subject: Subject, count: int) -> float:
    # Without a gate a fast pool would have ended them all before the first call of `wait`.
    gate: queue.SimpleQueue[None] = queue.SimpleQueue()
    pending = {subject.handle(gate.get) for _ in range(count)}
    gc.collect()
    rounds = 0
    start = time.perf_counter()
    while pending:
        gate.put(None)
        rounds += 1
        pending = subject.wait_first(pending)
    elapsed = time.perf_counter() - start
    if rounds != count:
        raise AssertionError(f"{rounds} rounds for {count} tasks")
    return elapsed


def as_completed(subject: Subject, count: int, task: Function) -> Figures:
    return first_and_next(count, lambda n: per_task(n, lambda: subject.as_completed(task, n)))


def bytes_pending(subject: Subject, count: int, task: Function) -> Figures:
    """The memory of tasks that wait for a free worker, and of the futures they were given."""
    for handle in [subject.handle(task) for _ in range(1000)]:
        (handle.result if hasattr(handle, "result") else handle.get)()
    running, release = threading.Semaphore(0), threading.Event()

    def block() -> None:
        running.release()
        release.wait()

    blockers = [subject.handle(block) for _ in range(WORKERS)]
    for _ in blockers:
        running.acquire()
    handles: list[Any] = [None] * count
    gc.collect()
    before = resident()
    for index in range(count):
        handles[index] = subject.handle(task)
    # Some pools carry tasks from one queue to another in a thread of their own.
    time.sleep(0.3)
    figures = {"resident bytes": (resident() - before) / count}
    release.set()
    return figures


def resident() -> int:
    """Bytes of memory the process occupies.

    What the kernel sees is all that counts every subject alike: tracemalloc misses what extension
    modules allocate, and malloc's own figures miss those that bring an allocator of their own.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except FileNotFoundError:
        raise Cannot("memory is measured on Linux only") from None
    return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Row:
    """A line of the overview and a table of its own."""

    key: str
    title: str
    count: int
    work: Callable[[Subject, int, Function], Figures]
    microseconds: int = 0


ROWS = {
    row.key: row
    for row in (
        Row("submit", "submit 50,000 no-ops, then collect every result", 50_000, submit),
        Row("map", "map a no-op over 50,000 items", 50_000, map_),
        Row(
            "submit-4",
            "4 threads submit 50,000 no-ops and collect their results",
            50_000,
            submit_from_threads,
        ),
        Row("map-4", "4 threads map a no-op over 50,000 items in all", 50_000, map_from_threads),
        Row("submit-1us", "submit and collect 50,000 tasks of 1 us", 50_000, submit, 1),
        Row("submit-10us", "submit and collect 50,000 tasks of 10 us", 50_000, submit, 10),
        Row("submit-100us", "submit and collect 10,000 tasks of 100 us", 10_000, submit, 100),
        Row("map-1us", "map a function of 1 us over 50,000 items", 50_000, map_, 1),
        Row("map-10us", "map a function of 10 us over 50,000 items", 50_000, map_, 10),
        Row("map-100us", "map a function of 100 us over 10,000 items", 10_000, map_, 100),
        Row(
            "round-trip",
            "submit one no-op and wait for its result, up to 20,000 times in 3 s",
            20_000,
            round_trip,
        ),
        Row("future", "`Future()` and `set_result`, 100,000 times", 100_000, future),
        Row(
            "wait-first",
            "`wait(FIRST_COMPLETED)` in a loop over 3,000 tasks that end one at a time; growth: "
            "how much longer than for 1,500",
            3_000,
            wait_first,
        ),
        Row(
            "as-completed",
            "submit 100,000 no-ops and take them with `as_completed`",
            100_000,
            as_completed,
        ),
        Row("memory", "memory of 100,000 pending tasks and their futures", 100_000, bytes_pending),
    )
}
