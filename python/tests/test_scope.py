"""`task_scope`: the first failure cancels the others, and leaving leaves nothing running."""

import asyncio
import concurrent.futures
import contextlib
import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from executors import ByHand, Inline
from patience import giving_way, in_thread, occupy, until

from manyhands import (
    CancelledError,
    DependencyError,
    Future,
    TaskScope,
    ThreadPoolExecutor,
    delay,
    task_scope,
)

Enter = Callable[[TaskScope, Callable[[TaskScope], object]], None]


def entered(scope: TaskScope, body: Callable[[TaskScope], object]) -> None:
    with scope as same:
        assert same is scope
        body(scope)


def entered_in_asyncio(scope: TaskScope, body: Callable[[TaskScope], object]) -> None:
    async def main() -> None:
        async with scope as same:
            assert same is scope
            body(scope)

    asyncio.run(main())


@pytest.fixture(params=[entered, entered_in_asyncio])
def enter(request: pytest.FixtureRequest) -> Enter:
    enter: Enter = request.param
    return enter


def fail(error: BaseException) -> None:
    raise error


def until_stopped(scope: TaskScope, began: threading.Event | None = None) -> str:
    if began is not None:
        began.set()
    until(scope.stop_requested)
    return "stopped"


def test_leaving_waits_for_all_tasks(enter: Enter) -> None:
    with ThreadPoolExecutor(2) as executor:
        ended: list[int] = []

        def task(number: int) -> None:
            time.sleep(0.001)
            ended.append(number)

        enter(task_scope(executor), lambda scope: [scope.submit(task, n) for n in range(20)])
        assert sorted(ended) == list(range(20))


def test_without_tasks_it_is_left_at_once(enter: Enter) -> None:
    enter(task_scope(Inline()), lambda scope: None)


def test_the_first_failure_cancels_the_others_and_is_raised(enter: Enter) -> None:
    error = ValueError("first")
    futures: list[Any] = []

    def body(scope: TaskScope) -> None:
        began = threading.Event()
        futures.append(scope.submit(until_stopped, scope, began))
        began.wait()
        futures.append(scope.submit(fail, error))

    with ThreadPoolExecutor(2) as executor, pytest.raises(ValueError, match="first") as raised:
        enter(task_scope(executor), body)
    assert raised.value is error
    assert futures[0].result(0) == "stopped"


def test_what_is_pending_is_not_run(enter: Enter) -> None:
    executor = ByHand()
    futures: list[Any] = []
    ended: list[Any] = []

    def body(scope: TaskScope) -> None:
        futures.extend(scope.submit(int) for _ in range(3))
        for future in futures:
            future.add_done_callback(ended.append)
        executor.begin()[0].set_exception(ValueError("first"))
        with pytest.raises(RuntimeError, match="accepts no tasks"):
            scope.submit(int)

    with pytest.raises(ValueError, match="first"):
        enter(task_scope(executor), body)
    assert [future.cancelled() for future in futures] == [False, True, True]
    # The last first, lest a worker that stops what it runs takes the next.
    assert ended == [futures[2], futures[1], futures[0]]


def test_later_failures_are_the_futures_alone(enter: Enter) -> None:
    executor = ByHand()
    second = ValueError("second")
    futures: list[Any] = []

    def body(scope: TaskScope) -> None:
        futures.extend(scope.submit(int) for _ in range(2))
        first, running = executor.begin()[0], executor.begin()[0]
        first.set_exception(KeyError("first"))
        running.set_exception(second)

    with pytest.raises(KeyError, match="first"):
        enter(task_scope(executor), body)
    assert futures[1].exception(0) is second


def test_what_the_body_raises_cancels_and_passes(enter: Enter) -> None:
    executor = ByHand()
    futures: list[Any] = []

    def body(scope: TaskScope) -> None:
        futures.extend(scope.submit(int) for _ in range(2))
        raise OSError("the body's")

    with pytest.raises(OSError, match="the body's"):
        enter(task_scope(executor), body)
    assert all(future.cancelled() for future in futures)


