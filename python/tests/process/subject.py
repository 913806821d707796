"""The pool under test: ours, or the standard library's with MANYHANDS_TEST_STDLIB=1.

What the two have in common is tested on both, which tells whether a test is right.
"""

from __future__ import annotations

import os
import sys

STDLIB = os.environ.get("MANYHANDS_TEST_STDLIB") == "1"

if STDLIB:
    from concurrent.futures import (
        CancelledError,
        Future,
        ProcessPoolExecutor,
        ThreadPoolExecutor,
        TimeoutError,
        as_completed,
        wait,
    )
    from concurrent.futures.process import BrokenProcessPool
else:
    from manyhands import (
        CancelledError,
        Future,
        ProcessPoolExecutor,
        ThreadPoolExecutor,
        TimeoutError,
        as_completed,
        wait,
    )
    from manyhands.process import BrokenProcessPool

# Ours has the interface of 3.15 on every Python.
HAS_BUFFERSIZE = not STDLIB or sys.version_info >= (3, 14)
HAS_KILL_WORKERS = not STDLIB or sys.version_info >= (3, 14)
HAS_MAX_TASKS = not STDLIB or sys.version_info >= (3, 11)

__all__ = [
    "HAS_BUFFERSIZE",
    "HAS_KILL_WORKERS",
    "HAS_MAX_TASKS",
    "STDLIB",
    "BrokenProcessPool",
    "CancelledError",
    "Future",
    "ProcessPoolExecutor",
    "ThreadPoolExecutor",
    "TimeoutError",
    "as_completed",
    "wait",
]
