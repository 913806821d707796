"""`map` with several items a task."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")


def map_in_chunks(
    map: Callable[..., Iterator[Any]],
    fn: Callable[..., T],
    iterables: tuple[Iterable[Any], ...],
    chunksize: int,
    **options: Any,
) -> Iterator[T]:
    """Call `map` with so many items a task."""
    if chunksize < 1:
        raise ValueError("chunksize must be >= 1.")
    if chunksize == 1:
        return map(fn, *iterables, **options)
    chunk = functools.partial(_process_chunk, fn)
    return _chain(map(chunk, _batched(zip(*iterables), chunksize), **options))


def _process_chunk(fn: Callable[..., T], chunk: tuple[tuple[Any, ...], ...]) -> list[T]:
    return [fn(*args) for args in chunk]


def _batched(items: Iterator[T], size: int) -> Iterator[tuple[T, ...]]:
    while chunk := tuple(itertools.islice(items, size)):
        yield chunk


def _chain(chunks: Iterator[list[T]]) -> Iterator[T]:
    """Item by item, without keeping what was yielded."""
    for chunk in chunks:
        chunk.reverse()
        while chunk:
            yield chunk.pop()
