"""Pools of worker processes under measure, each behind the same few methods.

Every subject is asked in the way its own documentation recommends. What one cannot do raises
`Cannot`, whose text ends up in the report.
"""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Iterable
from importlib import metadata
from types import ModuleType
from typing import Any

from subjects import WORKERS, Cannot, Function, Results

# As a chunk size: what the pool itself thinks best.
AUTO = "auto"


class ProcessSubject:
    """A pool of two processes, not opened yet; what is not overridden it cannot do."""

    distribution: str | None = None
    module: str
    how: str

    def __init__(self) -> None:
        self.library: ModuleType = importlib.import_module(self.module)

    @classmethod
    def version(cls) -> str:
        """The installed version; raises PackageNotFoundError where there is none."""
        return metadata.version(cls.distribution) if cls.distribution else ""

    def open(self, start: str | None = None, recycle: bool = False) -> None:
        """Makes the pool: with a start method, and with a new process for each task."""
        raise NotImplementedError

    def end(self) -> None:
        """Ends what would not end with this process and its session."""

    def submit_each(self, function: Function, items: Iterable[Any]) -> Results:
        """Hands `function` over with each item, then collects every result."""
        raise NotImplementedError

    def map_each(self, function: Function, items: range, chunksize: int | str) -> Results:
        """The results of `function` for the items, in one call."""
        raise Cannot("has no map")

    def submit_all(self, function: Function, count: int) -> Results:
        """As the subjects that are threads do it."""
        return self.submit_each(function, range(count))

    def one(self, function: Function, *items: Any) -> Any:
        """Runs one task and waits for its result."""
        return next(iter(self.submit_each(function, items or (None,))))


class Executor(ProcessSubject):
    """Anything with the stdlib's interface."""

    executor: Any

    def __init__(self) -> None:
        super().__init__()
        # A program has imported it, which some libraries do only when they are asked for it.
        self.kind = self.library.ProcessPoolExecutor

    def open(self, start: str | None = None, recycle: bool = False) -> None:
        options: dict[str, Any] = {}
        if recycle:
            options["max_tasks_per_child"] = 1
        if start is not None:
            options["mp_context"] = multiprocessing.get_context(start)
        try:
            self.executor = self.kind(WORKERS, **options)
        except TypeError:
            raise Cannot("`max_tasks_per_child` came with Python 3.11") from None

    def submit_each(self, function: Function, items: Iterable[Any]) -> Results:
        submit = self.executor.submit
        futures = [submit(function, item) for item in items]
        return [future.result() for future in futures]

    def map_each(self, function: Function, items: range, chunksize: int | str) -> Results:
        if chunksize == AUTO:
            raise Cannot("wants to be told the size of a chunk")
        return list(self.executor.map(function, items, chunksize=chunksize))

    def one(self, function: Function, *items: Any) -> Any:
        return self.executor.submit(function, *items).result()


class Manyhands(Executor):
    distribution = "manyhands"
    module = "manyhands"
    how = '`ProcessPoolExecutor`; `chunksize="auto"`'

    def map_each(self, function: Function, items: range, chunksize: int | str) -> Results:
        try:
            return list(self.executor.map(function, items, chunksize=chunksize))
        except TypeError:
            raise Cannot(f"knows no chunk size {chunksize!r} yet") from None


class Stdlib(Executor):
    module = "concurrent.futures"
    how = "`concurrent.futures.ProcessPoolExecutor`"


class Loky(Executor):
    distribution = "loky"
    module = "loky"
    how = "`loky.ProcessPoolExecutor`, its own start method unless told another"

    def open(self, start: str | None = None, recycle: bool = False) -> None:
        if recycle:
            raise Cannot("replaces workers by their memory, not by the number of their tasks")
        options = {} if start is None else {"context": multiprocessing.get_context(start)}
        self.executor = self.kind(WORKERS, **options)


class MpPool(ProcessSubject):
    module = "multiprocessing.pool"
    how = "`multiprocessing.Pool`: `apply_async` and `get`; `map`, for auto without a chunk size"

    def open(self, start: str | None = None, recycle: bool = False) -> None:
        context = multiprocessing.get_context(start)
        self.pool = context.Pool(WORKERS, maxtasksperchild=1 if recycle else None)

    def submit_each(self, function: Function, items: Iterable[Any]) -> Results:
        submit = self.pool.apply_async
        handles = [submit(function, (item,)) for item in items]
        return [handle.get() for handle in handles]

    def map_each(self, function: Function, items: range, chunksize: int | str) -> Results:
        return self.pool.map(function, items, None if chunksize == AUTO else int(chunksize))


