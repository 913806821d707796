"""Graphs: each task once and after what it needs, on any executor; failures, changes, what is kept."""

import contextvars
import graphlib
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from graphs import KINDS, Inline, Note, Recording, Value, executor
from patience import in_thread, occupy, until, until_collected

from manyhands import CancelledError, Graph, GraphError, Node, ThreadPoolExecutor


@pytest.fixture(params=KINDS)
def on(request: pytest.FixtureRequest) -> Iterator[Any]:
    with executor(request.param) as one:
        yield one


def test_values_reach_those_that_depend_on_them(on: Any) -> None:
    graph = Graph(on)
    one = graph.task("one", int, "1")
    word = graph.input("word", "four")
    pair = graph.task("pair", lambda a, b, /, c: (a, b, c), one, word, c=one)
    assert graph.get(pair) == (1, "four", 1)
    three = graph.task("three", lambda *of: of, one, one, one)
    nested = graph.task("nested", lambda *of, **by: (of, by), [one, [word]], (2, {"k": one}), d={})
    assert graph.get(three) == (1, 1, 1)
    assert graph.get(nested) == (([1, ["four"]], (2, {"k": 1})), {"d": {}})
    deep = graph.task("deep", dict, by={"list": [(word,), None]})
    assert graph["deep"] == graph.get(deep) == {"by": {"list": [("four",), None]}}


def test_arguments_without_nodes_are_passed_as_they_are() -> None:
    mine: list[Any] = [[1], {"a": (2,)}]
    mine.append(mine)
    graph = Graph()
    same = graph.task("same", lambda *of, **by: (*of, by["c"]), mine, mine[0], c=mine[1])
    assert [a is b for a, b in zip(graph.get(same), (mine, mine[0], mine[1]))] == [True] * 3


def test_a_list_of_nodes_is_read_when_the_task_is_added() -> None:
    graph = Graph()
    parts = [graph.task(f"part {n}", int, n) for n in range(3)]
    total = graph.task("total", sum, parts)
    parts.append(total)
    assert graph.get(total) == 3


def test_what_is_asked_for_is_computed_once_and_only_what_it_needs(on: Any) -> None:
    note = Note()
    graph = Graph(on)
    base = graph.task("base", note.task("base"))
    left = graph.task("left", note.task("left"), base)
    right = graph.task("right", note.task("right"), base)
    top = graph.task("top", note.task("top"), left, right)
    other = graph.task("other", note.task("other"), base)
    assert (graph.get(top), graph.get("top"), graph["top"]) == (5, 5, 5)
    ran = note.taken()
    assert (ran[0], set(ran[1:3]), ran[3:]) == ("base", {"left", "right"}, ["top"])
    # `base` is still there, for `other` has not been run.
    graph.run()
    assert (note.taken(), graph.value(other)) == (["other"], 2)
    graph.run()
    assert note.taken() == []


def test_a_value_of_none_is_computed_once() -> None:
    calls: list[int] = []
    graph = Graph()
    nothing = graph.task("nothing", calls.append, 1)
    assert (graph.get(nothing), graph.get(nothing), calls) == (None, None, [1])


def test_a_value_goes_when_its_last_dependant_is_done(on: Any) -> None:
    graph = Graph(on)
    seen: list[weakref.ref[Value]] = []

    def note(value: Value) -> bool:
        seen.append(weakref.ref(value))
        return True

    value = graph.task("value", Value)
    first = graph.task("first", note, value)
    second = graph.task("second", note, value)
    after = graph.task("after", lambda *_: [ref() for ref in seen], first, second)
    del note
    assert graph.get(after) == [None, None]
    assert (graph.state(value), graph.value(value)) == ("done", None)
    # Asked for, it is computed again, and kept from then on.
    assert graph.get(value) is graph.get(value)


