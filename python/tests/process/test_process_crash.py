"""A worker process that dies, by whatever cause, breaks the pool, as in the standard library: every
future says so, nobody waits for ever, and no process is left.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import large
import programs
import pytest
import tasks
import trouble
from conftest import MakePool
from errors import assert_broken, is_lost, told
from family import MARK, is_alive, new_mark, state_of, until_all_ended, workers
from patience import in_thread, until
from programs import run
from subject import HAS_KILL_WORKERS, BrokenProcessPool, as_completed, wait

Files = Callable[[str], Path]
HERE = Path(__file__).parent

EACH_DEATH = pytest.mark.parametrize("death", tasks.WAYS_TO_DIE.values(), ids=tasks.WAYS_TO_DIE)
needs_kill_workers = pytest.mark.skipif(not HAS_KILL_WORKERS, reason="since 3.14")


def pid_in(path: Path) -> int:
    until(path.exists)
    return int(path.read_text())


def assert_unusable(executor: Any) -> None:
    for submit in (lambda: executor.submit(int), lambda: list(executor.map(int, [1]))):
        with pytest.raises(BrokenProcessPool):
            submit()
    executor.shutdown()
    with pytest.raises((BrokenProcessPool, RuntimeError)):
        executor.submit(int)


@EACH_DEATH
def test_a_death_in_a_task(pool: MakePool, files: Files, death: Any) -> None:
    task, args, exitcode = death
    executor = pool(2)
    other = executor.submit(tasks.hold, files("other"), files("never"))
    dying = executor.submit(tasks.tell_and, files("dying"), files("go"), task, *args)
    pid = pid_in(files("dying"))
    until(files("other").exists)
    pending = [executor.submit(tasks.double, number) for number in range(20)]
    files("go").touch()
    assert_broken([dying, other, *pending], pid, exitcode)
    assert_unusable(executor)
    until(lambda: not workers())


def test_the_death_of_all_workers_at_once(pool: MakePool, files: Files) -> None:
    executor = pool(3)
    futures = [
        executor.submit(tasks.tell_and, files(str(number)), files("go"), tasks.kill_self)
        for number in range(3)
    ]
    for number in range(3):
        until(files(str(number)).exists)
    files("go").touch()
    assert_broken(futures)
    assert_unusable(executor)


def test_the_death_of_an_idle_worker(pool: MakePool) -> None:
    executor = pool(1)
    os.kill(executor.submit(tasks.pid).result(), signal.SIGKILL)

    def is_broken() -> bool:
        try:
            return isinstance(executor.submit(int).exception(), BrokenProcessPool)
        except BrokenProcessPool:
            return True

    until(is_broken)
    assert_unusable(executor)


def test_every_way_to_wait_hears_of_it(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    dying = executor.submit(tasks.tell_and, files("dying"), files("go"), tasks.kill_self)
    pending = [executor.submit(tasks.double, number) for number in range(5)]
    mapped = executor.map(tasks.double, range(5))
    called: list[Any] = []
    pending[0].add_done_callback(called.append)
    heard: list[Any] = []
    futures = [dying, *pending]
    threads = [
        in_thread(lambda: heard.append(len(wait(futures).done))),
        in_thread(lambda: heard.append(len(list(as_completed(futures))))),
        in_thread(lambda: heard.append(len([future.exception() for future in futures]))),
    ]
    until(files("dying").exists)
    files("go").touch()
    for thread in threads:
        thread.join()
    assert heard == [6, 6, 6]
    with pytest.raises(BrokenProcessPool):
        list(mapped)
    until(lambda: called == [pending[0]])


@pytest.mark.parametrize("kind", [trouble.ExitsInUnpickling, trouble.KilledInUnpickling])
def test_a_death_in_unpickling_an_argument(pool: MakePool, kind: type[Any]) -> None:
    executor = pool(1)
    assert_broken([executor.submit(tasks.same, kind())])
    assert_unusable(executor)


@pytest.mark.parametrize(
    "task, args",
    [(trouble.make, (trouble.ExitsInPickling,)), (trouble.raises_exits_in_pickling, ())],
    ids=["result", "exception"],
)
def test_a_death_in_pickling_the_outcome(pool: MakePool, task: Any, args: Any) -> None:
    executor = pool(1)
    assert_broken([executor.submit(task, *args)], exitcode=7 if not args else 5)
    assert_unusable(executor)


@pytest.mark.ours
def test_a_death_in_pickling_an_argument_is_the_parents(
    start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no worker survives it."""
    mark = new_mark()
    monkeypatch.setitem(programs.ENVIRONMENT, MARK, mark)
    program = f"""
import multiprocessing, subject, tasks, time, trouble
executor = subject.ProcessPoolExecutor(2, multiprocessing.get_context({start!r}))
executor.submit(tasks.pid).result()
executor.submit(tasks.same, trouble.ExitsInPickling())
time.sleep(tasks.HOUR)
"""
    assert run("-c", program, cwd=HERE).code == 5
    until_all_ended(mark)


