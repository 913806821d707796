"""Tasks in worker processes that wait for each other."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MakePool
from patience import until
from subject import STDLIB

if STDLIB:
    pytest.skip("the standard library finds no deadlocks", allow_module_level=True)

import passing

from manyhands import DeadlockError, Future, ThreadPoolExecutor, gather

pytestmark = pytest.mark.ours

Files = Callable[[str], Path]


def names(error: BaseException | None) -> list[str]:
    """Those of the tasks in the cycle, sorted: it begins anywhere."""
    assert isinstance(error, DeadlockError), repr(error)
    for name, place in error.cycle:
        assert f"`{name}` ({place})" in str(error)
        assert place is not None and "py:" in place
    return sorted(name for name, _ in error.cycle)


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("workers", [1, 3])
def test_tasks_that_wait_for_each_other(pool: MakePool, length: int, workers: int) -> None:
    executor = pool(workers)
    nexts: list[Future[Any]] = [Future() for _ in range(length)]
    futures = [executor.submit(passing.inner, each) for each in nexts]
    for number, each in enumerate(nexts):
        each.set_result(futures[(number + 1) % length])
    for future in futures:
        assert names(future.exception()) == ["inner"] * length
    assert executor.submit(passing.value, nexts[0].then(lambda _: 1)).result() == 1


def test_a_thread_and_a_process(pool: MakePool) -> None:
    executor = pool(1)
    own: Future[Future[Any]] = Future()
    ends: list[BaseException | None] = []

    def waits_for_process() -> None:
        task = executor.submit(passing.value, own.result())
        ends.append(task.exception())
        task.result()

    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(waits_for_process)
        own.set_result(future)
        assert names(future.exception()) == ["value", "waits_for_process"]
    assert all(names(end) == ["value", "waits_for_process"] for end in ends)


def test_a_task_and_what_is_made_of_its_future(pool: MakePool) -> None:
    executor = pool(1)
    box: Future[Future[Any]] = Future()
    future = executor.submit(passing.inner, box)
    box.set_result(future.then(lambda value: value))
    assert names(future.exception()) == ["inner"]


def test_a_task_and_what_is_made_of_its_future_at_last(pool: MakePool) -> None:
    executor = pool(1)
    box: Future[Future[Any]] = Future()
    other: Future[int] = Future()
    future = executor.submit(passing.inner, box)
    box.set_result(gather(other, future))
    time.sleep(0.2)
    assert not future.done(), "the other may end, as far as anybody knows"
    other.set_result(1)
    assert names(future.exception()) == ["inner"]


def test_two_pools_of_processes(pool: MakePool) -> None:
    first, second = pool(1), pool(1)
    box: Future[Future[Any]] = Future()
    one = first.submit(passing.inner, box)
    two = second.submit(passing.value, one)
    box.set_result(two)
    assert names(one.exception()) == ["inner", "value"]
    assert names(two.exception()) == ["inner", "value"]


def test_a_task_and_one_that_it_has_submitted(pool: MakePool) -> None:
    executor = pool(1)
    own: Future[Future[Any]] = Future()
    future = executor.submit(passing.waits_for_the_one_that_waits, own)
    own.set_result(future)
    assert names(future.exception()) == ["inner", "waits_for_the_one_that_waits"]


@pytest.mark.parametrize(
    "waits", [passing.waits_for_any, passing.waits_for_all, passing.waits_in_order]
)
def test_waits_for_several(pool: MakePool, waits: Callable[..., int]) -> None:
    executor = pool(2)
    box: Future[list[Future[Any]]] = Future()
    first = executor.submit(waits, box)
    others = [executor.submit(passing.value, first) for _ in range(2)]
    box.set_result(others)
    name = waits.__name__
    assert names(first.exception()) == sorted([name, "value"])
    assert all(names(other.exception()) == sorted([name, "value"]) for other in others)


@pytest.mark.parametrize("waits", [passing.waits_for_any, passing.waits_in_order])
def test_no_alarm_where_one_may_end(pool: MakePool, waits: Callable[..., int]) -> None:
    executor = pool(2)
    box: Future[list[Future[Any]]] = Future()
    alive: Future[int] = Future()
    first = executor.submit(waits, box)
    other = executor.submit(passing.value, first.then(lambda number: number))
    if waits is passing.waits_for_any:
        other = executor.submit(passing.value, first)
    box.set_result([other, alive] if waits is passing.waits_for_any else [alive])
    until(lambda: len(alive._done_callbacks) == 1)
    # Longer than it takes to find a deadlock.
    time.sleep(0.3)
    assert not first.done() and not other.done()
    alive.set_result(1)
    assert first.result() == other.result() == 1


def test_no_alarm_for_a_wait_with_a_timeout(pool: MakePool) -> None:
    executor = pool(2)
    box: Future[Future[Any]] = Future()
    first = executor.submit(passing.waits_for_a_while, box)
    second = executor.submit(passing.value, first)
    box.set_result(second)
    assert first.result() == second.result() == "TimeoutError"


def test_no_alarm_for_another_thread_of_the_task(pool: MakePool, files: Files) -> None:
    executor = pool(2)
    box: Future[Future[Any]] = Future()
    first = executor.submit(passing.has_another_wait, box, files("go"))
    second = executor.submit(passing.value, first)
    box.set_result(second)
    until(lambda: len(second._done_callbacks) == 1)
    time.sleep(0.3)
    files("go").touch()
    assert first.result() == second.result() == "running"