def test_what_is_kept_and_what_nothing_depends_on_stays() -> None:
    graph = Graph()
    kept = graph.options(keep=True).task("kept", int, 1)
    dropped = graph.task("dropped", int, 2)
    late = graph.task("late", int, 3)
    last = graph.task("last", max, kept, dropped, late)
    graph.keep(late)
    graph.run()
    assert [graph.value(node) for node in (kept, dropped, late, last)] == [1, None, 3, 3]
    assert graph.value(dropped, "gone") == "gone"


def test_a_graph_and_all_it_holds_can_be_collected() -> None:
    graph = Graph()
    held = Value()
    node = graph.task("a", lambda graph, held: (graph, held), graph, [held])
    graph.task("b", lambda a: a, node)
    graph.run()
    refs = [weakref.ref(graph), weakref.ref(held)]
    del graph, held, node
    for ref in refs:
        until_collected(ref)


def test_a_change_makes_stale_what_depends_on_it_and_nothing_else(on: Any) -> None:
    note = Note()
    graph = Graph(on)
    n, m = graph.input("n", 1), graph.input("m", 10)
    of_n = graph.task("of n", note.task("of n"), n)
    of_m = graph.task("of m", note.task("of m"), m)
    both = graph.task("both", note.task("both"), of_n, of_m)
    assert graph.get(both) == 14
    note.taken()
    graph.set(n, 2)
    assert (graph.state(of_n), graph.state(of_m), graph.state(both)) == (
        "waiting",
        "done",
        "waiting",
    )
    graph.keep(of_m)
    assert (graph.get(both), sorted(note.taken())) == (15, ["both", "of m", "of n"])
    graph["n"] = 3
    assert (graph.get(both), sorted(note.taken())) == (16, ["both", "of n"])
    graph.invalidate("both")
    assert (graph.get(both), "both" in note.taken()) == (16, True)
    # A value from outside takes the place of what would be computed.
    graph.set(of_n, 100)
    assert graph.get(both) == 112
    graph.invalidate(n)
    assert graph.value(n) == 3


def test_a_task_can_be_defined_anew(on: Any) -> None:
    graph = Graph(on)
    one = graph.task("one", int, "1")
    two = graph.task("two", int, "2")
    more = graph.task("more", lambda n: n + 1, one)
    assert graph.get(more) == 2
    assert graph.define("more", lambda n: n * 10, two).name == more.name
    assert graph.get(more) == 20
    graph.define(two, int, "3")
    assert graph.get(more) == 30
    with pytest.raises(ValueError, match="there is a task of the name 'one' already"):
        graph.task("one", int)
    with pytest.raises(ValueError, match="there is a task of the name 'one' already"):
        graph.input("one", 5)


def test_a_cycle_is_refused_by_name_and_changes_nothing() -> None:
    graph = Graph()
    a = graph.declare("a")
    b = graph.task("b", lambda a: a + 1, a)
    c = graph.task("c", lambda b, a: b + a, b, a)
    with pytest.raises(
        graphlib.CycleError, match="'a' would depend on itself: 'a' needs "
    ) as caught:
        graph.define(a, lambda c: c, c)
    assert caught.value.args[1] in (["a", "c", "a"], ["a", "b", "c", "a"])
    with pytest.raises(graphlib.CycleError, match="'a' needs 'a'"):
        graph.define(a, lambda a: a, a)
    with pytest.raises(LookupError, match="'a' is needed and was only declared"):
        graph.get(c)
    graph.define(a, int, "1")
    assert graph.get(c) == 3


def test_functions_say_by_their_parameters_what_they_need(on: Any) -> None:
    graph = Graph(on)

    @graph.computed
    def mean(total: int, /, *, count: int, digits: int = 1, **_: Any) -> float:
        return round(total / count, digits)

    @graph.computed
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    @graph.options(keep=True).computed
    def count(numbers: list[int]) -> int:
        return len(numbers)

    graph["numbers"] = [1, 2, 4]
    assert (graph["mean"], graph.value("count"), graph.value("total")) == (2.3, 3, None)
    assert mean(10, count=4) == 2.5
    graph["numbers"] = [5]
    assert graph["mean"] == 5
    assert list(graph) == ["total", "count", "mean", "numbers"]
    assert (len(graph), "mean" in graph, "median" in graph) == (4, True, False)