def test_a_failure_of_the_body_first_is_the_one(enter: Enter) -> None:
    def body(scope: TaskScope) -> None:
        began = threading.Event()

        def fails_late() -> None:
            until_stopped(scope, began)
            raise ValueError("late")

        scope.submit(fails_late)
        began.wait()
        raise OSError("the body's")

    with ThreadPoolExecutor(1) as executor, pytest.raises(OSError, match="the body's") as raised:
        enter(task_scope(executor), body)
    assert raised.value.__context__ is None


def test_who_waits_inside_hears_of_it_and_the_first_failure_is_raised(enter: Enter) -> None:
    def body(scope: TaskScope) -> None:
        waiting = scope.submit(int)
        failing = executor.begin()[0], scope.submit(int)
        in_thread(lambda: failing[0].set_exception(ValueError("first"))).join()
        assert waiting.exception(0)
        failing[1].result(60)

    executor = ByHand()
    with pytest.raises(ValueError, match="first") as raised:
        enter(task_scope(executor), body)
    assert isinstance(raised.value.__context__, CancelledError)


def test_a_failure_that_the_body_raises_itself_has_no_context(enter: Enter) -> None:
    def body(scope: TaskScope) -> None:
        scope.submit(fail, ValueError("first")).result()

    with pytest.raises(ValueError, match="first") as raised:
        enter(task_scope(Inline()), body)
    assert raised.value.__context__ is None


def test_a_failure_that_the_body_handles_is_raised_all_the_same(enter: Enter) -> None:
    def body(scope: TaskScope) -> None:
        assert scope.submit(fail, ValueError("first")).exception()

    with pytest.raises(ValueError, match="first"):
        enter(task_scope(Inline()), body)


def test_a_cancelled_task_is_no_failure(enter: Enter) -> None:
    executor = ByHand()

    def body(scope: TaskScope) -> None:
        assert scope.submit(int).cancel()
        executor.tasks.clear()
        scope.submit(int)
        executor.run()

    enter(task_scope(executor), body)


def test_cancel_is_no_failure_and_a_failure_after_it_is_none(enter: Enter) -> None:
    executor = ByHand()

    def body(scope: TaskScope) -> None:
        pending, running = scope.submit(int), scope.submit(int)
        executor.tasks.reverse()
        attempt, _ = executor.begin()
        scope.cancel()
        assert pending.cancelled() and not running.done() and scope.stop_requested()
        attempt.set_exception(ValueError("too late"))
        with pytest.raises(RuntimeError, match="accepts no tasks"):
            scope.submit(int)

    enter(task_scope(executor), body)


def test_tasks_submit_tasks_until_it_is_over(enter: Enter) -> None:
    ended: list[int] = []

    def task(scope: TaskScope, depth: int) -> None:
        for _ in range(2 if depth else 0):
            scope.submit(task, scope, depth - 1)
        time.sleep(0.0001)
        ended.append(depth)

    with ThreadPoolExecutor(4) as executor:
        scope = task_scope(executor)
        enter(scope, lambda scope: scope.submit(task, scope, 7))
        assert len(ended) == 2**8 - 1
        with pytest.raises(RuntimeError, match="accepts no tasks"):
            scope.submit(int)


def test_a_task_on_its_way_is_waited_for(enter: Enter) -> None:
    """Another thread is in the executor's `submit` when the scope is left."""
    began, go = threading.Event(), threading.Event()

    class Slow(Inline):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            began.set()
            go.wait()
            return super().submit(fn, *args, **kwargs)

    ended: list[int] = []
    threads: list[threading.Thread] = []

    def body(scope: TaskScope) -> None:
        threads.append(in_thread(lambda: scope.submit(ended.append, 1)))
        began.wait()
        threads.append(in_thread(lambda: (time.sleep(0.05), go.set())))

    enter(task_scope(Slow()), body)
    assert ended == [1]
    for thread in threads:
        thread.join()


def test_a_task_on_its_way_when_the_scope_fails_is_cancelled(enter: Enter) -> None:
    futures: list[Any] = []

    class Failing(ByHand):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            if self.tasks:
                self.begin()[0].set_exception(ValueError("first"))
            return super().submit(fn, *args, **kwargs)

    with pytest.raises(ValueError, match="first"):
        enter(task_scope(Failing()), lambda it: futures.extend([it.submit(int), it.submit(int)]))
    assert futures[1].cancelled()


