"""The standard library's own classes and functions, whatever `install` puts in their place."""

from __future__ import annotations

from concurrent.futures import _base, thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threading import Thread
    from weakref import WeakKeyDictionary

Executor = _base.Executor
Future = _base.Future
ThreadPoolExecutor = thread.ThreadPoolExecutor
BrokenThreadPool = thread.BrokenThreadPool
LOGGER = _base.LOGGER

# The threads to be joined when the interpreter exits. It is the standard library's own, so that
# programs that clear it to get out at once find ours in it.
_threads_queues: WeakKeyDictionary[Thread, Any]
_threads_queues = thread._threads_queues  # type: ignore[assignment]
_worker = thread._worker
