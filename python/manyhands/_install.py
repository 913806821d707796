"""Puts this package in the place of the standard library's, for programs that do not know it."""

import concurrent.futures
import contextlib
import importlib
from concurrent.futures import _base, thread
from typing import Any

from . import _functions, _future
from . import thread as ours


def install() -> None:
    """Have `concurrent.futures` give out this package's classes and functions.

    Call it before the program imports names from `concurrent.futures`: what it has imported before
    stays what it was. Calling it again does nothing.

    >>> import manyhands
    >>> manyhands.install()
    >>> import concurrent.futures
    >>> concurrent.futures.ThreadPoolExecutor is manyhands.ThreadPoolExecutor
    True
    """
    # Before its base class is replaced: interpreters run their tasks in a way of their own.
    with contextlib.suppress(ImportError):
        importlib.import_module("concurrent.futures.interpreter")
    module: Any
    for module in (concurrent.futures, _base):
        module.Future = _future.Future
        module.wait = _functions.wait
        module.as_completed = _functions.as_completed
    for module in (concurrent.futures, thread):
        module.ThreadPoolExecutor = ours.ThreadPoolExecutor
    with contextlib.suppress(ImportError):  # where there are no processes
        process: Any = importlib.import_module("concurrent.futures.process")
        processes = importlib.import_module("manyhands.process")
        for module in (concurrent.futures, process):
            module.ProcessPoolExecutor = processes.ProcessPoolExecutor
    thread._worker = ours._worker  # type: ignore[assignment]
