"""`current_executor`: the executor that the calling task runs in."""

from __future__ import annotations

import os

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._executor import Executor

# What a worker process was started with: the pickler and the default timeout of its pool.
_worker: tuple[Any, float | None] | None = None
_pool: Executor | None = None


def current_executor() -> Executor:
    """Return the executor that the calling task runs in, to submit to it.

    In a thread of a `ThreadPoolExecutor`, that is the pool itself. In a worker process of a
    `ProcessPoolExecutor`, that is a handle on the pool. Its tasks go to the
    pool as if they had been submitted there. While a task waits for one of them, it does not count
    as running: another worker runs in its stead; and a task that no worker has begun is run at once,
    in place, by the one that waits for it.

    To look at futures again and again, or to have asyncio wait for them, is not to wait in this sense:
    give the pool more than one worker then.

    Raises RuntimeError where no task is running.

    >>> from manyhands import ProcessPoolExecutor, current_executor
    >>> def fib(n):
    ...     if n < 2:
    ...         return n
    ...     one = current_executor().submit(fib, n - 1)
    ...     return fib(n - 2) + one.result()
    >>> with ProcessPoolExecutor(max_workers=2) as executor:
    ...     executor.submit(fib, 10).result()
    55
    """
    # A thread pool's own thread comes before the process that it is in.
    pool = _core._current_thread_pool()
    if pool is not None:
        return pool
    if _worker is not None:
        return of_this_worker()
    raise RuntimeError("current_executor() is for tasks, and no task of an executor runs here")


def is_worker(pickler: Any, timeout: float | None) -> None:
    """Note that this process works for a pool."""
    global _worker, _pool
    _worker, _pool = (pickler, timeout), None


def of_this_worker() -> Executor:
    """Return the pool that this process works for: what a pool that goes to its own task becomes."""
    global _pool
    if _worker is None:
        raise RuntimeError("this process is no worker of the pool that was sent to it")
    if _pool is None:
        from ._process_current import CurrentProcessPool

        _pool = CurrentProcessPool(*_worker)
    return _pool


def check_options(timeout: float | None, retries: int | None) -> None:
    """Refuse options of single tasks that cannot be, in the parent and in its workers alike."""
    if timeout is not None and timeout <= 0:
        raise ValueError("timeout must be None or > 0")
    if retries is not None and retries < 0:
        raise ValueError("retries must be None or >= 0")


def _forget() -> None:
    global _worker, _pool
    _worker = _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
