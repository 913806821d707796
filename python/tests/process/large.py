"""Tasks that are sent large data, make some, or keep it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any


def page_sum(data: Any) -> int:
    """Touches every page of what can be seen as bytes."""
    return sum(memoryview(data).cast("B")[::4096])


def make_bytes(size: int) -> bytes:
    return b"\x07" * size


def make_bytearray(size: int) -> bytearray:
    return bytearray(b"\x07") * size


def make_floats(count: int) -> list[float]:
    return [number / 2 for number in range(count)]


def make_words(count: int) -> dict[str, str]:
    return {str(number): "a word" for number in range(count)}


class LastsLong:
    """Ends, in a worker that heeds it, when somebody lets it."""

    until: Path | None = None

    def __del__(self) -> None:
        while self.until is not None and not self.until.exists():
            time.sleep(0.001)


def heed_end(until: Path) -> None:
    LastsLong.until = until


def make_with_end(count: int) -> list[Any]:
    return [LastsLong(), *make_floats(count)]


def about_array(array: Any) -> dict[str, Any]:
    """What a task sees of an array, before and after it writes."""
    seen = {
        "sum": float(array.sum()),
        "writeable": bool(array.flags.writeable),
        "owns": bool(array.flags.owndata),
        "shape": array.shape,
        "dtype": str(array.dtype),
        "contiguous": bool(array.flags.c_contiguous),
    }
    if array.flags.writeable:
        array[...] = 9
        seen["after"] = float(array.sum())
    return seen


def make_array(length: int, writeable: bool = True) -> Any:
    import numpy

    array = numpy.arange(length, dtype=numpy.float64)
    array.flags.writeable = writeable
    return array


kept: list[Any] = []


def keep(thing: Any) -> int:
    kept.append(thing)
    return len(kept)


def drop_kept() -> None:
    kept.clear()


def memory_kib(key: str = "VmHWM") -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0])
    raise KeyError(key)


def sum_of_shared(handle: Any, add: int) -> float:
    """Takes a `shared` handle as the object that it stands for."""
    return float(sum(handle)) + add


def overwrite(data: bytearray, number: int) -> tuple[int, int]:
    before = data[-1]
    data[:] = bytes([number]) * len(data)
    return before, data[-1]


def page_sums_of_kept() -> list[int]:
    return [page_sum(data) for data in kept]


def page_sum_of(shared: Any) -> int:
    return page_sum(shared)


def try_to_write(array: Any) -> None:
    try:
        array[...] = 9
    except ValueError:
        pass  # read-only: as good as a copy


def key_of(shared: Any, key: str) -> Any:
    return shared[key]


def length_of(shared: Any) -> int:
    return len(shared)


def shared_kib() -> int:
    """Shared memory that this process has in use, mapped by whatever means."""
    return memory_kib("RssShmem")
