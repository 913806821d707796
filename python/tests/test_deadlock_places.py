"""What a `DeadlockError` says: which tasks they are, where each was submitted, and where it waits."""

from __future__ import annotations

import sys
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest
from patience import in_thread

import manyhands
from manyhands import DeadlockError, Future, Retry, ThreadPoolExecutor

if TYPE_CHECKING:
    from collections.abc import Callable


def here() -> int:
    """The line that calls this."""
    return sys._getframe(1).f_lineno


def waiting(told: SimpleQueue[Future[Any]]) -> Any:
    return told.get().result()


WAITS = waiting.__code__.co_firstlineno + 1


def submitted(line: int) -> str:
    return f"submitted at {__file__}:{line}"


def places(error: BaseException | None) -> list[str | None]:
    assert isinstance(error, DeadlockError), error
    return [place for _, place in error.cycle]


def told_of_itself(submit: Callable[[SimpleQueue[Any]], Future[Any]]) -> str:
    """The place of a task that waits for itself."""
    told: SimpleQueue[Any] = SimpleQueue()
    future = submit(told)
    told.put(future)
    (place,) = places(future.exception())
    assert place is not None
    return place


def test_both_places_are_told() -> None:
    with ThreadPoolExecutor(2) as pool:
        first_told, second_told = SimpleQueue[Any](), SimpleQueue[Any]()
        first, first_line = pool.submit(waiting, first_told), here()
        second, second_line = (
            pool.submit(waiting, second_told),
            here() - 1,
        )
        assert first_line != second_line
        first_told.put(second)
        second_told.put(first)
        for future in (first, second):
            error = future.exception()
            waits = f"waits at {__file__}:{WAITS}"
            expected = {f"{submitted(line)}, {waits}" for line in (first_line, second_line)}
            assert set(places(error)) == expected
            assert all(f"`waiting` ({place})" in str(error) for place in expected)


def test_of_many_lines_each_has_its_own() -> None:
    with ThreadPoolExecutor(1) as pool:

        def submit(told: SimpleQueue[Any]) -> Future[Any]:
            nonlocal line
            future, line = pool.submit(waiting, told), here()
            return future

        line = 0
        assert told_of_itself(submit).startswith(submitted(line) + ",")
        lines = {}
        for number in range(50):  # more than a thread remembers
            code = "\n" * number + "future = pool.submit(waiting, told)"

            def run(told: SimpleQueue[Any], code: str = code, number: int = number) -> Future[Any]:
                names = {"pool": pool, "waiting": waiting, "told": told}
                exec(compile(code, f"made-{number}", "exec"), names)  # noqa: S102
                return names["future"]  # type: ignore[return-value]

            lines[number] = told_of_itself(run)
        for number, place in lines.items():
            assert place.startswith(f"submitted at made-{number}:{number + 1},")


def test_a_nested_task_has_the_line_of_the_task_that_submits_it() -> None:
    with ThreadPoolExecutor(2) as pool:
        lines = []

        def outer(told: SimpleQueue[Any]) -> Any:
            inner, line = pool.submit(waiting, told), here()
            lines.append(line)
            return inner.result()

        told: SimpleQueue[Any] = SimpleQueue()
        task, line = pool.submit(outer, told), here()
        told.put(task)
        error = task.exception()
        # It is run in place, or by another worker.
        assert {name for name, _ in error.cycle} == {"outer", "waiting"}  # type: ignore[union-attr]
        found = sorted(str(place).split(",")[0] for place in places(error))
        assert found == sorted(map(submitted, [line, *lines]))


def test_an_item_of_map_has_the_line_of_the_map() -> None:
    with ThreadPoolExecutor(2) as pool:
        for items in ([0], range(1), iter([0])):
            lines = []
            told: SimpleQueue[Any] = SimpleQueue()

            def mapping() -> Any:
                results = pool.map(lambda _: waiting(told), items)  # noqa: B023
                lines.append(here() - 1)  # noqa: B023
                return list(results)

            task, line = pool.submit(mapping), here()
            told.put(task)
            found = sorted(str(place).split(",")[0] for place in places(task.exception()))
            assert found == sorted(map(submitted, [line, *lines]))


def after(pool: ThreadPoolExecutor, told: SimpleQueue[Any]) -> tuple[Future[Any], int]:
    gate: Future[Any] = Future()
    future, line = pool.submit_after(waiting, gate), here()
    # Not by the thread that has asked for it.
    in_thread(lambda: gate.set_result(told)).join()
    return future, line