@pytest.mark.parametrize(
    "initializer, args",
    [
        (tasks.exit_hard, (3,)),
        (tasks.exit_hard, (0,)),
        (tasks.kill_self, ()),
        (tasks.segfault, ()),
        (tasks.raises, (OSError("the initializer's"),)),
        (tasks.raises, (SystemExit(3),)),
        (tasks.same, ()),
    ],
    ids=["exit", "exit 0", "SIGKILL", "SIGSEGV", "raises", "raises SystemExit", "wrong arguments"],
)
def test_an_initializer_that_fails(
    pool: MakePool, files: Files, initializer: Any, args: Any, capfd: Any
) -> None:
    executor = pool(2, initializer=initializer, initargs=args)
    futures = [executor.submit(int)]
    try:
        futures += [executor.submit(int) for _ in range(9)]
        mapped = executor.map(int, range(3))
    except BrokenProcessPool:
        mapped = iter([])
    else:
        with pytest.raises(BrokenProcessPool):
            list(mapped)
    assert_broken(futures)
    assert_unusable(executor)


@pytest.mark.ours
@pytest.mark.parametrize("on_crash", ["break", "isolate"])
def test_an_initializers_error_is_told(pool: MakePool, on_crash: str) -> None:
    """With `isolate` too: a pool that can start no worker must not try for ever."""
    error = OSError("the initializer's")
    executor = pool(1, initializer=tasks.raises, initargs=(error,), on_crash=on_crash)
    future = executor.submit(int)
    assert_broken([future])
    assert "the initializer's" in told(future.exception())
    assert_unusable(executor)


@needs_kill_workers
@pytest.mark.parametrize("how", ["kill_workers", "terminate_workers"])
@pytest.mark.parametrize("task", [tasks.sleep_for_an_hour, tasks.compute_for_an_hour])
def test_workers_that_are_ended_at_will(pool: MakePool, files: Files, how: str, task: Any) -> None:
    executor = pool(2)
    running = [executor.submit(task, files(str(number))) for number in range(2)]
    pids = [pid_in(files(str(number))) for number in range(2)]
    pending = [executor.submit(tasks.double, number) for number in range(5)]
    getattr(executor, how)()
    for pid in pids:
        until(lambda pid=pid: not is_alive(pid))
    assert not wait([*running, *pending]).not_done
    assert all(is_lost(future) for future in [*running, *pending])
    with pytest.raises(RuntimeError):
        executor.submit(int)
    getattr(executor, how)()


@needs_kill_workers
def test_a_stopped_worker_can_be_killed(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    future = executor.submit(tasks.stop_self, files("started"))
    pid = pid_in(files("started"))
    until(lambda: state_of(pid) == "T")
    executor.kill_workers()
    until(lambda: not is_alive(pid))
    assert is_lost(future)


def test_a_stopped_worker_that_goes_on(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    future = executor.submit(tasks.stop_self, files("started"))
    pid = pid_in(files("started"))
    until(lambda: state_of(pid) == "T")
    pending = executor.submit(tasks.double, 4)
    assert not future.done() and not pending.done()
    os.kill(pid, signal.SIGCONT)
    assert (future.result(), pending.result()) == ("continued", 8)


def test_memory_that_is_not_there_is_the_tasks_error(pool: MakePool) -> None:
    executor = pool(1, initializer=tasks.limit_memory, initargs=(256 << 20,))
    pid = executor.submit(tasks.pid).result()
    for _ in range(3):
        with pytest.raises(MemoryError):
            executor.submit(tasks.allocate, 1 << 30).result()
    assert executor.submit(tasks.allocate, 1 << 20).result() == 1 << 20
    assert executor.submit(tasks.pid).result() == pid


@pytest.mark.ours
def test_data_for_which_a_worker_has_no_memory(pool: MakePool) -> None:
    """Whether it fits or not, the next task runs."""
    executor = pool(1, initializer=tasks.limit_memory, initargs=(64 << 20,), on_crash="isolate")
    executor.submit(int).result()
    data = large.make_bytes(256 << 20)
    for future in [
        executor.submit(large.page_sum, data),
        executor.submit(large.make_bytes, 256 << 20),
    ]:
        error = future.exception()
        assert error is None or isinstance(error, (MemoryError, OSError, BrokenProcessPool))
        assert executor.submit(tasks.double, 2).result() == 4