def test_nodes_and_names_that_mean_nothing_are_refused() -> None:
    graph = Graph()
    node = graph.task("a", int)
    other: Node[int] = Graph().task("other", int)
    for wrong in (lambda: graph.get(other), lambda: graph.task("b", int, [other])):
        with pytest.raises(ValueError, match="<Node 'other'> belongs to another graph"):
            wrong()
    with pytest.raises(KeyError, match="nothing"):
        graph.get("nothing")
    with pytest.raises(TypeError, match="a node or a name is wanted, not 5"):
        graph.get(5)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="the name of a task is a str, not 5"):
        graph.task(5, int)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a task is something to call, not 'int'"):
        graph.task("b", "int")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="an executor has a method submit"):
        graph.options(executor=5)  # type: ignore[arg-type]
    assert (list(graph), repr(node), Node[int]) == (["a"], "<Node 'a'>", Node[int])


def test_tasks_run_at_the_same_time_on_as_many_threads_as_there_are() -> None:
    for kind in ("threads", "stdlib", "thread per task"):
        with executor(kind) as on:
            graph = Graph(on)
            barrier = threading.Barrier(2)
            start = graph.task("start", int)
            for n in range(6):
                graph.task(f"meets {n}", lambda _, it=barrier: it.wait(60), start)
            graph.run()


