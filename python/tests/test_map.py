"""`ThreadPoolExecutor.map`, in order, unordered, and with a buffer."""

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from patience import until, until_dead

from manyhands import CancelledError, Executor, ThreadPoolExecutor, TimeoutError

SOON = 0.05

KINDS = [
    {},
    {"buffersize": 2},
    {"buffersize": 100},
    {"ordered": False},
    {"ordered": False, "buffersize": 2},
]
EACH_KIND = pytest.mark.parametrize("kind", KINDS, ids=repr)
IN_ORDER = pytest.mark.parametrize("kind", KINDS[:3], ids=repr)


class Plain(ThreadPoolExecutor):
    """Without the native part: what any `Executor` gets."""

    map = Executor.map


@pytest.fixture(params=[ThreadPoolExecutor, Plain], ids=["native", "plain"])
def executor(request: pytest.FixtureRequest) -> Iterator[ThreadPoolExecutor]:
    with request.param(1) as executor:
        yield executor


class Things:
    """Makes things, and tells which of them are alive."""

    def __init__(self) -> None:
        self.made: list[weakref.ref[Thing]] = []

    def make(self, _: Any = None) -> "Thing":
        thing = Thing()
        self.made.append(weakref.ref(thing))
        return thing


class Thing:
    pass


@EACH_KIND
def test_results(executor: ThreadPoolExecutor, kind: Any) -> None:
    found = list(executor.map(abs, range(-20, 0), **kind))
    assert found == list(range(20, 0, -1))  # of one worker, unordered ones come in order too
    assert list(executor.map(pow, [2, 3, 4], (3, 2), **kind)) == [8, 9]
    assert list(executor.map(abs, [], **kind)) == []
    assert list(executor.map(abs, **kind)) == []
    assert list(executor.map(abs, iter([-1]), chunksize=7, **kind)) == [1]


@EACH_KIND
def test_it_is_an_iterator(executor: ThreadPoolExecutor, kind: Any) -> None:
    results = executor.map(abs, [-1, -2], **kind)
    assert iter(results) is results
    assert (next(results), next(results)) == (1, 2)
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(results)


@IN_ORDER
def test_the_order_of_the_items(kind: Any) -> None:
    with ThreadPoolExecutor(2) as executor:
        waits = [0.05, 0.0, 0.02, 0.0, 0.01]
        assert list(executor.map(lambda it: time.sleep(it) or it, waits, **kind)) == waits


@pytest.mark.parametrize("kind", KINDS[3:], ids=repr)
def test_the_order_of_completion(kind: Any) -> None:
    go = [threading.Event(), threading.Event()]

    def task(number: int) -> int:
        go[number].wait()
        return number

    with ThreadPoolExecutor(2) as executor:
        results = executor.map(task, [0, 1], **kind)
        go[1].set()
        assert next(results) == 1
        go[0].set()
        assert list(results) == [0]


def test_all_items_are_submitted_at_once(executor: ThreadPoolExecutor) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(5):
            taken.append(number)
            yield number

    for ordered in (True, False):
        taken.clear()
        executor.map(abs, items(), ordered=ordered)
        assert taken == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_buffer_takes_no_more_items(
    executor: ThreadPoolExecutor, size: int, ordered: bool
) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            yield number

    results = executor.map(abs, items(), buffersize=size, ordered=ordered)
    assert len(taken) == size
    for done in range(1, 11):
        assert next(results) == done - 1
        # One more is on its way before the result is in use.
        assert len(taken) == min(10, size + done)
    assert list(results) == []


