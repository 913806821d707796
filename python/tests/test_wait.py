"""`wait` and `as_completed`, ours and the standard library's, over futures of both."""

import concurrent.futures
import gc
import itertools
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from patience import in_thread, until_dead

import manyhands
from manyhands import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, TimeoutError

SOON = 0.05

AnyFuture = concurrent.futures.Future[Any]
New = Callable[[], AnyFuture]


def touched() -> AnyFuture:
    """One of ours whose insides somebody has taken hold of."""
    future: AnyFuture = manyhands.Future()
    with future._condition:
        return future


def mixed() -> New:
    """Gives one of each kind in turn."""
    kinds = itertools.cycle([manyhands.Future, concurrent.futures.Future, touched])
    return lambda: next(kinds)()


@pytest.fixture(
    params=[
        lambda: manyhands.Future,
        lambda: concurrent.futures.Future,
        lambda: touched,
        mixed,
    ],
    ids=["ours", "stdlib's", "touched", "mixed"],
)
def new(request: pytest.FixtureRequest) -> New:
    """Makes futures of one kind, or of all."""
    made: New = request.param()
    return made


# The standard library's functions must do with our futures what ours do with its.
WAITS = pytest.mark.parametrize(
    "wait", [manyhands.wait, concurrent.futures.wait], ids=["wait", "stdlib's wait"]
)
AS_COMPLETEDS = pytest.mark.parametrize(
    "as_completed",
    [manyhands.as_completed, concurrent.futures.as_completed],
    ids=["as_completed", "stdlib's as_completed"],
)


def returned(future: AnyFuture) -> AnyFuture:
    future.set_result(1)
    return future


def raised(future: AnyFuture) -> AnyFuture:
    future.set_exception(OSError())
    return future


def running(future: AnyFuture) -> AnyFuture:
    future.set_running_or_notify_cancel()
    return future


def cancelled(future: AnyFuture) -> AnyFuture:
    future.cancel()
    return future


def notified(future: AnyFuture) -> AnyFuture:
    future.cancel()
    future.set_running_or_notify_cancel()
    return future


def soon(act: Callable[[], object]) -> threading.Thread:
    """Does it when whoever waits has had the time to begin."""
    return in_thread(lambda: (time.sleep(SOON), act()))


def test_the_tests_take_the_standard_librarys_own() -> None:
    assert concurrent.futures.wait.__module__ == "concurrent.futures._base"
    assert concurrent.futures.Future is not manyhands.Future


@WAITS
def test_what_has_ended_is_done(new: New, wait: Any) -> None:
    done = {returned(new()), raised(new()), notified(new())}
    assert wait(done) == (done, set())
    assert wait(list(done)).done == done
    assert type(wait(done)).__name__ == "DoneAndNotDoneFutures"
    assert wait(iter(done)).not_done == set()
    assert wait([]) == (set(), set())


@WAITS
def test_what_is_only_cancelled_is_not_done(new: New, wait: Any) -> None:
    futures = {new(), running(new()), cancelled(new())}
    begin = time.monotonic()
    assert wait(futures, timeout=SOON) == (set(), futures)
    assert time.monotonic() - begin >= SOON


@WAITS
@pytest.mark.parametrize("timeout", [0, 0.0, -1])
def test_no_time_to_wait(new: New, wait: Any, timeout: float) -> None:
    done, not_done = returned(new()), new()
    assert wait([done, not_done], timeout) == ({done}, {not_done})


@WAITS
def test_duplicates_count_once(new: New, wait: Any) -> None:
    future = new()
    thread = soon(lambda: future.set_result(1))
    assert wait([future, future]) == ({future}, set())
    thread.join()