def test_a_short_past_lets_nothing_wait_behind_a_long_task() -> None:
    with ThreadPoolExecutor(4) as pool:
        graph = Graph(pool)
        node = graph.task("start", int)
        for n in range(1000):
            node = graph.task(f"short {n}", lambda n: n + 1, node)
        barriers = [threading.Barrier(2) for _ in range(2)]
        for n in range(4):
            graph.task(f"meets {n}", lambda _, it=barriers[n // 2]: it.wait(60), node)
        graph.run()


def test_other_tasks_of_the_pool_have_their_turn_while_a_graph_runs() -> None:
    with ThreadPoolExecutor(1) as pool:
        opened = threading.Event()
        graph = Graph(pool)
        # The first submits what opens the way, and nothing comes to an end before that has run.
        node = graph.task("first", lambda: pool.submit(opened.set))
        for n in range(200):
            node = graph.task(f"busy {n}", lambda _: sum(range(2000)), node)
        last = graph.task("last", lambda _: opened.wait(60), node)
        assert graph.get(last)


def test_a_bounded_queue_does_for_a_graph() -> None:
    for when_full in ("block", "raise", "caller"):
        with ThreadPoolExecutor(2, max_pending=1, when_full=when_full) as pool:  # type: ignore[arg-type]
            graph = Graph(pool)
            parts = [graph.task(f"part {n}", int, n) for n in range(1000)]
            assert graph.get(graph.task("sum", sum, parts)) == 499_500


def test_tasks_run_in_a_copy_of_the_context_where_the_pool_says_so() -> None:
    colour = contextvars.ContextVar("colour", default="none")

    def paint(*_: str) -> str:
        before = colour.get()
        colour.set("red")
        return before

    with ThreadPoolExecutor(2, context="copy") as pool:
        graph = Graph(pool)
        first = graph.task("first", paint)
        second = graph.task("second", paint, first)
        third = graph.task("third", lambda *of: (*of, colour.get()), first, second)
        colour.set("blue")
        assert graph.get(third) == ("blue", "blue", "blue")


def test_a_subclass_sees_what_is_submitted() -> None:
    with Recording(2) as pool:
        graph = Graph(pool)
        graph.task("two", int, "2")
        graph.run()
        assert pool.seen == [int]


def test_a_graph_run_by_several_threads_is_computed_once() -> None:
    note = Note()
    with ThreadPoolExecutor(2) as pool:
        graph = Graph(pool)
        nodes = [graph.task(f"{n}", note.task(f"{n}")) for n in range(100)]
        total = graph.task("total", note.task("total"), *nodes)
        threads = [in_thread(lambda: graph.get(total)) for _ in range(8)]
        for thread in threads:
            thread.join()
        assert (len(note.ran), graph.get(total)) == (101, 101)


@pytest.mark.parametrize("kind", ["here", "threads"])
def test_a_graph_cannot_be_run_or_changed_by_its_own_tasks(kind: str) -> None:
    with executor(kind) as on:
        graph = Graph(on)
        graph.task("asks", graph.run)
        inner = graph.task("inner", int)
        graph.task("adds", lambda: graph.task("more", int))
        with pytest.raises(GraphError) as caught:
            graph.run()
        assert "a task cannot run the graph that it is part of" in str(caught.value)
        assert "the graph is being run" in str(graph.exception("adds"))
        # It may look at it.
        graph.define("asks", lambda: graph.state(inner))
        graph.define("adds", len, "")
        graph.run()
        assert graph.value("asks") in ("waiting", "done")


def test_another_graph_can_be_run_in_a_task() -> None:
    with ThreadPoolExecutor(1) as pool:
        other, graph = Graph(), Graph(pool)
        two = other.task("two", int, "2")
        four = graph.task("four", lambda: 2 * other.get(two))
        assert graph.get(four) == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_may_wait_for_a_graph_on_its_own_pool(workers: int) -> None:
    with ThreadPoolExecutor(workers) as pool:
        graph, other = Graph(pool), Graph(pool)
        parts = [graph.task(f"part {n}", lambda n: sum(range(n)), n) for n in range(1000)]
        total = graph.task("total", sum, parts)
        more = other.task("more", lambda: graph.get(total) + 1)
        expected = sum(sum(range(n)) for n in range(1000)) + 1
        assert pool.submit(other.get, more).result(60) == expected


def test_a_long_chain_and_a_wide_layer() -> None:
    for kind in ("here", "threads", "inline"):
        with executor(kind) as on:
            graph = Graph(on)
            start = graph.input("start", 0)
            node: Node[int] = start
            for n in range(20_000):
                node = graph.task(f"chain {n}", lambda n: n + 1, node)
            layer = [graph.task(f"wide {n}", lambda n: n + 1, start) for n in range(20_000)]
            total = graph.task("sum", lambda *of: sum(of), node, *layer)
            assert graph.get(total) == 40_000
            graph.set(start, 1)
            assert graph.get(total) == 60_001


def test_a_graph_waits_for_its_turn_behind_other_tasks(go: threading.Event) -> None:
    with ThreadPoolExecutor(1) as pool:
        occupy(pool, go)
        graph = Graph(pool)
        one = graph.task("one", int, 1)
        results: list[int] = []
        thread = in_thread(lambda: results.append(graph.get(one)))
        until(lambda: pool.stats().pending == 1)
        go.set()
        thread.join()
        assert results == [1]


def test_pictures_show_states_times_and_the_critical_path() -> None:
    graph = Graph(Inline())
    slow = graph.task("slow", threading.Event().wait, 0.005)
    quick = graph.task('say "quick"', int)
    fails = graph.task("fails", lambda *_: int("x"), slow, quick)
    graph.task("never", int, fails)
    assert "slow\\nwaiting" in graph.to_dot()
    with pytest.raises(GraphError):
        graph.run()
    path, seconds = graph.critical_path()
    assert path[:2] == ["slow", "fails"]
    assert seconds >= graph.took(slow) >= 0.005
    dot, mermaid = graph.to_dot(), graph.to_mermaid()
    for part in ('label="slow\\ndone, ', 'say \\"quick\\"', "fails\\nfailed", "never\\nnot run"):
        assert part in dot
    assert "n0 -> n2 [penwidth=3]" in dot
    for part in ('n0["slow<br>done, ', "say #quot;quick#quot;", "n0 ==> n2", "n1 --> n2"):
        assert part in mermaid


def test_cancelled_error_is_the_standard_librarys() -> None:
    assert CancelledError.__module__.startswith("concurrent.futures")
