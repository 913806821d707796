"""`Future`: the native one, and the standard library's for its other base."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core, _stdlib

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from . import _compose


class Future(_core.Future, _stdlib.Future):
    """What `submit` returns: a task's result, when it is there.

    It is a `concurrent.futures.Future` for whoever asks, and `await future` works inside asyncio.

    >>> from manyhands import ThreadPoolExecutor
    >>> with ThreadPoolExecutor() as executor:
    ...     future = executor.submit(pow, 2, 10)
    >>> future
    <Future at 0x... state=finished returned int>
    >>> future.result()
    1024
    """

    # Not the standard library's, which makes a condition: there is nothing to do.
    __init__ = object.__init__

    if not TYPE_CHECKING:  # which would take it that a future may have any attribute

        def __setattr__(self, name, value):
            self._show()
            super().__setattr__(name, value)

        @property
        def __dict__(self):
            self._show()
            return _stdlib.Future.__dict__["__dict__"].__get__(self)

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the result in asyncio; cancelling the wait cancels the future.

        >>> import asyncio
        >>> from manyhands import ThreadPoolExecutor
        >>> async def main():
        ...     with ThreadPoolExecutor() as executor:
        ...         return await executor.submit(pow, 2, 10)
        >>> asyncio.run(main())
        1024
        """
        import asyncio  # not before: it is long to import, and few programs come here

        return asyncio.wrap_future(self).__await__()

    def then(self, fn: Callable[[Any], Any]) -> Future:
        """A future with `fn` of this one's value.

        `fn` is called in the thread that ends this future, as callbacks are; long work belongs on an
        executor (`submit_after`). If `fn` returns a future, the new one ends as that does; what `fn`
        raises is its exception. If this future fails or is cancelled, `fn` is not called, and the new
        one fails with the same exception or is cancelled. Cancelling the new one leaves this one alone.

        >>> from manyhands import ThreadPoolExecutor
        >>> with ThreadPoolExecutor() as executor:
        ...     length = executor.submit(str.upper, "four").then(len)
        ...     square = length.then(lambda n: executor.submit(pow, n, 2))
        ...     length.result(), square.result()
        (4, 16)
        """
        from . import _compose

        return _compose.then(self, fn)

    def catch(
        self, fn: Callable[[Any], Any], exceptions: _compose.Exceptions = Exception
    ) -> Future:
        """A future with this one's value or, if it fails, with `fn` of its exception.

        Only of those that `exceptions` names, a class or a tuple of classes as for `except`. A future
        that was cancelled stays so. All else is as for `then`.

        >>> from manyhands import ThreadPoolExecutor
        >>> with ThreadPoolExecutor() as executor:
        ...     number = executor.submit(int, "x").catch(lambda error: 0, ValueError)
        ...     number.result()
        0
        """
        from . import _compose

        return _compose.catch(self, fn, exceptions)

    def with_timeout(self, seconds: float) -> Future:
        """A future that ends as this one does, or with TimeoutError when so many seconds are over.

        This one is left alone: to end its task too, cancel it.

        >>> from manyhands import Future
        >>> never = Future()
        >>> never.with_timeout(0.01).exception()
        TimeoutError('the future has not ended within 0.01 seconds')
        >>> never.done()
        False
        """
        from . import _compose

        return _compose.with_timeout(self, seconds)


Future.__module__ = "manyhands"
_core._set_future_type(Future)
