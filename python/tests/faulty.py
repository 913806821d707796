"""`Small`: a plain thread pool that behaves as it should, and subclasses of it, each with one fault."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from manyhands import BrokenExecutor, CancelledError, Executor, Future, as_completed

Task = tuple[Any, Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class ToldAtOnce(Future):
    """A future whose cancel needs no worker to be known."""

    def cancel(self) -> bool:
        was_cancelled = self.cancelled()
        if not super().cancel():
            return False
        if not was_cancelled:
            self.set_running_or_notify_cancel()
        return True


class Small(Executor):
    future_type: type[Future[Any]] = ToldAtOnce

    def __init__(self, workers: int = 2) -> None:
        self.queue: deque[Task] = deque()
        self.running = 0
        self.accepted = 0
        self.is_shut_down = False
        self.broken: BaseException | None = None
        self.changed = threading.Condition(threading.Lock())
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(workers)]
        for thread in self.threads:
            thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with self.changed:
            if self.broken is not None:
                raise self.broken
            self.check()
            future = self.future_type()
            self.accepted += 1
            self.accept((future, fn, args, kwargs))
            self.changed.notify_all()
            return future

    def check(self) -> None:
        if self.is_shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def accept(self, task: Task) -> None:
        self.queue.append(task)

    def work(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.queue or self.is_shut_down)
                if not self.queue:
                    return
                task = self.queue.popleft()
                self.running += 1
            self.run(*task)
            del task
            with self.changed:
                self.running -= 1
                self.changed.notify_all()

    def run(self, future: Any, fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
        if not self.begin(future):
            return
        try:
            result = self.call(fn, args, kwargs)
        except BaseException as error:  # noqa: BLE001  # it is the future's
            self.fail(future, error)
        else:
            future.set_result(result)

    def begin(self, future: Any) -> bool:
        return not future.cancelled() and future.set_running_or_notify_cancel()

    def call(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    def fail(self, future: Any, error: BaseException) -> None:
        future.set_exception(error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        cancelled: list[Task] = []
        with self.changed:
            self.is_shut_down = True
            if self.cancels(cancel_futures):
                cancelled += self.queue
                self.queue.clear()
            self.changed.notify_all()
        for future, *_ in cancelled:
            future.cancel()
        if self.waits(wait):
            with self.changed:
                self.changed.wait_for(lambda: not self.running and not self.queue)

    def cancels(self, cancel_futures: bool) -> bool:
        return cancel_futures

    def waits(self, wait: bool) -> bool:
        return wait and threading.current_thread() not in self.threads

    def break_down(self) -> None:
        with self.changed:
            self.broken = BrokenExecutor("on purpose")
            lost = [*self.queue]
            self.queue.clear()
        for future, *_ in lost:
            self.lose(future)

    def lose(self, future: Any) -> None:
        if future.set_running_or_notify_cancel():
            future.set_exception(self.broken)


class RunsTwice(Small):
    def call(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        fn(*args, **kwargs)
        return fn(*args, **kwargs)


class LosesTasks(Small):
    def accept(self, task: Task) -> None:
        if self.accepted % 7:
            super().accept(task)


class LosesKeywords(Small):
    def call(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        return fn(*args)


class CopiesResults(Small):
    class future_type(ToldAtOnce):  # it takes the place of an attribute
        def result(self, timeout: float | None = None) -> Any:
            result = super().result(timeout)
            return list(result) if isinstance(result, list) else result


class HidesErrors(Small):
    def fail(self, future: Any, error: BaseException) -> None:
        future.set_result(None)


class DisguisesErrors(Small):
    def fail(self, future: Any, error: BaseException) -> None:
        future.set_exception(OSError(str(error)))


class DiesOfErrors(Small):
    def fail(self, future: Any, error: BaseException) -> None:
        super().fail(future, error)
        raise SystemExit  # which ends the thread, in silence


class RunsInTheCaller(Small):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = self.future_type()
        self.run(future, fn, args, kwargs)
        return future


class LocksWhileItRuns(Small):
    def run(self, *task: Any) -> None:
        with self.changed:
            super().run(*task)


class HasAWorkerTooFew(Small):
    def __init__(self, workers: int = 2) -> None:
        super().__init__(workers - 1)


class HasAWorkerTooMany(Small):
    def __init__(self, workers: int = 2) -> None:
        super().__init__(workers + 1)


class NeverBegins(Small):
    """Its futures are pending until they are done, and so can be cancelled while they run."""

    def begin(self, future: Any) -> bool:
        return not future.cancelled()

    def run(self, *task: Any) -> None:
        with contextlib.suppress(Exception):  # the future was cancelled meanwhile
            super().run(*task)


class RunsWhatWasCancelled(Small):
    def run(self, future: Any, fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
        if future.cancelled():
            fn(*args, **kwargs)
        super().run(future, fn, args, kwargs)


class TellsNobodyOfCancels(Small):
    future_type = Future


class TellsLateOfCancels(Small):
    future_type = Future

    def begin(self, future: Any) -> bool:
        return bool(future.set_running_or_notify_cancel())


class CallsBackTwice(Small):
    class future_type(ToldAtOnce):
        def add_done_callback(self, fn: Callable[[Any], object]) -> None:
            super().add_done_callback(fn)
            super().add_done_callback(fn)


class CallsBackNever(Small):
    class future_type(ToldAtOnce):
        def add_done_callback(self, fn: Callable[[Any], object]) -> None:
            pass


class CallsBackOnlyTheLast(Small):
    class future_type(ToldAtOnce):
        def add_done_callback(self, fn: Callable[[Any], object]) -> None:
            self.last = fn
            super().add_done_callback(lambda future: fn(future) if self.last is fn else None)


class CallsBackBeforeTheEnd(Small):
    class future_type(ToldAtOnce):
        def add_done_callback(self, fn: Callable[[Any], object]) -> None:
            fn(self)


class CallsBackElsewhere(Small):
    class future_type(ToldAtOnce):
        def add_done_callback(self, fn: Callable[[Any], object]) -> None:
            def call(future: Any) -> None:
                thread = threading.Thread(target=fn, args=(future,))
                thread.start()
                thread.join()

            super().add_done_callback(call)


class CallsNoneBackOfCancels(Small):
    class future_type(ToldAtOnce):
        def add_done_callback(self, fn: Callable[[Any], object]) -> None:
            super().add_done_callback(lambda f: None if f.cancelled() else fn(f))


class MapsOutOfOrder(Small):
    def map(self, fn: Callable[..., Any], *iterables: Any, timeout: Any = None, **_: Any) -> Any:
        futures = [self.submit(fn, *args) for args in zip(*iterables)]
        return (future.result() for future in as_completed(futures, timeout))


class MapsWithoutErrors(Small):
    def map(self, fn: Callable[..., Any], *iterables: Any, timeout: Any = None, **_: Any) -> Any:
        futures = [self.submit(fn, *args) for args in zip(*iterables)]
        return (future.result() for future in futures if not future.exception(timeout))


class MapsAndLeavesBehind(Small):
    def map(self, fn: Callable[..., Any], *iterables: Any, timeout: Any = None, **_: Any) -> Any:
        futures = [self.submit(fn, *args) for args in zip(*iterables)]

        def results() -> Iterator[Any]:
            for future in futures:
                yield future.result(timeout)

        return results()


class MapsWithoutEnd(Small):
    def map(self, fn: Callable[..., Any], *iterables: Any, **options: Any) -> Any:
        options.pop("timeout", None)
        return super().map(fn, *iterables, **options)


class MapsAllAtOnce(Small):
    def map(self, fn: Callable[..., Any], *iterables: Any, **options: Any) -> Any:
        options.pop("buffersize", None)
        return super().map(fn, *iterables, **options)


class AcceptsAfterShutdown(Small):
    def check(self) -> None:
        pass


class NeverWaits(Small):
    def waits(self, wait: bool) -> bool:
        return False


class AlwaysWaits(Small):
    def waits(self, wait: bool) -> bool:
        return True


class WaitsForItself(Small):
    def waits(self, wait: bool) -> bool:
        return wait


class NeverCancels(Small):
    def cancels(self, cancel_futures: bool) -> bool:
        return False


class AlwaysCancels(Small):
    def cancels(self, cancel_futures: bool) -> bool:
        return True


class ShutsDownOnce(Small):
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if not self.is_shut_down:
            super().shutdown(wait, cancel_futures=cancel_futures)


class CancelsUnderItsLock(Small):
    def cancels(self, cancel_futures: bool) -> bool:
        for future, *_ in self.queue if cancel_futures else ():
            future.cancel()
        return cancel_futures


class IsNoContextManager(Small):
    def __exit__(self, *_: object) -> None:
        self.shutdown(wait=False)


class BreaksInSilence(Small):
    def lose(self, future: Any) -> None:
        pass


class BreaksByCancelling(Small):
    def lose(self, future: Any) -> None:
        future.set_exception(CancelledError())


class AcceptsWhenBroken(Small):
    def break_down(self) -> None:
        super().break_down()
        self.broken = None
