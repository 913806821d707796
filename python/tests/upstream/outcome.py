"""What a `python -m test` of one file left behind, and whether all is as it should be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

# The head of a failure's report: `FAIL: test_x (test.file.Class.test_x)`, without the method
# in the parentheses before 3.11, and with the parameters of a subtest behind them.
HEAD = re.compile(r"^(?:FAIL|ERROR|UNEXPECTED SUCCESS): (\w+) \(([\w.]+)\)", re.MULTILINE)
# The line that opens each test, finished when the test is.
BEGUN = re.compile(r"^\w+ \([\w.]+\)", re.MULTILINE)
MOST_LINES = 300

# How `python -m test` says that no test failed, and yet something was not as it should be.
ENV_CHANGED = 3
NO_TESTS_RAN = 4


class Outcome(NamedTuple):
    """How the process ended (None: killed), how many tests it ran, and what it said."""

    status: int | None
    ran: int
    skipped: int
    failed: tuple[str, ...]
    said: str
    seconds: float

    def line(self, file: str) -> str:
        """One line for the table of all files."""
        counts = f"{self.ran:4} run {self.skipped:3} skipped {len(self.failed):3} failed"
        return f"{file:42}{counts} {self.seconds:6.1f} s"

    def telling_lines(self) -> str:
        """What was said, without the tests that passed."""
        lines = [line for line in self.said.splitlines() if not line.endswith(" ok")]
        return "\n".join(lines[-MOST_LINES:])


def read(status: int | None, report: Path, said: str, seconds: float) -> Outcome:
    """Reads the report that regrtest has written, if it came that far, and what it said."""
    ran = skipped = 0
    if report.exists():
        for case in ElementTree.parse(report).iter("testcase"):
            if case.find("skipped") is None:
                ran += 1
            else:
                skipped += 1
    # The report has no word of a subtest or a class that failed; the text has.
    failed = dict.fromkeys(full_id(*found.groups()) for found in HEAD.finditer(said))
    return Outcome(status, ran, skipped, tuple(failed), said, seconds)


def full_id(method: str, where: str) -> str:
    """The id that selects a failed test."""
    return where if where.endswith(f".{method}") else f"{where}.{method}"


def verdict_on_file(file: str, outcome: Outcome) -> list[str]:
    """What is wrong with the run of a file that has to pass."""
    complaints = [f"{test} fails" for test in outcome.failed]
    last = f"the last test it began is {last_begun(outcome.said)}"
    if outcome.status is None:
        complaints.append(f"{file} hangs; {last}")
    elif outcome.status == ENV_CHANGED:
        complaints.append(f"{file} leaves something behind, or changed: see its warnings above")
    elif outcome.status != 0 and not outcome.failed:
        what = "crashes" if outcome.status < 0 else "fails or hangs without naming a test"
        complaints.append(f"{file} {what} (status {outcome.status}); {last}")
    elif outcome.ran == 0 and not outcome.failed:
        complaints.append(f"{file} ran no test at all")
    return complaints


def verdict_on_known(test: str, outcome: Outcome) -> list[str]:
    """What is wrong with the run of a test that has to fail: a hang or a crash is as good."""
    fine_but = (0, ENV_CHANGED, NO_TESTS_RAN)
    if outcome.failed or outcome.status not in fine_but:
        return []
    if outcome.ran == 0:
        return [f"{test} does not exist, or is skipped: take it off known.py"]
    return [f"{test} passes: take it off known.py"]


def last_begun(said: str) -> str:
    """In a hang or a crash, the test that ran."""
    begun = [found.group() for found in BEGUN.finditer(said)]
    return begun[-1] if begun else "none"
