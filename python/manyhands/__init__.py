"""concurrent.futures on a Rust core: the newest API on every CPython from 3.10 on.

>>> from manyhands import ThreadPoolExecutor, as_completed
>>> with ThreadPoolExecutor() as executor:
...     futures = {executor.submit(pow, n, 2): n for n in range(5)}
...     for future in as_completed(futures):
...         assert future.result() == futures[future] ** 2
...     list(executor.map(pow, range(5), range(5)))
[1, 1, 4, 27, 256]

Replace `from concurrent.futures import ...` by `from manyhands import ...`: all that is public in
the `concurrent.futures` of CPython 3.15 is here, with the same names and meanings. Or run a program
as it is: `python -m manyhands program.py`, or call `manyhands.install()` before it is imported. The
classes are subclasses of the standard library's, and futures and functions of both packages can be
mixed.

What comes on top:

- `ThreadPoolExecutor(max_pending=100)` bounds how much waits; `when_full=` says what happens then.
- `ThreadPoolExecutor(context="copy")` carries `contextvars` to the tasks.
- `executor.map(..., ordered=False)` yields results as they complete.
- `executor.shutdown(timeout=10)` gives up waiting, and tells so.
- `executor.stats()` tells what goes on.
- `await future` works inside asyncio.
- `future.then(fn)`, `future.catch(fn)`, `future.with_timeout(5)`, `gather`, `race` and `delay` make
  futures from futures; `executor.submit_after(fn, future)` submits `fn` when the future has ended, and
  `Retry(5, first_delay=1).submit(executor, fn)` submits it until it succeeds.
- `with task_scope(executor) as scope:` or `async with`: its tasks live and die together.
- `ProcessPoolExecutor(on_crash="isolate")` has a dead worker cost the task that it ran, and no other;
  `timeout=` and `future.cancel_running()` end what runs; `executor.shared(obj)` puts an object into
  shared memory for any number of tasks; `help(manyhands.process)` tells the rest.
- `InlineExecutor` runs each task in the thread that submits it, for tests; `manyhands.conformance` has
  tests for executors of one's own.
- `Graph` is named tasks that depend on each other: ask for one, and what it needs is computed once, in
  parallel, on threads, processes or an executor of your own.
- `executor.run_to_futures` and `run_to_results` are the proposal of 2009, in which futures began.
"""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False  # `typing` takes longer to import than all that a worker process needs
if TYPE_CHECKING:
    from concurrent.futures import (
        ALL_COMPLETED,
        FIRST_COMPLETED,
        FIRST_EXCEPTION,
        BrokenExecutor,
        CancelledError,
        InvalidStateError,
        TimeoutError,
    )
    from typing import Any

    from ._compose import delay, gather, race
    from ._current import current_executor
    from ._deadlock import DeadlockError
    from ._executor import Executor
    from ._functions import as_completed, wait
    from ._future import Future
    from ._future_list import FutureList
    from ._inline import InlineExecutor
    from ._install import install
    from ._late import DependencyError
    from ._retry import Retry
    from ._scope import TaskScope, task_scope
    from .graph import Graph, GraphError, Node
    from .process import ProcessPoolExecutor
    from .thread import Stats, ThreadPoolExecutor

    if sys.version_info >= (3, 14):
        from concurrent.futures import InterpreterPoolExecutor

RETURN_IMMEDIATELY = "RETURN_IMMEDIATELY"

__version__ = "0.1.0"

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "RETURN_IMMEDIATELY",
    "BrokenExecutor",
    "CancelledError",
    "DeadlockError",
    "DependencyError",
    "Executor",
    "Future",
    "FutureList",
    "Graph",
    "GraphError",
    "InlineExecutor",
    "InvalidStateError",
    "Node",
    "ProcessPoolExecutor",
    "Retry",
    "Stats",
    "TaskScope",
    "ThreadPoolExecutor",
    "TimeoutError",
    "as_completed",
    "current_executor",
    "delay",
    "gather",
    "install",
    "race",
    "task_scope",
    "wait",
]

if sys.version_info >= (3, 14):
    from importlib.util import find_spec

    if find_spec("_interpreters") is not None:
        __all__ += ["InterpreterPoolExecutor"]


# Imported when somebody asks: a worker process needs hardly any of it, and starts sooner without.
_LATER = {
    "ALL_COMPLETED": "concurrent.futures",
    "FIRST_COMPLETED": "concurrent.futures",
    "FIRST_EXCEPTION": "concurrent.futures",
    "BrokenExecutor": "concurrent.futures",
    "CancelledError": "concurrent.futures",
    "DeadlockError": "._deadlock",
    "DependencyError": "._late",
    "Executor": "._executor",
    "Future": "._future",
    "FutureList": "._future_list",
    "Graph": ".graph",
    "GraphError": ".graph",
    "InlineExecutor": "._inline",
    "InterpreterPoolExecutor": "concurrent.futures",
    "InvalidStateError": "concurrent.futures",
    "Node": ".graph",
    "ProcessPoolExecutor": ".process",
    "Retry": "._retry",
    "Stats": ".thread",
    "TaskScope": "._scope",
    "ThreadPoolExecutor": ".thread",
    "TimeoutError": "concurrent.futures",
    "as_completed": "._functions",
    "current_executor": "._current",
    "delay": "._compose",
    "gather": "._compose",
    "install": "._install",
    "race": "._compose",
    "task_scope": "._scope",
    "wait": "._functions",
}

# `import manyhands` is enough for these.
_MODULES = ("graph", "process", "thread")


if not TYPE_CHECKING:  # type checkers would take it for a promise of any name

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return import_module("." + name, __name__)
        if name not in _LATER or name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_LATER[name], __name__), name)
        return found


def __dir__() -> list[str]:
    return [*__all__, "__doc__"]
