"""`Retry`: a task that is submitted again when it has failed."""

from __future__ import annotations

import contextvars
import math
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from . import _compose, _onward
from ._core import _derive, _place, _submit_at
from ._future import Future
from ._late import Late, make_known, stand_for, stop

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor as AnyExecutor
    from concurrent.futures import Future as AnyFuture

T = TypeVar("T")
P = ParamSpec("P")


class Retry:
    """How often a task that fails is submitted again, and after what delays.

    attempts: how many there are at most, the first one included.
    first_delay: how many seconds to wait before the second; no thread waits meanwhile.
    factor: by what to multiply the delay from attempt to attempt.
    max_delay: the longest delay.
    exceptions: after which of them to try again, a class or a tuple of classes as for `except`.

    A cancelled task is not tried again, nor is one that the executor refuses.

    >>> from manyhands import Retry, ThreadPoolExecutor
    >>> outcomes = [OSError("busy"), OSError("still busy"), "a page"]
    >>> def fetch():
    ...     outcome = outcomes.pop(0)
    ...     if isinstance(outcome, OSError):
    ...         raise outcome
    ...     return outcome
    >>> retry = Retry(5, first_delay=0.01, factor=2, exceptions=OSError)
    >>> with ThreadPoolExecutor() as executor:
    ...     retry.submit(executor, fetch).result()
    'a page'
    """

    __slots__ = ("attempts", "exceptions", "factor", "first_delay", "max_delay")

    def __init__(
        self,
        attempts: int,
        *,
        first_delay: float = 0.0,
        factor: float = 1.0,
        max_delay: float = math.inf,
        exceptions: _compose.Exceptions = Exception,
    ) -> None:
        if attempts < 1:
            raise ValueError("attempts must be at least 1: the first one counts")
        if not (first_delay >= 0 and factor >= 0 and max_delay >= 0):
            raise ValueError("first_delay, factor and max_delay must be >= 0")
        _compose.check_exceptions(exceptions)
        self.attempts = attempts
        self.first_delay = first_delay
        self.factor = factor
        self.max_delay = max_delay
        self.exceptions = exceptions

    def __repr__(self) -> str:
        return (
            f"Retry({self.attempts}, first_delay={self.first_delay}, factor={self.factor}, "
            f"max_delay={self.max_delay}, exceptions={self.exceptions})"
        )

    def delay_after(self, attempt: int) -> float | None:
        """How many seconds to wait after this attempt, counted from 1. None: it was the last.

        >>> from manyhands import Retry
        >>> retry = Retry(5, first_delay=1, factor=2, max_delay=3)
        >>> [retry.delay_after(attempt) for attempt in range(1, 6)]
        [1, 2, 3, 3, None]
        """
        if attempt >= self.attempts:
            return None
        if self.first_delay == 0:
            return 0.0
        try:
            return min(self.first_delay * self.factor ** (attempt - 1), self.max_delay)
        except OverflowError:
            return self.max_delay

    def submit(
        self, executor: AnyExecutor, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Submit `fn(*args, **kwargs)`, and again when it fails; the future is the last attempt's.

        Cancelling the future cancels the attempt that is pending, and there will be no other; one that
        is running runs on, unless it is `cancel_running` that can stop it.

        >>> from manyhands import Retry, ThreadPoolExecutor
        >>> with ThreadPoolExecutor() as executor:
        ...     Retry(2).submit(executor, divmod, 1, 0).exception()
        ZeroDivisionError('integer division or modulo by zero')
        """
        _compose.check_callable(fn)
        future: Tried[T] = _derive(Tried, (), ())
        trying = _Trying(self, executor, fn, args, kwargs)
        make_known(executor, future)
        _onward.run(trying.submit, future, future)
        return future


class Tried(Late[T]):
    """The future of a task that may be submitted more than once."""

    def cancel(self) -> bool:
        # In this order: there is to be no other attempt.
        cancelled = Future.cancel(self)
        if cancelled and self._inner is not None:
            self._inner.cancel()
        return cancelled

    def cancel_running(self) -> bool:
        cancelled = Future.cancel(self)
        if cancelled and self._inner is not None:
            stop(self._inner)
        return cancelled


class _Trying:
    """A task and its attempts, and the context and place that they are submitted in."""

    __slots__ = ("args", "attempt", "context", "executor", "fn", "kwargs", "place", "retry")

    def __init__(
        self,
        retry: Retry,
        executor: AnyExecutor,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.retry = retry
        self.executor = executor
        self.context = contextvars.copy_context()
        self.place = _place()
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.attempt = 0

    def submit(self, future: Tried[Any], _: object) -> None:
        if not future.done():
            self.attempt += 1
            attempt = self.context.run(
                _submit_at, self.place, self.executor, self.fn, *self.args, **self.kwargs
            )
            stand_for(future, attempt, self.ended)

    def ended(self, future: Tried[Any], attempt: AnyFuture[Any]) -> None:
        error = None if attempt.cancelled() else attempt.exception()
        delay = self.retry.delay_after(self.attempt)
        if delay is None or not isinstance(error, self.retry.exceptions):
            _onward.follow(future, attempt)
        elif delay > 0:
            _compose.start_timer(future, self.submit, delay)
        else:
            self.submit(future, attempt)


Retry.__module__ = "manyhands"
