"""The callbacks of a `Future`: when, in which order, and what becomes of what they raise."""

import asyncio
import logging
import threading
from typing import Any

import pytest
from patience import in_thread

from manyhands import CancelledError, Future, ThreadPoolExecutor

ENDS = pytest.mark.parametrize(
    "end",
    [
        lambda future: future.set_result(1),
        lambda future: future.set_exception(OSError()),
        lambda future: future.cancel(),
    ],
    ids=["set_result", "set_exception", "cancel"],
)


@pytest.fixture(params=["lean", "fat"])
def future(request: pytest.FixtureRequest) -> Future[Any]:
    future: Future[Any] = Future()
    if request.param == "fat":
        with future._condition:
            pass
    return future


@ENDS
def test_in_the_order_added_and_as_often(future: Future[Any], end: Any) -> None:
    called: list[Any] = []

    def first(ended: Future[Any]) -> None:
        called.append(("first", ended))

    def second(ended: Future[Any]) -> None:
        called.append(("second", ended))

    for callback in (first, second, first):
        assert future.add_done_callback(callback) is None
    end(future)
    assert called == [("first", future), ("second", future), ("first", future)]
    future.cancel()
    assert len(called) == 3


@ENDS
def test_in_the_thread_that_ends_it(future: Future[Any], end: Any) -> None:
    threads: list[int] = []
    future.add_done_callback(lambda _: threads.append(threading.get_ident()))
    thread = in_thread(lambda: end(future))
    thread.join()
    assert threads == [thread.ident]


@ENDS
def test_at_once_when_it_has_ended(future: Future[Any], end: Any) -> None:
    end(future)
    called: list[Any] = []
    future.add_done_callback(called.append)
    assert called == [future]


def test_what_a_task_ends_calls_back_in_its_worker() -> None:
    threads: list[str] = []
    go = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        submitted = executor.submit(go.wait)
        submitted.add_done_callback(lambda _: threads.append(threading.current_thread().name))
        go.set()
    assert threads == ["mine_0"]


@ENDS
def test_what_one_raises_is_logged_and_the_next_are_called(
    future: Future[Any], end: Any, caplog: pytest.LogCaptureFixture
) -> None:
    error = ValueError("the callback's")

    def fails(_: Future[Any]) -> None:
        raise error

    called: list[Any] = []
    future.add_done_callback(fails)
    future.add_done_callback(called.append)
    end(future)
    assert called == [future]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("concurrent.futures", logging.ERROR)
    assert record.getMessage() == f"exception calling callback for {future!r}"
    assert record.exc_info is not None and record.exc_info[1] is error


def test_what_one_that_is_called_at_once_raises_is_logged(
    future: Future[Any], caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: Future[Any]) -> None:
        raise ValueError("the callback's")

    future.set_result(1)
    future.add_done_callback(fails)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_reaches_who_ends_the_future(error: type[BaseException]) -> None:
    def fails(_: Future[Any]) -> None:
        raise error

    future: Future[int] = Future()
    called: list[Any] = []
    future.add_done_callback(fails)
    future.add_done_callback(called.append)
    with pytest.raises(error):
        future.set_result(1)
    assert called == [future]
    assert future.result() == 1


def test_who_waits_is_woken_before_they_run(future: Future[Any]) -> None:
    woken = threading.Event()

    def waits() -> None:
        future.result()
        woken.set()

    waiting = [in_thread(waits) for _ in range(2)]
    # A wait for its turn would be a deadlock, which the watchdog ends.
    future.add_done_callback(lambda _: woken.wait())
    future.set_result(1)
    for thread in waiting:
        thread.join()


def test_a_callback_may_do_anything_with_the_future(future: Future[Any]) -> None:
    seen: list[Any] = []

    def callback(ended: Future[Any]) -> None:
        seen.append((ended.result(), ended.cancel(), ended.done(), ended._state))
        ended.add_done_callback(lambda _: seen.append("at once"))

    future.add_done_callback(callback)
    future.add_done_callback(lambda _: seen.append("next"))
    future.set_result(1)
    assert seen == [(1, False, True, "FINISHED"), "at once", "next"]


def test_a_callback_that_is_no_function(caplog: pytest.LogCaptureFixture) -> None:
    future: Future[int] = Future()
    future.add_done_callback(None)  # type: ignore[arg-type]
    future.set_result(1)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_the_callbacks_parameter_is_called_fn(future: Future[Any]) -> None:
    called: list[Any] = []
    future.add_done_callback(fn=called.append)
    future.set_result(result=1)
    assert called == [future]


@ENDS
def test_await(future: Future[Any], end: Any) -> None:
    async def main() -> Any:
        threading.Timer(0.05, end, [future]).start()
        return await future

    try:
        assert asyncio.run(main()) == future.result()
    except OSError as error:
        assert error is future.exception()
    except asyncio.CancelledError:
        assert future.cancelled()


def test_await_of_one_that_has_ended(future: Future[Any]) -> None:
    async def main() -> Any:
        return await future

    future.set_result(3)
    assert asyncio.run(main()) == 3


def test_who_cancels_the_await_cancels_the_future(future: Future[Any]) -> None:
    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(future, 0.05)

    asyncio.run(main())
    assert future.cancelled()
    with pytest.raises(CancelledError):
        future.result()


def test_await_outside_asyncio_says_so(future: Future[Any]) -> None:
    with pytest.raises(RuntimeError, match="event loop"):
        future.__await__()
