"""Waiting, in tests, for what must come: what does not come is the watchdog's."""

import gc
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from manyhands import Future, ThreadPoolExecutor


def until(holds: Callable[[], object]) -> None:
    """Returns as soon as `holds()` is true."""
    while not holds():
        time.sleep(0.001)


def until_dead(reference: weakref.ref[object]) -> None:
    """Returns when nothing but a worker on its way out can have held the object; no collector runs
    meanwhile, for references that only a collector would find count as leaked.
    """
    until(lambda: reference() is None)


def until_collected(reference: weakref.ref[object]) -> None:
    """Returns when the garbage collector has found the object."""
    until(lambda: gc.collect() >= 0 and reference() is None)


def in_thread(call: Callable[[], object]) -> threading.Thread:
    """Starts a thread for a call; join it."""
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def occupy(
    executor: ThreadPoolExecutor, go: threading.Event, workers: int = 1
) -> list[Future[Any]]:
    """Keeps as many workers busy, and returns when they are."""
    futures = [executor.submit(go.wait) for _ in range(workers)]
    until(lambda: all(future.running() for future in futures))
    return futures


def giving_way(*_: object) -> Any:
    """A trace function: at each line of Python, another thread may go on."""
    time.sleep(0)
    return giving_way
