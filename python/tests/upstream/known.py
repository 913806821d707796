"""CPython's tests that cannot pass on manyhands by their nature. This list only shrinks.

Each of them is still run, alone: one that passes after all fails the runner, as does a name that
no test has. A test that fails because manyhands is wrong is not for this list.
"""

from typing import NamedTuple


class Known(NamedTuple):
    """One test, the CPythons ("3.13") on which it cannot pass, and why it cannot."""

    test: str
    versions: tuple[str, ...]
    reason: str


KNOWN: tuple[Known, ...] = ()
