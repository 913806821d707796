"""Where and on what the figures were measured."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def facts() -> list[str]:
    """A line each on the machine and on the state of the sources."""
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return [
        f"machine: {_cpu()}, {cores()} cores, {_memory()}{platform.system()} {platform.release()}",
        f"load before the run: {os.getloadavg()[0]:.2f}",
        f"date: {today}, commit: {_commit()}",
    ]


def cores() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu() -> str:
    return _line_of("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()


def _memory() -> str:
    total = _line_of("/proc/meminfo", "MemTotal")
    return f"{int(total.split()[0]) / 1024**2:.0f} GiB, " if total else ""


def _line_of(file: str, field: str) -> str:
    path = Path(file)
    for line in path.read_text().splitlines() if path.exists() else []:
        name, _, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    return ""


def _commit() -> str:
    head = _git("rev-parse", "--short", "HEAD")
    if not head:
        return "unknown"
    changed = _git("status", "--porcelain", "--", "crates", "python")
    return head + (" with changes" if changed else "")


def _git(*words: str) -> str:
    try:
        command = ["git", "-C", str(ROOT), *words]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
