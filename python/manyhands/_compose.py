"""Futures that are made from others: `then`, `catch`, `with_timeout`, `gather`, `race`, `delay`.

These rules hold for all of them:

- Functions are called in the thread that ends (or cancels) the other future, or here and now if that is
  done, as callbacks are. Long work belongs on an executor (`submit_after`). What a function raises is the
  new future's exception; Ctrl-C is raised where it came, too.
- A future that such a function returns is followed: the new future ends as that one does.
- A cancelled future cancels those made from it. Cancelling one made from others cancels none of these:
  they may be somebody else's. To let go of a future cancels nothing, and what is made from it comes.
- An exception is passed on as the same object, with its cause and its traceback.
- A chain of any length needs no more of the stack than a single link.
"""

from __future__ import annotations

from concurrent.futures import CancelledError, TimeoutError
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from . import _onward, _stdlib, _timer
from ._core import _call_for, _derive, _follow, _hear_of, _take
from ._future import Future

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future as AnyFuture

T = TypeVar("T")

# What `except` takes.
Exceptions = type[BaseException] | tuple[type[BaseException], ...]


def then(source: AnyFuture[Any], fn: Callable[[Any], Any]) -> Future[Any]:
    check_callable(fn)
    return _onward.when_done(source, _then, _derive(Future, fn, (source,)))


def _then(future: Future[Any], source: AnyFuture[Any]) -> None:
    if not _onward.pass_on(future, source):
        return
    fn = _take(future, True)
    if fn is not None:
        _settle(future, _call_for(future, fn, source.result()))


def catch(source: AnyFuture[Any], fn: Callable[[Any], Any], exceptions: Exceptions) -> Future[Any]:
    check_callable(fn)
    check_exceptions(exceptions)
    return _onward.when_done(source, _catch, _derive(Future, (fn, exceptions), (source,)))


def _catch(future: Future[Any], source: AnyFuture[Any]) -> None:
    if source.cancelled():
        _onward.cancel(future)
        return
    taken = _take(future, True)
    if taken is None:
        return
    fn, exceptions = taken
    error = source.exception()
    if isinstance(error, exceptions):
        _settle(future, _handled(partial(_call_for, future, fn), error))
    else:
        _onward.follow(future, source)


def _handled(fn: Callable[[Any], Any], error: BaseException) -> Any:
    """`fn(error)`, called where it is being handled, so that what it raises has it for its context."""
    traceback = error.__traceback__
    try:
        raise error
    except BaseException:  # noqa: BLE001  # it is the one
        # Without this frame, which holds it.
        error.__traceback__ = traceback
        return fn(error)
    finally:
        del error, traceback


def _settle(future: Future[Any], value: Any) -> None:
    """End a future with what its function has returned."""
    if not isinstance(value, _stdlib.Future):
        _onward.finish(future, value)
    elif value is future:
        raise TypeError("the function has returned the future that waits for it")
    else:
        _follow(future, value)
        _onward.then_when_done(value, _onward.follow, future)


def with_timeout(source: AnyFuture[Any], seconds: float) -> Future[Any]:
    # Of no sources, for it may end at any moment.
    future = _derive(Future, (), ())
    _onward.when_done(source, _onward.follow, future)
    if not future.done():
        start_timer(future, partial(_elapse, seconds), seconds)
    return future


def _elapse(seconds: float, future: Future[Any], _: object) -> None:
    _onward.fail(future, TimeoutError(f"the future has not ended within {seconds} seconds"))


@overload
def delay(seconds: float) -> Future[None]: ...
@overload
def delay(seconds: float, value: T) -> Future[T]: ...
def delay(seconds: float, value: Any = None) -> Future[Any]:
    """A future that ends after so many seconds, with `value`.

    No thread waits for it: all timers of the program have one together, a daemon. What comes after a
    timer (the function of `then`, say) runs in that thread and should be short, or be submitted
    somewhere. Cancelling the future takes the timer away.

    >>> from manyhands import ThreadPoolExecutor, delay
    >>> with ThreadPoolExecutor() as executor:
    ...     executor.submit_after(pow, delay(0.01, 2), 10).result()
    1024
    """
    future = _derive(Future, (), ())
    start_timer(future, partial(_ring, value), seconds)
    return future


