"""What is left when pools and futures are gone: no thread, no file, no memory, no cycle."""

import gc
import textwrap
import threading
import weakref
from typing import Any

import pytest
from patience import until, until_collected, until_dead
from programs import succeed

from manyhands import Future, ThreadPoolExecutor, as_completed, wait

MEASURE = """
import gc, os, sys, threading, time
from concurrent.futures.thread import _threads_queues
from manyhands import (ThreadPoolExecutor, Future, Retry, wait, as_completed, delay, gather, race,
                       task_scope)
from manyhands import _timer

_timer._IDLE_SECONDS = 0.01

class Thing:
    pass

thing = Thing()

def one(number):
    def task(*_):
        return thing

    executor = ThreadPoolExecutor(2, initializer=len, initargs=((),))
    futures = [executor.submit(task, thing) for _ in range(4)]
    futures[0].add_done_callback(lambda _: thing)
    futures[1]._condition
    futures[2].cancel()
    executor.submit(divmod, 1, 0).exception()
    next(executor.map(task, range(4)))
    next(executor.map(task, range(4), ordered=False))
    next(executor.map(task, range(4), buffersize=2))
    wait(futures, timeout=0)
    next(as_completed(futures))
    made = [executor.submit_after(task, *futures[:2]), futures[0].then(task).with_timeout(3600)]
    made += [futures[0].then(lambda _: 1 / 0).catch(task), gather(*futures), race(*futures)]
    made += [Retry(2, first_delay=0.0001).submit(executor, divmod, 1, 0), delay(3600, thing)]
    executor.submit_after(task, *made[:3]).exception()
    made[-1].cancel()
    wait(made)
    try:
        with task_scope(executor) as scope:
            scope.submit(task, scope)
            scope.submit(divmod, 1, 0)
    except ZeroDivisionError:
        pass
    if number % 2:
        executor.shutdown(cancel_futures=number % 4 == 1)
    else:
        wait(futures)

def state():
    for _ in range(3):
        gc.collect()
    threads, files = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
    return (threads, files, threading.active_count(), len(_threads_queues),
            sys.getrefcount(thing), len(gc.get_objects()))

def settled(wanted):
    '''The state, when all threads have had the time to end.'''
    until = time.monotonic() + 60
    while state() != wanted and time.monotonic() < until:
        time.sleep(0.01)
    return state()

for number in range(50):
    one(number)
time.sleep(1)
before = settled(state())
for number in range(1000):
    one(number)
after = settled(before)
print(before)
print(after)
"""


def test_a_thousand_pools_leave_nothing() -> None:
    before, after = (eval(line) for line in succeed("-c", MEASURE).lines)
    assert after[:5] == before[:5]
    # One object for ten pools would be a leak; what the interpreter itself keeps is less.
    assert after[5] - before[5] < 100


def test_memory_does_not_grow() -> None:
    program = """
        import resource
        from manyhands import ThreadPoolExecutor, Future, wait, as_completed

        def rounds(count):
            with ThreadPoolExecutor(2) as executor:
                for _ in range(count):
                    futures = [executor.submit(bytes, 1000) for _ in range(1000)]
                    futures[0]._condition
                    wait(futures)
                    list(as_completed(futures))
                    for _ in executor.map(bytes, [1000] * 1000): pass
                    next(executor.map(bytes, [1000] * 1000))
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        print(rounds(30), rounds(100))
    """
    before, after = map(int, succeed("-c", textwrap.dedent(program)).stdout.split())
    # A leak of one future in ten alone would be 20 MiB.
    assert after - before < 20 * 1024


class Thing:
    def __init__(self) -> None:
        self.other: Any = None


@pytest.mark.parametrize("fat", [False, True])
@pytest.mark.parametrize("cycle", ["callback", "result", "exception", "attribute", "traceback"])
def test_cycles_are_collected(cycle: str, fat: bool) -> None:
    def make() -> weakref.ref[Any]:
        thing = Thing()
        future: Future[Any] = Future()
        if fat:
            with future._condition:
                pass
        thing.other = future
        if cycle == "callback":
            future.add_done_callback(lambda _: thing)
        elif cycle == "result":
            future.set_result(thing)
        elif cycle == "exception":
            error = OSError()
            error.thing = thing  # type: ignore[attr-defined]
            future.set_exception(error)
        elif cycle == "attribute":
            future.thing = thing  # type: ignore[attr-defined]
        else:
            try:
                raise OSError
            except OSError as caught:
                future.set_exception(caught)
        return weakref.ref(thing)

    gc.collect()
    until_collected(make())


@pytest.mark.parametrize("end", ["result", "exception", "cancel"])
def test_cycles_of_tasks_that_have_ended_are_collected(end: str) -> None:
    def make(executor: ThreadPoolExecutor) -> weakref.ref[Any]:
        thing = Thing()

        def task() -> Any:
            if end == "exception":
                raise OSError(thing)
            return thing

        if end == "cancel":
            go = threading.Event()
            until(executor.submit(go.wait).running)
            thing.other = executor.submit(task)
            thing.other.cancel()
            go.set()
        else:
            thing.other = executor.submit(task)
        wait([thing.other])
        return weakref.ref(thing)

    with ThreadPoolExecutor(1) as executor:
        until_collected(make(executor))


@pytest.mark.parametrize("kind", [{}, {"buffersize": 1}, {"ordered": False}], ids=repr)
def test_cycles_through_iterators_are_collected(kind: Any) -> None:
    def make(executor: ThreadPoolExecutor) -> weakref.ref[Any]:
        thing = Thing()
        thing.other = executor.map(lambda _: thing, range(3), **kind)
        next(thing.other)
        return weakref.ref(thing)

    def make_as_completed() -> weakref.ref[Any]:
        thing = Thing()
        future: Future[Any] = Future()
        future.set_result(thing)
        thing.other = as_completed([future])
        return weakref.ref(thing)

    with ThreadPoolExecutor(1) as executor:
        until_collected(make(executor))
        until_collected(make_as_completed())


def test_an_executor_in_a_cycle_is_collected() -> None:
    def make() -> tuple[weakref.ref[Any], list[threading.Thread]]:
        executor = ThreadPoolExecutor(2)
        executor.myself = executor  # type: ignore[attr-defined]
        executor.submit(int).result()
        return weakref.ref(executor), list(executor._threads)

    reference, threads = make()
    until_collected(reference)
    for thread in threads:
        thread.join()


def test_what_is_pending_is_not_collected() -> None:
    """A future that nobody holds but the callback of another task, which is to come."""
    found: list[int] = []
    go = threading.Event()
    with ThreadPoolExecutor(1) as executor:

        def make() -> None:
            future = executor.submit(go.wait)
            inner: Future[int] = Future()
            inner.add_done_callback(lambda ended: found.append(ended.result()))
            future.add_done_callback(lambda _: inner.set_result(5))
            future.thing = future  # type: ignore[attr-defined]

        make()
        for _ in range(3):
            gc.collect()
        go.set()
    assert found == [5]


def test_nobody_holds_a_future_that_was_waited_for() -> None:
    with ThreadPoolExecutor(1) as executor:
        for await_it in (
            lambda it: it.result(),
            lambda it: wait([it]),
            lambda it: list(as_completed([it])),
            lambda it: it.add_done_callback(id),
            lambda it: it._condition,
        ):
            future = executor.submit(int)
            await_it(future)
            reference = weakref.ref(future)
            del future
            until_dead(reference)
