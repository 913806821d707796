"""`InlineExecutor`: runs each task in the thread that submits it. The smallest executor there can be, and
so the example of one; deterministic, and so good for tests (cpython#80576).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ._executor import Executor
from ._future import Future

if TYPE_CHECKING:
    from collections.abc import Callable

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

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call `fn(*args, **kwargs)` and return a future with what came of it.

        >>> from manyhands import InlineExecutor
        >>> InlineExecutor().submit(int, "x").exception()
        ValueError("invalid literal for int() with base 10: 'x'")
        """
        if self._is_shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        _run(future, fn, args, kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept nothing any more; there is nothing to wait for, and nothing to cancel.

        >>> from manyhands import InlineExecutor
        >>> executor = InlineExecutor()
        >>> executor.shutdown()
        """
        self._is_shut_down = True


InlineExecutor.__module__ = "manyhands"


def _run(
    future: Future[T] | None, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert future is not None
    try:
        result = fn(*args, **kwargs)
    except BaseException as error:
        future.set_exception(error)
        # The error's traceback knows this frame, which shall not know the future.
        future = None
        if isinstance(error, KeyboardInterrupt):
            raise  # Ctrl-C is for the thread in which it came
    else:
        future.set_result(result)
