"""Futures made from those of worker processes, tasks that wait for them, and scopes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tasks
from conftest import MakePool
from family import is_alive
from patience import until
from subject import STDLIB, CancelledError
from whole_programs import ended

if not STDLIB:
    from manyhands import (
        DependencyError,
        Retry,
        ThreadPoolExecutor,
        delay,
        gather,
        race,
        task_scope,
    )
    from manyhands.process import WorkerCrashError

pytestmark = pytest.mark.ours

Files = Callable[[str], Path]


def test_futures_are_made_from_those_of_processes(pool: MakePool) -> None:
    executor = pool(2)
    futures = [executor.submit(tasks.double, number) for number in range(20)]
    doubled_again = [future.then(lambda n: executor.submit(tasks.double, n)) for future in futures]
    assert gather(*doubled_again).then(sum).result() == 4 * sum(range(20))
    failing = executor.submit(tasks.odd_only, 2)
    assert failing.catch(str, ValueError).result() == "2 is even"
    assert race(executor.submit(tasks.double, 4), delay(3600)).result() == 8


def test_tasks_wait_for_others_in_processes_and_threads(pool: MakePool) -> None:
    processes = pool(2)
    with ThreadPoolExecutor(2) as threads:
        four = threads.submit_after(tasks.double, processes.submit(tasks.double, 1))
        eight = processes.options(timeout=60).submit_after(tasks.double, four)
        assert processes.submit_after(pow, eight, four).result() == 8**4
        failed = processes.submit_after(tasks.double, processes.submit(tasks.odd_only, 2))
        error = failed.exception()
    assert isinstance(error, DependencyError) and isinstance(error.__cause__, ValueError)


def test_what_cannot_be_pickled_is_the_exception(pool: MakePool) -> None:
    executor = pool(1, pickler="pickle")
    late = executor.submit_after(tasks.same, executor.submit(tasks.double, 1), lambda: None)
    assert late.exception() is not None
    assert executor.submit(tasks.double, 1).result() == 2


def test_leaving_the_pool_waits_for_what_is_still_to_be_submitted(pool: MakePool) -> None:
    with pool(1) as executor:
        late: Any = executor.submit(tasks.slow, 0.05, 1)
        for _ in range(3):
            late = executor.submit_after(tasks.double, late)
        other = executor.options(timeout=60).submit_after(tasks.double, delay(0.05, 2))
    assert (late.result(0), other.result(0)) == (8, 4)


def test_a_running_one_that_came_late_can_be_cancelled(pool: MakePool, files: Files) -> None:
    executor = pool(1, grace=0.05)
    late = executor.submit_after(tasks.sleep_for_an_hour, delay(0, files("started")))
    until(files("started").exists)
    assert late.running() and not late.cancel()
    assert late.cancel_running() and late.cancelled()
    assert executor.submit(tasks.double, 1).result() == 2


def test_a_task_is_tried_again(pool: MakePool, files: Files) -> None:
    executor = pool(1, on_crash="isolate")
    retry = Retry(3, first_delay=0.001)
    future = retry.submit(executor, tasks.die_first_times, files("pids"), 2, "alive")
    assert future.result() == "alive"


def test_the_first_failure_stops_what_runs_in_processes(pool: MakePool, files: Files) -> None:
    executor = pool(2, grace=0.05)
    with pytest.raises(ValueError, match="2 is even"), task_scope(executor) as scope:
        sleeping = scope.submit(tasks.sleep_for_an_hour, files("started"))
        failing = scope.submit(tasks.tell_and, files("failing"), files("go"), tasks.odd_only, 2)
        pending = [scope.submit(tasks.noted, files("ran"), "ran") for _ in range(20)]
        until(files("started").exists)
        files("go").touch()
    assert sleeping.cancelled() and failing.exception(0)
    # All but those that were on their way to a worker when it failed.
    assert all(future.done() for future in pending)
    until(lambda: not is_alive(int(files("started").read_text())))
    assert executor.submit(tasks.double, 1).result() == 2


def test_in_asyncio_too(pool: MakePool, files: Files) -> None:
    executor = pool(2, grace=0.05)

    async def main() -> None:
        async with task_scope(executor) as scope:
            sleeping = scope.submit(tasks.sleep_for_an_hour, files("started"))
            while not files("started").exists():
                await asyncio.sleep(0.001)
            scope.submit(tasks.odd_only, 2)
            with pytest.raises(asyncio.CancelledError):
                await sleeping

    with pytest.raises(ValueError, match="2 is even"):
        asyncio.run(main())


def test_a_worker_that_dies_is_a_failure(pool: MakePool, files: Files) -> None:
    executor = pool(2, on_crash="isolate", grace=0.05)
    with pytest.raises(WorkerCrashError) as raised, task_scope(executor) as scope:
        sleeping = scope.submit(tasks.sleep_for_an_hour, files("started"))
        until(files("started").exists)
        scope.submit(tasks.kill_self)
    # Where the program submitted it, not the scope.
    assert Path(__file__).name in str(raised.value.submitted)
    with pytest.raises(CancelledError):
        sleeping.result(0)


def test_ctrl_c_in_a_scope_ends_the_program(program: Callable[[str], str]) -> None:
    told = ended(program("""
        from manyhands import task_scope

        with make(1) as executor:
            with task_scope(executor) as scope:
                occupy(scope, tasks.sleep_for_an_hour, 1)
                future = scope.submit(int)
                os.kill(os.getpid(), signal.SIGINT)
                future.result()
    """))  # fmt: skip
    assert told.code == -signal.SIGINT, told
    assert told.stderr.splitlines()[-1] == "KeyboardInterrupt"
