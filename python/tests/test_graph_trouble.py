"""Graphs in trouble: failures, cancellation, executors that refuse, Ctrl-C."""

import concurrent.futures
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from graphs import KINDS, Note, executor
from patience import in_thread, until

import manyhands
from manyhands import CancelledError, Graph, GraphError, ThreadPoolExecutor


@pytest.fixture(params=KINDS)
def on(request: pytest.FixtureRequest) -> Iterator[Any]:
    with executor(request.param) as one:
        yield one


def test_a_failure_names_its_task_and_spares_what_does_not_depend_on_it(on: Any) -> None:
    graph = Graph(on)
    text = graph.input("text", "x")
    number = graph.task("number", int, text)
    half = graph.task("half", divmod, number, 2)
    last = graph.task("last", lambda *of: of, half)
    length = graph.task("length", len, text)
    with pytest.raises(GraphError) as caught:
        graph.run()
    error = caught.value
    assert (error.name, error.not_run) == ("number", ("half", "last"))
    assert isinstance(error.__cause__, ValueError)
    assert error.__cause__ is graph.exception(number)
    assert str(error) == (
        "'number' failed: ValueError: invalid literal for int() with base 10: 'x'; "
        "so these were not run: 'half', 'last'"
    )
    states = [graph.state(node) for node in (text, number, half, last, length)]
    assert states == ["done", "failed", "not run", "not run", "done"]
    assert graph.value(length) == 1
    # The chain of causes, for each that was not run.
    lost = graph.exception(last)
    assert isinstance(lost, GraphError)
    assert (lost.name, lost.not_run, lost.__cause__) == (
        "number",
        ("half", "last"),
        error.__cause__,
    )
    assert graph.exception(length) is None
    # After a change it goes on from there.
    graph.set(text, "84")
    assert graph.get(last) == ((42, 0),)
    assert graph.exception(last) is None
    graph.run()
    assert graph.value(length) == 2


def test_a_run_after_a_failure_repeats_nothing_that_was_done(on: Any) -> None:
    note = Note()
    note.failing = {"b"}
    graph = Graph(on)
    a = graph.task("a", note.task("a"))
    b = graph.task("b", note.task("b"), a)
    c = graph.task("c", note.task("c"), b)
    with pytest.raises(GraphError, match="no luck with b"):
        graph.get(c)
    note.failing.clear()
    assert (graph.get(c), note.ran) == (3, ["a", "b", "b", "c"])


def test_many_that_were_not_run_are_counted() -> None:
    graph = Graph()
    fails = graph.task("fails", int, "x")
    for n in range(20):
        graph.task(f"lost {n}", int, fails)
    with pytest.raises(GraphError, match="'lost 7' and 12 more$") as caught:
        graph.run()
    assert len(caught.value.not_run) == 20


def test_what_is_no_exception_fails_its_task_in_a_thread_and_ends_the_run_here() -> None:
    def leave() -> None:
        raise SystemExit("enough")

    graph = Graph()
    graph.task("leaves", leave)
    other = graph.task("other", int)
    with pytest.raises(SystemExit, match="enough"):
        graph.run()
    assert graph.get(other) == 0
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(GraphError, match="'leaves' failed: SystemExit"),
    ):
        graph.run(pool)


def test_a_graph_can_be_cancelled_and_goes_on_later(on: Any) -> None:
    graph = Graph(on)
    note = Note()
    begun, go = threading.Event(), threading.Event()
    first = graph.task("first", lambda: (begun.set(), go.wait(60))[1])
    graph.task("second", note.task("second"), first)
    caught: list[BaseException] = []

    def run() -> None:
        try:
            graph.run()
        except CancelledError as error:
            caught.append(error)

    thread = in_thread(run)
    begun.wait(60)
    assert graph.cancel()
    go.set()
    thread.join()
    assert [type(error) for error in caught] == [CancelledError]
    assert note.ran == []
    assert graph.state("second") == "not run"
    assert not graph.cancel()
    graph.run()
    assert (graph.state("second"), note.ran) == ("done", ["second"])


class Seen(concurrent.futures.ThreadPoolExecutor):
    """Shows its futures."""

    futures: list[concurrent.futures.Future[Any]]

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        self.futures.append(future)
        return future


