"""What a behaviour is tested with: executors, tasks that are held, and waits that end."""

from __future__ import annotations

import functools
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pytest

from .._conformance_tasks import hold

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future
    from pathlib import Path

    from . import ExecutorConformance

T = TypeVar("T")
Test = TypeVar("Test", bound="Callable[..., None]")

# How long to wait for what should not come. It may come later, unseen.
SHORT = 0.02
# How long to sleep between two looks.
TURN = 0.001

PEP = "PEP 3148"
DOCS = "the documentation of concurrent.futures"
OURS = "the documentation of manyhands"


def behaviour(source: str, *needs: str) -> Callable[[Test], Test]:
    """A test of a rule, which its docstring says, and which comes from `source`.

    It runs in a thread of its own: one that hangs is left behind.
    """

    def decorate(test: Test) -> Test:
        rule = " ".join((test.__doc__ or "").split())

        @functools.wraps(test)
        def watched(self: Any, trial: Trial) -> None:
            __tracebackhide__ = True
            said = f"\n\nThe rule: {rule} ({source})"
            try:
                Call(lambda: test(self, trial)).get(3 * trial.suite.patience, "each call")
            except AssertionError as error:
                error.args = (f"{error}{said}",)
                raise
            except Exception as error:
                raise AssertionError(f"expected no exception, but met {error!r}{said}") from error

        watched.needs = needs  # type: ignore[attr-defined]
        return watched  # type: ignore[return-value]

    return decorate


class Call:
    """A call in a thread of its own, which no program waits for at its end."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._outcome: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        __tracebackhide__ = True
        try:
            self._outcome = self._call()
        except BaseException as error:  # noqa: BLE001  # it is raised again where it is asked for
            self._error = error

    def is_over(self, timeout: float = 0) -> bool:
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def get(self, timeout: float, what: str) -> Any:
        """What it returns, or raises."""
        __tracebackhide__ = True
        if not self.is_over(timeout):
            frame = sys._current_frames().get(self._thread.ident or 0)
            where = "".join(traceback.format_stack(frame)) if frame else "?"
            fail(f"expected {what} to return, but it hangs after {timeout} s, here:\n{where}")
        if self._error is not None:
            raise self._error
        return self._outcome


def fail(message: str) -> NoReturn:
    __tracebackhide__ = True
    raise AssertionError(message)


class Trial:
    """One test's executors, and the folder by which its tasks and it tell each other how far they are."""

    def __init__(self, suite: ExecutorConformance, place: Path) -> None:
        self.suite = suite
        self.place = place
        self._kept: list[Executor] = []
        self._rounds = 0

    # Executors.

    def executor(self) -> Any:
        """An executor, which is shut down when the test is over."""
        executor = self.suite.make()
        self._kept.append(executor)
        return executor

    def executor_to_drop(self) -> Any:
        """An executor that the test alone refers to."""
        return self.suite.make()

    def breaking_executor(self) -> tuple[Any, Callable[[], object]]:
        """An executor, and what breaks it."""
        executor, breaks = self.suite.make_breaking()
        self._kept.append(executor)
        return executor, breaks

    def close(self, failed: bool) -> None:
        """Let go of all tasks, and shut the executors down."""
        self.open()
        for executor in self._kept:
            shutdown = Call(lambda it=executor: it.shutdown(not failed))  # type: ignore[misc]
            if not failed:
                shutdown.get(self.suite.patience, "shutdown at the end")

    # Waiting for what must come.

    def until(self, what: str, holds: Callable[[], object]) -> None:
        __tracebackhide__ = True
        end = time.monotonic() + self.suite.patience
        while not holds():
            self._sleep_until(end, what)

    def _sleep_until(self, end: float, what: str) -> None:
        __tracebackhide__ = True
        if time.monotonic() > end:
            fail(f"expected {what}, but it did not come within {self.suite.patience} s")
        time.sleep(TURN)

    def returns(self, what: str, call: Callable[[], T]) -> T:
        """Make a call in a thread of its own, which must return."""
        result: T = Call(call).get(self.suite.patience, what)
        return result

    def value(self, future: Future[T]) -> T:
        """What the task returns."""
        exception = self.outcome(future)
        if exception is not None:
            fail(f"expected a task to return its value, but it raised {exception!r}")
        return future.result(0)

    def outcome(self, future: Future[Any]) -> BaseException | None:
        """The task's exception, or None."""
        try:
            return future.exception(self.suite.patience)
        except BaseException as error:  # noqa: BLE001  # cancelled, or too late
            fail(
                f"expected a task to end, but asked for its exception, it raised {error!r}: {future}"
            )

    # Tasks that are held.

    def hold(self, executor: Any, count: int) -> list[Future[int]]:
        """Keep so many workers busy, until `open`."""
        futures = self.submit_held(executor, count)
        end = time.monotonic() + self.suite.patience
        for number, future in enumerate(futures):
            begun = self.place / f"begun-{number}"
            while not begun.exists() and not future.done():
                self._sleep_until(end, "a task to begin while others run")
            assert begun.exists(), f"expected a task to run, but it has ended: {future}"
        return futures

    def submit_held(self, executor: Any, count: int) -> list[Future[int]]:
        """Submit tasks that end, when they have begun, at `open`."""
        return [executor.submit(hold, str(self.place), number) for number in range(count)]

    def busy(self, executor: Any) -> list[Future[int]]:
        """Keep all workers busy, until `open`: further tasks are pending."""
        count = self.workers
        futures = self.hold(executor, count)
        for number in range(count, count + self.suite.ahead):
            executor.submit(hold, str(self.place), number)
        return futures

    @property
    def workers(self) -> int:
        return self.suite.workers or 1

    def open(self) -> None:
        (self.place / "open").touch()

    def again(self) -> None:
        """For a test in rounds: what is held from now on is let go of by the next `open`."""
        self._rounds += 1
        self.place = self.place.with_name(f"round-{self._rounds}")
        self.place.mkdir()

    def noted(self) -> list[int]:
        """The numbers of the tasks that have left a note, sorted."""
        notes = self.place / "notes"
        return sorted(map(int, notes.read_text().split())) if notes.exists() else []


def needed(suite: ExecutorConformance, test: Callable[..., None]) -> None:
    """Skip a test of what the executor does not have."""
    has = {
        "inline": suite.inline,
        "elsewhere": not suite.inline,
        "queue": not suite.inline and suite.workers is not None,
        "closures": suite.closures,
        "breaks": type(suite).make_breaking is not _base().make_breaking,
        "nested waits": suite.nested_waits,
    }
    for need in getattr(test, "needs", ()):
        if not has[need]:
            pytest.skip(f"does not apply: it needs {need}")
    reason = suite.left_out.get(test.__name__.removeprefix("test_"))
    if reason is not None:
        pytest.skip(f"left out: {reason}")


def _base() -> type[ExecutorConformance]:
    from . import ExecutorConformance

    return ExecutorConformance
