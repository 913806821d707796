"""`ThreadPoolExecutor`: its workers, its options, and the private names that programs use."""

import concurrent.futures
import gc
import os
import re
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from patience import occupy, until, until_dead

from manyhands import CancelledError, Executor, Future, ThreadPoolExecutor
from manyhands.thread import Stats

SOON = 0.05


def test_submit_passes_everything_on() -> None:
    def echo(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    with ThreadPoolExecutor(2) as executor:
        future = executor.submit(echo, 1, self=2, fn=3, args=4, timeout=5)
        assert future.result() == ((1,), {"self": 2, "fn": 3, "args": 4, "timeout": 5})
        assert type(future) is Future
        with pytest.raises(TypeError):
            executor.submit()  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            executor.submit(fn=echo)  # type: ignore[call-arg]
        assert isinstance(executor.submit(3).exception(), TypeError)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"max_workers": 0}, ValueError, "max_workers must be greater than 0"),
        ({"max_workers": -1}, ValueError, "max_workers must be greater than 0"),
        ({"max_workers": "3"}, TypeError, None),
        ({"initializer": 3}, TypeError, "initializer must be a callable"),
        ({"max_pending": 0}, ValueError, "max_pending"),
        ({"when_full": "never"}, ValueError, "never"),
        ({"context": "move"}, ValueError, "move"),
    ],
)
def test_arguments_that_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str | None
) -> None:
    with pytest.raises(error, match=message):
        ThreadPoolExecutor(**arguments)


@pytest.mark.parametrize("given, workers", [(3, 3), (True, 1), (1.5, 2)])
def test_max_workers(given: Any, workers: int, go: threading.Event) -> None:
    for name in ("max_workers", "max_threads"):
        go.clear()
        with ThreadPoolExecutor(**{name: given}) as executor:
            for _ in range(5):
                executor.submit(go.wait)
            assert len(executor._threads) == workers
            go.set()


def test_the_default_number_of_workers() -> None:
    cpus = len(os.sched_getaffinity(0))
    assert ThreadPoolExecutor()._max_workers == min(32, cpus + 4)


def test_max_workers_can_be_changed(go: threading.Event) -> None:
    with ThreadPoolExecutor(1) as executor:
        occupy(executor, go)
        executor._max_workers = 3
        occupy(executor, go, 2)
        executor.submit(go.wait)
        assert len(executor._threads) == executor._max_workers == 3
        go.set()


def test_workers_are_threads_like_any_other() -> None:
    local = threading.local()

    def look(value: int) -> tuple[threading.Thread, bool, Any]:
        before = getattr(local, "value", None)
        local.value = value
        return threading.current_thread(), threading.current_thread().daemon, before

    with ThreadPoolExecutor(1, "mine") as executor:
        thread, daemon, before = executor.submit(look, 1).result()
        assert (type(thread), thread.name, daemon, before) == (
            threading.Thread,
            "mine_0",
            False,
            None,
        )
        assert executor._threads == {thread}
        assert thread in threading.enumerate()
        assert thread.daemon is False
        assert executor.submit(look, 2).result() == (thread, False, 1)
    assert not thread.is_alive()
    assert executor._threads == {thread}


def test_the_names_of_threads(go: threading.Event) -> None:
    with ThreadPoolExecutor(3, thread_name_prefix="SPECIAL") as executor:
        occupy(executor, go, 3)
        names = {thread.name for thread in executor._threads}
        assert names == {"SPECIAL_0", "SPECIAL_1", "SPECIAL_2"}
        go.set()
    with ThreadPoolExecutor() as executor:
        executor.submit(int).result()
        (thread,) = executor._threads
        assert re.fullmatch(r"ThreadPoolExecutor-\d+_0", thread.name)


def test_an_idle_worker_is_used_again() -> None:
    for _ in range(50):
        with ThreadPoolExecutor(4) as executor:
            for _ in range(3):
                executor.submit(int).result()
            assert len(executor._threads) == 1


def test_a_worker_is_started_for_each_task_that_finds_none_idle(go: threading.Event) -> None:
    with ThreadPoolExecutor(4) as executor:
        for number in range(1, 7):
            executor.submit(go.wait)
            assert len(executor._threads) == min(number, 4)
        go.set()


def test_initializers_run_once_in_each_worker(go: threading.Event) -> None:
    started: list[Any] = []
    both = threading.Barrier(2)
    with ThreadPoolExecutor(
        2,
        initializer=lambda *args: started.append((threading.current_thread(), args)),
        initargs=(1, "two"),
    ) as executor:
        for _ in executor.map(lambda _: both.wait(), range(20)):
            pass
        assert sorted(args for _, args in started) == [(1, "two")] * 2
        assert {thread for thread, _ in started} == executor._threads


def test_shutdown() -> None:
    executor = ThreadPoolExecutor(1)
    futures = [executor.submit(time.sleep, 0.01) for _ in range(5)]
    assert executor.shutdown() is True
    assert all(future.done() for future in futures)
    assert executor.shutdown() is True
    with pytest.raises(RuntimeError, match="^cannot schedule new futures after shutdown$"):
        executor.submit(int)
    with pytest.raises(RuntimeError, match="^cannot schedule new futures after shutdown$"):
        executor.map(int, [1])


def test_shutdown_without_wait_does_what_is_pending(go: threading.Event) -> None:
    executor = ThreadPoolExecutor(1)
    (first,) = occupy(executor, go)
    second = executor.submit(int)
    assert executor.shutdown(wait=False) is False
    assert not second.done()
    go.set()
    assert (first.result(), second.result()) == (True, 0)


