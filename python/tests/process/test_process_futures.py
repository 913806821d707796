"""Futures as arguments of tasks in worker processes."""

from __future__ import annotations

import copy
import os
import pickle
import random
import signal
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tasks
from conftest import MakePool
from patience import until
from subject import STDLIB

if STDLIB:
    pytest.skip("the standard library's futures cannot be passed on", allow_module_level=True)

import passing

from manyhands import CancelledError, Future, ThreadPoolExecutor, gather
from manyhands.process import BrokenProcessPool, WorkerCrashError

pytestmark = pytest.mark.ours

Files = Callable[[str], Path]


def test_futures_of_all_kinds(pool: MakePool) -> None:
    executor = pool(2)
    plain: Future[int] = Future()
    with ThreadPoolExecutor() as threads:
        futures = [
            executor.submit(tasks.double, 1),
            threads.submit(tasks.double, 2),
            plain,
            plain.then(lambda number: number + 1),
            gather(plain, executor.submit(tasks.double, 3)),
        ]
        held = executor.submit(passing.values, {"futures": futures})
        last = executor.submit(passing.value, held)
        plain.set_result(40)
        assert last.result() == [2, 4, 40, 41, [40, 6]]
    assert held.result() == last.result()


def test_it_is_a_future_of_its_own_process(pool: MakePool) -> None:
    executor = pool(1)
    ended: Future[int] = Future()
    ended.set_result(1)
    for future in (Future[int](), ended):
        kind, _, cancelled, _ = executor.submit(passing.kind, future).result()
        assert (kind, cancelled) == (Future, False)
    assert executor.submit(passing.value, ended).result() == 1


@pytest.mark.parametrize("way", passing.WAYS)
@pytest.mark.parametrize("early", [True, False])
def test_every_way_to_collect(pool: MakePool, files: Files, way: str, early: bool) -> None:
    executor = pool(1)
    future: Future[int] = Future()
    if early:
        future.set_result(5)
    collected = executor.submit(passing.collect, way, future)
    if not early:
        until(collected.running)
        future.set_result(5)
    assert collected.result() == 5


def test_failures_and_cancellations_arrive(pool: MakePool) -> None:
    executor = pool(2, on_crash="isolate")
    with ThreadPoolExecutor() as threads:
        for failed in (executor.submit(tasks.odd_only, 2), threads.submit(tasks.odd_only, 2)):
            name, text, cause = executor.submit(passing.end_of, failed).result()
            assert (name, text) == ("ValueError", "2 is even")
            assert "in odd_only" in cause
            # And is as it was here.
            assert failed.exception().__traceback__ is not None or failed.exception().__cause__
    crashed = executor.submit(tasks.exit_hard, 3)
    assert executor.submit(passing.end_of, crashed).result()[0] == "WorkerCrashError"
    future: Future[int] = Future()
    told = executor.submit(passing.end_of, future)
    until(told.running)
    assert future.cancel()
    assert told.result()[0] == "CancelledError"
    assert executor.submit(passing.end_of, future).result()[0] == "CancelledError"


