"""What type checkers must accept, with the types that they must find. Checked, never run."""

import asyncio
import concurrent.futures
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future as AnyFuture
from typing import Any, TypeVar

from typing_extensions import assert_type

import manyhands
from manyhands import (
    FIRST_COMPLETED,
    RETURN_IMMEDIATELY,
    CancelledError,
    DependencyError,
    Executor,
    Future,
    FutureList,
    Graph,
    GraphError,
    InlineExecutor,
    Node,
    ProcessPoolExecutor,
    Retry,
    Stats,
    TaskScope,
    ThreadPoolExecutor,
    TimeoutError,
    as_completed,
    current_executor,
    delay,
    gather,
    install,
    race,
    task_scope,
    wait,
)
from manyhands.process import BrokenProcessPool
from manyhands.thread import BrokenThreadPool

T = TypeVar("T")


def repeat(word: str, *, times: int = 1) -> str:
    return word * times


def length(word: str) -> int:
    return len(word)


def answer() -> int:
    return 42


def submitting(executor: ThreadPoolExecutor) -> None:
    future = executor.submit(repeat, "a", times=2)
    assert_type(future, Future[str])
    assert_type(future.result(), str)
    assert_type(future.result(timeout=1), str)
    assert_type(future.exception(), BaseException | None)
    assert_type(executor.submit(lambda: 1).result(), int)
    assert_type(future.cancel(), bool)
    assert_type(repr(future), str)


def submitting_inline(executor: InlineExecutor) -> None:
    assert_type(executor.submit(repeat, "a", times=2), Future[str])
    executor.shutdown(wait=False, cancel_futures=True)


def nesting() -> None:
    assert_type(current_executor(), Executor)
    assert_type(current_executor().submit(length, "a").result(), int)


def making() -> list[ThreadPoolExecutor]:
    return [
        ThreadPoolExecutor(),
        ThreadPoolExecutor(4, "io", print, ("a worker starts",)),
        ThreadPoolExecutor(max_workers=4, initializer=answer),
        ThreadPoolExecutor(max_pending=100, when_full="raise", context="copy"),
        ThreadPoolExecutor(max_threads=4),
    ]


def mapping(executor: Executor, pool: ThreadPoolExecutor) -> None:
    assert_type(executor.map(length, ["a", "b"], timeout=1, chunksize=10), Iterator[int])
    assert_type(pool.map(length, ["a"], buffersize=10, ordered=False), Iterator[int])
    assert_type(list(pool.map(repeat, ["a"], ["b"])), list[str])


def waiting(executor: ThreadPoolExecutor) -> None:
    futures = [executor.submit(length, word) for word in ("a", "b")]
    done, not_done = wait(futures, timeout=1, return_when=FIRST_COMPLETED)
    assert_type(done, set[Future[int]])
    assert_type(not_done, set[Future[int]])
    assert_type(wait(set(futures)).done, set[Future[int]])
    for future in as_completed(futures, timeout=1):
        assert_type(future, Future[int])
    words = {executor.submit(length, word): word for word in ("a", "b")}
    assert_type([words[future] for future in as_completed(words)], list[str])


def mixing(
    ours: Future[int], theirs: AnyFuture[int], various: list[Future[int] | Future[str]]
) -> None:
    for either in as_completed([ours, theirs]):
        assert_type(either.result(), int)
    for one in as_completed(various):
        assert_type(one.result(), int | str)
    assert_type(wait([theirs]).done, set[AnyFuture[int]])
    concurrent.futures.wait([ours, theirs])
    for future in concurrent.futures.as_completed([ours]):
        assert_type(future.result(), int)


def calling_back(future: Future[int]) -> None:
    def on_ours(done: Future[int]) -> None:
        print(done.result())

    def on_any(done: AnyFuture[Any]) -> str:
        return str(done)

    future.add_done_callback(on_ours)
    future.add_done_callback(on_any)
    future.add_done_callback(print)


def composing(ours: Future[str], theirs: AnyFuture[int], executor: ThreadPoolExecutor) -> None:
    def length_of(word: str) -> Future[int]:
        return executor.submit(length, word)

    def instead(error: Exception) -> Future[int]:
        return executor.submit(length, str(error))

    assert_type(ours.then(length), Future[int])
    assert_type(ours.then(lambda word: word.upper()), Future[str])
    assert_type(ours.then(length_of), Future[int])
    assert_type(ours.catch(lambda error: len(error.args)), Future[str | int])
    assert_type(ours.catch(lambda error: error.errno, OSError), Future[str | int | None])
    assert_type(ours.catch(instead), Future[str | int])
    assert_type(ours.catch(lambda _: None, (OSError, ValueError)), Future[str | None])
    assert_type(ours.with_timeout(5), Future[str])
    assert_type(gather(ours, ours), Future[list[str]])
    assert_type(gather(theirs, return_exceptions=True), Future[list[int | BaseException]])
    assert_type(gather(ours, theirs), Future[list[Any]])
    assert_type(race(ours, ours), Future[str])
    assert_type(delay(1), Future[None])
    assert_type(delay(1.5, "now"), Future[str])


