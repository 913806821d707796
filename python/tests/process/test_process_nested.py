"""Tasks that submit to the pool that they run in, and wait for what they have submitted: what deadlocks
in the standard library.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tasks
from conftest import MakePool
from patience import until
from subject import STDLIB, BrokenProcessPool, CancelledError

if not STDLIB:
    import nesting

    from manyhands import current_executor
    from manyhands.process import WorkerCrashError

pytestmark = pytest.mark.ours

Files = Callable[[str], Path]


@pytest.mark.parametrize("size", [1, 2])
def test_recursion_ends(pool: MakePool, size: int) -> None:
    executor = pool(size)
    assert executor.submit(nesting.fib, 10).result() == 55
    items = random.Random(7).sample(range(1000), 60)
    assert executor.submit(nesting.sort, items).result() == sorted(items)


def test_the_pool_can_be_an_argument(pool: MakePool) -> None:
    executor = pool(1)
    assert executor.submit(nesting.with_executor, executor, 5).result() == (15, True)
    with pytest.raises(TypeError, match="can only be sent to tasks of its own"):
        pickle.dumps(executor)
    other = pool(1)
    with pytest.raises(TypeError, match="can only be sent to tasks of its own"):
        other.submit(nesting.with_executor, executor, 1).result()


def test_nobody_else_has_a_current_executor(pool: MakePool) -> None:
    executor = pool(1)
    assert executor.submit(nesting.has_executor).result()
    assert not executor.submit(nesting.has_executor_after_fork).result()
    with pytest.raises(RuntimeError, match="is for tasks"):
        current_executor()


@pytest.mark.parametrize("way", [] if STDLIB else nesting.WAYS)
def test_collecting_with_one_worker(pool: MakePool, way: str) -> None:
    assert pool(1).submit(nesting.collect, way).result() == sum(range(0, 80, 2))


@pytest.mark.parametrize("way", [] if STDLIB else nesting.WAYS_WITHOUT_WAITING)
def test_collecting_with_two_workers(pool: MakePool, way: str) -> None:
    assert pool(2).submit(nesting.collect, way).result() == sum(range(0, 80, 2))


def test_what_nobody_has_begun_runs_in_place(pool: MakePool) -> None:
    executor = pool(1)
    own, inner = executor.submit(nesting.in_place).result()
    assert own == inner
    assert executor.stats().workers == 1


def test_another_worker_runs_in_the_stead_of_one_that_waits(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    future = executor.submit(nesting.elsewhere, files("started"), files("go"))
    until(files("started").exists)
    assert executor.stats().workers == 2
    files("go").touch()
    own, inner = future.result()
    assert own != inner
    until(lambda: executor.stats().workers == 1)
    assert executor.submit(tasks.double, 2).result() == 4


def test_errors_come_back(pool: MakePool) -> None:
    executor = pool(2, on_crash="isolate")
    assert executor.submit(nesting.told_of, tasks.odd_only, 2).result() == (
        "ValueError",
        "2 is even",
    )
    name, text = executor.submit(nesting.told_of, tasks.exit_hard, 3).result()
    assert name == "WorkerCrashError"
    for part in ("exited with code 3", "exit_hard(3)", "nesting.py:"):
        assert part in text
    assert executor.submit(nesting.hurries).result() == "TaskTimeoutError"
    assert executor.submit(nesting.sends, "lambda").result() in (
        "sent",
        "PicklingError",
        "AttributeError",
    )


def test_cancelling(pool: MakePool, files: Files) -> None:
    executor = pool(2)
    answers = executor.submit(nesting.cancels, files("started"), files("go")).result()
    assert answers == [True, True, False, True, True]


def test_large_arrays(pool: MakePool) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.ones(300_000)
    assert pool(1).submit(nesting.large, array).result() == 600_000


def test_the_limit(pool: MakePool, start: str) -> None:
    if start != "fork":
        pytest.skip("sixty processes take long to start")
    executor = pool(1)
    assert executor.submit(nesting.chain, 5).result() == 5
    error = executor.submit(nesting.chain, 70).result()
    assert "all 62 that the pool may have" in error and error.endswith("(62)")
    assert executor.submit(tasks.double, 2).result() == 4


def test_shutdown_refuses_what_comes_late_and_loses_nothing(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    future = executor.submit(nesting.submits_late, files("started"), files("go"))
    until(files("started").exists)
    executor.shutdown(wait=False)
    files("go").touch()
    assert future.result() == ("cannot schedule new futures after shutdown", 42)


def test_what_a_task_leaves_behind_is_run(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    executor.submit(nesting.leaves_behind, files("mark")).result()
    executor.shutdown()
    assert files("mark").exists()


def test_what_a_dead_worker_had_pending_is_cancelled(pool: MakePool, files: Files) -> None:
    executor = pool(1, on_crash="isolate")
    future = executor.submit(nesting.leaves_pending, files("started"), files("mark"))
    until(files("started").exists)
    until(lambda: executor.stats().pending == 20)
    assert future.cancel_running()
    until(lambda: executor.stats().pending == 0)
    assert executor.submit(tasks.double, 2).result() == 4
    assert not files("mark").exists()


def test_a_wait_ends_with_its_pool(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    future = executor.submit(nesting.elsewhere, files("started"), files("go"))
    until(files("started").exists)
    executor.kill_workers()
    with pytest.raises(BrokenProcessPool):
        future.result()


def test_a_crash_breaks_the_pool_also_for_those_who_wait(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    future = executor.submit(nesting.elsewhere, files("started"), files("go"))
    until(files("started").exists)
    os.kill(int(files("started").read_text()), signal.SIGKILL)
    with pytest.raises(BrokenProcessPool):
        future.result()


def test_a_pool_in_a_worker_has_workers_of_its_own(pool: MakePool, start: str) -> None:
    if start == "forkserver":
        pytest.skip("one fork server is enough")
    assert pool(1).submit(nesting.in_a_pool_of_its_own, start).result() == (8, 8)


def test_workers_are_killed_while_they_wait(pool: MakePool) -> None:
    """Chaos: whatever dies, each task ends, and the pool goes on."""
    executor = pool(2, on_crash="isolate")
    seed, ends = 0, set()
    end = time.monotonic() + float(os.environ.get("MANYHANDS_CHAOS_SECONDS", "4")) / 2
    while time.monotonic() < end or len(ends) < 2:
        innocent = executor.submit(nesting.fib, 4)
        futures = []
        for _ in range(4):
            seed += 1
            futures.append(executor.submit(nesting.deadly_fib, 6, 0x7FFFFFFF, seed))
        for future in futures:
            error = future.exception()
            ends.add(type(error).__name__)
            if error is None:
                assert future.result() == 8
            else:
                known = (WorkerCrashError, CancelledError, ProcessLookupError)
                assert isinstance(error, known), error
        assert innocent.result() == 3
    assert executor.submit(nesting.fib, 8).result() == 21
