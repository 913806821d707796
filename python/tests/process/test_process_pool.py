"""`ProcessPoolExecutor` as a whole: its options, its futures among others, pools within pools, state
that processes share.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tasks
from conftest import START_METHODS, MakePool
from family import is_alive, workers
from patience import in_thread, until
from subject import (
    HAS_MAX_TASKS,
    STDLIB,
    CancelledError,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    TimeoutError,
    as_completed,
    wait,
)

Files = Callable[[str], Path]
needs_max_tasks = pytest.mark.skipif(not HAS_MAX_TASKS, reason="since 3.11")


def test_submit_passes_everything_on(pool: MakePool) -> None:
    executor = pool(1)
    future = executor.submit(tasks.echo, 1, self=2, fn=3, args=4, timeout=5)
    assert future.result() == ((1,), {"self": 2, "fn": 3, "args": 4, "timeout": 5})
    assert isinstance(future, concurrent.futures.Future)
    assert isinstance(executor, concurrent.futures.Executor)
    if not STDLIB:
        assert type(future) is Future
    assert isinstance(executor.submit(3).exception(), TypeError)
    with pytest.raises(TypeError):
        executor.submit()


@pytest.mark.ours
def test_it_is_the_standard_librarys(pool: MakePool) -> None:
    """For whoever asks with `isinstance`, asyncio among them."""
    assert isinstance(pool(1), concurrent.futures.ProcessPoolExecutor)


@pytest.mark.ours
def test_the_signature() -> None:
    names = list(inspect.signature(ProcessPoolExecutor).parameters)
    assert names[:4] == ["max_workers", "mp_context", "initializer", "initargs"]
    parameters = inspect.signature(ProcessPoolExecutor).parameters
    for name in ("max_tasks_per_child", "on_crash", "retries", "timeout", "grace", "pickler"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
    assert list(inspect.signature(ProcessPoolExecutor.shutdown).parameters)[1:2] == ["wait"]


def test_tasks_run_in_other_processes(pool: MakePool) -> None:
    executor = pool(2)
    pids = set(executor.map(tasks.pid, range(50)))
    assert os.getpid() not in pids and 1 <= len(pids) <= 2


def test_as_many_run_at_once_as_there_are_workers(pool: MakePool, files: Files) -> None:
    executor = pool(3)
    futures = [executor.submit(tasks.hold, files(str(n)), files("go"), n) for n in range(3)]
    until(lambda: all(files(str(number)).exists() for number in range(3)))
    assert len({files(str(number)).read_text() for number in range(3)}) == 3
    assert all(future.running() for future in futures)
    files("go").touch()
    assert [future.result() for future in futures] == [0, 1, 2]


def test_workers_start_when_cpython_starts_them(pool: MakePool, start: str) -> None:
    """All at the first submit under fork, which must not come when there are threads; on demand
    otherwise.
    """
    executor = pool(3)
    assert not workers()
    executor.submit(int).result()
    assert len(workers()) == (3 if start == "fork" else 1)
    for _ in range(5):
        executor.submit(int).result()
        # An idle worker is seen as such a little after its result.
        until(lambda: len(workers()) <= 3)


def test_no_guard_is_needed_against_the_default_start_method() -> None:
    with ProcessPoolExecutor(1) as executor:
        assert executor.submit(tasks.double, 2).result() == 4
        started = type(workers()[0]).__name__
    default = multiprocessing.get_context().Process.__name__
    assert started == default or sys.version_info < (3, 14)


def test_a_context_of_ones_own(start: str) -> None:
    context = multiprocessing.get_context(start)
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        executor.submit(int).result()
        (worker,) = workers()
        assert isinstance(worker, context.Process)
    assert not is_alive(worker.pid)


@pytest.mark.parametrize("arguments", [{"max_workers": 0}, {"max_workers": -1}], ids=repr)
def test_arguments_that_are_refused(arguments: Any) -> None:
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        ProcessPoolExecutor(**arguments)


def test_the_initializer_runs_once_in_each_worker(pool: MakePool, files: Files) -> None:
    executor = pool(2, initializer=tasks.note_pid, initargs=(files("begun"),))
    pids = {str(pid) for pid in executor.map(tasks.slow_pid, [0.01] * 20)}
    begun = files("begun").read_text().split()
    assert len(begun) == len(set(begun)) <= 2
    assert pids <= set(begun)


@needs_max_tasks
@pytest.mark.parametrize("most", [1, 3])
def test_max_tasks_per_child(pool: MakePool, start: str, most: int) -> None:
    if start == "fork":
        with pytest.raises(ValueError, match="fork"):
            pool(1, max_tasks_per_child=most)
        return
    executor = pool(1, max_tasks_per_child=most)
    pids = [executor.submit(tasks.pid).result() for _ in range(3 * most)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [most] * 3
    executor.shutdown()
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.ours
def test_max_tasks_per_child_under_load(pool: MakePool, start: str) -> None:
    """Where the standard library waits for ever (cpython#115634)."""
    if start == "fork":
        pytest.skip("not with fork")
    executor = pool(2, max_tasks_per_child=2)
    pids = list(executor.map(tasks.pid, range(12)))
    assert all(pids.count(pid) <= 2 for pid in pids)
    assert len(set(pids)) >= 6


# Futures.


def test_callbacks(pool: MakePool) -> None:
    executor = pool(1)
    called: list[Any] = []
    ready = threading.Event()
    future = executor.submit(tasks.double, 4)
    future.add_done_callback(called.append)
    future.add_done_callback(lambda _: ready.set())
    ready.wait()
    assert called == [future] and future.result() == 8
    future.add_done_callback(called.append)
    assert called == [future, future]


def test_a_callback_that_raises(pool: MakePool, caplog: pytest.LogCaptureFixture) -> None:
    executor = pool(1)

    def callback(_: Any) -> None:
        raise OSError("the callback's")

    future = executor.submit(tasks.slow, 0.05, 1)
    future.add_done_callback(callback)
    assert future.result() == 1
    assert executor.submit(tasks.double, 1).result() == 2
    until(lambda: any(record.exc_info for record in caplog.records))


def test_a_callback_that_submits(pool: MakePool) -> None:
    executor = pool(1)
    chained: Future[int] = Future()

    def then(done: Any) -> None:
        executor.submit(tasks.double, done.result()).add_done_callback(
            lambda second: chained.set_result(second.result())
        )

    executor.submit(tasks.double, 2).add_done_callback(then)
    assert chained.result() == 8


def test_cancel(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    running = executor.submit(tasks.hold, files("started"), files("go"), "held")
    until(files("started").exists)
    pending = [executor.submit(tasks.noted, files("ran"), number) for number in range(20)]
    assert not running.cancel()
    cancelled = [future for future in pending if future.cancel()]
    # Some may be on their way to a worker already.
    assert len(cancelled) >= 15
    files("go").touch()
    assert running.result() == "held"
    executor.shutdown()
    ran = files("ran").read_text().split() if files("ran").exists() else []
    assert len(ran) == len(pending) - len(cancelled)
    for future in cancelled:
        with pytest.raises(CancelledError):
            future.result()


def test_result_with_a_timeout(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    future = executor.submit(tasks.hold, files("started"), files("go"), 5)
    for ask in (future.result, future.exception):
        with pytest.raises(TimeoutError):
            ask(0.01)
    files("go").touch()
    assert future.result(3000) == 5


def test_mixed_with_other_futures(pool: MakePool) -> None:
    """Those of threads, of the standard library, and bare ones, in one `wait`."""
    bare: Future[str] = Future()
    with ThreadPoolExecutor(1) as threads, concurrent.futures.ThreadPoolExecutor(1) as theirs:
        futures = {
            pool(1).submit(tasks.slow, 0.02, "process"),
            threads.submit(tasks.slow, 0.01, "thread"),
            theirs.submit(tasks.same, "theirs"),
            bare,
        }
        bare.set_result("bare")
        expected = {"process", "thread", "theirs", "bare"}
        assert {future.result() for future in as_completed(futures)} == expected
        assert {future.result() for future in wait(futures).done} == expected
        assert {it.result() for it in concurrent.futures.as_completed(futures)} == expected
        assert concurrent.futures.wait(futures).not_done == set()


def test_in_asyncio(pool: MakePool) -> None:
    executor = pool(2)

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        wrapped = asyncio.wrap_future(executor.submit(tasks.double, 1))
        ran = loop.run_in_executor(executor, tasks.double, 2)
        failed = loop.run_in_executor(executor, tasks.odd_only, 2)
        return await asyncio.gather(wrapped, ran, failed, return_exceptions=True)

    first, second, error = asyncio.run(main())
    assert (first, second) == (2, 4) and isinstance(error, ValueError)


@pytest.mark.ours
def test_await(pool: MakePool) -> None:
    executor = pool(1)

    async def main() -> Any:
        return await executor.submit(tasks.double, 4)

    assert asyncio.run(main()) == 8


@pytest.mark.ours
def test_stats(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    executor.submit(tasks.hold, files("started"), files("go"))
    until(files("started").exists)
    pending = [executor.submit(tasks.double, number) for number in range(5)]
    stats = executor.stats()
    assert (stats.running, stats.pending, stats.completed) == (1, 5, 0)
    assert stats.workers == 1
    files("go").touch()
    wait(pending)
    until(lambda: executor.stats().completed == 6)
    until(lambda: (executor.stats().running, executor.stats().pending) == (0, 0))


@pytest.mark.ours
def test_a_view_with_options(pool: MakePool) -> None:
    executor = pool(1)
    view = executor.options(retries=1)
    assert view.submit(tasks.double, 2).result() == 4
    assert list(view.map(tasks.double, range(3))) == [0, 2, 4]
    with pytest.raises((TypeError, ValueError)):
        executor.options(nonsense=1)


# Pools in pools, and what else tasks may do.


@pytest.mark.parametrize("inner", START_METHODS)
def test_a_pool_in_a_task(pool: MakePool, start: str, inner: str) -> None:
    if (start, inner) == ("fork", "forkserver"):
        pytest.skip("multiprocessing takes the forkserver of its parent for its own child")
    executor = pool(2)
    futures = [executor.submit(tasks.nested, inner, range(n, n + 3)) for n in range(2)]
    assert [future.result() for future in futures] == [[0, 2, 4], [2, 4, 6]]


def test_threads_in_a_task(pool: MakePool) -> None:
    assert pool(1).submit(tasks.nested_threads, range(3)).result() == [0, 2, 4]


def test_a_process_in_a_task(pool: MakePool) -> None:
    assert pool(1).submit(tasks.start_child).result() == "from the child"


def test_a_pool_in_a_thread_of_a_pool(pool: MakePool) -> None:
    executor = pool(2)
    with ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(executor.submit, tasks.double, n) for n in range(10)]
        assert [future.result().result() for future in futures] == list(range(0, 20, 2))


@pytest.mark.ours
def test_a_pool_that_was_forked_says_so(pool: MakePool) -> None:
    """Used in a child of the process that made it, it must not hang."""
    executor = pool(1)
    executor.submit(int).result()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            executor.submit(int)
            os.write(writer, b"nothing")
        except RuntimeError:
            os.write(writer, b"RuntimeError")
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as told:
        assert told.read() == b"RuntimeError"
    os.waitpid(child, 0)
    assert executor.submit(tasks.double, 1).result() == 2


def test_many_threads_submit(pool: MakePool) -> None:
    executor = pool(2)
    results: list[int] = []

    def use() -> None:
        futures = [executor.submit(tasks.double, number) for number in range(100)]
        results.append(sum(future.result() for future in futures))

    for thread in [in_thread(use) for _ in range(6)]:
        thread.join()
    assert results == [9900] * 6


# Sharing state, as the book does.


def test_a_lock_and_a_value_in_the_initargs(pool: MakePool, start: str) -> None:
    context = multiprocessing.get_context(start)
    counter, lock = context.Value("i", 0), context.Lock()
    executor = pool(2, initializer=tasks.take, initargs=((counter, lock),))
    futures = [executor.submit(tasks.count_up, 200) for _ in range(4)]
    for future in futures:
        future.result()
    assert counter.value == 800


def test_a_managers_dict_in_the_initargs(pool: MakePool, start: str) -> None:
    with multiprocessing.get_context(start).Manager() as manager:
        counts, lock = manager.dict(), manager.Lock()
        executor = pool(2, initializer=tasks.take, initargs=((counts, lock),))
        list(executor.map(tasks.count_by_name, ["a", "b", "a"] * 10))
        assert dict(counts) == {"a": 20, "b": 10}
        executor.shutdown()


def test_a_managers_dict_as_an_argument(pool: MakePool, start: str) -> None:
    with multiprocessing.get_context(start).Manager() as manager:
        counts = manager.dict()
        assert pool(1).submit(tasks.put, counts, "key", 5).result() is None
        assert dict(counts) == {"key": 5}


def test_a_lock_as_an_argument_is_refused(pool: MakePool, start: str) -> None:
    """multiprocessing shares them by inheritance alone, whatever the start method."""
    lock = multiprocessing.get_context(start).Lock()
    executor = pool(1)
    with pytest.raises(RuntimeError, match="through inheritance"):
        executor.submit(tasks.same, lock).result()
    assert executor.submit(tasks.double, 1).result() == 2


@pytest.mark.ours
def test_the_name_of_2009(start: str) -> None:
    context = multiprocessing.get_context(start)
    with ProcessPoolExecutor(max_processes=2, mp_context=context) as executor:
        futures = executor.run_to_futures([functools.partial(tasks.double, n) for n in range(3)])
        assert [future.result() for future in futures] == [0, 2, 4]
    with pytest.raises(TypeError, match="max_processes is max_workers"):
        ProcessPoolExecutor(2, context, max_processes=2)
