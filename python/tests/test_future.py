"""`Future`: every method, and every word it says, as in CPython 3.15."""

import concurrent.futures
import logging
import pickle
import re
import threading
import time
import traceback
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from patience import in_thread, until

from manyhands import CancelledError, Future, InvalidStateError, TimeoutError

SOON = 0.05


class Falsy(Exception):
    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0


New = Callable[[], Future[Any]]


def pending(new: New = Future) -> Future[Any]:
    return new()


def running(new: New = Future) -> Future[Any]:
    future = new()
    assert future.set_running_or_notify_cancel() is True
    return future


def cancelled(new: New = Future) -> Future[Any]:
    future = new()
    assert future.cancel() is True
    return future


def notified(new: New = Future) -> Future[Any]:
    future = cancelled(new)
    assert future.set_running_or_notify_cancel() is False
    return future


def returned(new: New = Future) -> Future[Any]:
    future = running(new)
    future.set_result(42)
    return future


def raised(new: New = Future) -> Future[Any]:
    future = running(new)
    future.set_exception(OSError("no"))
    return future


def touched(new: New = Future) -> Future[Any]:
    """A future whose insides somebody has taken hold of."""
    future = new()
    with future._condition:
        return future


STATES = [pending, running, cancelled, notified, returned, raised]
EACH_KIND = pytest.mark.parametrize(
    "kind",
    [
        lambda make: make,
        lambda make: lambda: touched(make),
        lambda make: lambda: make(touched),
    ],
    ids=["lean", "touched", "touched when new"],
)

#                     cancelled, running, done, _state, repr
SEEN = {
    pending: (False, False, False, "PENDING", "pending"),
    running: (False, True, False, "RUNNING", "running"),
    cancelled: (True, False, True, "CANCELLED", "cancelled"),
    notified: (True, False, True, "CANCELLED_AND_NOTIFIED", "cancelled"),
    returned: (False, False, True, "FINISHED", "finished returned int"),
    raised: (False, False, True, "FINISHED", "finished raised OSError"),
}


@EACH_KIND
@pytest.mark.parametrize("make", STATES)
def test_what_each_state_shows(make: Any, kind: Any) -> None:
    future = kind(make)()
    is_cancelled, is_running, is_done, state, words = SEEN[make]
    assert future.cancelled() is is_cancelled
    assert future.running() is is_running
    assert future.done() is is_done
    assert future._state == state
    assert repr(future) == f"<Future at {id(future):#x} state={words}>"


@EACH_KIND
@pytest.mark.parametrize("make", STATES)
def test_a_snapshot_of_each_state(make: Any, kind: Any) -> None:
    future = kind(make)()
    done, is_cancelled, result, exception = future._get_snapshot()
    assert (done, is_cancelled) == (future.done(), future.cancelled())
    assert result == (42 if make is returned else None)
    assert (type(exception) is OSError) == (make is raised)
    assert (future._result, future._exception) == (result, exception)


@EACH_KIND
@pytest.mark.parametrize("make", STATES)
def test_cancel_in_each_state(make: Any, kind: Any) -> None:
    future = kind(make)()
    before = future._state
    called: list[Any] = []
    if make is pending:
        future.add_done_callback(called.append)
    assert future.cancel() is (make in (pending, cancelled, notified))
    assert future._state == ("CANCELLED" if make is pending else before)
    assert called == ([future] if make is pending else [])
    future.cancel()
    assert len(called) < 2


@EACH_KIND
@pytest.mark.parametrize("make", [cancelled, notified, returned, raised])
def test_what_is_done_stays_as_it_is(make: Any, kind: Any) -> None:
    future = kind(make)()
    before = (future._state, future._result, future._exception)
    said = re.escape(f"{future._state}: {future!r}")
    with pytest.raises(InvalidStateError, match=f"^{said}$"):
        future.set_result(43)
    with pytest.raises(InvalidStateError, match=f"^{said}$"):
        future.set_exception(ValueError())
    assert (future._state, future._result, future._exception) == before


