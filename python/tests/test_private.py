"""The private names that programs and CPython's own tests reach for, alive as they use them."""

import queue
import textwrap
import threading
import weakref
from typing import Any

import pytest
from patience import until
from programs import run

import manyhands.thread
from manyhands import Future, ThreadPoolExecutor


def test_the_queue_tells_how_much_is_pending() -> None:
    go = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        first = executor.submit(go.wait)
        until(first.running)
        assert (executor._work_queue.qsize(), executor._work_queue.empty()) == (0, True)
        for number in range(1, 4):
            executor.submit(int)
            assert (executor._work_queue.qsize(), executor._work_queue.empty()) == (number, False)
        go.set()


def test_the_queue_can_be_drained() -> None:
    go = threading.Event()
    ran: list[int] = []
    with ThreadPoolExecutor(1) as executor:
        until(executor.submit(go.wait).running)
        futures = [executor.submit(ran.append, number) for number in range(4)]
        executor._work_queue.get_nowait().run()
        assert ran == [0] and futures[0].done()
        # As programs did before there was `cancel_futures`.
        while True:
            try:
                item = executor._work_queue.get_nowait()
            except queue.Empty:
                break
            assert item.future.cancel() is True
        assert all(future.cancelled() for future in futures[1:])
        with pytest.raises(queue.Empty):
            executor._work_queue.get_nowait()
        go.set()
    assert ran == [0]


def test_a_subclass_may_start_the_threads_itself() -> None:
    """With the names of CPython 3.10 to 3.13, as programs do that want daemons."""

    class DaemonExecutor(ThreadPoolExecutor):
        def _adjust_thread_count(self) -> None:
            if self._idle_semaphore.acquire(timeout=0):
                return

            def weakref_cb(_: Any, q: Any = self._work_queue) -> None:
                q.put(None)

            number = len(self._threads)
            if number < self._max_workers:
                thread = threading.Thread(
                    name=f"mine_{number}",
                    target=manyhands.thread._worker,
                    args=(
                        weakref.ref(self, weakref_cb),
                        self._work_queue,
                        self._initializer,
                        self._initargs,
                    ),
                    daemon=True,
                )
                thread.start()
                self._threads.add(thread)

    initialized: list[int] = []
    with DaemonExecutor(3, initializer=initialized.append, initargs=(1,)) as executor:
        both = threading.Barrier(3)
        assert len(set(executor.map(lambda _: both.wait(), range(3)))) == 3
        future = executor.submit(threading.current_thread)
        assert future.result().name.startswith("mine_") and future.result().daemon is True
    assert not any(thread.is_alive() for thread in executor._threads)
    assert initialized == [1, 1, 1]


def test_a_subclass_may_look_on_while_threads_are_started() -> None:
    class Looking(ThreadPoolExecutor):
        started = 0

        def _adjust_thread_count(self) -> None:
            before = len(self._threads)
            super()._adjust_thread_count()
            self.started += len(self._threads) - before

    with Looking(2) as executor:
        both = threading.Barrier(2)
        assert sorted(executor.map(lambda _: both.wait(), range(2))) == [0, 1]
        assert executor.started == 2


def test_a_thread_that_does_not_start_leaves_the_pool_sound() -> None:
    class Unlucky(ThreadPoolExecutor):
        failures = 1

        def _adjust_thread_count(self) -> None:
            if self.failures:
                self.failures -= 1
                raise RuntimeError("can't start new thread")
            super()._adjust_thread_count()

    with Unlucky(2) as executor:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            executor.submit(int)
        assert executor.submit(int).result() == 0


def test_broken_and_shutdown() -> None:
    def fail() -> None:
        raise OSError

    executor = ThreadPoolExecutor(1)
    assert (executor._broken, executor._shutdown) == (False, False)
    executor.shutdown()
    assert (executor._broken, executor._shutdown) == (False, True)
    with ThreadPoolExecutor(1, initializer=fail) as executor:
        executor.submit(int).exception()
        assert "initializer failed" in executor._broken


@pytest.mark.parametrize("named", ["concurrent.futures.thread", "manyhands.thread"])
def test_a_program_gets_out_at_once_as_it_always_did(named: str) -> None:
    program = f"""
        import concurrent.futures.thread, os, threading, time
        import manyhands.thread
        executor = manyhands.ThreadPoolExecutor(1)
        started = threading.Event()
        executor.submit(lambda: (started.set(), time.sleep(3600)))
        executor.submit(print, "not this")
        started.wait()
        executor.shutdown(wait=False)
        executor._threads.clear()
        {named}._threads_queues.clear()
        print("out")
    """
    ended = run("-c", textwrap.dedent(program))
    assert (ended.code, ended.stdout) == (0, "out\n"), ended.stderr


def test_the_futures_of_a_program_that_makes_a_class_of_its_own() -> None:
    class Patched(Future[int]):
        pass

    future = Patched()
    future._condition.acquire()
    try:
        assert future._state == "PENDING"
        assert future._waiters == [] and future._done_callbacks == []
    finally:
        future._condition.release()
    future._state = "RUNNING"
    future.set_result(5)
    assert future.result() == 5


def test_the_default_worker_limit_is_the_newest_interpreters() -> None:
    program = """
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        import manyhands
        print(manyhands.ThreadPoolExecutor()._max_workers)
    """
    assert run("-c", textwrap.dedent(program)).stdout == "5\n"


def test_a_touched_future_that_was_cancelled_is_notified_when_the_pool_breaks() -> None:
    go = threading.Event()

    def initializer() -> None:
        go.wait()
        raise ValueError("no")

    with ThreadPoolExecutor(1, initializer=initializer) as executor:
        cancelled, touched = executor.submit(int), executor.submit(int)
        assert cancelled._condition is not None and touched._condition is not None
        assert cancelled.cancel()
        go.set()
        assert manyhands.wait([cancelled, touched]).not_done == set()
    assert cancelled._state == "CANCELLED_AND_NOTIFIED"
    assert isinstance(touched.exception(), manyhands.BrokenExecutor)