def submitting_later(executor: ThreadPoolExecutor, some: Executor, word: Future[str]) -> None:
    assert_type(executor.submit_after(length, word), Future[int])
    assert_type(some.submit_after(repeat, word, times=executor.submit(answer)), Future[str])
    retry = Retry(5, first_delay=0.1, factor=2, max_delay=10, exceptions=(OSError, TimeoutError))
    assert_type(retry.submit(executor, repeat, "a", times=2), Future[str])
    assert_type(retry.delay_after(1), float | None)
    print(issubclass(DependencyError, RuntimeError))


def scoping(executor: concurrent.futures.Executor) -> None:
    with task_scope(executor) as scope:
        assert_type(scope, TaskScope)
        word = scope.submit(repeat, "a")
        assert_type(word, AnyFuture[str])
        assert_type(scope.submit_after(length, word), Future[int])
        assert_type(scope.stop_requested(), bool)
        scope.cancel()


async def scoping_in_asyncio(executor: ThreadPoolExecutor) -> int:
    async with task_scope(executor) as scope:
        number = scope.submit(answer)
    return number.result()


def taking_the_place_of_the_standard_library(executor: ThreadPoolExecutor) -> None:
    pool: concurrent.futures.ThreadPoolExecutor = executor
    some: concurrent.futures.Executor = executor
    future: AnyFuture[int] = executor.submit(answer)
    base: type[concurrent.futures.Executor] = Executor
    print(pool, some, future, base)
    with executor as entered, ProcessPoolExecutor() as processes:
        assert_type(entered, ThreadPoolExecutor)
        assert_type(processes.submit(answer).result(), int)


async def awaiting(executor: ThreadPoolExecutor) -> None:
    assert_type(await executor.submit(repeat, "a"), str)
    assert_type(await asyncio.wrap_future(executor.submit(answer)), int)
    assert_type(await asyncio.gather(executor.submit(answer)), tuple[int])
    loop = asyncio.get_running_loop()
    loop.set_default_executor(executor)
    assert_type(await loop.run_in_executor(executor, answer), int)


def implementing() -> None:
    class Inline(Executor):
        def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
            future = Future[T]()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except ValueError as error:
                    future.set_exception(error)
            return future

    class Named(Future[T]):
        name = ""

    with Inline() as executor:
        assert_type(executor.submit(answer).result(), int)
        assert_type(next(executor.map(length, ["a"])), int)
    named: Future[int] = Named()
    named.set_result(1)


def ending(executor: ThreadPoolExecutor) -> None:
    assert_type(executor.stats(), Stats)
    assert_type(executor.stats().pending, int)
    pending, running, completed, workers, idle = executor.stats()
    print(pending + running + completed + workers + idle)
    assert_type(executor.shutdown(timeout=1), bool)
    executor.shutdown(wait=False, cancel_futures=True)


def as_in_2009(executor: Executor) -> None:
    calls = [answer, answer]
    futures = executor.run_to_futures(calls, timeout=1, return_when=RETURN_IMMEDIATELY)
    assert_type(futures, FutureList[int])
    assert_type(futures[0].result(), int)
    assert_type([future.result() for future in futures.successful_futures()], list[int])
    assert_type(executor.run_to_results(calls), Iterator[int])
    assert_type(FutureList([Future[str]()]), FutureList[str])


def graph(executor: Executor) -> None:
    graph = Graph(executor)
    number = graph.task("number", int, "1")
    assert_type(number, Node[int])
    assert_type(graph.options(executor=executor, keep=True).task("text", str, number), Node[str])
    assert_type(graph.define(number, int, "2"), Node[int])
    assert_type(graph.input("words", ["a"]), Node[list[str]])
    assert_type(graph.get(number), int)
    assert_type(graph.value(number), int | None)
    assert_type(graph.value(number, "none"), int | str)
    assert_type(graph.critical_path(), tuple[list[str], float])
    assert_type(graph.exception(number), BaseException | None)
    assert_type([name.upper() for name in graph], list[str])
    graph["words"] = graph["number"]

    @graph.computed
    def words(number: int) -> list[str]:
        return ["a"] * number

    assert_type(words(2), list[str])
    try:
        graph.run(concurrent.futures.ThreadPoolExecutor())
    except GraphError as error:
        assert_type((error.name, error.not_run), tuple[str, tuple[str, ...]])


def failing(future: Future[int]) -> None:
    try:
        future.result(0)
    except TimeoutError:
        install()
    except CancelledError as error:
        assert_type(error, CancelledError)
    except (BrokenThreadPool, BrokenProcessPool, manyhands.BrokenExecutor):
        raise
    except concurrent.futures.InvalidStateError as error:
        assert_type(error, manyhands.InvalidStateError)


if sys.version_info >= (3, 14):
    from manyhands import InterpreterPoolExecutor

    def interpreting() -> InterpreterPoolExecutor:
        return InterpreterPoolExecutor()
