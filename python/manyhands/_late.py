"""Tasks that are submitted later, when others have ended: `submit_after`."""

from __future__ import annotations

import contextvars
import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from . import _compose, _core, _onward, _stdlib
from ._core import _derive, _follow, _hear_of, _take
from ._future import Future

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor as AnyExecutor
    from concurrent.futures import Future as AnyFuture

T = TypeVar("T")


class DependencyError(RuntimeError):
    """A task was not run, for a future among its arguments has failed; that one's exception is the cause.

    >>> from manyhands import ThreadPoolExecutor
    >>> with ThreadPoolExecutor() as executor:
    ...     failed = executor.submit(int, "x")
    ...     error = executor.submit_after(abs, failed).exception()
    >>> error
    DependencyError('abs was not run, for a future that it depends on has failed')
    >>> error.__cause__
    ValueError("invalid literal for int() with base 10: 'x'")
    """


class Late(Future[T]):
    """The future of a task that is submitted later: pending until then, and from then on as the task's
    own is.
    """

    _inner: AnyFuture[T] | None = None

    def running(self) -> bool:
        inner = self._inner
        return inner is not None and inner.running() and not self.done()

    def cancel(self) -> bool:
        inner = self._inner
        if inner is not None and not inner.cancel():
            return self.cancelled()
        return super().cancel()

    def cancel_running(self) -> bool:
        inner = self._inner
        if inner is not None and not stop(inner):
            return self.cancelled()
        return super().cancel_running()


def stand_for(future: Late[Any], inner: AnyFuture[Any], step: _onward.Step) -> None:
    """In a step: from here on, a late future stands for `inner`; the step is for when that has ended."""
    future._inner = inner
    _follow(future, inner)
    # Cancelled meanwhile, it could not know of this one.
    if future.cancelled():
        stop(inner)
    _onward.then_when_done(inner, step, future)


def stop(future: AnyFuture[Any]) -> bool:
    """Cancel it, also if it is running, where that can be done."""
    if isinstance(future, _core.Future):
        return future.cancel_running()
    return future.cancel()


# Where an argument goes: its index, or its name.
Place = int | str


def submit_after(
    executor: AnyExecutor, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Late[T]:
    """A future that is `fn`'s, submitted when the futures among its arguments have ended."""
    _compose.check_callable(fn)
    call = _Call(executor, fn, args, kwargs)
    futures = call.take_futures()
    future: Late[T] = _derive(Late, call, tuple(futures.values()))
    make_known(executor, future)
    if not futures:
        _onward.run(partial(_submit, {}), future, future)
        return future
    values: dict[Place, Any] = {}
    # However it ends: nobody wants the values any more.
    future.add_done_callback(partial(_compose.clear, values))
    for index, (place, source) in enumerate(futures.items()):
        _onward.when_done(source, partial(_put, values, len(futures), index, place), future)
    return future


class _Call:
    """A call and its executor, and the context and place that it is submitted in, whichever thread does
    that.
    """

    __slots__ = ("args", "context", "executor", "fn", "kwargs", "place")

    def __init__(
        self,
        executor: AnyExecutor,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.executor = executor
        self.context = contextvars.copy_context()
        self.place = _core._place()
        self.fn = fn
        self.args = list(args)
        self.kwargs = kwargs

    def take_futures(self) -> dict[Place, AnyFuture[Any]]:
        """The futures among the arguments, which are no longer here: each may be the last to know of a
        large value.
        """
        futures: dict[Place, AnyFuture[Any]] = {}
        for index, arg in enumerate(self.args):
            if isinstance(arg, _stdlib.Future):
                futures[index] = arg
        for name, arg in self.kwargs.items():
            if isinstance(arg, _stdlib.Future):
                futures[name] = arg
        for place in futures:
            self.put(place, None)
        return futures

    def put(self, place: Place, value: object) -> None:
        if isinstance(place, int):
            self.args[place] = value
        else:
            self.kwargs[place] = value

    def submit(self) -> AnyFuture[Any]:
        submit = _core._submit_at
        return self.context.run(
            submit, self.place, self.executor, self.fn, *self.args, **self.kwargs
        )


def _put(
    values: dict[Place, Any],
    count: int,
    index: int,
    place: Place,
    future: Late[Any],
    source: AnyFuture[Any],
) -> None:
    """A step: one of the arguments is there, or will never be."""
    if future.done():
        return
    if source.cancelled():
        _onward.cancel(future)
        return
    error = source.exception()
    if error is not None:
        _fail(future, error)
        return
    values[place] = source.result()
    _hear_of(future, index)
    if len(values) == count:
        _submit(values, future, source)


def _fail(future: Late[Any], error: BaseException) -> None:
    call = _take(future, False)
    if call is not None:
        name = getattr(call.fn, "__qualname__", None) or repr(call.fn)
        failed = DependencyError(f"{name} was not run, for a future that it depends on has failed")
        failed.__cause__ = error
        _onward.fail(future, failed)


def _submit(values: dict[Place, Any], future: Late[Any], _: object) -> None:
    # Of two who find the values complete, one takes it.
    call = _take(future, False)
    if call is None:
        return
    for place, value in values.items():
        call.put(place, value)
    values.clear()
    stand_for(future, call.submit(), _onward.follow)


def make_known(executor: AnyExecutor, future: Future[Any]) -> None:
    """Tell a pool of a task that it will be given: it is not to shut down before."""
    late: set[Future[Any]] | None = getattr(executor, "_late", None)
    if late is not None:
        late.add(future)
        future.add_done_callback(late.discard)


def before_shutdown(
    late: Iterable[AnyFuture[Any]], wait: bool, cancel: bool, timeout: float | None = None
) -> float | None:
    """What a pool does about such tasks before it shuts down; what is left of the time."""
    if not late:
        return timeout
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    try:
        # They leave the set a moment after they have ended.
        while wait and not cancel and (futures := [one for one in list(late) if not one.done()]):
            if _core.wait(futures, _left(deadline)).not_done:
                break
    except KeyboardInterrupt:
        cancel = True
        raise
    finally:
        if cancel:
            for future in list(late):
                future.cancel()
    return _left(deadline)


def _left(deadline: float) -> float | None:
    return None if deadline == math.inf else max(0.0, deadline - time.monotonic())


DependencyError.__module__ = "manyhands"