@WAITS
@pytest.mark.parametrize(
    "end",
    [
        returned,
        raised,
        lambda future: future.cancel() and future.set_running_or_notify_cancel(),
    ],
    ids=["returned", "raised", "notified"],
)
def test_the_first_that_ends(new: New, wait: Any, end: Any) -> None:
    futures = [new() for _ in range(4)]
    thread = soon(lambda: end(futures[2]))
    assert wait(futures, return_when=FIRST_COMPLETED).done == {futures[2]}
    thread.join()
    # One that has ended is enough from now on.
    assert wait(futures, None, FIRST_COMPLETED).done == {futures[2]}


@WAITS
def test_the_end_of_one_that_was_waited_for_before_is_nothing_to_who_waits_for_others(
    new: New, wait: Any
) -> None:
    before, futures = [new() for _ in range(20)], [new() for _ in range(4)]
    assert wait([*before, *futures], 0, FIRST_COMPLETED).done == set()
    assert wait([*before, *futures], SOON / 10, FIRST_COMPLETED).done == set()

    def end() -> None:
        returned(before[0])
        time.sleep(SOON)
        for future in before[1:]:
            returned(future)
        time.sleep(SOON)
        returned(futures[2])

    thread = soon(end)
    assert wait(futures, return_when=FIRST_COMPLETED).done == {futures[2]}
    thread.join()


@WAITS
@pytest.mark.parametrize("burst", [1, 7, 30])
def test_a_loop_of_the_first_takes_each_once(new: New, wait: Any, burst: int) -> None:
    futures = [new() for _ in range(300)]
    pending, taken = set(futures), []

    def end() -> None:
        for number, future in enumerate(futures, 1):
            returned(future)
            if number % burst == 0:
                time.sleep(0)

    thread = soon(end)
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        assert done
        taken += done
    thread.join()
    assert len(taken) == len(futures) and set(taken) == set(futures)


@WAITS
def test_the_first_that_raises(new: New, wait: Any) -> None:
    futures = [new() for _ in range(4)]

    def end() -> None:
        futures[0].set_result(1)
        notified(futures[1])
        time.sleep(SOON)
        futures[2].set_exception(OSError())

    thread = soon(end)
    done, not_done = wait(futures, return_when=FIRST_EXCEPTION)
    assert (done, not_done) == (set(futures[:3]), {futures[3]})
    thread.join()
    assert wait(futures, return_when=FIRST_EXCEPTION).not_done == {futures[3]}


@WAITS
def test_none_that_raises(new: New, wait: Any) -> None:
    futures = [new() for _ in range(4)]
    thread = soon(lambda: [returned(future) for future in futures[1:]] + [notified(futures[0])])
    assert wait(futures, return_when=FIRST_EXCEPTION) == (set(futures), set())
    thread.join()


@WAITS
def test_all_that_end(new: New, wait: Any) -> None:
    futures = [returned(new()), raised(new()), new(), new()]
    thread = soon(
        lambda: (futures[2].set_exception(OSError()), time.sleep(SOON), notified(futures[3]))
    )
    assert wait(futures, return_when=ALL_COMPLETED).done == set(futures)
    thread.join()


@WAITS
def test_a_condition_that_there_is_not(new: New, wait: Any) -> None:
    with pytest.raises(ValueError, match="^Invalid return condition: 'SOME'$"):
        wait([new()], return_when="SOME")
    assert wait([], return_when="SOME") == (set(), set())


def test_a_condition_that_is_met_at_once(new: New) -> None:
    done, not_done = returned(new()), new()
    found = manyhands.wait([done, not_done], return_when=manyhands.RETURN_IMMEDIATELY)
    assert found == ({done}, {not_done})


@AS_COMPLETEDS
def test_the_order_of_completion(new: New, as_completed: Any) -> None:
    futures = [new() for _ in range(4)]
    ended = returned(new())

    def end() -> None:
        for number in (2, 0, 3, 1):
            time.sleep(SOON)
            (returned, raised, notified)[number % 3](futures[number])

    thread = soon(end)
    order = list(as_completed([*futures, ended, *futures]))
    assert order == [ended, futures[2], futures[0], futures[3], futures[1]]
    thread.join()


