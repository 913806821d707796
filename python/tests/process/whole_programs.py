"""Whole programs with pools, for tests of how they end."""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

from patience import until
from programs import Ended, run

Files = Callable[[str], Path]
Program = Callable[[str], str]
HERE = Path(__file__).parent

PREAMBLE = """
import atexit, multiprocessing, os, signal, sys, threading, time
from pathlib import Path
import subject, tasks, large, trouble
from patience import until

FOLDER = Path({folder!r})
CONTEXT = multiprocessing.get_context({start!r})

def make(workers=2, **options):
    return subject.ProcessPoolExecutor(workers, mp_context=CONTEXT, **options)

def occupy(executor, task, workers=2):
    futures = [executor.submit(task, FOLDER / str(number)) for number in range(workers)]
    until(lambda: all((FOLDER / str(number)).exists() for number in range(workers)))
    return futures
"""


def text_of(code: str, start: str, folder: Path) -> str:
    """A program's text, for `python -c` in this folder."""
    # The tests' own helpers are in the folder above.
    path = f"import sys; sys.path.append({str(HERE.parent)!r})\n"
    return path + PREAMBLE.format(folder=str(folder), start=start) + textwrap.dedent(code)


def ended(text: str) -> Ended:
    return run("-c", text, cwd=HERE)


def until_ready(parent: subprocess.Popen[bytes], files: Files) -> None:
    until(lambda: files("ready").exists() or parent.poll() is not None)
    assert files("ready").exists(), "it ended before"
