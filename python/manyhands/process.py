"""`ProcessPoolExecutor`: the native pool, and `multiprocessing`'s processes that work for it."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures.process import BrokenProcessPool
from concurrent.futures.process import ProcessPoolExecutor as _StdlibExecutor
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from . import _core, _current, _pickling
from ._core import stop_requested
from ._executor import Executor, check_buffersize, cpus
from ._process_errors import (
    ArgumentsError,
    NoWorkerLeftError,
    ResultError,
    TaskTimeoutError,
    WorkerCrashError,
)
from ._process_manager import ManagerThread
from ._process_worker import Spawner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future
    from multiprocessing.context import BaseContext
    from multiprocessing.process import BaseProcess
    from types import TracebackType

    from ._auto_map import AutoMap

T = TypeVar("T")

__all__ = [
    "ArgumentsError",
    "BrokenProcessPool",
    "NoWorkerLeftError",
    "ProcessPoolExecutor",
    "ResultError",
    "Stats",
    "TaskTimeoutError",
    "WorkerCrashError",
    "stop_requested",
]


class Stats(NamedTuple):
    """A pool of processes at one moment, as `ProcessPoolExecutor.stats()` gives it.

    workers: processes there are, from their start until they have left.
    starting: those that are not ready yet.
    idle: workers that could start a task now.
    pending: tasks that wait, here or on their way to a worker.
    running: tasks that are running.
    completed: tasks that were answered, whatever their outcome.
    crashed: workers that died while they were in service.
    restarted: workers that were started in the place of one that had left.
    """

    workers: int
    starting: int
    idle: int
    pending: int
    running: int
    completed: int
    crashed: int
    restarted: int


class ProcessPoolExecutor(_core.ProcessPoolExecutor, Executor, _StdlibExecutor):
    """Runs calls in a pool of at most `max_workers` processes, which `multiprocessing` starts.

    As the standard library's, with some more options:

    on_crash: what the death of a worker means. "break", as in the standard library: all tasks fail
        with BrokenProcessPool. "isolate": only the task that it ran fails, with WorkerCrashError,
        and another worker takes its place.
    retries: how often a task is run again whose worker has died.
    timeout: how many seconds a task may run before it is stopped and fails with TaskTimeoutError;
        `options()` sets it for single tasks.
    grace: how many seconds a worker that is to stop a task has before each next step: it is asked
        (`stop_requested`), then sent SIGTERM, then SIGKILL.
    pickler: None for pickle, and `cloudpickle`, if it is installed, for what pickle cannot do; or
        "pickle", "cloudpickle", or an object with `dumps` and `loads`.
    max_processes: the name that max_workers had in the proposal of 2009.

    A task can submit to the pool that it runs in, by `current_executor()` or by the pool itself as an
    argument, and wait. In the stead of a worker whose task waits another one may be started, up to 61
    more than `max_workers`; a task for which none is left then fails with NoWorkerLeftError.

    A future can be an argument of a task, or part of one, whoever is to end it. The task gets a future of
    its own process, which ends as that one does: its outcome is sent to the worker when there is one, and
    pickled for each task that gets it. While the task waits for it, another worker runs in its stead.
    To cancel it cancels that one, if it has not started. What a task has submitted or was given, it can
    pass on to others; a future that it has made itself, only when that has ended. A task cannot return a
    future.

    Tasks that wait for each other, in worker processes or in threads, end with DeadlockError.

    Callbacks and the functions of `then` and `catch` are called by the thread that manages the pool, which
    sees no worker die and starts none meanwhile: they should be short. Should one wait for a future, another
    thread manages the pool from then on.

    Nothing that cannot be pickled or unpickled breaks the pool: it fails its own task.

    >>> from manyhands import Future, ProcessPoolExecutor
    >>> with ProcessPoolExecutor(max_workers=2) as executor:
    ...     future = executor.submit(pow, 2, 10)
    ...     print(future.result())
    ...     print(executor.submit(Future.result, future).result())
    1024
    1024
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        on_crash: Literal["break", "isolate"] = "break",
        retries: int = 0,
        timeout: float | None = None,
        grace: float = 0.2,
        pickler: Any = None,
        max_processes: int | None = None,
    ) -> None:
        if max_processes is not None:
            if max_workers is not None:
                raise TypeError(
                    "max_processes is max_workers by its name of 2009: give one of them"
                )
            max_workers = max_processes
        if max_workers is None:
            max_workers = cpus()
        if max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if mp_context is None:
            method = None if max_tasks_per_child is None else "spawn"
            mp_context = multiprocessing.get_context(method)
        forks = mp_context.get_start_method(allow_none=False) == "fork"
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_tasks_per_child is not None:
            if not isinstance(max_tasks_per_child, int):
                raise TypeError("max_tasks_per_child must be an integer")
            if max_tasks_per_child <= 0:
                raise ValueError("max_tasks_per_child must be >= 1")
            if forks:
                raise ValueError(
                    "max_tasks_per_child is incompatible with the 'fork' multiprocessing start "
                    "method; supply a different mp_context."
                )
        if on_crash not in ("break", "isolate"):
            raise ValueError(f"on_crash must be 'break' or 'isolate', not {on_crash!r}")
        if retries < 0:
            raise ValueError("retries must be >= 0")
        if timeout is not None and timeout <= 0:
            raise ValueError("timeout must be None or > 0")
        self._max_workers = max_workers
        self._mp_context = mp_context
        self._initializer = initializer  # type: ignore[assignment]
        self._initargs = initargs
        self._max_tasks_per_child = max_tasks_per_child
        self._safe_to_dynamically_spawn_children = not forks
        self._processes: dict[int, BaseProcess] = {}  # type: ignore[assignment]
        self._executor_manager_thread: ManagerThread | None = None  # type: ignore[assignment]
        self._shutdown_lock = threading.Lock()
        self._call_queue = _NoQueue()
        self._unsubmitted: set[AutoMap] = set()
        self._late: set[Future[Any]] = set()
        chosen = _pickling.choose(pickler)
        self._spawner = Spawner(mp_context, initializer, initargs, chosen, timeout, self._processes)
        self._open(
            max_workers,
            max_tasks_per_child,
            on_crash == "isolate",
            retries,
            grace,
            forks,
            self._spawner,
            chosen,
            timeout,
        )

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | Literal["auto"] = 1,
        buffersize: int | None = None,
        ordered: bool = True,
    ) -> Iterator[T]:
        """Call `fn` with each item (or with one of each iterable), and iterate over the results.

        As `Executor.map`. `chunksize` items go to a worker as one task; with "auto", as many as it
        takes to keep a worker busy for some milliseconds, found out as the first ones are run, and
        an item that fails costs no other its result; with a `buffersize`, "auto" is 1. `buffersize`
        counts chunks.

        >>> from manyhands import ProcessPoolExecutor
        >>> with ProcessPoolExecutor(max_workers=2) as executor:
        ...     list(executor.map(pow, range(5), [2] * 5, chunksize=2))
        [0, 1, 4, 9, 16]
        """
        check_buffersize(buffersize)
        if chunksize == "auto":
            if buffersize is None:
                from ._auto_map import AutoMap

                return AutoMap.start(self, fn, zip(*iterables), timeout, ordered)
            chunksize = 1
        from ._chunks import map_in_chunks

        return map_in_chunks(
            super().map,
            fn,
            iterables,
            chunksize,
            timeout=timeout,
            buffersize=buffersize,
            ordered=ordered,
        )

    def options(self, *, timeout: float | None = None, retries: int | None = None) -> Options:
        """The same pool, for tasks with options of their own: an executor to submit to.

        >>> from manyhands import ProcessPoolExecutor
        >>> with ProcessPoolExecutor(max_workers=1) as executor:
        ...     executor.options(timeout=60).submit(pow, 2, 10).result()
        1024
        """
        return Options(self, timeout, retries)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept nothing any more, and let the workers leave when all that is pending is done.

        With `cancel_futures`, what has not started is cancelled. With `wait`, return when the
        workers have left.
        """
        if self._is_from_before_fork:
            return  # there is nothing of it in this process
        try:
            if self._late:
                from . import _late

                _late.before_shutdown(self._late, wait, cancel_futures)
            for pending in list(self._unsubmitted):
                pending.submit_rest()
            with self._shutdown_lock:
                self._close(cancel_futures)
                manager = self._executor_manager_thread
            if not wait or manager is None:
                return
            manager.join()
        except KeyboardInterrupt:
            self._end_workers(True)
            raise
        # They would live on with all that holds this executor, a traceback say.
        self._executor_manager_thread = None
        self._processes = self._spawner.forget()

    def terminate_workers(self) -> None:
        """End all workers by SIGTERM, and by SIGKILL those that have not obeyed within the grace.

        All tasks that have not ended fail with BrokenProcessPool, and nothing more is accepted. As
        in CPython 3.14.
        """
        self._force_shutdown(operation="terminate")

    def kill_workers(self) -> None:
        """End all workers by SIGKILL, as `terminate_workers` does by SIGTERM."""
        self._force_shutdown(operation="kill")

    def _force_shutdown(self, operation: str) -> None:
        if operation not in ("terminate", "kill"):
            raise ValueError(f"operation must be 'terminate' or 'kill', not {operation!r}")
        self._end_workers(operation == "kill")
        self.shutdown(wait=True, cancel_futures=True)

    def stats(self) -> Stats:
        """What goes on in the pool at this moment."""
        return Stats(*self._stats())

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> Literal[False]:
        # Ctrl-C in the body of `with` ends the program: nobody wants to wait for the rest.
        interrupted = exc_type is not None and issubclass(exc_type, KeyboardInterrupt)
        if interrupted:
            self._end_workers(True)
        self.shutdown(wait=True, cancel_futures=interrupted)
        return False

    def __reduce__(self) -> tuple[Any, ...]:
        if not self._is_being_sent():
            raise TypeError(
                "a ProcessPoolExecutor can only be sent to tasks of its own, as an argument: there it "
                "is what current_executor() returns"
            )
        return _current.of_this_worker, ()

    @property
    def _pending_work_items(self) -> _Unfinished:  # type: ignore[override]
        return _Unfinished(self)

    def _start_executor_manager_thread(self) -> None:
        with self._shutdown_lock:
            if self._executor_manager_thread is None:
                manager = ManagerThread(self._manager())
                manager.start()
                self._executor_manager_thread = manager


ProcessPoolExecutor.__module__ = "manyhands.process"


class Options(Executor):
    """A ProcessPoolExecutor for tasks with options of their own, made by its `options()`."""

    def __init__(
        self, executor: ProcessPoolExecutor, timeout: float | None, retries: int | None
    ) -> None:
        _current.check_options(timeout, retries)
        self._executor = executor
        self._late = executor._late
        self._rules = (timeout, retries)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return self._executor._submit(*self._rules, fn, args, kwargs or None)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._executor.shutdown(wait, cancel_futures=cancel_futures)


class _Unfinished:
    """What programs ask of the standard library's dict of tasks that have not ended: how many."""

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self._executor = executor

    def __len__(self) -> int:
        stats = self._executor.stats()
        return stats.pending + stats.running


class _NoQueue:
    """What the standard library's tests ask of the queue of calls; here, there is none."""

    def join_thread(self) -> None:
        """Do nothing: no thread feeds it."""
