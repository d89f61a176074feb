import numpy as np
import pytest

from ndmapper.errors import ParameterError, ShapeError
from ndmapper.lib.ccd import add_variance, subtract_bias, subtract_overscan, trim
from ndmapper.lib.combine import combine_ndds


def test_subtract_bias_has_pulls_of_width_one(detector):
    # The bias of three frames adds a third of their variance; without it the width
    # would be 1.15. 4800 pixels share one bias: 1 per cent; and the level of one
    # overscan, 2 per cent of a pixel's noise, is common to 2400 of them.
    structure = np.random.default_rng(5).normal(0, 20, detector.shape)

    def prepared():
        frame = detector.frame(structure=structure)
        return trim(subtract_overscan(detector.ndd(frame)))

    zeros = [add_variance(prepared(), poisson=False) for _ in range(3)]
    bias = combine_ndds(zeros, method="mean")
    science = add_variance(subtract_bias(prepared(), bias=bias), poisson=False)
    pulls = science.data / np.sqrt(science.variance)
    assert pulls.std() == pytest.approx(1, abs=0.05)


def test_subtract_bias_of_none_changes_nothing(detector):
    ndd = trim(detector.ndd(detector.frame()))
    result = subtract_bias(ndd, bias=None)
    np.testing.assert_array_equal(result.data, ndd.data)


def test_subtract_bias_of_another_shape_raises(detector):
    ndd = trim(detector.ndd(detector.frame()))
    with pytest.raises(ShapeError):
        subtract_bias(ndd, bias=ndd[:10])


def test_subtract_bias_twice_is_refused_unless_it_is_meant(detector):
    ndd = trim(detector.ndd(detector.frame()))
    bias = ndd.replace(data=np.full(ndd.shape, 10.0, "f4"))
    # None is no bias.
    once = subtract_bias(subtract_bias(ndd, bias=None), bias=bias)
    assert once.meta["APPBIAS"] == 1
    with pytest.raises(ParameterError, match="corrected by a bias already"):
        subtract_bias(once, bias=bias)
    twice = subtract_bias(once, bias=bias, again=True)
    np.testing.assert_allclose(ndd.data - twice.data, 20, atol=1e-3)
    assert twice.meta["APPBIAS"] == 2
    assert subtract_bias(twice, bias=None).meta["APPBIAS"] == 2
