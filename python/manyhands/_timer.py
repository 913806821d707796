"""The timers of the program, in one thread, which is there only while there are any.

Timers lie in a heap by their time. The thread sleeps until the first is due, takes the steps of those
that have come due, with no lock held, and ends when it has had nothing to wait for during a second. It
is a daemon: no program lives on for its timers. A forked child has none of its parent's.
"""

from __future__ import annotations

import heapq
import itertools
import math
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from ._stdlib import LOGGER

# How long the thread stays without a timer.
_IDLE_SECONDS = 1.0

# How many timers there are before those that were stopped are looked for.
_MANY = 1000


class Timer:
    """A timer that is waited for."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], object]) -> None:
        self.action: Callable[[], object] | None = action

    def stop(self, *_: Any) -> None:
        """Let go of the action; a callback of the future that the timer is for."""
        self.action = None
        first = _timers.waiting[:1]
        if first and first[0][2] is self:
            _timers.forget_stopped()


class _Timers:
    def __init__(self) -> None:
        # With a lock that its owner may take again: a collector or a signal's handler may come here
        # while this thread holds it. Of tuples, so that no code of Python's runs inside of `heapq`.
        self._changed = threading.Condition(threading.RLock())
        self.waiting: list[tuple[float, int, Timer]] = []
        # Those that come due at one moment come in the order in which they were made.
        self._number = itertools.count().__next__
        self._clean_at = _MANY
        self._thread: threading.Thread | None = None

    def add(self, due: float, timer: Timer) -> None:
        with self._changed:
            heapq.heappush(self.waiting, (due, self._number(), timer))
            if len(self.waiting) >= self._clean_at:
                self._clean()
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="manyhands-timer", daemon=True)
                thread.start()
                self._thread = thread
            elif self.waiting[0][2] is timer:
                self._changed.notify()

    def forget_stopped(self) -> None:
        """Forget those at the front, so that the thread has nothing to wait for when all were stopped."""
        with self._changed:
            self._drop_stopped()
            if not self.waiting:
                self._changed.notify()

    def _drop_stopped(self) -> None:
        while self.waiting and self.waiting[0][2].action is None:
            heapq.heappop(self.waiting)

    def _clean(self) -> None:
        """Forget those that were stopped: most timeouts are, long before they are due."""
        self.waiting = [entry for entry in self.waiting if entry[2].action is not None]
        heapq.heapify(self.waiting)
        self._clean_at = max(_MANY, 2 * len(self.waiting))

    def _run(self) -> None:
        while True:
            timer = self._next()
            if timer is None:
                return
            action = timer.action
            timer.action = None
            del timer
            if action is None:
                continue
            try:
                action()
            except BaseException:  # noqa: BLE001  # of a callback; the other timers are to come
                LOGGER.exception("exception calling callback of a timer")
            del action

    def _next(self) -> Timer | None:
        """Waits for the next timer to be due. None: the thread is to end."""
        with self._changed:
            while True:
                self._drop_stopped()
                if not self.waiting:
                    self._clean_at = _MANY
                    if not self._changed.wait(_IDLE_SECONDS) and not self.waiting:
                        self._thread = None
                        return None
                    continue
                left = self.waiting[0][0] - time.monotonic()
                if left <= 0:
                    return heapq.heappop(self.waiting)[2]
                self._changed.wait(min(left, threading.TIMEOUT_MAX))


_timers = _Timers()


def after(seconds: float, action: Callable[[], object]) -> Timer:
    """Have `action` called in the timers' thread when so many seconds are over."""
    due = time.monotonic() + seconds
    if math.isnan(due):
        raise ValueError("the time to wait is not a number")
    timer = Timer(action)
    _timers.add(due, timer)
    return timer


def _after_fork_in_child() -> None:
    global _timers
    _timers = _Timers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
