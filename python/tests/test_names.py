"""The names of the package, and the standard library's classes behind them."""

import concurrent.futures

import manyhands
from manyhands import Future


def test_it_is_the_standard_librarys_for_whoever_asks() -> None:
    assert issubclass(Future, concurrent.futures.Future)
    assert issubclass(manyhands.Executor, concurrent.futures.Executor)
    assert issubclass(manyhands.ThreadPoolExecutor, concurrent.futures.ThreadPoolExecutor)
    for name in (
        "CancelledError",
        "TimeoutError",
        "InvalidStateError",
        "BrokenExecutor",
        "ALL_COMPLETED",
        "FIRST_COMPLETED",
        "FIRST_EXCEPTION",
    ):
        assert getattr(manyhands, name) is getattr(concurrent.futures, name)
    for name in concurrent.futures.__all__:
        assert name in manyhands.__all__ and hasattr(manyhands, name)
