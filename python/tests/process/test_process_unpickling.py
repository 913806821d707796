"""A result is unpickled by the first who asks for it, who may be interrupted, or not be the only one."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as FuturesTimeoutError
from typing import Any

import pytest
import trouble
from conftest import MakePool
from errors import told
from subject import STDLIB, wait

if not STDLIB:
    from manyhands.process import ResultError

pytestmark = pytest.mark.ours  # In the standard library, the pool's own thread unpickles it.

Script = Callable[[Callable[[], Any]], None]


@pytest.fixture
def unpickled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """Says what is called, in this process, to unpickle a `Scripted`."""

    def script(does: Callable[[], Any]) -> None:
        monkeypatch.setattr(trouble, "unpickles", does)

    yield script


def interrupted_first() -> Callable[[], str]:
    errors = [KeyboardInterrupt]

    def unpickle() -> str:
        if errors:
            raise errors.pop()
        return "whole"

    return unpickle


def test_ctrl_c_is_for_who_asks_and_the_result_stays(pool: MakePool, unpickled: Script) -> None:
    future = pool(1).submit(trouble.Scripted)
    for ask in (future.exception, future.result, lambda: future._result, future._get_snapshot):
        unpickled(interrupted_first())
        with pytest.raises(KeyboardInterrupt):
            ask()
    assert future.exception() is None
    assert future.result() == "whole"


def test_an_exit_is_an_outcome(pool: MakePool, unpickled: Script) -> None:
    """As in CPython, which breaks the pool: the object is at fault."""
    future = pool(1).submit(trouble.Scripted)
    unpickled(lambda: sys.exit(3))
    error = future.exception()
    assert isinstance(error, ResultError) and "SystemExit" in told(error)
    assert future.exception() is error


def test_an_interrupt_ends_a_wait_for_the_first_exception(
    pool: MakePool, unpickled: Script
) -> None:
    executor = pool(1)
    future, other = executor.submit(trouble.Scripted), executor.submit(time.sleep, 0.5)
    unpickled(interrupted_first())
    with pytest.raises(KeyboardInterrupt):
        wait([future, other], return_when="FIRST_EXCEPTION")
    done, _ = wait([future, other], return_when="FIRST_EXCEPTION")
    assert done == {future, other} and future.result() == "whole"


def test_large_data_is_there_for_the_second_time(pool: MakePool, unpickled: Script) -> None:
    future = pool(1).submit(trouble.Scripted, bytearray(b"x" * 2_000_000))
    unpickled(interrupted_first())
    with pytest.raises(KeyboardInterrupt):
        future.result()
    name, data = future.result()
    assert name == "whole" and len(data) == 2_000_000 and set(data) == {ord("x")}


def test_in_another_thread_it_is_an_outcome(pool: MakePool, unpickled: Script) -> None:
    """Signals are for the main thread: the object itself has raised it."""
    future = pool(1).submit(trouble.Scripted)
    unpickled(interrupted_first())
    asked: list[Any] = []
    thread = threading.Thread(target=lambda: asked.append(future.exception()))
    thread.start()
    thread.join()
    assert isinstance(asked[0], BaseException) and future.exception() is asked[0]


def test_an_object_that_asks_for_itself_gets_an_error(pool: MakePool, unpickled: Script) -> None:
    future = pool(1).submit(trouble.Scripted)
    unpickled(lambda: future.result())
    error = future.exception()
    assert isinstance(error, ResultError) and "is being unpickled" in told(error)


def test_a_signal_handler_that_asks_gets_an_error(pool: MakePool, unpickled: Script) -> None:
    future = pool(1).submit(trouble.Scripted)
    asked: list[Any] = []

    def handle(*_: Any) -> None:
        try:
            asked.append(future.result())
        except RuntimeError as error:
            asked.append(str(error))
        asked.append(repr(future))

    def unpickle() -> str:
        signal.raise_signal(signal.SIGUSR1)
        return "whole"

    unpickled(unpickle)
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        assert future.result() == "whole"
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert "is being unpickled" in asked[0] and "state=finished" in asked[1]


def test_who_asks_meanwhile_minds_the_time(pool: MakePool, unpickled: Script) -> None:
    future = pool(1).submit(trouble.Scripted)
    begun, go_on = threading.Event(), threading.Event()

    def unpickle() -> str:
        begun.set()
        assert go_on.wait(60)
        return "whole"

    unpickled(unpickle)
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(future.result()))
    thread.start()
    assert begun.wait(60)
    with pytest.raises(FuturesTimeoutError):
        future.result(timeout=0.1)
    threading.Timer(0.1, go_on.set).start()
    assert future.result(timeout=60) == "whole"
    thread.join()
    assert results == ["whole"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_of_a_process_that_unpickles_gets_an_error(
    pool: MakePool, unpickled: Script
) -> None:
    future = pool(1).submit(trouble.Scripted)
    begun, go_on = threading.Event(), threading.Event()

    def unpickle() -> str:
        begun.set()
        assert go_on.wait(60)
        return "whole"

    unpickled(unpickle)
    thread = threading.Thread(target=future.result)
    thread.start()
    assert begun.wait(60)
    child = os.fork()
    if child == 0:
        try:
            future.result()
        except RuntimeError as error:
            os._exit(7 if "fork" in str(error) else 1)
        finally:
            os._exit(2)
    go_on.set()
    end = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
        time.sleep(0.01)
    if ended == (0, 0):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(ended[1]) == 7
    thread.join()
