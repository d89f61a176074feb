"""Arrays compared some rows at a time."""

import numpy as np
import pytest

from ndmapper.report import array_differences
from ndmapper.report.array_differences import compare_arrays


class Counted:
    """An array that remembers how much was read of it at once."""

    def __init__(self, values):
        self.values, self.shape, self.most = values, values.shape, 0

    def __getitem__(self, item):
        taken = self.values[item]
        self.most = max(self.most, taken.size)
        return taken


def test_equal_arrays_have_no_difference():
    found = compare_arrays(np.arange(6.0), np.arange(6.0))
    assert (found.total, found.different, found.beyond) == (6, 0, 0)


def test_nan_equals_nan_and_infinity_itself():
    values = np.array([np.nan, np.inf, -np.inf, 1])
    assert compare_arrays(values, values.copy()).different == 0


@pytest.mark.parametrize("other", [1.0, np.inf])
def test_nan_differs_from_all_else_by_more_than_any_tolerance(other):
    found = compare_arrays(
        np.array([np.nan, 0.0]), np.array([other, 0.0]), lambda a, b, s: 1e300
    )
    assert (found.different, found.beyond, found.largest) == (1, 1, np.inf)


def test_largest_difference_and_its_place():
    first = np.zeros((4, 5))
    second = first.copy()
    second[1, 2], second[3, 4] = 0.5, -2
    found = compare_arrays(first, second, lambda a, b, s: 1.0)
    assert (found.different, found.beyond) == (2, 1)
    assert (found.largest, found.where) == (2.0, (3, 4))


@pytest.mark.parametrize(
    "shape", [(7,), (5, 6), (3, 4, 5), (2, 3, 4, 5), (1, 1, 40)], ids=str
)
def test_blocks_cover_everything_once_and_stay_small(monkeypatch, shape):
    monkeypatch.setattr(array_differences, "_BLOCK", 6)
    first = np.arange(np.prod(shape), dtype=float).reshape(shape)
    second = first + 1
    second[(-1,) * len(shape)] += 3
    counted = Counted(first)
    found = compare_arrays(counted, second)
    assert found.different == found.total == first.size
    assert (found.largest, found.where) == (4.0, tuple(n - 1 for n in shape))
    assert counted.most <= 6


def test_the_limit_knows_the_section(monkeypatch):
    monkeypatch.setattr(array_differences, "_BLOCK", 6)
    noise = np.linspace(0.5, 3, 20).reshape(5, 4)
    found = compare_arrays(
        np.zeros((5, 4)), np.full((5, 4), 1.0), lambda a, b, section: noise[section]
    )
    assert found.beyond == np.count_nonzero(noise < 1)


def test_unsigned_integers_do_not_wrap():
    found = compare_arrays(np.array([1], "u2"), np.array([3], "u2"))
    assert found.largest == 2


def test_integers_that_no_float_tells_apart_differ():
    found = compare_arrays(np.array([2**62]), np.array([2**62 + 1]))
    assert (found.different, found.largest) == (1, 1.0)


def test_texts_differ_or_not():
    found = compare_arrays(np.array(["a", "b"]), np.array(["a", "c"]), lambda *a: 9.0)
    assert (found.different, found.beyond) == (1, 1)
