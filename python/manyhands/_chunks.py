"""`map` with several items a task: what the worker needs for it, and how they become one again."""

from __future__ import annotations

import functools
import itertools
import pickle
import time

from ._process_worker import told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TypeVar

    _T = TypeVar("_T")


def map_in_chunks(
    map: Callable[..., Iterator[Any]],
    fn: Callable[..., _T],
    iterables: tuple[Iterable[Any], ...],
    chunksize: int,
    **options: Any,
) -> Iterator[_T]:
    """Call `map` with so many items a task."""
    if chunksize < 1:
        raise ValueError("chunksize must be >= 1.")
    if chunksize == 1:
        return map(fn, *iterables, **options)
    chunk = functools.partial(_process_chunk, fn)
    return _chain(map(chunk, _batched(zip(*iterables), chunksize), **options))


def _process_chunk(fn: Callable[..., _T], chunk: tuple[tuple[Any, ...], ...]) -> list[_T]:
    return [fn(*args) for args in chunk]


def _batched(items: Iterator[_T], size: int) -> Iterator[tuple[_T, ...]]:
    while chunk := tuple(itertools.islice(items, size)):
        yield chunk


def _chain(chunks: Iterator[list[_T]]) -> Iterator[_T]:
    """Item by item, without keeping what was yielded."""
    for chunk in chunks:
        chunk.reverse()
        while chunk:
            yield chunk.pop()


def run_measured(
    fn: Callable[..., Any], chunk: list[tuple[Any, ...]]
) -> tuple[list[tuple[str | None, Any]], float]:
    """In the worker: what has become of each item, and how long one took."""
    outcomes: list[tuple[str | None, Any]] = []
    start = time.perf_counter()
    for args in chunk:
        try:
            outcomes.append((None, fn(*args)))
        except Exception as error:  # noqa: BLE001  # it is raised where the item's result is asked for
            outcomes.append((told(error), _that_crosses(error)))
    return outcomes, (time.perf_counter() - start) / len(chunk)


def _that_crosses(error: Exception) -> Exception:
    """An exception that can be pickled and unpickled: this one, if it can."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception as why:  # noqa: BLE001  # it is the program's
        from ._process_errors import ResultError

        return ResultError(
            f"the task raised {type(error).__name__}, which cannot be pickled: {why}"
        )
    return error
