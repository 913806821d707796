"""`map` with chunks as long as they should be."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from . import _process_errors
from ._chunks import run_measured
from ._functions import as_completed, wait
from ._future import Future

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .process import ProcessPoolExecutor

T = TypeVar("T")

# What a chunk is to take, in seconds: a hundred times what it costs to send it.
_CHUNK_SECONDS = 0.005


class AutoMap:
    """One call of `map`: the first items show how long an item takes, and the rest is cut by that."""

    def __init__(
        self, executor: ProcessPoolExecutor, fn: Callable[..., Any], items: list[tuple[Any, ...]]
    ) -> None:
        self._executor: ProcessPoolExecutor | None = executor
        self._fn = fn
        self._rest = items
        self._futures: deque[Future[Any]] = deque()
        # Whoever finds nothing more to wait for must not be misled by one who is submitting.
        self._submits = threading.RLock()

    @classmethod
    def start(
        cls,
        executor: ProcessPoolExecutor,
        fn: Callable[..., T],
        items: Iterable[tuple[Any, ...]],
        timeout: float | None,
        ordered: bool,
    ) -> Iterator[T]:
        deadline = None if timeout is None else timeout + time.monotonic()
        auto = cls(executor, fn, list(items))
        probes = min(len(auto._rest), executor._max_workers)
        auto._submit(probes, 1)
        if auto._rest:
            executor._unsubmitted.add(auto)
            auto._futures[0].add_done_callback(auto._has_measured)
        else:
            auto._executor = None
        return auto._results(deadline, ordered)

    def _submit(self, count: int, size: int) -> None:
        assert self._executor is not None
        batch, self._rest = self._rest[:count], self._rest[count:]
        for start in range(0, count, size):
            chunk = batch[start : start + size]
            self._futures.append(self._executor.submit(run_measured, self._fn, chunk))

    def _has_measured(self, probe: Future[Any]) -> None:
        if probe.cancelled() or probe.exception() is not None:
            self.submit_rest()
        else:
            self.submit_rest(probe.result()[1])

    def submit_rest(self, seconds: float = _CHUNK_SECONDS) -> None:
        """Submit all that is left, where an item takes so long."""
        with self._submits:
            executor = self._executor
            if executor is None:
                return
            executor._unsubmitted.discard(self)
            count = len(self._rest)
            # Some chunks for each worker, whatever they take: so that all end at about the same time.
            most = -(-count // (4 * executor._max_workers)) or 1
            size = max(1, min(most, int(_CHUNK_SECONDS / max(seconds, 1e-7))))
            try:
                self._submit(count, size)
            except Exception as error:  # noqa: BLE001  # for whoever asks for those results
                refused: Future[Any] = Future()
                refused.set_exception(error)
                self._futures.append(refused)
            finally:
                self._executor = None

    def _results(self, deadline: float | None, ordered: bool) -> Iterator[Any]:
        try:
            for future in self._in_order(deadline) if ordered else self._as_completed(deadline):
                outcomes, seconds = future.result()
                if self._executor is not None:
                    self.submit_rest(seconds)
                outcomes.reverse()
                while outcomes:
                    traceback, outcome = outcomes.pop()
                    if traceback is not None:
                        raise _process_errors.raised(outcome, traceback)
                    yield outcome
        finally:
            self._rest = []
            self.submit_rest()
            for future in self._futures:
                future.cancel()

    def _in_order(self, deadline: float | None) -> Iterator[Future[Any]]:
        while self._futures:
            future = self._futures.popleft()
            try:
                future.exception(_left(deadline))
            finally:
                future.cancel()
            yield future

    def _as_completed(self, deadline: float | None) -> Iterator[Future[Any]]:
        if self._futures:
            wait([self._futures[0]], _left(deadline))
            if self._futures[0].done():
                self._has_measured(self._futures[0])
        yield from as_completed(list(self._futures), _left(deadline))
        self._futures.clear()


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else deadline - time.monotonic()
