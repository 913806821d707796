"""`FutureList`: what `run_to_futures` returns, as the proposal of 2009 had it."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import TimeoutError
from typing import TYPE_CHECKING, Generic, TypeVar

from . import _core

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

T = TypeVar("T")


class FutureList(Generic[T]):
    """Futures in the order of their calls, and questions about all of them.

    >>> from manyhands import Future, FutureList
    >>> futures = FutureList([Future(), Future()])
    >>> futures[0].set_result(1)
    >>> futures.has_done_futures(), len(futures)
    (True, 2)
    """

    def __init__(self, futures: Iterable[Future[T]]) -> None:
        self._futures = list(futures)

    def wait(self, timeout: float | None = None, return_when: str = "ALL_COMPLETED") -> None:
        """Wait until `return_when` holds, `timeout` seconds at the longest.

        >>> from manyhands import Future, FutureList
        >>> futures = FutureList([Future(), Future()])
        >>> futures[0].set_result(1)
        >>> futures.wait(return_when="FIRST_COMPLETED")
        """
        _core.wait(self._futures, timeout, return_when)

    def cancel(self, timeout: float | None = None) -> None:
        """Cancel all that has not started, and wait for what has; TimeoutError if that takes longer
        than `timeout` seconds.

        >>> from manyhands import ThreadPoolExecutor
        >>> with ThreadPoolExecutor() as executor:
        ...     futures = executor.run_to_futures([lambda: 1, lambda: 2])
        >>> futures.cancel(timeout=10)
        >>> futures.has_cancelled_futures()
        False
        """
        for future in self._futures:
            future.cancel()
        unfinished = len(_core.wait(self._futures, timeout).not_done)
        if unfinished:
            raise TimeoutError(f"{unfinished} (of {len(self)}) futures unfinished")

    def has_running_futures(self) -> bool:
        """Whether any is running.

        >>> from manyhands import Future, FutureList
        >>> futures = FutureList([Future(), Future()])
        >>> futures.has_running_futures()
        False
        """
        return any(self.running_futures())

    def has_cancelled_futures(self) -> bool:
        """Whether any was cancelled.

        >>> from manyhands import Future, FutureList
        >>> futures = FutureList([Future(), Future()])
        >>> futures[0].cancel(), futures.has_cancelled_futures()
        (True, True)
        """
        return any(self.cancelled_futures())

    def has_done_futures(self) -> bool:
        """Whether any has ended or was cancelled.

        >>> from manyhands import Future, FutureList
        >>> futures = FutureList([Future(), Future()])
        >>> futures.has_done_futures()
        False
        """
        return any(self.done_futures())

    def has_successful_futures(self) -> bool:
        """Whether any has returned.

        >>> from manyhands import Future, FutureList
        >>> futures = FutureList([Future(), Future()])
        >>> futures[0].set_result(1)
        >>> futures.has_successful_futures()
        True
        """
        return any(self.successful_futures())

    def has_exception_futures(self) -> bool:
        """Whether any has raised.

        >>> from manyhands import Future, FutureList
        >>> futures = FutureList([Future(), Future()])
        >>> futures[0].set_result(1)
        >>> futures.has_exception_futures()
        False
        """
        return any(self.exception_futures())

    def running_futures(self) -> Iterator[Future[T]]:
        """Those that are running.

        >>> from manyhands import Future, FutureList
        >>> futures = FutureList([Future(), Future()])
        >>> futures[1].set_running_or_notify_cancel()
        True
        >>> list(futures.running_futures()) == [futures[1]]
        True
        """
        return (future for future in self._futures if future.running())

    def cancelled_futures(self) -> Iterator[Future[T]]:
        """Those that were cancelled.

        >>> from manyhands import Future, FutureList
        >>> futures = FutureList([Future(), Future()])
        >>> futures[1].cancel()
        True
        >>> list(futures.cancelled_futures()) == [futures[1]]
        True
        """
        return (future for future in self._futures if future.cancelled())

    def done_futures(self) -> Iterator[Future[T]]:
        """Those that have ended or were cancelled.

        >>> from manyhands import Future, FutureList
        >>> futures = FutureList([Future(), Future()])
        >>> futures[1].set_result(1)
        >>> list(futures.done_futures()) == [futures[1]]
        True
        """
        return (future for future in self._futures if future.done())

    def successful_futures(self) -> Iterator[Future[T]]:
        """Those that have returned.

        >>> from manyhands import Future, FutureList
        >>> futures = FutureList([Future(), Future()])
        >>> futures[0].set_exception(ValueError("no"))
        >>> futures[1].set_result(1)
        >>> list(futures.successful_futures()) == [futures[1]]
        True
        """
        return (future for future in self._ended() if future.exception() is None)

    def exception_futures(self) -> Iterator[Future[T]]:
        """Those that have raised.

        >>> from manyhands import Future, FutureList
        >>> futures = FutureList([Future(), Future()])
        >>> futures[0].set_result(1)
        >>> futures[1].set_exception(ValueError("no"))
        >>> list(futures.exception_futures()) == [futures[1]]
        True
        """
        return (future for future in self._ended() if future.exception() is not None)

    def _ended(self) -> Iterator[Future[T]]:
        return (future for future in self.done_futures() if not future.cancelled())

    def __len__(self) -> int:
        return len(self._futures)

    def __getitem__(self, index: int) -> Future[T]:
        return self._futures[index]

    def __iter__(self) -> Iterator[Future[T]]:
        return iter(self._futures)

    def __contains__(self, future: object) -> bool:
        return future in self._futures

    def __repr__(self) -> str:
        words = {"CANCELLED_AND_NOTIFIED": "cancelled"}
        counts = Counter(words.get(f._state, f._state.lower()) for f in self._futures)
        parts = [
            f"#{state}={counts[state]}"
            for state in ("pending", "cancelled", "running", "finished")
            if counts[state]
        ]
        return f"<FutureList #futures={len(self)} [{' '.join(parts)}]>"
