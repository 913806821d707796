"""What the package tells type checkers is true: mypy accepts and refuses what it should."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import manyhands

TYPING = Path(__file__).with_name("typing")
# Only a checker that hangs takes so long.
WATCHDOG_SECONDS = 240

Complaint = tuple[str, int, str]


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> set[Complaint]:
    """What mypy says about the files in `typing`: file, line, error code."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"]
    command += ["--cache-dir", str(tmp_path_factory.mktemp("cache")), "."]
    # In that folder it sees the package that is installed, and not its sources.
    ended = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=WATCHDOG_SECONDS, cwd=TYPING
    )
    assert ended.returncode in (0, 1), ended
    errors = re.findall(r"^(.+?):(\d+): error: .*\[([\w-]+)\]$", ended.stdout, re.MULTILINE)
    assert len(errors) == ended.stdout.count(": error: "), ended.stdout
    return {(Path(path).name, int(line), code) for path, line, code in errors}


def test_all_that_is_right_is_accepted(complaints: set[Complaint]) -> None:
    assert [complaint for complaint in complaints if complaint[0] != "refused.py"] == []


def test_all_that_is_wrong_is_refused(complaints: set[Complaint]) -> None:
    expected: set[Complaint] = set()
    for number, line in enumerate((TYPING / "refused.py").read_text("utf-8").splitlines(), 1):
        _, _, codes = line.partition("# refused: ")
        expected.update(("refused.py", number, code) for code in codes.split(", ") if code)
    assert expected
    assert {complaint for complaint in complaints if complaint[0] == "refused.py"} == expected


def test_the_package_says_that_it_is_typed() -> None:
    package = Path(manyhands.__file__).parent
    assert (package / "py.typed").is_file()
    assert (package / "_core.pyi").is_file()
