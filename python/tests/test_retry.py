"""`Retry`: tasks that are submitted again when they have failed."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from executors import ByHand, Inline
from patience import until

from manyhands import Future, Retry, ThreadPoolExecutor
from manyhands import _timer as timers


class Flaky:
    """Fails so many times, then returns its argument."""

    def __init__(self, failures: int, error: Callable[[int], BaseException] = ValueError) -> None:
        self.calls = 0
        self.failures = failures
        self.error = error

    def __call__(self, value: Any = None) -> Any:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error(self.calls)
        return value


@pytest.mark.parametrize("first_delay", [0, 0.001])
@pytest.mark.parametrize("make", [Inline, lambda: ThreadPoolExecutor(1)])
def test_it_is_tried_until_it_succeeds(make: Any, first_delay: float) -> None:
    flaky = Flaky(3)
    with make() as executor:
        future = Retry(10, first_delay=first_delay, factor=2).submit(executor, flaky, value=5)
        assert future.result(60) == 5
    assert flaky.calls == 4


def test_the_last_exception_is_the_tasks() -> None:
    flaky = Flaky(10)
    error = Retry(3).submit(Inline(), flaky).exception(0)
    assert isinstance(error, ValueError) and error.args == (3,)
    assert flaky.calls == 3


def test_only_what_is_named_is_tried_again() -> None:
    flaky = Flaky(10)
    retry = Retry(5, exceptions=(OSError, KeyError))
    assert isinstance(retry.submit(Inline(), flaky).exception(0), ValueError)
    assert flaky.calls == 1
    flaky = Flaky(10, SystemExit)
    assert isinstance(Retry(5).submit(Inline(), flaky).exception(0), SystemExit)
    assert flaky.calls == 1


def test_many_attempts_need_no_more_of_the_stack() -> None:
    flaky = Flaky(50_000)
    assert Retry(100_000).submit(Inline(), flaky, "done").result(0) == "done"


def test_a_cancelled_attempt_is_not_tried_again() -> None:
    executor = ByHand()
    future = Retry(5).submit(executor, int)
    executor.tasks.pop()[0].cancel()
    assert future.cancelled() and executor.tasks == []


def test_cancelling_cancels_what_is_pending_and_all_further_ones() -> None:
    executor = ByHand()
    future = Retry(5).submit(executor, int)
    assert future.cancel() and executor.tasks[0][0].cancelled()
    # One that is running runs on.
    executor.tasks.clear()
    future = Retry(5).submit(executor, int)
    attempt, _ = executor.begin()
    assert future.running()
    assert future.cancel() and future.cancelled() and not future.running()
    attempt.set_exception(ValueError())
    assert executor.tasks == []


def test_cancelling_in_a_delay_takes_the_timer_away() -> None:
    executor = ByHand()
    future = Retry(5, first_delay=3600).submit(executor, int)
    executor.begin()[0].set_exception(ValueError())
    assert not future.done() and executor.tasks == []
    mine = [timer for _, _, timer in timers._timers.waiting if timer.action is not None]
    assert future.cancel()
    assert any(timer.action is None for timer in mine)


def test_an_executor_that_refuses_is_not_asked_again() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    assert isinstance(Retry(5).submit(executor, int).exception(0), RuntimeError)


def test_leaving_the_pool_waits_for_the_last_attempt() -> None:
    flaky = Flaky(2)
    with ThreadPoolExecutor(1) as executor:
        future = Retry(3, first_delay=0.01).submit(executor, flaky, "done")
    assert future.result(0) == "done"


def test_what_comes_after_it() -> None:
    flaky = Flaky(1)
    with ThreadPoolExecutor(1) as executor:
        assert Retry(2, first_delay=0.001).submit(executor, flaky, 5).then(str).result(60) == "5"


def test_no_thread_waits_in_a_delay(go: threading.Event) -> None:
    with ThreadPoolExecutor(1) as executor:
        future = Retry(2, first_delay=3600).submit(executor, divmod, 1, 0)
        until(lambda: executor.stats().idle == 1)
        assert executor.submit(int).result(60) == 0
        assert future.cancel()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Retry(0),
        lambda: Retry(1, first_delay=-1),
        lambda: Retry(1, factor=float("nan")),
        lambda: Retry(1, max_delay=-1),
        lambda: Retry(1, exceptions=5),  # type: ignore[arg-type]
        lambda: Retry(1).submit(Inline(), 5),  # type: ignore[arg-type]
    ],
)
def test_what_makes_no_sense_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        wrong()


def test_delays_grow_up_to_the_limit() -> None:
    retry = Retry(10_000, first_delay=0.5, factor=2.0, max_delay=100)
    assert [retry.delay_after(attempt) for attempt in (1, 2, 3, 9, 5000)] == [0.5, 1, 2, 100, 100]
    assert retry.delay_after(10_000) is None
    assert Retry(10_000, factor=2.0).delay_after(5000) == 0


def test_a_future_that_fails_once_more_tells_it_once() -> None:
    told: list[Future[Any]] = []
    future = Retry(3).submit(Inline(), Flaky(5))
    future.add_done_callback(told.append)
    assert told == [future]
