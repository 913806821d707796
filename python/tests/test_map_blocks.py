"""`map` hands its items out by the block, and nobody is to see it."""

import threading
from typing import Any

import pytest
from patience import until

from manyhands import CancelledError, ThreadPoolExecutor


@pytest.mark.parametrize("kind", [{}, {"buffersize": 2}, {"ordered": False}], ids=repr)
@pytest.mark.parametrize(
    "items",
    [
        range(0),
        range(1),
        range(1000),
        range(1000, -1000, -3),
        range(5, 5000, 7),
        range(2**63 - 3, 2**63 - 1),
        range(2**63 - 3, 2**63 + 2),
        range(-(2**63) + 2, -(2**63) - 3, -1),
        range(-(2**63), 2**63 - 1, 2**62),
        range(2**80, 2**80 + 600),
        range(-(2**80), 2**80, 2**79),
    ],
    ids=repr,
)
def test_ranges(items: range, kind: Any) -> None:
    with ThreadPoolExecutor(1) as executor:
        found = list(executor.map(lambda it: it, items, **kind))
    # Those that have ended before they are looked at come in any order.
    in_order = kind.get("ordered", True)
    assert (found if in_order else sorted(found)) == (list(items) if in_order else sorted(items))
    assert {type(number) for number in found} <= {int}


def test_items_that_wait_for_each_other() -> None:
    both = threading.Barrier(2)
    with ThreadPoolExecutor(2) as executor:
        met = list(executor.map(lambda _: both.wait(60), range(600)))
    assert sorted(met) == [0] * 300 + [1] * 300


def test_an_item_behind_one_that_blocks() -> None:
    go = threading.Event()
    with ThreadPoolExecutor(2) as executor:
        results = executor.map(lambda it: go.wait(60) if it == 0 else go.set(), [0, 1])
        assert list(results) == [True, None]


def test_a_task_submitted_after_a_map_comes_after_its_items() -> None:
    order: list[int] = []
    go = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(go.wait, 60)
        executor.map(order.append, range(600))
        executor.submit(order.append, 600)
        go.set()
    assert order == list(range(601))


def test_items_count_as_pending_and_completed_one_by_one() -> None:
    go = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(go.wait, 60)
        until(lambda: executor.stats().running == 1)
        results = executor.map(abs, range(600))
        assert executor.stats().pending == executor._work_queue.qsize() == 600
        go.set()
        assert list(results) == list(range(600))
        until(lambda: executor.stats() == (0, 0, 601, 1, 1))


def test_items_taken_out_of_the_queue() -> None:
    go = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(go.wait, 60)
        until(lambda: executor.stats().running == 1)
        results = executor.map(abs, [-1, -2, -3])
        queue = executor._work_queue
        first, second = queue.get_nowait(), queue.get_nowait()
        first.run()
        assert first.future.cancel() is False
        assert queue.qsize() == 1
        assert second.future.cancel() is True
        assert second.future.cancel() is True
        second.run()
        assert next(results) == 1
        with pytest.raises(CancelledError):
            next(results)
        assert executor.stats().completed == 0
        go.set()


def test_a_function_that_ends_the_interpreter_ends_only_its_map() -> None:
    def task(number: int) -> int:
        if number == 300:
            raise SystemExit(number)
        return number

    with ThreadPoolExecutor(2) as executor:
        found = []
        with pytest.raises(SystemExit, match="300"):
            found.extend(executor.map(task, range(600)))
        results = executor.map(task, range(600))
        assert [next(results) for _ in range(300)] == list(range(300))
        with pytest.raises(SystemExit):
            next(results)
        assert executor.submit(task, 1).result() == 1


def test_threads_are_started_for_the_items_there_are() -> None:
    with ThreadPoolExecutor(8) as executor:
        go = threading.Event()
        results = executor.map(lambda _: go.wait(60), range(3))
        until(lambda: executor.stats().running == 3)
        assert executor.stats().workers == 3
        go.set()
        assert list(results) == [True] * 3
