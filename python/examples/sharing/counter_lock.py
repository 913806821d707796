"""A counter under a lock: several processes add to one file, and none of it is lost. After the chapter
"Locking and Sharing Data" of "Programmer's Python: Async" (Mike James).

    python counter_lock.py [fork | spawn | forkserver]

A lock cannot be an argument of a task, with any start method: it comes to the workers by `initargs`,
when they start. It works with all three, provided that it is made by the context of the pool.
"""

import multiprocessing
import multiprocessing.synchronize
import sys
import tempfile
from pathlib import Path

import manyhands

Lock = multiprocessing.synchronize.Lock


class Shared:
    """What the initializer leaves for the tasks of its worker."""

    lock: Lock
    file: Path


def share(lock: Lock, file: Path) -> None:
    Shared.lock = lock
    Shared.file = file


def count(times: int) -> None:
    for _ in range(times):
        with Shared.lock:
            # Between reading and writing another process would read the same number.
            Shared.file.write_text(str(int(Shared.file.read_text()) + 1))


def main() -> None:
    context = multiprocessing.get_context(sys.argv[1] if len(sys.argv) > 1 else None)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "counter")
        file.write_text("0")
        with manyhands.ProcessPoolExecutor(
            4, mp_context=context, initializer=share, initargs=(context.Lock(), file)
        ) as executor:
            list(executor.map(count, [100] * 8))
        print(file.read_text())


if __name__ == "__main__":
    main()
