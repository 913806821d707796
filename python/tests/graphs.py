"""Executors of every kind for the tests of graphs, and what their tasks do."""

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import manyhands

KINDS = ["here", "threads", "one thread", "subclass", "stdlib", "inline", "thread per task"]


class Inline(manyhands.Executor):
    """Its futures are done when they are returned."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> manyhands.Future[Any]:
        future: manyhands.Future[Any] = manyhands.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # it is the future's
            future.set_exception(error)
        return future


class ThreadPerTask(manyhands.Executor):
    """As one of one's own may be: a future of the standard library's kind, ended by any thread."""

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except Exception as error:  # noqa: BLE001  # it is the future's
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run).start()
        return future


class Recording(manyhands.ThreadPoolExecutor):
    """A pool of ours that wants to see what is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> manyhands.Future[Any]:
        self.seen = [*getattr(self, "seen", []), fn]
        return super().submit(fn, *args, **kwargs)


@contextlib.contextmanager
def executor(kind: str) -> Iterator[Any]:
    """One of this kind."""
    made: dict[str, Callable[[], Any]] = {
        "here": contextlib.nullcontext,
        "threads": lambda: manyhands.ThreadPoolExecutor(3),
        "one thread": lambda: manyhands.ThreadPoolExecutor(1),
        "subclass": lambda: Recording(2),
        "stdlib": lambda: concurrent.futures.ThreadPoolExecutor(2),
        "inline": Inline,
        "thread per task": ThreadPerTask,
    }
    with made[kind]() as one:
        yield one


class Note:
    """Counts calls, and lets those fail that it is told to."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.failing: set[str] = set()

    def task(self, name: str) -> Callable[..., int]:
        def run(*values: int) -> int:
            self.ran.append(name)
            if name in self.failing:
                raise ValueError(f"no luck with {name}")
            return sum(values) + 1

        return run

    def taken(self) -> list[str]:
        ran, self.ran = self.ran, []
        return ran


class Value:
    """Something that can be seen to die."""

    def __init__(self, *of: object) -> None:
        self.count = len(of)
