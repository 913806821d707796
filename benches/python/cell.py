"""One measurement in a process of its own: `cell.py ROW SUBJECT`, the outcome as JSON on stdout.

bench.py runs this file, with any interpreter it likes.
"""

from __future__ import annotations

import argparse
import faulthandler
import functools
import importlib
import json
import os
import platform
import sys
import threading
from importlib import metadata
from pathlib import Path
from typing import Any

from subjects import SUBJECTS, WORKERS, Cannot, Subject
from workloads import ROWS, busy, loops_for, noop


def measure(row_key: str, subject: Subject, divisor: int, loops: int) -> dict[str, Any]:
    row = ROWS[row_key]
    task = functools.partial(busy, loops) if row.microseconds else noop
    return row.work(subject, row.count // divisor, task)


def observe(subject: Subject) -> list[str]:
    """What one should know about a subject before comparing figures."""
    remarks = []
    caller = threading.get_ident()

    def who(_: object = None) -> int:
        busy(500)
        return threading.get_ident()

    for name, run in (("submit", subject.submit_all), ("map", subject.map_all)):
        threads = set(run(who, 4000))
        if caller in threads:
            remarks.append(f"{name} also runs tasks in the calling thread")
        if len(threads - {caller}) > WORKERS:
            remarks.append(f"{name} uses {len(threads - {caller})} threads")
    if list(subject.map_all(noop, 1000)) != list(range(1000)):
        remarks.append("map gives results in any order")
    return remarks


def describe(subject_name: str) -> dict[str, Any]:
    kind = SUBJECTS[subject_name]
    try:
        version, remarks = kind.version(), observe(kind())
    except (ImportError, metadata.PackageNotFoundError) as error:
        return {"absent": f"{type(error).__name__}: {error}"}
    if subject_name == "manyhands":
        core = importlib.import_module("manyhands._core")
        remarks.append(f"`{Path(core.__file__ or '').name}` on {python()}")
    return {"version": version, "remarks": remarks}


def python() -> str:
    """This interpreter in a few words."""
    locked = getattr(sys, "_is_gil_enabled", lambda: True)()
    words = [platform.python_implementation(), platform.python_version()]
    words += [] if locked else ["free-threaded"]
    return f"{' '.join(words)} ({platform.python_compiler()})"


def interpreter() -> dict[str, Any]:
    return {
        "python": python(),
        "loops": {
            str(row.microseconds): loops_for(row.microseconds)
            for row in ROWS.values()
            if row.microseconds
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", choices=[*ROWS, "describe", "interpreter"])
    parser.add_argument("subject", choices=SUBJECTS, nargs="?", default="stdlib")
    parser.add_argument("--divisor", type=int, default=1)
    parser.add_argument("--loops", type=int, default=0)
    parser.add_argument("--limit", type=float, default=60)
    options = parser.parse_args()
    # A hang shows where; `exit` because a hanging pool may also hang the interpreter's end.
    faulthandler.enable()
    faulthandler.dump_traceback_later(options.limit, exit=True)
    outcome: dict[str, Any]
    if options.row == "interpreter":
        outcome = interpreter()
    elif options.row == "describe":
        outcome = describe(options.subject)
    else:
        subject = SUBJECTS[options.subject]()
        try:
            figures = measure(options.row, subject, options.divisor, options.loops)
            outcome = {"figures": figures}
        except Cannot as error:
            outcome = {"cannot": str(error)}
    print(json.dumps(outcome), flush=True)
    # How a pool ends is not what is measured here, and not every peer ends well.
    os._exit(0)


if __name__ == "__main__":
    main()
