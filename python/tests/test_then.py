"""`then` and `catch`: one future made from one, and long chains of them."""

import concurrent.futures
import gc
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from patience import in_thread, until_dead

from manyhands import (
    Future,
    ThreadPoolExecutor,
    delay,
)

LINKS = 100_000


def plain() -> Future[Any]:
    return Future()


def touched() -> Future[Any]:
    """One whose insides somebody has touched, and which the standard library's methods keep."""
    future: Future[Any] = Future()
    assert future._condition
    return future


def touch(future: Any) -> Any:
    assert future._condition
    return future


class Value:
    """Something with weak references."""


def keeping(
    source: Future[Any], fn: Callable[[object], object]
) -> tuple[Future[Any], weakref.ref[Value]]:
    """A future made from `source` that holds a value until it has ended, to call `fn` with it."""
    value = Value()
    return source.then(lambda _: fn(value)), weakref.ref(value)


@pytest.fixture(params=[plain, touched])
def make(request: pytest.FixtureRequest) -> Callable[[], Future[Any]]:
    maker: Callable[[], Future[Any]] = request.param
    return maker


# then, catch


def test_then_gives_fn_of_the_value(make: Callable[[], Future[Any]]) -> None:
    before = make()
    early = before.then(lambda value: value + 1)
    assert not early.done() and not early.running()
    before.set_result(1)
    assert early.result(0) == 2
    assert before.then(str).result(0) == "1"
    assert before.result() == 1  # it is still there, for anybody


def test_fn_is_called_in_the_thread_that_ends_the_source() -> None:
    source: Future[int] = Future()
    thread = source.then(lambda _: threading.current_thread())
    ending = in_thread(lambda: source.set_result(1))
    ending.join()
    assert thread.result(0) is ending
    assert source.then(lambda _: threading.current_thread()).result(0) is threading.current_thread()


