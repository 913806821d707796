"""asyncio on our executor and futures: all that it does with the standard library's."""

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import Coroutine
from typing import Any

import pytest
from patience import until

from manyhands import CancelledError, Future, ThreadPoolExecutor

# Only what hangs takes so long.
LIMIT = 60


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, LIMIT))


def fail() -> None:
    raise OSError("the task's")


def test_run_in_executor() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(2) as executor:
            calls = [loop.run_in_executor(executor, abs, -number) for number in range(100)]
            assert await asyncio.gather(*calls) == list(range(100))
            with pytest.raises(OSError, match="the task's"):
                await loop.run_in_executor(executor, fail)

    run(main())


def test_the_default_executor_and_to_thread() -> None:
    async def main() -> ThreadPoolExecutor:
        executor = ThreadPoolExecutor(2, thread_name_prefix="default")
        asyncio.get_running_loop().set_default_executor(executor)
        WHO.set("me")

        def look() -> tuple[str, str]:
            return threading.current_thread().name, WHO.get()

        name, who = await asyncio.to_thread(look)
        assert name.startswith("default_") and who == "me"
        await asyncio.get_running_loop().shutdown_default_executor()
        return executor

    executor = run(main())
    assert not any(thread.is_alive() for thread in executor._threads)


WHO = contextvars.ContextVar("WHO", default="nobody")


@pytest.mark.parametrize(
    "end, error",
    [
        (lambda future: future.set_result(1), None),
        (lambda future: future.set_exception(OSError()), OSError),
        (lambda future: future.set_exception(CancelledError()), asyncio.CancelledError),
        (lambda future: future.cancel(), asyncio.CancelledError),
    ],
    ids=["result", "exception", "CancelledError", "cancel"],
)
@pytest.mark.parametrize("when", ["before", "later"])
@pytest.mark.parametrize("fat", [False, True])
def test_wrap_future(end: Any, error: Any, when: str, fat: bool) -> None:
    async def main() -> Any:
        future: Future[int] = Future()
        if fat:
            with future._condition:
                pass
        if when == "before":
            end(future)
        else:
            threading.Timer(0.05, end, [future]).start()
        return await asyncio.wrap_future(future)

    if error is None:
        assert run(main()) == 1
    else:
        with pytest.raises(error):
            run(main())


def test_whoever_cancels_the_wrapper_cancels_the_future() -> None:
    async def main() -> None:
        go = threading.Event()
        with ThreadPoolExecutor(1) as executor:
            first = executor.submit(go.wait)
            until(first.running)
            second = executor.submit(int)
            wrapped = asyncio.wrap_future(second)
            wrapped.cancel()
            try:
                with pytest.raises(asyncio.CancelledError):
                    await wrapped
                await asyncio.sleep(0)
                assert second.cancelled()
            finally:
                go.set()

    run(main())


def test_await_a_future_of_the_executor() -> None:
    async def main() -> None:
        with ThreadPoolExecutor(2) as executor:
            assert await executor.submit(pow, 2, 10) == 1024
            with pytest.raises(OSError, match="the task's"):
                await executor.submit(fail)
            futures = [executor.submit(abs, -number) for number in range(50)]
            assert [await future for future in futures] == list(range(50))
            assert await asyncio.gather(*map(asyncio.wrap_future, futures)) == list(range(50))

    run(main())


def test_await_leaves_the_loop_free() -> None:
    """What the task waits for is done by the loop that awaits it."""

    async def main() -> None:
        go = threading.Event()

        async def let_go() -> None:
            go.set()

        with ThreadPoolExecutor(1) as executor:
            future = executor.submit(go.wait)
            other = asyncio.ensure_future(let_go())
            assert await future is True
            await other

    run(main())


def test_a_coroutine_that_is_cancelled_while_it_awaits() -> None:
    async def main() -> None:
        go = threading.Event()
        with ThreadPoolExecutor(1) as executor:
            first = executor.submit(go.wait)
            until(first.running)
            second = executor.submit(int)

            async def waits() -> Any:
                return await second

            task = asyncio.ensure_future(waits())
            await asyncio.sleep(0.01)
            task.cancel()
            try:
                with pytest.raises(asyncio.CancelledError):
                    await task
                await asyncio.sleep(0)
                assert second.cancelled() and not first.cancelled()
            finally:
                go.set()

    run(main())


def test_run_coroutine_threadsafe_from_a_task() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def double(number: int) -> int:
            return 2 * number

        def task(number: int) -> int:
            return asyncio.run_coroutine_threadsafe(double(number), loop).result()

        with ThreadPoolExecutor(2) as executor:
            calls = [loop.run_in_executor(executor, task, number) for number in range(20)]
            assert await asyncio.gather(*calls) == list(range(0, 40, 2))

    run(main())


def test_many_at_once_by_several_loops() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        calls = (loop.run_in_executor(executor, abs, number) for number in range(1000))
        return sum(await asyncio.gather(*calls))

    with ThreadPoolExecutor(2) as executor, ThreadPoolExecutor(3) as loops:
        futures = [loops.submit(run, main()) for _ in range(6)]
        for future in concurrent.futures.as_completed(futures):
            assert future.result() == sum(range(1000))
