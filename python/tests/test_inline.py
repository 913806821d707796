"""`InlineExecutor`: tasks run in the thread that submits them, one after the other."""

import gc
import threading
import weakref

import pytest

from manyhands import Future, InlineExecutor


def test_tasks_run_here_and_in_order() -> None:
    order: list[object] = []
    with InlineExecutor() as executor:
        future = executor.submit(order.append, 1)
        order.append(2)
        assert type(future) is Future and future.done() and not future.running()
        assert executor.submit(threading.current_thread).result() is threading.current_thread()
    assert order == [1, 2]


def test_a_task_may_submit_and_wait() -> None:
    executor = InlineExecutor()
    assert executor.submit(lambda: executor.submit(pow, 2, 10).result()).result() == 1024


def test_what_a_task_raises_is_its_exception() -> None:
    for error in (ValueError("no"), SystemExit(3)):

        def fail(error: BaseException = error) -> None:
            raise error

        assert InlineExecutor().submit(fail).exception() is error


def test_ctrl_c_is_for_the_thread_in_which_it_came() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        InlineExecutor().submit(interrupted)


def test_a_failed_future_goes_without_the_garbage_collector() -> None:
    gc.disable()
    try:
        future = InlineExecutor().submit(int, "x")
        gone = weakref.ref(future)
        del future
        assert gone() is None
    finally:
        gc.enable()


def test_wrong_arguments_are_the_tasks_failure() -> None:
    executor = InlineExecutor()
    assert isinstance(executor.submit(pow, 1, nonsense=2).exception(), TypeError)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        executor.submit(fn=int)  # type: ignore[call-arg]
