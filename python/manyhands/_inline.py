"""`InlineExecutor`: runs each task in the thread that submits it. The smallest executor there can be, and
so the example of one; deterministic, and so good for tests (cpython#80576).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ._executor import Executor
from ._future import Future

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


class InlineExecutor(Executor):
    """Runs each task at once, in the thread that submits it: every future it returns is done.

    >>> from manyhands import InlineExecutor
    >>> with InlineExecutor() as executor:
    ...     future = executor.submit(pow, 2, 10)
    ...     future.done(), future.result()
    (True, 1024)
    """

    def __init__(self) -> None:
        self._is_shut_down = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call `fn(*args, **kwargs)` and return a future with what came of it.

        >>> from manyhands import InlineExecutor
        >>> InlineExecutor().submit(int, "x").exception()
        ValueError("invalid literal for int() with base 10: 'x'")
        """
        if self._is_shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")
        # Not by way of a variable: the error's traceback knows this frame, which shall not know the error.
        return _ended(*_attempt(fn, args, kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept nothing any more; there is nothing to wait for, and nothing to cancel.

        >>> from manyhands import InlineExecutor
        >>> executor = InlineExecutor()
        >>> executor.shutdown()
        """
        self._is_shut_down = True


InlineExecutor.__module__ = "manyhands"


def _attempt(
    fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[T | None, BaseException | None]:
    try:
        return fn(*args, **kwargs), None
    except KeyboardInterrupt:
        raise  # Ctrl-C is for the thread in which it came
    except BaseException as error:  # noqa: BLE001  # it is the task's
        return None, error


def _ended(result: Any, error: BaseException | None) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
    return future
