"""What the tests look for in errors."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

from subject import STDLIB, BrokenProcessPool, CancelledError


def told(error: BaseException) -> str:
    """All that a traceback would show of an error and of its causes."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def assert_broken(
    futures: Sequence[Any], pid: int | None = None, exitcode: int | None = None
) -> None:
    """Each has failed with the pool, and says which process ended how."""
    errors = [future.exception() for future in futures]
    for error in errors:
        assert isinstance(error, BrokenProcessPool), error
        if STDLIB:
            continue  # it tells since 3.15
        if pid is not None:
            assert str(pid) in told(error)
        if exitcode is not None:
            assert str(abs(exitcode)) in told(error)
    if not STDLIB:
        # Each has its own: what one future's reader does to it is not another's.
        assert len({id(error) for error in errors}) == len(errors)


def outcome(future: Any) -> Any:
    """Its result or its exception, also if it is cancelled meanwhile."""
    try:
        return future.result()
    except BaseException as error:  # noqa: BLE001  # the test looks at it
        return error


def is_lost(future: Any) -> bool:
    """Whether it has been cancelled, or has failed with its pool."""
    return isinstance(outcome(future), (BrokenProcessPool, CancelledError))
