"""Arithmetic in place, where an operand is among the things that are changed."""

import itertools

import numpy as np
import pytest

from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.numerics.overlaps import Overlaps

A = np.arange(1, 7, dtype="f4").reshape(2, 3)


def write(name, *factors):
    groups = [
        NDLater(A * f, variance=A, flags=np.full(A.shape, 1 << i, "u2"))
        for i, f in enumerate(factors)
    ]
    DataFile(data=groups).save(name, overwrite=True)
    return DataFile(name)


def look(df, what):
    for position, name in what:
        getattr(df[position], name)
    return df


LOOKS = [(), ((0, "data"),), ((0, "variance"),), ((1, "data"), (0, "flags"))]


@pytest.mark.parametrize("looks", LOOKS)
@pytest.mark.parametrize(
    "operand", [lambda a: a[0], lambda a: a[1], lambda a: a[0].data, lambda a: a]
)
@pytest.mark.parametrize("name", ["__iadd__", "__isub__", "__imul__", "__itruediv__"])
def test_operand_of_the_file_itself_is_what_it_was(raw_folder, looks, operand, name):
    def result(in_place):
        a = look(write(f"{in_place}.fits", 10, 20, 40), looks)
        other = operand(a)
        return getattr(a, name if in_place else name.replace("__i", "__"))(other)

    for changed, new in zip(result(True), result(False), strict=True):
        np.testing.assert_array_equal(changed.data, new.data)
        np.testing.assert_array_equal(changed.variance, new.variance)
        np.testing.assert_array_equal(changed.flags, new.flags)


def test_array_that_is_held_takes_the_result_all_the_same(raw_folder):
    a = write("q.fits", 10, 20)
    held = a[0].data
    a -= a[0]
    assert a[0].data is held
    np.testing.assert_array_equal(held, 0 * A)
    np.testing.assert_array_equal(a[1].data, 10 * A)


def test_array_of_the_file_in_another_view(raw_folder):
    a = write("q.fits", 10, 20)
    flat = a[0].data.reshape(-1)[::-1].reshape(2, 3)
    expected = [10 * A - 10 * A[::-1, ::-1], 20 * A - 10 * A[::-1, ::-1]]
    a -= flat
    for ndd, right in zip(a, expected, strict=True):
        np.testing.assert_array_equal(ndd.data, right)


@pytest.mark.parametrize("looked", [*itertools.product([False, True], repeat=3)])
def test_files_of_a_list_in_another_order(raw_folder, looked):
    files = [write(f"p{i}.fits", i + 3) for i in range(3)]
    for df, look_at in zip(files, looked, strict=True):
        if look_at:
            _ = df[0].data
    changed = DataFileList(data=files)
    changed -= [files[1], files[2], files[0]]
    for df, factor in zip(files, (-1, -1, 2), strict=True):
        np.testing.assert_array_equal(df[0].data, factor * A)


def test_overlaps_are_found_among_many():
    whole = np.zeros((50, 10))
    parts = [(whole[10 * i : 10 * i + 5], i) for i in range(5)]
    parts.append((whole[:, 3], 9))
    other = np.zeros(7)
    overlaps = Overlaps(parts[:5])
    assert [overlaps.last(a) for a, _ in parts[:5]] == [0, 1, 2, 3, 4]
    assert overlaps.last(whole) == 4
    assert overlaps.last(whole[::-1]) == 4
    assert overlaps.last(whole[12:24]) == 2
    assert overlaps.last(whole[5:10]) == -1
    assert overlaps.last(other) == -1
    assert Overlaps(parts).last(whole[5:10]) == 9
    assert Overlaps([(other, 3)]).last(whole) == -1
    assert Overlaps([]).last(whole) == -1
