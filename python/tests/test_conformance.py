"""All executors behave as executors should: ours, and the standard library's but for what it leaves out."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

import manyhands
from manyhands.conformance import (
    STDLIB_PROCESSES_LEAVE_OUT,
    STDLIB_THREADS_LEAVE_OUT,
    ExecutorConformance,
)


class Threads(ExecutorConformance):
    def make(self) -> Any:
        return self.futures.ThreadPoolExecutor(self.workers)

    def make_breaking(self) -> tuple[Any, Callable[[], object]]:
        go = threading.Event()

        def fail() -> None:
            go.wait()
            raise OSError("on purpose")

        return self.futures.ThreadPoolExecutor(self.workers, initializer=fail), go.set


class Processes(ExecutorConformance):
    method: str
    workers = 2
    closures = False

    def make(self) -> Any:
        context = multiprocessing.get_context(self.method)
        return self.futures.ProcessPoolExecutor(self.workers, mp_context=context)

    def make_breaking(self) -> tuple[Any, Callable[[], object]]:
        executor = self.make()

        def kill() -> None:
            for process in list(executor._processes.values()):
                os.kill(process.pid, signal.SIGKILL)

        return executor, kill


class TestInline(ExecutorConformance):
    make = manyhands.InlineExecutor
    inline = True
    nested_waits = True


class TestOneThread(Threads):
    workers = 1
    nested_waits = True


class TestFourThreads(Threads):
    workers = 4
    nested_waits = True


class TestBoundedThreads(ExecutorConformance):
    workers = 2
    nested_waits = True

    def make(self) -> Any:
        return manyhands.ThreadPoolExecutor(2, max_pending=16)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
class TestForkedProcesses(Processes):
    method = "fork"


class TestSpawnedProcesses(Processes):
    method = "spawn"


class TestProcessesOfAForkServer(Processes):
    method = "forkserver"


class TestStdlibThreads(Threads):
    futures = concurrent.futures
    workers = 2
    left_out = STDLIB_THREADS_LEAVE_OUT


class TestStdlibProcesses(Processes):
    method = "spawn"
    futures = concurrent.futures
    ahead = 3  # its queue of calls holds one more than it has workers
    left_out = STDLIB_PROCESSES_LEAVE_OUT