@AS_COMPLETEDS
def test_time_is_up_before_all_have_ended(new: New, as_completed: Any) -> None:
    ended, others = returned(new()), [new(), cancelled(new())]
    found = []
    begin = time.monotonic()
    with pytest.raises(TimeoutError, match=r"^2 \(of 3\) futures unfinished$"):
        found.extend(as_completed([ended, *others], timeout=SOON))
    assert time.monotonic() - begin >= SOON
    assert found == [ended]


@AS_COMPLETEDS
def test_no_time_at_all(new: New, as_completed: Any) -> None:
    ended = [returned(new()) for _ in range(3)]
    assert set(as_completed(ended, timeout=0)) == set(ended)
    assert list(as_completed([], timeout=0)) == []
    with pytest.raises(TimeoutError, match=r"^1 \(of 1\) futures unfinished$"):
        list(as_completed([new()], timeout=0))


@AS_COMPLETEDS
def test_as_completed_is_an_iterator(new: New, as_completed: Any) -> None:
    iterator = as_completed({returned(new())})
    assert iter(iterator) is iterator
    next(iterator)
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(iterator)


@AS_COMPLETEDS
def test_what_was_yielded_is_let_go_of(new: New, as_completed: Any) -> None:
    futures = [new() for _ in range(3)]
    references = [weakref.ref(future) for future in futures]
    iterator = as_completed(futures.copy())
    for future in futures:
        returned(future)
    futures.clear()
    del future
    for _ in references:
        future = next(iterator)
        reference = weakref.ref(future)
        del future
        gc.collect()
        until_dead(reference)
    assert next(iterator, None) is None


@AS_COMPLETEDS
def test_an_iterator_that_is_left_is_forgotten(new: New, as_completed: Any) -> None:
    futures = [returned(new()), new(), new()]
    iterator = as_completed(futures)
    next(iterator)
    iterator.close()
    del iterator
    gc.collect()
    for future in futures[1:]:
        assert future._waiters == []
        future.set_result(1)


def test_waits_in_vain_leave_nothing_behind(new: New) -> None:
    futures = [new() for _ in range(3)]
    references = sys.getrefcount(futures[0])
    for _ in range(100):
        manyhands.wait(futures, timeout=0)
        with pytest.raises(TimeoutError):
            list(manyhands.as_completed(futures, timeout=0))
    gc.collect()
    after = sys.getrefcount(futures[0])
    assert after == references
    assert [future._waiters for future in futures] == [[], [], []]


@pytest.mark.parametrize("function", [manyhands.wait, manyhands.as_completed])
@pytest.mark.parametrize("what", [3, [3], [None], None])
def test_what_are_no_futures(function: Any, what: Any) -> None:
    with pytest.raises((TypeError, AttributeError)):
        function(what)


def test_one_future_awaited_by_many_threads(new: New) -> None:
    futures = [new() for _ in range(3)]
    seen: list[int] = []
    threads = [in_thread(lambda: seen.append(len(manyhands.wait(futures).done))) for _ in range(4)]
    threads += [
        in_thread(lambda: seen.append(len(list(manyhands.as_completed(futures))))) for _ in range(4)
    ]
    time.sleep(SOON)
    for future in futures:
        future.set_result(1)
    for thread in threads:
        thread.join()
    assert seen == [3] * 8


@pytest.mark.parametrize(
    "wait", [manyhands.wait, lambda futures: list(manyhands.as_completed(futures))]
)
@pytest.mark.parametrize("end", [returned, raised, notified])
def test_a_future_that_turns_fat_while_it_is_awaited(wait: Any, end: Any) -> None:
    futures: list[AnyFuture] = [manyhands.Future() for _ in range(3)]
    thread = in_thread(lambda: wait(futures))
    time.sleep(SOON)
    with futures[0]._condition, futures[1]._condition:
        pass
    for future in futures:
        end(future)
    thread.join()
