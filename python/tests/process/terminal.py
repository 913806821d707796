"""Runs a program on a terminal of its own, where Ctrl-C can be typed."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from family import MARK, new_mark, with_mark
from programs import ENVIRONMENT

CTRL_C = b"\x03"
HERE = Path(__file__).parent


class OnTerminal:
    """A program, all that it starts, and what they say."""

    def __init__(self, code: str) -> None:
        self.mark = new_mark()
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=HERE,
            env={**ENVIRONMENT, MARK: self.mark, "PYTHON_COLORS": "0"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        os.close(theirs)
        self.said = ""

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def read_until(self, wanted: str) -> None:
        """Reads on until something is said."""
        while wanted not in self.said:
            if not self._read():
                raise AssertionError(f"ended without saying {wanted!r}:\n{self.said}")

    def read_to_the_end(self) -> None:
        """Until no process has the terminal open any more."""
        while self._read():
            pass

    def _read(self) -> bool:
        try:
            some = os.read(self._ours, 1 << 16)
        except OSError:  # nobody is at the other end
            return False
        self.said += some.decode().replace("\r\n", "\n")
        return bool(some)

    def close(self) -> None:
        for pid in with_mark(self.mark):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._ours)


@contextmanager
def on_terminal(code: str) -> Iterator[OnTerminal]:
    """Whatever happens, nothing that was started is left."""
    program = OnTerminal(code)
    try:
        yield program
    finally:
        program.close()
