"""Pools for Python side by side: manyhands, the stdlib and their peers, in one run.

Run it with the Python of a virtual environment that holds manyhands and the peers:

    python -m venv .venv && . .venv/bin/activate
    pip install .                                   # manyhands, from the checkout
    python benches/python/bench.py --install        # the peers, those that install here
    python benches/python/bench.py --write benches/RESULTS.md
    python benches/python/bench.py --processes --write benches/RESULTS.md

The first is of threads, the second of worker processes. Every figure comes from a process of its own, which is killed when it hangs. The subjects take
turns in every round, so that noise hits all alike. All pools have 2 workers.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
import peers
import process_subjects
import process_workloads
import report
import subjects
import workloads
from report import Cell
from subjects import WORKERS
from workloads import Row

CELL = Path(__file__).with_name("cell.py")


@dataclass(frozen=True)
class Contestant:
    """A subject, and the interpreter it runs in."""

    name: str
    subject: str
    python: str = sys.executable


@dataclass(frozen=True)
class Plan:
    """How each cell is run."""

    rounds: int
    divisor: int
    limit: float
    processes: bool

    @property
    def rows(self) -> dict[str, Row]:
        return process_workloads.ROWS if self.processes else workloads.ROWS

    @property
    def subjects(self) -> dict[str, Any]:
        return process_subjects.SUBJECTS if self.processes else subjects.SUBJECTS


def main() -> None:
    options = arguments()
    if options.install:
        peers.install()
        return
    plan = Plan(options.rounds, 1, options.limit, options.processes)
    if options.quick:
        plan = Plan(1, 10, min(20, options.limit), options.processes)
    names = options.subjects or list(plan.subjects)
    keys = options.only or list(plan.rows)
    for unknown in {*names} - {*plan.subjects} | {*keys} - {*plan.rows}:
        sys.exit(f"{unknown} is none of {', '.join([*plan.rows, *plan.subjects])}")
    contestants = [Contestant(name, name) for name in names]
    baseline = "stdlib"
    if options.ours:
        contestants = [Contestant(label, "manyhands", python) for label, python in options.ours]
        baseline = contestants[0].name

    python = interpreter(sys.executable)["python"]
    place = machine.facts()
    present, legend = introduce(contestants, plan)
    run = report.Run(
        title=f"Python{', worker processes' if plan.processes else ''}: {python}",
        baseline=baseline,
        ours=[one.name for one in present if one.subject == "manyhands"],
        introduction=introduction(place, baseline, plan),
        legend=legend,
        rows=[(plan.rows[key], measure(plan.rows[key], present, plan)) for key in keys],
        yardsticks=process_subjects.YARDSTICKS if plan.processes else [],
    )
    text = report.markdown(run)
    if options.write:
        name = "python-processes" if plan.processes else "python"
        name += f"-{options.python_tag}" if options.python_tag else ""
        report.write(options.write, name, text)
    else:
        print(text)


def introduction(place: list[str], baseline: str, plan: Plan) -> list[str]:
    rounds = (
        f"{plan.rounds} rounds, in which all subjects took turns"
        if plan.rounds > 1
        else "one round"
    )
    lines = [
        *place,
        f"each pool has {WORKERS} workers; median and best of {rounds}",
        "every figure comes from a process of its own",
        f"against {baseline}: how many times faster, or smaller, by the medians",
    ]
    if plan.divisor > 1:
        lines.append(f"a quick run, with 1/{plan.divisor} of the tasks: not for comparing")
    return [f"- {line}" for line in lines]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--install", action="store_true", help="install the peers, nothing else")
    parser.add_argument("--processes", action="store_true", help="pools of worker processes")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="put the report between the markers <!-- python:begin --> and <!-- python:end --> "
        "of this file, not on the screen",
    )
    parser.add_argument(
        "--python-tag",
        metavar="TAG",
        help="use the markers python-TAG:begin and :end, for one report a Python in one file",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="ROW",
        help=f"rows: {', '.join(workloads.ROWS)}; of processes: {', '.join(process_workloads.ROWS)}",
    )
    parser.add_argument(
        "--subjects",
        nargs="+",
        metavar="NAME",
        help=f"libraries: {', '.join(subjects.SUBJECTS)}; of processes: "
        f"{', '.join(process_subjects.SUBJECTS)}",
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often (default: 3)")
    parser.add_argument(
        "--limit", type=float, default=60, help="seconds until a process counts as hanging"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the tasks, one round")
    parser.add_argument(
        "--ours",
        nargs="+",
        metavar="LABEL=PYTHON",
        type=labelled,
        help="only manyhands, as these interpreters have it installed, against the first",
    )
    return parser.parse_args()


def labelled(text: str) -> tuple[str, str]:
    label, sign, python = text.partition("=")
    if not (label and sign and python):
        raise argparse.ArgumentTypeError(f"{text} should read LABEL=PYTHON")
    return label, python


@functools.cache
def interpreter(python: str) -> dict[str, Any]:
    """What `python` is, and how it must loop to be busy for so many microseconds."""
    found = cell("interpreter", Contestant(python, "stdlib", python), [], 60)
    if "trouble" in found:
        sys.exit(f"{python} cannot be measured: {found['trouble']}")
    return found


def introduce(contestants: list[Contestant], plan: Plan) -> tuple[list[Contestant], list[str]]:
    """Those that can be started at all; and a line on each, also on those that cannot."""
    present, legend = [], []
    for one in contestants:
        flags = ["--limit", str(plan.limit), *(["--processes"] if plan.processes else [])]
        found = cell("describe", one, flags, plan.limit)
        kind = plan.subjects[one.subject]
        if "absent" in found:
            reason = peers.why_absent(kind.distribution or "", found["absent"])
            legend.append(f"- **{one.name}**: not installed: {reason}")
            continue
        present.append(one)
        title = " ".join(filter(None, [f"**{one.name}**", found.get("version")]))
        remarks = [kind.how, *found.get("remarks", [])]
        if "trouble" in found:
            remarks.append(f"when looked at, it {found['trouble']}")
        legend.append(f"- {title}: {'; '.join(remarks)}")
    return present, legend


def measure(row: Row, contestants: list[Contestant], plan: Plan) -> report.Cells:
    """All rounds of one row, each begun by another contestant."""
    cells = {one.name: Cell() for one in contestants}
    flags = ["--divisor", str(plan.divisor), "--limit", str(plan.limit)]
    flags += ["--processes"] if plan.processes else []
    for turn in range(plan.rounds):
        shift = turn % max(1, len(contestants))
        for one in contestants[shift:] + contestants[:shift]:
            if cells[one.name].trouble:
                continue
            loops = interpreter(one.python)["loops"].get(str(row.microseconds), 0)
            found = cell(row.key, one, [*flags, "--loops", str(loops)], plan.limit)
            if "figures" in found:
                cells[one.name].samples.append(found["figures"])
            else:
                cells[one.name].trouble = found.get("cannot") or found["trouble"]
            shown = cells[one.name].trouble or ", ".join(
                f"{report.number(figure)} {metric}" for metric, figure in found["figures"].items()
            )
            print(f"{row.key} {turn + 1}/{plan.rounds} {one.name}: {shown}", file=sys.stderr)
    return cells


def cell(row: str, one: Contestant, flags: list[str], limit: float) -> dict[str, Any]:
    """Runs cell.py; a hang or a crash is an outcome like others, under `trouble`."""
    command = [one.python, str(CELL), row, one.subject, *flags]
    # Files, and not pipes, which processes left behind would keep open; a session, to end them all.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True)
        try:
            # It ends itself at its own limit, saying where it hung; this is for when it cannot.
            process.wait(limit + 10)
        except subprocess.TimeoutExpired:
            return {"trouble": f"hung: killed after {limit + 10:.0f} s"}
        finally:
            with contextlib.suppress(ProcessLookupError):  # nothing was left
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        out.seek(0)
        err.seek(0)
        done = subprocess.CompletedProcess(command, process.returncode, out.read(), err.read())
    if done.returncode == 0 and done.stdout:
        outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return outcome
    print(done.stderr, file=sys.stderr)
    if "Timeout (" in done.stderr:
        return {"trouble": f"hung: killed after {limit:.0f} s"}
    if done.returncode < 0:
        return {"trouble": f"crashed: {signal.Signals(-done.returncode).name}"}
    return {"trouble": f"failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"}


if __name__ == "__main__":
    main()
