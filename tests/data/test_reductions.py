"""Sums, means, extremes and units of NDLater, where NDDataArray has them too."""

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import NDDataArray

from ndmapper.data import NDLater
from ndmapper.errors import UnitError


@pytest.fixture
def ndd():
    return NDLater(
        np.arange(6, dtype=np.float32).reshape(2, 3),
        variance=np.full((2, 3), 4, np.float32),
        flags=np.array([[0, 0, 1], [0, 0, 0]], np.uint16),
        unit="m",
    )


def test_convert_scales_data_and_variance_and_keeps_flags(ndd):
    new = ndd.convert_unit_to("cm")
    np.testing.assert_allclose(new.data, ndd.data * 100)
    np.testing.assert_allclose(new.variance, 4e4)
    np.testing.assert_array_equal(new.flags, ndd.flags)
    assert (new.unit, new.dtype) == (u.cm, np.float32)


def test_convert_to_another_kind_is_our_error(ndd):
    with pytest.raises(UnitError, match="not convertible"):
        ndd.convert_unit_to("s")


def test_convert_without_unit_says_so():
    with pytest.raises(UnitError, match="set the unit first"):
        NDLater(np.ones(3)).convert_unit_to("m")


def test_convert_with_equivalencies_takes_no_variance(ndd):
    with pytest.raises(UnitError, match="do not convert a variance"):
        ndd.convert_unit_to("Hz", u.spectral())


def test_convert_with_equivalencies_converts_data():
    new = NDLater(np.array([1.0]), unit="um").convert_unit_to("THz", u.spectral())
    np.testing.assert_allclose(new.data, 299.792458)


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
def test_sum_leaves_out_masked_pixels_and_adds_variances(ndd, axis):
    good = ndd.flags == 0
    total = ndd.sum(axis=axis)
    np.testing.assert_allclose(total.data, np.sum(ndd.data, axis=axis, where=good))
    np.testing.assert_allclose(total.variance, 4 * np.sum(good, axis=axis))
    assert total.unit == u.m


def test_mean_has_the_variance_of_a_mean(ndd):
    mean = ndd.mean()
    np.testing.assert_allclose(mean.data, (0 + 1 + 3 + 4 + 5) / 5)
    np.testing.assert_allclose(mean.variance, 4 / 5)


def test_mean_by_monte_carlo_has_pulls_of_width_one():
    rng = np.random.default_rng(1)
    trials, n = 4000, 25
    data = rng.normal(0, 3, (trials, n))
    pulls = NDLater(data, variance=np.full((trials, n), 9.0)).mean(axis=1)
    width = np.std(pulls.data / np.sqrt(pulls.variance))
    # The standard error of a width from n trials is 1 / sqrt(2 n); four of them.
    assert abs(width - 1) < 4 / np.sqrt(2 * trials)


@pytest.mark.parametrize(("name", "value"), [("min", 0), ("max", 5)])
def test_extremes_have_no_variance(ndd, name, value):
    result = getattr(ndd, name)()
    assert (float(result.data), result.variance) == (value, None)


def test_every_public_method_of_nddataarray_is_ours_or_known():
    ours = set()
    for cls in NDLater.__mro__:
        if cls.__module__.startswith("ndmapper"):
            ours |= set(vars(cls))
    theirs = {name for name in dir(NDDataArray) if not name.startswith("_")}
    # These are the registry of astropy.
    assert theirs - ours == {"read", "write"}
