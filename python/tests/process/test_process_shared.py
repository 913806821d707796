"""`ProcessPoolExecutor.shared`: one object in shared memory, for many tasks."""

from __future__ import annotations

import pickle

import large
import pytest
import tasks
import trouble
from conftest import MakePool
from patience import until

pytestmark = pytest.mark.ours

LARGE = 20 << 20


def test_shared(pool: MakePool) -> None:
    pytest.importorskip("numpy")
    executor = pool(2)
    handle = executor.shared(large.make_array(1_000_000))
    futures = [executor.submit(large.page_sum_of, handle) for _ in range(20)]
    expected = large.page_sum(large.make_array(1_000_000))
    assert [future.result() for future in futures] == [expected] * 20


def test_a_shared_object_is_not_changed_by_tasks(pool: MakePool) -> None:
    pytest.importorskip("numpy")
    executor = pool(2)
    handle = executor.shared(large.make_array(100_000))
    for _ in range(4):
        executor.submit(large.try_to_write, handle).result()
    expected = large.page_sum(large.make_array(100_000))
    futures = [executor.submit(large.page_sum_of, handle) for _ in range(4)]
    assert [future.result() for future in futures] == [expected] * 4


def test_a_shared_object_after_a_crash(pool: MakePool) -> None:
    """The worker that takes the dead one's place gets it too."""
    executor = pool(1, on_crash="isolate")
    handle = executor.shared({"data": large.make_bytes(LARGE), "more": [1, 2]})
    assert executor.submit(large.key_of, handle, "more").result() == [1, 2]
    executor.submit(tasks.kill_self).exception()
    assert executor.submit(large.key_of, handle, "more").result() == [1, 2]


def test_shared_in_map_and_among_other_arguments(pool: MakePool) -> None:
    executor = pool(2)
    handle = executor.shared(list(range(1000)))
    results = executor.map(large.sum_of_shared, [handle] * 10, range(10), chunksize=3)
    assert list(results) == [499500.0 + number for number in range(10)]


@pytest.mark.parametrize("count", [10, 100_000])
def test_shared_objects_without_buffers(pool: MakePool, count: int) -> None:
    executor = pool(1)
    words = large.make_words(count)
    handle = executor.shared(words)
    assert handle.nbytes >= len(pickle.dumps(words, 5))
    assert executor.submit(large.length_of, handle).result() == count


def test_a_shared_object_is_freed_with_its_handle(pool: MakePool) -> None:
    executor = pool(1)
    executor.submit(int).result()
    before = large.shared_kib()
    for _ in range(15):
        handle = executor.shared(large.make_bytes(LARGE))
        executor.submit(large.length_of, handle).result()
        del handle
    until(lambda: large.shared_kib() - before < 5 * (LARGE >> 10))


def test_an_object_that_cannot_be_shared(pool: MakePool) -> None:
    executor = pool(1)
    with pytest.raises(OSError, match="will not be pickled"):
        executor.shared(trouble.Unpicklable())
    assert executor.submit(tasks.double, 1).result() == 2
