"""Words counted by several processes in one dictionary, which a manager process holds. After the
chapter "Using a Process Manager to Share Resources" of "Programmer's Python: Async" (Mike James).

    python words_manager.py [fork | spawn | forkserver]

What a manager gives are proxies: they work with every start method, whichever context made them, by
`initargs` as here or as arguments of tasks. Each use is a message to the manager and back, and only
single calls are one step: `counts[word] += 1` is two, hence the lock.
"""

import multiprocessing
import sys
from contextlib import AbstractContextManager
from typing import Any

import manyhands

LINES = ["the quick brown fox", "jumps over the lazy dog", "the dog sleeps", "the fox does not"]


class Shared:
    """What the initializer leaves for the tasks of its worker."""

    counts: Any
    lock: AbstractContextManager[Any]


def share(counts: Any, lock: AbstractContextManager[Any]) -> None:
    Shared.counts = counts
    Shared.lock = lock


def count(line: str) -> None:
    for word in line.split():
        with Shared.lock:
            Shared.counts[word] = Shared.counts.get(word, 0) + 1


def main() -> None:
    context = multiprocessing.get_context(sys.argv[1] if len(sys.argv) > 1 else None)
    with context.Manager() as manager:
        counts, lock = manager.dict(), manager.Lock()
        with manyhands.ProcessPoolExecutor(
            4, mp_context=context, initializer=share, initargs=(counts, lock)
        ) as executor:
            list(executor.map(count, LINES * 25))
        for word, times in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:3]:
            print(f"{times:4} {word}")


if __name__ == "__main__":
    main()
