"""Memory that large results leave to the next."""

import gc
import mmap
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from ndmapper.data import NDLater
from ndmapper.numerics import arith, memory
from ndmapper.numerics.memory import empty

F4 = np.dtype("f4")
SIDE = 2048  # 16 MB, from which on memory is kept

needs_free = pytest.mark.skipif(
    not hasattr(mmap, "MADV_FREE"), reason="the system cannot be told of free memory"
)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    gc.collect()
    monkeypatch.setattr(memory, "_kept", [])


def address(array):
    return array.__array_interface__["data"][0]


@needs_free
def test_array_gets_the_memory_that_nobody_has_any_more():
    first = empty((SIDE, SIDE), F4)
    where = address(first)
    view = first[5:, ::2]
    del first
    other = empty((SIDE, SIDE), F4)
    assert address(other) != where  # the view still has it
    del view
    again = empty((SIDE, SIDE // 2), np.dtype("f8"))
    assert address(again) == where
    assert (again.shape, again.dtype) == ((SIDE, SIDE // 2), np.float64)
    again[...] = 7
    assert again.flags.writeable
    assert (pickle.loads(pickle.dumps(again[:2])) == 7).all()


@needs_free
@pytest.mark.parametrize(
    "hold", [memoryview, lambda a: a.reshape(-1), lambda a: a.view("u4").T, np.asarray]
)
def test_memory_is_not_given_away_as_long_as_anybody_has_it(hold):
    array = empty((SIDE, SIDE), F4)
    array[...] = 1
    held = hold(array)
    del array
    gc.collect()
    empty((SIDE, SIDE), F4)[...] = 2
    assert np.asarray(held).ravel()[-1] in (1, 0x3F800000)


@needs_free
def test_at_most_so_much_is_kept(monkeypatch):
    monkeypatch.setattr(memory, "_LIMIT", 40 << 20)
    arrays = [empty((SIDE, SIDE), F4) for _ in range(4)]
    del arrays
    assert [len(m) for m in memory._kept] == [16 << 20] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
def test_what_is_kept_is_free_for_the_system():
    array = empty((SIDE, SIDE), F4)
    array[...] = 1
    del array
    found = re.findall(r"LazyFree:\s+(\d+)", Path("/proc/self/smaps").read_text())
    assert sum(map(int, found)) >= (16 << 10) - 4 * 512  # kB; edges may be left


@needs_free
def test_system_without_large_pages(monkeypatch):
    monkeypatch.setattr(memory, "_LARGE_PAGES", 12345)
    assert empty((SIDE, SIDE), F4).shape == (SIDE, SIDE)


@needs_free
def test_more_than_there_is_is_an_error_of_memory():
    with pytest.raises(MemoryError):
        empty((1 << 28, 1 << 28), F4)


def test_small_arrays_are_those_of_numpy():
    array = empty((20, 30), F4)
    assert array.base is None
    assert (array.shape, array.dtype) == ((20, 30), F4)


@pytest.mark.parametrize("shape", [(0, 5), (), (3,)])
def test_any_shape(monkeypatch, shape):
    monkeypatch.setattr(memory, "_FROM", 1)
    array = empty(shape, F4)
    array[...] = 3
    assert array.shape == shape
    assert (array == 3).all()


def test_results_in_used_memory_are_right(monkeypatch):
    monkeypatch.setattr(memory, "_FROM", 1)
    monkeypatch.setattr(arith, "FUSED_FROM", 1)
    rng = np.random.default_rng(1)
    x, y = (
        NDLater(
            rng.random((40, 50)) + 1,
            variance=rng.random((40, 50)),
            flags=rng.integers(0, 9, (40, 50)),
        )
        for _ in range(2)
    )
    for _ in range(5):  # each but the first two in what the one before left
        result = x * y / y
        np.testing.assert_allclose(result.data, x.data, rtol=1e-14)
        np.testing.assert_array_equal(result.flags, x.flags | y.flags)
        product = x * y
        expected = x.variance * y.data**2 + y.variance * x.data**2
        np.testing.assert_allclose(product.variance, expected, rtol=1e-14)
        kept = product[3:5].data
        before = kept.copy()
        del product, result
        np.testing.assert_array_equal(kept, before)
