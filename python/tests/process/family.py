"""Which processes there are: found by a mark in their environment, also when their parent is gone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import uuid
from pathlib import Path
from typing import Any

from patience import until

MARK = "MANYHANDS_TEST_FAMILY"


def new_mark() -> str:
    return uuid.uuid4().hex


def with_mark(mark: str) -> list[int]:
    """The living processes that were started with this mark, at whatever remove."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # That of a zombie is empty: it only waits to be collected.
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue  # it has just ended, or is another user's
    return found


def until_all_ended(mark: str) -> None:
    """Returns when none is left; what stays is the watchdog's."""
    try:
        until(lambda: not with_mark(mark))
    finally:
        for pid in with_mark(mark):
            os.kill(pid, signal.SIGKILL)


def workers() -> list[Any]:
    """The processes that multiprocessing has started here and that have not ended."""
    return multiprocessing.active_children()


def is_alive(pid: int) -> bool:
    """Whether it is there and no zombie."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return words[0] not in "ZX"


def state_of(pid: int) -> str:
    """R, S, T, as `ps` tells it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def until_gone(pid: int) -> None:
    until(lambda: not is_alive(pid))
