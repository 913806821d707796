"""What every executor must do, as tests for executors of one's own. It needs pytest.

In a test file, a subclass of `ExecutorConformance` says how to make the executor and what it can do;
pytest then runs a test of each behaviour:

>>> from manyhands.conformance import ExecutorConformance
>>> class TestMine(ExecutorConformance):
...     workers = 2
...     def make(self):
...         from manyhands import ThreadPoolExecutor
...         return ThreadPoolExecutor(2)

No plugin has to be named; with `pytest_plugins = "manyhands.conformance"` in a `conftest.py`, pytest shows
more of the values in assertions that fail.

A test fails with the rule that was broken, where the rule comes from, and what was expected; one that
hangs fails too, after a time. What an executor cannot do, or need not, is an attribute of the class.
"""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

import manyhands

from ._callbacks import Callbacks
from ._outcomes import Outcomes
from ._several import AsCompleted, Map, Wait
from ._shutdown import Breaking, Shutdown
from ._submit import NestedWaits, Submit
from ._trial import Trial, needed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Executor
    from pathlib import Path

__all__ = ["STDLIB_PROCESSES_LEAVE_OUT", "STDLIB_THREADS_LEAVE_OUT", "ExecutorConformance"]


class ExecutorConformance(
    Submit, Outcomes, Callbacks, Map, Wait, AsCompleted, Shutdown, Breaking, NestedWaits
):
    """A test of each behaviour that an executor must have; to be subclassed.

    `make` makes an executor, for each test a new one. It must accept 16 pending tasks. The rest says
    what it can do:

    workers: how many tasks run at once, while others wait; None: any number, and none waits.
    inline: tasks run in the thread that submits them.
    closures: any callable can be a task; False: it must be pickled.
    nested_waits: tasks may wait for each other, whatever the number of workers.
    ahead: how many tasks count as running, and cannot be cancelled, before a worker is free for them.
    make_breaking: if there is a way to break it, a method that makes one, with as many workers, and
        returns it with a function that breaks it. It may begin no task before that, or as many as it
        has workers.
    left_out: names of behaviours that it does not have, each with the reason.
    futures: the module of `wait`, `as_completed` and the exceptions.
    patience: how many seconds to wait for what must come.

    >>> from manyhands import InlineExecutor
    >>> from manyhands.conformance import ExecutorConformance
    >>> class TestInline(ExecutorConformance):
    ...     make = InlineExecutor
    ...     inline = nested_waits = True
    """

    workers: int | None = 1
    inline: bool = False
    closures: bool = True
    nested_waits: bool = False
    ahead: int = 0
    left_out: Mapping[str, str] = MappingProxyType({})
    futures: Any = manyhands
    patience: float = 30

    def make(self) -> Executor:
        """Make an executor."""
        raise NotImplementedError("say how to make the executor that is to be tested")

    def make_breaking(self) -> tuple[Executor, Callable[[], object]]:
        """Make an executor, and what breaks it."""
        raise NotImplementedError

    @pytest.fixture
    def trial(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Trial]:
        """What a behaviour is tested with."""
        needed(self, request.function)
        place = tmp_path / "round-0"
        place.mkdir()
        trial = Trial(self, place)
        failed_before = request.session.testsfailed
        yield trial
        trial.close(request.session.testsfailed > failed_before)


_CANCELLED_AND_NOT_TOLD = (
    "wait and as_completed hear of a task that was cancelled only when a worker comes to it"
)
_UNORDERED = "map has no ordered="
_BUFFERSIZE = "map has no buffersize before 3.14"

# What the standard library's executors do not do, or only hang in: ours alone.
STDLIB_THREADS_LEAVE_OUT: Mapping[str, str] = {
    "a_cancelled_task_is_known_while_all_workers_are_busy": _CANCELLED_AND_NOT_TOLD,
    "map_gives_results_as_they_complete_when_unordered": _UNORDERED,
    "a_callback_of_shutdown_may_use_the_executor": "shutdown cancels under the lock of submit",
}
STDLIB_PROCESSES_LEAVE_OUT: Mapping[str, str] = {
    "a_cancelled_task_is_known_while_all_workers_are_busy": _CANCELLED_AND_NOT_TOLD,
    "map_gives_results_as_they_complete_when_unordered": _UNORDERED,
    "shutdown_may_come_again_in_every_order": "only the first shutdown waits",
    "shutdown_may_come_from_several_threads": "only the first shutdown waits",
}
if sys.version_info < (3, 14):
    STDLIB_THREADS_LEAVE_OUT = {
        **STDLIB_THREADS_LEAVE_OUT,
        "map_with_a_buffersize_takes_no_more_items_ahead": _BUFFERSIZE,
    }
    STDLIB_PROCESSES_LEAVE_OUT = {
        **STDLIB_PROCESSES_LEAVE_OUT,
        "map_with_a_buffersize_takes_no_more_items_ahead": _BUFFERSIZE,
    }
