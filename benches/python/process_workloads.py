"""What pools of processes are put to: the rows of their report."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import workloads
from process_subjects import AUTO, Memcpy, ProcessSubject
from subjects import WORKERS, Cannot, Function
from workloads import Figures, Row

START_METHODS = ("fork", "spawn", "forkserver")

MILLISECONDS = "ms"

# A pool is used more than once, and the system has found the memory then: the best of so many.
TURNS = 5


def touch(array: Any) -> float:
    """A number from each page."""
    return float(array[::512].sum())


def make(length: int) -> Any:
    """An array of so many bytes, all there."""
    import numpy

    return numpy.ones(length // 8)


def opened(
    work: Callable[[ProcessSubject, int, Function], Figures],
) -> Callable[[ProcessSubject, int, Function], Figures]:
    """With all worker processes started before the clock is."""

    def measure(subject: ProcessSubject, count: int, task: Function) -> Figures:
        warm(subject, task)
        return work(subject, count, task)

    return measure


def map_by(chunksize: int | str) -> Callable[[ProcessSubject, int, Function], Figures]:
    def work(subject: ProcessSubject, count: int, task: Function) -> Figures:
        list(subject.map_each(task, range(100), chunksize))
        return workloads.per_task(count, lambda: subject.map_each(task, range(count), chunksize))

    return opened(work)


def best_of(work: Callable[[], float], expected: float) -> float:
    """The seconds of the best turn; each must give what is expected."""
    best = float("inf")
    for _ in range(TURNS):
        begin = time.perf_counter()
        found = work()
        best = min(best, time.perf_counter() - begin)
        if found != expected:
            raise AssertionError(f"{found} and not {expected}")
    return best


def array_in(subject: ProcessSubject, length: int, task: Function) -> Figures:
    array = make(length)
    expected = touch(array)
    if isinstance(subject, Memcpy):
        return {MILLISECONDS: best_of(lambda: touch(array.copy()), expected) * 1e3}
    warm(subject, task)
    return {MILLISECONDS: best_of(lambda: subject.one(touch, array), expected) * 1e3}


def array_out(subject: ProcessSubject, length: int, task: Function) -> Figures:
    """The result is made by the task, and looked at by who gets it."""
    array = make(length)
    expected = touch(array)
    if isinstance(subject, Memcpy):
        return {MILLISECONDS: best_of(lambda: touch(array.copy()), expected) * 1e3}
    warm(subject, task)
    # What it costs to make the array is no pool's doing.
    making = best_of(lambda: subject.one(make_and_drop, length), length // 8)
    took = best_of(lambda: touch(subject.one(make, length)), expected)
    return {MILLISECONDS: took * 1e3, "of it made in": making * 1e3}


def make_and_drop(length: int) -> int:
    return len(make(length))


def many_in(subject: ProcessSubject, count: int, task: Function) -> Figures:
    array = make(100_000)
    expected = touch(array) * count
    if isinstance(subject, Memcpy):
        seconds = best_of(lambda: sum(touch(array.copy()) for _ in range(count)), expected)
    else:
        warm(subject, task)
        seconds = best_of(lambda: sum(subject.submit_each(touch, [array] * count)), expected)
    return {workloads.PER_TASK: seconds / count * 1e6}


def floats(count: int) -> list[float]:
    return [number / 2 for number in range(count)]


def objects_in(subject: ProcessSubject, count: int, task: Function) -> Figures:
    if isinstance(subject, Memcpy):
        raise Cannot("copies bytes, not objects")
    sent = floats(count)
    warm(subject, task)
    return {MILLISECONDS: best_of(lambda: subject.one(len, sent), count) * 1e3}


def objects_out(subject: ProcessSubject, count: int, task: Function) -> Figures:
    """The result is made by the task."""
    if isinstance(subject, Memcpy):
        raise Cannot("copies bytes, not objects")
    warm(subject, task)
    making = best_of(lambda: subject.one(floats_and_drop, count), count)
    took = best_of(lambda: len(subject.one(floats, count)), count)
    return {MILLISECONDS: took * 1e3, "of it made in": making * 1e3}


def floats_and_drop(count: int) -> int:
    return len(floats(count))


def peak_memory(subject: ProcessSubject, length: int, task: Function) -> Figures:
    """By how much the parent's peak grows when it sends an array; in a fresh process."""
    if isinstance(subject, Memcpy):
        raise Cannot("is no pool")
    warm(subject, task)
    array = make(length)
    expected = touch(array)
    before = peak()
    if subject.one(touch, array) != expected:
        raise AssertionError("the array did not arrive as it was")
    return {"MiB more": (peak() - before) / 1024, "arrays": (peak() - before) * 1024 / length}


def peak() -> int:
    """KiB that this process has had at most."""
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        raise Cannot("memory is measured on Linux only") from None
    return int(status.partition("VmHWM:")[2].split()[0])


def warm(subject: ProcessSubject, task: Function) -> None:
    subject.open()
    list(subject.submit_each(task, range(200 * WORKERS)))


def first_result(start: str) -> Callable[[ProcessSubject, int, Function], Figures]:
    """In a process that has started none before."""

    def work(subject: ProcessSubject, count: int, task: Function) -> Figures:
        begin = time.perf_counter()
        subject.open(start)
        subject.one(task, 1)
        return {MILLISECONDS: (time.perf_counter() - begin) * 1e3}

    return work


def recycled(subject: ProcessSubject, count: int, task: Function) -> Figures:
    # Not fork: the standard library refuses it here.
    subject.open(None if subject.module == "ray" else "spawn", recycle=True)
    begin = time.perf_counter()
    found = list(subject.submit_each(task, range(count)))
    elapsed = time.perf_counter() - begin
    if found != list(range(count)):
        raise AssertionError(f"{found} of {count} tasks")
    return {"ms per task": elapsed / count * 1e3}


ROWS = {
    row.key: row
    for row in (
        Row(
            "submit",
            "submit 20,000 no-ops, then collect every result",
            20_000,
            opened(workloads.submit),
        ),
        Row("map-1", "map a no-op over 20,000 items, one by one", 20_000, map_by(1)),
        Row("map-100", "map a no-op over 20,000 items in chunks of 100", 20_000, map_by(100)),
        Row(
            "map-auto",
            "map a no-op over 20,000 items in chunks as the pool likes",
            20_000,
            map_by(AUTO),
        ),
        Row(
            "round-trip",
            "submit one no-op and wait for its result, up to 5,000 times in 3 s",
            5_000,
            opened(workloads.round_trip),
        ),
        Row(
            "array-in",
            "an array of 100 MB as an argument, each page of which is read",
            100_000_000,
            array_in,
        ),
        Row(
            "array-out",
            "an array of 100 MB as a result, each page of which is read",
            100_000_000,
            array_out,
        ),
        Row("arrays-in", "1,000 arrays of 100 KB as arguments", 1000, many_in),
        Row("objects-in", "a list of 1,000,000 floats as an argument", 1_000_000, objects_in),
        Row("objects-out", "a list of 1,000,000 floats as a result", 1_000_000, objects_out),
        Row(
            "memory",
            "how much the parent's peak memory grows for 100 MB sent",
            100_000_000,
            peak_memory,
        ),
        *(
            Row(
                f"start-{start}",
                f"from making the pool to the first result, by {start}",
                1,
                first_result(start),
            )
            for start in START_METHODS
        ),
        Row("recycle", "20 no-ops, a new process for each", 20, recycled),
    )
}
