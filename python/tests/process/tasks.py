"""What runs in worker processes. Of this package's own only what a task asks for, so that a worker
starts fast.
"""

from __future__ import annotations

import ctypes
import faulthandler
import functools
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HOUR = 3600


def echo(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def same(item: Any) -> Any:
    return item


def double(number: int) -> int:
    return 2 * number


def pid(_: object = None) -> int:
    return os.getpid()


def raises(error: BaseException) -> None:
    raise error


def odd_only(number: int) -> int:
    if number % 2 == 0:
        raise ValueError(f"{number} is even")
    return number


def fails_three_calls_deep(number: int) -> None:
    _divide(number)


def _divide(number: int) -> float:
    return number / 0


# Waiting and telling, by files: they work across any kind of process.


def tell(path: Path) -> None:
    """Writes this process's id, at once or not at all."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(str(os.getpid()))
    fresh.rename(path)


def hold(started: Path, go: Path, result: Any = None) -> Any:
    """Tells that it runs, and ends when it is told to."""
    tell(started)
    while not go.exists():
        time.sleep(0.002)
    return result


def sleep_for_an_hour(started: Path) -> None:
    tell(started)
    time.sleep(HOUR)


def compute_for_an_hour(started: Path) -> None:
    tell(started)
    end = time.monotonic() + HOUR
    while time.monotonic() < end:
        pass


def sleep_deaf(started: Path) -> None:
    """Hears no signal but the one that nobody can ignore."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sleep_for_an_hour(started)


def obey(started: Path, obeyed: Path) -> str:
    """Ends when it is asked to stop, and not before."""
    from manyhands.process import stop_requested

    tell(started)
    while not stop_requested():
        time.sleep(0.002)
    tell(obeyed)
    return "obeyed"


def is_asked_to_stop() -> bool:
    from manyhands.process import stop_requested

    return stop_requested()


def note(path: Path, line: object) -> None:
    """Appends a line, whoever else does so at the same time."""
    with path.open("a") as file:
        file.write(f"{line}\n")


def noted(path: Path, result: Any) -> Any:
    note(path, result)
    return result


def slow(seconds: float, result: Any = None) -> Any:
    time.sleep(seconds)
    return result


# Ways to die.


def kill_self(signal_number: int = signal.SIGKILL, started: Path | None = None) -> None:
    if started is not None:
        tell(started)
    os.kill(os.getpid(), signal_number)
    time.sleep(HOUR)


def stop_self(started: Path) -> str:
    """As a debugger stops a process: nothing in it runs, and only SIGKILL and SIGCONT reach it."""
    tell(started)
    os.kill(os.getpid(), signal.SIGSTOP)
    return "continued"


def exit_hard(code: int) -> None:
    os._exit(code)


def exit_from_thread(code: int) -> None:
    threading.Thread(target=os._exit, args=(code,)).start()
    time.sleep(HOUR)


def segfault() -> None:
    # The dump of where it happened would be another process's noise among the tests' own.
    faulthandler.disable()
    ctypes.string_at(0)


def abort() -> None:
    faulthandler.disable()
    os.abort()


def die_first_times(path: Path, times: int, result: Any) -> Any:
    note(path, os.getpid())
    if len(path.read_text().splitlines()) <= times:
        kill_self()
    return result


def tell_and(started: Path, go: Path, task: Callable[..., Any], *args: Any) -> Any:
    """Tells that it runs, and does something when it is told to."""
    hold(started, go)
    return task(*args)


WAYS_TO_DIE: dict[str, tuple[Callable[..., None], tuple[Any, ...], int]] = {
    # The task, its arguments, and the exit code as multiprocessing tells it.
    "SIGKILL": (kill_self, (), -signal.SIGKILL),
    "SIGTERM": (kill_self, (signal.SIGTERM,), -signal.SIGTERM),
    "SIGSEGV": (segfault, (), -signal.SIGSEGV),
    "SIGABRT": (abort, (), -signal.SIGABRT),
    "os._exit(3)": (exit_hard, (3,), 3),
    "os._exit(0)": (exit_hard, (0,), 0),
    "os._exit in a thread": (exit_from_thread, (4,), 4),
}


# What cannot cross between processes, or ends a process on its way.


def blow(message: str) -> Any:
    raise OSError(message)


class Unpicklable:
    def __reduce__(self) -> Any:
        raise OSError("will not be pickled")


class NotLoadable:
    """Is pickled, and cannot be unpickled."""

    def __reduce__(self) -> Any:
        return blow, ("will not be unpickled",)


class ExitsInPickling:
    def __reduce__(self) -> Any:
        os._exit(5)


class ExitsInUnpickling:
    def __reduce__(self) -> Any:
        return os._exit, (6,)


class KilledInUnpickling:
    def __reduce__(self) -> Any:
        return kill_self, ()


class SaysInterrupt:
    """What a thread of the pool must survive though it is no `Exception`."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        return _raise, (self.error, "in unpickling")


def _raise(error: type[BaseException], message: str) -> None:
    raise error(message)


class TwoArguments(Exception):
    """Pickle calls it with one argument, and it wants two."""

    def __init__(self, first: object, second: object) -> None:
        super().__init__(f"{first} and {second}")


class KeywordOnly(Exception):
    def __init__(self, *, reason: str) -> None:
        super().__init__(reason)


class Locked(Exception):
    """Holds what cannot be pickled."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()


class ExitsInPicklingError(Exception):
    def __reduce__(self) -> Any:
        os._exit(7)


ERRORS_THAT_DO_NOT_CROSS: dict[str, Callable[[], BaseException]] = {
    "two arguments": lambda: TwoArguments("one", "two"),
    "keyword only": lambda: KeywordOnly(reason="why not"),
    "a lock in it": lambda: Locked("locked"),
    "unpicklable argument": lambda: ValueError("odd", Unpicklable()),
    "not loadable argument": lambda: ValueError("odd", NotLoadable()),
    "local class": lambda: type("Local", (ValueError,), {})("local"),
}


def raises_named(name: str) -> None:
    raise ERRORS_THAT_DO_NOT_CROSS[name]()


def raises_exits_in_pickling() -> None:
    raise ExitsInPicklingError


def make(kind: type[Any]) -> Any:
    return kind()


def make_says(error: type[BaseException]) -> SaysInterrupt:
    return SaysInterrupt(error)


def make_lambda() -> Any:
    return lambda: 3


def make_deep() -> Any:
    """A nesting that pickle does not come to the end of."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


# Initializers and what they leave.

given: Any = None


def take(thing: Any) -> None:
    global given
    given = thing


def what_was_given() -> Any:
    return given


def count_up(times: int) -> None:
    """The book's counter: a `Value` and a lock, both given to the initializer."""
    counter, lock = given
    for _ in range(times):
        with lock:
            counter.value += 1


def count_by_name(name: str) -> None:
    counts, lock = given
    with lock:
        counts[name] = counts.get(name, 0) + 1


def limit_memory(spare: int) -> None:
    """Lets this process have so many bytes more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + spare
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def allocate(size: int) -> int:
    return len(bytearray(size))


# Large data.


def page_sum(data: Any) -> int:
    """Touches every page of what can be seen as bytes."""
    return sum(memoryview(data).cast("B")[::4096])


def make_bytes(size: int) -> bytes:
    return b"\x07" * size


def make_bytearray(size: int) -> bytearray:
    return bytearray(b"\x07") * size


def about_array(array: Any) -> dict[str, Any]:
    """What a task sees of an array, before and after it writes."""
    seen = {
        "sum": float(array.sum()),
        "writeable": bool(array.flags.writeable),
        "owns": bool(array.flags.owndata),
        "shape": array.shape,
        "dtype": str(array.dtype),
        "contiguous": bool(array.flags.c_contiguous),
    }
    if array.flags.writeable:
        array[...] = 9
        seen["after"] = float(array.sum())
    return seen


def make_array(length: int, writeable: bool = True) -> Any:
    import numpy

    array = numpy.arange(length, dtype=numpy.float64)
    array.flags.writeable = writeable
    return array


def hold_array(array: Any, started: Path, go: Path) -> float:
    """Sums up before and after what happens meanwhile."""
    before = float(array.sum())
    hold(started, go)
    after = float(array.sum())
    assert before == after, (before, after)
    return after


kept: list[Any] = []


def keep(thing: Any) -> int:
    kept.append(thing)
    return len(kept)


def drop_kept() -> None:
    kept.clear()


def memory_kib(key: str = "VmHWM") -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0])
    raise KeyError(key)


def sum_of_shared(handle: Any, add: int) -> float:
    """Takes a `shared` handle as the object that it stands for."""
    return float(sum(handle)) + add


# Pools within pools.


def nested(start: str, numbers: Iterable[int]) -> list[int]:
    from subject import ProcessPoolExecutor

    context = multiprocessing.get_context(start)
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        return list(executor.map(double, numbers))


def nested_threads(numbers: Iterable[int]) -> list[int]:
    from subject import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as executor:
        return list(executor.map(double, numbers))


def start_child() -> str:
    """A process that a task starts: workers are no daemons."""
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=queue.put, args=("from the child",))
    child.start()
    said: str = queue.get()
    child.join()
    return said


def start_method() -> str | None:
    return multiprocessing.get_start_method(allow_none=True)


def name_of_main() -> str:
    return multiprocessing.current_process().name


def stdin_is_empty() -> bool:
    return sys.stdin is None or sys.stdin.read() == ""


def partial_of(function: Callable[..., Any], *args: Any) -> Callable[..., Any]:
    return functools.partial(function, *args)


def tell_and_die(_: Any) -> None:
    kill_self()


def die_on(number: int, deadly: int) -> int:
    if number == deadly:
        kill_self()
    return number


def note_and_raise(path: Path) -> None:
    note(path, "raised")
    raise ValueError("raised")


class ReprFails:
    def __repr__(self) -> str:
        raise OSError("no repr")


class ReprIsLong:
    def __repr__(self) -> str:
        return "long " * 100_000


def note_and_fail_at(path: Path, number: int) -> int:
    note(path, number)
    if number == 100:
        raise ValueError(f"{number} fails")
    return number


def slow_pid(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def note_pid(path: Path) -> None:
    note(path, os.getpid())


def put(mapping: Any, key: object, value: object) -> None:
    mapping[key] = value


def overwrite(data: bytearray, number: int) -> tuple[int, int]:
    before = data[-1]
    data[:] = bytes([number]) * len(data)
    return before, data[-1]


def page_sums_of_kept() -> list[int]:
    return [page_sum(data) for data in kept]


def page_sum_of(shared: Any) -> int:
    return page_sum(shared)


def try_to_write(array: Any) -> None:
    try:
        array[...] = 9
    except ValueError:
        pass  # read-only: as good as a copy


def key_of(shared: Any, key: str) -> Any:
    return shared[key]


def length_of(shared: Any) -> int:
    return len(shared)


def run_noted(path: Path, number: int, task: Callable[..., Any], *args: Any) -> Any:
    note(path, number)
    return task(*args)


def second(_: Any, result: Any) -> Any:
    return result
