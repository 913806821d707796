"""Graphs on worker processes, and on threads and processes together."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor as StdlibProcessPool
from typing import Any

import pytest

from manyhands import Graph, GraphError, ProcessPoolExecutor, ThreadPoolExecutor
from manyhands.process import WorkerCrashError


@pytest.fixture(params=[ProcessPoolExecutor, StdlibProcessPool])
def pool(request: pytest.FixtureRequest) -> Iterator[Any]:
    with request.param(2) as pool:
        yield pool


def where(*_: object) -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


def die(*_: object) -> None:
    os._exit(3)


def test_a_graph_runs_on_processes(pool: Any) -> None:
    graph = Graph(pool)
    parts = [graph.task(f"part {n}", pow, n, 2) for n in range(20)]
    total = graph.task("total", sum, parts)
    text = graph.task("text", "{} of {n}".format, total, n=len(parts))
    assert graph.get(text) == "2470 of 20"
    assert graph.get(graph.task("where", where, total))[0] != os.getpid()
    # A chain, each of which waits for the last.
    node = graph.task("start", int)
    for n in range(50):
        node = graph.task(f"next {n}", (1).__add__, node)
    assert graph.get(node) == 50


def test_a_failure_in_a_process_names_its_task(pool: Any) -> None:
    graph = Graph(pool)
    number = graph.task("number", int, "x")
    half = graph.task("half", divmod, number, 2)
    other = graph.task("other", len, "abc")
    with pytest.raises(GraphError, match="'number' failed: ValueError") as caught:
        graph.run()
    assert caught.value.not_run == ("half",)
    assert (graph.state(half), graph.value(other)) == ("not run", 3)
    graph.define(number, int, "84")
    assert graph.get(half) == (42, 0)


def test_threads_processes_and_the_caller_in_one_graph(pool: Any) -> None:
    with ThreadPoolExecutor(2) as threads:
        for on in (None, threads):
            graph = Graph(on)
            on_processes, on_threads = (graph.options(executor=it) for it in (pool, threads))
            first = graph.task("first", where)
            second = on_processes.task("second", where, first)
            third = on_threads.task("third", where, second)
            fourth = on_processes.task("fourth", where, first, [third])
            seen = [graph.get(node) for node in (fourth, third, second, first)]
            processes = [process == os.getpid() for process, _ in seen]
            assert processes == [False, True, False, True]
            here = threading.get_ident()
            assert [seen[1][1] == here, seen[3][1] == here] == [False, on is None]


def test_many_tasks_of_all_kinds_are_each_run_once(pool: Any) -> None:
    with ThreadPoolExecutor(2) as threads:
        graph = Graph(threads)
        to = [graph, graph.options(executor=pool), graph.options(executor=threads)]
        layer = [graph.task(f"0 {n}", int, n) for n in range(10)]
        for depth in range(1, 12):
            layer = [
                to[(depth + n) % 3].task(f"{depth} {n}", max, layer[n], layer[(n * 3 + depth) % 10])
                for n in range(10)
            ]
        assert graph.get(graph.task("all", max, layer)) == 9


def test_a_worker_that_dies_costs_its_own_task_alone() -> None:
    with ProcessPoolExecutor(2, on_crash="isolate") as pool:
        graph = Graph(pool)
        ok = graph.task("ok", int, 1)
        dies = graph.task("dies", die, ok)
        lost = graph.task("lost", max, dies, 2)
        other = graph.task("other", max, ok, 3)
        with pytest.raises(GraphError, match="'dies' failed") as caught:
            graph.run()
        assert isinstance(caught.value.__cause__, WorkerCrashError)
        assert (graph.state(lost), graph.value(other)) == ("not run", 3)


def test_a_task_has_a_time_limit_by_the_options_of_its_executor() -> None:
    with ProcessPoolExecutor(1) as pool:
        graph = Graph()
        never = threading.Event  # a class, made in the worker
        limited = graph.options(executor=pool.options(timeout=0.2))
        limited.task("never", wait_for_ever, never)
        with pytest.raises(GraphError, match="'never' failed: TaskTimeoutError"):
            graph.run()


def wait_for_ever(event: type[threading.Event]) -> None:
    event().wait(60)
