"""Runs the tests that came with this interpreter, CPython's own and unchanged, on manyhands.

    venv/bin/python python/tests/upstream/run.py [--logs FOLDER] [FILE ...]

Start it with the Python of a virtual environment that has manyhands installed. What the suite
starts as children is started isolated (`python -I`), where PYTHONPATH counts for nothing, so the
standard library is replaced by a `.pth` file: the environment's site-packages gets one that calls
`manyhands.install()` in every process that has MANYHANDS_INSTALL=1 in its environment.

Each test file is a `python -m test` of its own, and its exit status is the verdict. The tests of
known.py are left out of it and run one by one: they have to fail. With FILEs, only those run.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from known import KNOWN, Known
from outcome import Outcome, read, verdict_on_file, verdict_on_known

FUTURES = "test_concurrent_futures"
# The files of each suite; where a suite is itself one file, as in 3.10, all of that.
SUITES = {
    FUTURES: (
        "test_future",
        "test_thread_pool",
        "test_process_pool",
        "test_as_completed",
        "test_wait",
        "test_shutdown",
        "test_init",
        "test_deadlock",
    ),
    "test_asyncio": ("test_futures", "test_base_events", "test_events"),
    "test_compileall": (),
}

# Sub-interpreters are the standard library's own executors.
NOT_OURS = ("*InterpreterPool*",)

# Far above any honest run: the slowest file is 3.10's, with all of test_concurrent_futures in it, and
# sleeps for two minutes.
SECONDS_PER_FILE = 480
SECONDS_TO_DIE = 30
# More than cores: most of these tests sleep.
AT_ONCE = 3

PTH_NAME = "zz_manyhands_install.pth"  # sorts behind the .pth of an editable install
PTH = """\
import os; os.environ.get("MANYHANDS_INSTALL") == "1" and __import__("manyhands").install()
"""

SANITY = """
import importlib, sys
import concurrent.futures as futures
import concurrent.futures._base as base
import concurrent.futures.process as process
import concurrent.futures.thread as thread
import manyhands

under_test = {
    "futures.ThreadPoolExecutor": futures.ThreadPoolExecutor,
    "futures.ProcessPoolExecutor": futures.ProcessPoolExecutor,
    "futures.Future": futures.Future,
    "futures.wait": futures.wait,
    "futures.as_completed": futures.as_completed,
    "futures._base.Future": base.Future,
    "futures.process.ProcessPoolExecutor": process.ProcessPoolExecutor,
    "futures.thread.ThreadPoolExecutor": thread.ThreadPoolExecutor,
}
for name in sys.argv[1:]:
    suite = importlib.import_module(name)
    for mixin in (suite.ThreadPoolMixin, suite.ProcessPoolSpawnMixin):
        under_test[f"the suite's {mixin.__name__}"] = mixin.executor_type
strangers = [
    f"{name} is {thing.__module__}.{thing.__qualname__}"
    for name, thing in under_test.items()
    if thing.__module__.partition(".")[0] != "manyhands"
]
if strangers:
    sys.exit("manyhands is not under test: " + "; ".join(strangers))