def after_a_task(pool: ThreadPoolExecutor, told: SimpleQueue[Any]) -> tuple[Future[Any], int]:
    gate = threading.Event()
    source = pool.submit(lambda: gate.wait() and told)
    future, line = pool.submit_after(waiting, source), here()
    gate.set()
    return future, line


def tried(pool: ThreadPoolExecutor, told: SimpleQueue[Any]) -> tuple[Future[Any], int]:
    outcomes: list[Any] = [OSError(), told]

    def attempt() -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, OSError):
            raise outcome
        return waiting(outcome)

    retry = Retry(2, first_delay=0.01, exceptions=OSError)
    return retry.submit(pool, attempt), here()


def in_scope(pool: ThreadPoolExecutor, told: SimpleQueue[Any]) -> tuple[Future[Any], int]:
    scope = manyhands.task_scope(pool).__enter__()
    return scope.submit(waiting, told), here()  # type: ignore[return-value]


def gathered(pool: ThreadPoolExecutor, told: SimpleQueue[Any]) -> tuple[Future[Any], int]:
    future, line = pool.submit(waiting, told), here()
    return manyhands.gather(future), line


@pytest.mark.parametrize("way", [after, after_a_task, tried, in_scope, gathered])
def test_what_the_package_submits_has_the_line_of_the_program(
    way: Callable[[ThreadPoolExecutor, SimpleQueue[Any]], tuple[Future[Any], int]],
) -> None:
    with ThreadPoolExecutor(2) as pool:
        told: SimpleQueue[Any] = SimpleQueue()
        future, line = way(pool, told)
        told.put(future)
        error = future.exception()
        (place,) = places(error)
        assert str(place).startswith(submitted(line) + ",")


class Own(ThreadPoolExecutor):
    """One that submits in a way of its own."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(fn, *args, **kwargs)


OWN = Own.submit.__code__.co_firstlineno + 1


def test_a_subclass_that_submits_is_the_program() -> None:
    with Own(1) as pool:
        place = told_of_itself(lambda told: pool.submit(waiting, told))
        assert place.startswith(submitted(OWN) + ",")
        place = told_of_itself(lambda told: pool.submit_after(waiting, told))
        assert place.startswith(submitted(OWN) + ",")


def test_a_task_that_submits_while_another_is_submitted_has_its_own_line() -> None:
    with ThreadPoolExecutor(1, max_pending=1, when_full="caller") as pool:
        told: SimpleQueue[Any] = SimpleQueue()
        gate = threading.Event()
        started = threading.Event()
        lines = []
        other = ThreadPoolExecutor(1)
        found: Future[Any] = Future()

        def submitting() -> None:
            future, line = other.submit(waiting, told), here()
            lines.append(line)
            told.put(future)
            found.set_result(future)

        pool.submit(lambda: started.set() or gate.wait())
        started.wait()
        pool.submit(int)
        pool.submit_after(submitting).result()  # run here
        gate.set()
        (place,) = places(found.result().exception())
        assert str(place).startswith(submitted(lines[0]) + ",")
        other.shutdown()


def test_what_a_function_of_then_is_called_stays_known() -> None:
    with ThreadPoolExecutor(1) as pool:
        told: SimpleQueue[Any] = SimpleQueue()
        source: Future[Any] = Future()

        def patient(_: object) -> Any:
            return told.get().result()

        made = source.then(patient)
        task, line = pool.submit(made.result), here()
        told.put(task)
        in_thread(lambda: source.set_result(1))
        error = task.exception()
        written = f"written at {__file__}:{patient.__code__.co_firstlineno}"
        assert {place and place.split(",")[0] for place in places(error)} == {
            submitted(line),
            written,
        }


def test_of_many_tasks_that_do_not_wait_the_last_have_none() -> None:
    with ThreadPoolExecutor(1) as pool:
        manyhands.wait([pool.submit(int) for _ in range(10_000)])
        place = told_of_itself(lambda told: pool.submit(waiting, told))
        assert place == f"waits at {__file__}:{WAITS}"
        # That one has waited.
        future, line = pool.submit(waiting, told := SimpleQueue[Any]()), here()
        told.put(future)
        (known,) = places(future.exception())
        assert str(known).startswith(submitted(line) + ",")
