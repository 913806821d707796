"""The proposal of 2009: `run_to_futures`, `run_to_results`, `FutureList` and `max_threads`."""

import functools
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from patience import in_thread, until

from manyhands import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    RETURN_IMMEDIATELY,
    Future,
    FutureList,
    ThreadPoolExecutor,
    TimeoutError,
)

SOON = 0.05


def fail() -> None:
    raise OSError("the call's")


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_threads=2) as executor:
        yield executor


def test_all_calls_are_run(executor: ThreadPoolExecutor) -> None:
    calls = [functools.partial(abs, -number) for number in range(10)]
    futures = executor.run_to_futures(iter(calls))
    assert type(futures) is FutureList
    assert [future.result() for future in futures] == list(range(10))
    assert executor._max_workers == 2


def test_a_call_that_fails_leaves_the_others_alone(executor: ThreadPoolExecutor) -> None:
    futures = executor.run_to_futures([int, fail, str], return_when=ALL_COMPLETED)
    assert [future.result() for future in futures.successful_futures()] == [0, ""]
    (failed,) = futures.exception_futures()
    assert failed is futures[1] and type(failed.exception()) is OSError


def test_return_immediately(executor: ThreadPoolExecutor, go: threading.Event) -> None:
    futures = executor.run_to_futures([go.wait], return_when=RETURN_IMMEDIATELY)
    assert not futures.has_done_futures()
    go.set()
    futures.wait()
    assert futures.has_done_futures()


def test_first_completed_and_first_exception(
    executor: ThreadPoolExecutor, go: threading.Event
) -> None:
    futures = executor.run_to_futures([go.wait, int], return_when=FIRST_COMPLETED)
    assert list(futures.successful_futures()) == [futures[1]]
    futures = executor.run_to_futures([int, fail, go.wait], return_when=FIRST_EXCEPTION)
    assert list(futures.exception_futures()) == [futures[1]]
    assert not futures[2].done()
    go.set()


def test_a_timeout_leaves_the_calls_running(
    executor: ThreadPoolExecutor, go: threading.Event
) -> None:
    begin = time.monotonic()
    futures = executor.run_to_futures([go.wait, int], timeout=SOON)
    assert time.monotonic() - begin >= SOON
    assert (futures[0].running(), futures[1].result()) == (True, 0)
    go.set()
    assert futures[0].result() is True


def test_a_condition_that_there_is_not(executor: ThreadPoolExecutor, go: threading.Event) -> None:
    with pytest.raises(ValueError, match="Invalid return condition: 'SOME'"):
        executor.run_to_futures([go.wait], return_when="SOME")
    go.set()


def test_run_to_results(executor: ThreadPoolExecutor) -> None:
    calls = [functools.partial(abs, -number) for number in range(10)]
    assert list(executor.run_to_results(calls)) == list(range(10))
    results = executor.run_to_results([int, fail, str])
    assert next(results) == 0
    with pytest.raises(OSError, match="the call's"):
        next(results)


def test_nothing_is_run_before_somebody_asks(executor: ThreadPoolExecutor) -> None:
    ran: list[int] = []
    results = executor.run_to_results([functools.partial(ran.append, 1)])
    executor.submit(int).result()
    assert ran == []
    assert list(results) == [None]
    assert ran == [1]


def test_results_that_come_too_late(executor: ThreadPoolExecutor, go: threading.Event) -> None:
    ran: list[int] = []
    results = executor.run_to_results(
        [go.wait, go.wait, functools.partial(ran.append, 1)], timeout=SOON
    )
    with pytest.raises(TimeoutError):
        next(results)
    go.set()
    executor.submit(int).result()
    assert ran == []


def in_each_state() -> FutureList[Any]:
    """pending, running, cancelled, notified, returned, raised"""
    futures: list[Future[Any]] = [Future() for _ in range(6)]
    futures[1].set_running_or_notify_cancel()
    futures[2].cancel()
    futures[3].cancel()
    futures[3].set_running_or_notify_cancel()
    futures[4].set_result(1)
    futures[5].set_exception(OSError())
    return FutureList(futures)


@pytest.mark.parametrize(
    "name, numbers",
    [
        ("running", [1]),
        ("cancelled", [2, 3]),
        ("done", [2, 3, 4, 5]),
        ("successful", [4]),
        ("exception", [5]),
    ],
)
def test_questions_about_all(name: str, numbers: list[int]) -> None:
    futures = in_each_state()
    found = getattr(futures, f"{name}_futures")()
    assert iter(found) is not None
    assert list(found) == [futures[number] for number in numbers]
    assert getattr(futures, f"has_{name}_futures")() is True
    others = FutureList([it for number, it in enumerate(futures) if number not in numbers])
    assert getattr(others, f"has_{name}_futures")() is False


def test_it_is_a_sequence() -> None:
    futures = in_each_state()
    assert len(futures) == 6 and len(list(futures)) == 6
    assert [futures[0], futures[-1]] == list(futures)[::5]
    assert futures[0] in futures and Future() not in futures
    with pytest.raises(IndexError):
        futures[6]
    with pytest.raises(TypeError):
        futures[0] = Future()  # type: ignore[index]


def test_what_it_shows() -> None:
    assert repr(in_each_state()) == (
        "<FutureList #futures=6 [#pending=1 #cancelled=2 #running=1 #finished=2]>"
    )
    assert repr(FutureList([Future()])) == "<FutureList #futures=1 [#pending=1]>"


def test_cancel_waits_for_what_runs(executor: ThreadPoolExecutor, go: threading.Event) -> None:
    calls = [go.wait, go.wait, int, int]
    futures = executor.run_to_futures(calls, return_when=RETURN_IMMEDIATELY)
    until(lambda: futures[0].running() and futures[1].running())
    with pytest.raises(TimeoutError, match=r"^2 \(of 4\) futures unfinished$"):
        futures.cancel(timeout=SOON)
    assert list(futures.cancelled_futures()) == [futures[2], futures[3]]
    thread = in_thread(futures.cancel)
    time.sleep(SOON)
    assert thread.is_alive()
    go.set()
    thread.join()
    assert list(futures.successful_futures()) == [futures[0], futures[1]]


def test_cancel_of_futures_that_nobody_runs() -> None:
    """As 3.2 has it, they are not told to be cancelled before an executor has taken note."""
    futures = FutureList([Future(), Future()])
    with pytest.raises(TimeoutError):
        futures.cancel(timeout=SOON)
    assert all(future.cancelled() for future in futures)