print(f"under test: {manyhands.__file__}")
"""


def main() -> int:
    """Runs what there is and says how it went; 0 when all went as it should."""
    options = parsed()
    if sys.prefix == sys.base_prefix:
        return complain(f"{sys.executable} is no virtual environment's Python: see my docstring")
    files = files_of_this_python()
    if not files:
        return complain(
            f"nothing to run: {sys.executable} came without its `test` package "
            "(pyenv's builds and python.org's have it; some distributions package it apart)"
        )
    version = "{}.{}".format(*sys.version_info)
    known = [test for test in KNOWN if version in test.versions]
    if lost := [test.test for test in known if file_of(test.test) not in files]:
        return complain(f"known.py lists tests of files that are not run: {', '.join(lost)}")
    if options.files:
        files = [file for file in files if file.split(".")[-1] in options.files]
        known = [test for test in known if file_of(test.test) in files]
        if not files:
            return complain(f"none of these is a file of the suites: {', '.join(options.files)}")
    install_hook()
    with tempfile.TemporaryDirectory() as scratch:
        runner = Runner(options.logs or Path(scratch), Path(scratch))
        runner.make_sure_of_ours(files)
        complaints = runner.run(files, known)
    for complaint in complaints:
        print(f"upstream: {complaint}", file=sys.stderr)
    if complaints:
        return complain(f"{len(complaints)} things are not as they should be, listed above")
    print(f"upstream: all as it should be on CPython {sys.version.split()[0]}")
    return 0


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="CPython's own tests, run on manyhands.")
    parser.add_argument("files", nargs="*", metavar="FILE", help="test_wait, test_events, ...")
    parser.add_argument("--logs", type=Path, help="where to keep what each file has printed")
    options = parser.parse_args()
    if options.logs:
        options.logs = options.logs.resolve()
        options.logs.mkdir(parents=True, exist_ok=True)
    return options


def complain(what: str) -> int:
    """Says why this run has failed."""
    print(f"upstream: {what}", file=sys.stderr)
    return 1


def files_of_this_python() -> list[str]:
    """The test files to run, as `python -m test` takes them, of the suites that are installed."""
    found = []
    for suite, files in SUITES.items():
        spec = importlib.util.find_spec("test") and importlib.util.find_spec(f"test.{suite}")
        if spec is None:
            print(f"{suite} is not run: it did not come with this interpreter", flush=True)
        elif spec.submodule_search_locations is None:
            found.append(suite)
        else:
            found += [f"{suite}.{file}" for file in files]
    return found


def file_of(test: str) -> str:
    """The file of a test, from its full id: `test.<file>.<class>.<method>`."""
    return test.removeprefix("test.").rsplit(".", 2)[0]


def install_hook() -> None:
    """Writes the `.pth` file that puts manyhands in place."""
    Path(sysconfig.get_path("purelib"), PTH_NAME).write_text(PTH, encoding="utf-8")


def resources() -> str:
    """The costly tests to run as well: those that take long; 3.10 knows only one word for it."""
    names = importlib.import_module("test.libregrtest.cmdline").RESOURCE_NAMES
    return ",".join(word for word in ("cpu", "walltime") if word in names)


class Runner:
    """Starts the suite's files in processes of their own and judges how they end."""

    def __init__(self, logs: Path, scratch: Path) -> None:
        self.logs = logs
        self.scratch = scratch
        self.resources = resources()
        # What is set for Python here (PYTHONDONTWRITEBYTECODE, say) fails some tests anywhere.
        names = (name for name in os.environ if not name.startswith("PYTHON"))
        self.environment = {name: os.environ[name] for name in names}
        self.environment["MANYHANDS_INSTALL"] = "1"

    def make_sure_of_ours(self, files: list[str]) -> None:
        """Ends the program unless children see manyhands where the standard library was."""
        suite = [f"test.{FUTURES}"] if FUTURES in files else []
        if any(file.startswith(f"{FUTURES}.") for file in files):
            suite = [f"test.{FUTURES}.util"]
        isolated = [sys.executable, "-X", "faulthandler", "-I", "-c", SANITY, *suite]
        try:
            subprocess.run(isolated, env=self.environment, cwd=self.scratch, check=True, timeout=60)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            sys.exit("upstream: a child process does not run manyhands; see above")

    def run(self, files: list[str], known: list[Known]) -> list[str]:
        """Runs the files, and the known tests apart; returns what is not as it should be."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            whole = [pool.submit(self.run_file, file, known) for file in files]
            apart = [pool.submit(self.run_known, test) for test in known]
            return [complaint for job in whole + apart for complaint in job.result()]

    def run_file(self, file: str, known: list[Known]) -> list[str]:
        """Runs one file without its known tests and prints its line."""
        left_out = [*NOT_OURS, *(test.test for test in known if file_of(test.test) == file)]
        outcome = self.start(file, file, [word for name in left_out for word in ("-i", name)])
        complaints = verdict_on_file(file, outcome)
        if complaints:
            print(f"\n{'=' * 30} {file}\n{outcome.telling_lines()}\n{'=' * 30}", flush=True)
        print(outcome.line(file), flush=True)
        return complaints

    def run_known(self, known: Known) -> list[str]:
        """Runs one test that is expected to fail."""
        outcome = self.start(known.test, file_of(known.test), ["-m", known.test])
        complaints = verdict_on_known(known.test, outcome)
        if not complaints:
            print(f"{known.test} fails, as it must: {known.reason}", flush=True)
        return complaints

    def start(self, name: str, file: str, selection: list[str]) -> Outcome:
        """Runs `python -m test` on `file` and reads what it left."""
        report = self.scratch / f"{name}.xml"
        log = self.logs / f"{name}.log"
        # A thread left behind or an exception lost in a destructor is a failure too.
        command = [sys.executable, "-m", "test", "-v", "--fail-env-changed"]
        command += ["-u", self.resources, "--timeout", str(SECONDS_PER_FILE)]
        command += ["--junit-xml", str(report), *selection, file]
        begin = time.monotonic()
        with log.open("wb") as output:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.scratch,
                start_new_session=True,
            )
            try:
                # --timeout shows where every thread hangs, and ends the process; if it can.
                status = child.wait(SECONDS_PER_FILE + SECONDS_TO_DIE)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                kill_session(child)
        said = log.read_text(encoding="utf-8", errors="replace")
        return read(status, report, said, time.monotonic() - begin)


def kill_session(child: subprocess.Popen[bytes]) -> None:
    """Ends the child and whatever it has started and left behind."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    else:
        child.kill()
    child.wait()


if __name__ == "__main__":
    sys.exit(main())
