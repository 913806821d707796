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


KNOWN: tuple[Known, ...] = tuple(
    Known(
        "test.test_concurrent_futures.test_process_pool."
        f"ProcessPool{method}ProcessPoolExecutorTest.test_python_finalization_error",
        ("3.13",),
        "a pool's second thread is made to fail at its start, and here a pool has but one",
    )
    for method in ("Fork", "Forkserver", "Spawn")
)
