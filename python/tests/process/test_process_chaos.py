"""Workers killed, stopped and ended at random, for MANYHANDS_CHAOS_SECONDS (10 if not set, which makes a
minute for all six): every task is accounted for, each runs as often as it may, and nothing is left.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tasks
import trouble
from conftest import MakePool
from errors import outcome
from family import is_alive, workers
from patience import until
from subject import STDLIB, CancelledError, wait

if not STDLIB:
    from manyhands.process import TaskTimeoutError, WorkerCrashError

pytestmark = pytest.mark.ours

SECONDS = float(os.environ.get("MANYHANDS_CHAOS_SECONDS", "10"))
SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGSTOP, signal.SIGABRT]

# So many tasks at a time.
MOST_PENDING = 300
DATA = os.urandom(1 << 10) * 200

Files = Callable[[str], Path]


class Saboteur(threading.Thread):
    """Does harm to workers from outside; not to the newborn, for a pool whose workers all die before
    they have begun is right to give up.
    """

    def __init__(self, seed: int, pids: Path) -> None:
        super().__init__()
        self.pids = pids
        self.random = random.Random(seed)
        self.over = threading.Event()
        self.done: Counter[str] = Counter()
        self.stopped: list[int] = []

    def run(self) -> None:
        while not self.over.wait(self.random.uniform(0.001, 0.15)):
            begun = set(self.pids.read_text().split()) if self.pids.exists() else set()
            alive = [worker.pid for worker in workers() if str(worker.pid) in begun]
            if not alive:
                continue
            pid, harm = self.random.choice(alive), self.random.choice(SIGNALS)
            try:
                os.kill(pid, harm)
            except ProcessLookupError:
                continue
            self.done[harm.name] += 1
            if harm == signal.SIGSTOP:
                self.stopped.append(pid)
            if self.stopped and self.random.random() < 0.3:
                self.wake(self.stopped.pop())

    def wake(self, pid: int) -> None:
        """Some go on after a while; the others are for the timeouts of their tasks."""
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass


@pytest.mark.timeout(300 + 3 * SECONDS)
@pytest.mark.parametrize("retries", [0, 2])
def test_every_task_is_accounted_for(pool: MakePool, files: Files, retries: int) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    executor = pool(3, on_crash="isolate", retries=retries, timeout=0.5, grace=0.05)
    kinds: list[Any] = [
        lambda n: executor.submit(tasks.run_noted, files("ran"), n, tasks.double, n),
        lambda n: executor.submit(tasks.run_noted, files("ran"), n, tasks.slow, 0.002, 2 * n),
        lambda n: executor.submit(tasks.run_noted, files("ran"), n, tasks.second, DATA, 2 * n),
    ]
    # Those that do harm from inside, and what may become of them.
    harmful: list[Any] = [
        lambda n: executor.submit(tasks.kill_self),
        lambda n: executor.submit(tasks.exit_hard, n % 3),
        lambda n: executor.submit(tasks.slow, tasks.HOUR),
        lambda n: executor.submit(trouble.make, trouble.NotLoadable),
        lambda n: executor.submit(trouble.raises_named, "two arguments"),
        lambda n: executor.submit(tasks.same, trouble.Unpicklable()),
    ]
    saboteur = Saboteur(seed, files("pids"))
    saboteur.start()
    submitted: dict[int, Any] = {}
    harm: list[Any] = []
    cancelled: set[int] = set()
    end = time.monotonic() + SECONDS
    try:
        for number in itertools.count():
            if time.monotonic() > end:
                break
            submitted[number] = chance.choice(kinds)(number)
            if chance.random() < 0.01:
                harm.append(chance.choice(harmful)(number))
            if chance.random() < 0.01:
                victim = chance.choice(list(submitted)[-MOST_PENDING:])
                if submitted[victim].cancel_running():
                    cancelled.add(victim)
            if number % MOST_PENDING == MOST_PENDING - 1:
                wait(list(submitted.values())[-MOST_PENDING:] + harm)
        wait([*submitted.values(), *harm])
    finally:
        saboteur.over.set()
        saboteur.join()
        for pid in saboteur.stopped:
            saboteur.wake(pid)

    ran = Counter(map(int, files("ran").read_text().split()))
    told: Counter[str] = Counter()
    for number, future in submitted.items():
        found = outcome(future)
        told[type(found).__name__] += 1
        if isinstance(found, CancelledError):
            assert number in cancelled
        elif isinstance(found, WorkerCrashError):
            assert number not in cancelled
        elif isinstance(found, TaskTimeoutError):
            pass  # its worker was stopped, or the machine was slow
        else:
            assert found == 2 * number
            assert ran[number] >= 1
        assert ran[number] <= retries + 1
    assert all(future.done() for future in harm)
    print(dict(told), dict(saboteur.done))
    assert told["int"] > 0 and sum(saboteur.done.values()) > 0

    # And the pool is as good as new.
    assert [executor.submit(tasks.double, n).result() for n in range(20)] == list(range(0, 40, 2))
    pids = [worker.pid for worker in workers()]
    executor.shutdown()
    until(lambda: not any(is_alive(pid) for pid in pids if pid))
