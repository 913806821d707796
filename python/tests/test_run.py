"""`python -m manyhands` and `manyhands.install()`: unchanged programs on our executor."""

import textwrap
from pathlib import Path

import pytest
from programs import Ended, run, succeed

# What a program sees that does not know us.
LOOK = """
import concurrent.futures, concurrent.futures.thread, concurrent.futures._base, sys
from concurrent.futures import ThreadPoolExecutor, Future, wait, as_completed
for thing in (ThreadPoolExecutor, Future, concurrent.futures.thread.ThreadPoolExecutor,
              concurrent.futures._base.Future):
    assert thing.__module__.startswith("manyhands"), thing
with ThreadPoolExecutor(2) as executor:
    futures = [executor.submit(pow, 2, n) for n in range(4)]
    print(sorted(f.result() for f in as_completed(futures)), len(wait(futures).done))
print(__name__, sys.argv, sys.modules["__main__"].__dict__ is globals())
"""
FUTURES = "[1, 2, 4, 8] 4"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A program, a module that is its neighbour, and a package that can be run."""
    (tmp_path / "program.py").write_text(LOOK + "print(__file__)\nimport neighbour\n")
    (tmp_path / "neighbour.py").write_text("print('neighbour')\n")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(LOOK + "from . import inner\n")
    (package / "inner.py").write_text("print('inner')\n")
    directory = tmp_path / "directory"
    directory.mkdir()
    (directory / "__main__.py").write_text(LOOK + "import inner\n")
    (directory / "inner.py").write_text("print('inner')\n")
    return tmp_path


def test_a_program(folder: Path) -> None:
    program = folder / "program.py"
    ended = succeed("-m", "manyhands", program, "-x", "--flag", "word", cwd=folder.parent)
    arguments = [str(program), "-x", "--flag", "word"]
    assert ended.lines == [FUTURES, f"__main__ {arguments} True", str(program), "neighbour"]


def test_a_program_by_its_relative_name(folder: Path) -> None:
    ended = succeed("-m", "manyhands", "program.py", cwd=folder)
    assert ended.lines[1] == "__main__ ['program.py'] True"
    assert ended.lines[3] == "neighbour"


def test_a_module(folder: Path) -> None:
    ended = succeed("-m", "manyhands", "-m", "package", "-c", "word", cwd=folder)
    file = str(folder / "package" / "__main__.py")
    assert ended.lines == [FUTURES, f"__main__ {[file, '-c', 'word']} True", "inner"]


def test_a_directory(folder: Path) -> None:
    directory = folder / "directory"
    ended = succeed("-m", "manyhands", directory, "word")
    assert ended.lines == [FUTURES, f"__main__ {[str(directory), 'word']} True", "inner"]


def test_code(folder: Path) -> None:
    ended = succeed("-m", "manyhands", "-c", LOOK + "import neighbour", "-m", "word", cwd=folder)
    assert ended.lines == [FUTURES, "__main__ ['-c', '-m', 'word'] True", "neighbour"]


def test_install() -> None:
    program = f"import manyhands; manyhands.install(); manyhands.install()\n{LOOK}"
    assert succeed("-c", program).lines == [FUTURES, "__main__ ['-c'] True"]


def test_install_after_the_program_has_imported_the_module() -> None:
    program = """
        import asyncio, concurrent.futures, concurrent.futures.thread
        import manyhands
        manyhands.install()
        assert concurrent.futures.ThreadPoolExecutor is manyhands.ThreadPoolExecutor
        assert concurrent.futures.Future is manyhands.Future
        assert concurrent.futures.wait is manyhands.wait
        assert concurrent.futures.as_completed is manyhands.as_completed
        async def main():
            return await asyncio.to_thread(pow, 2, 10), type(
                asyncio.get_running_loop()._default_executor)
        print(asyncio.run(main()) == (1024, manyhands.ThreadPoolExecutor))
        with concurrent.futures.ProcessPoolExecutor(1) as executor:
            future = executor.submit(pow, 2, 10)
            print(future.result(), len(concurrent.futures.wait([future]).done))
    """
    assert succeed("-c", textwrap.dedent(program)).lines == ["True", "1024 1"]


def test_functions_of_the_program_can_be_pickled(folder: Path) -> None:
    (folder / "pickles.py").write_text(
        textwrap.dedent("""
        import multiprocessing, pickle
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

        class Point:
            def __init__(self, x):
                self.x = x

        def double(point):
            return Point(2 * point.x)

        if __name__ == "__main__":
            assert pickle.loads(pickle.dumps(double)) is double
            with ThreadPoolExecutor(1) as executor:
                print(executor.submit(pickle.loads, pickle.dumps(Point(3))).result().x)
            for method in ("fork", "spawn"):
                context = multiprocessing.get_context(method)
                with ProcessPoolExecutor(1, context) as executor:
                    print(method, executor.submit(double, Point(4)).result().x)
    """)
    )
    ended = run("-m", "manyhands", folder / "pickles.py")
    assert (ended.code, ended.lines) == (0, ["3", "fork 8", "spawn 8"]), ended.stderr


ENDS = [
    ("raise SystemExit(3)", 3, ""),
    ("import sys; sys.exit('no')", 1, "no\n"),
    ("pass", 0, ""),
    ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -15, ""),
]


@pytest.mark.parametrize("code, status, stderr", ENDS)
@pytest.mark.parametrize("way", ["program", "-c", "-m"])
def test_how_programs_end(way: str, code: str, status: int, stderr: str, tmp_path: Path) -> None:
    ended = run_in_way(way, code, tmp_path)
    assert (ended.code, ended.stderr) == (status, stderr)


@pytest.mark.parametrize("way", ["program", "-c", "-m"])
def test_a_traceback_shows_the_program(way: str, tmp_path: Path) -> None:
    code = "def fails():\n    raise OSError('mine')\n\nfails()\n"
    ended = run_in_way(way, code, tmp_path)
    assert (ended.code, ended.stdout) == (1, "")
    lines = ended.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "OSError: mine"
    name = "<string>" if way == "-c" else str(tmp_path / "program.py")
    assert f'  File "{name}", line 4, in <module>' in lines
    assert f'  File "{name}", line 2, in fails' in lines
    if way != "-c":
        assert "    raise OSError('mine')" in lines


def test_a_program_that_cannot_be_compiled(tmp_path: Path) -> None:
    ended = run_in_way("program", "x = \n", tmp_path)
    assert ended.code == 1
    assert ended.stderr.splitlines()[-1] == "SyntaxError: invalid syntax"


def run_in_way(way: str, code: str, folder: Path) -> Ended:
    (folder / "program.py").write_text(code)
    return {
        "program": lambda: run("-m", "manyhands", folder / "program.py"),
        "-c": lambda: run("-m", "manyhands", "-c", code),
        "-m": lambda: run("-m", "manyhands", "-m", "program", cwd=folder),
    }[way]()


@pytest.mark.parametrize("arguments", [[], ["-m"], ["-c"], ["--unknown"], ["-x", "program.py"]])
def test_wrong_usage_is_told(arguments: list[str]) -> None:
    ended = run("-m", "manyhands", *arguments)
    assert (ended.code != 0, ended.stdout) == (True, "")
    assert ended.stderr.startswith("usage: python -m manyhands program.py")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(flag: str) -> None:
    assert succeed("-m", "manyhands", flag).stdout.startswith("usage: python -m manyhands")


@pytest.mark.parametrize("arguments", [["nowhere.py"], ["-m", "nowhere"]])
def test_a_program_that_there_is_not(arguments: list[str], tmp_path: Path) -> None:
    ended = run("-m", "manyhands", *arguments, cwd=tmp_path)
    assert ended.code != 0
    assert "nowhere" in ended.stderr.splitlines()[-1]


def test_importing_it_does_not_import_multiprocessing() -> None:
    program = "import manyhands, sys; print('multiprocessing' in sys.modules)"
    assert succeed("-c", program).stdout == "False\n"