def test_a_task_that_the_executor_refuses_keeps_nobody_waiting(enter: Enter) -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()

    def body(scope: TaskScope) -> None:
        with pytest.raises(RuntimeError, match="after shutdown"):
            scope.submit(int)

    enter(task_scope(executor), body)


def test_tasks_that_wait_for_others_belong_to_it(enter: Enter) -> None:
    futures: list[Any] = []

    def body(scope: TaskScope) -> None:
        first = scope.submit(time.sleep, 0.01)
        futures.append(scope.submit_after(lambda _: delay(0).result(), first))
        futures.append(scope.submit_after(repr, futures[0]))

    with ThreadPoolExecutor(2) as executor:
        enter(task_scope(executor), body)
    assert futures[1].result(0) == "None"


def test_a_dependency_that_fails_is_the_first_failure(enter: Enter) -> None:
    executor = ByHand()
    futures: list[Any] = []

    def body(scope: TaskScope) -> None:
        first = scope.submit(int)
        futures.append(scope.submit_after(repr, first))
        futures.append(scope.submit_after(repr, Future()))
        executor.begin()[0].set_exception(ValueError("first"))

    with pytest.raises((ValueError, DependencyError), match="first|depends on"):
        enter(task_scope(executor), body)
    assert all(future.done() for future in futures) and futures[1].cancelled()


def test_it_works_on_the_standard_librarys_executors(enter: Enter) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        results: list[Any] = []
        enter(task_scope(executor), lambda scope: results.append(scope.submit(pow, 2, 10)))
        assert results[0].result(0) == 1024
        with pytest.raises(ValueError, match="no"):
            enter(task_scope(executor), lambda scope: scope.submit(fail, ValueError("no")))


def test_it_can_be_entered_once(enter: Enter) -> None:
    scope = task_scope(Inline())
    with pytest.raises(RuntimeError, match="accepts no tasks"):
        scope.submit(int)
    enter(scope, lambda scope: None)
    with pytest.raises(RuntimeError, match="entered once"):
        enter(scope, lambda scope: None)


def test_what_ends_programs_passes(enter: Enter) -> None:
    def body(scope: TaskScope) -> None:
        assert scope.submit(fail, ValueError("first")).exception()
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        enter(task_scope(Inline()), body)


def test_nothing_is_left_of_it() -> None:
    def body(scope: TaskScope) -> None:
        executor.tasks.clear()
        scope.submit(int)
        executor.begin()[0].set_exception(ValueError("first"))

    def one() -> weakref.ref[TaskScope]:
        scope = task_scope(executor)
        with contextlib.suppress(ValueError):
            entered(scope, body)
        return weakref.ref(scope)

    executor = ByHand()

    # No collector runs meanwhile: its failure leads to no frame that holds it.
    gc.disable()
    try:
        assert one()() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("initializer", [None, lambda: sys.settrace(giving_way)])
def test_failures_from_everywhere_leave_nothing_running(initializer: Any) -> None:
    running: list[int] = []

    def task(number: int) -> None:
        running.append(number)
        try:
            if number % 7 == 3:
                raise ValueError(number)
        finally:
            running.remove(number)

    with ThreadPoolExecutor(4, initializer=initializer) as executor:
        for _ in range(100):
            scope = task_scope(executor)
            futures: list[Any] = []
            with pytest.raises(ValueError, match=r"\d"), scope:
                try:
                    futures.extend(scope.submit(task, n) for n in range(20))
                    futures.extend(scope.submit(task, n) for n in range(20))
                except RuntimeError:
                    pass
            assert running == [] and all(future.done() for future in futures)


def test_a_pool_may_be_busy_with_others(go: threading.Event) -> None:
    with ThreadPoolExecutor(1) as executor:
        occupy(executor, go)
        with pytest.raises(ValueError, match="the body's"), task_scope(executor) as scope:
            future = scope.submit(int)
            raise ValueError("the body's")
        assert future.cancelled()
        go.set()
