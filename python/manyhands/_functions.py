"""`wait` and `as_completed`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from . import _core

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

AnyFuture = TypeVar("AnyFuture", bound="Future[Any]")

wait = _core.wait


def as_completed(fs: Iterable[AnyFuture], timeout: float | None = None) -> Iterator[AnyFuture]:
    """Iterate over futures in the order in which they end, each once.

    The futures may come from different executors, the standard library's among them. When `timeout`
    seconds from this call are over and some have not ended, the iterator raises TimeoutError. It
    lets go of each future as it yields it.

    >>> from manyhands import Future, as_completed
    >>> futures = [Future(), Future()]
    >>> futures[1].set_result("first")
    >>> next(as_completed(futures)) is futures[1]
    True
    """
    return _core.AsCompleted(fs, timeout)
