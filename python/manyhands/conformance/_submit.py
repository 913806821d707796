"""Submitting: what is called, where, how many at once, and from within tasks."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from typing import Any

from .._conformance_tasks import add, echo, hold, note, square
from .._deadlock import DeadlockError
from ._trial import DOCS, OURS, PEP, SHORT, TURN, Call, Trial, behaviour


class Submit:
    """Behaviours of `submit`."""

    @behaviour(PEP)
    def test_a_function_is_called_with_its_arguments(self, trial: Trial) -> None:
        """submit schedules fn(*args, **kwargs) and returns a future, which gives what it returns."""
        executor = trial.executor()
        future = executor.submit(echo, 1, self=2, fn=3)
        assert isinstance(future, concurrent.futures.Future), f"expected a Future, not {future!r}"
        seen = trial.value(future)
        assert seen == ((1,), {"self": 2, "fn": 3}), f"expected all arguments, but they are {seen}"

    @behaviour(DOCS, "closures")
    def test_a_closure_is_called(self, trial: Trial) -> None:
        """Any callable can be a task."""
        words = ["a closure"]
        seen = trial.value(trial.executor().submit(lambda: words))
        assert seen is words, f"expected the very object that the closure returns, not {seen!r}"

    @behaviour(PEP)
    def test_every_accepted_task_ends(self, trial: Trial) -> None:
        """Each task that was accepted is run, once, and its future ends."""
        executor = trial.executor()
        for wave in range(8):
            numbers = range(16 * wave, 16 * (wave + 1))
            futures = [executor.submit(note, str(trial.place), number) for number in numbers]
            values = [trial.value(future) for future in futures]
            assert values == list(numbers), f"expected {numbers}, but the results are {values}"
        noted = trial.noted()
        assert noted == list(range(128)), f"expected each task to have run once: {noted}"

    @behaviour(DOCS)
    def test_tasks_may_come_from_several_threads(self, trial: Trial) -> None:
        """Several threads may submit to one executor at the same time."""
        executor = trial.executor()

        def submit(number: int) -> list[int]:
            return [trial.value(executor.submit(add, number, turn)) for turn in range(20)]

        calls = [Call(lambda number=number: submit(number)) for number in range(4)]  # type: ignore[misc]
        for number, call in enumerate(calls):
            sums = call.get(trial.suite.patience, "submit, in each thread,")
            expected = list(range(number, number + 20))
            assert sums == expected, f"expected this thread's results, {expected}, not {sums}"

    @behaviour(DOCS, "closures")
    def test_a_task_may_submit_to_its_own_executor(self, trial: Trial) -> None:
        """A task may submit to the executor that runs it: no lock is held while a task runs."""
        executor = trial.executor()
        submitted = Call(lambda: executor.submit(lambda: executor.submit(square, 12)))
        outer = submitted.get(trial.suite.patience, "submit, of a task that submits,")
        seen = trial.value(trial.value(outer))
        assert seen == 144, f"expected the result of the inner task, 144, not {seen}"

    @behaviour("the documentation of manyhands.InlineExecutor; cpython#80576", "inline")
    def test_in_the_caller_a_task_has_ended_when_submit_returns(self, trial: Trial) -> None:
        """An executor that runs tasks in the caller returns futures that are done."""
        future = trial.executor().submit(threading.get_ident)
        assert future.done(), f"expected a future that is done, not {future}"
        assert trial.value(future) == threading.get_ident(), "expected it to run in this thread"

    @behaviour(PEP, "elsewhere")
    def test_elsewhere_submit_returns_while_the_task_runs(self, trial: Trial) -> None:
        """submit does not wait for the task, whose future is running meanwhile."""
        executor = trial.executor()
        (future,) = trial.returns("submit, while its task runs,", lambda: trial.hold(executor, 1))
        assert future.running() and not future.done(), f"expected it to be running: {future}"
        trial.open()
        seen = trial.value(future)
        assert seen == 0, f"expected the task's result, 0, not {seen}"
        assert future.done() and not future.running(), f"expected it to be done: {future}"

    @behaviour(DOCS, "queue")
    def test_as_many_tasks_run_at_once_as_there_are_workers(self, trial: Trial) -> None:
        """As many tasks run at once as there are workers, and no more."""
        executor = trial.executor()
        trial.busy(executor)
        number = trial.workers + trial.suite.ahead
        further = executor.submit(hold, str(trial.place), number)
        time.sleep(SHORT)
        begun = (trial.place / f"begun-{number}").exists() or further.running()
        assert not begun, f"expected a task to wait while {trial.workers} run, but it has begun"
        trial.open()
        assert trial.value(further) == number, "expected its result, once there is a free worker"


class NestedWaits:
    """Behaviours of tasks that wait for tasks of their own executor."""

    @behaviour(OURS, "nested waits", "closures")
    def test_a_task_may_wait_for_a_task_of_its_own_executor(self, trial: Trial) -> None:
        """A task that submits to its own executor and waits completes, though all workers do so."""
        executor = trial.executor()

        def outer(number: int) -> Any:
            return executor.submit(square, number).result()

        futures = [executor.submit(outer, number) for number in range(4 * trial.workers)]
        for number, future in enumerate(futures):
            seen = trial.value(future)
            assert seen == number**2, f"expected what the inner task returns, not {seen}"

    @behaviour(OURS, "nested waits", "closures")
    def test_tasks_may_wait_for_tasks_to_any_depth(self, trial: Trial) -> None:
        """Tasks that wait for tasks that wait for tasks complete, to any depth."""
        executor = trial.executor()

        def fibonacci(number: int) -> int:
            if number < 2:
                return number
            one = executor.submit(fibonacci, number - 1)
            other = fibonacci(number - 2)
            result: int = one.result()
            return result + other

        seen = trial.value(executor.submit(fibonacci, 10))
        assert seen == 55, f"expected the tenth Fibonacci number, 55, not {seen}"

    @behaviour(OURS, "nested waits", "closures")
    def test_a_task_may_map_on_its_own_executor(self, trial: Trial) -> None:
        """A task that maps on its own executor completes."""
        executor = trial.executor()
        seen = trial.value(executor.submit(lambda: sum(executor.map(square, range(10)))))
        assert seen == 285, f"expected the sum of all squares, 285, not {seen}"

    @behaviour(OURS, "nested waits", "closures", "elsewhere")
    def test_tasks_that_wait_for_each_other_end(self, trial: Trial) -> None:
        """Tasks that wait for each other end, one at least with a DeadlockError."""
        executor = trial.executor()
        futures: list[Any] = []

        def wait_for(other: int) -> None:
            while len(futures) < 2:
                time.sleep(TURN)
            futures[other].result()

        futures += [executor.submit(wait_for, 1), executor.submit(wait_for, 0)]
        errors = [trial.outcome(future) for future in futures]
        told = any(isinstance(error, DeadlockError) for error in errors)
        assert told, f"expected a DeadlockError of one of the two waits at least, not {errors}"
