"""How programs with pools end by Ctrl-C on a terminal: at once, and with one word of it."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
import time

import pytest
import tasks
from conftest import MakePool
from family import with_mark, workers
from patience import until
from terminal import CTRL_C, on_terminal
from whole_programs import Program

WAITS = {
    "result": "occupy(make(), task)[0].result()",
    "map": "list(make().map(task, [FOLDER / '0', FOLDER / '1', FOLDER / '2']))",
    "wait": "subject.wait(occupy(make(), task))",
    "as_completed": "list(subject.as_completed(occupy(make(), task)))",
    "shutdown": "executor = make(); occupy(executor, task); executor.shutdown()",
    "exit of with": """
with make() as executor:
    for number in range(9):
        executor.submit(task, FOLDER / str(number))""",
    "body of with": """
with make() as executor:
    futures = [executor.submit(task, FOLDER / str(number)) for number in range(9)]
    futures[0].result()""",
    "sleep": "executor = make(); occupy(executor, task); tasks.idle()",
}

# The parent says so when the tasks run; only then is the key typed.
ANNOUNCE = """
def announce():
    until(lambda: (FOLDER / "0").exists() and (FOLDER / "1").exists())
    time.sleep(0.1)  # for the main thread to wait where it will
    print("ready", flush=True)

threading.Thread(target=announce, daemon=True).start()
"""


def told_by(said: str) -> int:
    """How many processes have told of the key. (One that another error leads to is told with it.)"""
    # As `multiprocessing` begins what it tells of a process.
    assert not re.search("^Process ", said, re.MULTILINE), said
    return len(re.findall("^KeyboardInterrupt$", said, re.MULTILINE))


@pytest.mark.ours
@pytest.mark.parametrize("code", WAITS.values(), ids=WAITS)
@pytest.mark.parametrize("task", ["sleep_for_an_hour", "compute_for_an_hour", "sleep_deaf"])
def test_one_ctrl_c_ends_all(program: Program, code: str, task: str) -> None:
    """On a terminal it reaches the workers too: none may tell of it."""
    with on_terminal(program(f"{ANNOUNCE}\ntask = tasks.{task}\n{code}")) as running:
        running.read_until("ready")
        running.type(CTRL_C)
        running.read_to_the_end()
        assert running.process.wait() in (-signal.SIGINT, 1, 128 + signal.SIGINT), running.said
        assert told_by(running.said) == 1, running.said
        assert running.said.split()[-1] == "KeyboardInterrupt"
        until(lambda: not with_mark(running.mark))


@pytest.mark.ours
def test_a_ctrl_c_for_the_parent_alone(program: Program) -> None:
    """As `kill -INT` sends it."""
    text = program(f"{ANNOUNCE}\ntask = tasks.sleep_for_an_hour\n{WAITS['body of with']}")
    with on_terminal(text) as running:
        running.read_until("ready")
        os.kill(running.process.pid, signal.SIGINT)
        running.read_to_the_end()
        assert told_by(running.said) == 1, running.said
        until(lambda: not with_mark(running.mark))


@pytest.mark.ours
def test_a_ctrl_c_for_idle_workers(program: Program) -> None:
    text = program("""
        executor = make()
        list(executor.map(tasks.double, range(10)))
        print("ready", flush=True)
        tasks.idle()
    """)
    with on_terminal(text) as running:
        running.read_until("ready")
        running.type(CTRL_C)
        running.read_to_the_end()
        assert told_by(running.said) == 1, running.said
        until(lambda: not with_mark(running.mark))


@pytest.mark.ours
def test_a_ctrl_c_while_workers_start(program: Program) -> None:
    """At whatever point of a worker's birth it comes. (A fork server that is being born itself tells of
    it, whoever has asked for it.)"""
    text = program("""
        if CONTEXT.get_start_method() == "forkserver":
            from multiprocessing import forkserver
            forkserver.ensure_running()
            time.sleep(0.5)
        print("ready", flush=True)
        with make(4) as executor:
            futures = [executor.submit(tasks.slow, tasks.HOUR) for _ in range(8)]
            futures[0].result()
    """)
    for delay in (0, 0.01, 0.03, 0.1):
        with on_terminal(text) as running:
            running.read_until("ready")
            if delay:
                time.sleep(delay)
            running.type(CTRL_C)
            running.read_to_the_end()
            running.process.wait()
            assert told_by(running.said) <= 1, running.said
            until(lambda running=running: not with_mark(running.mark))


@pytest.mark.ours
def test_a_ctrl_c_as_a_worker_is_taken_over(
    pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that nobody knew of would wait for its parent's first words."""

    def interrupted(_: socket.socket) -> int:
        monkeypatch.undo()
        raise KeyboardInterrupt

    executor = pool(1)
    monkeypatch.setattr(socket.socket, "detach", interrupted)
    with pytest.raises(KeyboardInterrupt) as raised:
        executor.submit(tasks.double, 1)
    assert raised.tb is not None  # it holds the socket, whose end would tell the worker
    assert not workers()


