"""`shutdown`, in every order with a crash: all futures end, the workers are gone, nobody hangs."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tasks
import trouble
from conftest import MakePool
from errors import assert_broken, is_lost
from family import state_of, workers
from patience import in_thread, until, until_collected
from subject import HAS_KILL_WORKERS, STDLIB, wait

Files = Callable[[str], Path]

WAYS = {
    "shutdown()": lambda executor: executor.shutdown(),
    "shutdown(wait=False)": lambda executor: executor.shutdown(wait=False),
    "cancel": lambda executor: executor.shutdown(cancel_futures=True),
    "cancel, wait=False": lambda executor: executor.shutdown(wait=False, cancel_futures=True),
}
if HAS_KILL_WORKERS:
    WAYS["kill_workers"] = lambda executor: executor.kill_workers()
    WAYS["terminate_workers"] = lambda executor: executor.terminate_workers()
EACH_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@EACH_WAY
def test_after_a_crash(pool: MakePool, files: Files, way: Any) -> None:
    executor = pool(2)
    futures = [executor.submit(tasks.tell_and, files("a"), files("go"), tasks.kill_self)]
    futures += [executor.submit(tasks.hold, files("b"), files("never")) for _ in range(5)]
    until(files("a").exists)
    files("go").touch()
    assert_broken(futures)
    way(executor)
    way(executor)
    until(lambda: not workers())


@EACH_WAY
def test_before_a_crash(pool: MakePool, files: Files, way: Any) -> None:
    """The task that dies runs when `shutdown` is called, and goes on until it dies."""
    executor = pool(1)
    dying = executor.submit(tasks.tell_and, files("a"), files("go"), tasks.kill_self)
    until(files("a").exists)
    pending = [executor.submit(tasks.double, number) for number in range(5)]
    thread = in_thread(lambda: way(executor))
    until(lambda: cannot_submit(executor))
    files("go").touch()
    thread.join()
    if not STDLIB:  # it does not tell `wait` of what `shutdown` has cancelled
        assert not wait([dying, *pending]).not_done
    assert all(is_lost(future) for future in [dying, *pending])
    until(lambda: not workers())


def cannot_submit(executor: Any) -> bool:
    try:
        executor.submit(int)
    except RuntimeError:
        return True
    return False


@EACH_WAY
def test_in_the_moment_of_a_crash(pool: MakePool, files: Files, way: Any) -> None:
    for turn in range(5):
        executor = pool(2)
        go = files(f"go{turn}")
        dying = executor.submit(tasks.tell_and, files(f"a{turn}"), go, tasks.kill_self)
        until(files(f"a{turn}").exists)
        others = [executor.submit(tasks.double, number) for number in range(20)]
        go.touch()
        way(executor)
        for number, future in enumerate(others):
            assert is_lost(future) or future.result() == 2 * number
        assert is_lost(dying)
    until(lambda: not workers())


@pytest.mark.ours
def test_shutdown_from_several_threads(pool: MakePool, files: Files) -> None:
    executor = pool(2)
    futures = [executor.submit(tasks.double, number) for number in range(50)]
    ready = threading.Barrier(4)

    def shut_down() -> None:
        ready.wait()
        executor.shutdown()
        assert all(future.done() for future in futures)
        ended.append(True)

    ended: list[bool] = []
    threads = [in_thread(shut_down) for _ in range(4)]
    for thread in threads:
        thread.join()
    assert ended == [True] * 4
    assert [future.result() for future in futures] == list(range(0, 100, 2))


def test_what_is_pending_is_done(pool: MakePool) -> None:
    executor = pool(2)
    futures = [executor.submit(tasks.double, number) for number in range(100)]
    executor.shutdown(wait=False)
    assert [future.result() for future in futures] == list(range(0, 200, 2))
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(int)
    until(lambda: not workers())


def test_what_is_pending_is_cancelled(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    running = executor.submit(tasks.hold, files("started"), files("go"), "held")
    until(files("started").exists)
    pending = [executor.submit(tasks.double, number) for number in range(50)]
    executor.shutdown(wait=False, cancel_futures=True)
    files("go").touch()
    assert running.result() == "held"
    # A second `shutdown` does not wait in the standard library.
    until(lambda: all(future.done() for future in pending))
    # It has handed over a few before.
    assert sum(future.cancelled() for future in pending) >= 45


@pytest.mark.ours
def test_what_was_cancelled_is_known_to_be_done(pool: MakePool, files: Files) -> None:
    """There `wait` waits for ever."""
    executor = pool(1)
    executor.submit(tasks.hold, files("started"), files("go"))
    until(files("started").exists)
    pending = [executor.submit(tasks.double, number) for number in range(50)]
    executor.shutdown(wait=False, cancel_futures=True)
    files("go").touch()
    assert wait(pending).not_done == set()


@pytest.mark.ours
def test_a_stopped_worker_does_not_hold_it_up(pool: MakePool) -> None:
    """It has nothing to do, and would never be seen to leave."""
    executor = pool(1)
    pid = executor.submit(tasks.pid).result()
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state_of(pid) == "T")
    executor.shutdown()
    assert not workers()


def test_shutdown_of_a_pool_that_never_worked(pool: MakePool) -> None:
    executor = pool(2)
    executor.shutdown()
    executor.shutdown()
    assert not workers()


def test_a_pool_that_is_collected_does_what_is_pending(pool: MakePool, start: str) -> None:
    import multiprocessing

    from subject import ProcessPoolExecutor

    executor = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(start))
    futures = [executor.submit(tasks.double, number) for number in range(50)]
    reference = weakref.ref(executor)
    del executor
    until_collected(reference)
    assert [future.result() for future in futures] == list(range(0, 100, 2))
    gc.collect()
    until(lambda: not workers())


@pytest.mark.ours
def test_a_pickling_error_in_the_moment_of_shutdown(pool: MakePool) -> None:
    """3.13's own hangs here in 7 of 254 rounds of its `test_shutdown_deadlock_pickle`."""
    for _ in range(10):
        executor = pool(2)
        executor.submit(tasks.double, 42).result()
        try:
            future = executor.submit(tasks.same, trouble.Unpicklable())
        except OSError as error:
            pytest.fail(f"it is the future's, not the caller's: {error}")
        executor.shutdown(wait=False)
        with pytest.raises(OSError, match="will not be pickled"):
            future.result()


@pytest.mark.ours
@pytest.mark.parametrize("wait_too", [True, False])
def test_shutdown_in_a_callback(pool: MakePool, wait_too: bool) -> None:
    executor = pool(1)
    called = threading.Event()

    def callback(_: Any) -> None:
        executor.shutdown(wait=False)
        called.set()

    future = executor.submit(tasks.double, 1)
    future.add_done_callback(callback)
    called.wait()
    if wait_too:
        executor.shutdown()
    assert future.result() == 2


def test_ctrl_c_in_a_callback_of_a_cancelling_shutdown_ends_the_shutdown(
    pool: MakePool, files: Files
) -> None:
    """The callback is called by the pool's own thread, which nobody can interrupt."""
    executor = pool(1)
    held = executor.submit(tasks.hold, files("started"), files("go"))
    until(files("started").exists)
    pending = [executor.submit(tasks.double, number) for number in range(100)]
    called = threading.Event()

    def interrupt(_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        called.set()

    pending[-1].add_done_callback(interrupt)
    with pytest.raises(KeyboardInterrupt):
        executor.shutdown(cancel_futures=True)
    assert called.wait(60)
    files("go").touch()
    executor.shutdown()
    assert held.done() and pending[-1].cancelled()
