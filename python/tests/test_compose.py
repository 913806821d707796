"""Futures made from others: `with_timeout`, `gather`, `race`, and how they go with the rest."""

import asyncio
import concurrent.futures
import sys
import weakref
from functools import partial
from typing import Any

import pytest
from patience import giving_way, in_thread

from manyhands import (
    CancelledError,
    Future,
    ThreadPoolExecutor,
    TimeoutError,
    as_completed,
    delay,
    gather,
    race,
    wait,
)

# What may be waited for longer than a test may take.
HOUR = 3600.0


class Value:
    """Something with weak references."""


@pytest.mark.parametrize("is_touched", [False, True])
def test_a_cancelled_source_cancels_what_is_made_from_it(is_touched: bool) -> None:
    source: Future[Any] = Future()
    # Touched, it is kept by the standard library's methods.
    assert not is_touched or source._condition
    made = [
        source.then(str),
        source.catch(str),
        source.with_timeout(HOUR),
        source.then(str).then(len),
        gather(Future(), source),
        race(Future(), source),
    ]
    source.cancel()
    assert [future.cancelled() for future in made] == [True] * len(made)
    # At once for those who wait, too.
    assert len(wait(made, 0).done) == len(made)


# with_timeout


def test_what_ends_in_time_ends_so() -> None:
    source: Future[int] = Future()
    in_time = source.with_timeout(HOUR)
    source.set_result(5)
    assert in_time.result(0) == 5
    assert source.with_timeout(0).result(0) == 5


def test_what_does_not_is_left_alone() -> None:
    source: Future[int] = Future()
    too_late = source.with_timeout(0.01)
    with pytest.raises(TimeoutError, match="not ended within 0.01 seconds"):
        too_late.result()
    assert not source.done()
    source.set_result(5)
    assert source.result() == 5


# gather


def test_gather_keeps_the_order() -> None:
    futures = [Future[int]() for _ in range(5)]
    together = gather(*futures)
    for number in (3, 0, 4, 2, 1):
        assert not together.done()
        futures[number].set_result(number)
    assert together.result(0) == [0, 1, 2, 3, 4]
    assert gather().result(0) == []
    assert gather(futures[1], futures[1]).result(0) == [1, 1]


def test_gather_fails_with_the_first_failure_at_once() -> None:
    futures = [Future[int]() for _ in range(3)]
    together = gather(*futures)
    error = ValueError("first")
    futures[2].set_exception(error)
    assert together.exception(0) is error
    futures[1].set_exception(ValueError("second"))
    futures[0].set_result(1)
    assert together.exception(0) is error


def test_gather_may_have_exceptions_for_values() -> None:
    futures = [Future[int]() for _ in range(3)]
    together = gather(*futures, return_exceptions=True)
    error = ValueError("no")
    futures[0].set_exception(error)
    futures[1].cancel()
    assert not together.done()
    futures[2].set_result(5)
    first, second, third = together.result(0)
    assert first is error and isinstance(second, CancelledError) and third == 5


def test_a_gather_that_has_ended_holds_no_values() -> None:
    futures = [Future[Any]() for _ in range(3)]
    together = gather(*futures)
    value = Value()
    held = weakref.ref(value)
    futures[0].set_result(value)
    del value, futures[0]
    assert held() is not None
    together.cancel()
    assert held() is None
    futures[0].set_result(Value())
    assert together.cancelled()


def test_threads_that_end_the_last_ones_at_once_complete_it_once() -> None:
    def end(future: Future[int]) -> None:
        sys.settrace(giving_way)
        future.set_result(1)

    for _ in range(50):
        futures = [Future[int]() for _ in range(4)]
        told: list[object] = []
        together = gather(*futures)
        together.then(told.append)
        threads = [in_thread(partial(end, future)) for future in futures]
        for thread in threads:
            thread.join()
        assert told == [[1] * 4]


# race


def test_race_is_won_by_the_first() -> None:
    futures = [Future[int]() for _ in range(3)]
    first = race(*futures)
    futures[1].set_result(5)
    assert first.result(0) == 5
    futures[0].set_exception(ValueError("late"))
    futures[2].cancel()
    assert first.result(0) == 5
    assert race(Future(), futures[0]).exception(0) is futures[0].exception()
    with pytest.raises(ValueError, match="at least one"):
        race()


# Together with the rest of the package


def test_the_standard_librarys_futures_will_do() -> None:
    theirs: list[concurrent.futures.Future[int]] = [concurrent.futures.Future() for _ in range(2)]
    together, first = gather(*theirs), race(*theirs)
    for number, future in enumerate(theirs):
        future.set_result(number)
    assert together.result(0) == [0, 1] and first.result(0) == 0


def test_derived_futures_can_be_waited_for_in_every_way() -> None:
    for waits_for in (wait, concurrent.futures.wait):
        source: Future[int] = Future()
        made: list[Any] = [source.then(str), gather(source), source.with_timeout(HOUR)]
        ending = in_thread(lambda: source.set_result(1))  # noqa: B023
        assert len(waits_for(made).done) == 3  # type: ignore[operator]
        ending.join()
    for completes in (as_completed, concurrent.futures.as_completed):
        source = Future()
        made = [source.then(str), gather(source), race(source)]
        ending = in_thread(lambda: source.set_result(1))  # noqa: B023
        assert set(completes(made)) == set(made)
        ending.join()


def test_derived_futures_can_be_awaited() -> None:
    async def main() -> tuple[str, list[int]]:
        with ThreadPoolExecutor(2) as executor:
            text = await executor.submit(int, "5").then(str)
            squares = await asyncio.wrap_future(
                gather(*(executor.submit(pow, n, 2) for n in (1, 2)))
            )
            assert await delay(0.001, 5) == 5
            return text, squares

    assert asyncio.run(main()) == ("5", [1, 4])


def test_cancelling_the_wait_in_asyncio_cancels_the_derived_one_alone() -> None:
    async def main() -> None:
        source: Future[int] = Future()
        made = source.then(str)
        waiting = asyncio.ensure_future(asyncio.wrap_future(made))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        while not made.cancelled():
            await asyncio.sleep(0)
        assert not source.cancelled()

    asyncio.run(main())


def test_chains_on_a_pool_from_many_threads_lose_nothing() -> None:
    with ThreadPoolExecutor(4) as executor:
        ends: list[Future[int]] = []

        def build() -> None:
            for number in range(300):
                future = executor.submit(int, number)
                for _ in range(5):
                    future = future.then(lambda n: n + 1)
                    future = future.then(lambda n: executor.submit(int, n))
                    future = gather(future, executor.submit(int)).then(sum)
                ends.append(future)

        threads = [in_thread(build) for _ in range(4)]
        for thread in threads:
            thread.join()
        assert sorted(f.result(60) for f in ends) == sorted([n + 5 for n in range(300)] * 4)
