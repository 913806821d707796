"""`map`, by every chunk size, with a buffer, in order or not, and what happens when it fails or is
left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tasks
import trouble
from conftest import MakePool
from patience import until
from subject import HAS_BUFFERSIZE, STDLIB, BrokenProcessPool, TimeoutError

Files = Callable[[str], Path]

CHUNKSIZES: list[Any] = [1, 7, 1000] if STDLIB else [1, 7, 1000, "auto"]
EACH_CHUNKSIZE = pytest.mark.parametrize("chunksize", CHUNKSIZES)
needs_buffersize = pytest.mark.skipif(not HAS_BUFFERSIZE, reason="since 3.14")


@EACH_CHUNKSIZE
@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 500])
def test_results_in_order(pool: MakePool, chunksize: Any, count: int) -> None:
    executor = pool(2)
    results = executor.map(tasks.double, range(count), chunksize=chunksize)
    assert list(results) == list(range(0, 2 * count, 2))


@EACH_CHUNKSIZE
def test_several_iterables_end_with_the_shortest(pool: MakePool, chunksize: Any) -> None:
    executor = pool(2)
    assert list(executor.map(pow, range(10), [2] * 100, chunksize=chunksize)) == [
        number**2 for number in range(10)
    ]
    assert list(executor.map(pow, iter([3]), iter([2, 1]), chunksize=chunksize)) == [9]
    assert list(executor.map(tasks.echo, chunksize=chunksize)) == []


@pytest.mark.parametrize("chunksize", [1, 3])
def test_a_failing_item_ends_the_iteration(pool: MakePool, chunksize: int) -> None:
    executor = pool(2)
    results = executor.map(tasks.odd_only, [1, 3, 5, 2, 7, 9], chunksize=chunksize)
    assert [next(results), next(results), next(results)] == [1, 3, 5]
    with pytest.raises(ValueError, match="2 is even"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)
    assert executor.submit(tasks.double, 1).result() == 2


@pytest.mark.ours
def test_with_auto_a_failing_item_costs_itself_alone(pool: MakePool, files: Files) -> None:
    """The others of its batch run, and those before it are given."""
    count = 200
    executor = pool(2)
    results = executor.map(
        tasks.note_and_fail_at, [files("ran")] * count, range(count), chunksize="auto"
    )
    assert [next(results) for _ in range(100)] == list(range(100))
    with pytest.raises(ValueError, match="100"):
        next(results)
    executor.shutdown()
    ran = sorted(map(int, files("ran").read_text().split()))
    assert ran[:101] == list(range(101))


@pytest.mark.ours
def test_auto_gives_long_tasks_to_all_workers(pool: MakePool) -> None:
    """A batch must not grow so that one worker does what two could."""
    executor = pool(2)
    pids = executor.map(tasks.slow_pid, [0.05] * 8, chunksize="auto")
    assert len(set(pids)) == 2


@EACH_CHUNKSIZE
def test_an_item_that_does_not_pickle(pool: MakePool, chunksize: Any) -> None:
    executor = pool(1)
    with pytest.raises(OSError, match="will not be pickled"):
        list(executor.map(tasks.same, [1, 2, trouble.Unpicklable(), 4], chunksize=chunksize))
    assert list(executor.map(tasks.double, range(3), chunksize=chunksize)) == [0, 2, 4]


@pytest.mark.parametrize("chunksize", [0, -1])
def test_chunk_sizes_that_are_refused(pool: MakePool, chunksize: int) -> None:
    with pytest.raises(ValueError, match="chunksize"):
        pool(1).map(tasks.double, [1], chunksize=chunksize)


@pytest.mark.ours
@pytest.mark.parametrize("chunksize, error", [("all", ValueError), (None, TypeError)])
def test_chunk_sizes_that_are_none(pool: MakePool, chunksize: Any, error: Any) -> None:
    with pytest.raises((error, TypeError)):
        pool(1).map(tasks.double, [1], chunksize=chunksize)


def test_a_timeout(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    results = executor.map(tasks.hold, [files("a")], [files("go")], timeout=0.05)
    with pytest.raises(TimeoutError):
        next(results)
    files("go").touch()


def test_a_timeout_long_enough(pool: MakePool) -> None:
    results = pool(2).map(tasks.double, range(10), timeout=3000)
    assert list(results) == list(range(0, 20, 2))


@EACH_CHUNKSIZE
def test_all_items_are_taken_at_once(pool: MakePool, chunksize: Any) -> None:
    taken: list[int] = []
    results = pool(1).map(tasks.double, counted(20, taken), chunksize=chunksize)
    assert taken == list(range(20))
    assert list(results) == list(range(0, 40, 2))


def counted(count: int, taken: list[int]) -> Iterator[int]:
    for number in range(count):
        taken.append(number)
        yield number


def endless(taken: list[int]) -> Iterator[int]:
    while True:
        taken.append(len(taken))
        yield len(taken) - 1


@needs_buffersize
@pytest.mark.parametrize("chunksize", [1, 3])
def test_a_buffer_takes_no_more_items(pool: MakePool, chunksize: int) -> None:
    executor = pool(2)
    taken: list[int] = []
    results = executor.map(tasks.double, endless(taken), chunksize=chunksize, buffersize=4)
    assert len(taken) <= 4 * chunksize
    for number in range(50):
        assert next(results) == 2 * number
        assert len(taken) <= number + 1 + (4 + 1) * chunksize
    results.close()


@needs_buffersize
@pytest.mark.parametrize("buffersize, error", [(0, ValueError), (-1, ValueError), ("2", TypeError)])
def test_buffers_that_are_refused(pool: MakePool, buffersize: Any, error: Any) -> None:
    with pytest.raises(error, match="buffersize"):
        pool(1).map(tasks.double, [1], buffersize=buffersize)


@pytest.mark.ours
def test_auto_with_a_buffer(pool: MakePool) -> None:
    taken: list[int] = []
    results = pool(2).map(tasks.double, endless(taken), chunksize="auto", buffersize=10)
    assert [next(results) for _ in range(1000)] == list(range(0, 2000, 2))
    results.close()


@pytest.mark.ours
@pytest.mark.parametrize("chunksize", [1, 7, "auto"])
def test_unordered(pool: MakePool, chunksize: Any) -> None:
    results = pool(2).map(tasks.double, range(100), chunksize=chunksize, ordered=False)
    assert sorted(results) == list(range(0, 200, 2))


@pytest.mark.ours
def test_the_order_of_completion(pool: MakePool, files: Files) -> None:
    executor = pool(2)
    results = executor.map(
        tasks.hold,
        [files("a"), files("b")],
        [files("go a"), files("go b")],
        ["a", "b"],
        ordered=False,
    )
    until(lambda: files("a").exists() and files("b").exists())
    files("go b").touch()
    assert next(results) == "b"
    files("go a").touch()
    assert list(results) == ["a"]


def test_an_iterable_that_raises(pool: MakePool) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the iterable's")

    executor = pool(1)
    with pytest.raises(OSError, match="the iterable's"):
        list(executor.map(tasks.double, items()))
    assert executor.submit(tasks.double, 1).result() == 2


def test_a_map_that_is_left_cancels_the_rest(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    results = executor.map(tasks.noted, [files("ran")] * 1000, range(1000))
    assert next(results) == 0
    results.close()
    executor.submit(tasks.double, 1).result()
    executor.shutdown()
    ran = files("ran").read_text().split()
    assert ran == [str(number) for number in range(len(ran))] and len(ran) < 1000


def test_map_of_several_threads(pool: MakePool) -> None:
    executor = pool(2)
    found: list[list[int]] = []

    def use() -> None:
        found.append(list(executor.map(tasks.double, range(100), chunksize=3)))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [list(range(0, 200, 2))] * 4


@EACH_CHUNKSIZE
def test_many_tiny_items(pool: MakePool, chunksize: Any) -> None:
    results = pool(2).map(tasks.double, range(3000), chunksize=chunksize)
    assert sum(results) == 2999 * 3000


@pytest.mark.ours
def test_auto_with_items_of_very_different_length(pool: MakePool) -> None:
    waits = [0.02 if number % 50 == 0 else 0.0 for number in range(500)]
    assert list(pool(2).map(tasks.slow, waits, waits, chunksize="auto")) == waits


@pytest.mark.ours
def test_auto_with_workers_that_are_ended_meanwhile(pool: MakePool, files: Files) -> None:
    """What could not be submitted any more is told where its results are asked for."""
    executor = pool(2)
    results = executor.map(
        tasks.hold, [files("a")] * 9, [files("go")] * 9, range(9), chunksize="auto"
    )
    executor.kill_workers()
    with pytest.raises((BrokenProcessPool, RuntimeError)):
        next(results)
    results = pool(2).map(tasks.kill_self, [9] * 100, chunksize="auto", ordered=False)
    with pytest.raises(BrokenProcessPool):
        list(results)
