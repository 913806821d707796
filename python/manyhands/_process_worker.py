"""A worker process, from its start by `multiprocessing` to its end."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal` has wrapped in Python
import contextlib
import functools
import os
import pickle
import signal
import socket
import threading
import traceback
from collections import deque
from multiprocessing import reduction, util

from . import _core, _current
from ._pickling import Chosen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import BaseContext
    from multiprocessing.process import BaseProcess
    from typing import Any

    from ._pickling import _Pickler

# A queue that nobody reads from takes no more than it has room for.
_SECONDS_TO_FLUSH = 5


# It comes to all processes on a terminal. A worker hears of it only while it runs a task: before that,
# and as it leaves, it would tell of it where the parent tells enough.
_CTRL_C = {signal.SIGINT}


class Lifeline:
    """The worker's end of the socket over which it is born, on its way there."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (reduction.DupFd(self.end.fileno()),)


def _arrived(descriptor: Any) -> Lifeline:
    # A process that a fork server has made can hear of it. From here on, `multiprocessing` would tell of it.
    with contextlib.suppress(KeyboardInterrupt):
        signal.pthread_sigmask(signal.SIG_BLOCK, _CTRL_C)
    return Lifeline(socket.socket(fileno=descriptor.detach()))


class Spawner:
    """Starts a pool's workers, and sees them off. It does not hold the executor."""

    def __init__(
        self,
        context: BaseContext,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        pickler: _Pickler | None,
        timeout: float | None,
        processes: dict[int, BaseProcess],
    ) -> None:
        self._context = context
        self._initializer = initializer
        self._initargs = initargs
        self._pickler = pickler
        self._timeout = timeout
        self._processes = processes
        self._ended: deque[BaseProcess] = deque()

    def spawn(self) -> tuple[BaseProcess, socket.socket]:
        """Start one; its process, and our end of its lifeline."""
        self._forget_ended()
        ours, theirs = socket.socketpair()
        given = (self._initializer, self._initargs, self._pickler, self._timeout)
        process: BaseProcess = self._context.Process(  # type: ignore[attr-defined]
            target=work, args=(Lifeline(theirs), os.getpid(), *given)
        )
        try:
            self._start(process)
            self._processes[process.pid] = process  # type: ignore[index]  # it has started
            theirs.close()
            return process, ours
        except BaseException:
            ours.close()
            theirs.close()
            self.give_up(process)
            raise

    def give_up(self, process: BaseProcess) -> None:
        """End a process that nobody has taken over: Ctrl-C came, just after it was started."""
        if process.pid is not None:
            process.kill()
            self.bury(process)

    def _start(self, process: BaseProcess) -> None:
        method = self._context.get_start_method()
        if method == "forkserver":
            # It must not be born so itself: others' processes come from it too.
            from multiprocessing import forkserver

            forkserver.ensure_running()
        elif method == "spawn":
            # It unblocks the signal when it starts.
            from multiprocessing import resource_tracker

            resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            # It raises what came before, and blocks all the same.
            signal.pthread_sigmask(signal.SIG_BLOCK, _CTRL_C)
            process.start()
        finally:
            # Not by way of `signal`: a handler might be called, and raise, before the mask is set.
            _signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def bury(self, process: BaseProcess) -> int | None:
        """How a process ended that has; a fork server may take a moment to say so."""
        process.join(5)
        self._ended.append(process)
        return process.exitcode

    def forget(self) -> dict[int, BaseProcess]:
        """All have ended: a new dict for those to come, and the old one for whoever still has it."""
        self._processes = {}
        return self._processes

    def _forget_ended(self) -> None:
        # Not before another takes its place, as in the standard library: programs that go through
        # the processes to end them would find the dict changed by the first that has.
        with contextlib.suppress(IndexError):
            while True:
                process = self._ended.popleft()
                if process.pid is not None and self._processes.get(process.pid) is process:
                    del self._processes[process.pid]


def work(
    lifeline: Lifeline,
    parent: int,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
    pickler: _Pickler | None,
    timeout: float | None,
) -> None:
    """What a worker process does. It was born deaf to Ctrl-C, or is since it has its lifeline."""
    begin = functools.partial(_begin, initializer, initargs)
    del initializer, initargs
    _current.is_worker(pickler, timeout)
    loads = pickler.loads if isinstance(pickler, Chosen) else pickle.loads
    with contextlib.suppress(KeyboardInterrupt):  # of no task
        try:
            _core._work(lifeline.end, parent, begin, pickler, loads, timeout is not None)
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, _CTRL_C)


def _begin(initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
    if initializer is not None:
        # A process that it starts inherits what is blocked, but no handler, and is to hear of Ctrl-C.
        handler = signal.signal(signal.SIGINT, _not_yet)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _CTRL_C)
        try:
            initializer(*initargs)
        except BaseException:
            from ._stdlib import LOGGER

            LOGGER.critical("Exception in initializer:", exc_info=True)
            _flush()
            raise
        if handler is not None and signal.getsignal(signal.SIGINT) is _not_yet:
            signal.signal(signal.SIGINT, handler)
    with contextlib.suppress(KeyboardInterrupt):  # one that came before
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _CTRL_C)


def _not_yet(number: int, frame: object) -> None:
    """Ctrl-C while there is no task."""


def told(exception: BaseException) -> str:
    """All that is to be known of an exception that a task has failed with."""
    text = "".join(traceback.format_exception(type(exception), exception, exception.__traceback__))
    # Its frames hold what the task held.
    exception.__traceback__ = None
    return text


class UnreadArguments(Exception):
    """The worker could not unpickle a task's function or arguments.

    In the parent it is an ArgumentsError. A worker would first have to import that, and may have no memory.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _arguments_error, self.args


def _arguments_error(message: str) -> BaseException:
    from ._process_errors import ArgumentsError

    return ArgumentsError(message)


def unread_arguments(error: BaseException) -> BaseException:
    made = UnreadArguments(
        "a worker process could not unpickle the task's function or arguments: "
        f"{shown(error)}. Is the function defined where the worker can import it?"
    )
    made.__cause__ = error
    return made


def shown(error: BaseException) -> str:
    """An exception in a line or two."""
    try:
        return "".join(traceback.format_exception_only(type(error), error)).strip()
    except Exception:  # noqa: BLE001  # its text is the program's
        return type(error).__name__


def _flush() -> None:
    """Have all that was put into queues arrive, a log record say: the parent, once it is told of the
    failure, ends this process.
    """
    thread = threading.Thread(target=util._exit_function, daemon=True)  # type: ignore[attr-defined]
    thread.start()
    thread.join(_SECONDS_TO_FLUSH)
