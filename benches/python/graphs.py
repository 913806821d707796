"""What a task of a large graph costs: `manyhands.Graph`, dask's threaded scheduler, and graphlib with the
standard library's pool, in one run.

    pip install dask
    python benches/python/graphs.py [--nodes 1000000] [--rounds 3] [SHAPE ...]

Every figure comes from a process of its own, which makes a graph and computes it on 2 threads; the subjects
take turns in every round. A task returns 1, so that what is measured is its way through the graph. For each
subject: making the graph, computing it, and both, in microseconds a node, the best of the rounds. Subjects
that take some ten microseconds a node or more are given a tenth of the nodes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

WORKERS = 2
# How many nodes a layer has, and how many of the last one each of its nodes needs.
LAYER, NEEDED = 1000, 10
LIMIT_SECONDS = 600

# What each node needs, by numbers smaller than its own.
Needs = Iterator[list[int]]


def task(*_: int) -> int:
    return 1


def chain(nodes: int) -> Needs:
    return ([node - 1] if node else [] for node in range(nodes))


def wide(nodes: int) -> Needs:
    return ([] for _ in range(nodes))


def layers(nodes: int) -> Needs:
    for node in range(nodes):
        last = (node // LAYER - 1) * LAYER
        yield [last + (node * 7 + n) % LAYER for n in range(NEEDED)] if node >= LAYER else []


SHAPES: dict[str, Callable[[int], Needs]] = {"chain": chain, "wide": wide, "layers": layers}


def ends(shape: str, nodes: int) -> range:
    """The nodes that nothing needs."""
    return {"chain": range(nodes - 1, nodes), "wide": range(nodes)}.get(
        shape, range((nodes - 1) // LAYER * LAYER, nodes)
    )


def manyhands(shape: str, nodes: int) -> tuple[float, float]:
    library = importlib.import_module("manyhands")
    with library.ThreadPoolExecutor(WORKERS) as pool:
        pool.submit(task).result()
        begun = time.perf_counter()
        graph = library.Graph(pool)
        made: list[Any] = []
        for number, needs in enumerate(SHAPES[shape](nodes)):
            made.append(graph.task(f"{number}", task, *[made[need] for need in needs]))
        built = time.perf_counter()
        graph.run()
        ended = time.perf_counter()
        if any(graph.value(made[end]) != 1 for end in ends(shape, nodes)):
            raise AssertionError("a value is missing")
    return built - begun, ended - built


def dask(shape: str, nodes: int) -> tuple[float, float]:
    threaded = importlib.import_module("dask.threaded")
    with futures.ThreadPoolExecutor(WORKERS) as pool:
        pool.submit(task).result()
        begun = time.perf_counter()
        graph = {number: (task, *needs) for number, needs in enumerate(SHAPES[shape](nodes))}
        built = time.perf_counter()
        results = threaded.get(graph, list(ends(shape, nodes)), pool=pool)
        ended = time.perf_counter()
    if set(results) != {1}:
        raise AssertionError("a value is missing")
    return built - begun, ended - built


def graphlib(shape: str, nodes: int) -> tuple[float, float]:
    """The loop of graphlib's documentation, on the standard library's pool."""
    sorter_of = importlib.import_module("graphlib").TopologicalSorter
    done: Any = importlib.import_module("queue").SimpleQueue()
    with futures.ThreadPoolExecutor(WORKERS) as pool:
        pool.submit(task).result()
        begun = time.perf_counter()
        needed = dict(enumerate(SHAPES[shape](nodes)))
        sorter = sorter_of(needed)
        built = time.perf_counter()
        sorter.prepare()
        values: dict[int, int] = {}

        def run(number: int) -> None:
            values[number] = task(*[values[need] for need in needed[number]])
            done.put(number)

        while sorter.is_active():
            for number in sorter.get_ready():
                pool.submit(run, number)
            sorter.done(done.get())
        ended = time.perf_counter()
    if len(values) != nodes:
        raise AssertionError("a value is missing")
    return built - begun, ended - built


# Each with the part of the nodes that it is given.
SUBJECTS: dict[str, tuple[Callable[[str, int], tuple[float, float]], int]] = {
    "manyhands": (manyhands, 1),
    "dask": (dask, 10),
    "graphlib": (graphlib, 10),
}


def cell(subject: str, shape: str, nodes: int) -> tuple[float, float]:
    """One figure, from a process of its own."""
    command = [sys.executable, __file__, "--cell", subject, shape, "--nodes", str(nodes)]
    ended = subprocess.run(command, check=False, capture_output=True, timeout=LIMIT_SECONDS)
    if ended.returncode:
        sys.exit(f"{subject} failed: {ended.stderr.decode()}")
    making, computing = json.loads(ended.stdout)
    return making, computing


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=", ".join(SHAPES))
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cell", choices=SUBJECTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        print(json.dumps(SUBJECTS[options.cell][0](options.shapes[0], options.nodes)))
        sys.stdout.flush()
        # A million objects need not be taken apart one by one.
        os._exit(0)
    print("| graph | subject | nodes | making | computing | both | against manyhands |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for shape in options.shapes or SHAPES:
        best: dict[str, tuple[float, float]] = {}
        for turn in range(options.rounds):
            names = list(SUBJECTS)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                nodes = options.nodes // SUBJECTS[name][1]
                making, computing = (time / nodes * 1e6 for time in cell(name, shape, nodes))
                found = best.get(name, (float("inf"), float("inf")))
                best[name] = min(found, (making, computing), key=sum)
        for name, (making, computing) in best.items():
            times = computing / best["manyhands"][1], sum(best[name]) / sum(best["manyhands"])
            print(
                f"| {shape} | {name} | {options.nodes // SUBJECTS[name][1]:,} | {making:.2f} us "
                f"| {computing:.2f} us | {making + computing:.2f} us "
                f"| {times[0]:.0f} times; with making, {times[1]:.0f} times |"
            )


if __name__ == "__main__":
    main()
