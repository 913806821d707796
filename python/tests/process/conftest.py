"""Pools for the tests of worker processes, each under every start method; none may leave a process."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import programs
import pytest
from family import workers
from patience import until
from subject import STDLIB, ProcessPoolExecutor
from whole_programs import Program, text_of

START_METHODS = [
    method
    for method in ("fork", "spawn", "forkserver")
    if method in multiprocessing.get_all_start_methods()
]

if sys.platform != "linux":
    collect_ignore_glob = ["test_*.py"]  # worker processes are looked at in /proc

HERE = Path(__file__).parent

# Only a test that hangs takes so long.
HANG_SECONDS = 120

FAILED = pytest.StashKey[bool]()

MakePool = Callable[..., Any]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "ours: what the standard library's pool does not do")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE not in item.path.parents:
            continue
        # A hang costs one test; one that no signal can end is for the watchdog of all tests.
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(HANG_SECONDS))
        if STDLIB and item.get_closest_marker("ours"):
            item.add_marker(pytest.mark.skip(reason="not what the standard library does"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture(autouse=True)
def hang_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that hangs shows where, before the test's own time is up."""
    monkeypatch.setattr(programs, "WATCHDOG_SECONDS", HANG_SECONDS / 2)


@pytest.fixture(params=START_METHODS)
def start(request: pytest.FixtureRequest) -> str:
    """How workers are started."""
    method: str = request.param
    return method


@pytest.fixture
def pool(start: str, request: pytest.FixtureRequest) -> Iterator[MakePool]:
    """Makes pools, whose processes must all have ended in the end."""
    made: list[Any] = []

    def make(max_workers: int | None = 2, **options: Any) -> Any:
        context = multiprocessing.get_context(start)
        made.append(ProcessPoolExecutor(max_workers, mp_context=context, **options))
        return made[-1]

    yield make
    has_failed = FAILED in request.node.stash
    if has_failed:
        # Its tasks may wait for what does not come any more, and so may the pool.
        for worker in workers():
            worker.kill()
    for executor in made:
        executor.shutdown(wait=not has_failed, cancel_futures=True)
    made.clear()
    until(lambda: not workers())


@pytest.fixture
def files(tmp_path: Path) -> Callable[[str], Path]:
    """Paths by which test and task tell each other something."""
    return tmp_path.joinpath


@pytest.fixture
def program(start: str, tmp_path: Path) -> Program:
    """Makes the text of a program that has `make` and `occupy`."""

    def text(code: str) -> str:
        return text_of(code, start, tmp_path)

    return text
