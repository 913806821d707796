"""What does not pickle or unpickle, in either direction, is its own future's failure and no other's."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest
import tasks
import trouble
from conftest import MakePool
from errors import outcome, told
from subject import STDLIB, BrokenProcessPool

if not STDLIB:
    from manyhands.process import ArgumentsError, ResultError


def assert_goes_on(executor: Any) -> None:
    assert executor.submit(tasks.double, 4).result() == 8
    assert list(executor.map(tasks.double, range(3))) == [0, 2, 4]


def test_an_argument_that_does_not_pickle(pool: MakePool) -> None:
    executor = pool(2)
    others = [executor.submit(tasks.double, number) for number in range(5)]
    for _ in range(3):
        future = executor.submit(tasks.same, trouble.Unpicklable())
        with pytest.raises(OSError, match="will not be pickled"):
            future.result()
    assert [future.result() for future in others] == [0, 2, 4, 6, 8]
    assert_goes_on(executor)


def test_a_function_that_does_not_pickle(pool: MakePool) -> None:
    """A local one; what `cloudpickle` can do about it is another test's."""
    lock = threading.Lock()
    executor = pool(1)

    def closure() -> Any:
        return lock

    error = executor.submit(closure).exception()
    assert isinstance(error, (pickle.PicklingError, AttributeError, TypeError)), error
    assert_goes_on(executor)


def test_an_unpicklable_item_of_map(pool: MakePool) -> None:
    executor = pool(2)
    results = executor.map(tasks.same, [1, trouble.Unpicklable(), 3])
    assert next(results) == 1
    with pytest.raises(OSError, match="will not be pickled"):
        next(results)
    assert_goes_on(executor)


def test_a_nesting_too_deep_to_pickle(pool: MakePool) -> None:
    executor = pool(1)
    error = executor.submit(tasks.same, trouble.make_deep()).exception()
    assert isinstance(error, (RecursionError, MemoryError))
    error = executor.submit(trouble.make_deep).exception()
    assert isinstance(error, (RecursionError, MemoryError))
    assert_goes_on(executor)


@pytest.mark.ours
def test_what_fails_where_nothing_can_be_imported_any_more(pool: MakePool) -> None:
    executor = pool(1, initializer=trouble.forbid_imports)
    error = executor.submit(tasks.same, trouble.NotLoadable()).exception()
    assert isinstance(error, ArgumentsError) and "OSError: will not be unpickled" in told(error)
    error = executor.submit(tasks.raises, ValueError("as it is")).exception()
    assert isinstance(error, ValueError) and "as it is" in told(error)
    assert_goes_on(executor)


@pytest.mark.ours
def test_an_argument_that_does_not_unpickle(pool: MakePool) -> None:
    """In the standard library the worker dies of it, and the pool with the worker."""
    executor = pool(1)
    pid = executor.submit(tasks.pid).result()
    others = [executor.submit(tasks.double, number) for number in range(5)]
    error = executor.submit(tasks.same, trouble.NotLoadable()).exception()
    assert isinstance(error, ArgumentsError) and isinstance(error, BrokenProcessPool)
    assert "will not be unpickled" in told(error) and "OSError" in told(error)
    assert "blow" in told(error)  # the worker's traceback
    assert [future.result() for future in others] == [0, 2, 4, 6, 8]
    assert executor.submit(tasks.pid).result() == pid
    assert_goes_on(executor)


@pytest.mark.ours
def test_a_function_that_the_worker_does_not_find(pool: MakePool, monkeypatch: Any) -> None:
    """Defined after the workers were forked, or in a module that they have not."""
    executor = pool(1)
    executor.submit(int).result()

    def added_later() -> int:
        return 3

    added_later.__qualname__ = "added_later"
    added_later.__module__ = "tasks"
    monkeypatch.setattr(tasks, "added_later", added_later, raising=False)
    future = executor.submit(added_later)
    # `cloudpickle`, where it is tried, refers to it by its name too.
    assert isinstance(future.exception(), ArgumentsError)
    assert "added_later" in told(future.exception())
    assert_goes_on(executor)


def test_a_result_that_does_not_pickle(pool: MakePool) -> None:
    executor = pool(1)
    pid = executor.submit(tasks.pid).result()
    with pytest.raises(OSError, match="will not be pickled") as caught:
        executor.submit(trouble.make, trouble.Unpicklable).result()
    assert "__reduce__" in told(caught.value)
    error = executor.submit(trouble.make_lambda).exception()
    if STDLIB:  # ours may find `cloudpickle`
        assert isinstance(error, (pickle.PicklingError, AttributeError))
    assert executor.submit(tasks.pid).result() == pid
    assert_goes_on(executor)


@pytest.mark.ours
def test_a_result_that_does_not_unpickle(pool: MakePool) -> None:
    """In the standard library the pool's own thread dies of it."""
    executor = pool(1)
    pid = executor.submit(tasks.pid).result()
    error = executor.submit(trouble.make, trouble.NotLoadable).exception()
    assert isinstance(error, ResultError) and isinstance(error, BrokenProcessPool)
    assert "will not be unpickled" in told(error)
    cause = error.__cause__
    assert isinstance(cause, OSError) or "OSError" in told(error)
    assert executor.submit(tasks.pid).result() == pid
    assert_goes_on(executor)


@pytest.mark.ours
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError])
def test_a_result_that_raises_what_is_no_exception(
    pool: MakePool, error: type[BaseException]
) -> None:
    executor = pool(1)
    future = executor.submit(trouble.make_says, error)
    with pytest.raises((error, BrokenProcessPool)):
        future.result()
    assert isinstance(
        executor.submit(tasks.same, trouble.SaysInterrupt(error)).exception(), BaseException
    )
    assert_goes_on(executor)


