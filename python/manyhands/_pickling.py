"""Objects on their way to another process, where the interpreter's own pickler is not enough."""

from __future__ import annotations

import io
import sys
from multiprocessing.reduction import ForkingPickler
from pickle import PickleBuffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from . import _core

    _Pickler = Callable[[Any, _core._Lender], Any]

# What is smaller stays in the pickle: as in the native part.
_LARGE = 16 << 10


class _Large:
    """Bytes that are put beside the pickle, as the pickler itself does with those of arrays."""

    __slots__ = ("_bytes",)

    def __init__(self, value: Any) -> None:
        self._bytes = value

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        value = self._bytes
        if isinstance(value, memoryview):
            return _view, (PickleBuffer(value), value.format, value.shape)
        return type(value), (PickleBuffer(value),)


def _view(buffer: Any, format: str, shape: tuple[int, ...]) -> memoryview:
    view = memoryview(buffer)
    return view if format == "B" and len(shape) == 1 else view.cast("B").cast(format, shape)  # type: ignore[call-overload]


def dumps(obj: Any, pickler: _Pickler | None, lend: _core._Lender) -> Any:
    """The pickle of `obj`; `lend` takes what goes beside it. `pickler` is the program's choice."""
    if pickler is not None:
        return pickler(obj, lend)
    obj = _with_large(obj, 4)
    if _comes_from_notebook(obj):
        by_value = _cloudpickle()
        if by_value is not None:
            return by_value(obj, lend)
    try:
        return as_multiprocessing(obj, lend)
    except Exception:
        by_value = _cloudpickle()
        if by_value is not None:
            try:
                return by_value(obj, lend)
            except Exception:  # noqa: BLE001, S110  # the first error says more
                pass
        raise


def as_multiprocessing(obj: Any, lend: _core._Lender) -> Any:
    """By name, with all that is registered with `multiprocessing`."""
    into = io.BytesIO()
    ForkingPickler(into, 5, True, lend).dump(obj)
    return into.getbuffer()


def by_cloudpickle(obj: Any, lend: _core._Lender) -> Any:
    """By value where there is no name."""
    import cloudpickle  # type: ignore[import-not-found, import-untyped, unused-ignore]

    into = io.BytesIO()
    cloudpickle.CloudPickler(into, 5, buffer_callback=lend).dump(obj)
    return into.getbuffer()


def _cloudpickle() -> _Pickler | None:
    try:
        import cloudpickle  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: F401
    except ImportError:
        return None
    return by_cloudpickle


class Chosen:
    """A module or object with `dumps` and `loads`: what a program has chosen."""

    def __init__(self, pickler: Any) -> None:
        self._dumps = pickler.dumps
        self._loads = pickler.loads

    def __call__(self, obj: Any, lend: _core._Lender) -> Any:
        return self._dumps(obj)

    def loads(self, pickle: Any, **kwargs: Any) -> Any:
        # A long one lies in shared memory, and not every function takes other things than bytes.
        return self._loads(bytes(pickle), **kwargs)


def choose(pickler: Any) -> _Pickler | None:
    """What `ProcessPoolExecutor(pickler=...)` means."""
    if pickler is None:
        return None
    if pickler == "pickle":
        return as_multiprocessing
    if pickler == "cloudpickle":
        import cloudpickle  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: F401  # not being there is told now

        return by_cloudpickle
    if callable(getattr(pickler, "dumps", None)) and callable(getattr(pickler, "loads", None)):
        return Chosen(pickler)
    raise TypeError(
        "pickler must be None, 'pickle', 'cloudpickle', or have the functions dumps and loads, "
        f"not {pickler!r}"
    )


def main_can_be_imported() -> bool:
    """Whether a worker finds what `__main__` defines; not if it was typed in."""
    main = sys.modules.get("__main__")
    return getattr(main, "__file__", None) is not None


def _comes_from_notebook(obj: Any) -> bool:
    call = obj[0] if type(obj) is tuple and obj else None
    return getattr(call, "__module__", None) == "__main__" and not main_can_be_imported()


def _with_large(obj: Any, depth: int, memo: dict[int, Any] | None = None) -> Any:
    """The same with its large bytes marked, where they lie near the top."""
    kind = type(obj)
    if kind in (bytes, bytearray):
        if len(obj) <= _LARGE:
            return obj
    elif kind is memoryview:
        if not obj.contiguous:
            return obj
    elif depth == 0 or kind not in (tuple, list, dict) or len(obj) > 64:
        return obj
    # What is there twice arrives as one.
    memo = {} if memo is None else memo
    if id(obj) not in memo:
        memo[id(obj)] = _marked(obj, depth, memo)
    return memo[id(obj)]


def _marked(obj: Any, depth: int, memo: dict[int, Any]) -> Any:
    kind = type(obj)
    if kind is dict:
        values = {key: _with_large(value, depth - 1, memo) for key, value in obj.items()}
        return values if any(values[key] is not obj[key] for key in obj) else obj
    if kind is tuple or kind is list:
        items = [_with_large(item, depth - 1, memo) for item in obj]
        return kind(items) if any(new is not old for new, old in zip(items, obj)) else obj
    return _Large(obj)
