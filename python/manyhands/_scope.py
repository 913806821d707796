"""`task_scope`: tasks that live and die together.

A scope knows its tasks from before they are submitted until they have ended. Who fails first closes the
scope and cancels the others; leaving the scope waits for each that is left. It waits by way of the
futures, so that all that is done for a thread that waits is done here.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from . import _compose, _core, _late
from ._future import Future

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor as AnyExecutor
    from concurrent.futures import Future as AnyFuture
    from types import TracebackType

    from typing_extensions import Self

T = TypeVar("T")
SomeFuture = TypeVar("SomeFuture", bound="AnyFuture[Any]")


def task_scope(executor: AnyExecutor) -> TaskScope:
    """A scope for tasks of this executor, for `with` or `async with`.

    When a task fails, the others are cancelled: those that are pending are not run, those that are
    running are ended where the executor can do that (worker processes, which have the pool's `grace` to
    obey), and elsewhere can ask `stop_requested`. So they are when the body of the `with` block raises something. Leaving the block
    waits until all tasks have ended, and with `async with` it keeps no event loop waiting.

    Then the first failure is raised: the exception itself, as `result` would raise it and the same on
    every Python, for it is the one that the others follow from. What the body has raised after it is its
    `__context__`. A cancelled task is no failure. Ctrl-C cancels the tasks too, but does not wait for
    those that run in threads.

    >>> from manyhands import ThreadPoolExecutor, task_scope
    >>> with ThreadPoolExecutor() as executor, task_scope(executor) as scope:
    ...     two, ten = scope.submit(int, "2"), scope.submit(int, "10")
    ...     pow(two.result(), ten.result())
    1024
    >>> with ThreadPoolExecutor() as executor:
    ...     with task_scope(executor) as scope:
    ...         def endless():
    ...             while not scope.stop_requested():
    ...                 pass
    ...         futures = [scope.submit(endless), scope.submit(int, "x")]
    Traceback (most recent call last):
    ValueError: invalid literal for int() with base 10: 'x'
    """
    return TaskScope(executor)


class TaskScope:
    """Where the tasks of a `task_scope` are submitted, by its tasks too. It can be entered once.

    >>> from manyhands import ThreadPoolExecutor, task_scope
    >>> import asyncio
    >>> async def main():
    ...     async with task_scope(executor) as scope:
    ...         future = scope.submit(pow, 2, 10)
    ...     return future.result()
    >>> with ThreadPoolExecutor() as executor:
    ...     asyncio.run(main())
    1024
    """

    def __init__(self, executor: AnyExecutor) -> None:
        self._executor = executor
        # One that its owner may take again: a signal's handler may come here.
        self._lock = threading.RLock()
        self._living: dict[AnyFuture[Any], None] = {}
        # A bare future for each task that is just being submitted, to wait for.
        self._coming: dict[AnyFuture[Any], None] = {}
        self._was_entered = False
        self._is_open = False
        self._is_cancelled = False
        # The first, unless the scope was cancelled before it.
        self._failure: BaseException | None = None

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> AnyFuture[T]:
        """As the executor's `submit`. RuntimeError: the scope has failed, was cancelled or left.

        >>> from manyhands import ThreadPoolExecutor, task_scope
        >>> with ThreadPoolExecutor() as executor, task_scope(executor) as scope:
        ...     scope.submit(pow, 2, 10).result()
        1024
        """
        return self._watch(partial(self._executor.submit, fn, *args, **kwargs))

    def submit_after(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """As `Executor.submit_after`, in this scope.

        >>> from manyhands import ThreadPoolExecutor, task_scope
        >>> with ThreadPoolExecutor() as executor, task_scope(executor) as scope:
        ...     scope.submit_after(pow, scope.submit(int, "2"), 10).result()
        1024
        """
        return self._watch(partial(_late.submit_after, self._executor, fn, args, kwargs))

    def cancel(self) -> None:
        """Cancel all tasks there are, and accept no more. By itself, that is no failure.

        >>> from manyhands import ThreadPoolExecutor, task_scope
        >>> with ThreadPoolExecutor() as executor, task_scope(executor) as scope:
        ...     scope.cancel()
        ...     scope.stop_requested()
        True
        """
        self._close(None)

    def stop_requested(self) -> bool:
        """Whether the scope has failed or was cancelled; for tasks that nobody can end from outside.

        >>> from manyhands import ThreadPoolExecutor, task_scope
        >>> with ThreadPoolExecutor() as executor, task_scope(executor) as scope:
        ...     scope.stop_requested()
        False
        """
        return self._is_cancelled

    def __enter__(self) -> Self:
        with self._lock:
            if self._was_entered:
                raise RuntimeError("a task scope can be entered once: make another")
            self._was_entered = self._is_open = True
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> Literal[False]:
        if exc_val is not None:
            self._close(None)
        # Nobody wants to wait for what Ctrl-C cannot end.
        if not isinstance(exc_val, KeyboardInterrupt):
            try:
                while futures := self._left():
                    _core.wait(futures)
                    self._see_to(futures)
            except KeyboardInterrupt:
                self._close(None)
                raise
        self._raise_failure(exc_val)
        return False

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> Literal[False]:
        import asyncio  # not before: it is long to import

        cancelled: BaseException | None = None
        if exc_val is not None:
            self._close(None)
        if not isinstance(exc_val, KeyboardInterrupt):
            while futures := self._left():
                all_of_them = _compose.gather(*futures, return_exceptions=True)
                try:
                    await asyncio.wrap_future(all_of_them)
                except asyncio.CancelledError as error:
                    cancelled = error
                    self._close(None)
                self._see_to(futures)
        self._raise_failure(cancelled or exc_val)
        if cancelled is not None:
            raise cancelled
        return False

    def _watch(self, submit: Callable[[], SomeFuture]) -> SomeFuture:
        coming: Future[None] = Future()
        with self._lock:
            if not self._is_open:
                raise RuntimeError(
                    "the task scope accepts no tasks: it has failed, was cancelled or left, or not "
                    "entered yet"
                )
            self._coming[coming] = None
        try:
            future = submit()
            with self._lock:
                self._living[future] = None
                is_cancelled = self._is_cancelled
            # The scope has failed when this task was on its way.
            if is_cancelled:
                _late.stop(future)
            future.add_done_callback(self._ended)
        finally:
            with self._lock:
                del self._coming[coming]
            coming.set_result(None)
        return future

    def _ended(self, future: AnyFuture[Any]) -> None:
        # Not with the lock held: it may run code of the program's.
        error = None if future.cancelled() else future.exception()
        with self._lock:
            if future not in self._living:
                return
            # Whoever finds it gone finds what came of it.
            if error is not None:
                self._close_locked(error)
            del self._living[future]
        if error is not None:
            self._stop_all()
            del error

    def _see_to(self, futures: list[AnyFuture[Any]]) -> None:
        """See to those that have ended, whose callbacks may still be on their way."""
        for future in futures:
            if future.done():
                self._ended(future)

    def _close(self, failure: BaseException | None) -> None:
        with self._lock:
            self._close_locked(failure)
        self._stop_all()

    def _close_locked(self, failure: BaseException | None) -> None:
        if not self._is_cancelled:
            self._failure = failure
        self._is_open = False
        self._is_cancelled = True

    def _stop_all(self) -> None:
        with self._lock:
            living = list(self._living)
        # The last first: a worker that stops what it runs would take the next.
        for future in reversed(living):
            _late.stop(future)

    def _left(self) -> list[AnyFuture[Any]]:
        """What is still to be waited for; if there is nothing, the scope is over."""
        with self._lock:
            left = [*self._living, *self._coming]
            self._is_open = self._is_open and bool(left)
        return left

    def _raise_failure(self, raised: BaseException | None) -> None:
        """Raise the scope's failure, unless the body has raised it, or what ends programs."""
        failure, self._failure = self._failure, None
        try:
            ends_programs = isinstance(raised, (KeyboardInterrupt, SystemExit, GeneratorExit))
            if failure is not None and failure is not raised and not ends_programs:
                raise failure
        finally:
            del failure, raised


for _public in (task_scope, TaskScope):
    _public.__module__ = "manyhands"
