"""What goes wrong in tasks, callbacks and initializers, and at the end of the interpreter: nobody
waits for ever, nothing is lost, and everybody is told."""

import logging
import textwrap
import threading
from typing import Any

import pytest
from patience import in_thread, until
from programs import Ended, run

from manyhands import CancelledError, Future, ThreadPoolExecutor, as_completed, wait
from manyhands.thread import BrokenThreadPool

PREAMBLE = """
import atexit, os, sys, threading, time
from manyhands import ThreadPoolExecutor, Future, wait, as_completed
"""


def program(code: str) -> Ended:
    return run("-c", PREAMBLE + textwrap.dedent(code))


@pytest.mark.parametrize(
    "error", [OSError, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration, MemoryError]
)
def test_whatever_a_task_raises_is_its_futures(error: type[BaseException]) -> None:
    def task() -> None:
        raise error("the task's")

    with ThreadPoolExecutor(1) as executor:
        for _ in range(3):
            future = executor.submit(task)
            with pytest.raises(error, match="the task's"):
                future.result()
            assert type(future.exception()) is error
        assert executor.submit(int).result() == 0
        assert len(executor._threads) == 1


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("fat", [False, True])
def test_whatever_a_callback_raises_the_worker_goes_on(
    error: type[BaseException], fat: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def callback(_: Future[Any]) -> None:
        raise error("the callback's")

    go = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(go.wait)
        if fat:
            with future._condition:
                pass
        future.add_done_callback(callback)
        others = [executor.submit(abs, -number) for number in range(5)]
        go.set()
        assert future.result() is True
        assert [other.result() for other in others] == list(range(5))
        assert len(executor._threads) == 1
    logged = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [type(it) for it in logged] == [error]


def test_a_callback_that_raises_does_not_stop_cancel() -> None:
    def callback(_: Future[Any]) -> None:
        raise SystemExit

    go = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        until(executor.submit(go.wait).running)
        future = executor.submit(int)
        future.add_done_callback(callback)
        others = [executor.submit(int) for _ in range(3)]
        with pytest.raises(SystemExit):  # as in CPython, but when all has been cancelled
            executor.shutdown(wait=False, cancel_futures=True)
        assert future.cancelled() and all(other.cancelled() for other in others)
        go.set()


@pytest.mark.parametrize("error", [OSError, SystemExit, KeyboardInterrupt])
def test_an_initializer_that_fails(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    go = threading.Event()

    def initializer() -> None:
        go.wait()
        raise error("the initializer's")

    with ThreadPoolExecutor(2, initializer=initializer) as executor:
        futures = [executor.submit(int) for _ in range(20)]
        results = executor.map(abs, range(20))
        touched = executor.submit(int)
        with touched._condition:
            pass
        thread = in_thread(lambda: wait([*futures, touched]))
        go.set()
        thread.join()
        errors = [future.exception() for future in [*futures, touched]]
        # Each has its own: what one future's reader does to it is not another's.
        assert len({id(it) for it in errors}) == 21
        for it in errors:
            assert type(it) is BrokenThreadPool
            assert str(it) == "A thread initializer failed, the thread pool is not usable anymore"
        with pytest.raises(BrokenThreadPool):
            list(results)
        for submit in (lambda: executor.submit(int), lambda: executor.map(int, [1])):
            with pytest.raises(BrokenThreadPool, match="initializer failed"):
                submit()
    logged = [it for it in caplog.records if it.getMessage() == "Exception in initializer:"]
    assert {it.levelno for it in logged} == {logging.CRITICAL}
    assert 1 <= len(logged) <= 2
    assert not any(thread.is_alive() for thread in executor._threads)


def test_who_waits_for_room_hears_that_the_pool_is_broken() -> None:
    go = threading.Event()

    def initializer() -> None:
        go.wait()
        raise OSError

    with ThreadPoolExecutor(1, initializer=initializer, max_pending=1) as executor:
        executor.submit(int)
        errors: list[Any] = []

        def submit() -> None:
            try:
                executor.submit(int)
            except BrokenThreadPool as error:
                errors.append(error)

        thread = in_thread(submit)
        go.set()
        thread.join()
        assert len(errors) == 1


def test_an_executor_that_is_collected_does_what_is_pending() -> None:
    go = threading.Event()
    executor = ThreadPoolExecutor(2)
    until(executor.submit(go.wait).running)
    futures = [executor.submit(abs, -number) for number in range(50)]
    threads = list(executor._threads)
    del executor
    go.set()
    assert [future.result() for future in futures] == list(range(50))
    for thread in threads:
        thread.join()


def test_an_idle_executor_that_is_collected_ends_its_threads() -> None:
    executor = ThreadPoolExecutor(2)
    executor.submit(int).result()
    threads = list(executor._threads)
    del executor
    for thread in threads:
        thread.join()


def test_a_task_that_holds_the_last_reference_to_its_executor() -> None:
    for _ in range(20):
        executor = ThreadPoolExecutor(2)
        go = threading.Event()
        threads = executor._threads
        future = executor.submit(lambda _, go: go.wait(), executor, go)
        other = executor.submit(int)
        del executor
        go.set()
        assert (future.result(), other.result()) == (True, 0)
        for thread in list(threads):
            thread.join()


@pytest.mark.parametrize("leave", ["", "executor.shutdown(wait=False)", "del executor"])
def test_the_interpreter_ends_when_all_is_done(leave: str) -> None:
    ended = program(f"""
        def task(number):
            time.sleep(0.002)
            done.append(number)

        done = []
        executor = ThreadPoolExecutor(2)
        futures = [executor.submit(task, number) for number in range(100)]
        results = executor.map(task, range(100, 200))
        atexit.register(lambda: print(sorted(done) == list(range(200))))
        {leave}
    """)
    assert (ended.code, ended.stdout, ended.stderr) == (0, "True\n", "")


def test_an_error_of_the_program_does_not_lose_what_is_pending() -> None:
    ended = program("""
        executor = ThreadPoolExecutor(1)
        for number in range(3):
            executor.submit(lambda n: (time.sleep(0.01), print(n, flush=True)), number)
        raise OSError("mine")
    """)
    assert (ended.code, ended.stdout) == (1, "0\n1\n2\n")
    assert ended.stderr.splitlines()[-1] == "OSError: mine"


def test_submit_after_the_end_of_the_interpreter() -> None:
    ended = program("""
        executor, closed = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        closed.shutdown()

        @atexit.register
        def late():
            for pool in (executor, closed, ThreadPoolExecutor(1)):
                for submit in (lambda: pool.submit(int), lambda: pool.map(int, [1])):
                    try:
                        submit()
                    except RuntimeError as error:
                        print(error)
    """)
    open_pool = "cannot schedule new futures after interpreter shutdown\n"
    closed = "cannot schedule new futures after shutdown\n"
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout == open_pool * 2 + closed * 2 + open_pool * 2


def test_a_task_that_submits_while_the_interpreter_ends() -> None:
    ended = program("""
        executor = ThreadPoolExecutor(2)

        def task():
            try:
                while True:
                    executor.submit(int).result()
            except RuntimeError as error:
                print(error)

        executor.submit(task)
    """)
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout == "cannot schedule new futures after interpreter shutdown\n"


def test_the_interpreter_ends_with_futures_that_nobody_ends() -> None:
    ended = program("""
        futures = [Future() for _ in range(3)]
        futures[0].add_done_callback(print)
        executor = ThreadPoolExecutor(1)
        iterator = as_completed(futures)
        threading.Thread(target=futures[1].result, daemon=True).start()
        threading.Thread(target=wait, args=(futures,), daemon=True).start()
        time.sleep(0.1)
        print("end")
    """)
    assert (ended.code, ended.stdout, ended.stderr) == (0, "end\n", "")


@pytest.mark.parametrize("exit", ["sys.exit(3)", "os._exit(3)"])
def test_a_program_that_exits_while_the_pool_works(exit: str) -> None:
    ended = program(f"""
        executor = ThreadPoolExecutor(2)
        for _ in range(2000):
            executor.submit(int)
        {exit}
    """)
    assert (ended.code, ended.stderr) == (3, "")


def test_a_future_cancelled_in_the_moment_it_starts() -> None:
    with ThreadPoolExecutor(2) as executor:
        for _ in range(3000):
            future = executor.submit(int)
            if future.cancel():
                with pytest.raises(CancelledError):
                    future.result()
            else:
                assert future.result() == 0
            assert next(as_completed([future])) is future
