"""What is left when process pools are gone: no process, no thread, no file, no shared memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from programs import run

HERE = Path(__file__).parent

MEASURE = """
import sys
sys.path.append({above!r})
import gc, multiprocessing, os, threading, time
import subject, tasks, large, trouble

OURS = not subject.STDLIB
CONTEXT = multiprocessing.get_context({start!r})

def one(number):
    options = dict(on_crash="isolate") if OURS else dict()
    executor = subject.ProcessPoolExecutor(2, mp_context=CONTEXT, **options)
    futures = [executor.submit(tasks.double, n) for n in range(10)]
    futures += [executor.submit(large.page_sum, large.make_bytes(300_000))]
    futures += [executor.submit(large.make_bytes, 300_000)]
    futures += [executor.submit(tasks.odd_only, 2), executor.submit(tasks.same, trouble.Unpicklable())]
    list(executor.map(tasks.double, range(5), chunksize=2))
    futures[3].cancel()
    if OURS and number % 2:
        futures.append(executor.submit(tasks.kill_self))
        futures.append(executor.options(timeout=0.02).submit(tasks.slow, 1000))
        handle = executor.shared(large.make_bytes(300_000))
        futures.append(executor.submit(large.length_of, handle))
    if number % 3 == 0:
        executor.shutdown(cancel_futures=True)
    elif number % 3 == 1:
        subject.wait(futures)
        executor.shutdown(wait=False)
    else:
        subject.wait(futures)

def state():
    for _ in range(3):
        gc.collect()
    multiprocessing.active_children()
    return (len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")), children())

def children():
    with open("/proc/self/task/%d/children" % os.getpid()) as file:
        return len(file.read().split())

def mapped():
    with open("/proc/self/maps") as maps:
        return sum("memfd" in line or "/dev/shm" in line for line in maps)

def settled(wanted):
    '''The state, when all have had the time to end.'''
    until = time.monotonic() + 20
    while state() != wanted and time.monotonic() < until:
        time.sleep(0.01)
    return state()

for number in range(3):
    one(number)
while state()[0] > 1:  # what manages a pool ends after it
    time.sleep(0.01)
before, maps = state(), mapped()
for number in range({rounds}):
    one(number)
print(before)
print(settled(before))
print(maps, mapped())
"""


def measured(start: str, rounds: int) -> list[object]:
    text = MEASURE.format(above=str(HERE.parent), start=start, rounds=rounds)
    ended = run("-c", text, cwd=HERE)
    assert (ended.code, ended.stderr) == (0, "")
    return [eval(line.replace(" ", ",", 1) if "(" not in line else line) for line in ended.lines]


def test_pools_leave_nothing(start: str) -> None:
    before, after, maps = measured(start, 12)
    assert after == before
    assert isinstance(maps, tuple)
    assert maps[1] - maps[0] < 6  # one for two pools would be a leak


def test_nothing_is_left_in_the_file_system(start: str, files: Callable[[str], Path]) -> None:
    """The resource tracker would tell of it, on standard error."""
    program = f"""
import multiprocessing
import subject, tasks, large, trouble
context = multiprocessing.get_context({start!r})
executor = subject.ProcessPoolExecutor(2, mp_context=context)
futures = [executor.submit(large.make_bytes, 5_000_000) for _ in range(4)]
kept = [future.result() for future in futures]
"""
    ended = run("-c", program, cwd=HERE)
    assert (ended.code, ended.stderr) == (0, "")


@pytest.mark.ours
def test_a_pool_has_no_name_in_the_file_system(start: str) -> None:
    """So that nothing can be left, however its processes end."""
    program = f"""
import multiprocessing, os
import subject, tasks, large, trouble
before = set(os.listdir("/dev/shm"))
context = multiprocessing.get_context({start!r})
with subject.ProcessPoolExecutor(2, mp_context=context) as executor:
    kept = [executor.submit(large.make_bytes, 5_000_000).result() for _ in range(4)]
    mine = {{name for name in set(os.listdir("/dev/shm")) - before if str(os.getpid()) in name}}
    print(sorted(mine))
"""
    ended = run("-c", program, cwd=HERE)
    assert (ended.code, ended.stderr, ended.stdout) == (0, "", "[]\n")