def test_what_waits_in_an_executor_is_cancelled_with_the_graph() -> None:
    with Seen(2) as pool:
        pool.futures = []
        graph = Graph(pool)
        begun, go = threading.Barrier(3), threading.Event()
        for n in range(2):
            graph.task(f"holds {n}", lambda: (begun.wait(60), go.wait(60)))
        note = Note()
        for n in range(20):
            graph.task(f"waits {n}", note.task(f"{n}"))
        thread = in_thread(lambda: pytest.raises(CancelledError, graph.run))
        begun.wait(60)
        until(lambda: len(pool.futures) == 22)
        graph.cancel()
        until(lambda: sum(future.cancelled() for future in pool.futures) == 20)
        go.set()
        thread.join()
        assert note.ran == []
        assert {graph.state(f"waits {n}") for n in range(20)} == {"not run"}
        assert {graph.state(f"holds {n}") for n in range(2)} == {"done"}


def test_an_executor_that_is_shut_down_refuses_the_graph(on: Any) -> None:
    graph = Graph(on)
    one = graph.task("one", int, 1)
    if on is None or not hasattr(on, "_max_workers"):
        pytest.skip("it never refuses")
    on.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        graph.get(one)
    assert graph.state(one) == "not run"
    assert graph.get(one, Inline()) == 1


class Inline(manyhands.Executor):
    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        future: manyhands.Future[Any] = manyhands.Future()
        future.set_result(fn(*args, **kwargs))
        return future


def test_a_shutdown_that_cancels_ends_the_run(go: threading.Event) -> None:
    pool = ThreadPoolExecutor(1)
    held = pool.submit(go.wait)
    until(held.running)
    graph = Graph(pool)
    graph.task("one", int, 1)
    thread = in_thread(lambda: pytest.raises(CancelledError, graph.run))
    until(lambda: pool.stats().pending == 1)
    pool.shutdown(wait=False, cancel_futures=True)
    thread.join()
    assert graph.state("one") == "not run"


def test_a_broken_pool_ends_the_run() -> None:
    def fail() -> None:
        raise ValueError("no licence")

    with ThreadPoolExecutor(1, initializer=fail) as pool:
        graph = Graph(pool)
        graph.task("one", int, 1)
        with pytest.raises(manyhands.BrokenExecutor):
            graph.run()


def test_a_task_on_an_executor_of_its_own_fails_with_what_that_says() -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    graph = Graph()
    one = graph.options(executor=pool).task("one", int, 1)
    other = graph.task("other", int, 2)
    with pytest.raises(GraphError, match="'one' failed: RuntimeError: cannot schedule"):
        graph.run()
    assert (graph.state(one), graph.value(other)) == ("failed", 2)


@pytest.mark.parametrize("kind", ["here", "threads", "stdlib", "thread per task"])
def test_ctrl_c_ends_the_wait_and_leaves_a_graph_that_goes_on(kind: str) -> None:
    with executor(kind) as on:
        graph = Graph(on)
        # No locks: Ctrl-C that comes as one is waited for is heard only afterwards.
        begun: list[bool] = []
        go: list[bool] = []

        def hold() -> bool:
            begun.append(True)
            for _ in range(6_000):
                if go:
                    return True
                time.sleep(0.01)
            return False

        held = graph.task("holds", hold)
        after = graph.task("after", lambda it: it, held)

        def interrupt() -> None:
            until(lambda: begun)
            os.kill(os.getpid(), signal.SIGINT)

        thread = in_thread(interrupt)
        with pytest.raises(KeyboardInterrupt):
            graph.run()
        thread.join()
        assert graph.state(after) in ("waiting", "not run")
        go.append(True)
        assert graph.get(after) is True
        graph.task("more", int)
        graph.run()


def test_a_graph_left_by_ctrl_c_can_be_dropped() -> None:
    with ThreadPoolExecutor(2) as pool:
        graph = Graph(pool)
        begun, go = threading.Event(), threading.Event()
        graph.task("holds", lambda: (begun.set(), go.wait(60)))

        def interrupt() -> None:
            begun.wait(60)
            os.kill(os.getpid(), signal.SIGINT)

        thread = in_thread(interrupt)
        with pytest.raises(KeyboardInterrupt):
            graph.run()
        thread.join()
        del graph
        go.set()
