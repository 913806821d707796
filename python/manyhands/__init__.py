"""concurrent.futures on a Rust core.

    from manyhands import ThreadPoolExecutor, as_completed

    with ThreadPoolExecutor() as executor:
        futures = [executor.submit(pow, n, 2) for n in range(5)]
        for future in as_completed(futures):
            print(future.result())

Everything public in the `concurrent.futures` of CPython 3.15 is here, on every CPython from 3.10 on, with
the same names and meanings: replace `from concurrent.futures import ...` by `from manyhands import ...`,
or run an unchanged program by `python -m manyhands program.py`. The classes are subclasses of the
standard library's, and both packages' futures and functions can be mixed.
"""

from __future__ import annotations

from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    BrokenExecutor,
    CancelledError,
    InvalidStateError,
    TimeoutError,
)
from typing import TYPE_CHECKING, Any

from ._executor import Executor
from ._functions import as_completed, wait
from ._future import Future
from ._future_list import FutureList
from ._install import install
from .thread import Stats, ThreadPoolExecutor

if TYPE_CHECKING:
    from .process import ProcessPoolExecutor

RETURN_IMMEDIATELY = "RETURN_IMMEDIATELY"

__version__ = "0.1.0"

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "RETURN_IMMEDIATELY",
    "BrokenExecutor",
    "CancelledError",
    "Executor",
    "Future",
    "FutureList",
    "InvalidStateError",
    "ProcessPoolExecutor",
    "Stats",
    "ThreadPoolExecutor",
    "TimeoutError",
    "as_completed",
    "install",
    "wait",
]

try:
    import _interpreters  # noqa: F401  # as CPython 3.14 decides it
except ImportError:
    pass
else:
    __all__ += ["InterpreterPoolExecutor"]


def __getattr__(name: str) -> Any:
    # Not before somebody asks: multiprocessing is slow to import, and not everywhere.
    if name == "ProcessPoolExecutor":
        from .process import ProcessPoolExecutor as found
    elif name == "InterpreterPoolExecutor" and name in __all__:
        from concurrent.futures import InterpreterPoolExecutor as found
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, "__author__", "__doc__"]
