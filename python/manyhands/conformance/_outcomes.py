"""What futures give: results and exceptions, and nothing before it is there; and cancelling."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from .._conformance_tasks import add, in_list, note, odd_only, square
from ._trial import DOCS, OURS, PEP, Call, Trial, behaviour, fail

if TYPE_CHECKING:
    from concurrent.futures import Future


class Outcomes:
    """Behaviours of `result`, `exception` and `cancel`."""

    @behaviour(PEP)
    def test_a_result_may_be_asked_for_by_many_and_again(self, trial: Trial) -> None:
        """result gives the same object whoever asks for it, and as often as anybody does."""
        future = trial.executor().submit(in_list, 9)
        seen = trial.returns("result, in another thread,", future.result)
        again = [trial.value(future), future.result()]
        assert seen == [9], f"expected [9], not {seen}"
        assert all(value is seen for value in again), f"expected the very same, not {again}"
        assert future.exception() is None, "expected no exception of a task that returned a value"

    @behaviour(PEP)
    def test_an_exception_is_the_futures_and_harms_no_other(self, trial: Trial) -> None:
        """What a task raises, exception gives and result raises, and the executor goes on."""
        executor = trial.executor()
        failed = [executor.submit(odd_only, 4) for _ in range(2 * trial.workers)]
        after = executor.submit(odd_only, 5)
        for future in failed:
            error = trial.outcome(future)
            seen = (type(error), str(error))
            assert seen == (ValueError, "4 is even"), (
                f"expected ValueError('4 is even'), not {error!r}"
            )
            try:
                fail(f"expected result to raise, but it returns {future.result()!r}")
            except ValueError:
                pass
        assert trial.value(after) == 5, "expected the result of the task after those that failed"

    @behaviour(PEP, "elsewhere")
    def test_result_gives_up_after_its_timeout_and_the_task_goes_on(self, trial: Trial) -> None:
        """result and exception with a timeout raise TimeoutError when it is over."""
        (future,) = trial.hold(trial.executor(), 1)
        for ask in (future.result, future.exception):
            begin = time.monotonic()
            try:
                fail(f"expected TimeoutError while the task runs, not {ask(0.005)!r}")
            except trial.suite.futures.TimeoutError:
                assert time.monotonic() - begin >= 0.005, "expected it to wait for its time"
        assert future.running(), f"expected the task to run on: {future}"
        trial.open()
        assert trial.value(future) == 0, "expected the result in the end"

    @behaviour(PEP, "elsewhere")
    def test_all_who_wait_get_the_result(self, trial: Trial) -> None:
        """All threads that wait for a task are told when it ends."""
        (future,) = trial.hold(trial.executor(), 1)
        waiting = [Call(future.result) for _ in range(4)]
        trial.open()
        for call in waiting:
            seen = call.get(trial.suite.patience, "result, in each thread that waits,")
            assert seen == 0, f"expected the task's value in each thread, not {seen}"

    @behaviour(DOCS)
    def test_a_future_can_be_awaited(self, trial: Trial) -> None:
        """asyncio takes a future by wrap_future."""
        executor = trial.executor()

        async def main() -> int:
            future = executor.submit(square, 7)
            return await asyncio.wait_for(asyncio.wrap_future(future), trial.suite.patience)

        seen = asyncio.run(main())
        assert seen == 49, f"expected the task's value, 49, not {seen}"

    @behaviour(PEP, "queue")
    def test_a_pending_task_is_cancelled_and_never_runs(self, trial: Trial) -> None:
        """cancel of a task that has not begun succeeds, again and again, and it never runs."""
        executor = trial.executor()
        trial.busy(executor)
        cancelled, kept = (executor.submit(note, str(trial.place), number) for number in (1, 2))
        assert not cancelled.done() and not cancelled.running(), f"expected it to wait: {cancelled}"
        assert cancelled.cancel() is True, f"expected cancel to succeed: {cancelled}"
        assert cancelled.cancel() is True, f"expected cancel to succeed again: {cancelled}"
        assert cancelled.cancelled() and cancelled.done(), f"expected it cancelled: {cancelled}"
        try:
            fail(f"expected CancelledError of result, not {cancelled.result(trial.suite.patience)}")
        except trial.suite.futures.CancelledError:
            pass
        trial.open()
        assert trial.value(kept) == 2, "expected the task behind the cancelled one to run"
        executor.shutdown()
        noted = trial.noted()
        assert noted == [2], f"expected the cancelled task 1 never to run, but these ran: {noted}"

    @behaviour(PEP, "elsewhere")
    def test_a_running_task_is_not_cancelled(self, trial: Trial) -> None:
        """cancel of a running task fails and changes nothing."""
        (future,) = trial.hold(trial.executor(), 1)
        assert future.cancel() is False, f"expected cancel to fail on a running task: {future}"
        assert future.running() and not future.cancelled(), f"expected it to run on: {future}"
        trial.open()
        assert trial.value(future) == 0, "expected its result"

    @behaviour(PEP)
    def test_an_ended_task_is_not_cancelled(self, trial: Trial) -> None:
        """cancel of a task that has ended fails and changes nothing."""
        future = trial.executor().submit(add, 1, 1)
        trial.value(future)
        assert future.cancel() is False, (
            f"expected cancel to fail on a task that has ended: {future}"
        )
        assert future.done() and not future.cancelled(), f"expected it to be as it was: {future}"
        assert trial.value(future) == 2, "expected its result"

    @behaviour(PEP, "queue")
    def test_all_who_wait_for_a_cancelled_task_are_told(self, trial: Trial) -> None:
        """result, wait and as_completed return when a task is cancelled and its turn would have come."""
        executor = trial.executor()
        trial.busy(executor)
        future = executor.submit(add, 1, 1)
        calls = all_ways_to_wait(trial, future)
        assert future.cancel() is True, f"expected cancel to succeed on a pending task: {future}"
        trial.open()
        assert_told(trial, calls, "when its turn would have come,")

    @behaviour(OURS, "queue")
    def test_a_cancelled_task_is_known_while_all_workers_are_busy(self, trial: Trial) -> None:
        """result, wait and as_completed return when a task is cancelled, though all workers are busy."""
        executor = trial.executor()
        trial.busy(executor)
        future = executor.submit(add, 1, 1)
        calls = all_ways_to_wait(trial, future)
        assert future.cancel() is True, f"expected cancel to succeed on a pending task: {future}"
        assert_told(trial, calls, "while all workers are busy,")


def all_ways_to_wait(trial: Trial, future: Future[Any]) -> dict[str, Call]:
    """Each in a thread of its own, from now on."""
    wait, as_completed = trial.suite.futures.wait, trial.suite.futures.as_completed
    return {
        "result": Call(lambda: is_cancelled(trial, future)),
        "wait": Call(lambda: wait([future]).done == {future}),
        "as_completed": Call(lambda: list(as_completed([future])) == [future]),
    }


def assert_told(trial: Trial, calls: dict[str, Call], when: str) -> None:
    for what, call in calls.items():
        knows = call.get(trial.suite.patience, f"{what} of a cancelled task, {when}")
        assert knows, f"expected {what} to find the task cancelled"


def is_cancelled(trial: Trial, future: Future[Any]) -> bool:
    try:
        future.result()
    except trial.suite.futures.CancelledError:
        return True
    return False
