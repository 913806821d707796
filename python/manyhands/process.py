"""`ProcessPoolExecutor`: the standard library's own for now."""

from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor

__all__ = ["BrokenProcessPool", "ProcessPoolExecutor"]
