"""Installs the peers one by one, and remembers why one could not be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
# Beside the packages it speaks of: it is true of this environment only.
REASONS = Path(sys.prefix) / "manyhands-bench-peers.json"


def install() -> None:
    """Every line of requirements.txt, with this interpreter's pip."""
    if sys.prefix == sys.base_prefix:
        sys.exit("make a virtual environment first (python -m venv DIR) and run its python")
    reasons = {}
    lines = REQUIREMENTS.read_text().splitlines()
    for requirement in [line for line in lines if line and not line.startswith("#")]:
        # The build tools are in requirements.txt too: some peer does not name those it needs.
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        command = [*pip, "--no-build-isolation", requirement]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            reasons[requirement.split("==")[0].lower()] = reason(done.stderr)
        print(f"{requirement}: {reason(done.stderr) if done.returncode else 'installed'}")
    REASONS.write_text(json.dumps(reasons))


def reason(complaint: str) -> str:
    """The line of pip's complaint that tells most: the last that names an error."""
    lines = [line.strip() for line in complaint.splitlines()]
    errors = [line for line in lines if "rror:" in line and "subprocess-exited" not in line]
    return (errors or lines or ["pip failed"])[-1].removeprefix("ERROR: ")


def why_absent(distribution: str, otherwise: str) -> str:
    """Why this package is not here."""
    reasons: dict[str, str] = json.loads(REASONS.read_text()) if REASONS.exists() else {}
    return reasons.get(distribution.lower(), otherwise)
