"""A number in shared memory, counted up by several processes: `multiprocessing.Value`. After the
chapter "Locking and Sharing Data" of "Programmer's Python: Async" (Mike James).

    python counter_value.py [fork | spawn | forkserver]

A `Value` cannot be an argument of a task, with any start method: it comes to the workers by
`initargs`, when they start. It works with all three, provided that it is made by the context of the
pool. Its own lock makes reading and writing one step.
"""

import multiprocessing
import sys
from typing import Any

import manyhands


class Shared:
    """What the initializer leaves for the tasks of its worker."""

    counter: Any


def share(counter: Any) -> None:
    Shared.counter = counter


def count(times: int) -> None:
    for _ in range(times):
        with Shared.counter.get_lock():
            Shared.counter.value += 1


def main() -> None:
    context = multiprocessing.get_context(sys.argv[1] if len(sys.argv) > 1 else None)
    counter = context.Value("i", 0)
    with manyhands.ProcessPoolExecutor(
        4, mp_context=context, initializer=share, initargs=(counter,)
    ) as executor:
        list(executor.map(count, [1000] * 8))
    print(counter.value)


if __name__ == "__main__":
    main()
