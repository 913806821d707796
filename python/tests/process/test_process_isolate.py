"""`on_crash="isolate"`: a worker that dies costs the task that it ran and no other; with `retries`
not even that. A task can have a timeout, and can be cancelled while it runs.
"""

from __future__ import annotations

import builtins
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tasks
import trouble
from conftest import MakePool
from errors import told
from family import is_alive, state_of
from patience import until
from subject import STDLIB, BrokenProcessPool, CancelledError, TimeoutError, as_completed, wait

if not STDLIB:
    from manyhands import gather
    from manyhands.process import TaskTimeoutError, WorkerCrashError

pytestmark = pytest.mark.ours

Files = Callable[[str], Path]

EACH_DEATH = pytest.mark.parametrize("death", tasks.WAYS_TO_DIE.values(), ids=tasks.WAYS_TO_DIE)

# Far above any honest wait: what is told to obey must not be ended by force.
LONG_GRACE = 1000.0


def pid_in(path: Path) -> int:
    until(path.exists)
    return int(path.read_text())


@EACH_DEATH
def test_only_the_running_task_is_lost(pool: MakePool, files: Files, death: Any) -> None:
    task, args, exitcode = death
    executor = pool(2, on_crash="isolate")
    other = executor.submit(tasks.hold, files("other"), files("end"), "other")
    dying = executor.submit(tasks.tell_and, files("dying"), files("go"), task, *args)
    pid = pid_in(files("dying"))
    pending = [executor.submit(tasks.double, number) for number in range(20)]
    files("go").touch()
    error = dying.exception()
    assert isinstance(error, WorkerCrashError) and isinstance(error, BrokenProcessPool)
    assert (error.pid, error.exitcode) == (pid, exitcode)
    assert "tell_and" in str(error.function)
    assert "dying" in str(error.arguments)
    assert Path(__file__).name in str(error.submitted)
    message = str(error)
    for part in ["tell_and", "dying", str(pid), Path(__file__).name]:
        assert part in message
    if exitcode < 0:
        assert signal.Signals(-exitcode).name in message
    assert [future.result() for future in pending] == list(range(0, 40, 2))
    files("end").touch()
    assert other.result() == "other"


def test_arguments_are_told_in_short(pool: MakePool) -> None:
    executor = pool(1, on_crash="isolate")
    error = executor.submit(tasks.tell_and_die, b"x" * 1_000_000).exception()
    assert isinstance(error, WorkerCrashError)
    assert "tell_and_die" in str(error) and "xxx" in str(error) and len(str(error)) < 2000


def test_arguments_whose_repr_fails(pool: MakePool) -> None:
    executor = pool(1, on_crash="isolate")
    for thing in (trouble.ReprFails(), trouble.ReprIsLong()):
        error = executor.submit(tasks.tell_and_die, thing).exception()
        assert isinstance(error, WorkerCrashError)
        assert len(str(error)) < 2000 and "tell_and_die" in str(error)


def test_all_workers_die_again_and_again(pool: MakePool) -> None:
    executor = pool(3, on_crash="isolate")
    futures = {}
    for number in range(60):
        if number % 3 == 0:
            futures[executor.submit(tasks.kill_self)] = None
        else:
            futures[executor.submit(tasks.double, number)] = 2 * number
    for future in as_completed(futures):
        if futures[future] is None:
            assert isinstance(future.exception(), WorkerCrashError)
        else:
            assert future.result() == futures[future]


def test_the_death_of_an_idle_worker_costs_nothing(pool: MakePool) -> None:
    executor = pool(1, on_crash="isolate")
    first = executor.submit(tasks.pid).result()
    os.kill(first, signal.SIGKILL)
    until(lambda: not is_alive(first))
    assert executor.submit(tasks.pid).result() != first


@pytest.mark.parametrize("kind", [trouble.ExitsInUnpickling, trouble.KilledInUnpickling])
def test_a_death_in_unpickling_an_argument(pool: MakePool, kind: type[Any]) -> None:
    executor = pool(1, on_crash="isolate")
    dying = executor.submit(tasks.same, kind())
    others = [executor.submit(tasks.double, number) for number in range(5)]
    assert isinstance(dying.exception(), WorkerCrashError)
    assert [future.result() for future in others] == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    "task, args",
    [(trouble.make, (trouble.ExitsInPickling,)), (trouble.raises_exits_in_pickling, ())],
    ids=["result", "exception"],
)
def test_a_death_in_pickling_the_outcome(pool: MakePool, task: Any, args: Any) -> None:
    executor = pool(1, on_crash="isolate")
    dying = executor.submit(task, *args)
    others = [executor.submit(tasks.double, number) for number in range(5)]
    assert isinstance(dying.exception(), WorkerCrashError)
    assert [future.result() for future in others] == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("initializer, args", [(tasks.exit_hard, (3,)), (tasks.kill_self, ())])
def test_no_worker_that_can_begin(pool: MakePool, initializer: Any, args: Any) -> None:
    """The pool does not start one after the other for ever."""
    executor = pool(1, on_crash="isolate", initializer=initializer, initargs=args)
    assert isinstance(executor.submit(int).exception(), BrokenProcessPool)


