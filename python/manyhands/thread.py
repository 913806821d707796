"""`ThreadPoolExecutor`: the native pool, and the `threading.Thread`s that work in it."""

from __future__ import annotations

import itertools
import math
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from . import _core, _exit, _stdlib
from ._executor import Executor, check_buffersize, cpus
from ._stdlib import LOGGER, BrokenThreadPool, _threads_queues

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from ._future import Future

T = TypeVar("T")

__all__ = ["BrokenThreadPool", "Stats", "ThreadPoolExecutor"]


class Stats(NamedTuple):
    """A pool at one moment, as `ThreadPoolExecutor.stats()` gives it.

    pending: tasks that wait to be run; one that was cancelled counts until a worker has passed it
        by.
    running: tasks that are running.
    completed: tasks that workers have run since the pool was made, whatever their outcome.
    workers: threads there are.
    idle: threads that run no task.

    >>> from manyhands import ThreadPoolExecutor
    >>> with ThreadPoolExecutor() as executor:
    ...     squares = list(executor.map(pow, range(10), [2] * 10))
    >>> executor.stats().completed
    10
    """

    pending: int
    running: int
    completed: int
    workers: int
    idle: int


class ThreadPoolExecutor(_core.ThreadPoolExecutor, Executor, _stdlib.ThreadPoolExecutor):
    """Runs calls in a pool of at most `max_workers` threads, which are started on demand.

    As the standard library's, with some more options:

    max_pending: how many tasks may wait to be run; unbounded when None.
    when_full: what `submit` does when so many wait: "block" until there is room (a task of the
        pool itself does not wait but runs the new task in place), "raise" queue.Full, or run the
        task in the "caller".
    context: "copy" runs each task in a copy of the `contextvars` context it was submitted in.
    max_threads: the name that max_workers had in the proposal of 2009.

    Leaving the `with` block waits for all tasks.

    >>> from manyhands import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(max_workers=4) as executor:
    ...     future = executor.submit(pow, 2, 10)
    ...     print(future.result())
    1024
    """

    # No dictionary is made unless a program puts something of its own here: the interpreter finds
    # the methods of an instance without one a good deal quicker.
    __slots__ = (
        "_idle_semaphore",
        "_initargs",
        "_initializer",
        "_late",
        "_shutdown_lock",
        "_thread_name_prefix",
        "_threads",
        "_work_queue",
    )

    _counter = itertools.count().__next__
    _work_queue: _core._WorkQueue  # type: ignore[assignment]

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_pending: int | None = None,
        when_full: Literal["block", "raise", "caller"] = "block",
        context: Literal["copy"] | None = None,
        max_threads: int | None = None,
    ) -> None:
        if max_threads is not None:
            if max_workers is not None:
                raise TypeError("max_threads is max_workers by its name of 2009: give one of them")
            max_workers = max_threads
        if max_workers is None:
            max_workers = min(32, cpus() + 4)
        if max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_pending is not None and max_pending < 1:
            raise ValueError("max_pending must be None or > 0")
        if context not in (None, "copy"):
            raise ValueError(f"context must be None or 'copy', not {context!r}")
        self._open(math.ceil(max_workers), max_pending, when_full, context == "copy")
        self._work_queue = self._make_work_queue()
        self._idle_semaphore = threading.Semaphore(0)
        self._threads: set[threading.Thread] = set()
        self._late: set[Future[Any]] = set()
        self._shutdown_lock = threading.Lock()
        self._thread_name_prefix = (
            thread_name_prefix or f"ThreadPoolExecutor-{ThreadPoolExecutor._counter()}"
        )
        self._initializer = initializer  # type: ignore[assignment]
        self._initargs = initargs

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        ordered: bool = True,
    ) -> Iterator[T]:
        check_buffersize(buffersize)
        own_submit = self.submit == super().submit
        if ordered and own_submit:
            return self._map(fn, iterables, timeout, buffersize)
        return super().map(
            fn,
            *iterables,
            timeout=timeout,
            chunksize=chunksize,
            buffersize=buffersize,
            ordered=ordered,
        )

    map.__doc__ = Executor.map.__doc__

    def shutdown(  # type: ignore[override]  # who expects None ignores what it returns
        self, wait: bool = True, *, cancel_futures: bool = False, timeout: float | None = None
    ) -> bool:
        """Accept nothing any more, and end the threads when all that is pending has been done.

        With `cancel_futures`, what has not started is cancelled. With `wait`, return when the
        threads have ended, or after `timeout` seconds. Returns whether they have ended.

        >>> from manyhands import ThreadPoolExecutor
        >>> executor = ThreadPoolExecutor()
        >>> executor.shutdown()
        True
        """
        if self._is_from_before_fork:
            return True  # there is nothing of it in this process
        try:
            if self._late:
                from . import _late

                timeout = _late.before_shutdown(self._late, wait, cancel_futures, timeout)
            self._close(cancel_futures)
            if not wait:
                return self.stats().workers == 0
            ended = self._wait_for_workers(timeout)
            if ended:
                self._join(None)
        except KeyboardInterrupt:
            self._abandon()
            raise
        return ended

    def stats(self) -> Stats:
        """What goes on in the pool at this moment.

        >>> from manyhands import ThreadPoolExecutor
        >>> ThreadPoolExecutor().stats()
        Stats(pending=0, running=0, completed=0, workers=0, idle=0)
        """
        return Stats(*self._stats())

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> Literal[False]:
        # Ctrl-C in the body of `with` ends the program: nobody wants to wait for the rest.
        if exc_type is not None and issubclass(exc_type, KeyboardInterrupt):
            self.shutdown(wait=False, cancel_futures=True)
            self._abandon()
        else:
            self.shutdown(wait=True)
        return False

    def _abandon(self) -> None:
        """Let the program end without the tasks that are running."""
        self._close(True)
        # Those that run nothing end in a moment; the interpreter need not exit without them.
        for thread in self._join(0.2):
            _exit.abandon(thread)

    def _join(self, timeout: float | None) -> list[threading.Thread]:
        """Wait for the threads to end; those that have not."""
        deadline = None if timeout is None else time.monotonic() + timeout
        threads = [thread for thread in list(self._threads) if thread.ident is not None]
        for thread in threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return [thread for thread in threads if thread.is_alive()]

    def _adjust_thread_count(self) -> None:
        """Start a thread, when the pool has a worker for it."""
        worker = self._take_worker()
        if worker is None:
            return
        if len(self._threads) >= self._max_workers:
            # Those that worked in the stead of others come and go.
            self._threads -= {it for it in list(self._threads) if it.ident and not it.is_alive()}
        thread = None
        try:
            thread = threading.Thread(
                name=f"{self._thread_name_prefix or self}_{worker.index}",
                target=_begin,
                args=(worker, self._initializer, self._initargs),
            )
            self._threads.add(thread)
            _threads_queues[thread] = self._work_queue
            _exit.start(thread)
        except BaseException:
            if thread is None or thread.ident is None:
                # It may start yet, when a signal's handler has only come in between: to do nothing.
                worker.leave()
                if thread is not None:
                    self._threads.discard(thread)
                    _exit.abandon(thread)
            raise


ThreadPoolExecutor.__module__ = "manyhands.thread"


def _begin(
    worker: _core._Worker,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
) -> None:
    """What a thread does that the executor has started itself."""
    _exit.is_started()
    _work(worker, initializer, initargs)


def _work(
    worker: _core._Worker,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
) -> None:
    """What a worker's thread does."""
    if initializer is not None:
        try:
            initializer(*initargs)
        except BaseException:  # noqa: BLE001  # it is logged, and ends the pool
            LOGGER.critical("Exception in initializer:", exc_info=True)
            worker.break_down("A thread initializer failed, the thread pool is not usable anymore")
            return
    del initializer, initargs
    worker.run()


def _worker(executor_reference: weakref.ref[Any], *rest: Any) -> None:
    """What the standard library's `_worker` is, for programs that start the threads themselves."""
    if not any(isinstance(argument, _core._WorkQueue) for argument in rest):
        # A pool of the standard library's own, made before or beside `install`.
        _stdlib._worker(executor_reference, *rest)
        return
    executor = executor_reference()
    worker = None if executor is None else executor._take_worker()
    if executor is None or worker is None:
        return
    initializer, initargs = executor._initializer, executor._initargs
    del executor
    _work(worker, initializer, initargs)
