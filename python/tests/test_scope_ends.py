"""`task_scope` in asyncio, and when Ctrl-C comes."""

import asyncio
import signal
import textwrap
import threading
from typing import Any

import pytest
from executors import ByHand
from patience import until
from programs import run

from manyhands import (
    TaskScope,
    ThreadPoolExecutor,
    task_scope,
)


def fail(error: BaseException) -> None:
    raise error


def until_stopped(scope: TaskScope, began: threading.Event | None = None) -> str:
    if began is not None:
        began.set()
    until(scope.stop_requested)
    return "stopped"


# asyncio alone


def test_leaving_keeps_no_event_loop_waiting(go: threading.Event) -> None:
    async def main(executor: ThreadPoolExecutor) -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            for _ in range(5):
                await asyncio.sleep(0.001)
                ticks += 1
            go.set()

        ticking = asyncio.create_task(tick())
        async with task_scope(executor) as scope:
            scope.submit(go.wait)
        await ticking
        return ticks

    with ThreadPoolExecutor(1) as executor:
        assert asyncio.run(main(executor)) == 5


def test_a_task_that_awaits_one_is_told_of_the_first_failure() -> None:
    async def main() -> None:
        executor = ByHand()
        async with task_scope(executor) as scope:
            first, second = scope.submit(int), scope.submit(int)
            asyncio.get_running_loop().call_soon(first.set_exception, ValueError("first"))
            await asyncio.wrap_future(second)

    with pytest.raises(ValueError, match="first"):
        asyncio.run(main())


def test_cancelling_the_task_cancels_and_waits() -> None:
    async def main(executor: ThreadPoolExecutor) -> None:
        began = threading.Event()
        futures: list[Any] = []

        async def scoped() -> None:
            async with task_scope(executor) as scope:
                futures.append(scope.submit(until_stopped, scope, began))
                futures.append(scope.submit(int))
                await asyncio.sleep(3600)

        task = asyncio.create_task(scoped())
        while not began.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert futures[0].result(0) == "stopped" and futures[1].cancelled()

    with ThreadPoolExecutor(1) as executor:
        asyncio.run(main(executor))


def test_cancelling_the_task_while_it_leaves_cancels_and_waits() -> None:
    async def main(executor: ThreadPoolExecutor) -> None:
        futures: list[Any] = []

        async def scoped() -> None:
            async with task_scope(executor) as scope:
                futures.append(scope.submit(until_stopped, scope))

        task = asyncio.create_task(scoped())
        while not futures:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert futures[0].result(0) == "stopped"

    with ThreadPoolExecutor(1) as executor:
        asyncio.run(main(executor))


# Ctrl-C


PREAMBLE = """
import asyncio, os, signal, sys, threading, time
from manyhands import ThreadPoolExecutor, task_scope

started = threading.Event()

def sleeping():
    started.set()
    time.sleep(3600)

def interrupt():
    started.wait()
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
"""


@pytest.mark.parametrize(
    "body", ["futures[0].result()", "time.sleep(3600)", "pass"], ids=["result", "sleep", "leaving"]
)
def test_one_ctrl_c_ends_the_program(body: str) -> None:
    ended = run("-c", PREAMBLE + textwrap.dedent(f"""
        with ThreadPoolExecutor(1) as executor:
            try:
                with task_scope(executor) as scope:
                    futures = [scope.submit(sleeping) for _ in range(5)]
                    {body}
            finally:
                print([future.cancelled() for future in futures], scope.stop_requested())
    """))  # fmt: skip
    assert ended.code == -signal.SIGINT, ended
    assert ended.lines == ["[False, True, True, True, True] True"]
    assert ended.stderr.splitlines()[-1] == "KeyboardInterrupt"


def test_the_program_may_go_on_after_ctrl_c() -> None:
    ended = run("-c", PREAMBLE + textwrap.dedent("""
        def until_stopped():
            started.set()
            while not scope.stop_requested():
                pass
            return "stopped"

        with ThreadPoolExecutor(1) as executor:
            try:
                with task_scope(executor) as scope:
                    future = scope.submit(until_stopped)
            except KeyboardInterrupt:
                print(future.result())
    """))  # fmt: skip
    assert (ended.code, ended.stdout) == (0, "stopped\n"), ended
