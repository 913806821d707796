"""Eight threads that submit, cancel, wait and add callbacks at random: nothing is lost, nothing is
done twice, and nobody waits for ever. For MANYHANDS_STRESS_SECONDS, 20 if not set."""

import concurrent.futures
import itertools
import os
import random
import threading
import time
from typing import Any

import pytest

from manyhands import (
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    CancelledError,
    Future,
    ThreadPoolExecutor,
    TimeoutError,
    as_completed,
    wait,
)

SECONDS = float(os.environ.get("MANYHANDS_STRESS_SECONDS", "20"))
THREADS = 8


class Lost(Exception):
    """What some tasks raise."""


class Record:
    """What has become of one task. Each list is appended to by whoever does it: one entry each."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ran: list[int] = []
        self.called_back: list[int] = []
        self.callbacks = 0

    def task(self) -> int:
        self.ran.append(self.number)
        if self.number % 7 == 0:
            raise Lost(self.number)
        if self.number % 1001 == 0:
            time.sleep(0.002)
        return self.number

    def callback(self, _: Future[int]) -> None:
        self.called_back.append(self.number)

    def check(self, future: Future[int]) -> None:
        """To be called when the pool has ended."""
        assert future.done()
        if future.cancelled():
            assert self.ran == []
            for ask in (future.result, future.exception):
                with pytest.raises(CancelledError):
                    ask()
        elif self.number % 7 == 0:
            assert self.ran == [self.number]
            assert isinstance(future.exception(), Lost)
        else:
            assert self.ran == [self.number]
            assert future.result() == self.number
        assert len(self.called_back) == self.callbacks


class Player(threading.Thread):
    """One of the threads; all that it does follows from its seed and the moment."""

    def __init__(self, executors: list[ThreadPoolExecutor], seed: int, until: float) -> None:
        super().__init__()
        self.executors = executors
        self.random = random.Random(seed)
        self.until = until
        self.numbers = itertools.count(seed, THREADS)
        self.submitted: list[tuple[Record, Future[int]]] = []
        self.mapped = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        moves = [self.submit] * 4 + [
            self.cancel,
            self.ask,
            self.wait,
            self.wait_for_some,
            self.complete,
            self.call_back,
            self.touch,
            self.map,
            self.leave_map,
        ]
        try:
            while time.monotonic() < self.until:
                self.random.choice(moves)()
        except BaseException as error:  # noqa: BLE001  # the test raises it
            self.error = error

    def some(self, most: int) -> list[tuple[Record, Future[int]]]:
        recent = self.submitted[-200:]
        return self.random.sample(recent, min(len(recent), self.random.randint(1, most)))

    def futures(self) -> list[Future[int]]:
        return [future for _, future in self.some(30)]

    def submit(self) -> None:
        for _ in range(self.random.randint(1, 20)):
            record = Record(next(self.numbers))
            future = self.random.choice(self.executors).submit(record.task)
            self.submitted.append((record, future))
            if self.random.random() < 0.3:
                self.add_callback(record, future)

    def add_callback(self, record: Record, future: Future[int]) -> None:
        record.callbacks += 1
        future.add_done_callback(record.callback)

    def cancel(self) -> None:
        for future in self.futures():
            future.cancel()

    def ask(self) -> None:
        for future in self.futures():
            try:
                future.result(self.random.choice([None, 0, 0.001]))
            except (CancelledError, Lost, TimeoutError):
                pass

    def wait(self) -> None:
        # A future that is only cancelled counts as soon as its worker has come by.
        futures = set(self.futures())
        function = self.random.choice([wait, concurrent.futures.wait])
        assert function(futures) == (futures, set())

    def wait_for_some(self) -> None:
        futures = set(self.futures())
        timeout = self.random.choice([None, 0, 0.001])
        done, not_done = wait(
            futures, timeout, self.random.choice([FIRST_COMPLETED, FIRST_EXCEPTION])
        )
        assert done | not_done == futures and not done & not_done
        assert done or timeout is not None or not futures

    def complete(self) -> None:
        futures = set(self.futures())
        function = self.random.choice([as_completed, concurrent.futures.as_completed])
        seen = list(function(futures))
        assert len(seen) == len(futures) and set(seen) == futures

    def call_back(self) -> None:
        for record, future in self.some(30):
            self.add_callback(record, future)

    def touch(self) -> None:
        for future in self.futures()[:3]:
            with future._condition:
                assert future._state in (
                    "PENDING",
                    "RUNNING",
                    "CANCELLED",
                    "CANCELLED_AND_NOTIFIED",
                    "FINISHED",
                )

    def map(self) -> None:
        count = self.random.randint(1, 50)
        options: Any = self.random.choice([{}, {"buffersize": 5}, {"ordered": False}])
        results = self.random.choice(self.executors).map(abs, range(count), **options)
        assert sorted(results) == list(range(count))

    def leave_map(self) -> None:
        results = self.random.choice(self.executors).map(abs, range(20))
        assert next(results) == 0


@pytest.mark.parametrize(
    "options",
    [{}, {"max_pending": 10}, {"max_pending": 10, "when_full": "caller", "context": "copy"}],
    ids=repr,
)
def test_nothing_is_lost(options: Any) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    executors = [ThreadPoolExecutor(workers, **options) for workers in (1, 4)]
    until = time.monotonic() + SECONDS / 3
    players = [Player(executors, seed * THREADS + number, until) for number in range(THREADS)]
    for player in players:
        player.start()
    for player in players:
        player.join()
    for executor in executors:
        executor.shutdown()
    for player in players:
        if player.error is not None:
            raise player.error
    count = 0
    for player in players:
        for record, future in player.submitted:
            record.check(future)
            count += 1
    assert count > 0
    for executor in executors:
        stats = executor.stats()
        assert (stats.pending, stats.running, stats.workers) == (0, 0, 0)