def test_a_wait_with_a_timeout(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    future: Future[int] = Future()
    waits = executor.submit(passing.impatient, future, files("late"))
    until(files("late").exists)
    future.set_result(5)
    assert waits.result() == ("TimeoutError", 5)


def test_cancelling_from_a_worker(pool: MakePool, files: Files) -> None:
    executor = pool(2)
    future: Future[int] = Future()
    assert executor.submit(passing.cancels, future).result() == (True, True)
    assert future.cancelled()
    go = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        running, pending = threads.submit(go.wait), threads.submit(go.wait)
        until(running.running)
        assert executor.submit(passing.cancels, running).result() == (False, False)
        assert executor.submit(passing.cancels_running, running).result() == (False, False)
        assert executor.submit(passing.cancels, pending).result() == (True, True)
        go.set()
    assert running.result() and pending.cancelled()
    slow = executor.submit(tasks.idle)
    until(slow.running)
    assert executor.submit(passing.cancels, slow).result() == (False, False)
    assert executor.submit(passing.cancels_running, slow).result() == (True, True)
    assert slow.cancelled()


def test_what_cannot_be_pickled_or_read_is_an_error(pool: MakePool) -> None:
    executor = pool(1)
    for early in (True, False):
        future: Future[Any] = Future()
        if early:
            future.set_result(passing.Unpicklable())
        told = executor.submit(passing.end_of, future)
        if not early:
            until(told.running)
            future.set_result(passing.Unpicklable())
        assert told.result()[:2] == ("ValueError", "not this one")
    unreadable: Future[Any] = Future()
    unreadable.set_result(passing.Unreadable())
    name, text, _ = executor.submit(passing.end_of, unreadable).result()
    assert name == "ResultError" and "not here" in text
    failed: Future[Any] = Future()
    failed.set_exception(ValueError(passing.Unpicklable()))
    assert executor.submit(passing.end_of, failed).result()[:2] == ("ValueError", "not this one")
    assert executor.submit(tasks.double, 2).result() == 4


def test_a_future_goes_nowhere_else(pool: MakePool) -> None:
    executor = pool(1)
    future: Future[int] = Future()
    for elsewhere in (pickle.dumps, copy.copy, copy.deepcopy, executor.shared):
        with pytest.raises(TypeError, match="cannot pickle 'Future' object: a future goes"):
            elsewhere(future)
    with pytest.raises(TypeError, match="cannot pickle 'Future' object"):
        executor.submit(tasks.same, future).result()
    assert executor.submit(tasks.double, 2).result() == 4


def test_futures_in_the_result_of_a_future(pool: MakePool) -> None:
    executor = pool(1)
    outer: Future[Any] = Future()
    collected = executor.submit(passing.inner_of_list, outer)
    unopened = executor.submit(passing.drops_unopened, outer)
    plain: Future[int] = Future()
    outer.set_result([executor.submit(tasks.double, 2), plain, plain])
    unopened.result()
    plain.set_result(7)
    assert collected.result() == [4, 7, 7]
    until(lambda: plain._done_callbacks == [])


def test_large_results(pool: MakePool) -> None:
    numpy = pytest.importorskip("numpy")
    executor = pool(1)
    array = numpy.arange(300_000)
    future = executor.submit(tasks.same, array)
    assert (executor.submit(passing.value, future).result() == array).all()
    plain: Future[Any] = Future()
    plain.set_result(array)
    assert (executor.submit(passing.value, plain).result() == array).all()


def test_a_pool_of_one_runs_chains(pool: MakePool) -> None:
    executor = pool(1)
    future = executor.submit(tasks.double, 1)
    for _ in range(20):
        future = executor.submit(passing.value, future)
    assert future.result() == 2
    futures = [executor.submit(tasks.double, number) for number in range(30)]
    assert executor.submit(passing.gathers, futures).result() == 870


def test_another_worker_runs_in_the_stead_of_one_that_waits(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    future: Future[int] = Future()
    waits = executor.submit(passing.value_soon, future, files("started"))
    until(files("started").exists)
    assert executor.submit(tasks.double, 2).result() == 4
    assert executor.stats().workers == 2
    future.set_result(1)
    assert waits.result() == 1
    until(lambda: executor.stats().workers == 1)


def test_from_a_worker_to_another(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    assert executor.submit(passing.passes_on, files("started"), files("go")).result() == (3, 2, 2)
    assert executor.submit(passing.passes_many, 300).result() == 2 * 44850 + 300
    future: Future[int] = Future()
    deep = executor.submit(passing.passes_what_it_got, future, 5)
    until(lambda: executor.stats().workers > 1)
    future.set_result(3)
    assert deep.result() == 3
    assert executor.submit(passing.passes_what_has_ended, future).result() == (3, 7)
    name, text = executor.submit(passing.passes_what_it_has_made).result()
    assert name == "RuntimeError" and "only when it has ended" in text


def test_failures_from_a_worker_to_another(pool: MakePool) -> None:
    executor = pool(2, on_crash="isolate")
    failed, crashed = executor.submit(passing.passes_failures).result()
    assert failed[:2] == ("ValueError", "2 is even")
    assert crashed[0] == "WorkerCrashError"


def test_what_nobody_has_any_more_is_forgotten(pool: MakePool) -> None:
    executor = pool(1)
    future: Future[int] = Future()
    for _ in range(20):
        executor.submit(passing.drops, future).result()
    until(lambda: future._done_callbacks == [])
    executor.submit(passing.keeps, future).result()
    until(lambda: len(future._done_callbacks) == 1)
    executor.submit(passing.keeps, None).result()
    until(lambda: future._done_callbacks == [])
    # Also one that the standard library has not looked into.
    lean: Future[Any] = Future()
    executor.submit(passing.drops, lean).result()
    until(lambda: executor.submit(tasks.double, 1).result() and lean._done_callbacks == [])


def test_a_future_dies_with_the_last_task_that_has_it(pool: MakePool) -> None:
    executor = pool(1)
    future: Future[int] = Future()
    here = weakref.ref(future)
    task = executor.submit(passing.value, future)
    until(task.running)
    future.set_result(1)
    del future
    assert task.result() == 1
    until(lambda: here() is None)


def test_it_outlives_its_task(pool: MakePool) -> None:
    executor = pool(1)
    future: Future[int] = Future()
    executor.submit(passing.keeps, future).result()
    future.set_result(6)
    assert executor.submit(passing.value_of_kept).result() == 6


def test_a_worker_is_killed_while_it_waits(pool: MakePool) -> None:
    executor = pool(1, on_crash="isolate")
    future: Future[int] = Future()
    pid = executor.submit(passing.keeps, None).result()
    waits = executor.submit(passing.value, future)
    until(lambda: len(future._done_callbacks) == 1)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerCrashError):
        waits.result()
    until(lambda: future._done_callbacks == [])
    again = executor.options(retries=1).submit(passing.value, future)
    until(lambda: len(future._done_callbacks) == 1)
    future.set_result(1)
    assert again.result() == 1


@pytest.mark.parametrize("how", ["terminate_workers", "kill_workers"])
def test_waits_end_with_the_pool(pool: MakePool, how: str) -> None:
    executor = pool(2)
    future: Future[int] = Future()
    waits = executor.submit(passing.value, future)
    until(lambda: len(future._done_callbacks) == 1)
    getattr(executor, how)()
    with pytest.raises(BrokenProcessPool):
        waits.result()
    until(lambda: future._done_callbacks == [])


def test_shutdown_waits_for_those_who_wait(pool: MakePool) -> None:
    executor = pool(1)
    future: Future[int] = Future()
    waits = executor.submit(passing.value, future)
    until(lambda: len(future._done_callbacks) == 1)
    executor.shutdown(wait=False)
    future.set_result(1)
    assert waits.result() == 1
    executor.shutdown()


def test_a_task_that_times_out_while_it_waits(pool: MakePool) -> None:
    executor = pool(1)
    future: Future[int] = Future()
    late = executor.options(timeout=0.1).submit(passing.value, future)
    assert type(late.exception()).__name__ == "TaskTimeoutError"
    until(lambda: future._done_callbacks == [])
    future.cancel()
    with pytest.raises(CancelledError):
        future.result()


def test_workers_are_killed_as_futures_go_round(pool: MakePool) -> None:
    """Chaos: whatever dies, each task ends, and nothing is left of it here."""
    executor = pool(2, on_crash="isolate")
    chance = random.Random(1)
    plain: list[Future[int]] = [Future() for _ in range(5)]
    end = time.monotonic() + float(os.environ.get("MANYHANDS_CHAOS_SECONDS", "4")) / 2
    ends: set[str] = set()
    seed = 0
    while time.monotonic() < end or len(ends) < 2:
        one: Future[int] = Future()
        futures = [*plain, one]
        for _ in range(6):
            seed += 1
            some = chance.sample(futures, 3)
            futures.append(executor.submit(passing.deadly, some, seed))
        for future in plain:
            if not future.done():
                future.set_result(1)
        one.set_result(2)
        for future in futures:
            error = future.exception()
            ends.add(type(error).__name__)
            known = (WorkerCrashError, CancelledError, BrokenProcessPool)
            assert error is None or isinstance(error, known), error
        plain = [Future() for _ in range(5)]
    assert executor.submit(tasks.double, 2).result() == 4
