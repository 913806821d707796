"""`Executor`: what all executors of this package have on top of `submit`."""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from . import _core, _future, _stdlib  # noqa: F401  # the native part makes futures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from ._future import Future as OurFuture
    from ._future_list import FutureList

T = TypeVar("T")


class Executor(_stdlib.Executor):
    """The base for executors of one's own: `submit` is all that one has to write.

    >>> from manyhands import Executor, Future
    >>> class Inline(Executor):
    ...     def submit(self, fn, /, *args, **kwargs):
    ...         future = Future()
    ...         future.set_result(fn(*args, **kwargs))
    ...         return future
    >>> with Inline() as executor:
    ...     list(executor.map(pow, [2, 3], [10, 2]))
    [1024, 9]
    """

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        ordered: bool = True,
    ) -> Iterator[T]:
        """Call `fn` with each item (or with one of each iterable), and iterate over the results.

        All items are submitted at once or, with `buffersize`, so many ahead of what has been taken.
        The results come in the order of the items or, with `ordered=False`, as they complete.
        `timeout` counts from this call; when it is over and the next result is not there, the
        iterator raises TimeoutError. When the iterator ends early, what has not started is
        cancelled. `chunksize` is for process pools.

        >>> from manyhands import ThreadPoolExecutor
        >>> with ThreadPoolExecutor() as executor:
        ...     list(executor.map(pow, [2, 3], [10, 2]))
        [1024, 9]
        """
        check_buffersize(buffersize)
        deadline = None if timeout is None else timeout + time.monotonic()
        arguments = zip(*iterables)
        ahead = arguments if buffersize is None else islice(arguments, buffersize)
        futures = [self.submit(fn, *args) for args in ahead]
        more = None if buffersize is None else _More(weakref.ref(self), fn, arguments)
        if ordered:
            return _in_order(deque(futures), more, deadline)
        # Made here, as the time counts from here.
        return _as_they_complete(futures, more, _core.AsCompleted(futures, timeout))

    def submit_after(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> OurFuture[T]:
        """Submit `fn` when the futures among its arguments have ended; it is given their values.

        A future is taken for its value where it is an argument itself, not within a list (`gather` is
        for lists), and may be of any executor. When one fails, the task is not run and fails at once
        with DependencyError, whose cause is that one's exception; when one is cancelled, so is the
        task. Until it is begun, it can be cancelled as any. If the executor refuses it, that is its
        exception. `shutdown` of a pool, if it waits, waits for tasks that are still to be submitted.

        >>> from manyhands import ThreadPoolExecutor
        >>> with ThreadPoolExecutor() as executor:
        ...     two, ten = executor.submit(int, "2"), executor.submit(int, "10")
        ...     executor.submit_after(pow, two, ten).result()
        1024
        """
        from . import _late

        return _late.submit_after(self, fn, args, kwargs)

    def run_to_futures(
        self,
        calls: Iterable[Callable[[], T]],
        timeout: float | None = None,
        return_when: str = "ALL_COMPLETED",
    ) -> FutureList[T]:
        """Submit calls without arguments and wait for them: the 2009 proposal's way.

        `return_when` may also be RETURN_IMMEDIATELY. What has not ended when `timeout` is over goes
        on; the list tells which is which.

        >>> from manyhands import ThreadPoolExecutor
        >>> with ThreadPoolExecutor() as executor:
        ...     futures = executor.run_to_futures([lambda: 1, lambda: 1 / 0])
        >>> futures
        <FutureList #futures=2 [#finished=2]>
        >>> [future.result() for future in futures.successful_futures()]
        [1]
        """
        from ._future_list import FutureList

        futures = FutureList(self.submit(call) for call in calls)
        futures.wait(timeout, return_when)
        return futures

    def run_to_results(
        self, calls: Iterable[Callable[[], T]], timeout: float | None = None
    ) -> Iterator[T]:
        """Submit calls without arguments, and iterate over their results in the order of the calls.

        Nothing is submitted before the first `next`. Raises what a call raises, and TimeoutError
        when `timeout`, counted from this call, is over; then, what has not started is cancelled.

        >>> from manyhands import ThreadPoolExecutor
        >>> with ThreadPoolExecutor() as executor:
        ...     list(executor.run_to_results([lambda: 1, lambda: 2]))
        [1, 2]
        """
        deadline = None if timeout is None else timeout + time.monotonic()
        return self._run_to_results(calls, deadline)

    def _run_to_results(
        self, calls: Iterable[Callable[[], T]], deadline: float | None
    ) -> Iterator[T]:
        yield from _in_order(deque(self.submit(call) for call in calls), None, deadline)


class _More:
    """Where a `map` with a buffer gets its next future from, without keeping the executor alive."""

    def __init__(
        self,
        executor: weakref.ref[Executor],
        fn: Callable[..., Any],
        arguments: Iterator[tuple[Any, ...]],
    ) -> None:
        self._executor = executor
        self._fn = fn
        self._arguments = arguments

    def submit(self) -> list[Future[Any]]:
        """The future of one more item, if there is one and the executor lives."""
        executor = self._executor()
        if executor is None:
            return []
        return [executor.submit(self._fn, *args) for args in islice(self._arguments, 1)]


def _in_order(futures: deque[Future[T]], more: _More | None, deadline: float | None) -> Iterator[T]:
    try:
        while futures:
            # Popped first: nothing here holds a future or a result that has been yielded.
            result = [_result_or_cancel(futures.popleft(), deadline)]
            if more is not None:
                futures.extend(more.submit())
            yield result.pop()
    finally:
        # The last first: those in front are begun meanwhile, and no others.
        for future in reversed(futures):
            future.cancel()


def _result_or_cancel(future: Future[T], deadline: float | None) -> T:
    try:
        return future.result(None if deadline is None else deadline - time.monotonic())
    finally:
        # Of no effect on one that is done; the one that was waited for in vain is cancelled too.
        future.cancel()


def _as_they_complete(
    futures: list[Future[T]], more: _More | None, completed: _core.AsCompleted[Future[T]]
) -> Iterator[T]:
    pending = set(futures)
    futures.clear()
    try:
        for future in completed:
            pending.discard(future)
            result = [future.result()]
            del future
            if more is not None:
                new = set(more.submit())
                completed.add(new)
                pending |= new
            yield result.pop()
    finally:
        for future in pending:
            future.cancel()


def cpus() -> int:
    """How many CPUs this process may use, as `os.process_cpu_count` says since 3.13."""
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_buffersize(buffersize: object) -> None:
    """Raise what CPython 3.14 raises."""
    if buffersize is not None:
        if not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
