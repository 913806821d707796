"""The options that the standard library's `ThreadPoolExecutor` has not: a bounded queue, contexts."""

import contextvars
import queue
import threading
import time
from typing import Any

import pytest
from patience import in_thread, occupy

from manyhands import Future, ThreadPoolExecutor

SOON = 0.05


def test_a_full_queue_that_raises(go: threading.Event) -> None:
    with ThreadPoolExecutor(1, max_pending=2, when_full="raise") as executor:
        occupy(executor, go)
        futures = [executor.submit(int) for _ in range(2)]
        with pytest.raises(queue.Full, match="max_pending"):
            executor.submit(int)
        assert executor.stats().pending == 2
        go.set()
        for future in futures:
            future.result()
        assert executor.submit(int).result() == 0


def test_a_full_queue_that_raises_in_a_task(go: threading.Event) -> None:
    def submit() -> type[BaseException] | None:
        executor.submit(int)
        try:
            executor.submit(int)
        except queue.Full:
            return queue.Full
        return None

    with ThreadPoolExecutor(1, max_pending=1, when_full="raise") as executor:
        assert executor.submit(submit).result() is queue.Full


def test_a_full_queue_that_runs_in_the_caller(go: threading.Event) -> None:
    with ThreadPoolExecutor(1, max_pending=1, when_full="caller") as executor:
        occupy(executor, go)
        executor.submit(int)
        future = executor.submit(threading.current_thread)
        assert future.done()
        assert future.result() is threading.current_thread()
        assert isinstance(executor.submit(divmod, 1, 0).exception(), ZeroDivisionError)
        go.set()


def test_a_full_queue_that_blocks(go: threading.Event) -> None:
    with ThreadPoolExecutor(1, max_pending=1) as executor:
        occupy(executor, go)
        executor.submit(int)
        late: list[Future[Any]] = []
        thread = in_thread(lambda: late.append(executor.submit(threading.current_thread)))
        time.sleep(SOON)
        assert late == []
        go.set()
        thread.join()
        assert late[0].result() in executor._threads


def test_who_waits_for_room_hears_of_the_shutdown(go: threading.Event) -> None:
    executor = ThreadPoolExecutor(1, max_pending=1)
    occupy(executor, go)
    executor.submit(int)
    errors: list[BaseException] = []

    def submit() -> None:
        try:
            executor.submit(int)
        except RuntimeError as error:
            errors.append(error)

    thread = in_thread(submit)
    time.sleep(SOON)
    executor.shutdown(wait=False)
    thread.join()
    assert str(errors[0]) == "cannot schedule new futures after shutdown"


def test_a_task_that_fills_its_own_pool_runs_the_rest_in_place() -> None:
    def submit() -> list[Future[threading.Thread]]:
        return [executor.submit(threading.current_thread) for _ in range(10)]

    with ThreadPoolExecutor(1, max_pending=2) as executor:
        futures = executor.submit(submit).result()
        assert {future.result() for future in futures} == executor._threads


def test_a_bounded_queue_never_holds_more() -> None:
    longest = 0
    with ThreadPoolExecutor(2, max_pending=3) as executor:
        for _ in range(2000):
            executor.submit(int)
            longest = max(longest, executor.stats().pending)
    assert 0 < longest <= 3
    assert executor.stats().completed == 2000


def test_a_map_over_a_bounded_queue(go: threading.Event) -> None:
    with ThreadPoolExecutor(2, max_pending=3) as executor:
        assert list(executor.map(abs, range(-500, 0))) == list(range(500, 0, -1))
    with ThreadPoolExecutor(1, max_pending=1, when_full="raise") as executor:
        occupy(executor, go)
        with pytest.raises(queue.Full):
            executor.map(abs, range(10))
        go.set()


WHO = contextvars.ContextVar("WHO", default="nobody")


@pytest.mark.parametrize(
    "call",
    [
        lambda executor: executor.submit(WHO.get).result(),
        lambda executor: next(executor.map(lambda _: WHO.get(), [1])),
        lambda executor: next(executor.map(lambda *_: WHO.get(), [1], [2])),
        lambda executor: next(executor.map(lambda _: WHO.get(), [1], buffersize=1)),
        lambda executor: next(executor.map(lambda _: WHO.get(), [1], ordered=False)),
    ],
    ids=["submit", "map", "map of two", "map with a buffer", "unordered map"],
)
@pytest.mark.parametrize("context, seen", [(None, ["nobody"] * 2), ("copy", ["me", "you"])])
def test_the_context_of_a_task(call: Any, context: Any, seen: list[str]) -> None:
    with ThreadPoolExecutor(1, context=context) as executor:
        executor.submit(int).result()
        token = WHO.set("me")
        try:
            found = [call(executor)]
            WHO.set("you")
            assert [*found, call(executor)] == seen
        finally:
            WHO.reset(token)


def test_a_copied_context_is_the_tasks_own() -> None:
    with ThreadPoolExecutor(1, context="copy") as executor:
        executor.submit(WHO.set, "the task").result()
        assert executor.submit(WHO.get).result() == WHO.get() == "nobody"
