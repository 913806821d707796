"""How programs with pools end by themselves: all that is to be done is done."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest
from programs import run, succeed
from whole_programs import HERE, Files, Program, ended


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
