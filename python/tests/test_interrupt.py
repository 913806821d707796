"""Ctrl-C: it ends whoever waits, and the program with its tasks that would run for an hour."""

import logging
import signal
import textwrap
import threading
import time
from collections.abc import Iterator

import programs
import pytest
from patience import until
from programs import Ended, run

from manyhands import Future, ThreadPoolExecutor

PREAMBLE = """
import os, signal, sys, threading, time
from manyhands import (ThreadPoolExecutor, Future, wait, as_completed, FIRST_COMPLETED,
                       FIRST_EXCEPTION)

started = threading.Event()

def sleeping(_=None):
    started.set()
    time.sleep(3600)

def computing(_=None):
    started.set()
    while True:
        pass

def waiting(_=None):
    started.set()
    Future().result()

def interrupt():
    started.wait()
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
"""

SUBMIT = "executor = ThreadPoolExecutor(1); future = executor.submit(task)"

WAITS = {
    "result": f"{SUBMIT}; future.result()",
    "result with a timeout": f"{SUBMIT}; future.result(3000)",
    "exception": f"{SUBMIT}; future.exception()",
    "result of a touched future": f"{SUBMIT}; future._condition; future.result()",
    "map": "list(ThreadPoolExecutor(1).map(task, [1, 2]))",
    "unordered map": "list(ThreadPoolExecutor(1).map(task, [1, 2], ordered=False))",
    "map with a buffer": "list(ThreadPoolExecutor(1).map(task, [1, 2], buffersize=1))",
    "wait": f"{SUBMIT}; wait([future])",
    "wait for the first": f"{SUBMIT}; wait([future], None, FIRST_COMPLETED)",
    "wait for an exception": f"{SUBMIT}; wait([future], None, FIRST_EXCEPTION)",
    "as_completed": f"{SUBMIT}; list(as_completed([future]))",
    "shutdown": f"{SUBMIT}; executor.shutdown()",
    "shutdown with a timeout": f"{SUBMIT}; executor.shutdown(timeout=3000)",
    "exit of with": "with ThreadPoolExecutor(1) as executor: executor.submit(task)",
    "body of with": """
with ThreadPoolExecutor(2) as executor:
    future, rest = executor.submit(task), [executor.submit(task) for _ in range(9)]
    future.result()""",
    "with in with": """
with ThreadPoolExecutor(1) as outer, ThreadPoolExecutor(1) as inner:
    outer.submit(task)
    inner.submit(task).result()""",
    "submit to a full queue": """
executor = ThreadPoolExecutor(1, max_pending=1)
for _ in range(3): executor.submit(task)""",
    "map into a full queue": "ThreadPoolExecutor(1, max_pending=1).map(task, range(9))",
    "run_to_futures": "ThreadPoolExecutor(1).run_to_futures([task])",
    "run_to_results": "next(ThreadPoolExecutor(1).run_to_results([task]))",
    "sleep": f"{SUBMIT}; time.sleep(3600)",
}


