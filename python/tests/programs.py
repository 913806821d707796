"""Runs programs for the tests, each under a watchdog."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

# Only a program that hangs takes so long.
WATCHDOG_SECONDS = 120

# What the tests serve must not go through a proxy; text is UTF-8 whatever the machine's locale.
ENVIRONMENT = {**os.environ, "no_proxy": "*", "PYTHONFAULTHANDLER": "1", "PYTHONUTF8": "1"}


class Ended(NamedTuple):
    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()


def run(
    *command: str | Path,
    stdin: bytes = b"",
    stderr: int = subprocess.PIPE,
    cwd: Path | None = None,
    executable: str = sys.executable,
) -> Ended:
    """Runs Python, or another executable, to its end; one that hangs fails the test and shows where
    each of its threads is.
    """
    process = subprocess.Popen(
        [executable, *map(str, command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        cwd=cwd,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(stdin, WATCHDOG_SECONDS)
    except subprocess.TimeoutExpired:
        # The group, for worker processes would keep the pipes open.
        os.killpg(process.pid, signal.SIGABRT)
        out, err = process.communicate()
        pytest.fail(f"{command} hangs\n{out.decode()}\n{(err or b'').decode()}")
    return Ended(process.returncode, out.decode(), (err or b"").decode())


def succeed(*command: str | Path, stdin: bytes = b"", cwd: Path | None = None) -> Ended:
    """Runs Python; a failure, or anything on standard error, fails the test."""
    ended = run(*command, stdin=stdin, cwd=cwd)
    assert (ended.code, ended.stderr) == (0, ""), ended
    return ended