class Pebble(ProcessSubject):
    distribution = "Pebble"
    module = "pebble"
    how = "`ProcessPool.schedule` and `map`"

    def open(self, start: str | None = None, recycle: bool = False) -> None:
        context = multiprocessing.get_context(start)
        most = 1 if recycle else 0
        self.pool = self.library.ProcessPool(WORKERS, max_tasks=most, context=context)

    def submit_each(self, function: Function, items: Iterable[Any]) -> Results:
        submit = self.pool.schedule
        futures = [submit(function, args=(item,)) for item in items]
        return [future.result() for future in futures]

    def map_each(self, function: Function, items: range, chunksize: int | str) -> Results:
        if chunksize == AUTO:
            raise Cannot("wants to be told the size of a chunk")
        return list(self.pool.map(function, items, chunksize=chunksize).result())


class Mpire(ProcessSubject):
    distribution = "mpire"
    module = "mpire"
    how = "`WorkerPool` with `keep_alive`: `apply_async` and `get`; `map`, in a pool of its own"

    def open(self, start: str | None = None, recycle: bool = False) -> None:
        self.options: dict[str, Any] = {"n_jobs": WORKERS, "keep_alive": True}
        if start is not None:
            self.options["start_method"] = start
        self.lifespan = 1 if recycle else None
        self.pools: dict[str, Any] = {}

    def pool(self, use: str) -> Any:
        """Workers that have known `apply_async` take what `map` gives them for more of the same."""
        if use not in self.pools:
            self.pools[use] = self.library.WorkerPool(**self.options)
        return self.pools[use]

    def submit_each(self, function: Function, items: Iterable[Any]) -> Results:
        if self.lifespan is not None:
            pool = self.pool("map")
            return pool.map(function, list(items), chunk_size=1, worker_lifespan=self.lifespan)
        submit = self.pool("apply").apply_async
        handles = [submit(function, args=(item,)) for item in items]
        return [handle.get() for handle in handles]

    def map_each(self, function: Function, items: range, chunksize: int | str) -> Results:
        size = None if chunksize == AUTO else chunksize
        return self.pool("map").map(function, items, chunk_size=size)


class Joblib(ProcessSubject):
    distribution = "joblib"
    module = "joblib"
    how = (
        "`Parallel` of processes, kept open; submits one by one with `batch_size=1`; arrays of more "
        "than 1 MB go through files that are mapped"
    )

    def open(self, start: str | None = None, recycle: bool = False) -> None:
        if recycle:
            raise Cannot("does not replace workers by the number of their tasks")
        if start is not None:
            raise Cannot("has a start method of its own")
        self.pools: dict[int | str, Any] = {}

    def parallel(self, batch: int | str) -> Any:
        if batch not in self.pools:
            pool = self.library.Parallel(WORKERS, backend="loky", batch_size=batch)
            self.pools[batch] = pool.__enter__()
        return self.pools[batch]

    def submit_each(self, function: Function, items: Iterable[Any]) -> Results:
        return self.map_each(function, items, 1)

    def map_each(self, function: Function, items: Iterable[Any], chunksize: int | str) -> Results:
        delayed = self.library.delayed(function)
        return self.parallel(chunksize)(delayed(item) for item in items)


class Ray(ProcessSubject):
    distribution = "ray"
    module = "ray"
    how = "`remote` functions and `get`"

    def open(self, start: str | None = None, recycle: bool = False) -> None:
        if start is not None:
            raise Cannot("has a start method of its own")
        self.library.init(
            num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
        )
        self.options = {"max_calls": 1} if recycle else {}

    def end(self) -> None:
        self.library.shutdown()

    def submit_each(self, function: Function, items: Iterable[Any]) -> Results:
        remote = self.library.remote(function)
        if self.options:
            remote = self.library.remote(**self.options)(function)
        return self.library.get([remote.remote(item) for item in items])


class Dask(ProcessSubject):
    distribution = "distributed"
    module = "distributed"
    how = "`Client.submit`, `map` and `gather` on local processes of one thread"

    def open(self, start: str | None = None, recycle: bool = False) -> None:
        if start is not None or recycle:
            raise Cannot("its worker processes are servers, started as it likes")
        self.client = self.library.Client(
            n_workers=WORKERS,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            memory_limit=0,
        )

    def submit_each(self, function: Function, items: Iterable[Any]) -> Results:
        submit = self.client.submit
        return self.client.gather([submit(function, item, pure=False) for item in items])

    def map_each(self, function: Function, items: range, chunksize: int | str) -> Results:
        if chunksize not in (1, AUTO):
            raise Cannot("makes no chunks")
        return self.client.gather(self.client.map(function, items, pure=False))


class Memcpy(ProcessSubject):
    """What the data of a task is to be measured by."""

    distribution = "numpy"
    module = "numpy"
    how = "no pool: one copy of the array within the process; only for the rows of large data"

    def open(self, start: str | None = None, recycle: bool = False) -> None:
        raise Cannot("is no pool")


YARDSTICKS = ["memcpy"]

SUBJECTS: dict[str, type[ProcessSubject]] = {
    "manyhands": Manyhands,
    "stdlib": Stdlib,
    "mp Pool": MpPool,
    "loky": Loky,
    "pebble": Pebble,
    "mpire": Mpire,
    "joblib": Joblib,
    "ray": Ray,
    "dask": Dask,
    "memcpy": Memcpy,
}
