"""Several tasks at once: `map`, `wait` and `as_completed`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .._conformance_tasks import add, note, odd_only, slow_first, square, step
from ._trial import DOCS, OURS, PEP, Call, Trial, behaviour, fail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future


class Map:
    """Behaviours of `map`."""

    @behaviour(PEP)
    def test_map_gives_results_in_the_order_of_the_items(self, trial: Trial) -> None:
        """map gives the results in the order of the items, also where the first take the longest."""
        executor = trial.executor()
        seen = list(executor.map(slow_first, range(16), timeout=trial.suite.patience))
        assert seen == list(range(16)), f"expected 0 to 15 in their order, not {seen}"
        sums = list(executor.map(add, [1, 2, 3], [10, 20], timeout=trial.suite.patience))
        assert sums == [11, 22], f"expected [11, 22] of two iterables, not {sums}"

    @behaviour("the documentation of concurrent.futures, since 3.14")
    def test_map_with_a_buffersize_takes_no_more_items_ahead(self, trial: Trial) -> None:
        """map with a buffersize takes only so many items ahead of the results that were taken."""
        executor = trial.executor()
        taken: list[int] = []

        def items() -> Iterator[int]:
            for number in range(50):
                taken.append(number)
                yield number

        results = executor.map(square, items(), buffersize=4, timeout=trial.suite.patience)
        for number, seen in enumerate(results):
            assert seen == number**2, f"expected the square of {number}, not {seen}"
            ahead = len(taken) - (number + 1)
            assert ahead <= 4, f"expected at most 4 items ahead, but {ahead} were taken"
        assert len(taken) == 50, f"expected all items to be taken in the end, not {len(taken)}"

    @behaviour(OURS)
    def test_map_gives_results_as_they_complete_when_unordered(self, trial: Trial) -> None:
        """map with ordered=False gives each result once."""
        patience = trial.suite.patience
        results = trial.executor().map(square, range(16), ordered=False, timeout=patience)
        seen = sorted(results)
        assert seen == [number**2 for number in range(16)], f"expected each square once, not {seen}"

    @behaviour(PEP)
    def test_map_ends_with_the_first_error(self, trial: Trial) -> None:
        """map raises the first error in the order of the items, after the results before it."""
        results = trial.executor().map(odd_only, [1, 3, 4, 5, 6], timeout=trial.suite.patience)
        seen = [next(results), next(results)]
        assert seen == [1, 3], f"expected the results before the error, [1, 3], not {seen}"
        try:
            fail(f"expected the error of 4, but map gives {next(results)}")
        except ValueError as error:
            assert str(error) == "4 is even", f"expected the error of 4, not {error!r}"
        assert list(results) == [], "expected it to end with the error"

    @behaviour(PEP, "queue")
    def test_map_gives_up_after_its_timeout(self, trial: Trial) -> None:
        """map with a timeout raises TimeoutError when it is over, and cancels what has not begun."""
        executor = trial.executor()
        trial.busy(executor)
        results = executor.map(note, [str(trial.place)] * 4, range(4), timeout=0.01)
        try:
            fail(f"expected TimeoutError while all workers are busy, not {next(results)}")
        except trial.suite.futures.TimeoutError:
            pass
        trial.open()
        executor.shutdown()
        noted = trial.noted()
        assert noted == [], f"expected what had not begun to be cancelled, but these ran: {noted}"

    @behaviour(DOCS, "queue")
    def test_a_closed_map_cancels_what_is_pending(self, trial: Trial) -> None:
        """A map that is closed cancels what has not begun."""
        executor = trial.executor()
        held = trial.workers + trial.suite.ahead
        numbers = range(1 + held + 4)
        places = [str(trial.place)] * len(numbers)
        results = executor.map(step, places, numbers, [held] * len(numbers))
        assert next(results) == 0, "expected the first result"
        for number in range(1, 1 + trial.workers):
            begun = trial.place / f"begun-{number}"
            trial.until("the next items to be begun", begun.exists)
        results.close()
        trial.open()
        executor.shutdown()
        noted = trial.noted()
        assert noted == [], f"expected what had not begun to be cancelled, but these ran: {noted}"


class Wait:
    """Behaviours of `wait`."""

    @behaviour(PEP)
    def test_wait_returns_when_all_have_ended(self, trial: Trial) -> None:
        """wait for ALL_COMPLETED returns when all have ended."""
        executor = trial.executor()
        futures = [executor.submit(square, number) for number in range(16)]
        waited = trial.suite.futures.wait(futures + futures, trial.suite.patience)
        assert waited.not_done == set(), f"expected all to have ended: {waited.not_done}"
        assert waited.done == set(futures), f"expected all in `done`: {waited.done}"
        assert all(future.done() for future in futures), "expected each to be done, as wait says"

    @behaviour(PEP, "elsewhere")
    def test_wait_returns_when_the_first_has_ended(self, trial: Trial) -> None:
        """wait for FIRST_COMPLETED returns when one has ended, and tells which have not."""
        first, second = _ended_and_held(trial)
        wait = trial.suite.futures.wait
        waited = trial.returns(
            "wait(FIRST_COMPLETED)",
            lambda: wait([second, first], return_when="FIRST_COMPLETED"),
        )
        assert waited == ({first}, {second}), f"expected one of them to be done: {waited}"

    @behaviour(PEP, "elsewhere")
    def test_wait_returns_when_the_first_has_failed(self, trial: Trial) -> None:
        """wait for FIRST_EXCEPTION returns when one has raised, or when all have ended."""
        executor = trial.executor()
        failed = executor.submit(odd_only, 4)
        trial.outcome(failed)
        (running,) = trial.hold(executor, 1)
        wait = trial.suite.futures.wait
        waited = trial.returns(
            "wait(FIRST_EXCEPTION)",
            lambda: wait([running, failed], return_when="FIRST_EXCEPTION"),
        )
        assert waited == ({failed}, {running}), f"expected the one that has failed: {waited}"
        waiting = Call(lambda: wait([running], return_when="FIRST_EXCEPTION"))
        trial.open()
        waited = waiting.get(trial.suite.patience, "wait(FIRST_EXCEPTION), when all have ended,")
        assert waited == ({running}, set()), f"expected it to be done: {waited}"

    @behaviour(PEP, "elsewhere")
    def test_wait_gives_up_after_its_timeout(self, trial: Trial) -> None:
        """wait with a timeout returns when it is over, with what has not ended."""
        (running,) = trial.hold(trial.executor(), 1)
        begin = time.monotonic()
        waited = trial.suite.futures.wait([running], timeout=0.01)
        assert time.monotonic() - begin >= 0.01, "expected it to wait for its time"
        assert waited == (set(), {running}), f"expected the one that runs in `not_done`: {waited}"

    @behaviour(PEP)
    def test_futures_of_two_executors_can_be_waited_for_together(self, trial: Trial) -> None:
        """Futures of several executors can be waited for together."""
        executors = [trial.executor(), trial.executor()]
        futures = [executors[number % 2].submit(square, number) for number in range(16)]
        waited = trial.suite.futures.wait(futures, trial.suite.patience)
        assert waited.not_done == set(), f"expected all to have ended: {waited.not_done}"
        completed = trial.suite.futures.as_completed(futures, trial.suite.patience)
        assert set(completed) == set(futures), "expected each from as_completed"


class AsCompleted:
    """Behaviours of `as_completed`."""

    @behaviour(PEP, "elsewhere")
    def test_as_completed_gives_each_future_once_as_it_ends(self, trial: Trial) -> None:
        """as_completed gives each future once, those that end first before the others."""
        first, second = _ended_and_held(trial)
        as_completed = trial.suite.futures.as_completed
        completed = as_completed([second, first, second], trial.suite.patience)
        seen = next(completed)
        assert seen is first, f"expected the one that has ended, not {seen}"
        trial.open()
        rest = list(completed)
        assert rest == [second], f"expected the one that ended later, once, not {rest}"

    @behaviour(PEP, "elsewhere")
    def test_as_completed_gives_up_after_its_timeout(self, trial: Trial) -> None:
        """as_completed with a timeout raises TimeoutError when it is over."""
        first, second = _ended_and_held(trial)
        completed = trial.suite.futures.as_completed([first, second], timeout=0.01)
        seen = next(completed)
        assert seen is first, f"expected the one that has ended, not {seen}"
        try:
            fail(f"expected TimeoutError while the other runs, not {next(completed)}")
        except trial.suite.futures.TimeoutError:
            pass


def _ended_and_held(trial: Trial) -> tuple[Future[Any], Future[Any]]:
    """A task that has ended, and one that runs until `open`."""
    executor = trial.executor()
    ended = executor.submit(square, 7)
    trial.value(ended)
    (held,) = trial.hold(executor, 1)
    return ended, held