@pytest.mark.parametrize(
    "size, error, message",
    [
        ("2", TypeError, "^buffersize must be an integer or None$"),
        (2.0, TypeError, "^buffersize must be an integer or None$"),
        (0, ValueError, "^buffersize must be None or > 0$"),
        (-1, ValueError, "^buffersize must be None or > 0$"),
    ],
)
def test_buffers_that_are_refused(
    executor: ThreadPoolExecutor, size: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        executor.map(abs, [1], buffersize=size)


def test_a_buffer_over_endless_items(executor: ThreadPoolExecutor) -> None:
    def endless() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    results = executor.map(abs, endless(), buffersize=3)
    assert [next(results) for _ in range(100)] == list(range(100))


def test_a_buffer_does_not_keep_the_executor_alive() -> None:
    for make in (ThreadPoolExecutor, Plain):
        executor = make(1)
        reference = weakref.ref(executor)
        results = executor.map(abs, range(10), buffersize=3)
        del executor
        until_dead(reference)
        assert list(results) == [0, 1, 2]


@IN_ORDER
def test_an_error_comes_in_its_place_and_ends_it(executor: ThreadPoolExecutor, kind: Any) -> None:
    results = executor.map(divmod, [1, 1, 1], [1, 0, 1], **kind)
    assert next(results) == (1, 0)
    with pytest.raises(ZeroDivisionError):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


@EACH_KIND
def test_an_error_cancels_what_has_not_started(executor: ThreadPoolExecutor, kind: Any) -> None:
    go, ran = threading.Event(), []

    def task(number: int) -> None:
        if number == 0:
            raise OSError
        ran.append(number)
        go.wait()

    results = executor.map(task, range(50), **kind)
    with pytest.raises(OSError):
        next(results)
    go.set()
    executor.submit(int).result()
    assert ran in ([], [1])  # what had started, at the most


@EACH_KIND
def test_an_error_of_the_items(executor: ThreadPoolExecutor, kind: Any) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("of the items")

    def broken() -> None:
        list(executor.map(abs, items(), **kind))

    with pytest.raises(OSError, match="of the items"):
        broken()
    with pytest.raises(TypeError):
        executor.map(abs, 3, **kind)


@EACH_KIND
def test_stop_iteration_does_not_end_it_in_silence(executor: ThreadPoolExecutor, kind: Any) -> None:
    def task(_: int) -> None:
        raise StopIteration("the task's")

    with pytest.raises(RuntimeError, match="^generator raised StopIteration$") as caught:
        list(executor.map(task, [1, 2], **kind))
    assert isinstance(caught.value.__cause__, StopIteration)


@EACH_KIND
def test_a_timeout(executor: ThreadPoolExecutor, kind: Any) -> None:
    go, ran = threading.Event(), []

    def task(number: int) -> int:
        if number:
            go.wait()
        ran.append(number)
        return number

    begin = time.monotonic()
    results = executor.map(task, range(9), timeout=SOON, **kind)
    with pytest.raises(TimeoutError):
        list(results)
    assert time.monotonic() - begin >= SOON
    with pytest.raises(StopIteration):
        next(results)
    go.set()
    executor.submit(int).result()
    assert ran == [0, 1]


@EACH_KIND
def test_the_timeout_counts_from_the_call(executor: ThreadPoolExecutor, kind: Any) -> None:
    go = threading.Event()
    results = executor.map(lambda it: go.wait() if it else it, [0, 1], timeout=SOON, **kind)
    time.sleep(2 * SOON)
    # What is there is yielded all the same.
    assert next(results) == 0
    with pytest.raises(TimeoutError):
        next(results)
    go.set()


@EACH_KIND
@pytest.mark.parametrize("end", [lambda results: results.close(), None], ids=["close", "del"])
def test_an_iterator_that_is_left_cancels_what_has_not_started(
    executor: ThreadPoolExecutor, kind: Any, end: Callable[[Any], None] | None
) -> None:
    go, ran = threading.Event(), []

    def task(number: int) -> None:
        ran.append(number)
        if number:
            go.wait()

    results = executor.map(task, range(50), **kind)
    next(results)
    until(lambda: ran == [0, 1])
    if end is None:
        del results
        gc.collect()
    else:
        end(results)
        with pytest.raises(StopIteration):
            next(results)
    go.set()
    executor.submit(int).result()
    assert ran == [0, 1]


@IN_ORDER
def test_an_iterator_that_nobody_began_cancels_nothing(
    executor: ThreadPoolExecutor, kind: Any
) -> None:
    ran: list[int] = []
    executor.map(ran.append, range(2), **kind)
    executor.submit(int).result()
    assert ran == [0, 1]


@EACH_KIND
def test_no_result_is_held_once_it_is_yielded(executor: ThreadPoolExecutor, kind: Any) -> None:
    things = Things()
    count = 0
    for thing in executor.map(things.make, range(10), **kind):
        reference = weakref.ref(thing)
        del thing
        until_dead(reference)
        count += 1
    assert count == 10


@EACH_KIND
def test_no_argument_is_held_once_it_was_used(executor: ThreadPoolExecutor, kind: Any) -> None:
    things = Things()
    results = executor.map(id, (things.make() for _ in range(2)), **kind)
    list(results)
    for reference in things.made:
        until_dead(reference)


@EACH_KIND
def test_an_iterator_that_is_left_holds_no_result(executor: ThreadPoolExecutor, kind: Any) -> None:
    things = Things()
    results = executor.map(things.make, range(10), **kind)
    next(results)
    until(lambda: len(things.made) > 1)
    del results
    executor.submit(int).result()
    for reference in things.made:
        until_dead(reference)


def test_the_function_is_let_go_of(executor: ThreadPoolExecutor) -> None:
    class Function:
        def __call__(self, number: int) -> int:
            return -number

    function = Function()
    reference = weakref.ref(function)
    results = executor.map(function, [1, 2])
    del function
    assert list(results) == [-1, -2]
    until_dead(reference)


@EACH_KIND
def test_a_map_that_is_cancelled_by_shutdown(executor: ThreadPoolExecutor, kind: Any) -> None:
    go = threading.Event()
    results = executor.map(lambda _: go.wait(), range(3), **kind)
    until(lambda: executor.stats().running == 1)
    executor.shutdown(wait=False, cancel_futures=True)
    go.set()
    with pytest.raises((CancelledError, RuntimeError)):
        list(results)


@EACH_KIND
def test_a_map_in_a_task_of_another_pool(executor: ThreadPoolExecutor, kind: Any) -> None:
    with ThreadPoolExecutor(2) as other:
        sums = other.map(lambda n: sum(executor.map(abs, range(n), **kind)), range(20))
        assert list(sums) == [sum(range(n)) for n in range(20)]


def test_many_items_by_many_threads() -> None:
    with ThreadPoolExecutor(4) as executor:

        def check(_: int) -> bool:
            return list(executor.map(abs, range(2000))) == list(range(2000))

        with ThreadPoolExecutor(4) as others:
            assert all(others.map(check, range(40)))