def test_an_initializer_runs_in_what_takes_its_place(pool: MakePool) -> None:
    executor = pool(1, on_crash="isolate", initializer=tasks.take, initargs=("given",))
    executor.submit(tasks.kill_self).exception()
    assert executor.submit(tasks.what_was_given).result() == "given"


@pytest.mark.parametrize("retries, deaths", [(1, 1), (3, 2), (3, 3)])
def test_retries(pool: MakePool, files: Files, retries: int, deaths: int) -> None:
    executor = pool(2, on_crash="isolate", retries=retries)
    future = executor.submit(tasks.die_first_times, files("ran"), deaths, "done")
    assert future.result() == "done"
    assert len(set(files("ran").read_text().splitlines())) == deaths + 1


def test_a_task_that_always_kills_its_worker(pool: MakePool, files: Files) -> None:
    executor = pool(1, on_crash="isolate", retries=2)
    poison = executor.submit(tasks.die_first_times, files("ran"), 100, "never")
    others = [executor.submit(tasks.double, number) for number in range(5)]
    error = poison.exception()
    assert isinstance(error, WorkerCrashError)
    assert "3" in str(error)  # the attempts
    assert len(files("ran").read_text().splitlines()) == 3
    assert [future.result() for future in others] == [0, 2, 4, 6, 8]


def test_an_error_is_not_retried(pool: MakePool, files: Files) -> None:
    executor = pool(1, on_crash="isolate", retries=5)
    executor.submit(tasks.noted, files("ran"), "once").result()
    future = executor.submit(tasks.note_and_raise, files("ran"))
    assert isinstance(future.exception(), ValueError)
    assert files("ran").read_text().split() == ["once", "raised"]


def test_retries_of_single_tasks(pool: MakePool, files: Files) -> None:
    executor = pool(1, on_crash="isolate")
    stubborn = executor.options(retries=1)
    assert stubborn.submit(tasks.die_first_times, files("a"), 1, "done").result() == "done"
    with pytest.raises(WorkerCrashError):
        executor.submit(tasks.die_first_times, files("b"), 1, "done").result()


def test_map_loses_the_item_alone(pool: MakePool) -> None:
    executor = pool(2, on_crash="isolate")
    results = executor.map(tasks.die_on, range(10), [5] * 10)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(WorkerCrashError):
        next(results)
    assert executor.submit(tasks.double, 4).result() == 8


# Timeouts.


@pytest.mark.parametrize("on_crash", ["break", "isolate"])
@pytest.mark.parametrize(
    "task",
    [tasks.sleep_for_an_hour, tasks.compute_for_an_hour, tasks.sleep_deaf, tasks.stop_self],
)
def test_a_timeout_ends_a_task_whatever_it_does(
    pool: MakePool, files: Files, task: Any, on_crash: str
) -> None:
    """And the pool goes on: the worker was ended on purpose."""
    executor = pool(1, on_crash=on_crash, timeout=0.5, grace=0.05)
    # On a busy machine, anything may take longer than that: to import the module of the tasks, for one.
    patient = executor.options(timeout=tasks.HOUR)
    patient.submit(tasks.double, 1).result()
    late = executor.submit(task, files("started"))
    others = [patient.submit(tasks.double, number) for number in range(5)]
    error = late.exception()
    assert isinstance(error, TaskTimeoutError)
    # What programs catch; two classes before 3.11.
    assert isinstance(error, TimeoutError) and isinstance(error, builtins.TimeoutError)
    assert task.__name__ in str(error) and "0.5" in str(error)
    assert [future.result() for future in others] == [0, 2, 4, 6, 8]
    pid = pid_in(files("started"))
    until(lambda: not is_alive(pid))


def test_a_task_that_stops_when_it_is_asked_keeps_its_worker(pool: MakePool, files: Files) -> None:
    executor = pool(1, on_crash="isolate", grace=LONG_GRACE)
    pid = executor.submit(tasks.pid).result()
    # Long enough for it to begin, on a busy machine too.
    hasty = executor.options(timeout=1)
    late = hasty.submit(tasks.obey, files("started"), files("obeyed"))
    assert isinstance(late.exception(), TaskTimeoutError)
    until(files("obeyed").exists)
    assert executor.submit(tasks.pid).result() == pid
    assert executor.submit(tasks.is_asked_to_stop).result() is False


def test_the_time_that_a_task_waits_does_not_count(pool: MakePool, files: Files) -> None:
    executor = pool(1, timeout=30)
    executor.options(timeout=None).submit(tasks.slow, 0.2)
    hasty = executor.options(timeout=30)
    futures = [hasty.submit(tasks.double, number) for number in range(100)]
    assert [future.result() for future in futures] == list(range(0, 200, 2))


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan"), "soon"])
def test_timeouts_that_make_no_sense(pool: MakePool, timeout: Any) -> None:
    """Refused, or at once over; never for ever, and never a crash."""
    try:
        executor = pool(1, timeout=timeout)
        future = executor.submit(tasks.slow, 0.2)
    except (ValueError, TypeError):
        return
    assert isinstance(future.exception(), TimeoutError)


