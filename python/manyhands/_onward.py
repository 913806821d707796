"""Going on from one future to the next, without recursion and without losing anybody on the way.

What is to be done when a future has ended is a *step* for another one, which is made from it. A step
that ends its future brings about the steps that wait for that one: they come after it, not within it,
so that a chain of any length needs the stack of one step. What a program's own code brings about,
inside a step, happens at once, for that code may wait for it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future as AnyFuture
    from types import TracebackType

    from ._future import Future

SomeFuture = TypeVar("SomeFuture", bound="Future[Any]")

# Called with the future that is to go on, and the one that has ended.
Step = Callable[[Any, "AnyFuture[Any]"], object]


class _Here(threading.local):
    """What a thread is at."""

    # The future that the present step is just ending: who is told of that by it waits in `later`.
    ending: AnyFuture[Any] | None = None
    # The steps that come after the present one; None when there is none.
    later: deque[tuple[Step, Future[Any], AnyFuture[Any]]] | None = None


_here = _Here()


def when_done(source: AnyFuture[Any], step: Step, future: SomeFuture) -> SomeFuture:
    """Take the step when `source` has ended; here and now if it has. Returns the future."""
    try:
        if source.done():
            run(step, future, source)
        else:
            source.add_done_callback(partial(_arrive, step, future))
        return future
    finally:
        # What a step raises holds all frames that it was called from, and is held by its future.
        del future


def then_when_done(source: AnyFuture[Any], step: Step, future: Future[Any]) -> None:
    """As `when_done`, from within a step: if `source` has ended, the next step comes after it."""
    if _here.later is not None and source.done():
        _here.later.append((step, future, source))
    else:
        when_done(source, step, future)


def _arrive(step: Step, future: Future[Any], source: AnyFuture[Any]) -> None:
    try:
        if _here.later is not None and _here.ending is source:
            _here.later.append((step, future, source))
        else:
            run(step, future, source)
    finally:
        del future


def run(step: Step, future: Any, source: AnyFuture[Any]) -> None:
    """Take the step, and all that it brings about. What it raises is its future's exception."""
    before = _here.ending, _here.later
    _here.ending, _here.later = None, deque()
    interrupted: BaseException | None = None
    try:
        while True:
            try:
                step(future, source)
            except BaseException as error:  # noqa: BLE001  # told by the future
                error.__traceback__ = _outside(error.__traceback__)
                is_told = fail(future, error)
                # Ctrl-C is the program's too, and what a callback raises has no future to tell it.
                if isinstance(error, KeyboardInterrupt) or not (
                    is_told or isinstance(error, Exception)
                ):
                    interrupted = interrupted or error
            if not _here.later:
                break
            step, future, source = _here.later.popleft()
        if interrupted is not None:
            raise interrupted
    finally:
        _here.ending, _here.later = before
        del future, source, interrupted


def _outside(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback from where it leaves this package: the frames here lead to the future that is to hold
    the exception.
    """
    while traceback is not None and traceback.tb_frame.f_globals.get("__package__") == __package__:
        with suppress(RuntimeError):  # of the frame that is not over
            traceback.tb_frame.clear()
        traceback = traceback.tb_next
    return traceback


def finish(future: Future[Any], value: object) -> None:
    """In a step: end its future with this value, if it has not ended in another way."""
    _here.ending = future
    try:
        future.set_result(value)
    except InvalidStateError:
        pass
    finally:
        _here.ending = None


def fail(future: Future[Any], error: BaseException) -> bool:
    """In a step: end its future with this exception. False: it has ended in another way."""
    _here.ending = future
    try:
        future.set_exception(error)
    except InvalidStateError:
        return False
    finally:
        _here.ending = None
    return True


def cancel(future: Future[Any]) -> None:
    """In a step: cancel its future, whether it has begun or not."""
    _here.ending = future
    try:
        future.cancel_running()
    finally:
        _here.ending = None


def pass_on(future: Future[Any], source: AnyFuture[Any]) -> bool:
    """In a step: end its future as `source` has ended, unless that has a value: then it is True."""
    try:
        error = source.exception()
    except CancelledError:
        cancel(future)
        return False
    if error is None:
        return True
    fail(future, error)
    del error
    return False


def follow(future: Future[Any], source: AnyFuture[Any]) -> None:
    """A step: the future ends as `source` has ended."""
    if pass_on(future, source):
        finish(future, source.result())
