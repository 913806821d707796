"""The collector of cycles does not look at the future of a task until it may be part of a cycle; and
every cycle through a future is collected."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from patience import until_collected

from manyhands import Future, ThreadPoolExecutor


class Owner:
    """Has its future, which has what leads back to it."""

    future: Future[Any]

    def __init__(self) -> None:
        self.goes_on = threading.Event()

    def returns_itself(self) -> Owner:
        self.goes_on.wait()
        return self

    def returns_in_a_list(self) -> list[Owner]:
        return [self.returns_itself()]

    def raises(self) -> None:
        self.goes_on.wait()
        raise ValueError(self)


@pytest.mark.parametrize("result", [None, 7, "text", b"bytes", 1.5])
def test_the_collector_is_not_shown_what_leads_nowhere(result: object) -> None:
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(lambda: result)
        assert not gc.is_tracked(future)
        assert future.result() == result
        assert not gc.is_tracked(future)


def in_place(owner: Owner) -> None:
    """Run by a task that waits for it: the pool has one worker."""
    with ThreadPoolExecutor(1) as executor:
        owner.goes_on.set()

        def outer() -> None:
            owner.future = executor.submit(owner.returns_itself)
            owner.future.result()

        executor.submit(outer).result()


def submitted(method: str, when: str) -> Callable[[Owner], None]:
    def make(owner: Owner) -> None:
        with ThreadPoolExecutor(1) as executor:
            if when == "before":
                owner.goes_on.set()
            owner.future = executor.submit(getattr(owner, method))
            owner.goes_on.set()

    return make


def by_attribute(owner: Owner) -> None:
    with ThreadPoolExecutor(1) as executor:
        owner.future = executor.submit(int)
    owner.future.owner = owner  # type: ignore[attr-defined]


def by_dict(owner: Owner) -> None:
    with ThreadPoolExecutor(1) as executor:
        owner.future = executor.submit(int)
    vars(owner.future)["owner"] = owner


def by_field(owner: Owner) -> None:
    with ThreadPoolExecutor(1) as executor:
        owner.future = executor.submit(int)
    owner.future._result = owner


def by_condition(owner: Owner) -> None:
    with ThreadPoolExecutor(1) as executor:
        owner.future = executor.submit(int)
    owner.future._condition.owner = owner


@pytest.mark.parametrize(
    "make",
    [
        submitted("returns_itself", "before"),
        submitted("returns_itself", "after"),
        submitted("returns_in_a_list", "after"),
        submitted("raises", "after"),
        in_place,
        by_attribute,
        by_dict,
        by_field,
        by_condition,
    ],
)
def test_a_cycle_through_a_future_is_collected(make: Callable[[Owner], None]) -> None:
    owner = Owner()
    make(owner)
    assert gc.is_tracked(owner.future)
    gone = weakref.ref(owner.future)
    del owner
    until_collected(gone)


def test_futures_that_die_as_their_tasks_end() -> None:
    """Whoever ends one knows it without keeping it alive."""
    with ThreadPoolExecutor(2) as executor:
        for _ in range(20_000):
            executor.submit(list)
        kept = [executor.submit(list) for _ in range(20_000)]
        while kept:
            kept.pop()
        gc.collect()
        assert executor.submit(list).result() == []


def test_a_future_that_dies_with_a_finalizer() -> None:
    """What is told of its death runs, and ends tasks, while it dies."""
    ended = []
    with ThreadPoolExecutor(1) as executor:
        for _ in range(200):
            event = threading.Event()
            future = executor.submit(lambda event=event: [event.wait()])

            def told(_: object, event: threading.Event = event) -> None:
                event.set()
                ended.append(executor.submit(list).result())

            watch = weakref.ref(future, told)
            del future
            assert watch() is None
    assert ended == [[]] * 200
    gc.collect()