# Cancelling what runs.


@pytest.mark.parametrize("on_crash", ["break", "isolate"])
@pytest.mark.parametrize(
    "task",
    [tasks.sleep_for_an_hour, tasks.compute_for_an_hour, tasks.sleep_deaf, tasks.stop_self],
)
def test_a_running_task_can_be_cancelled(
    pool: MakePool, files: Files, task: Any, on_crash: str
) -> None:
    executor = pool(1, on_crash=on_crash, grace=0.05)
    future = executor.submit(task, files("started"))
    pid = pid_in(files("started"))
    others = [executor.submit(tasks.double, number) for number in range(5)]
    called: list[Any] = []
    future.add_done_callback(called.append)
    assert not future.cancel()
    assert future.cancel_running() is True
    assert future.cancelled() and future.done() and not future.running()
    with pytest.raises(CancelledError):
        future.result()
    assert wait([future]).done == {future}
    assert list(as_completed([future])) == [future]
    assert called == [future]
    assert [other.result() for other in others] == [0, 2, 4, 6, 8]
    until(lambda: not is_alive(pid))


def test_a_cancelled_task_that_stops_when_it_is_asked(pool: MakePool, files: Files) -> None:
    executor = pool(1, grace=LONG_GRACE)
    pid = executor.submit(tasks.pid).result()
    future = executor.submit(tasks.obey, files("started"), files("obeyed"))
    until(files("started").exists)
    assert future.cancel_running()
    until(files("obeyed").exists)
    assert future.cancelled()
    assert executor.submit(tasks.pid).result() == pid


def test_cancel_running_of_what_does_not_run(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    done = executor.submit(tasks.double, 1)
    assert done.result() == 2
    assert done.cancel_running() is False and not done.cancelled()
    executor.submit(tasks.hold, files("started"), files("go"))
    until(files("started").exists)
    pending = executor.submit(tasks.noted, files("ran"), "ran")
    behind = executor.submit(tasks.noted, files("behind"), "ran")
    assert pending.cancel_running() is True and pending.cancelled()
    assert pending.cancel_running() is True
    files("go").touch()
    assert behind.result() == "ran"
    assert not files("ran").exists()


def test_a_stopped_worker_is_found_by_the_timeout(pool: MakePool, files: Files) -> None:
    """Stopped from outside, between two tasks."""
    executor = pool(1, on_crash="isolate", grace=0.05)
    pid = executor.submit(tasks.pid).result()
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state_of(pid) == "T")
    late = executor.options(timeout=0.2).submit(tasks.double, 1)
    behind = executor.submit(tasks.double, 2)
    assert late.exception() is None or isinstance(late.exception(), TaskTimeoutError)
    assert behind.result() == 4


def test_errors_can_be_raised_in_another_place(pool: MakePool) -> None:
    """They survive pickling: a pool's future may end in a task of another pool."""
    import pickle

    executor = pool(1, on_crash="isolate", timeout=0.2, grace=0.05)
    crash = executor.submit(tasks.kill_self).exception()
    late = executor.submit(tasks.slow, tasks.HOUR).exception()
    for error in (crash, late):
        assert error is not None
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error) and str(copy) == str(error)
        assert vars(copy) == vars(error) or copy.args == error.args
        assert str(error) in told(error)


@pytest.mark.parametrize(
    "options, error",
    [
        ({"on_crash": "shrug"}, ValueError),
        ({"retries": -1}, ValueError),
        ({"grace": -1}, ValueError),
        ({"max_workers": 0}, ValueError),
        ({"initializer": 3}, TypeError),
        ({"max_tasks_per_child": 0}, ValueError),
        ({"max_tasks_per_child": "1"}, TypeError),
    ],
    ids=repr,
)
def test_options_that_are_refused(pool: MakePool, options: Any, error: Any) -> None:
    with pytest.raises(error):
        pool(**{"max_workers": 1, **options})


@pytest.mark.parametrize(
    "wait_for",
    [
        lambda future: future.exception(),
        lambda future: future.then(str).exception(),
        lambda future: gather(future, future).exception(),
        lambda future: wait([future]).done.pop().exception(),
        lambda future: next(as_completed([future])).exception(),
    ],
    ids=["itself", "then", "gather", "wait", "as_completed"],
)
def test_a_callback_that_waits_hears_of_a_death(
    pool: MakePool, files: Files, wait_for: Any
) -> None:
    """In the thread that would hear of it."""
    executor = pool(1, on_crash="isolate")
    errors: list[BaseException] = []
    first = executor.submit(tasks.hold, files("started"), files("go"))
    first.add_done_callback(lambda _: errors.append(wait_for(executor.submit(tasks.exit_hard, 3))))
    files("go").touch()
    until(lambda: bool(errors))
    assert isinstance(errors[0], WorkerCrashError) and errors[0].exitcode == 3
    assert executor.submit(tasks.double, 2).result() == 4