def test_what_fn_raises_is_the_exception() -> None:
    source: Future[int] = Future()
    divided = source.then(lambda value: 1 // value)
    source.set_result(0)
    error = divided.exception(0)
    assert isinstance(error, ZeroDivisionError)
    # From where it leaves the package: what is below is nobody's affair, and leads to the future.
    assert [frame.name for frame in traceback.extract_tb(error.__traceback__)] == ["<lambda>"]


def test_a_failure_passes_by_then_as_the_same_object() -> None:
    source: Future[int] = Future()
    last = source.then(str).then(len)
    error = ValueError("no")
    error.__cause__ = cause = KeyError("why")
    source.set_exception(error)
    assert last.exception(0) is error and error.__cause__ is cause


def test_catch_gives_fn_of_the_exception(make: Callable[[], Future[Any]]) -> None:
    source = make()
    caught, wrong = source.catch(repr), source.catch(repr, (KeyError, OSError))
    right = source.catch(repr, (KeyError, ValueError))
    error = ValueError("no")
    source.set_exception(error)
    assert caught.result(0) == right.result(0) == "ValueError('no')"
    assert wrong.exception(0) is error


def test_catch_leaves_a_value_as_it_is() -> None:
    source: Future[int] = Future()
    caught = source.catch(lambda _: 0)
    source.set_result(5)
    assert caught.result(0) == 5


def test_catch_takes_no_exception_that_ends_programs_unless_it_is_asked_to() -> None:
    source: Future[int] = Future()
    source.set_exception(SystemExit(3))
    assert isinstance(source.catch(lambda _: 0).exception(0), SystemExit)
    assert source.catch(lambda _: 0, SystemExit).result(0) == 0


def test_what_is_raised_in_catch_has_the_exception_for_its_context() -> None:
    source: Future[int] = Future()

    def fail(error: Exception) -> None:
        raise KeyError("worse") from None

    def unpack(error: Exception) -> None:
        assert error.__cause__ is not None
        raise error.__cause__

    worse, unpacked = source.catch(fail), source.catch(unpack)
    error, cause = ValueError("bad"), OSError("why")
    error.__cause__ = cause
    source.set_exception(error)
    raised = worse.exception(0)
    assert isinstance(raised, KeyError) and raised.__context__ is error
    assert unpacked.exception(0) is cause and cause.__context__ is error
    assert error.__traceback__ is None


@pytest.mark.parametrize("of", [lambda f, fn: f.then(fn), lambda f, fn: f.catch(fn)])
def test_what_is_no_function_is_refused_at_once(of: Any) -> None:
    with pytest.raises(TypeError, match="callable"):
        of(Future(), 5)


@pytest.mark.parametrize("exceptions", [5, ValueError("an instance"), (ValueError, int)])
def test_what_no_except_takes_is_refused_at_once(exceptions: Any) -> None:
    with pytest.raises(TypeError, match="classes of exceptions"):
        Future().catch(repr, exceptions)


# Futures that are returned


@pytest.mark.parametrize("future_class", [Future, concurrent.futures.Future])
def test_a_future_that_fn_returns_is_followed(future_class: Any) -> None:
    for end in (
        lambda f: f.set_result(5),
        lambda f: f.set_exception(ValueError("no")),
        lambda f: (f.cancel(), f.set_running_or_notify_cancel()),
    ):
        source, inner = Future[int](), future_class()
        followed = source.then(lambda _, inner=inner: inner)  # type: ignore[misc]
        source.set_result(1)
        assert followed.running() and not followed.done()
        end(inner)
        assert followed.done()
        assert followed.cancelled() == inner.cancelled()
        if not inner.cancelled():
            assert followed.exception(0) is inner.exception(0)


def test_a_future_that_returns_itself_fails() -> None:
    source: Future[int] = Future()
    followed: Future[Any] = source.then(lambda _: followed)
    source.set_result(1)
    assert isinstance(followed.exception(0), TypeError)


def test_catch_may_try_something_else() -> None:
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(int, "x").catch(lambda _: executor.submit(int, "5"))
        assert future.result() == 5


# Cancelling


def test_cancelling_what_was_made_leaves_the_source_and_lets_go_of_fn() -> None:
    source: Future[int] = Future()
    called: list[object] = []
    made, held = keeping(source, called.append)
    assert made.cancel() and made.cancel()
    until_dead(held)
    source.set_result(1)
    assert called == [] and made.cancelled() and not source.cancelled()


def test_one_that_runs_can_be_cancelled_running() -> None:
    source, began, go = Future[int](), threading.Event(), threading.Event()

    def fn(_: int) -> bool:
        began.set()
        return go.wait()

    made = source.then(fn)
    ending = in_thread(lambda: source.set_result(1))
    began.wait()
    assert made.running() and not made.cancel()
    assert made.cancel_running() and made.cancelled()
    go.set()
    ending.join()
    assert made.cancelled()


def test_one_that_waits_for_another_can_be_cancelled_running() -> None:
    source, inner = Future[int](), Future[int]()
    made = source.then(lambda _: inner)
    source.set_result(1)
    assert not made.cancel() and made.cancel_running()
    assert not inner.cancelled()
    inner.set_result(5)
    assert made.cancelled()


def test_a_touched_one_keeps_its_fn_and_its_rules() -> None:
    source: Future[int] = Future()
    touched, cancelled = touch(source.then(str)), touch(source.then(str))
    assert cancelled.cancel()
    source.set_result(1)
    assert touched.result(0) == "1"
    assert cancelled._state == "CANCELLED_AND_NOTIFIED"


def test_one_that_somebody_else_ends_is_left_alone() -> None:
    source, called = Future[int](), list[int]()
    made, begun = source.then(called.append), source.then(called.append)
    made.set_result(None)
    assert begun.set_running_or_notify_cancel()
    source.set_result(1)
    assert made.result(0) is None and begun.running() and called == []


# Long chains


def long_chain(source: Future[Any]) -> Future[Any]:
    future = source
    for _ in range(LINKS):
        future = future.then(lambda value: value + 1)
    return future


def test_a_long_chain_ends() -> None:
    source: Future[int] = Future()
    last = long_chain(source)
    source.set_result(0)
    assert last.result(0) == LINKS


def test_a_long_chain_fails_with_a_short_traceback() -> None:
    source: Future[int] = Future()
    last = long_chain(source)
    source.set_exception(ValueError("no"))
    error = last.exception(0)
    assert isinstance(error, ValueError) and error.__traceback__ is None


def test_a_long_chain_is_cancelled() -> None:
    source: Future[int] = Future()
    last = long_chain(source)
    source.cancel()
    assert last.cancelled()


def test_a_long_chain_is_dropped() -> None:
    source: Future[Any] = Future()
    last, held = keeping(source, id)
    last = long_chain(last)
    assert held() is not None
    del last, source
    assert held() is None  # there is no cycle in it, for a collector to find


def test_each_future_may_return_the_next() -> None:
    with ThreadPoolExecutor(2) as executor:

        def down(number: int) -> Future[int]:
            return executor.submit(int, number - 1).then(lambda n: down(n) if n else Future.then)

        assert down(10_000).result() is Future.then


# What the program's code brings about happens at once


def test_functions_may_wait_for_what_they_bring_about() -> None:
    source, other = Future[int](), Future[int]()
    inner = other.then(lambda value: value + 1).then(lambda value: value * 2)

    def end_other(value: int) -> int:
        other.set_result(value)
        return inner.result(20)

    last = source.then(lambda value: value).then(end_other).then(lambda value: value + 1)
    source.set_result(4)
    assert last.result(0) == 11


def test_callbacks_may_wait_for_what_they_bring_about() -> None:
    source, found = Future[int](), list[int]()
    middle = source.then(lambda value: value + 1)

    def look(future: Future[int]) -> None:
        fresh: Future[int] = Future()
        last = fresh.then(lambda value: value * 2)
        fresh.set_result(future.result())
        found.append(last.result(20))
        found.append(future.then(lambda value: value * 3).result(20))

    middle.add_done_callback(look)
    source.set_result(4)
    assert found == [10, 15]


def test_functions_are_called_in_the_order_in_which_they_came() -> None:
    source, called = Future[int](), list[int]()
    for number in range(10):
        source.then(lambda _, number=number: called.append(number))  # type: ignore[misc]
    source.set_result(0)
    assert called == list(range(10))


def test_ctrl_c_in_a_function_is_raised_when_all_is_done() -> None:
    source: Future[int] = Future()

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    first, second = source.then(interrupted), source.then(str)
    after = first.catch(repr, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        source.set_result(1)
    assert isinstance(first.exception(0), KeyboardInterrupt)
    assert (second.result(0), after.result(0)) == ("1", "KeyboardInterrupt()")


def test_what_ends_programs_in_a_function_is_its_futures_alone() -> None:
    source: Future[int] = Future()
    made = source.then(sys.exit)
    source.set_result(3)
    assert isinstance(made.exception(0), SystemExit)


# Futures that nobody holds


def test_what_nobody_holds_is_done_all_the_same() -> None:
    called = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        go = threading.Event()
        executor.submit(go.wait).then(lambda _: delay(0.001)).then(lambda _: called.set())
        gc.collect()
        go.set()
        assert called.wait(60)


def test_an_outcome_dies_with_its_future() -> None:
    source: Future[Value] = Future()
    made = source.then(lambda value: value)

    def fail(value: Value) -> None:
        raise ValueError(value)

    failed = source.then(fail)
    value = Value()
    held = weakref.ref(value)
    source.set_result(value)
    late = source.then(fail)
    assert made.result(0) is value and failed.exception(0) and late.exception(0)
    del value, made, source, failed, late
    assert held() is None
