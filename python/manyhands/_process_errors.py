"""What can go wrong with a task in another process, as exceptions."""

from __future__ import annotations

import builtins
import signal
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import TimeoutError
from concurrent.futures.process import BrokenProcessPool, _RemoteTraceback
from typing import Any

from ._deadlock import DeadlockError
from ._process_worker import shown

# A task, as errors tell of it: function, arguments, and where it was submitted.
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any] | None, str, int]


class WorkerCrashError(BrokenProcessPool):
    """The worker process that ran the task died, and the task with it.

    pid: its process number.
    exitcode: how it ended, as `multiprocessing.Process.exitcode`: minus the number of a signal.
    attempts: how many workers the task has cost, this one included.
    function, arguments, submitted: the task's name, its arguments cut short, and where it was
        submitted; None unless the pool isolates crashes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.pid: int | None = None
        self.exitcode: int | None = None
        self.attempts = 1
        self.function: str | None = None
        self.arguments: str | None = None
        self.submitted: str | None = None


if sys.version_info >= (3, 11):
    _TimedOut = TimeoutError
else:

    class _TimedOut(TimeoutError, builtins.TimeoutError):
        """What are two classes there."""


class TaskTimeoutError(_TimedOut):
    """The task ran for longer than its timeout allowed, and was stopped.

    timeout: what it was allowed, in seconds.
    function, arguments, submitted: as in WorkerCrashError.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.timeout: float | None = None
        self.function: str | None = None
        self.arguments: str | None = None
        self.submitted: str | None = None


class NoWorkerLeftError(DeadlockError):
    """Each worker that the pool may have runs a task that waits for another, and none was left for
    this one.

    workers: how many they are.
    """

    def __init__(self, message: str, workers: int = 0) -> None:
        super().__init__(message)
        self.args = (message, workers)
        self.workers = workers

    def __str__(self) -> str:
        return str(self.args[0])


class ArgumentsError(BrokenProcessPool):
    """The worker could not unpickle the task's function or arguments. The pool goes on."""


class ResultError(BrokenProcessPool):
    """What the task returned or raised could not be unpickled. The pool goes on."""


def shown_here(exception: BaseException) -> str:
    """The same of one that others may still hold."""
    return "".join(traceback.format_exception(type(exception), exception, exception.__traceback__))


def raised(exception: Any, note: str) -> BaseException:
    """An exception that has come from a worker, with its traceback there as its cause."""
    if not isinstance(exception, BaseException):
        exception = ResultError("the task failed with an exception that could not be pickled")
    exception.__cause__ = _remote(note)
    return exception  # type: ignore[no-any-return]


def unread_result(error: BaseException) -> BaseException:
    made = ResultError(f"the result of the task could not be unpickled: {shown(error)}")
    made.__cause__ = error
    return made


def unread_exception(error: BaseException, note: str) -> BaseException:
    lines = note.strip().splitlines()
    last = lines[-1] if lines else "an exception"
    made = ResultError(
        f"the task raised {last!r}, which could not be unpickled here: {shown(error)}"
    )
    error.__cause__ = _remote(note)
    made.__cause__ = error
    return made


def torn(why: str) -> BaseException:
    return ResultError(f"the answer of a worker process could not be read: {why}")


def broken(reason: str, by: tuple[int, int | None] | None) -> BaseException:
    error = BrokenProcessPool(
        "A process in the process pool was terminated abruptly while the future was running or "
        f"pending: {reason}"
    )
    if by is not None:
        error.__cause__ = _abrupt_end(*by)
    return error


def crashed(
    pid: int, exitcode: int | None, ran: float, attempts: int, call: Call | None
) -> BaseException:
    again = f"; it was attempt {attempts}, the last" if attempts > 1 else ""
    function, arguments, submitted, task = _about(call)
    error = WorkerCrashError(
        "A process in the process pool was terminated abruptly while the future was running or "
        f"pending: worker process {pid} {_ended(exitcode)} after running {task} for {ran:.3g} s"
        f"{again}"
    )
    error.__cause__ = _abrupt_end(pid, exitcode)
    error.pid, error.exitcode, error.attempts = pid, exitcode, attempts
    error.function, error.arguments, error.submitted = function, arguments, submitted
    return error


def no_worker_left(workers: int) -> BaseException:
    return NoWorkerLeftError(
        f"no worker process is left to run the task: all {workers} that the pool may have run tasks "
        "that wait for other tasks of it; have fewer tasks wait at a time, or give the pool more "
        "workers",
        workers,
    )


def timed_out(timeout: float, ran: float, call: Call | None) -> BaseException:
    function, arguments, submitted, task = _about(call)
    error = TaskTimeoutError(
        f"{task} had run for {ran:.3g} s when its timeout of {timeout:g} s was over"
    )
    error.timeout = timeout
    error.function, error.arguments, error.submitted = function, arguments, submitted
    return error


def _abrupt_end(pid: int, exitcode: int | None) -> BaseException:
    """In the words of CPython 3.15."""
    return _remote(f"Process {pid} terminated abruptly with exit code {exitcode}")


def _remote(note: str) -> BaseException:
    text: Any = f'\n"""\n{note}"""'
    return _RemoteTraceback(text)


def _about(call: Call | None) -> tuple[str | None, str | None, str | None, str]:
    if call is None:
        return None, None, None, "a task"
    function, args, kwargs, file, line = call
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    shown = [_cut(arg) for arg in args[:8]]
    shown += [f"{key}={_cut(value)}" for key, value in list((kwargs or {}).items())[:8]]
    if len(args) + len(kwargs or {}) > len(shown):
        shown.append("...")
    arguments = f"({', '.join(shown)})"
    submitted = f"{file}:{line}"
    return name, arguments, submitted, f"{name}{arguments}, submitted at {submitted},"


def _cut(value: Any, most: int = 200) -> str:
    """A short repr: of what may be large, its beginning or only what it is."""
    if isinstance(value, (str, bytes, bytearray)) and len(value) > 100:
        return f"{value[:30]!r}... of length {len(value)}"
    if hasattr(value, "nbytes") and hasattr(value, "shape"):
        return f"<{type(value).__name__} of shape {value.shape}>"
    try:
        if isinstance(value, (list, tuple, dict, set, frozenset)) and len(value) > 100:
            return f"<{type(value).__name__} of length {len(value)}>"
        text = repr(value)
    except Exception:  # noqa: BLE001  # it is the program's
        return f"<{type(value).__name__}>"
    return text if len(text) <= most else text[: most - 3] + "..."


def _ended(exitcode: int | None) -> str:
    if exitcode is None:
        return "has ended"
    if exitcode >= 0:
        return f"exited with code {exitcode}"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = f"signal {-exitcode}"
    memory = " (out of memory, if nobody sent it)" if -exitcode == signal.SIGKILL else ""
    return f"was killed by {name}{memory}"
