"""The end of an executor: shutdown in every order, its drop, and executors that break."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from .._conformance_tasks import add, note, square
from ._trial import DOCS, OURS, PEP, SHORT, Call, Trial, behaviour, fail

if TYPE_CHECKING:
    from concurrent.futures import Future

# With and without wait, with and without cancel.
WAYS = [
    {"wait": wait, "cancel_futures": cancel} for wait in (True, False) for cancel in (False, True)
]


class Shutdown:
    """Behaviours of `shutdown` and of `with`."""

    @behaviour(PEP)
    def test_after_shutdown_tasks_are_refused(self, trial: Trial) -> None:
        """After shutdown, of whatever kind, submit and map raise RuntimeError."""
        for way in WAYS:
            executor = trial.executor()
            trial.value(executor.submit(add, 1, 2))
            executor.shutdown(**way)
            for submit in (lambda e: e.submit(add, 3, 4), lambda e: list(e.map(square, [1]))):
                try:
                    seen = submit(executor)
                except RuntimeError:
                    continue
                fail(f"expected RuntimeError after shutdown({way}), not {seen}")

    @behaviour(PEP)
    def test_with_waits_for_all_tasks(self, trial: Trial) -> None:
        """Leaving a with block shuts down and waits for all tasks."""
        with trial.executor() as executor:
            futures = [executor.submit(note, str(trial.place), number) for number in range(10)]
        assert all(future.done() for future in futures), f"expected all to be done: {futures}"
        assert trial.noted() == list(range(10)), "expected each task to have run"
        assert is_refused(executor), "expected the executor to be shut down"

    @behaviour(PEP, "elsewhere")
    def test_shutdown_with_wait_returns_when_all_have_ended(self, trial: Trial) -> None:
        """shutdown with wait returns when all that was submitted has ended."""
        executor = trial.executor()
        futures = trial.busy(executor) + pending(trial, executor)

        def shut_down() -> bool:
            executor.shutdown(wait=True)
            return all(future.done() for future in futures)

        call = Call(shut_down)
        assert not call.is_over(SHORT), "expected shutdown to wait for the tasks that run"
        trial.open()
        all_done = call.get(trial.suite.patience, "shutdown, when the tasks have ended,")
        assert all_done, f"expected all to be done when shutdown returns: {futures}"
        for future in futures:
            trial.value(future)

    @behaviour(PEP, "elsewhere")
    def test_shutdown_without_wait_returns_at_once_and_pending_tasks_run(
        self, trial: Trial
    ) -> None:
        """shutdown without wait returns at once, and what is pending still runs."""
        executor = trial.executor()
        held = trial.busy(executor)
        futures = pending(trial, executor)
        trial.returns("shutdown without wait", lambda: executor.shutdown(wait=False))
        assert all(future.running() for future in held), f"expected these to run on: {held}"
        trial.open()
        values = [trial.value(future) for future in futures]
        assert values == list(range(5)), f"expected what was pending to run: {values}"

    @behaviour("the documentation of concurrent.futures, since 3.9", "queue")
    def test_shutdown_with_cancel_cancels_what_is_pending_alone(self, trial: Trial) -> None:
        """shutdown with cancel_futures cancels what has not begun, and nothing else."""
        for wait in (False, True):
            trial.again()
            executor = trial.executor()
            held = trial.busy(executor)
            futures = pending(trial, executor)
            call = shutting_down(executor, {"wait": wait, "cancel_futures": True})
            until_cancelled(trial, futures)
            trial.open()
            call.get(trial.suite.patience, "shutdown, when the running tasks have ended,")
            values = [trial.value(future) for future in held]
            assert values == list(range(trial.workers)), f"expected what ran to end: {values}"
            noted = trial.noted()
            assert noted == [], f"expected no cancelled task to run, but these did: {noted}"

    @behaviour(OURS, "queue")
    def test_shutdown_may_come_again_in_every_order(self, trial: Trial) -> None:
        """shutdown may be called again, in another way: what is pending is cancelled as soon as one
        of the calls says so, and runs if none does.
        """
        for first in WAYS:
            for second in WAYS:
                trial.again()
                executor = trial.executor()
                trial.busy(executor)
                futures = pending(trial, executor)
                call = shutting_down(executor, first, second)
                # One that waits comes back when the tasks end, and the next is called too late.
                late = first["wait"] and not first["cancel_futures"]
                cancels = first["cancel_futures"] or (second["cancel_futures"] and not late)
                if cancels:
                    until_cancelled(trial, futures)
                trial.open()
                call.get(trial.suite.patience, f"shutdown({first}) and then shutdown({second})")
                executor.shutdown()
                done = all(future.done() for future in futures)
                assert done, f"expected shutdown to leave nothing pending: {futures}"
                ran = trial.noted()
                expected = [] if cancels else list(range(5))
                assert ran == expected, (
                    f"expected, after shutdown({first}) and shutdown({second}), that these pending "
                    f"tasks run: {expected}, not {ran}"
                )

    @behaviour(OURS)
    def test_shutdown_may_come_from_several_threads(self, trial: Trial) -> None:
        """shutdown may be called by several threads, and returns to each when all has ended."""
        executor = trial.executor()
        futures = pending(trial, executor)

        def shut_down() -> bool:
            executor.shutdown()
            return all(future.done() for future in futures)

        for call in [Call(shut_down) for _ in range(4)]:
            all_done = call.get(trial.suite.patience, "shutdown, in each thread,")
            assert all_done, f"expected all to be done whenever shutdown returns: {futures}"

    @behaviour(PEP)
    def test_an_unused_executor_shuts_down(self, trial: Trial) -> None:
        """An executor that has run nothing shuts down in any way."""
        for way in WAYS:
            executor = trial.executor()
            executor.shutdown(**way)
            executor.shutdown()
        with trial.executor():
            pass

    @behaviour(OURS, "closures")
    def test_a_task_may_shut_its_own_executor_down(self, trial: Trial) -> None:
        """shutdown called from one of the executor's own tasks comes back, if with RuntimeError."""
        executor = trial.executor()

        def shut_down() -> bool:
            try:
                executor.shutdown(wait=True)
            except RuntimeError:
                pass  # it cannot wait for itself
            return is_refused(executor)

        refused = trial.value(executor.submit(shut_down))
        assert refused, "expected the executor to refuse tasks after its task has shut it down"

    @behaviour(OURS, "queue")
    def test_a_callback_of_shutdown_may_use_the_executor(self, trial: Trial) -> None:
        """A callback of a task that shutdown cancels may use the executor: no lock is held."""
        executor = trial.executor()
        trial.busy(executor)
        future = executor.submit(square, 2)
        calls: list[bool] = []
        future.add_done_callback(lambda _: calls.append(is_refused(executor)))
        call = shutting_down(executor, {"wait": False, "cancel_futures": True})
        call.get(trial.suite.patience, "shutdown")
        trial.until("submit to come back in a callback", lambda: calls)
        assert calls == [True], "expected the executor to refuse tasks while it cancels others"

    @behaviour(DOCS)
    def test_a_dropped_executor_leaves_no_future_pending(self, trial: Trial) -> None:
        """An executor that nobody refers to any more runs or cancels what it has accepted."""
        executor = trial.executor_to_drop()
        futures = [executor.submit(square, number) for number in range(10)]
        del executor
        gc.collect()
        for future in futures:
            trial.until("each task to be run or cancelled", future.done)

    @behaviour(PEP)
    def test_futures_outlive_their_executor(self, trial: Trial) -> None:
        """A future gives its result also when the executor is gone."""
        executor = trial.executor_to_drop()
        futures = [executor.submit(square, number) for number in range(10)]
        executor.shutdown()
        del executor
        gc.collect()
        values = [trial.value(future) for future in futures]
        assert values == [number**2 for number in range(10)], f"expected the squares, not {values}"


