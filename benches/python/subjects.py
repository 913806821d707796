"""The libraries under measure, each behind the same few methods.

Every subject is asked in the way its own documentation recommends. What one cannot do raises
`Cannot`, whose text ends up in the report.
"""

from __future__ import annotations

import importlib
import queue
import time
from collections.abc import Callable
from importlib import metadata
from types import ModuleType
from typing import Any

WORKERS = 2

Function = Callable[..., Any]
# Untyped are the libraries, and so is what they return: an iterable and a set.
Results = Any
Handles = Any


class Cannot(Exception):
    """This subject has no such thing; the text says what is missing."""


class Subject:
    """A pool of two threads; what is not overridden is what the library cannot do."""

    distribution: str | None = None
    module: str
    how: str

    def __init__(self) -> None:
        self.library: ModuleType = importlib.import_module(self.module)
        self.open()

    @classmethod
    def version(cls) -> str:
        """The installed version; raises PackageNotFoundError where there is none."""
        return metadata.version(cls.distribution) if cls.distribution else ""

    def open(self) -> None:
        """Starts the pool."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends the pool, once all its tasks have run."""
        raise NotImplementedError

    def submit_all(self, function: Function, count: int) -> Results:
        """Hands `function` over `count` times, then collects every result."""
        raise NotImplementedError

    def map_all(self, function: Function, count: int) -> Results:
        """The results of `function` for 0, 1, … in one call."""
        raise NotImplementedError

    def one(self, function: Function) -> Any:
        """Submits one task and waits for its result."""
        raise NotImplementedError

    def as_completed(self, function: Function, count: int) -> Results:
        """The results of `count` tasks, in the order in which the tasks end."""
        raise Cannot("gives all results at once")

    def handle(self, function: Function) -> Any:
        """Submits one task and returns at once what its result can be asked from."""
        raise Cannot("has no futures")

    def several_callers(self) -> None:
        """Raises `Cannot` where the pool can serve one thread at a time only."""

    def future_class(self) -> Any:
        """The class of futures, to make one by hand."""
        raise Cannot("has no futures")

    def wait_first(self, handles: Handles) -> Handles:
        """Waits for the first of `handles` to end; returns those still pending."""
        raise Cannot("has no `wait`")


class Futures(Subject):
    """Anything with the stdlib's interface: manyhands and the stdlib itself."""

    executor: Any

    def open(self) -> None:
        self.executor = self.library.ThreadPoolExecutor(WORKERS)

    def close(self) -> None:
        self.executor.shutdown()

    def submit_all(self, function: Function, count: int) -> Results:
        submit = self.executor.submit
        futures = [submit(function) for _ in range(count)]
        return [future.result() for future in futures]

    def map_all(self, function: Function, count: int) -> Results:
        return list(self.executor.map(function, range(count)))

    def one(self, function: Function) -> Any:
        return self.executor.submit(function).result()

    def as_completed(self, function: Function, count: int) -> Results:
        submit = self.executor.submit
        futures = [submit(function) for _ in range(count)]
        return [future.result() for future in self.library.as_completed(futures)]

    def handle(self, function: Function) -> Any:
        return self.executor.submit(function)

    def future_class(self) -> Any:
        return self.library.Future

    def wait_first(self, handles: Handles) -> Handles:
        return self.library.wait(handles, return_when="FIRST_COMPLETED").not_done


class Manyhands(Futures):
    distribution = "manyhands"
    module = "manyhands"
    how = "`ThreadPoolExecutor`"


class Stdlib(Futures):
    module = "concurrent.futures"
    how = "`concurrent.futures.ThreadPoolExecutor`"


class StdlibFutures(Futures):
    """A peer whose pool hands out the stdlib's own futures."""

    def __init__(self) -> None:
        self.peer = importlib.import_module(self.module)
        self.library = importlib.import_module("concurrent.futures")
        self.open()

    def future_class(self) -> Any:
        raise Cannot("uses the stdlib's `Future`")


class Pebble(StdlibFutures):
    distribution = "Pebble"
    module = "pebble"
    how = "`ThreadPool.submit` and `map`; the stdlib's futures, `wait` and `as_completed`"

    def open(self) -> None:
        self.executor = self.peer.ThreadPool(WORKERS)

    def close(self) -> None:
        self.executor.close()
        self.executor.join()

    def map_all(self, function: Function, count: int) -> Results:
        return list(self.executor.map(function, range(count)).result())


class Threadlet(StdlibFutures):
    distribution = "threadlet"
    module = "threadlet"
    how = "`SimpleThreadPoolExecutor`; the stdlib's futures, `map`, `wait` and `as_completed`"

    def open(self) -> None:
        self.executor = self.peer.SimpleThreadPoolExecutor(WORKERS).__enter__()


