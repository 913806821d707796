"""The end of the interpreter, the fork of the process, and threads that do not hold up either."""

from __future__ import annotations

import os
import sys
import threading

from . import _core
from ._stdlib import _threads_queues


def start(thread: threading.Thread) -> None:
    """Start a worker's thread.

    The interpreter knows it for a daemon, and everybody else sees that it is none: it is joined at
    exit by way of `_threads_queues`, like the standard library's workers, but it can be left behind
    when Ctrl-C has ended the program and its task has not.
    """
    try:
        thread.daemon = True
    except RuntimeError:  # no daemons in this interpreter: it is waited for in any case
        thread.start()
        return
    thread.start()
    thread._daemonic = False  # type: ignore[attr-defined]


def is_started() -> None:
    """The first thing that a worker's thread does: what its task asks about daemons is true."""
    threading.current_thread()._daemonic = False  # type: ignore[attr-defined]


def abandon(thread: threading.Thread) -> None:
    """Let the interpreter exit without this thread."""
    _threads_queues.pop(thread, None)


def was_interrupted() -> bool:
    """Whether it is Ctrl-C that ends the program."""
    # In an interactive session it is the last of many errors, and long forgotten.
    interactive = sys.flags.interactive or hasattr(sys, "ps1")
    ended_by = None if interactive else getattr(sys, "last_type", None)
    return isinstance(ended_by, type) and issubclass(ended_by, KeyboardInterrupt)


def _python_exit() -> None:
    # Before the standard library's own hook, which then joins the threads in `_threads_queues`.
    _core._interpreter_shutdown()
    if was_interrupted():
        for thread, queue in list(_threads_queues.items()):
            if isinstance(queue, _core._WorkQueue):
                queue._abandon()
                abandon(thread)


def _after_fork_in_child() -> None:
    # Their threads are not in this process, and nobody is to wait for them.
    for thread, queue in list(_threads_queues.items()):
        if isinstance(queue, _core._WorkQueue):
            abandon(thread)


threading._register_atexit(_python_exit)  # type: ignore[attr-defined]
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
