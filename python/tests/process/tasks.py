"""What runs in worker processes. Of this package's own only what a task asks for, so that a worker
starts fast.
"""

from __future__ import annotations

import ctypes
import faulthandler
import multiprocessing
import os
import resource
import signal
import subprocess
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


def idle() -> None:
    """Sleeps for ever, in slices: a signal that comes just before a long sleep does not end it."""
    while True:
        time.sleep(0.01)


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


def tell_and_die(_: Any) -> None:
    kill_self()


def die_on(number: int, deadly: int) -> int:
    if number == deadly:
        kill_self()
    return number


def note_and_raise(path: Path) -> None:
    note(path, "raised")
    raise ValueError("raised")


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


def run_noted(path: Path, number: int, task: Callable[..., Any], *args: Any) -> Any:
    note(path.with_name("pids"), os.getpid())
    note(path, number)
    return task(*args)


def second(_: Any, result: Any) -> Any:
    return result


class Plain:
    """Something to be pickled."""


# What `start_process` has found out.
seen_by_process = ""


def start_process() -> None:
    """An initializer that starts another program, which tells whether it would hear of Ctrl-C."""
    global seen_by_process
    program = (
        "import signal\n"
        "print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []),"
        " signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    seen_by_process = run.stdout.decode().strip()


def what_it_saw() -> tuple[str, object]:
    return seen_by_process, signal.getsignal(signal.SIGINT) is signal.default_int_handler


def ignore_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def ctrl_c_is_ignored() -> bool:
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN
