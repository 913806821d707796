"""`DeadlockError`: tasks that wait for each other."""

from __future__ import annotations


class DeadlockError(RuntimeError):
    """Tasks that wait for each other, or one that waits for itself: none of them would ever end.

    Raised by each of their waits: `result`, `exception`, `wait`, `as_completed` and the iterator of
    `map`; in threads and in worker processes, and also where some wait in the one and some in the other;
    and where what they wait for is made from the futures of others (`then`, `catch`, `gather`, `race`,
    `submit_after`, `Retry`). A wait with a timeout is no part of a deadlock, nor is what a timer ends. A
    future that has several sources may end with any of them: as long as one is not part of the deadlock,
    none is reported. Futures that a worker process has made from others itself are not seen into.

    cycle: the tasks, as tuples of a name and a place (or None): each waits for the next one, and the
        last for the first.

    A place says where the task was submitted, as the file and line of the program's own code that called
    `submit`, `map`, `submit_after` or what else submits, and where it waits. Where it was submitted is
    known of the first 10,000 tasks after a pool was made, and after any task that has waited inside a
    pool of threads; and of 10,000 different lines. It is not known of the function of `then` or `catch`:
    of these it is said where they are written.

    >>> from manyhands import DeadlockError, Future, ThreadPoolExecutor
    >>> with ThreadPoolExecutor() as executor:
    ...     own = Future()
    ...     future = executor.submit(lambda: own.result().result())
    ...     own.set_result(future)
    ...     future.exception().cycle
    [('<lambda>', 'submitted at <doctest ...>:3, waits at <doctest ...>:3')]
    """

    cycle: list[tuple[str, str | None]]

    def __init__(
        self, message: str = "", cycle: list[tuple[str, str | None]] | None = None
    ) -> None:
        super().__init__(message)
        self.cycle = cycle if cycle is not None else []


DeadlockError.__module__ = "manyhands"
