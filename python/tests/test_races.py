"""Waiting, asking and cancelling while the workers end the tasks: thousands of rounds each."""

import concurrent.futures
import itertools
import threading
import time
from typing import Any

import pytest

import manyhands
from manyhands import FIRST_COMPLETED

SOON = 0.05
ROUNDS = 5000

AnyFuture = concurrent.futures.Future[Any]

WAITS = pytest.mark.parametrize(
    "wait", [manyhands.wait, concurrent.futures.wait], ids=["wait", "stdlib's wait"]
)


@pytest.mark.parametrize(
    "race",
    [
        lambda futures: len(concurrent.futures.wait(futures).done),
        lambda futures: len(list(concurrent.futures.as_completed(futures))),
        lambda futures: (
            len(concurrent.futures.wait(futures[:1]).done)
            + len(list(manyhands.as_completed(futures)))
            - 1
        ),
        lambda futures: len(manyhands.wait(futures).done),
        lambda futures: sum(
            len(manyhands.wait([it], None, FIRST_COMPLETED).done) for it in futures
        ),
        lambda futures: len(list(manyhands.as_completed(futures))),
        lambda futures: sum(it._condition is not None and it.result() == 0 for it in futures),
        lambda futures: sum(
            it._state in ("PENDING", "RUNNING", "FINISHED") and it.result() == 0 for it in futures
        ),
    ],
    ids=[
        "stdlib wait",
        "stdlib as_completed",
        "stdlib and ours",
        "wait",
        "wait for first",
        "as_completed",
        "condition",
        "state",
    ],
)
def test_races_with_the_workers(race: Any) -> None:
    with manyhands.ThreadPoolExecutor(2) as ours, concurrent.futures.ThreadPoolExecutor(1) as other:
        for number in range(ROUNDS):
            futures: list[AnyFuture] = [ours.submit(int) for _ in range(3)]
            if number % 8 == 0:
                futures.append(other.submit(int))
            assert race(futures) == len(futures)
            assert [future.result() for future in futures] == [0] * len(futures)


def cancel_half(futures: list[AnyFuture]) -> None:
    for future in futures[::2]:
        future.cancel()


def test_races_with_cancel() -> None:
    """Half the tasks are cancelled while others wait; all who wait must be told."""
    with manyhands.ThreadPoolExecutor(2) as executor:
        for number in range(ROUNDS):
            futures: list[AnyFuture] = [executor.submit(int) for _ in range(6)]
            thread = threading.Thread(target=cancel_half, args=(futures,))
            thread.start()
            if number % 2:
                done = concurrent.futures.wait(futures).done
            else:
                done = set(manyhands.as_completed(futures))
            thread.join()
            assert done == set(futures)
            assert all(future.cancelled() or future.result() == 0 for future in futures)


@WAITS
@pytest.mark.parametrize(
    "steps", list(itertools.permutations(["wait", "cancel", "touch"])), ids=" ".join
)
def test_a_task_that_is_cancelled_and_touched_while_it_is_pending(wait: Any, steps: Any) -> None:
    """Its worker, who comes by at last, tells whoever waits."""
    go = threading.Event()
    found: list[Any] = []
    with manyhands.ThreadPoolExecutor(1) as executor:
        executor.submit(go.wait)
        future = executor.submit(int)
        thread = threading.Thread(target=lambda: found.append(wait([future])))
        try:
            for step in steps:
                if step == "wait":
                    thread.start()
                    time.sleep(SOON)
                elif step == "cancel":
                    assert future.cancel()
                else:
                    assert future._condition is not None and not future.running()
        finally:
            go.set()
        thread.join()
    assert found == [({future}, set())]
    assert future._state == "CANCELLED_AND_NOTIFIED"


def test_the_next_completed_over_and_over() -> None:
    """The loop that takes what has ended, and waits for the rest, over and over."""
    with manyhands.ThreadPoolExecutor(2) as executor:
        pending = {executor.submit(abs, number) for number in range(1000)}
        total = 0
        while pending:
            done, pending = manyhands.wait(pending, return_when=FIRST_COMPLETED)
            assert done
            total += sum(future.result() for future in done)
        assert total == sum(range(1000))
