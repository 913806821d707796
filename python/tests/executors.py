"""Executors of one's own, for the tests."""

from collections.abc import Callable
from typing import Any, TypeVar

from manyhands import Executor, Future

T = TypeVar("T")


class Inline(Executor):
    """Runs each task in `submit`."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # told by the future
            future.set_exception(error)
        return future


class ByHand(Executor):
    """Has its tasks run by the test."""

    def __init__(self) -> None:
        self.tasks: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        self.tasks.append((future, lambda: fn(*args, **kwargs)))
        return future

    def begin(self) -> tuple[Future[Any], Callable[[], Any]]:
        future, call = self.tasks.pop(0)
        assert future.set_running_or_notify_cancel()
        return future, call

    def run(self) -> None:
        future, call = self.begin()
        future.set_result(call())