def _ring(value: object, future: Future[Any], _: object) -> None:
    _onward.finish(future, value)


def start_timer(future: Future[Any], step: _onward.Step, seconds: float) -> None:
    """Take the step for this future, itself the one that has ended, when so many seconds are over."""
    timer = _timer.after(seconds, partial(_onward.run, step, future, future))
    future.add_done_callback(timer.stop)


@overload
def gather(
    *futures: AnyFuture[T], return_exceptions: Literal[False] = False
) -> Future[list[T]]: ...
@overload
def gather(*futures: AnyFuture[T], return_exceptions: bool) -> Future[list[T | BaseException]]: ...
@overload
def gather(*futures: AnyFuture[Any], return_exceptions: bool = False) -> Future[list[Any]]: ...
def gather(*futures: AnyFuture[Any], return_exceptions: bool = False) -> Future[list[Any]]:
    """A future with the values of all these, as a list in their order.

    It fails as soon as one of them fails, with that exception, and is cancelled when one of them is; the
    others go on. With `return_exceptions`, it waits for all of them, and exceptions (CancelledError for
    those that were cancelled) are in the list like values. Of none at all, it is done.

    >>> from manyhands import ThreadPoolExecutor, gather
    >>> with ThreadPoolExecutor() as executor:
    ...     squares = gather(*(executor.submit(pow, n, 2) for n in range(4)))
    ...     squares.then(sum).result()
    14
    """
    values: dict[int, Any] = {}
    future = _derive(Future, (), futures)
    if not futures:
        future.set_result([])
        return future
    # Whatever ends it: nobody wants the values any more.
    future.add_done_callback(partial(clear, values))
    for index, source in enumerate(futures):
        step = partial(_put, values, len(futures), index, return_exceptions)
        _onward.when_done(source, step, future)
    return future


def clear(values: dict[Any, Any], _: object) -> None:
    """A callback: let go of the values."""
    values.clear()


def _put(
    values: dict[int, Any],
    count: int,
    index: int,
    return_exceptions: bool,
    future: Future[Any],
    source: AnyFuture[Any],
) -> None:
    if future.done():
        return
    if return_exceptions:
        values[index] = _outcome(source)
    elif _onward.pass_on(future, source):
        values[index] = source.result()
    else:
        return
    _hear_of(future, index)
    # Of two who find it complete, one takes it.
    if len(values) == count and _take(future, True) is not None:
        _onward.finish(future, [values[index] for index in range(count)])


def _outcome(source: AnyFuture[Any]) -> Any:
    try:
        error = source.exception()
    except CancelledError as cancelled:
        return cancelled.with_traceback(None)
    return source.result() if error is None else error


@overload
def race(*futures: AnyFuture[T]) -> Future[T]: ...
@overload
def race(*futures: AnyFuture[Any]) -> Future[Any]: ...
def race(*futures: AnyFuture[Any]) -> Future[Any]:
    """A future that ends as the first of these to end does: value, exception, or as cancelled.

    The others go on. Of none at all, it would never end, which is a ValueError.

    >>> from manyhands import Future, delay, race
    >>> race(Future(), delay(0.01, "quick")).result()
    'quick'
    """
    if not futures:
        raise ValueError("a race of no futures would never end: give it at least one")
    future = _derive(Future, (), futures)
    for source in futures:
        _onward.when_done(source, _onward.follow, future)
    return future


def check_callable(fn: Any) -> None:
    """Raise at once what the call would raise when it is too late."""
    if not callable(fn):
        raise TypeError(f"the function must be callable, not {type(fn).__name__}")


def check_exceptions(exceptions: object) -> None:
    """Raise at once what `except` would raise when it is too late."""
    classes = exceptions if isinstance(exceptions, tuple) else (exceptions,)
    for one in classes:
        if not (isinstance(one, type) and issubclass(one, BaseException)):
            raise TypeError(f"exceptions must be classes of exceptions, not {one!r}")


for _public in (gather, race, delay):
    _public.__module__ = "manyhands"
