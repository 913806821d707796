"""Tasks that wait for tasks: of their own pool, of each other's, in every way there is to wait."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import Future as StdlibFuture
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

import manyhands
from manyhands import DeadlockError, Future, ThreadPoolExecutor

if TYPE_CHECKING:
    from collections.abc import Callable


def waiting(
    pool: ThreadPoolExecutor, wait: Callable[[Future[Any]], Any]
) -> tuple[Future[Any], SimpleQueue[Future[Any]]]:
    """A task that gets a future after it has begun."""
    queue: SimpleQueue[Future[Any]] = SimpleQueue()
    return pool.submit(lambda: wait(queue.get())), queue


def test_the_only_worker_runs_what_its_task_waits_for() -> None:
    with ThreadPoolExecutor(1) as pool:

        def outer() -> tuple[int, int]:
            return threading.get_ident(), pool.submit(threading.get_ident).result()

        outside, inside = pool.submit(outer).result()
        assert outside == inside
        assert pool.stats().workers == 1


def test_no_other_pending_task_is_run_in_place() -> None:
    with ThreadPoolExecutor(1) as pool:
        ran: list[int] = []

        def outer() -> list[int]:
            for n in range(3):
                others.append(pool.submit(ran.append, n))
            pool.submit(ran.append, 3).result()
            return ran.copy()

        others: list[Future[None]] = []
        assert pool.submit(outer).result() == [3]
        manyhands.wait(others)
        assert ran == [3, 0, 1, 2]


WAYS: dict[str, Callable[[ThreadPoolExecutor, list[Future[int]]], int]] = {
    "result": lambda _, futures: sum(future.result() for future in futures),
    "result with a timeout": lambda _, futures: sum(future.result(50) for future in futures),
    "exception": lambda _, futures: sum(6 for future in futures[:1] if not future.exception()),
    "wait": lambda _, futures: sum(future.result() for future in manyhands.wait(futures).done),
    "wait with a timeout": lambda _, futures: sum(
        future.result() for future in manyhands.wait(futures, 50).done
    ),
    "wait for the first": lambda _, futures: (
        6 * bool(manyhands.wait(futures, return_when=manyhands.FIRST_COMPLETED).done)
    ),
    "wait for a failure": lambda _, futures: sum(
        future.result()
        for future in manyhands.wait(futures, return_when=manyhands.FIRST_EXCEPTION).done
    ),
    "as_completed": lambda _, futures: sum(
        future.result() for future in manyhands.as_completed(futures)
    ),
    "as_completed with a timeout": lambda _, futures: sum(
        future.result() for future in manyhands.as_completed(futures, 50)
    ),
    "map of a list": lambda pool, _: sum(pool.map(int, [1, 2, 3])),
    "map of a range": lambda pool, _: sum(pool.map(int, range(4))),
    "map with a timeout": lambda pool, _: sum(pool.map(int, range(4), timeout=50)),
    "map with a buffer": lambda pool, _: sum(pool.map(int, range(4), buffersize=1)),
    "map out of order": lambda pool, _: sum(pool.map(int, range(4), ordered=False)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("workers", [1, 2])
def test_every_way_to_wait_ends(way: str, workers: int) -> None:
    with ThreadPoolExecutor(workers) as pool:

        def outer() -> int:
            return WAYS[way](pool, [pool.submit(int, n) for n in (1, 2, 3)])

        assert pool.submit(outer).result() == 6
        assert list(pool.map(lambda _: outer(), range(3))) == [6, 6, 6]


def test_one_that_is_cancelled_meanwhile_ends_the_wait() -> None:
    with ThreadPoolExecutor(1) as pool:
        bare: Future[int] = Future()
        task, queue = waiting(pool, Future.result)
        queue.put(bare)
        bare.cancel()
        assert isinstance(task.exception(), manyhands.CancelledError)


def test_a_future_of_the_standard_librarys_kind_may_be_waited_for() -> None:
    with ThreadPoolExecutor(1) as pool:
        other: StdlibFuture[int] = StdlibFuture()
        task = pool.submit(lambda: manyhands.wait([other, pool.submit(int, 1)]).not_done)
        pool.submit(other.set_result, 2)  # in the stead of the one that waits
        assert task.result() == set()


def test_a_failure_in_place_is_the_tasks_own() -> None:
    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(lambda: pool.submit(divmod, 1, 0).result())
        assert isinstance(task.exception(), ZeroDivisionError)


def test_a_callback_may_wait() -> None:
    with ThreadPoolExecutor(1) as pool:
        gate: Future[None] = Future()
        seen: Future[int] = Future()
        task = pool.submit(gate.result)
        task.add_done_callback(lambda _: seen.set_result(pool.submit(int, 7).result()))
        gate.set_result(None)
        assert seen.result() == 7


def test_a_task_that_waits_for_itself_is_told() -> None:
    with ThreadPoolExecutor(1) as pool:

        def ask(own: Future[Any]) -> Any:
            return own.result()

        task, queue = waiting(pool, ask)
        queue.put(task)
        error = task.exception()
        assert isinstance(error, DeadlockError)
        assert isinstance(error, RuntimeError)
        assert "waits for itself" in str(error)
        (name, place), *others = error.cycle
        assert name == "<lambda>"
        assert place is not None
        assert __file__ in place
        assert not others


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("workers", [1, 2])
def test_two_tasks_that_wait_for_each_other_are_both_told(same: bool, workers: int) -> None:
    with ThreadPoolExecutor(workers) as one, ThreadPoolExecutor(workers) as other:

        def first_task(queue: SimpleQueue[Future[Any]]) -> Any:
            return queue.get().result()

        def second_task(queue: SimpleQueue[Future[Any]]) -> Any:
            return queue.get().result()

        first_queue, second_queue = SimpleQueue[Any](), SimpleQueue[Any]()
        first = one.submit(first_task, first_queue)
        second = (one if same else other).submit(second_task, second_queue)
        first_queue.put(second)
        second_queue.put(first)
        for task in (first, second):
            error = task.exception()
            assert isinstance(error, DeadlockError)
            assert {name for name, _ in error.cycle} == {"first_task", "second_task"}
            assert "waits for `" in str(error)


@pytest.mark.parametrize(
    "way",
    [
        Future.exception,
        lambda own: manyhands.wait([own]),
        lambda own: manyhands.wait([own], return_when=manyhands.FIRST_COMPLETED),
        lambda own: list(manyhands.as_completed([own])),
    ],
)
def test_each_way_to_wait_in_a_cycle_ends(way: Callable[[Future[Any]], Any]) -> None:
    with ThreadPoolExecutor(1) as pool:
        task, queue = waiting(pool, way)
        queue.put(task)
        assert isinstance(task.exception(), DeadlockError)


def test_an_item_of_map_that_waits_for_the_task_that_maps_is_told() -> None:
    with ThreadPoolExecutor(1) as pool:

        def mapping(own: Future[Any]) -> Any:
            return list(pool.map(lambda _: own.result(), [0, 1]))

        task, queue = waiting(pool, mapping)
        queue.put(task)
        assert isinstance(task.exception(), DeadlockError)
    with ThreadPoolExecutor(2) as pool:
        started, queues = threading.Barrier(2), SimpleQueue[Any]()

        def item(_: int) -> Any:
            started.wait()
            return queues.get().result()

        def patient() -> Any:
            results = pool.map(item, [0])
            started.wait()
            return list(results)

        task = pool.submit(patient)
        queues.put(task)
        assert isinstance(task.exception(), DeadlockError)


def test_any_of_several_is_no_deadlock_while_one_of_them_may_end() -> None:
    with ThreadPoolExecutor(2) as pool:
        free: Future[str] = Future()
        task, queue = waiting(
            pool,
            lambda own: manyhands.wait([own, free], return_when=manyhands.FIRST_COMPLETED).done,
        )
        queue.put(task)
        time.sleep(0.1)  # longer than it takes to look for a deadlock
        assert not task.done()
        free.set_result("ended")
        assert task.result() == {free}


def test_a_wait_with_a_timeout_is_no_deadlock() -> None:
    with ThreadPoolExecutor(2) as pool:

        def hasty(other: Future[Any]) -> str:
            with pytest.raises(manyhands.TimeoutError):
                other.result(0.2)
            return "hasty"

        first, first_queue = waiting(pool, Future.result)
        second, second_queue = waiting(pool, hasty)
        first_queue.put(second)
        second_queue.put(first)
        assert first.result() == "hasty"


def test_divide_and_conquer_takes_few_threads() -> None:
    with ThreadPoolExecutor(2) as pool:

        def fib(n: int) -> int:
            if n < 2:
                return n
            left = pool.submit(fib, n - 1)
            return fib(n - 2) + left.result()

        assert fib(15) == 610
        assert pool.submit(fib, 15).result() == 610
        assert pool.stats().workers <= 20


def test_tasks_that_wait_for_something_else_keep_the_others_back_for_a_while() -> None:
    with ThreadPoolExecutor(2) as pool:
        gate: Future[None] = Future()
        started = [pool.submit(gate.result) for _ in range(300)]
        time.sleep(0.5)
        running = sum(future.running() for future in started)
        assert 2 <= running < 10, "one more after 0.1 s, and after 0.2, 0.4, ... from then"
        gate.set_result(None)
        assert not manyhands.wait(started).not_done


def test_tasks_of_two_pools_that_need_each_others_pending_tasks_end() -> None:
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:

        def there_and_back(n: int) -> int:
            if n == 0:
                return 0
            pool = one if n % 2 else other
            return pool.submit(there_and_back, n - 1).result() + 1

        assert there_and_back(6) == 6


def test_a_walk_that_submits_a_task_for_each_folder(tmp_path: Any) -> None:
    for n in range(20):
        folder = tmp_path / f"{n % 3}" / f"{n % 4}" / f"{n}"
        folder.mkdir(parents=True)
        (folder / "file").write_text("x" * n)
    with ThreadPoolExecutor(1) as pool:

        def size(folder: str) -> int:
            with os.scandir(folder) as entries:
                found = list(entries)
            inner = [pool.submit(size, entry.path) for entry in found if entry.is_dir()]
            own = sum(entry.stat().st_size for entry in found if entry.is_file())
            return own + sum(future.result() for future in inner)

        assert pool.submit(size, str(tmp_path)).result() == sum(range(20))


def test_a_chain_of_waits_deeper_than_the_interpreters_stack_ends_or_is_an_error() -> None:
    with ThreadPoolExecutor(1) as pool:
        gate: Future[int] = Future()
        last = pool.submit(gate.result)
        for _ in range(2_000):
            last = pool.submit(lambda before: before.result() + 1, last)
        end = pool.submit(last.result)
        gate.set_result(0)
        assert end.result() == 2_000


def test_those_who_worked_in_the_stead_of_others_leave() -> None:
    with ThreadPoolExecutor(1) as pool:
        gate: Future[int] = Future()
        waiters = [pool.submit(gate.result) for _ in range(10)]
        inner = [pool.submit(waiters[n].result) for n in range(10)]
        while pool.stats().workers < 4:
            time.sleep(0.01)
        gate.set_result(0)
        manyhands.wait(waiters + inner)
        while pool.stats().workers > 1:
            pool.submit(int).result()
            time.sleep(0.01)
        pool.submit(pool.submit(int).result).result()


def test_a_pool_that_is_shut_down_still_ends_nested_waits() -> None:
    pool = ThreadPoolExecutor(1)
    gate: Future[int] = Future()
    waiter = pool.submit(gate.result)
    setter = pool.submit(gate.set_result, 5)
    pool.shutdown()
    assert (waiter.result(), setter.result()) == (5, None)


def test_a_forked_child_of_a_task_may_wait() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork on this system")

    def forking() -> int:
        pid = os.fork()
        if pid == 0:
            with ThreadPoolExecutor(1) as inner:
                os._exit(inner.submit(lambda: inner.submit(int, 7).result()).result())
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(forking).result() == 7


def test_a_task_may_wait_for_what_is_made_from_tasks_of_its_own_pool() -> None:
    with ThreadPoolExecutor(1) as pool:

        def outer() -> list[int]:
            then = pool.submit(int, 1).then(lambda one: pool.submit(int, one + 1))
            after = pool.submit_after(pow, pool.submit(int, 2), 2)
            all_of = manyhands.gather(pool.submit(int, 5), pool.submit(int, 6))
            first = manyhands.race(pool.submit(int, 7))
            with manyhands.task_scope(pool) as scope:
                inner = scope.submit(int, 8)
            return [then.result(), after.result(), *all_of.result(), first.result(), inner.result()]

        assert pool.submit(outer).result() == [2, 4, 5, 6, 7, 8]


def test_a_task_knows_its_executor() -> None:
    with ThreadPoolExecutor(1) as outer, ThreadPoolExecutor(1) as pool:

        def fib(n: int) -> int:
            assert manyhands.current_executor() is pool
            if n < 2:
                return n
            one = manyhands.current_executor().submit(fib, n - 1)
            return fib(n - 2) + one.result()

        assert pool.submit(fib, 10).result() == 55
        asked = outer.submit(lambda: pool.submit(manyhands.current_executor).result())
        assert asked.result() is pool
    with pytest.raises(RuntimeError, match="for tasks"):
        manyhands.current_executor()
