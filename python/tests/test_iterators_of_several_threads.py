"""The iterators of `map` and `as_completed` in several hands: one at a time has them, and nothing is lost."""

import operator
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from patience import in_thread, until

from manyhands import ThreadPoolExecutor, as_completed

Iterate = Callable[[ThreadPoolExecutor, Callable[[int], int], int], Iterator[int]]


def by_map(pool: ThreadPoolExecutor, function: Callable[[int], int], count: int) -> Iterator[int]:
    return pool.map(function, range(count))


def by_as_completed(
    pool: ThreadPoolExecutor, function: Callable[[int], int], count: int
) -> Iterator[int]:
    futures = [pool.submit(function, number) for number in range(count)]
    return map(operator.methodcaller("result"), as_completed(futures))


EACH = pytest.mark.parametrize("iterate", [by_map, by_as_completed])


@EACH
def test_who_comes_while_another_waits_in_it_is_told(iterate: Iterate) -> None:
    opened = threading.Event()
    found: list[int] = []
    told: list[str] = []

    def wait(item: int) -> int:
        opened.wait()
        return item

    with ThreadPoolExecutor(1) as pool:
        results = iterate(pool, wait, 2)

        def ask() -> None:
            try:
                found.append(next(results))
            except ValueError as error:
                told.append(str(error))

        askers = [in_thread(ask) for _ in range(3)]
        until(lambda: len(told) == 2)
        opened.set()
        for asker in askers:
            asker.join()
        assert told == ["another thread is waiting in this iterator"] * 2
        assert len(found) == 1
        assert sorted([*found, *results]) == [0, 1]


@EACH
def test_each_result_is_had_by_one_of_several_threads(iterate: Iterate) -> None:
    count = 20_000
    found: list[int] = []
    begin = threading.Barrier(4)
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            results = iterate(pool, int, count)

            def take() -> None:
                begin.wait()
                while True:
                    try:
                        found.append(next(results))
                    except StopIteration:
                        return
                    except ValueError:  # another thread is waiting in it
                        time.sleep(0)

            takers = [in_thread(take) for _ in range(4)]
            for taker in takers:
                taker.join()
    finally:
        sys.setswitchinterval(0.005)
    assert sorted(found) == list(range(count))