@pytest.fixture(autouse=True)
def hang_limit(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tasks would run for an hour."""
    monkeypatch.setattr(programs, "WATCHDOG_SECONDS", 30)
    yield


def interrupted(task: str, code: str) -> Ended:
    ended = run("-c", f"{PREAMBLE}\ntask = {task}\n{textwrap.dedent(code)}")
    assert "FATAL" not in ended.stderr and "Fatal" not in ended.stderr, ended.stderr
    return ended


@pytest.mark.parametrize("code", WAITS.values(), ids=WAITS)
@pytest.mark.parametrize("task", ["sleeping", "computing"])
def test_one_ctrl_c_ends_the_program(task: str, code: str) -> None:
    ended = interrupted(task, code)
    assert ended.code == -signal.SIGINT, ended.stderr
    assert ended.stderr.splitlines()[-1] == "KeyboardInterrupt"


@pytest.mark.parametrize("task", ["sleeping", "computing", "waiting"])
@pytest.mark.parametrize("code", ["pass", "executor.shutdown(wait=False, cancel_futures=True)"])
def test_a_program_that_ends_in_its_own_way(task: str, code: str) -> None:
    ended = interrupted(
        task,
        f"""
        try:
            with ThreadPoolExecutor(2) as executor:
                futures = [executor.submit(task) for _ in range(9)]
                try:
                    futures[0].result()
                finally:
                    {code}
        except KeyboardInterrupt:
            print(sum(future.cancelled() for future in futures))
            sys.exit(3)
    """,
    )
    assert ended.code == 3, ended.stderr
    # A task that waits may have had another work in its stead by then.
    assert int(ended.stdout) == 7 or (task == "waiting" and 0 < int(ended.stdout) < 7)


def test_what_has_not_started_does_not_run() -> None:
    ended = interrupted(
        "sleeping",
        """
        with ThreadPoolExecutor(1) as executor:
            executor.submit(task)
            for _ in range(9):
                executor.submit(print, "not this")
    """,
    )
    assert (ended.code, ended.stdout) == (-signal.SIGINT, "")


def test_who_handles_it_can_go_on() -> None:
    ended = interrupted(
        "None",
        """
        with ThreadPoolExecutor(1) as executor:
            future = executor.submit(lambda: (started.set(), time.sleep(1), "done")[-1])
            try:
                future.result()
            except KeyboardInterrupt:
                print("caught")
            print(future.result(), executor.submit(pow, 2, 10).result())
    """,
    )
    assert (ended.code, ended.stdout) == (0, "caught\ndone 1024\n"), ended.stderr


def test_an_interrupted_wait_leaves_nothing_behind() -> None:
    ended = interrupted(
        "None",
        """
        started.set()
        futures = [Future() for _ in range(3)]
        for wait_for in (wait, lambda it: list(as_completed(it)), lambda it: it[0].result()):
            try:
                wait_for(futures)
            except KeyboardInterrupt:
                print("caught")
            threading.Thread(target=interrupt, daemon=True).start()
        print([future._waiters for future in futures])
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    """,
    )
    assert (ended.code, ended.stdout) == (0, "caught\n" * 3 + "[[], [], []]\n"), ended.stderr


def test_a_handler_that_raises_something_else() -> None:
    ended = interrupted(
        "sleeping",
        """
        class Stop(Exception):
            pass

        def stop(*_):
            raise Stop

        signal.signal(signal.SIGINT, stop)
        future = Future()
        started.set()
        try:
            future.result()
        except Stop:
            print("stopped")
    """,
    )
    assert (ended.code, ended.stdout) == (0, "stopped\n"), ended.stderr


@pytest.mark.parametrize("arguments", ["wait=False", "wait=False, cancel_futures=True"])
@pytest.mark.parametrize(
    "wait", ["future.result()", "wait(futures)", "list(results)", "executor.shutdown()", "spin()"]
)
def test_shutdown_in_a_signal_handler(arguments: str, wait: str) -> None:
    ended = interrupted(
        "None",
        f"""
        import itertools

        def stop(*_):
            executor.shutdown({arguments})
            over.set()

        def spin():
            # The handler comes at any point of `submit`.
            try:
                while True:
                    executor.submit(int)
            except RuntimeError as error:
                print(error, file=sys.stderr)

        over = threading.Event()
        signal.signal(signal.SIGINT, stop)
        executor = ThreadPoolExecutor(2)
        go = [executor.submit(lambda: (started.set(), over.wait())) for _ in range(2)]
        futures = [executor.submit(int) for _ in range(9)]
        future, results = go[0], executor.map(lambda _: over.wait(), range(0))
        {wait}
        over.wait()
        executor.shutdown()
        print(all(future.done() for future in futures))
    """,
    )
    assert (ended.code, ended.stdout) == (0, "True\n"), ended.stderr


def test_signals_that_hail_down_on_submit_and_shutdown() -> None:
    ended = interrupted(
        "None",
        """
        def look(*_):
            executor.stats()
            executor.submit(int)
            executors.append(ThreadPoolExecutor(1))
            executors[-1].submit(int)
            executors.pop().shutdown(wait=False)

        executors = []
        executor = ThreadPoolExecutor(2)
        signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for _ in range(300):
            assert len(list(executor.map(abs, range(100)))) == 100
            assert executor.submit(pow, 2, 10).result() == 1024
        signal.setitimer(signal.ITIMER_REAL, 0)
        executor.shutdown()
        print("done")
    """,
    )
    assert (ended.code, ended.stdout) == (0, "done\n"), ended.stderr


def interrupts(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_one_in_a_callback_of_what_a_shutdown_cancels() -> None:
    """It is for the thread that shuts down, when all has been cancelled."""
    executor, go = ThreadPoolExecutor(1), threading.Event()
    executor.submit(go.wait)
    futures = [executor.submit(int) for _ in range(3)]
    futures[0].add_done_callback(interrupts)
    with pytest.raises(KeyboardInterrupt):
        executor.shutdown(cancel_futures=True)
    assert all(future.cancelled() for future in futures)
    go.set()
    executor.shutdown()


@pytest.mark.parametrize("wait", ["result", "map"])
def test_one_that_comes_before_the_error_of_a_task(wait: str) -> None:
    """As when both hear of a Ctrl-C: it is raised by the wait, not in whoever handles the error."""

    def fails(_: object) -> None:
        time.sleep(0.1)  # until the main thread sleeps
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        raise ValueError

    with ThreadPoolExecutor(1) as executor, pytest.raises(KeyboardInterrupt):
        if wait == "map":
            next(executor.map(fails, [None]))
        else:
            executor.submit(fails, None).result()


def test_one_in_a_task_that_its_submitter_runs() -> None:
    go = threading.Event()
    with ThreadPoolExecutor(1, max_pending=1, when_full="caller") as executor:
        running = executor.submit(go.wait)
        until(running.running)
        pending = executor.submit(int)
        with pytest.raises(KeyboardInterrupt):
            executor.submit(interrupts)
        go.set()
        assert pending.result() == 0


def test_one_while_the_error_of_a_callback_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise ValueError

    monkeypatch.setattr(logging.getLogger("concurrent.futures"), "error", interrupts)
    future: Future[None] = Future()
    future.add_done_callback(fails)
    with pytest.raises(KeyboardInterrupt):
        future.set_result(None)
    assert future.result() is None
