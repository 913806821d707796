"""The pool of processes that a task runs in, as that task has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

from . import _core, _current
from ._chunks import map_in_chunks
from ._executor import Executor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")


class CurrentProcessPool(_core._CurrentPool, Executor):
    """A handle on the ProcessPoolExecutor that the calling task runs in."""

    def __init__(self, pickler: Any, timeout: float | None, retries: int | None = None) -> None:
        self._pickler = pickler
        self._timeout = timeout

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | Literal["auto"] = 1,
        buffersize: int | None = None,
        ordered: bool = True,
    ) -> Iterator[T]:
        """As `ProcessPoolExecutor.map`; "auto" is 1."""
        chunksize = 1 if chunksize == "auto" else chunksize
        return map_in_chunks(
            super().map,
            fn,
            iterables,
            chunksize,
            timeout=timeout,
            buffersize=buffersize,
            ordered=ordered,
        )

    def options(
        self, *, timeout: float | None = None, retries: int | None = None
    ) -> CurrentProcessPool:
        """The same pool, for tasks with options of their own. These are not run in place."""
        _current.check_options(timeout, retries)
        if timeout is None:
            timeout = self._timeout
        return CurrentProcessPool(self._pickler, timeout, retries)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Have the pool accept nothing any more. This cannot wait: a task of the pool calls it."""
        self._close(cancel_futures)

    def __reduce__(self) -> tuple[Any, ...]:
        if not self._is_being_sent():
            raise TypeError(
                "the executor of a task can only be passed to other tasks of the same pool"
            )
        return _current.of_this_worker, ()
