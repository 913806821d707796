"""What CPython's own tests have found, or look for in versions that are not here, on every Python."""

from __future__ import annotations

import gc
import logging
import logging.handlers
import multiprocessing
import os
import signal
import time
import weakref
from concurrent.futures import process as stdlib
from typing import Any

import pytest

from manyhands import ProcessPoolExecutor, wait
from manyhands.process import BrokenProcessPool

METHODS = multiprocessing.get_all_start_methods()


@pytest.fixture(params=METHODS)
def context(request: pytest.FixtureRequest) -> Any:
    return multiprocessing.get_context(request.param)


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("not to be pickled")


def test_a_worker_that_dies_as_it_starts_breaks_the_pool(context: Any) -> None:
    with ProcessPoolExecutor(4, mp_context=context) as executor:
        future = executor.submit(signal.pause)
        os.kill(next(iter(executor._processes)), signal.SIGTERM)
        assert isinstance(future.exception(), BrokenProcessPool)
        with pytest.raises(BrokenProcessPool):
            executor.submit(int)


def test_a_task_that_cannot_be_pickled_has_its_worker_started(context: Any) -> None:
    expected = 4 if context.get_start_method() == "fork" else 2
    with ProcessPoolExecutor(4, mp_context=context) as executor:
        futures = [executor.submit(id, Unpicklable()) for _ in range(2)]
        assert len(executor._processes) == expected
        assert [type(future.exception()) for future in futures] == [TypeError] * 2
        assert executor.submit(abs, -1).result() == 1


def test_what_workers_were_started_for_is_not_cancelled_with_the_rest(context: Any) -> None:
    executor = ProcessPoolExecutor(2, mp_context=context)
    futures = [executor.submit(abs, -number) for number in range(10)]
    executor.shutdown(cancel_futures=True)
    # Which of them depends on how far each of the workers is: what lies ahead of one is cancelled, while
    # the other runs what came later.
    ran = {n: future.result() for n, future in enumerate(futures) if not future.cancelled()}
    assert 0 in ran
    assert ran == {n: n for n in ran}


def log_and_fail(records: Any) -> None:
    logger = logging.getLogger("concurrent.futures")
    logger.addHandler(logging.handlers.QueueHandler(records))
    logger.propagate = False
    raise ValueError("no licence")


def test_what_a_failed_initializer_has_logged_is_there_once_the_pool_is_broken(
    context: Any,
) -> None:
    records = context.Queue()
    with ProcessPoolExecutor(
        2, mp_context=context, initializer=log_and_fail, initargs=(records,)
    ) as executor:
        assert isinstance(executor.submit(int).exception(), BrokenProcessPool)
        assert "ValueError: no licence" in records.get_nowait().getMessage()
    records.close()


def test_a_pool_that_has_shut_down_holds_no_thread(context: Any) -> None:
    executor = ProcessPoolExecutor(1, mp_context=context)
    executor.submit(int).result()
    executor.shutdown(wait=False)
    assert executor._executor_manager_thread is not None  # somebody may still want to wait for it
    executor.shutdown()
    assert executor._executor_manager_thread is None
    executor.shutdown()


def test_each_future_of_a_broken_pool_tells_which_process_ended_how(context: Any) -> None:
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        pid = executor.submit(os.getpid).result()
        futures = [executor.submit(os._exit, 99), *(executor.submit(int) for _ in range(3))]
        errors = [future.exception() for future in futures]
    for error in errors:
        assert isinstance(error, BrokenProcessPool)
        cause: Any = error.__cause__
        assert isinstance(cause, stdlib._RemoteTraceback)
        assert f"Process {pid} terminated abruptly with exit code 99" in cause.tb
    assert len({id(error) for error in errors}) == len(errors)


@pytest.mark.parametrize("way", ["terminate", "kill"])
def test_workers_are_ended_by_the_methods_of_their_processes(context: Any, way: str) -> None:
    called = []
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        future = executor.submit(time.sleep, 600)
        (process,) = executor._processes.values()
        method = getattr(process, way)

        def end() -> None:
            called.append(way)
            method()

        setattr(process, way, end)
        getattr(executor, f"{way}_workers")()
        process.join()
        wait([future])
    assert set(called) == {way}
    assert isinstance(future.exception(), BrokenProcessPool)


@pytest.mark.parametrize("way", ["terminate_workers", "kill_workers"])
def test_a_broken_pool_can_be_ended_by_force(context: Any, way: str) -> None:
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        assert isinstance(executor.submit(os._exit, 1).exception(), BrokenProcessPool)
        getattr(executor, way)()
        with pytest.raises(RuntimeError):
            executor.submit(int)


def passes(gate: Any, number: int) -> int:
    gate.wait()
    return number


@pytest.mark.parametrize("shut_down", [False, True])
def test_what_is_queued_runs_though_nobody_holds_the_executor(
    context: Any, shut_down: bool
) -> None:
    """Also when a worker has to be replaced for it; the standard library fails it then."""
    if context.get_start_method() == "fork":
        pytest.skip("workers that are replaced are not forked")
    with context.Manager() as manager:
        gate = manager.Event()
        executor: Any = ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1)
        futures = [executor.submit(passes, gate, number) for number in range(3)]
        thread = executor._executor_manager_thread
        if shut_down:
            executor.shutdown(wait=False)
        dropped = weakref.ref(executor)
        del executor
        gc.collect()
        assert dropped() is None
        gate.set()
        assert [future.result() for future in futures] == [0, 1, 2]
        thread.join()


def test_programs_that_end_the_workers_themselves_go_through_all_of_them(context: Any) -> None:
    executor = ProcessPoolExecutor(3, mp_context=context)
    futures = [executor.submit(time.sleep, 600) for _ in range(3)]
    processes = executor._processes
    for process in processes.values():
        process.terminate()
        process.join()
    assert all(isinstance(future.exception(), BrokenProcessPool) for future in futures)
    executor.shutdown()
    assert len(processes) == 3
    assert not executor._processes


def test_who_replaces_a_worker_takes_its_place_among_the_processes(context: Any) -> None:
    with ProcessPoolExecutor(1, mp_context=context, on_crash="isolate") as executor:
        first = executor.submit(os.getpid).result()
        assert isinstance(executor.submit(os._exit, 1).exception(), BrokenProcessPool)
        second = executor.submit(os.getpid).result()
        assert first != second
        assert list(executor._processes) == [second]


def test_programs_ask_how_many_tasks_are_left(context: Any) -> None:
    gate = context.Event()
    with ProcessPoolExecutor(1, mp_context=context, initializer=gate.wait) as executor:
        futures = [executor.submit(int) for _ in range(5)]
        assert len(executor._pending_work_items) == 5
        gate.set()
        wait(futures)
        assert len(executor._pending_work_items) == 0
        assert not executor._pending_work_items