def test_shutdown_that_cancels(go: threading.Event) -> None:
    with ThreadPoolExecutor(1) as executor:
        (first,) = occupy(executor, go)
        others = [executor.submit(int) for _ in range(9)]
        executor.shutdown(wait=False, cancel_futures=True)
        # They are told that they are: nobody waits for them for ever.
        assert concurrent.futures.wait(others).not_done == set()
        assert all(future.cancelled() for future in others)
        go.set()
        assert first.result() is True


@pytest.mark.parametrize("timeout", [0, -1, SOON])
def test_shutdown_with_a_timeout(go: threading.Event, timeout: float) -> None:
    executor = ThreadPoolExecutor(1)
    (first,) = occupy(executor, go)
    begin = time.monotonic()
    assert executor.shutdown(timeout=timeout) is False
    assert time.monotonic() - begin >= timeout
    with pytest.raises(RuntimeError):
        executor.submit(int)
    go.set()
    assert executor.shutdown(timeout=600) is True
    assert first.done()
    assert not any(thread.is_alive() for thread in executor._threads)


def test_shutdown_from_a_task_of_its_own() -> None:
    executor = ThreadPoolExecutor(1)
    with pytest.raises(RuntimeError, match="own tasks"):
        executor.submit(executor.shutdown).result()
    executor = ThreadPoolExecutor(1)
    assert executor.submit(executor.shutdown, wait=False).result() is False
    assert executor.shutdown() is True


def test_stats(go: threading.Event) -> None:
    with ThreadPoolExecutor(2) as executor:
        assert executor.stats() == Stats(pending=0, running=0, completed=0, workers=0, idle=0)
        occupy(executor, go, 2)
        others = [executor.submit(int) for _ in range(3)]
        assert executor.stats() == (3, 2, 0, 2, 0)
        go.set()
        for other in others:
            other.result()
        until(lambda: executor.stats() == (0, 0, 5, 2, 2))
    until(lambda: executor.stats() == (0, 0, 5, 0, 0))


def test_a_subclass_that_overrides_submit() -> None:
    class Counting(ThreadPoolExecutor):
        submitted = 0

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            self.submitted += 1
            return super().submit(fn, *args, **kwargs)

    with Counting(2) as executor:
        assert list(executor.map(abs, [-1, -2, -3])) == [1, 2, 3]
        assert list(executor.map(abs, [-1, -2, -3], buffersize=1)) == [1, 2, 3]
        assert sorted(executor.map(abs, [-1, -2, -3], ordered=False)) == [1, 2, 3]
        assert executor.submitted == 9


def test_an_instance_whose_submit_is_replaced() -> None:
    with ThreadPoolExecutor(1) as executor:
        submit, calls = executor.submit, []

        def counting(fn: Any, /, *args: Any) -> Future[Any]:
            calls.append(args)
            return submit(fn, *args)

        executor.submit = counting  # type: ignore[method-assign, assignment]
        assert list(executor.map(abs, [-1, -2])) == [1, 2]
        assert calls == [(-1,), (-2,)]
        del executor.submit


def test_a_subclass_that_overrides_init() -> None:
    class Named(ThreadPoolExecutor):
        def __init__(self, name: str, workers: int) -> None:
            super().__init__(max_workers=workers, thread_name_prefix=name)
            self.name = name

    with Named("n", 2) as executor:
        assert executor.name == "n"
        assert executor.submit(lambda: threading.current_thread().name).result() == "n_0"


def test_an_executor_of_ones_own() -> None:
    class Inline(Executor):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            try:
                future.set_result(fn(*args, **kwargs))
            except OSError as error:
                future.set_exception(error)
            return future

    with Inline() as executor:
        assert list(executor.map(abs, [-1, -2])) == [1, 2]
        assert list(executor.map(abs, [-1, -2, -3], buffersize=2)) == [1, 2, 3]
        assert sorted(executor.map(abs, [-1, -2], ordered=False)) == [1, 2]
        assert list(executor.run_to_results([int, str])) == [0, ""]
        with pytest.raises(NotImplementedError):
            Executor().submit(int)


@pytest.mark.parametrize("end", ["result", "exception"])
def test_a_task_is_let_go_of_before_its_result_is_seen(end: str) -> None:
    class Thing:
        def __call__(self, *args: Any, **kwargs: Any) -> None:
            if end == "exception":
                raise OSError

    with ThreadPoolExecutor(1) as executor:
        for _ in range(200):
            function, argument, named = Thing(), Thing(), Thing()
            references = [weakref.ref(it) for it in (function, argument, named)]
            future = executor.submit(function, argument, named=named)
            del function, argument, named
            error = future.exception()
            if end == "result":
                assert [reference() for reference in references] == [None] * 3
            del error, future
            gc.collect()
            for reference in references:
                until_dead(reference)


def test_a_result_is_held_by_its_future_alone() -> None:
    class Thing:
        pass

    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(Thing)
        reference = weakref.ref(future.result())
        assert reference() is future.result()
        del future
        until_dead(reference)
        # Nor does a worker hold one that nobody waits for.
        made: list[weakref.ref[Thing]] = []

        def make() -> Thing:
            thing = Thing()
            made.append(weakref.ref(thing))
            return thing

        executor.submit(make)
        until(lambda: made)
        until_dead(made[0])


def test_a_cancelled_task_lets_go_of_its_arguments(go: threading.Event) -> None:
    class Thing:
        pass

    with ThreadPoolExecutor(1) as executor:
        occupy(executor, go)
        thing = Thing()
        future = executor.submit(id, thing)
        reference = weakref.ref(thing)
        del thing
        assert future.cancel()
        assert reference() is None
        go.set()
    with pytest.raises(CancelledError):
        future.result()
