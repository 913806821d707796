"""`Future`: the native one, and the standard library's for its other base."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core, _stdlib

if TYPE_CHECKING:
    from collections.abc import Generator


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


Future.__module__ = "manyhands"
_core._set_future_type(Future)
