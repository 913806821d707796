"""One measurement of CPython's own process pools: `processes.py WAY ROW WORKERS [SIZE...]`, figures on stdout.

`manyhands-bench-processes` in `benches/peers` runs this file and says what the rows mean. The script
ends, with its worker processes, when its standard input is closed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

PAGE = 4096
FILLING = 7


def add(a: int, b: int) -> int:
    return a + b


def touch(data: bytes) -> int:
    return sum(data[::PAGE])


def make(length: int) -> bytes:
    return bytes([FILLING]) * length


class Pool(Protocol):
    """One way to use one of the pools."""

    def run_all(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Submits all calls and returns their results."""


class Executor:
    """`concurrent.futures.ProcessPoolExecutor`, by `submit` or by `map`."""

    def __init__(self, workers: int, recycling: bool, by_map: bool) -> None:
        from concurrent.futures import ProcessPoolExecutor

        if recycling:
            import multiprocessing

            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(workers, mp_context=spawn, max_tasks_per_child=1)
        else:
            self._pool = ProcessPoolExecutor(workers)
        self._by_map = by_map

    def run_all(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> list[Any]:
        if self._by_map:
            return list(self._pool.map(function, *zip(*calls, strict=True), chunksize=1))
        futures = [self._pool.submit(function, *call) for call in calls]
        return [future.result() for future in futures]

    def close(self) -> None:
        self._pool.shutdown()


class MpPool:
    """`multiprocessing.Pool`, by `apply_async`."""

    def __init__(self, workers: int, recycling: bool) -> None:
        import multiprocessing

        if recycling:
            self._pool = multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=1)
        else:
            self._pool = multiprocessing.Pool(workers)

    def run_all(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> list[Any]:
        results = [self._pool.apply_async(function, call) for call in calls]
        return [result.get() for result in results]

    def close(self) -> None:
        self._pool.terminate()
        self._pool.join()


@contextmanager
def pool(way: str, workers: int, recycling: bool = False) -> Iterator[Pool]:
    subject: Executor | MpPool
    if way == "pool":
        subject = MpPool(workers, recycling)
    else:
        subject = Executor(workers, recycling, by_map=way == "map")
    yield subject
    subject.close()


def wake(subject: Pool, workers: int) -> None:
    """Starts all worker processes."""
    add_all(subject, 100 * workers)


def add_all(subject: Pool, tasks: int) -> float:
    """Submits and collects so many tiny tasks; returns the seconds that it took."""
    begin = time.perf_counter()
    total = sum(subject.run_all(add, ((number, 1) for number in range(tasks))))
    elapsed = time.perf_counter() - begin
    check(total, tasks * (tasks - 1) // 2 + tasks)
    return elapsed


def check(found: int, expected: int) -> None:
    if found != expected:
        raise AssertionError(f"the tasks' values sum up to {found} and not to {expected}")


def touched(length: int) -> int:
    return FILLING * -(-length // PAGE)


def bulk(way: str, workers: int, tasks: int) -> list[float]:
    with pool(way, workers) as subject:
        wake(subject, workers)
        return [add_all(subject, tasks) / tasks * 1e6]


def round_trips(way: str, workers: int, trips: int, at_most: float) -> list[float]:
    with pool(way, workers) as subject:
        wake(subject, workers)
        took = []
        begin = time.perf_counter()
        for number in range(trips):
            submitted = time.perf_counter()
            (total,) = subject.run_all(add, [(number, 1)])
            took.append((time.perf_counter() - submitted) * 1e6)
            check(total, number + 1)
            if time.perf_counter() - begin > at_most:
                break
    took.sort()
    return [took[min(len(took) * percent // 100, len(took) - 1)] for percent in (50, 99)]


def bytes_in(way: str, workers: int, length: int) -> list[float]:
    return [in_seconds(way, workers, 1, length) * 1e3]


def many_in(way: str, workers: int, buffers: int, length: int) -> list[float]:
    return [in_seconds(way, workers, buffers, length) / buffers * 1e6]


def in_seconds(way: str, workers: int, buffers: int, length: int) -> float:
    with pool(way, workers) as subject:
        wake(subject, workers)
        data = make(length)
        # The second time counts: a pool is used more than once, and the system has found the memory then.
        for _ in range(2):
            begin = time.perf_counter()
            total = sum(subject.run_all(touch, ((data,) for _ in range(buffers))))
            elapsed = time.perf_counter() - begin
            check(total, buffers * touched(length))
    return elapsed


def bytes_out(way: str, workers: int, length: int) -> list[float]:
    with pool(way, workers) as subject:
        wake(subject, workers)
        for _ in range(2):
            begin = time.perf_counter()
            (data,) = subject.run_all(make, [(length,)])
            total = touch(data)
            elapsed = time.perf_counter() - begin
            check(total, touched(length))
    return [elapsed * 1e3]


def start(way: str, workers: int) -> list[float]:
    # Imported before, as a program that uses it has: the import is no part of a pool's start.
    import concurrent.futures.process  # noqa: F401
    import multiprocessing.pool  # noqa: F401

    begin = time.perf_counter()
    with pool(way, workers) as subject:
        (total,) = subject.run_all(add, [(1, 2)])
        elapsed = time.perf_counter() - begin
    check(total, 3)
    return [elapsed * 1e3]


def recycle(way: str, workers: int, tasks: int) -> list[float]:
    with pool(way, workers, recycling=True) as subject:
        return [add_all(subject, tasks) / tasks * 1e3]


def idle(way: str, workers: int, watched: float) -> list[float]:
    with pool(way, workers) as subject:
        wake(subject, workers)
        time.sleep(0.05)
        processes = [os.getpid(), *children()]
        before = processor_time(processes)
        time.sleep(watched)
        return [(processor_time(processes) - before) / 1e3]


def children() -> list[int]:
    """The processes that this one has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # It has just ended.
        if int(words[1]) == os.getpid():
            found.append(int(stat.parent.name))
    return found


def processor_time(processes: Iterable[int]) -> int:
    """Nanoseconds of all their threads but this one, which only looks."""
    total = 0
    for process in processes:
        for thread in Path(f"/proc/{process}/task").iterdir():
            if int(thread.name) != threading.get_native_id():
                total += int((thread / "schedstat").read_text().split()[0])
    return total


def end_with_parent() -> None:
    """Waits until nobody holds the other end of standard input any more."""
    import multiprocessing

    # Not by `sys.stdin`: its lock would be held for ever, and forked workers close it.
    while os.read(0, 1):
        pass
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(1)


ROWS: dict[str, Callable[..., list[float]]] = {
    row.__name__: row
    for row in (bulk, round_trips, bytes_in, many_in, bytes_out, start, recycle, idle)
}


def main() -> None:
    # Waits in the system all the time, so it costs a pool that forks nothing.
    threading.Thread(target=end_with_parent, daemon=True).start()
    way, row, workers, *sizes = sys.argv[1:]
    numbers = [float(size) if "." in size else int(size) for size in sizes]
    print(*ROWS[row](way, int(workers), *numbers))


if __name__ == "__main__":
    main()
