"""Tasks that wait for futures made from others: whose tasks wait for them in turn, or only for a while."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future as StdlibFuture
from functools import reduce
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest
from patience import in_thread

import manyhands
from manyhands import DeadlockError, Future, Retry, ThreadPoolExecutor

if TYPE_CHECKING:
    from collections.abc import Callable

# Longer than until a wait is looked at for the first time and again.
A_WHILE = 0.25


def first_task(told: SimpleQueue[Future[Any]], begun: threading.Barrier) -> Any:
    begun.wait()
    return told.get().result()


def second_task(told: SimpleQueue[Future[Any]], begun: threading.Barrier) -> Any:
    begun.wait()
    return told.get().result()


def cycle(derive: Callable[[ThreadPoolExecutor, Future[Any]], Future[Any]]) -> DeadlockError:
    """A task waits for what `derive` makes of another, which waits for the first."""
    with ThreadPoolExecutor(2) as pool:
        # So that none runs the other in place.
        begun = threading.Barrier(2)
        first_told, second_told = SimpleQueue[Any](), SimpleQueue[Any]()
        first = pool.submit(first_task, first_told, begun)
        second = pool.submit(second_task, second_told, begun)
        first_told.put(derive(pool, second))
        second_told.put(first)
        error = first.exception()
        assert isinstance(error, DeadlockError), error
        assert isinstance(second.exception(), DeadlockError)
        return error


def chain(_: ThreadPoolExecutor, other: Future[Any]) -> Future[Any]:
    return reduce(lambda last, _: last.then(str), range(1000), other)


def all_sorts(pool: ThreadPoolExecutor, other: Future[Any]) -> Future[Any]:
    later = pool.submit_after(str, other.then(str).catch(repr))
    return manyhands.gather(manyhands.race(later, later.then(str)))


def with_one_that_ends(pool: ThreadPoolExecutor, other: Future[Any]) -> Future[Any]:
    """By the time it is looked at, one of its sources may still fail; it ends, and leaves the other."""
    gate = threading.Event()
    gated = pool.submit(gate.wait)
    threading.Timer(0.03, gate.set).start()
    return manyhands.gather(gated, other)


def foreign_and_ended(_: ThreadPoolExecutor, other: Future[Any]) -> Future[Any]:
    foreign: StdlibFuture[Any] = StdlibFuture()
    threading.Timer(0.03, foreign.set_result, [1]).start()
    return manyhands.gather(foreign, other)


def failed_and_ended(_: ThreadPoolExecutor, other: Future[Any]) -> Future[Any]:
    failed: Future[Any] = Future()
    failed.set_exception(ValueError())
    return manyhands.gather(failed, other, return_exceptions=True)


def inner(_: ThreadPoolExecutor, other: Future[Any]) -> Future[Any]:
    gate: Future[None] = Future()
    threading.Timer(0.03, gate.set_result, [None]).start()
    return gate.then(lambda _: other).then(str)


def caught_inner(_: ThreadPoolExecutor, other: Future[Any]) -> Future[Any]:
    failed: Future[None] = Future()
    failed.set_exception(ValueError())
    return failed.catch(lambda _: other)


@pytest.mark.parametrize(
    "derive",
    [
        lambda _, other: other.then(str),
        lambda _, other: other.catch(repr),
        lambda _, other: manyhands.gather(other),
        lambda pool, other: manyhands.gather(pool.submit(int), other, other),
        lambda _, other: manyhands.race(other.then(str), other.catch(str)),
        lambda pool, other: pool.submit_after(str, other),
        lambda pool, other: pool.submit_after(max, pool.submit(int), other, key=pool.submit(int)),
        lambda pool, other: pool.submit_after(str, other).then(str),
        lambda pool, other: Retry(3).submit(pool, other.result),
        lambda pool, other: Retry(3).submit(pool, other.then(str).result).then(str),
        chain,
        all_sorts,
        with_one_that_ends,
        foreign_and_ended,
        failed_and_ended,
        inner,
        caught_inner,
    ],
)
def test_a_cycle_through_a_future_made_from_others_is_found(
    derive: Callable[[ThreadPoolExecutor, Future[Any]], Future[Any]],
) -> None:
    error = cycle(derive)
    names = {name for name, _ in error.cycle}
    assert {"first_task", "second_task"} <= names
    assert "waits for `" in str(error)


@pytest.mark.parametrize(
    "way",
    [
        lambda future: future.result(),
        lambda future: future.exception(),
        lambda future: manyhands.wait([future]),
        lambda future: manyhands.wait([future], return_when=manyhands.FIRST_COMPLETED),
        lambda future: manyhands.wait([future], return_when=manyhands.FIRST_EXCEPTION),
        lambda future: list(manyhands.as_completed([future])),
    ],
)
def test_every_way_to_wait_finds_it(way: Callable[[Future[Any]], Any]) -> None:
    with ThreadPoolExecutor(1) as pool:
        told: SimpleQueue[Future[Any]] = SimpleQueue()
        own = pool.submit(lambda: way(told.get().then(str)))
        told.put(own)
        assert isinstance(own.exception(), DeadlockError)


@pytest.mark.parametrize("derive", [lambda made: made, lambda made: made.then(str)])
@pytest.mark.parametrize("by_worker", [True, False])
def test_a_cycle_through_a_function_that_waits_is_found(
    derive: Callable[[Future[Any]], Future[Any]], by_worker: bool
) -> None:
    with ThreadPoolExecutor(2) as pool:
        begun = threading.Barrier(2)
        told: SimpleQueue[Future[Any]] = SimpleQueue()
        task = pool.submit(first_task, told, begun)
        begun.wait()
        source: Future[Any] = Future()
        if by_worker:
            gate = threading.Event()
            source = pool.submit(gate.wait)

        def patient(_: object) -> Any:
            return task.result()

        made = source.then(patient)
        told.put(derive(made))
        if by_worker:
            gate.set()
        else:
            in_thread(lambda: source.set_result(None))
        error = task.exception()
        assert isinstance(error, DeadlockError)
        assert [name for name, _ in error.cycle].count("patient") == 1
        assert isinstance(made.exception(), DeadlockError)


def test_a_task_that_waits_for_what_is_made_of_itself_is_named() -> None:
    with ThreadPoolExecutor(1) as pool:
        told: SimpleQueue[Future[Any]] = SimpleQueue()

        def impatient() -> Any:
            return told.get().result()

        own = pool.submit(impatient)
        told.put(own.then(str))
        error = own.exception()
        assert isinstance(error, DeadlockError)
        assert [name for name, _ in error.cycle] == ["impatient"]
        assert "`impatient`" in str(error) and "waits for itself" in str(error)


def waits_for(derive: Callable[[Future[Any]], Future[Any]]) -> Future[Any]:
    """A task that waits for what `derive` makes of its own future."""
    pool = ThreadPoolExecutor(1)
    told: SimpleQueue[Future[Any]] = SimpleQueue()
    own = pool.submit(lambda: told.get().exception())
    told.put(derive(own))
    pool.shutdown(wait=False)
    return own


@pytest.mark.parametrize(
    "derive",
    [
        lambda own: own.with_timeout(A_WHILE),
        lambda own: own.then(str).with_timeout(A_WHILE),
        lambda own: own.with_timeout(A_WHILE).then(str),
        lambda own: manyhands.gather(own, own.with_timeout(A_WHILE)),
        lambda own: manyhands.race(own, own.then(str).with_timeout(A_WHILE)),
    ],
)
def test_what_a_timeout_ends_is_no_deadlock(derive: Callable[[Future[Any]], Future[Any]]) -> None:
    assert isinstance(waits_for(derive).result(), manyhands.TimeoutError)


@pytest.mark.parametrize(
    "derive",
    [
        lambda own: manyhands.race(own, manyhands.delay(A_WHILE)),
        lambda own: manyhands.race(own.then(str), manyhands.delay(A_WHILE).then(str)),
        lambda own: manyhands.delay(A_WHILE, own).then(lambda _: 1),
    ],
)
def test_what_a_timer_ends_is_no_deadlock(derive: Callable[[Future[Any]], Future[Any]]) -> None:
    assert waits_for(derive).result() is None


@pytest.mark.parametrize("made", [Future, StdlibFuture])
@pytest.mark.parametrize("derive", [manyhands.race, manyhands.gather])
def test_what_another_thread_ends_is_no_deadlock(
    made: Callable[[], Future[Any]], derive: Callable[..., Future[Any]]
) -> None:
    free = made()
    own = waits_for(lambda own: derive(own, free).then(str))
    time.sleep(A_WHILE)
    assert not own.done()
    free.set_exception(ValueError())
    assert isinstance(own.result(), ValueError)


def test_a_source_that_has_failed_just_now_is_no_deadlock() -> None:
    # Its callbacks come one after the other: that of the future which is waited for comes late.
    failed: Future[Any] = Future()
    gate = threading.Event()
    failed.add_done_callback(lambda _: gate.wait())
    own = waits_for(lambda own: manyhands.gather(own, failed))
    ending = in_thread(lambda: failed.set_exception(ValueError()))
    time.sleep(A_WHILE)
    assert failed.done() and not own.done()
    gate.set()
    ending.join()
    assert isinstance(own.result(), ValueError)


def test_a_task_that_is_to_be_tried_again_is_no_deadlock() -> None:
    with ThreadPoolExecutor(2) as pool:
        told: SimpleQueue[Future[Any]] = SimpleQueue()
        outcomes = [ValueError(), ValueError(), 5]

        def attempt() -> int:
            outcome = outcomes.pop(0)
            if isinstance(outcome, ValueError):
                raise outcome
            return outcome

        tried = Retry(3, first_delay=0.15).submit(pool, attempt)
        task = pool.submit(lambda: told.get().then(lambda n: n + 1).result())
        told.put(tried)
        assert task.result() == 6


def test_a_wait_through_a_chain_with_a_timeout_of_its_own_is_no_deadlock() -> None:
    with ThreadPoolExecutor(2) as pool:
        told: SimpleQueue[Future[Any]] = SimpleQueue()

        def hasty(other: Future[Any]) -> str:
            with pytest.raises(manyhands.TimeoutError):
                other.result(A_WHILE)
            return "hasty"

        first = pool.submit(lambda: told.get().result())
        second = pool.submit(hasty, first.then(str))
        told.put(second.then(str.upper))
        assert first.result() == "HASTY"


def test_a_function_may_wait_in_any_thread() -> None:
    with ThreadPoolExecutor(1) as pool:
        source: Future[int] = Future()
        gate = threading.Event()
        slow = pool.submit(gate.wait)
        made = source.then(lambda _: slow.result())
        threading.Timer(0.05, gate.set).start()
        source.set_result(1)
        assert made.result() is True
        with pytest.raises(RuntimeError, match="for tasks"):
            manyhands.current_executor()