@EACH_KIND
@pytest.mark.parametrize("make", [running, notified, returned, raised])
def test_an_executor_that_takes_a_future_twice(
    make: Any, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    future = kind(make)()
    with pytest.raises(RuntimeError, match="^Future in unexpected state$"):
        future.set_running_or_notify_cancel()
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("concurrent.futures", logging.CRITICAL)
    assert record.getMessage() == f"Future {id(future)} in unexpected state: {SEEN[make][3]}"


@EACH_KIND
@pytest.mark.parametrize("make", [pending, running])
@pytest.mark.parametrize("timeout", [0, 0.0, -1, SOON])
def test_the_time_is_up(make: Any, kind: Any, timeout: float) -> None:
    future = kind(make)()
    for wait in (future.result, future.exception):
        begin = time.monotonic()
        with pytest.raises(TimeoutError) as raised:
            wait(timeout=timeout)
        assert time.monotonic() - begin >= timeout
        assert type(raised.value) is concurrent.futures.TimeoutError
        assert str(raised.value) == ""
    assert not future.done()


@EACH_KIND
@pytest.mark.parametrize("make", [cancelled, notified])
def test_a_cancelled_future_has_no_result(make: Any, kind: Any) -> None:
    future = kind(make)()
    for wait in (future.result, future.exception):
        with pytest.raises(CancelledError) as raised:
            wait()
        assert type(raised.value) is concurrent.futures.CancelledError
        assert str(raised.value) == ""


@EACH_KIND
def test_result_and_exception(kind: Any) -> None:
    future = kind(returned)()
    assert (future.result(), future.result(0), future.exception(timeout=None)) == (42, 42, None)
    future = kind(raised)()
    error = future.exception()
    assert type(error) is OSError
    for _ in range(2):
        with pytest.raises(OSError) as caught:
            future.result()
        assert caught.value is error


@EACH_KIND
@pytest.mark.parametrize("error", [Falsy(), KeyboardInterrupt(), SystemExit(3), StopIteration(1)])
def test_every_exception_is_raised(kind: Any, error: BaseException) -> None:
    future = kind(running)()
    future.set_exception(error)
    assert future.exception() is error
    with pytest.raises(type(error)) as caught:
        future.result()
    assert caught.value is error
    assert repr(future).endswith(f" state=finished raised {type(error).__name__}>")


@EACH_KIND
def test_an_exception_given_as_a_class(kind: Any) -> None:
    future = kind(pending)()
    future.set_exception(ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        future.result()
    assert future.exception() is ZeroDivisionError


@EACH_KIND
def test_no_exception_is_the_result_none(kind: Any) -> None:
    future = kind(pending)()
    future.set_exception(None)
    assert (future.done(), future.result(), future.exception()) == (True, None, None)


def test_the_traceback_leads_from_who_asks_to_who_raised() -> None:
    def fails_here() -> None:
        raise OSError

    def asks_here() -> None:
        future.result()

    future: Future[None] = Future()
    try:
        fails_here()
    except OSError as error:
        future.set_exception(error)
    with pytest.raises(OSError) as caught:
        asks_here()
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names.index("asks_here") < names.index("fails_here")


@EACH_KIND
@pytest.mark.parametrize(
    "end",
    [
        lambda future: future.set_result(1),
        lambda future: future.set_exception(OSError()),
        lambda future: future.cancel(),
    ],
    ids=["set_result", "set_exception", "cancel"],
)
@pytest.mark.parametrize("wait", ["result", "exception"])
def test_who_waits_is_woken(kind: Any, end: Any, wait: str) -> None:
    future = kind(pending)()
    woken: list[bool] = []

    def waits() -> None:
        try:
            getattr(future, wait)()
        except (OSError, CancelledError):
            pass
        woken.append(future.done())

    threads = [in_thread(waits) for _ in range(3)]
    time.sleep(SOON)
    end(future)
    for thread in threads:
        thread.join()
    assert woken == [True] * 3


def test_who_waits_is_woken_when_the_future_turns_fat_meanwhile() -> None:
    future: Future[int] = Future()
    results: list[int] = []
    thread = in_thread(lambda: results.append(future.result()))
    time.sleep(SOON)
    with future._condition:
        pass
    future.set_result(7)
    thread.join()
    assert results == [7]


def test_who_waits_is_woken_by_the_condition() -> None:
    future: Future[int] = Future()
    errors: list[Any] = []
    thread = in_thread(lambda: errors.append(future.exception()))
    time.sleep(SOON)
    with future._condition:
        future._state = "FINISHED"
        future._exception = error = OSError()
        future._condition.notify_all()
    thread.join()
    assert errors == [error]


def test_whoever_holds_the_condition_holds_the_state() -> None:
    future: Future[int] = Future()
    with future._condition:
        thread = in_thread(lambda: future.set_result(1))
        time.sleep(SOON)
        assert future._state == "PENDING"
        assert thread.is_alive()
    thread.join()
    assert future.result() == 1


@pytest.mark.parametrize("make", STATES)
def test_the_fields_can_be_set(make: Any) -> None:
    future: Future[Any] = Future()
    is_cancelled, is_running, is_done, state, words = SEEN[make]
    future._state = state
    future._exception = OSError() if make is raised else None
    future._result = 42 if make is returned else None
    assert (future.cancelled(), future.running()) == (is_cancelled, is_running)
    assert future.done() is is_done
    assert repr(future).endswith(f" state={words}>")
    assert future._get_snapshot()[:2] == (is_done, is_cancelled)


def test_a_future_that_turns_fat_keeps_its_callbacks_in_a_list() -> None:
    future: Future[int] = Future()
    called: list[Any] = []
    future.add_done_callback(lambda _: called.append(1))
    future.add_done_callback(lambda _: called.append(2))
    assert len(future._done_callbacks) == 2
    future.add_done_callback(lambda _: called.append(3))
    assert future._waiters == []
    future.set_result(0)
    assert called == [1, 2, 3]


def test_one_condition_for_all_who_ask_at_once() -> None:
    def ask(future: Future[int], start: threading.Barrier, found: list[Any]) -> None:
        start.wait()
        found.append(future._condition)

    for _ in range(200):
        asked: tuple[Any, ...] = (Future(), threading.Barrier(2), [])
        threads = [threading.Thread(target=ask, args=asked) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert asked[2][0] is asked[2][1]


def test_hash_and_equality_are_identity() -> None:
    one: Future[int] = Future()
    other: Future[int] = Future()
    assert one != other and one == {one: one}[one]
    assert hash(one) == object.__hash__(one)
    assert {one: 1, other: 2}[one] == 1


@EACH_KIND
def test_weak_references(kind: Any) -> None:
    future = kind(returned)()
    gone: list[Any] = []
    reference = weakref.ref(future, gone.append)
    assert reference() is future
    del future
    until(lambda: reference() is None)
    assert gone == [reference]


def test_a_generic_alias() -> None:
    alias = Future[int]
    assert isinstance(alias, types.GenericAlias)
    assert (alias.__origin__, alias.__args__) == (Future, (int,))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@EACH_KIND
def test_a_future_cannot_be_pickled(kind: Any, protocol: int) -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(kind(returned)(), protocol)


def test_a_subclass_has_its_own_way() -> None:
    class Named(Future[int]):
        def __init__(self, name: str, *, size: int = 0) -> None:
            super().__init__()
            self.name = name
            self.size = size

        def set_result(self, result: int) -> None:
            super().set_result(result + 1)

    future = Named("one", size=2)
    future.set_result(1)
    assert (future.name, future.size, future.result()) == ("one", 2, 2)
    assert repr(future) == f"<Named at {id(future):#x} state=finished returned int>"
