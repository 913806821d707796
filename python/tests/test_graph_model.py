"""Graphs at random, against a sequential model: each task runs once, after what it needs; a failure
spares all but what depends on it; what is invalid is run again, and nothing else.
"""

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from graphs import executor

from manyhands import Graph, GraphError, Node, ThreadPoolExecutor

# What each task depends on, all of it before itself.
Shape = list[list[int]]

SEEDS = range(25)
KINDS = ["here", "one thread", "threads", "inline", "stdlib", "mixed"]


def shape(rng: random.Random) -> Shape:
    def deps(node: int) -> list[int]:
        return [rng.randrange(node) for _ in range(rng.randrange(5))] if node else []

    return [deps(node) for node in range(rng.randrange(1, 60))]


class World:
    """A graph of this shape, whose tasks note that they run, and fail if they are to."""

    def __init__(self, shape: Shape, rng: random.Random, executors: list[Any]) -> None:
        self.shape = shape
        self.ran: list[int] = []
        self.failing: set[int] = set()
        self.lock = threading.Lock()
        self.graph = Graph(executors[0])
        self.nodes: list[Node[int]] = []
        for index, deps in enumerate(shape):
            # As arguments of every kind.
            args = [self.nodes[dep] for dep in deps]
            cut = rng.randrange(len(args) + 1)
            keyed = {"rest": tuple(args[cut:])} if cut < len(args) else {}
            to = self.graph.options(executor=rng.choice([None, *executors[1:]]))
            self.nodes.append(to.task(f"{index}", self.task(index), *args[:cut], **keyed))

    def task(self, index: int) -> Callable[..., int]:
        def run(*of: int, rest: tuple[int, ...] = ()) -> int:
            with self.lock:
                self.ran.append(index)
            if index in self.failing:
                raise ValueError(f"no luck with {index}")
            return index + sum(of) + sum(rest)

        return run

    def taken(self) -> list[int]:
        ran, self.ran = self.ran, []
        return ran


def values(shape: Shape) -> list[int]:
    found: list[int] = []
    for index, deps in enumerate(shape):
        found.append(index + sum(found[dep] for dep in deps))
    return found


def below(shape: Shape, roots: set[int]) -> set[int]:
    """Those, and all that depend on them."""
    found = set(roots)
    for index, deps in enumerate(shape):
        if found.intersection(deps):
            found.add(index)
    return found


def above(shape: Shape, asked: int) -> set[int]:
    """That, and all that it depends on."""
    found = {asked}
    for index in reversed(range(len(shape))):
        if index in found:
            found.update(shape[index])
    return found


def check_order(shape: Shape, ran: list[int], expected: set[int]) -> None:
    assert sorted(ran) == sorted(expected)
    place = {index: at for at, index in enumerate(ran)}
    for index in ran:
        assert all(place[dep] < place[index] for dep in shape[index] if dep in expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_graph_at_random_does_as_the_model(seed: int, kind: str) -> None:
    rng = random.Random(seed)
    if kind != "mixed":
        with executor(kind) as on:
            live(rng, [on])
    else:
        with ThreadPoolExecutor(2) as ours, executor("stdlib") as other:
            live(rng, [rng.choice([None, ours, other]), ours, other])


def live(rng: random.Random, executors: list[Any]) -> None:
    world = World(shape(rng), rng, executors)
    graph, nodes = world.graph, world.nodes
    everything = set(range(len(world.shape)))
    expected = values(world.shape)

    # What is asked for needs no more than what is above it.
    asked = rng.choice(range(len(nodes)))
    assert graph.get(nodes[asked]) == expected[asked]
    first = world.taken()
    check_order(world.shape, first, above(world.shape, asked))

    # A failure spares all but what depends on it.
    for node in nodes:
        graph.invalidate(node)
    world.failing = {rng.choice(range(len(nodes))) for _ in range(rng.randrange(3))}
    lost = below(world.shape, world.failing)
    not_run = {index for index in lost if lost.intersection(world.shape[index])}
    if world.failing:
        with pytest.raises(GraphError) as caught:
            graph.run()
        assert caught.value.name == str(min(world.failing - not_run))
        assert caught.value.not_run == tuple(map(str, sorted(not_run)))
    else:
        graph.run()
    check_order(world.shape, world.taken(), everything - not_run)
    for index, node in enumerate(nodes):
        state = "not run" if index in not_run else "failed" if index in lost else "done"
        assert graph.state(node) == state
        assert (graph.exception(node) is None) == (index not in lost)

    # The next run makes good what was lost, and repeats nothing else.
    world.failing = set()
    graph.run()
    check_order(world.shape, world.taken(), lost)
    for index, node in enumerate(nodes):
        is_last = not any(index in deps for deps in world.shape)
        assert graph.value(node) == (expected[index] if is_last or index == asked else None)

    # After a change the values are right again.
    for _ in range(5):
        changed, wanted = (rng.choice(range(len(nodes))) for _ in range(2))
        graph.invalidate(nodes[changed])
        assert graph.get(nodes[wanted]) == expected[wanted]
        assert set(world.ran) <= above(world.shape, wanted)
        graph.run()
        assert below(world.shape, {changed}) <= set(world.taken())
