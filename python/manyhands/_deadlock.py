"""`DeadlockError`: tasks that wait for each other."""

from __future__ import annotations


class DeadlockError(RuntimeError):
    """Tasks that wait for each other, or one that waits for itself: none of them would ever end.

    Raised by each of their waits: `result`, `exception`, `wait`, `as_completed` and the iterator of
    `map`; in threads and in worker processes, and also where some wait in the one and some in the other.
    A wait with a timeout is no part of a deadlock.

    cycle: the tasks, as tuples of a name and a place (or None): each waits for the next one, and the
        last for the first.

    >>> from manyhands import DeadlockError, Future, ThreadPoolExecutor
    >>> with ThreadPoolExecutor() as executor:
    ...     own = Future()
    ...     future = executor.submit(lambda: own.result().result())
    ...     own.set_result(future)
    ...     type(future.exception())
    <class 'manyhands.DeadlockError'>
    """

    cycle: list[tuple[str, str | None]]

    def __init__(
        self, message: str = "", cycle: list[tuple[str, str | None]] | None = None
    ) -> None:
        super().__init__(message)
        self.cycle = cycle if cycle is not None else []


DeadlockError.__module__ = "manyhands"