@pytest.mark.ours
@pytest.mark.parametrize("started", [False, True])
def test_a_ctrl_c_as_the_manager_is_started(
    pool: MakePool, monkeypatch: pytest.MonkeyPatch, started: bool
) -> None:
    """Of the workers there may be by then, none is left to wait for it."""
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        monkeypatch.undo()
        if started:
            start(thread)
        raise KeyboardInterrupt

    executor = pool(2)
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        executor.submit(tasks.double, 1)
    until(lambda: not workers())
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(tasks.double, 1)


@pytest.mark.ours
def test_a_ctrl_c_as_a_task_is_pickled(pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method of a dict looks plain; what is in the dict may have code of its own."""

    def interrupted(_: object, protocol: int) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    executor = pool(1)
    executor.submit(tasks.double, 1).result()  # a worker that is forked now has the class as it is
    monkeypatch.setattr(tasks.Plain, "__reduce_ex__", interrupted, raising=False)
    with pytest.raises(KeyboardInterrupt):
        executor.submit({1: tasks.Plain()}.get, 1)
    assert isinstance(executor.submit({1: tasks.Plain()}.get, 1).result(), tasks.Plain)


@pytest.mark.ours
def test_what_a_signal_handler_raises_is_not_a_task_s(
    pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(_: object, protocol: int) -> None:
        monkeypatch.undo()
        sys.exit(3)

    executor = pool(1)
    monkeypatch.setattr(tasks.Plain, "__reduce_ex__", ended, raising=False)
    with pytest.raises(SystemExit):
        executor.submit(tasks.double, tasks.Plain())


@pytest.mark.ours
def test_a_ctrl_c_as_the_first_task_is_looked_at(program: Program) -> None:
    """What is found out once, for the first of them, is not the place to lose it."""
    text = program("""
        from manyhands import _pickling

        def interrupted():
            raise KeyboardInterrupt

        _pickling.main_can_be_imported = interrupted
        with make(1) as executor:
            try:
                executor.submit(tasks.double, 1)
            except KeyboardInterrupt:
                print("raised")
    """)
    with on_terminal(text) as running:
        running.read_to_the_end()
        assert running.process.wait() == 0, running.said
        assert running.said == "raised\n"


@pytest.mark.ours
def test_what_an_initializer_starts_hears_of_it(pool: MakePool) -> None:
    executor = pool(1, initializer=tasks.start_process)
    assert executor.submit(tasks.what_it_saw).result() == ("False True", True)


@pytest.mark.ours
def test_an_initializer_may_have_its_worker_ignore_it(pool: MakePool) -> None:
    assert pool(1, initializer=tasks.ignore_ctrl_c).submit(tasks.ctrl_c_is_ignored).result()


@pytest.mark.ours
def test_who_handles_a_ctrl_c_can_go_on(program: Program) -> None:
    """The workers live through it: what they run is theirs to end or to finish."""
    text = program("""
        executor = make(1)
        executor.submit(tasks.double, 1).result()
        try:
            print("ready", flush=True)
            tasks.idle()
        except KeyboardInterrupt:
            print("caught", executor.submit(tasks.double, 4).result(), flush=True)
        executor.shutdown()
    """)
    with on_terminal(text) as running:
        running.read_until("ready")
        running.type(CTRL_C)
        running.read_to_the_end()
        assert running.process.wait() == 0, running.said
        assert running.said.endswith("caught 8\n")
        assert "Traceback" not in running.said
