"""`delay`, and the timers' thread behind it, `with_timeout` and `Retry`."""

import gc
import os
import textwrap
import threading
import time
import weakref

import pytest
from patience import in_thread, until, until_dead
from programs import run, succeed

from manyhands import Future, TimeoutError, delay, gather
from manyhands import _timer as timers

HOUR = 3600.0


class Value:
    """Something with weak references."""


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "manyhands-timer"]


def test_a_delay_lasts_as_long_as_it_should() -> None:
    began = time.monotonic()
    assert delay(0.05, "value").result() == "value"
    assert time.monotonic() - began >= 0.05
    assert delay(0).result() is None
    assert delay(-5).result() is None


def test_they_come_in_the_order_of_their_times() -> None:
    came: list[float] = []
    while not came:
        began = time.monotonic()
        delays = [delay(seconds, seconds) for seconds in (0.06, 0.02, 0.04, 0.02)]
        told = gather(*(each.then(came.append) for each in delays))
        made_in = time.monotonic() - began
        told.result()
        if made_in > 0.02:
            came.clear()  # on a busy machine: they were not due in that order
    assert came == [0.02, 0.02, 0.04, 0.06]


def test_ten_thousand_come_once_each_and_one_thread_is_enough() -> None:
    counts: list[None] = []
    futures = [delay(n % 50 / 1000).then(lambda _: counts.append(None)) for n in range(10_000)]
    assert len(threads()) == 1 and threads()[0].daemon
    gather(*futures).result()
    assert len(counts) == 10_000


def test_one_that_is_cancelled_lets_go_of_its_value() -> None:
    value = Value()
    held = weakref.ref(value)
    future = delay(HOUR, value)
    del value
    assert future.cancel()
    until_dead(held)


def test_timeouts_that_were_not_needed_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "_timers", timers._Timers())
    first = delay(HOUR / 2)
    for _ in range(5 * timers._MANY):
        source: Future[int] = Future()
        source.with_timeout(HOUR)
        source.set_result(5)
    assert len(timers._timers.waiting) < 3 * timers._MANY
    assert first.cancel()


def test_one_that_nobody_holds_comes_all_the_same() -> None:
    came = threading.Event()
    delay(0.01).then(lambda _: came.set())
    gc.collect()
    assert came.wait(60)


def test_the_thread_ends_and_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "_timers", timers._Timers())
    monkeypatch.setattr(timers, "_IDLE_SECONDS", 0.01)
    for _ in range(3):
        delay(0.001).result()
        thread = timers._timers._thread
        until(lambda: timers._timers._thread is None)
        assert thread is None or not thread.join()  # type: ignore[func-returns-value]


def test_the_thread_does_not_stay_for_timers_that_were_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timers, "_timers", timers._Timers())
    monkeypatch.setattr(timers, "_IDLE_SECONDS", 0.01)
    futures = [delay(HOUR) for _ in range(100)]
    for future in [*futures[50:], *futures[:50]]:
        future.cancel()
    until(lambda: timers._timers._thread is None)
    # Stopped behind another one that comes.
    soon, later = delay(0.05), delay(HOUR)
    later.cancel()
    soon.result()
    until(lambda: timers._timers._thread is None)
    assert timers._timers.waiting == []


def test_what_a_callback_raises_ends_no_timer(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: object) -> None:
        raise SystemExit(3)

    future = delay(0.01)
    future.add_done_callback(fail)
    future.result()
    assert delay(0.02, 5).result() == 5
    assert "callback of a timer" in caplog.text


def test_from_a_function_of_another_and_from_many_threads() -> None:
    def again(count: int) -> Future[int]:
        return delay(0.001, count - 1).then(lambda n: again(n) if n else delay(0, 0))

    ends: list[Future[int]] = []
    starting = [in_thread(lambda: ends.append(again(50))) for _ in range(8)]
    for thread in starting:
        thread.join()
    assert [end.result() for end in ends] == [0] * 8


@pytest.mark.parametrize("seconds", [float("nan"), "soon", None])
def test_what_is_no_time_is_refused(seconds: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        delay(seconds)  # type: ignore[arg-type]


def test_one_that_never_comes_can_be_waited_for_with_a_timeout() -> None:
    never = delay(float("inf"))
    with pytest.raises(TimeoutError):
        never.result(0.01)
    assert never.cancel()


# Programs


def program(code: str) -> str:
    return "import os, sys, threading, time\nfrom manyhands import *\n" + textwrap.dedent(code)


def test_a_program_does_not_live_on_for_its_timers() -> None:
    assert succeed("-c", program("""
        delay(3600).then(print)
        Future().with_timeout(3600)
        delay(0.01, "came").then(print).result()
    """)).lines == ["came"]  # fmt: skip


def test_timers_come_as_long_as_a_task_runs() -> None:
    assert succeed("-c", program("""
        executor = ThreadPoolExecutor(1)
        executor.submit(lambda: print(delay(0.2, "came").result()))
    """)).lines == ["came"]  # fmt: skip


def test_a_program_may_end_while_timers_come() -> None:
    for _ in range(5):
        assert succeed("-c", program("""
            def again(_=None):
                delay(0).then(again)
            for _ in range(20):
                again()
            time.sleep(0.05)
            print("end")
        """)).lines == ["end"]  # fmt: skip


def test_ctrl_c_ends_who_waits_for_one() -> None:
    ended = run("-c", program("""
        import signal
        delay(0.2).then(lambda _: os.kill(os.getpid(), signal.SIGINT))
        try:
            delay(3600).result()
        except KeyboardInterrupt:
            print("interrupted")
    """))  # fmt: skip
    assert (ended.code, ended.stdout) == (0, "interrupted\n"), ended


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_forked_child_starts_anew() -> None:
    assert succeed("-c", program("""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of 3.12, about fork() with threads
        pid = os.getpid()
        delay(0.3).then(lambda _: print("the parent's", os.getpid() == pid, flush=True))
        for _ in range(20):
            delay(0.001)
            child = os.fork()
            if child == 0:
                delay(0.5).result()
                ok = Future().with_timeout(0.01).exception() is not None
                os._exit(3 if ok else 4)
        codes = {os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(20)}
        print(codes)
    """)).lines == ["the parent's True", "{3}"]  # fmt: skip
