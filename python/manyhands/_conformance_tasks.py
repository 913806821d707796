"""What the conformance suite submits: functions that can be pickled, and import little.

A folder, its `place`, is how tasks and tests tell each other how far they are, in whatever process and
thread a task runs.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any


def echo(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def square(number: int) -> int:
    return number * number


def add(one: int, other: int) -> int:
    return one + other


def in_list(number: int) -> list[int]:
    return [number]


def odd_only(number: int) -> int:
    if number % 2 == 0:
        raise ValueError(f"{number} is even")
    return number


def hold(place: str, number: int) -> int:
    """Tells that it has begun, and ends when its place is opened, or is no more."""
    folder = Path(place)
    (folder / f"begun-{number}").touch()
    while folder.exists() and not (folder / "open").exists():
        time.sleep(0.001)
    return number


def note(place: str, number: int) -> int:
    """Leaves a line that it has run, whoever else does so at the same time."""
    with (Path(place) / "notes").open("a") as file:
        file.write(f"{number}\n")
    return number


def slow_first(number: int) -> int:
    """The first items take the longest."""
    time.sleep(0.02 if number < 2 else 0)
    return number


def step(place: str, number: int, held: int) -> int:
    """The first returns soon, so many are held, and the others leave a note."""
    if number == 0:
        time.sleep(0.05)  # not so short that a pool sends others ahead
        return number
    return (hold if number <= held else note)(place, number)
