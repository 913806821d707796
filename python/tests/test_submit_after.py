"""Tasks that are submitted when the futures among their arguments have ended."""

import concurrent.futures
import contextvars
import sys
import threading
import weakref
from functools import partial
from typing import Any

import pytest
from executors import ByHand, Inline
from patience import giving_way, in_thread, occupy, until, until_dead

from manyhands import DependencyError, Future, Retry, ThreadPoolExecutor, delay, gather, wait

LINKS = 100_000


class Value:
    """Something with weak references."""


def echo(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def test_it_is_given_the_values_where_the_futures_were() -> None:
    executor = ByHand()
    a, b, c = Future[int](), Future[int](), concurrent.futures.Future[int]()
    late = executor.submit_after(echo, 0, a, [b], b, x=c, y="y")
    b.set_result(2)
    a.set_result(1)
    assert executor.tasks == [] and not late.running()
    c.set_result(3)
    assert len(executor.tasks) == 1 and not late.running()
    _, call = executor.tasks[0]
    assert call() == ((0, 1, [b], 2), {"x": 3, "y": "y"})
    executor.run()
    assert late.result(0) == ((0, 1, [b], 2), {"x": 3, "y": "y"})


def test_one_future_may_be_several_arguments() -> None:
    a: Future[int] = Future()
    late = Inline().submit_after(echo, a, a, key=a)
    a.set_result(1)
    assert late.result(0) == ((1, 1), {"key": 1})


def test_without_futures_it_is_submitted_at_once() -> None:
    assert Inline().submit_after(pow, 2, 10).result(0) == 1024
    with pytest.raises(TypeError, match="callable"):
        Inline().submit_after(5)  # type: ignore[arg-type]


def test_it_runs_on_its_own_executor() -> None:
    with ThreadPoolExecutor(1, "a") as a, ThreadPoolExecutor(1, "b") as b:
        name = b.submit_after(lambda _: threading.current_thread().name, a.submit(int))
        assert name.result() == "b_0"


def test_it_is_submitted_in_the_context_of_its_submitter() -> None:
    user = contextvars.ContextVar("user", default="nobody")

    def submit(name: str) -> tuple[Future[str], Future[str]]:
        user.set(name)
        late = executor.submit_after(lambda _: user.get(), delay(0.01))
        again = Retry(2, first_delay=0.01).submit(executor, fail_once, [])
        return late, again

    def fail_once(calls: list[int]) -> str:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError
        return user.get()

    with ThreadPoolExecutor(1, context="copy") as executor:
        ada = contextvars.copy_context().run(submit, "Ada")
        bob = contextvars.copy_context().run(submit, "Bob")
    assert [future.result(0) for future in (*ada, *bob)] == ["Ada", "Ada", "Bob", "Bob"]


def test_it_fails_with_the_whole_chain_of_causes() -> None:
    executor, source = Inline(), Future[int]()
    other: Future[int] = Future()
    first = executor.submit_after(abs, source)
    second = executor.submit_after(lambda *_: None, other, first)
    error = ValueError("the root")
    source.set_exception(error)
    failed = second.exception(0)
    assert isinstance(failed, DependencyError) and "<lambda> was not run" in str(failed)
    assert isinstance(failed.__cause__, DependencyError) and "abs was not run" in str(
        failed.__cause__
    )
    assert failed.__cause__.__cause__ is error
    assert not other.done()


def test_it_is_cancelled_with_its_futures() -> None:
    source: Future[int] = Future()
    late = Inline().submit_after(abs, source)
    source.cancel()
    assert late.cancelled() and wait([late], 0).done


def test_cancelled_before_it_lets_go_of_all() -> None:
    executor, sources, value = ByHand(), [Future[Any](), Future[Any]()], Value()
    late = executor.submit_after(echo, *sources, value)
    held = weakref.ref(value)
    given = Value()
    held_too = weakref.ref(given)
    sources[0].set_result(given)
    del value, given, sources[0]
    assert held() and held_too()
    assert late.cancel()
    assert (held(), held_too()) == (None, None)
    sources[0].set_result(5)
    assert executor.tasks == []


def test_cancelled_while_it_is_pending_on_its_executor() -> None:
    executor, source = ByHand(), Future[int]()
    late = executor.submit_after(abs, source)
    source.set_result(-5)
    inner, _ = executor.tasks[0]
    assert late.cancel() and inner.cancelled() and late.cancelled()


def test_one_that_runs_cannot_be_cancelled() -> None:
    executor, source = ByHand(), Future[int]()
    late = executor.submit_after(abs, source)
    source.set_result(-5)
    inner, call = executor.begin()
    assert late.running() and not late.cancel() and not late.cancel_running()
    inner.set_result(call())
    assert late.result(0) == 5 and not late.running() and not late.cancel()


def test_cancelled_while_it_is_submitted() -> None:
    source: Future[int] = Future()

    class Cancelling(ByHand):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            assert late.cancel()
            return super().submit(fn, *args, **kwargs)

    executor = Cancelling()
    late = executor.submit_after(abs, source)
    source.set_result(-5)
    assert late.cancelled() and executor.tasks[0][0].cancelled()


def test_cancelling_its_inner_task_cancels_it() -> None:
    executor, source = ByHand(), Future[int]()
    late = executor.submit_after(abs, source)
    source.set_result(-5)
    executor.tasks[0][0].cancel()
    assert late.cancelled()


def test_what_the_executor_refuses_is_the_exception() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    late = executor.submit_after(abs, Inline().submit(int))
    assert isinstance(late.exception(0), RuntimeError)


def test_its_values_die_with_its_arguments() -> None:
    executor, source, value = ByHand(), Future[Any](), Value()
    late = executor.submit_after(id, source)
    held = weakref.ref(value)
    source.set_result(value)
    del source, value
    assert held() is not None
    executor.run()
    until_dead(held)
    assert late.done()


def test_leaving_the_pool_waits_for_tasks_that_are_still_to_be_submitted(
    go: threading.Event,
) -> None:
    with ThreadPoolExecutor(2) as executor:
        first = executor.submit(go.wait)
        late = executor.submit_after(lambda *_: "late", first, delay(0.01))
        last = executor.submit_after(lambda *_: "last", late)
        go.set()
    assert (late.result(0), last.result(0)) == ("late", "last")


def test_a_shutdown_that_cancels_cancels_them() -> None:
    executor = ThreadPoolExecutor(1)
    late = executor.submit_after(abs, Future[int]())
    executor.shutdown(cancel_futures=True)
    assert late.cancelled()


def test_a_shutdown_with_a_timeout_gives_them_up() -> None:
    executor, source = ThreadPoolExecutor(1), Future[int]()
    late = executor.submit_after(abs, source)
    executor.shutdown(timeout=0.01)
    source.set_result(1)
    assert isinstance(late.exception(0), RuntimeError)


def test_a_shutdown_that_does_not_wait_refuses_them() -> None:
    executor, source = ThreadPoolExecutor(1), Future[int]()
    late = executor.submit_after(abs, source)
    executor.shutdown(wait=False)
    source.set_result(1)
    assert isinstance(late.exception(0), RuntimeError)


def test_a_pool_that_nobody_holds_does_them_all_the_same() -> None:
    source: Future[int] = Future()
    late = ThreadPoolExecutor(1).submit_after(abs, source)
    source.set_result(-5)
    assert late.result(60) == 5


def test_a_full_pool_of_one_runs_it_when_it_can(go: threading.Event) -> None:
    with ThreadPoolExecutor(1) as executor:
        (busy,) = occupy(executor, go)
        late = executor.submit_after(lambda value: value, busy)
        other = executor.submit_after(abs, Inline().submit(int))
        assert not other.done() and other.cancel()
        go.set()
        assert late.result(60) is True


def test_futures_in_lists_are_for_gather() -> None:
    with ThreadPoolExecutor(2) as executor:
        squares = gather(*(executor.submit(pow, n, 2) for n in range(4)))
        assert executor.submit_after(sum, squares).result() == 14


@pytest.mark.parametrize("make", [Inline, lambda: ThreadPoolExecutor(2)])
def test_a_long_chain_ends(make: Any) -> None:
    with make() as executor:
        source: Future[int] = Future()
        late = source
        for _ in range(LINKS):
            late = executor.submit_after(abs, late)
        source.set_result(-5)
        assert late.result(60) == 5


def test_a_long_chain_fails_and_dies() -> None:
    source: Future[int] = Future()
    late = source
    for _ in range(LINKS):
        late = Inline().submit_after(abs, late)
    source.set_exception(ValueError("the root"))
    error, depth = late.exception(0), 0
    while error is not None:
        error, depth = error.__cause__, depth + 1
    assert depth == LINKS + 1


def test_of_two_threads_that_end_the_last_futures_one_submits() -> None:
    counts: list[int] = []
    for _ in range(100):
        sources = [Future[int](), Future[int]()]
        late = Inline().submit_after(lambda *_: counts.append(1), *sources)
        ready = threading.Barrier(2)

        def end(source: Future[int], ready: threading.Barrier = ready) -> None:
            ready.wait()
            sys.settrace(giving_way)
            source.set_result(1)

        threads = [in_thread(partial(end, source)) for source in sources]
        for thread in threads:
            thread.join()
        assert late.exception(0) is None
    assert len(counts) == 100


def test_from_many_threads_each_is_run_once() -> None:
    counts: list[int] = []
    with ThreadPoolExecutor(4) as executor:
        futures: list[Future[Any]] = []

        def submit() -> None:
            for number in range(200):
                a, b = executor.submit(int, number), executor.submit(int, number)
                late = executor.submit_after(lambda x, y: (counts.append(1), x + y)[1], a, b)
                late.then(lambda _: None)
                futures.append(late)
                if number % 3 == 0:
                    late.cancel()

        threads = [in_thread(submit) for _ in range(4)]
        for thread in threads:
            thread.join()
    until(lambda: all(future.done() for future in futures))
    ended = [future for future in futures if not future.cancelled()]
    assert len(counts) == len(ended)
    assert all(future.result(0) % 2 == 0 for future in ended)