class Pyferris(StdlibFutures):
    distribution = "pyferris"
    module = "pyferris"
    how = "`Executor.submit` and `map`; its futures are the stdlib's, done before one gets them"

    def open(self) -> None:
        self.executor = self.peer.Executor(max_workers=WORKERS)

    def handle(self, function: Function) -> Any:
        raise Cannot("`submit` returns only when the task has run: nothing is ever pending")


class MpThreadPool(Subject):
    module = "multiprocessing.pool"
    how = "`apply_async` and `get`; `map`; `imap_unordered` to take results as tasks complete"

    def open(self) -> None:
        self.pool = self.library.ThreadPool(WORKERS)

    def close(self) -> None:
        self.pool.close()
        self.pool.join()

    def submit_all(self, function: Function, count: int) -> Results:
        submit = self.pool.apply_async
        handles = [submit(function) for _ in range(count)]
        return [handle.get() for handle in handles]

    def map_all(self, function: Function, count: int) -> Results:
        return self.pool.map(function, range(count))

    def one(self, function: Function) -> Any:
        return self.pool.apply_async(function).get()

    def as_completed(self, function: Function, count: int) -> Results:
        return list(self.pool.imap_unordered(function, range(count)))

    def handle(self, function: Function) -> Any:
        return self.pool.apply_async(function)

    def future_class(self) -> Any:
        raise Cannot("an `AsyncResult` cannot be made without a task")


class Joblib(Subject):
    """One call for everything. On threads it makes no batches unless told their size."""

    distribution = "joblib"
    module = "joblib"
    how = (
        '`Parallel(backend="threading")` to submit and to map; '
        '`return_as="generator_unordered"` to take results as tasks complete'
    )

    def open(self) -> None:
        self.ordered = self.parallel()
        self.unordered = self.parallel(return_as="generator_unordered")

    def parallel(self, **options: Any) -> Any:
        """A pool that stays open between calls."""
        return self.library.Parallel(WORKERS, backend="threading", **options).__enter__()

    def close(self) -> None:
        for pool in (self.ordered, self.unordered):
            pool.__exit__(None, None, None)

    def several_callers(self) -> None:
        raise Cannot("a `Parallel` serves one call at a time")

    def submit_all(self, function: Function, count: int) -> Results:
        delayed = self.library.delayed(function)
        return self.ordered(delayed() for _ in range(count))

    def map_all(self, function: Function, count: int) -> Results:
        delayed = self.library.delayed(function)
        return self.ordered(delayed(item) for item in range(count))

    def one(self, function: Function) -> Any:
        return self.ordered([self.library.delayed(function)()])[0]

    def as_completed(self, function: Function, count: int) -> Results:
        delayed = self.library.delayed(function)
        return list(self.unordered(delayed() for _ in range(count)))


class Fastthreadpool(Subject):
    distribution = "fastthreadpool"
    module = "fastthreadpool"
    how = (
        "`submit_done` and `map` with a list's `append` to take the results, which come in any "
        "order and belong to no task"
    )

    # It offers nothing to wait for the last of several results.
    LOOK_AGAIN = 0.0002

    def open(self) -> None:
        self.pool = self.library.Pool(WORKERS)

    def close(self) -> None:
        self.pool.shutdown()

    def arrived(self, results: list[Any], count: int) -> list[Any]:
        """All of the results, once they are there."""
        while len(results) < count:
            time.sleep(self.LOOK_AGAIN)
        return results

    def submit_all(self, function: Function, count: int) -> Results:
        results: list[Any] = []
        submit, take = self.pool.submit_done, results.append
        for _ in range(count):
            submit(function, take)
        return self.arrived(results, count)

    def map_all(self, function: Function, count: int) -> Results:
        results: list[Any] = []
        self.pool.map(function, range(count), done_callback=results.append, unpack_args=False)
        return self.arrived(results, count)

    def one(self, function: Function) -> Any:
        result: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.pool.submit_done(function, result.put)
        return result.get()

    def as_completed(self, function: Function, count: int) -> Results:
        return self.submit_all(function, count)


class Hypern(Subject):
    distribution = "hypern"
    module = "hypern.blocking"
    how = "`BlockingExecutor.run_parallel`, `map` and `run_sync`: each waits for all it was given"

    def open(self) -> None:
        self.pool = self.library.BlockingExecutor(max_threads=WORKERS)

    def close(self) -> None:
        self.pool.shutdown()

    def submit_all(self, function: Function, count: int) -> Results:
        return self.pool.run_parallel([(function, (), None) for _ in range(count)])

    def map_all(self, function: Function, count: int) -> Results:
        return self.pool.map(function, list(range(count)))

    def one(self, function: Function) -> Any:
        return self.pool.run_sync(function)


SUBJECTS: dict[str, type[Subject]] = {
    "manyhands": Manyhands,
    "stdlib": Stdlib,
    "mp ThreadPool": MpThreadPool,
    "pebble": Pebble,
    "joblib": Joblib,
    "fastthreadpool": Fastthreadpool,
    "hypern": Hypern,
    "threadlet": Threadlet,
    "pyferris": Pyferris,
}
