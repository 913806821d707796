"""Large data: right on the other side, written once, seen by nobody else when it is written to, and
given back when the last view of it is gone.
"""

from __future__ import annotations

import array
import gc
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import large
import pytest
import tasks
from conftest import MakePool
from patience import until, until_collected
from subject import TimeoutError

Files = Callable[[str], Path]

# Below, at and above what may go through shared memory, and no multiple of a page.
SIZES = [0, 1, 4095, 65_536, 1_000_003, 20 << 20]
LARGE = 20 << 20


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_bytes_both_ways(pool: MakePool, size: int, kind: Any) -> None:
    executor = pool(1)
    data = kind(os.urandom(min(size, 65_536)) * (size // 65_536 + 1))[:size]
    for _ in range(3):
        back = executor.submit(tasks.same, data).result()
        assert type(back) is kind and back == data


def test_a_nest_of_buffers(pool: MakePool) -> None:
    data = {
        "bytes": large.make_bytes(100_000),
        "list": [large.make_bytearray(200_000), b"", bytearray()],
        "array": array.array("d", [1.5] * 50_000),
        "text": "ö" * 300_000,
    }
    data["again"] = data["list"]
    back = pool(1).submit(tasks.same, data).result()
    assert back == data
    assert back["again"] is back["list"]


# Their pickles are shorter than what goes through shared memory, about as long, and much longer.
@pytest.mark.parametrize("count", [100, 1_810, 1_820, 100_000])
@pytest.mark.parametrize("make", [large.make_floats, large.make_words])
def test_many_small_objects_both_ways(pool: MakePool, make: Any, count: int) -> None:
    executor = pool(1)
    for _ in range(2):
        assert executor.submit(tasks.same, make(count)).result() == make(count)
    assert executor.submit(make, count).result() == make(count)


@pytest.mark.ours
def test_nobody_waits_for_the_end_of_large_objects(pool: MakePool, files: Files) -> None:
    """A worker answers first, as in the standard library, and then drops what it was sent or has made."""
    executor = pool(1)
    executor.submit(large.heed_end, files("first")).result()
    assert executor.submit(len, [large.LastsLong(), *large.make_floats(10_000)]).result() == 10_001
    busy = executor.submit(large.heed_end, files("second"))
    with pytest.raises(TimeoutError):
        busy.result(0.1)
    files("first").touch()
    busy.result()
    assert len(executor.submit(large.make_with_end, 10_000).result()) == 10_001
    files("second").touch()
    assert executor.submit(tasks.double, 4).result() == 8


@pytest.mark.ours
def test_the_end_of_large_objects_is_part_of_a_task_that_is_timed(
    pool: MakePool, files: Files
) -> None:
    """Else it would take the time of the next."""
    executor = pool(1, timeout=tasks.HOUR)
    executor.submit(large.heed_end, files("go")).result()
    future = executor.submit(len, [large.LastsLong(), *large.make_floats(10_000)])
    with pytest.raises(TimeoutError):
        future.result(0.1)
    files("go").touch()
    assert future.result() == 10_001


def test_the_senders_copy_stays_its_own(pool: MakePool) -> None:
    """What a task writes into its argument, nobody else sees."""
    data = large.make_bytearray(LARGE)
    executor = pool(2)
    futures = [executor.submit(large.overwrite, data, number) for number in range(4)]
    assert [future.result() for future in futures] == [(7, number) for number in range(4)]
    assert data == large.make_bytearray(LARGE)


def test_what_is_changed_after_submit_does_not_arrive(pool: MakePool, files: Files) -> None:
    """Unless it was changed while `submit` still ran, the pool took what there was."""
    executor = pool(1)
    executor.submit(tasks.hold, files("started"), files("go"))
    until(files("started").exists)
    data = bytearray(b"\x07") * LARGE
    future = executor.submit(large.page_sum, data)
    # The standard library pickles a little later, in a thread.
    expected = large.page_sum(data)
    files("go").touch()
    assert future.result() == expected


@pytest.mark.ours
def test_what_is_changed_at_once_does_not_arrive(pool: MakePool, files: Files) -> None:
    executor = pool(1)
    executor.submit(tasks.hold, files("started"), files("go"))
    until(files("started").exists)
    data = bytearray(b"\x07") * LARGE
    future = executor.submit(large.page_sum, data)
    data[:] = bytes(LARGE)
    files("go").touch()
    assert future.result() == large.page_sum(large.make_bytes(LARGE))


def test_many_in_flight(pool: MakePool) -> None:
    executor = pool(2)
    data = [bytes([number % 256]) * 300_000 for number in range(60)]
    assert list(executor.map(tasks.same, data)) == data


# Arrays.


@pytest.mark.parametrize("writeable", [True, False])
def test_an_array_as_an_argument(pool: MakePool, writeable: bool) -> None:
    pytest.importorskip("numpy")
    array = large.make_array(1_000_000, writeable)
    executor = pool(2)
    for future in [executor.submit(large.about_array, array) for _ in range(4)]:
        seen = future.result()
        assert seen["sum"] == float(array.sum())
        assert (seen["shape"], seen["dtype"]) == ((1_000_000,), "float64")
        assert seen["contiguous"]
        if seen["writeable"]:
            assert seen["after"] == 9e6
    assert float(array.sum()) == 499999500000.0  # a task's writes are its own


@pytest.mark.ours
@pytest.mark.parametrize("writeable", [True, False])
def test_an_array_is_a_view(pool: MakePool, writeable: bool) -> None:
    """Writable where the sender's was, in both directions."""
    pytest.importorskip("numpy")
    executor = pool(1)
    seen = executor.submit(large.about_array, large.make_array(1_000_000, writeable)).result()
    assert (seen["owns"], seen["writeable"]) == (False, writeable)
    result = executor.submit(large.make_array, 1_000_000, writeable).result()
    assert (result.flags.owndata, result.flags.writeable) == (False, writeable)
    if writeable:
        result[...] = 3
        assert float(result.sum()) == 3e6
    else:
        with pytest.raises(ValueError, match="read-only"):
            result[0] = 1


def test_arrays_of_many_kinds(pool: MakePool) -> None:
    numpy = pytest.importorskip("numpy")
    base = numpy.arange(240_000, dtype=numpy.int32)
    arrays = [
        base,
        base.reshape(400, 600),
        numpy.asfortranarray(base.reshape(400, 600)),
        base.reshape(400, 600).T,
        base[::3],
        base[:0],
        base.astype("complex128"),
        base.view([("a", "i2"), ("b", "i2")]),
        base > 5,
        numpy.array(3.5),
        numpy.array([{"a": 1}, None, "text"], dtype=object),
        base.astype("datetime64[s]"),
        base.astype("U6"),
    ]
    executor = pool(2)
    for given, back in zip(arrays, executor.map(tasks.same, arrays), strict=True):
        assert (back.dtype, back.shape) == (given.dtype, given.shape)
        assert numpy.array_equal(back, given)
        assert back.flags.f_contiguous == given.flags.f_contiguous or not given.flags.forc


@pytest.mark.ours
def test_two_results_are_not_one_anothers(pool: MakePool) -> None:
    pytest.importorskip("numpy")
    executor = pool(2)
    futures = [executor.submit(large.make_array, 500_000) for _ in range(6)]
    arrays = [future.result() for future in futures]
    expected = float(arrays[0].sum())
    for number, one in enumerate(arrays):
        one[...] = number
    for number, one in enumerate(arrays):
        assert float(one.sum()) == 500_000.0 * number != expected


@pytest.mark.ours
def test_a_result_outlives_its_pool_and_its_worker(pool: MakePool) -> None:
    pytest.importorskip("numpy")
    executor = pool(1)
    result = executor.submit(large.make_array, 1_000_000).result()
    view = result[10:20]
    expected = float(result.sum())
    executor.shutdown()
    del executor
    gc.collect()
    assert float(result.sum()) == expected
    result[...] = 1
    del result
    gc.collect()
    assert view.tolist() == [1.0] * 10


@pytest.mark.ours
def test_memory_is_used_again(pool: MakePool) -> None:
    """A hundred times 20 MiB, each dropped: no more than a few of them are ever there."""
    pytest.importorskip("numpy")
    executor = pool(1)
    executor.submit(large.make_array, LARGE // 8).result()
    before = large.shared_kib()
    for _ in range(100):
        array = executor.submit(large.make_array, LARGE // 8).result()
        executor.submit(large.about_array, array).result()
        del array
    assert large.shared_kib() - before < 10 * (LARGE >> 10)


@pytest.mark.ours
def test_memory_of_pickles_is_used_again(pool: MakePool) -> None:
    executor = pool(1)
    words = large.make_words(30_000)
    assert executor.submit(tasks.same, words).result() == words
    before = large.shared_kib()
    for _ in range(30):
        executor.submit(tasks.same, words).result()
    assert large.shared_kib() - before < 5 << 10


@pytest.mark.ours
def test_a_result_that_is_asked_for_after_its_pool_has_gone(pool: MakePool) -> None:
    executor = pool(2)
    futures = [executor.submit(large.make_words, 10_000) for _ in range(6)]
    executor.shutdown()
    assert [future.result() for future in futures] == [large.make_words(10_000)] * 6


@pytest.mark.ours
def test_views_that_are_kept_are_not_written_over(pool: MakePool) -> None:
    pytest.importorskip("numpy")
    executor = pool(1)
    kept = []
    for number in range(20):
        array = executor.submit(large.make_array, 200_000).result()
        array[...] = number
        if number % 2:
            kept.append((number, array))
        del array
    for number, array in kept:
        assert float(array.min()) == float(array.max()) == float(number)


@pytest.mark.ours
def test_what_a_worker_keeps_is_not_written_over(pool: MakePool) -> None:
    executor = pool(1)
    for number in range(10):
        data = bytearray([number]) * 1_000_000
        assert executor.submit(large.keep, data).result() == number + 1
    sums = executor.submit(large.page_sums_of_kept).result()
    pages = -(-1_000_000 // 4096)
    assert sums == [number * pages for number in range(10)]
    executor.submit(large.drop_kept).result()


@pytest.mark.ours
def test_the_memory_of_a_killed_holder_comes_back(pool: MakePool) -> None:
    executor = pool(1, on_crash="isolate")
    data = large.make_bytes(LARGE)
    executor.submit(large.page_sum, data).result()
    before = large.shared_kib()
    for _ in range(15):
        executor.submit(large.keep, data).result()
        executor.submit(tasks.kill_self).exception()
    executor.submit(tasks.double, 1).result()
    until(lambda: large.shared_kib() - before < 5 * (LARGE >> 10))


@pytest.mark.ours
def test_a_future_does_not_hold_what_it_sent(pool: MakePool) -> None:
    numpy = pytest.importorskip("numpy")
    executor = pool(1)
    array = numpy.ones(1_000_000)
    reference = weakref.ref(array)
    future = executor.submit(large.page_sum, array)
    del array
    future.result()
    until_collected(reference)


@pytest.mark.ours
def test_the_parent_holds_one_copy_at_most() -> None:
    """In a process of its own, whose peak memory is its own."""
    from programs import succeed

    program = f"""
import sys
sys.path.append({str(Path(__file__).parents[1])!r})
import subject, tasks, large, trouble
with subject.ProcessPoolExecutor(1) as executor:
    executor.submit(int).result()
    data = large.make_bytearray(100 << 20)
    before = large.memory_kib()
    executor.submit(large.page_sum, data).result()
    print(large.memory_kib() - before)
"""
    grown = int(succeed("-c", program, cwd=Path(__file__).parent).stdout)
    assert grown < 115 << 10
