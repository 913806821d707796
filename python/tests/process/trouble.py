"""What cannot cross between processes, or ends one on its way; and tasks that make it."""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any

from tasks import kill_self


def blow(message: str) -> Any:
    raise OSError(message)


def forbid_imports() -> None:
    """As it is for a process with no memory or no descriptor left for another module."""
    sys.meta_path.clear()


class OnlyBytes:
    """A pickler of a program's own, which takes nothing that is only like bytes."""

    def dumps(self, obj: Any) -> bytes:
        return pickle.dumps(obj)

    def loads(self, data: Any) -> Any:
        assert type(data) is bytes
        return pickle.loads(data)


class Unpicklable:
    def __reduce__(self) -> Any:
        raise OSError("will not be pickled")


class NotLoadable:
    """Is pickled, and cannot be unpickled."""

    def __reduce__(self) -> Any:
        return blow, ("will not be unpickled",)


class ExitsInPickling:
    def __reduce__(self) -> Any:
        os._exit(5)


class ExitsInUnpickling:
    def __reduce__(self) -> Any:
        return os._exit, (6,)


class KilledInUnpickling:
    def __reduce__(self) -> Any:
        return kill_self, ()


class SaysInterrupt:
    """What a thread of the pool must survive though it is no `Exception`."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        return _raise, (self.error, "in unpickling")


def _raise(error: type[BaseException], message: str) -> None:
    raise error(message)


class TwoArguments(Exception):
    """Pickle calls it with one argument, and it wants two."""

    def __init__(self, first: object, second: object) -> None:
        super().__init__(f"{first} and {second}")


class KeywordOnly(Exception):
    def __init__(self, *, reason: str) -> None:
        super().__init__(reason)


class Locked(Exception):
    """Holds what cannot be pickled."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()


class ExitsInPicklingError(Exception):
    def __reduce__(self) -> Any:
        os._exit(7)


ERRORS_THAT_DO_NOT_CROSS: dict[str, Callable[[], BaseException]] = {
    "two arguments": lambda: TwoArguments("one", "two"),
    "keyword only": lambda: KeywordOnly(reason="why not"),
    "a lock in it": lambda: Locked("locked"),
    "unpicklable argument": lambda: ValueError("odd", Unpicklable()),
    "not loadable argument": lambda: ValueError("odd", NotLoadable()),
    "local class": lambda: type("Local", (ValueError,), {})("local"),
}


def raises_named(name: str) -> None:
    raise ERRORS_THAT_DO_NOT_CROSS[name]()


def raises_exits_in_pickling() -> None:
    raise ExitsInPicklingError


def make(kind: type[Any]) -> Any:
    return kind()


def make_says(error: type[BaseException]) -> SaysInterrupt:
    return SaysInterrupt(error)


def make_lambda() -> Any:
    return lambda: 3


def make_deep() -> Any:
    """A nesting that pickle does not come to the end of."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


class ReprFails:
    def __repr__(self) -> str:
        raise OSError("no repr")


class ReprIsLong:
    def __repr__(self) -> str:
        return "long " * 100_000


def unpickles() -> Any:
    """What is called to unpickle a `Scripted`; tests put another in its place."""
    return "whole"


class Scripted:
    """Is unpickled as a test says."""

    def __init__(self, data: Any = None) -> None:
        self.data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self.data,) if self.data else ()


def _unpickle(*data: Any) -> Any:
    made = unpickles()
    return (made, *data) if data else made


class Interrupting:
    """Is interrupted as it is pickled, or as it is unpickled."""

    def __init__(self, when: str) -> None:
        self.when = when

    def __reduce__(self) -> tuple[Any, ...]:
        if self.when == "pickled":
            raise KeyboardInterrupt
        return interrupt, ()


def interrupt() -> None:
    raise KeyboardInterrupt
