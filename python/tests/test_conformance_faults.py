"""The conformance suite can fail: an executor with a fault is caught, by the behaviour that is about it."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faulty
import pytest
from faulty import Small

from manyhands.conformance import (
    STDLIB_PROCESSES_LEAVE_OUT,
    STDLIB_THREADS_LEAVE_OUT,
    ExecutorConformance,
)
from manyhands.conformance._trial import Trial


class OfSmall(ExecutorConformance):
    kind: type[Small] = Small
    workers = 2

    def make(self) -> Any:
        return self.kind(2)

    def make_breaking(self) -> tuple[Any, Callable[[], object]]:
        executor = self.kind(0)
        return executor, executor.break_down


class TestWithoutAFault(OfSmall):
    """So the fault is what is caught below."""


# Some faults show only when threads meet.
TRIES = 100


def caught(suite: ExecutorConformance, behaviour: str, folder: Path) -> str:
    """What the behaviour says of the executor."""
    for number in range(TRIES):
        place = folder / f"try-{number}" / "round-0"
        place.mkdir(parents=True)
        trial = Trial(suite, place)
        try:
            getattr(suite, f"test_{behaviour}")(trial)
        except AssertionError as error:
            return str(error)
        finally:
            trial.close(failed=True)
    pytest.fail(f"{behaviour} has seen nothing of it")


FAULTS: list[tuple[str, str, str]] = [
    ("RunsTwice", "every_accepted_task_ends", "to have run once"),
    ("LosesTasks", "every_accepted_task_ends", "expected a task to end"),
    ("LosesKeywords", "a_function_is_called_with_its_arguments", "all arguments"),
    ("RunsInTheCaller", "elsewhere_submit_returns_while_the_task_runs", "to return, but it hangs"),
    ("LocksWhileItRuns", "a_task_may_submit_to_its_own_executor", "expected a task to end"),
    ("HasAWorkerTooFew", "as_many_tasks_run_at_once_as_there_are_workers", "a task to begin"),
    ("HasAWorkerTooMany", "as_many_tasks_run_at_once_as_there_are_workers", "it has begun"),
    ("HidesErrors", "an_exception_is_the_futures_and_harms_no_other", "not None"),
    ("DisguisesErrors", "an_exception_is_the_futures_and_harms_no_other", "not OSError"),
    ("DiesOfErrors", "an_exception_is_the_futures_and_harms_no_other", "expected a task to end"),
    ("CopiesResults", "a_result_may_be_asked_for_by_many_and_again", "the very same"),
    ("NeverBegins", "a_running_task_is_not_cancelled", "cancel to fail"),
    ("NeverBegins", "elsewhere_submit_returns_while_the_task_runs", "to be running"),
    ("RunsWhatWasCancelled", "a_pending_task_is_cancelled_and_never_runs", "never to run"),
    ("TellsNobodyOfCancels", "all_who_wait_for_a_cancelled_task_are_told", "expected wait"),
    ("TellsLateOfCancels", "a_cancelled_task_is_known_while_all_workers_are_busy", "expected wait"),
    ("CallsBackTwice", "a_callback_is_called_once_with_its_future", "expected one call"),
    ("CallsBackNever", "a_callback_is_called_once_with_its_future", "to be called"),
    ("CallsBackNever", "a_callback_may_submit_to_its_executor", "expected submit to return"),
    ("CallsBackOnlyTheLast", "callbacks_are_called_in_the_order_they_were_added", "each callback"),
    ("CallsBackOnlyTheLast", "an_exception_in_a_callback_harms_nobody", "the logger"),
    (
        "CallsBackBeforeTheEnd",
        "callbacks_are_called_in_the_order_they_were_added",
        "no call before",
    ),
    ("CallsBackElsewhere", "a_callback_added_late_is_called_at_once", "in this thread"),
    ("CallsNoneBackOfCancels", "a_callback_of_a_cancelled_task_is_called", "to be called"),
    ("MapsOutOfOrder", "map_gives_results_in_the_order_of_the_items", "in their order"),
    ("MapsAllAtOnce", "map_with_a_buffersize_takes_no_more_items_ahead", "were taken"),
    ("MapsWithoutErrors", "map_ends_with_the_first_error", "the error of 4"),
    ("MapsAndLeavesBehind", "map_gives_up_after_its_timeout", "to be cancelled"),
    ("MapsAndLeavesBehind", "a_closed_map_cancels_what_is_pending", "to be cancelled"),
    ("MapsWithoutEnd", "map_gives_up_after_its_timeout", "it hangs"),
    ("AcceptsAfterShutdown", "after_shutdown_tasks_are_refused", "expected RuntimeError"),
    ("IsNoContextManager", "with_waits_for_all_tasks", "expected"),
    ("NeverWaits", "shutdown_with_wait_returns_when_all_have_ended", "expected"),
    ("NeverWaits", "shutdown_may_come_from_several_threads", "all to be done"),
    ("AlwaysWaits", "shutdown_without_wait_returns_at_once_and_pending_tasks_run", "it hangs"),
    ("AlwaysCancels", "shutdown_without_wait_returns_at_once_and_pending_tasks_run", "Cancelled"),
    ("NeverCancels", "shutdown_with_cancel_cancels_what_is_pending_alone", "shutdown to cancel"),
    ("ShutsDownOnce", "shutdown_may_come_again_in_every_order", "expected shutdown to"),
    ("WaitsForItself", "a_task_may_shut_its_own_executor_down", "expected a task to end"),
    ("CancelsUnderItsLock", "a_callback_of_shutdown_may_use_the_executor", "it hangs"),
    ("BreaksInSilence", "what_a_breaking_executor_holds_fails_as_broken", "expected a task to end"),
    ("BreaksByCancelling", "what_a_breaking_executor_holds_fails_as_broken", "BrokenExecutor"),
    ("AcceptsWhenBroken", "a_broken_executor_refuses_tasks", "submit to raise BrokenExecutor"),
]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("fault, behaviour, says", FAULTS)
def test_a_fault_is_caught(fault: str, behaviour: str, says: str, tmp_path: Path) -> None:
    suite = OfSmall()
    suite.kind = getattr(faulty, fault)
    suite.patience = 0.5
    message = caught(suite, behaviour, tmp_path)
    assert says in message
    assert "\n\nThe rule: " in message


def test_a_pool_whose_workers_wait_for_each_other_is_caught(tmp_path: Path) -> None:
    suite = OfSmall()
    suite.patience = 0.5
    for name in (
        "a_task_may_wait_for_a_task_of_its_own_executor",
        "tasks_that_wait_for_each_other_end",
    ):
        assert "expected a task to end" in caught(suite, name, tmp_path / name)


def test_an_inline_executor_that_is_none_is_caught(tmp_path: Path) -> None:
    name = "in_the_caller_a_task_has_ended_when_submit_returns"
    assert "expected" in caught(OfSmall(), name, tmp_path)


def test_each_fault_is_in_the_list() -> None:
    classes = {
        name
        for name, found in vars(faulty).items()
        if isinstance(found, type) and issubclass(found, Small) and found is not Small
    }
    assert classes == {fault for fault, _, _ in FAULTS}


class StdlibThreads(ExecutorConformance):
    futures = concurrent.futures
    workers = 2

    def make(self) -> Any:
        return concurrent.futures.ThreadPoolExecutor(2)


class StdlibProcesses(ExecutorConformance):
    futures = concurrent.futures
    workers = 2
    ahead = 3

    def make(self) -> Any:
        context = multiprocessing.get_context("spawn")
        return concurrent.futures.ProcessPoolExecutor(2, mp_context=context)


@pytest.mark.parametrize(
    "suite, name",
    [(StdlibThreads, name) for name in STDLIB_THREADS_LEAVE_OUT]
    + [(StdlibProcesses, name) for name in STDLIB_PROCESSES_LEAVE_OUT],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_the_standard_library_leaves_out_it_cannot_do(
    suite: type[ExecutorConformance], name: str, tmp_path: Path
) -> None:
    """The list only shrinks."""
    hasty = suite()
    hasty.patience = 3  # its processes take a while to start
    assert "expected" in caught(hasty, name, tmp_path)


# What is another thing in Rust, where a task returns an error or panics, a refused task is given back, an
# iterator is dropped, and there is no `with`.
ONLY_IN_PYTHON = {
    "a_broken_executor_refuses_tasks",
    "a_closed_map_cancels_what_is_pending",
    "after_shutdown_tasks_are_refused",
    "all_who_wait_for_a_cancelled_task_are_told",
    "an_exception_in_a_callback_harms_nobody",
    "an_exception_is_the_futures_and_harms_no_other",
    "with_waits_for_all_tasks",
}
ONLY_IN_RUST = {
    "a_broken_executor_accepts_nothing_it_cannot_end",
    "a_closure_that_cannot_cross_is_given_back",
    "a_dropped_map_cancels_what_is_pending",
    "a_panic_in_a_callback_harms_nobody",
    "a_panic_is_the_tasks_exception_and_harms_no_other",
    "after_shutdown_tasks_are_refused_and_given_back",
    "an_error_is_the_tasks_exception",
}


def test_it_is_one_suite_in_both_faces() -> None:
    macros = Path(__file__).resolve().parents[2] / "crates/manyhands-conform/src/macros.rs"
    in_rust = set(re.findall(r"^ {12}(\w+),?$", macros.read_text("utf-8"), re.MULTILINE))
    tests = {name for name in dir(ExecutorConformance) if name.startswith("test_")}
    in_python = {name.removeprefix("test_") for name in tests}
    assert in_python - in_rust == ONLY_IN_PYTHON
    assert in_rust - in_python == ONLY_IN_RUST
