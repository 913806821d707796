"""The runner's own judgement: what it makes of each way in which a test file can end."""

from __future__ import annotations

from pathlib import Path

import pytest
from outcome import Outcome, read, verdict_on_file, verdict_on_known

FILE = "test_asyncio.test_events"
TEST = "test.test_asyncio.test_events.HandleTests.test_handle"
REPORT = """\
<testsuites tests="3"><testsuite tests="3">
<testcase name="a" status="run" result="completed" />
<testcase><output /></testcase>
<testcase name="b" status="run" result="completed"><skipped>why</skipped></testcase>
</testsuite></testsuites>
"""


def ended(status: int | None, said: str = "", ran: int = 1, skipped: int = 0) -> Outcome:
    """An outcome with its failures read from what was said."""
    failed = read(status, Path("/no/such/report"), said, 0.0).failed
    return Outcome(status, ran, skipped, failed, said, 0.0)


def test_the_report_tells_how_many_tests_ran(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT, encoding="utf-8")
    outcome = read(0, report, "", 1.0)
    assert (outcome.ran, outcome.skipped) == (2, 1)


@pytest.mark.parametrize(
    "head",
    [
        f"FAIL: test_handle ({TEST})",
        f"ERROR: test_handle ({TEST})",
        "FAIL: test_handle (test.test_asyncio.test_events.HandleTests)",
        f"FAIL: test_handle ({TEST}) (size=3)",
        f"UNEXPECTED SUCCESS: test_handle ({TEST})",
    ],
)
def test_failures_are_named_by_their_full_id(head: str) -> None:
    outcome = ended(2, f"{'=' * 70}\n{head}\n{'-' * 70}\nTraceback")
    assert outcome.failed == (TEST,)
    assert verdict_on_file(FILE, outcome) == [f"{TEST} fails"]
    assert verdict_on_known(TEST, outcome) == []


def test_a_class_that_cannot_be_set_up_is_a_failure() -> None:
    outcome = ended(2, "ERROR: setUpClass (test.test_asyncio.test_events.HandleTests)", ran=0)
    assert outcome.failed == ("test.test_asyncio.test_events.HandleTests.setUpClass",)


def test_what_passes_is_right_in_a_file_and_wrong_in_the_list() -> None:
    assert verdict_on_file(FILE, ended(0)) == []
    assert verdict_on_known(TEST, ended(0)) == [f"{TEST} passes: take it off known.py"]


@pytest.mark.parametrize("skipped", [0, 3])
@pytest.mark.parametrize("status", [0, 4])
def test_a_run_of_nothing_is_never_right(status: int, skipped: int) -> None:
    nothing = ended(status, ran=0, skipped=skipped)
    assert len(verdict_on_file(FILE, nothing)) == 1
    assert "does not exist" in verdict_on_known(TEST, nothing)[0]


@pytest.mark.parametrize(
    ("status", "word"), [(None, "hangs"), (1, "hangs"), (-11, "crashes"), (2, "fails")]
)
def test_an_end_without_a_named_failure_tells_where_it_was(status: int | None, word: str) -> None:
    outcome = ended(status, "test_first (test.a.B.test_first) ... ok\ntest_x (test.a.B.test_x) ...")
    (complaint,) = verdict_on_file(FILE, outcome)
    assert word in complaint
    assert "test_x (test.a.B.test_x)" in complaint
    assert verdict_on_known(TEST, outcome) == []


def test_what_is_left_behind_is_a_failure_of_the_file_alone() -> None:
    (complaint,) = verdict_on_file(FILE, ended(3))
    assert "leaves something behind" in complaint
    assert verdict_on_known(TEST, ended(3)) == [f"{TEST} passes: take it off known.py"]
