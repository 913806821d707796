"""How programs with pools end that are killed: with all their workers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from family import MARK, new_mark, until_all_ended, with_mark
from patience import until
from programs import ENVIRONMENT
from whole_programs import HERE, Files, Program, until_ready


@pytest.mark.ours
@pytest.mark.parametrize("task", ["idle", "sleep_for_an_hour", "compute_for_an_hour", "sleep_deaf"])
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, "os._exit"])
def test_no_worker_outlives_its_parent(
    program: Program, files: Files, task: str, ending: object
) -> None:
    mark = new_mark()
    text = program(f"""
        executor = make()
        if {task!r} == "idle":
            list(executor.map(tasks.double, range(10)))
        else:
            occupy(executor, tasks.{task if task != "idle" else "pid"})
        tasks.tell(FOLDER / "ready")
        if {ending == "os._exit"}:
            os._exit(9)
        time.sleep(tasks.HOUR)
    """)
    parent = subprocess.Popen(
        [sys.executable, "-c", text], cwd=HERE, env={**ENVIRONMENT, MARK: mark}
    )
    try:
        until_ready(parent, files)
        if isinstance(ending, int):
            parent.send_signal(ending)
        parent.wait()
    finally:
        parent.kill()
        until_all_ended(mark)


@pytest.mark.ours
def test_no_worker_outlives_a_parent_that_dies_while_it_starts_some(program: Program) -> None:
    text = program("""
        print("ready", flush=True)
        executor = make(8)
        for _ in range(8):
            executor.submit(tasks.slow, tasks.HOUR)
        time.sleep(tasks.HOUR)
    """)
    for delay in (0.001, 0.01, 0.03, 0.1):
        mark = new_mark()
        with subprocess.Popen(
            [sys.executable, "-c", text],
            cwd=HERE,
            env={**ENVIRONMENT, MARK: mark},
            stdout=subprocess.PIPE,
        ) as parent:
            assert parent.stdout is not None and parent.stdout.readline() == b"ready\n"
            time.sleep(delay)
            parent.kill()
        until_all_ended(mark)


@pytest.mark.ours
def test_a_killed_parent_leaves_no_shared_memory(program: Program, files: Files) -> None:
    before = set(os.listdir("/dev/shm"))
    text = program("""
        executor = make()
        data = large.make_bytes(20 << 20)
        futures = [executor.submit(large.keep, data) for _ in range(4)]
        made = [executor.submit(large.make_bytes, 20 << 20).result() for _ in range(3)]
        tasks.tell(FOLDER / "ready")
        time.sleep(tasks.HOUR)
    """)
    parent = subprocess.Popen([sys.executable, "-c", text], cwd=HERE, env=ENVIRONMENT)
    try:
        until_ready(parent, files)
    finally:
        parent.kill()
        parent.wait()
    until(lambda: set(os.listdir("/dev/shm")) <= before)


def test_the_mark_finds_what_a_program_starts(program: Program, files: Files) -> None:
    """Or the tests above would find nothing whatever is left."""
    mark = new_mark()
    text = program("""
        executor = make()
        occupy(executor, tasks.sleep_for_an_hour)
        tasks.tell(FOLDER / "ready")
        time.sleep(tasks.HOUR)
    """)
    parent = subprocess.Popen(
        [sys.executable, "-c", text], cwd=HERE, env={**ENVIRONMENT, MARK: mark}
    )
    try:
        until_ready(parent, files)
        found = set(with_mark(mark))
        assert parent.pid in found
        assert {int(files(name).read_text()) for name in ("0", "1")} <= found
    finally:
        for pid in with_mark(mark):
            # A worker ends with its parent, which may have been the one before.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        parent.wait()
