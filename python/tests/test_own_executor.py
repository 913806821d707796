"""The chapter on an executor of one's own: its code is run as it is written, and its table holds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import manyhands
from manyhands.conformance import (
    STDLIB_PROCESSES_LEAVE_OUT,
    STDLIB_THREADS_LEAVE_OUT,
    ExecutorConformance,
)

CHAPTER = Path(__file__).resolve().parents[2] / "docs" / "own_executor.md"

# Only a run that hangs takes so long.
WATCHDOG_SECONDS = 200


def blocks() -> list[str]:
    fenced = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return fenced.findall(CHAPTER.read_text("utf-8"))


def test_the_chapters_executor_passes_the_chapters_tests(tmp_path: Path) -> None:
    executor, tests, _ = blocks()
    (tmp_path / "faulty_executor.py").write_text(executor, "utf-8")
    (tmp_path / "test_faulty_executor.py").write_text(tests, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."]
    package = str(Path(manyhands.__file__).parents[1])
    ended = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=WATCHDOG_SECONDS,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": package},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    passed = re.search(r"(\d+) passed", ended.stdout)
    assert passed is not None and int(passed[1]) > 80, ended.stdout


def test_what_is_left_out_is_a_behaviour() -> None:
    namespace: dict[str, object] = {"ExecutorConformance": ExecutorConformance}
    exec(blocks()[2], namespace)  # noqa: S102  # the chapter's own code
    mine: dict[str, str] = namespace["TestMine"].left_out  # type: ignore[attr-defined]
    for name in [*mine, *STDLIB_THREADS_LEAVE_OUT, *STDLIB_PROCESSES_LEAVE_OUT]:
        assert hasattr(ExecutorConformance, f"test_{name}"), name


def test_the_table_is_that_of_the_suite() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|", CHAPTER.read_text("utf-8"), re.MULTILINE)
    for column, leaves_out in ((1, STDLIB_THREADS_LEAVE_OUT), (2, STDLIB_PROCESSES_LEAVE_OUT)):
        left_out = {row[0] for row in rows if row[column] == "no"}
        if sys.version_info < (3, 14):
            left_out |= {row[0] for row in rows if row[column] == "since 3.14"}
        assert left_out == set(leaves_out)
