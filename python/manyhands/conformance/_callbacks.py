"""Callbacks: once, in their order, and free to use the executor."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from .._conformance_tasks import add, square
from ._trial import DOCS, PEP, Trial, behaviour

if TYPE_CHECKING:
    from concurrent.futures import Future


class Callbacks:
    """Behaviours of `add_done_callback`."""

    @behaviour(PEP)
    def test_a_callback_is_called_once_with_its_future(self, trial: Trial) -> None:
        """A callback is called once, with its future, when that has ended."""
        executor = trial.executor()
        future = executor.submit(square, 3)
        calls: list[tuple[Any, bool]] = []
        future.add_done_callback(lambda future: calls.append((future, future.done())))
        trial.until("the callback to be called", lambda: calls)
        executor.shutdown()
        assert calls == [(future, True)], f"expected one call, with the ended future, not {calls}"

    @behaviour(DOCS, "elsewhere")
    def test_callbacks_are_called_in_the_order_they_were_added(self, trial: Trial) -> None:
        """Callbacks are called in the order in which they were added."""
        (future,) = trial.hold(trial.executor(), 1)
        calls: list[int] = []
        for number in range(20):
            future.add_done_callback(lambda _, number=number: calls.append(number))  # type: ignore[misc]
        assert calls == [], f"expected no call before the task has ended, not {calls}"
        trial.open()
        trial.until("each callback to be called", lambda: len(calls) >= 20)
        assert calls == list(range(20)), f"expected 0 to 19 in their order, not {calls}"

    @behaviour(DOCS)
    def test_a_callback_added_late_is_called_at_once(self, trial: Trial) -> None:
        """A callback of a future that has ended is called at once, in the thread that adds it."""
        future = trial.executor().submit(square, 3)
        trial.value(future)
        calls: list[int] = []
        future.add_done_callback(lambda _: calls.append(threading.get_ident()))
        assert calls == [threading.get_ident()], f"expected a call in this thread, not {calls}"

    @behaviour(PEP, "queue")
    def test_a_callback_of_a_cancelled_task_is_called(self, trial: Trial) -> None:
        """A callback is called once when its task is cancelled."""
        executor = trial.executor()
        trial.busy(executor)
        future = executor.submit(square, 3)
        calls: list[bool] = []
        future.add_done_callback(lambda future: calls.append(future.cancelled()))
        assert future.cancel(), f"expected cancel to succeed on a pending task: {future}"
        trial.until("the callback to be called", lambda: calls)
        trial.open()
        executor.shutdown()
        assert calls == [True], f"expected one call, with a cancelled future, not {calls}"

    @behaviour(DOCS, "elsewhere")
    def test_an_exception_in_a_callback_harms_nobody(self, trial: Trial) -> None:
        """What a callback raises is logged; neither the next one nor the executor suffers."""
        executor = trial.executor()
        (future,) = trial.hold(executor, 1)
        calls: list[int] = []

        def fail(_: Future[int]) -> None:
            raise OSError("on purpose")

        logged: list[logging.LogRecord] = []
        handler = logging.Handler()
        handler.emit = logged.append  # type: ignore[method-assign,assignment]
        logger = logging.getLogger("concurrent.futures")
        logger.addHandler(handler)
        try:
            future.add_done_callback(fail)
            future.add_done_callback(lambda _: calls.append(1))
            trial.open()
            trial.until("the callback after one that raises to be called", lambda: calls)
        finally:
            logger.removeHandler(handler)
        told = any(record.exc_info for record in logged)
        assert told, f"expected what it raised on the logger concurrent.futures, not {logged}"
        assert trial.value(future) == 0, "expected the future's result as it was"
        for number in range(2 * trial.workers):
            seen = trial.value(executor.submit(add, number, 1))
            assert seen == number + 1, "expected the executor to go on"

    @behaviour(DOCS, "elsewhere")
    def test_a_callback_may_submit_to_its_executor(self, trial: Trial) -> None:
        """A callback may submit to the executor that calls it: no lock is held while it runs."""
        executor = trial.executor()
        (future,) = trial.hold(executor, 1)
        submitted: list[Future[int]] = []
        future.add_done_callback(lambda _: submitted.append(executor.submit(square, 5)))
        trial.open()
        trial.until("submit to return in a callback", lambda: submitted)
        seen = trial.value(submitted[0])
        assert seen == 25, f"expected the result of the task that it submitted, 25, not {seen}"
