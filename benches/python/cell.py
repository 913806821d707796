"""One measurement in a process of its own: `cell.py ROW SUBJECT`, the outcome as JSON on stdout.

bench.py runs this file, with any interpreter it likes, and ends what processes it leaves.
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

import process_subjects
import process_workloads
import subjects
import workloads
from subjects import WORKERS, Cannot, Subject
from workloads import busy, loops_for, noop


def measure(row: workloads.Row, subject: Any, divisor: int, loops: int) -> dict[str, Any]:
    task = functools.partial(busy, loops) if row.microseconds else noop
    return row.work(subject, max(1, row.count // divisor), task)


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


def describe(subject_name: str, of_processes: bool) -> dict[str, Any]:
    try:
        if of_processes:
            version, remarks = process_subjects.SUBJECTS[subject_name].version(), []
            process_subjects.SUBJECTS[subject_name]()
        else:
            kind = subjects.SUBJECTS[subject_name]
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
            for row in workloads.ROWS.values()
            if row.microseconds
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row")
    parser.add_argument("subject", nargs="?", default="stdlib")
    parser.add_argument("--processes", action="store_true")
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
        outcome = describe(options.subject, options.processes)
    else:
        rows = process_workloads.ROWS if options.processes else workloads.ROWS
        kinds = process_subjects.SUBJECTS if options.processes else subjects.SUBJECTS
        subject = kinds[options.subject]()
        try:
            figures = measure(rows[options.row], subject, options.divisor, options.loops)
            outcome = {"figures": figures}
        except Cannot as error:
            outcome = {"cannot": str(error)}
        if options.processes:
            subject.end()
    print(json.dumps(outcome), flush=True)
    # How a pool ends is not what is measured here, and not every peer ends well.
    os._exit(0)


if __name__ == "__main__":
    main()