@pytest.mark.ours
@pytest.mark.parametrize("name", trouble.ERRORS_THAT_DO_NOT_CROSS)
def test_an_exception_that_does_not_cross(pool: MakePool, name: str) -> None:
    """The first of them is enough to end the standard library's, loky's and pebble's pools."""
    executor = pool(1)
    pid = executor.submit(tasks.pid).result()
    others = [executor.submit(tasks.double, number) for number in range(5)]
    future = executor.submit(trouble.raises_named, name)
    error = future.exception()
    assert error is not None
    original = trouble.ERRORS_THAT_DO_NOT_CROSS[name]()
    if name not in ("unpicklable argument", "not loadable argument"):
        assert str(original) in told(error)  # what it said is not lost,
    assert type(original).__name__ in told(error)  # nor what it was,
    assert "raises_named" in told(error)  # nor where
    assert [future.result() for future in others] == [0, 2, 4, 6, 8]
    assert executor.submit(tasks.pid).result() == pid
    assert_goes_on(executor)


@pytest.mark.parametrize(
    "error", [ValueError("a", 1), OSError(2, "gone"), KeyError("k"), SystemExit(3), MemoryError()]
)
def test_an_exception_that_crosses(pool: MakePool, error: BaseException) -> None:
    executor = pool(1)
    found = executor.submit(tasks.raises, error).exception()
    assert type(found) is type(error) and found.args == error.args
    assert_goes_on(executor)


def test_an_interrupt_raised_by_a_task_is_its_futures(pool: MakePool) -> None:
    executor = pool(1)
    assert type(outcome(executor.submit(tasks.raises, KeyboardInterrupt()))) is KeyboardInterrupt
    assert_goes_on(executor)


def test_the_remote_traceback_is_the_cause(pool: MakePool) -> None:
    error = pool(1).submit(tasks.fails_three_calls_deep, 1).exception()
    assert isinstance(error, ZeroDivisionError)
    cause = error.__cause__
    assert type(cause).__name__ == "_RemoteTraceback"
    for part in ["fails_three_calls_deep", "_divide", "number / 0", "ZeroDivisionError"]:
        assert part in str(cause)
    # Shown by whoever prints the error.
    assert "_divide" in told(error) and "direct cause" in told(error)


def test_the_remote_traceback_in_map(pool: MakePool) -> None:
    for chunksize in (1, 3):
        with pytest.raises(ValueError, match="2 is even") as caught:
            list(pool(1).map(tasks.odd_only, [1, 3, 2, 5], chunksize=chunksize))
        assert "odd_only" in str(caught.value.__cause__)


@pytest.mark.ours
def test_one_bad_item_among_many_in_flight(pool: MakePool) -> None:
    executor = pool(2)
    makers = [trouble.NotLoadable, trouble.Unpicklable, int]
    futures = [executor.submit(trouble.make, makers[number % 3]) for number in range(150)]
    for number, future in enumerate(futures):
        error = future.exception()
        if makers[number % 3] is int:
            assert error is None and future.result() == 0
        elif makers[number % 3] is trouble.Unpicklable:
            assert isinstance(error, OSError)
        else:
            assert isinstance(error, ResultError)


# What `cloudpickle` is for.


@pytest.mark.ours
def test_lambdas_and_closures_with_cloudpickle(pool: MakePool) -> None:
    pytest.importorskip("cloudpickle")
    factor = 3
    executor = pool(2)
    assert executor.submit(lambda number: factor * number, 5).result() == 15
    assert list(executor.map(lambda number: factor * number, range(3))) == [0, 3, 6]

    class Local:
        def __init__(self, value: int) -> None:
            self.value = value

    assert executor.submit(lambda thing: thing.value, Local(7)).result() == 7
    assert executor.submit(trouble.make_lambda).result()() == 3


@pytest.mark.ours
def test_a_pickler_of_ones_own(pool: MakePool) -> None:
    """With plain pickle asked for, a lambda is refused though `cloudpickle` is here."""
    executor = pool(1, pickler=pickle)
    error = executor.submit(lambda: 3).exception()
    assert isinstance(error, (pickle.PicklingError, AttributeError)), error
    assert_goes_on(executor)


@pytest.mark.ours
@pytest.mark.parametrize("count", [10, 100_000])
def test_a_pickler_that_reads_nothing_but_bytes(pool: MakePool, count: int) -> None:
    executor = pool(1, pickler=trouble.OnlyBytes())
    assert executor.submit(sum, range(count)).result() == sum(range(count))
    assert executor.submit(sum, list(range(count))).result() == sum(range(count))


@pytest.mark.ours
def test_cloudpickle_by_name(pool: MakePool) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    executor = pool(1, pickler=cloudpickle)
    assert executor.submit(lambda: 3).result() == 3
    assert_goes_on(executor)


@pytest.mark.ours
def test_ctrl_c_reaches_who_submits_or_asks(pool: MakePool) -> None:
    """Also while something is pickled or unpickled: nobody else may have it."""
    executor = pool(1)
    with pytest.raises(KeyboardInterrupt):
        executor.submit(tasks.same, trouble.Interrupting("pickled"))
    future = executor.submit(trouble.Interrupting, "unpickled")
    with pytest.raises(KeyboardInterrupt):
        future.result()
    assert executor.submit(tasks.double, 2).result() == 4
