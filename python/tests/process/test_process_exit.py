"""How programs with pools end: by themselves, by Ctrl-C on a terminal, or killed. All that is to be
done is done, or nothing is left that would do it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from family import MARK, new_mark, until_all_ended, with_mark
from patience import until
from programs import ENVIRONMENT, Ended, run, succeed
from terminal import CTRL_C, on_terminal

Files = Callable[[str], Path]
HERE = Path(__file__).parent

PREAMBLE = """
import atexit, multiprocessing, os, signal, sys, threading, time
from pathlib import Path
import subject, tasks, large, trouble
from patience import until

FOLDER = Path({folder!r})
CONTEXT = multiprocessing.get_context({start!r})

def make(workers=2, **options):
    return subject.ProcessPoolExecutor(workers, mp_context=CONTEXT, **options)

def occupy(executor, task, workers=2):
    futures = [executor.submit(task, FOLDER / str(number)) for number in range(workers)]
    until(lambda: all((FOLDER / str(number)).exists() for number in range(workers)))
    return futures
"""


@pytest.fixture
def program(start: str, tmp_path: Path) -> Callable[[str], str]:
    """A program's text, for `python -c` in this folder."""

    def text(code: str) -> str:
        # The tests' own helpers are in the folder above.
        path = f"import sys; sys.path.append({str(HERE.parent)!r})\n"
        return path + PREAMBLE.format(folder=str(tmp_path), start=start) + textwrap.dedent(code)

    return text


Program = Callable[[str], str]


def ended(text: str) -> Ended:
    return run("-c", text, cwd=HERE)


def until_ready(parent: subprocess.Popen[bytes], files: Files) -> None:
    until(lambda: files("ready").exists() or parent.poll() is not None)
    assert files("ready").exists(), "it ended before"


@pytest.mark.parametrize(
    "leave", ["", "executor.shutdown(wait=False)", "del executor", "executor.shutdown()"]
)
def test_the_interpreter_ends_when_all_is_done(program: Program, files: Files, leave: str) -> None:
    end = ended(
        program(f"""
        executor = make()
        futures = [executor.submit(tasks.noted, FOLDER / "ran", n) for n in range(50)]
        results = executor.map(tasks.noted, [FOLDER / "ran"] * 50, range(50, 100))
        atexit.register(lambda: print(all(future.done() for future in futures)))
        {leave}
    """)
    )
    assert (end.code, end.stderr) == (0, "")
    ran = files("ran").read_text().split()
    assert sorted(map(int, ran)) == list(range(100))


def test_an_error_of_the_program_does_not_lose_what_is_pending(
    program: Program, files: Files
) -> None:
    end = ended(
        program("""
        executor = make(1)
        for number in range(10):
            executor.submit(tasks.noted, FOLDER / "ran", number)
        raise OSError("mine")
    """)
    )
    assert end.code == 1 and end.stderr.splitlines()[-1] == "OSError: mine"
    assert files("ran").read_text().split() == [str(number) for number in range(10)]


def test_sys_exit_keeps_its_code(program: Program) -> None:
    end = ended(program("executor = make(); executor.submit(int); sys.exit(3)"))
    assert (end.code, end.stderr) == (3, "")


def test_a_crash_while_the_interpreter_ends(program: Program) -> None:
    end = ended(
        program("""
        executor = make(1)
        executor.submit(tasks.slow, 0.2)
        executor.submit(tasks.kill_self)
        executor.submit(tasks.double, 1)
    """)
    )
    assert (end.code, end.stderr) == (0, "")


def test_submit_after_the_end_of_the_interpreter(program: Program) -> None:
    end = ended(
        program("""
        executor = make()
        executor.submit(int).result()

        @atexit.register
        def late():
            try:
                executor.submit(int)
            except RuntimeError as error:
                print(error)
    """)
    )
    assert (end.code, end.stderr) == (0, "")
    assert end.stdout == "cannot schedule new futures after shutdown\n" or (
        end.stdout == "cannot schedule new futures after interpreter shutdown\n"
    )


@pytest.mark.parametrize("how", ["import", "python -m manyhands"])
def test_functions_of_the_program_itself(start: str, tmp_path: Path, how: str) -> None:
    """Found by workers though they are `__main__`'s, and its global names with them."""
    package = "manyhands" if how == "import" else "concurrent.futures"
    script = tmp_path / "program.py"
    script.write_text(
        textwrap.dedent(f"""
        import multiprocessing
        from {package} import ProcessPoolExecutor

        class Thing:
            def __init__(self, value):
                self.value = value

        def task(thing):
            return Thing(thing.value + 1), {package.split(".")[0]!r}

        if __name__ == "__main__":
            context = multiprocessing.get_context({start!r})
            with ProcessPoolExecutor(2, mp_context=context) as executor:
                print([thing.value for thing, _ in executor.map(task, map(Thing, range(3)))])
                print(type(executor).__module__.split(".")[0])
    """)
    )
    words = [script] if how == "import" else ["-m", "manyhands", script]
    said = succeed(*words).lines
    assert said[0] == "[1, 2, 3]"
    if not os.environ.get("MANYHANDS_TEST_STDLIB"):
        assert said[1] == "manyhands"


def test_a_program_without_a_guard_is_told(tmp_path: Path) -> None:
    """Under spawn it would start itself again and again."""
    script = tmp_path / "program.py"
    script.write_text(
        textwrap.dedent("""
        import multiprocessing, sys
        sys.path[:0] = %r
        from subject import ProcessPoolExecutor
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as executor:
            print(executor.submit(int).exception())
    """)
        % [str(HERE)]
    )
    end = run(script)
    assert "terminated abruptly" in end.stdout or "start a new process before" in end.stderr


# Ctrl-C.

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
    "sleep": "executor = make(); occupy(executor, task); time.sleep(tasks.HOUR)",
}

# The parent says so when the tasks run; only then is the key typed.
ANNOUNCE = """
def announce():
    until(lambda: (FOLDER / "0").exists() and (FOLDER / "1").exists())
    time.sleep(0.1)  # for the main thread to wait where it will
    print("ready", flush=True)

threading.Thread(target=announce, daemon=True).start()
"""


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
        assert running.said.count("Traceback") == 1, running.said
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
        assert running.said.count("Traceback") == 1, running.said
        until(lambda: not with_mark(running.mark))


@pytest.mark.ours
def test_a_ctrl_c_for_idle_workers(program: Program) -> None:
    text = program("""
        executor = make()
        list(executor.map(tasks.double, range(10)))
        print("ready", flush=True)
        time.sleep(tasks.HOUR)
    """)
    with on_terminal(text) as running:
        running.read_until("ready")
        running.type(CTRL_C)
        running.read_to_the_end()
        assert running.said.count("Traceback") == 1, running.said
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
            assert running.said.count("Traceback") <= 1, running.said
            until(lambda running=running: not with_mark(running.mark))


@pytest.mark.ours
def test_who_handles_a_ctrl_c_can_go_on(program: Program) -> None:
    """The workers live through it: what they run is theirs to end or to finish."""
    text = program("""
        executor = make(1)
        executor.submit(tasks.double, 1).result()
        try:
            print("ready", flush=True)
            time.sleep(tasks.HOUR)
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


# The parent killed.


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
            os.kill(pid, signal.SIGKILL)
        parent.wait()
