"""A process that forks while its pools work: the child is told, and hangs nowhere."""

import os
import textwrap
from collections.abc import Iterator

import programs
import pytest
from programs import run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")

PREAMBLE = """
import concurrent.futures, gc, os, signal, sys, threading, time, warnings
from manyhands import ThreadPoolExecutor, Future, wait, as_completed, FIRST_COMPLETED

warnings.simplefilter("ignore", DeprecationWarning)  # of 3.12, about fork() with threads

def in_child(code):
    '''What the child prints before it ends by itself, and how it ended.'''
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.dup2(writer, 1)
        signal.alarm(10)  # a child that hangs ends by SIGALRM
        try:
            code()
            sys.stdout.flush()
            os._exit(0)
        except RuntimeError as error:
            print(f"RuntimeError: {error}", flush=True)
            os._exit(1)
    os.close(writer)
    with open(reader) as told:
        said = told.read()
    return said, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

go = threading.Event()
executor = ThreadPoolExecutor(2)
running = [executor.submit(go.wait) for _ in range(2)]
pending = executor.submit(int)
results = executor.map(abs, [-1])
ended = Future()
ended.set_result("ended")
"""


@pytest.fixture(autouse=True)
def hang_limit(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(programs, "WATCHDOG_SECONDS", 100)
    yield


def forking(code: str) -> list[str]:
    ended = run("-c", PREAMBLE + textwrap.dedent(code))
    assert (ended.code, ended.stderr) == (0, ""), ended
    return ended.lines


@pytest.mark.parametrize(
    "use",
    [
        "executor.submit(int)",
        "executor.map(abs, [1])",
        "executor.stats()",
        "pending.result()",
        "pending.exception(10)",
        "running[0].result()",
        "wait([pending])",
        "wait([ended, *running])",
        "list(as_completed([pending, ended]))",
        "next(results)",
        "executor.run_to_futures([int])",
        "next(executor.run_to_results([int]))",
    ],
)
def test_what_the_parent_left_says_so(use: str) -> None:
    (line,) = forking(f"""
        said, status = in_child(lambda: {use})
        print(status, said, end="")
        go.set()
    """)
    assert line.startswith("1 RuntimeError: ")
    assert "fork()" in line and "make a new executor" in line


def test_what_has_ended_is_there() -> None:
    assert forking("""
        def child():
            print(ended.result(), ended.done(), pending.done(), running[0].running())
            print(wait([ended]).done == {ended}, list(as_completed([ended])) == [ended])
            print(len(wait([ended, pending], None, FIRST_COMPLETED).done))

        print(in_child(child))
        go.set()
    """) == [r"('ended True False True\nTrue True\n1\n', 0)"]


def test_shutdown_in_the_child_leaves_the_parents_pool_alone() -> None:
    assert forking("""
        def child():
            with executor:
                pass
            print(executor.shutdown(cancel_futures=True), executor.shutdown(wait=False))

        print(in_child(child))
        go.set()
        print(pending.result(), executor.submit(abs, -4).result())
    """) == [r"('True True\n', 0)", "0 4"]


def test_a_new_pool_in_the_child_works() -> None:
    assert forking("""
        def child():
            with ThreadPoolExecutor(2) as executor:
                print(list(executor.map(abs, [-1, -2])), executor.submit(pow, 2, 10).result())
                futures = [executor.submit(int) for _ in range(100)]
                print(len(list(as_completed(futures))))
            print(in_child(lambda: print(ThreadPoolExecutor(1).submit(abs, -3).result())))

        print(in_child(child))
        go.set()
        print(pending.result(), list(results), executor.submit(abs, -4).result())
    """) == [r"""("[1, 2] 1024\n100\n('3\\n', 0)\n", 0)""", "0 [1] 4"]


def test_futures_made_from_others_can_be_waited_for_no_more() -> None:
    assert forking("""
        from manyhands import gather
        made = [pending.then(str), gather(ended, pending), executor.submit_after(abs, pending)]
        done, by_hand = ended.then(str), Future()
        made_by_hand = by_hand.then(str)

        def child():
            for future in made:
                try:
                    future.result()
                except RuntimeError as error:
                    print("fork()" in str(error))
            print(done.result(), ended.then(len).result())
            by_hand.set_result(5)
            print(made_by_hand.result())

        print(in_child(child))
        go.set()
        print([future.result() for future in made])
    """) == [r"('True\nTrue\nTrue\nended 5\n5\n', 0)", "['0', ['ended', 0], 0]"]


@pytest.mark.parametrize(
    "end",
    [
        "sys.exit(3)",
        "os._exit(3)",
        "del globals()['executor'], globals()['pending']; gc.collect(); sys.exit(3)",
        "del globals()['results']; gc.collect(); sys.exit(3)",
    ],
)
def test_the_child_ends(end: str) -> None:
    assert forking(f"""
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            {end}
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        go.set()
    """) == ["3"]


def test_children_forked_at_any_moment_end() -> None:
    """While other threads submit, wait and cancel: whatever lock they hold is held in the child."""
    assert forking("""
        go.set()
        over = threading.Event()
        futures = []

        def busy():
            while not over.is_set():
                made = [executor.submit(int) for _ in range(50)]
                futures[:] = made
                made[0].cancel()
                wait(made)
                list(executor.map(abs, range(50)))

        threads = [threading.Thread(target=busy) for _ in range(2)]
        for thread in threads:
            thread.start()
        statuses = set()
        for number in range(100):
            child = os.fork()
            if child == 0:
                signal.alarm(10)
                for future in list(futures):
                    future.done()
                    try:
                        future.result()
                    except (RuntimeError, concurrent.futures.CancelledError):
                        pass
                try:
                    executor.submit(int)
                except RuntimeError:
                    pass
                if number % 3 == 0:
                    futures.clear()
                    executor = None
                    gc.collect()
                with ThreadPoolExecutor(1) as mine:
                    assert mine.submit(abs, -3).result() == 3
                # The end of a program: hooks, collection of all that is left.
                sys.exit(3)
            statuses.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        over.set()
        for thread in threads:
            thread.join()
        print(statuses)
    """) == ["{3}"]


def test_multiprocessing_that_forks() -> None:
    assert forking("""
        go.set()
        import multiprocessing

        def in_process(queue):
            try:
                executor.submit(int)
            except RuntimeError as error:
                queue.put("fork()" in str(error))
            with ThreadPoolExecutor(2) as mine:
                queue.put(list(mine.map(abs, [-1, -2])))

        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()
        process = context.Process(target=in_process, args=(queue,))
        process.start()
        print(queue.get(), queue.get())
        process.join(20)
        print(process.exitcode)
    """) == ["True [1, 2]", "0"]