class Breaking:
    """Behaviours of executors that break: nobody waits in vain, and everybody is told why."""

    @behaviour(DOCS, "breaks")
    def test_what_a_breaking_executor_holds_fails_as_broken(self, trial: Trial) -> None:
        """When an executor breaks, each task that has not ended fails with BrokenExecutor."""
        executor, breaks = trial.breaking_executor()
        futures = trial.submit_held(executor, trial.workers)
        futures += [executor.submit(square, number) for number in range(5)]
        breaks()
        for future in futures:
            error = trial.outcome(future)
            broken = isinstance(error, trial.suite.futures.BrokenExecutor)
            assert broken, f"expected BrokenExecutor, not {error!r}"

    @behaviour(DOCS, "breaks")
    def test_a_broken_executor_refuses_tasks(self, trial: Trial) -> None:
        """submit to a broken executor raises BrokenExecutor."""
        executor, breaks = trial.breaking_executor()
        (held,) = trial.submit_held(executor, 1)
        breaks()
        trial.outcome(held)
        for _ in range(5):
            try:
                seen = executor.submit(square, 3)
            except trial.suite.futures.BrokenExecutor:
                continue
            fail(f"expected submit to raise BrokenExecutor, not {seen}")

    @behaviour(PEP, "breaks")
    def test_a_broken_executor_shuts_down(self, trial: Trial) -> None:
        """A broken executor shuts down in any way."""
        for way in WAYS:
            trial.again()
            executor, breaks = trial.breaking_executor()
            (held,) = trial.submit_held(executor, 1)
            breaks()
            executor.shutdown(**way)
            trial.until("its task to end", held.done)
            executor.shutdown()


def pending(trial: Trial, executor: Any) -> list[Future[int]]:
    return [executor.submit(note, str(trial.place), number) for number in range(5)]


def shutting_down(executor: Any, *ways: dict[str, bool]) -> Call:
    def shut_down() -> None:
        for way in ways:
            executor.shutdown(**way)

    return Call(shut_down)


def until_cancelled(trial: Trial, futures: list[Future[int]]) -> None:
    for future in futures:
        trial.until("shutdown to cancel what is pending", future.cancelled)


def is_refused(executor: Any) -> bool:
    try:
        executor.submit(square, 2)
    except RuntimeError:
        return True
    return False
