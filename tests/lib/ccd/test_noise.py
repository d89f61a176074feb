import numpy as np
import pytest
from astropy import units as u

from ndmapper.errors import ParameterError, UnitError
from ndmapper.lib.ccd import add_variance, correct_gain, trim


# 20 frames of 4800 pixels: pulls of width 1 within 0.25 per cent. The variance is made
# from each pixel's own counts, which biases the width by 0.3 per cent at 400 electrons.
@pytest.mark.parametrize("unit", ["adu", "electron"])
def test_add_variance_has_pulls_of_width_one(detector, unit):
    pulls = []
    for _ in range(20):
        result = add_variance(detector.trimmed(400.0))
        truth = 400 / detector.gain_map
        if unit == "electron":
            result, truth = correct_gain(result), 400
        pulls.append((result.data - truth) / np.sqrt(result.variance))
    assert np.std(pulls) == pytest.approx(1, abs=0.013)


def test_add_variance_in_electrons_is_the_same(detector):
    frame = detector.trimmed(400.0)
    first = correct_gain(add_variance(frame))
    second = add_variance(correct_gain(frame))
    np.testing.assert_allclose(first.variance, second.variance, rtol=1e-4)


def test_add_variance_of_a_bias_is_read_noise_and_level(detector):
    frame = detector.trimmed()
    result = add_variance(frame, poisson=False)
    level = frame.meta["OVSCERR1"]
    assert result.variance[0, 0] == pytest.approx(3.0**2 + level**2, rel=1e-6)


def test_add_variance_adds_to_what_there_is(detector):
    frame = detector.trimmed()
    more = frame.replace(variance=np.full(frame.shape, 5.0, "f4"))
    difference = (
        add_variance(more, poisson=False).variance
        - add_variance(frame, poisson=False).variance
    )
    np.testing.assert_allclose(difference, 5, rtol=1e-5)


def test_add_variance_twice_raises(detector):
    once = add_variance(detector.trimmed())
    with pytest.raises(ParameterError, match="has its variance already"):
        add_variance(once)


def test_add_variance_takes_what_the_user_knows(detector):
    frame = detector.trimmed()
    result = add_variance(frame, gain=2.0, read_noise=10 * u.electron, poisson=False)
    assert result.meta["RDNOISE2"] == 10
    np.testing.assert_allclose(result.variance, 25, rtol=0.01)


def test_add_variance_without_read_noise_raises(detector):
    ndd = trim(detector.ndd(detector.frame(), read_noise=None))
    with pytest.raises(ParameterError, match="read noise of amplifier A is not known"):
        add_variance(ndd)


def test_correct_gain_multiplies_each_amplifier_by_its_own(detector):
    frame = detector.trimmed(400.0)
    result = correct_gain(frame)
    np.testing.assert_allclose(result.data, frame.data * detector.gain_map, rtol=1e-6)
    assert result.unit == u.electron
    assert (result.meta["GAIN1"], result.meta["GAIN2"]) == (1, 1)


def test_correct_gain_twice_raises(detector):
    once = correct_gain(detector.trimmed())
    with pytest.raises(UnitError, match="the frame is in electron"):
        correct_gain(once)


def test_correct_gain_leaves_no_gain_for_others_to_apply(detector):
    frame = detector.trimmed()
    frame.meta["GAIN"] = 2.0
    assert correct_gain(frame).meta["GAIN"] == 1


def test_correct_gain_leaves_a_gain_card_that_means_something_else(detector):
    frame = detector.trimmed()
    frame.meta["GAIN"] = 7  # an index, as in frames of Kast
    assert correct_gain(frame).meta["GAIN"] == 7


def test_correct_gain_keeps_single_precision(detector):
    result = correct_gain(add_variance(detector.trimmed()))
    assert (result.dtype, result.variance.dtype) == (np.float32, np.float32)
