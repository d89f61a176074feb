"""Non-linear counts of detectors of which the truth is known."""

import numpy as np
import pytest
from astropy.io import fits

from ndmapper import run_task
from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import ParameterError, UnitError
from ndmapper.lib.ccd import (
    Readout,
    add_variance,
    correct_gain,
    correct_nonlinearity,
    stamp,
    subtract_bias,
)

GAINS, NOISE = (2.0, 1.25), 5.0
TERMS = {"A": [1.0, -1e-6], "B": [1.0, -2e-6]}  # measured counts from the true ones
SHAPE = (200, 400)
HALVES = [(slice(0, 200), slice(200 * k, 200 * k + 200)) for k in (0, 1)]


def amplifiers():
    return [
        Readout(name="AB"[k], data=HALVES[k], gain=GAINS[k], read_noise=NOISE,
                saturation=60000.0)
        for k in (0, 1)
    ]  # fmt: skip


def exposed(true, seed=1):
    """Give a frame without bias of a detector that measures by TERMS."""
    rng = np.random.default_rng(seed)
    data = np.empty(SHAPE)
    for half, gain, terms in zip(HALVES, GAINS, TERMS.values(), strict=True):
        light = np.broadcast_to(true, SHAPE)[half] * gain
        counts = rng.poisson(light) / gain
        counts = sum(c * counts ** (k + 1) for k, c in enumerate(terms))
        data[half] = counts + rng.normal(0, NOISE / gain, counts.shape)
    return without_bias(data)


def without_bias(data, **words):
    ndd = NDLater(np.asarray(data), ident=1, unit="adu", **words)
    stamp(ndd.meta, amplifiers())
    return subtract_bias(ndd, bias=None)


def corrected(ndd, **words):
    given = {"coefficients": TERMS, "gives": "measured"} | words
    return correct_nonlinearity(ndd, **given)


# 80000 pixels: a width of 1 within 0.25 per cent, and a mean within 0.4 per cent of the
# noise. The read noise that add_variance adds afterwards is without the slope of the
# correction: less than 1 per cent of the noise of these frames.
@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("level", [2000.0, 30000.0])
def test_counts_and_variance_are_right(level, order):
    raw = exposed(level)
    if order == "before":
        result = corrected(add_variance(raw))
    else:
        result = add_variance(corrected(raw))
    pulls = (result.data - level) / np.sqrt(result.variance)
    for half in HALVES:
        assert pulls[half].std() == pytest.approx(1, abs=0.012)
        assert pulls[half].mean() == pytest.approx(0, abs=0.02)


def test_variance_of_a_bias_is_multiplied_by_the_square_of_the_slope():
    level = 40000.0
    raw = without_bias(np.full(SHAPE, level), variance=np.full(SHAPE, 9.0))
    result = correct_nonlinearity(raw, coefficients=[1.0, 1e-6])
    assert result.data[0, 0] == pytest.approx(level * 1.04)
    np.testing.assert_allclose(result.variance, 9 * 1.08**2, rtol=1e-6)


def test_points_and_polynomial_of_each_amplifier():
    raw = without_bias(np.full(SHAPE, 20000.0))
    points = {"A": [(10000, 10000), (30000, 31000)], "B": [(60000, 66000)]}
    result = correct_nonlinearity(raw, points=points)
    assert result.data[0, 0] == pytest.approx(20500)
    assert result.data[0, 300] == pytest.approx(22000)


def test_above_the_range_is_flagged_and_the_saturation_level_corrected():
    data = np.full(SHAPE, 100.0)
    data[3, 4] = data[3, 304] = 41000
    result = correct_nonlinearity(
        without_bias(data), coefficients=[1.0, 1e-6], limit={"A": 40000, "B": 50000}
    )
    assert result.flags[3, 4] == Flag.NONLINEAR
    assert np.count_nonzero(result.flags) == 1
    # By the tangent at the limit, whose slope is 1.08 and 1.1.
    assert result.meta["SATUR1"] == pytest.approx(40000 * 1.04 + 20000 * 1.08)
    assert result.meta["SATUR2"] == pytest.approx(50000 * 1.05 + 10000 * 1.1)


def test_pixels_that_are_no_numbers_stay_so():
    data = np.full(SHAPE, 100.0)
    data[3, 4] = np.nan
    result = correct_nonlinearity(without_bias(data), coefficients=[1.0, 1e-6])
    assert np.isnan(result.data[3, 4])
    assert np.isfinite(result.data).sum() == result.data.size - 1


def test_negative_counts_are_not_bent():
    result = correct_nonlinearity(
        without_bias(np.full(SHAPE, -200.0)), coefficients=[1.01, 1e-3]
    )
    np.testing.assert_allclose(result.data, -202, rtol=1e-6)


def test_second_time_needs_to_be_asked_for():
    once = correct_nonlinearity(without_bias(np.ones(SHAPE)), coefficients=[2.0])
    with pytest.raises(ParameterError, match="by a linearity curve already"):
        correct_nonlinearity(once, coefficients=[2.0])
    twice = correct_nonlinearity(once, coefficients=[2.0], again=True)
    assert twice.data[0, 0] == 4
    assert twice.meta["APPLIN"] == 2


def test_frame_with_bias_and_frames_corrected_before_are_refused():
    raw = NDLater(np.ones(SHAPE))
    stamp(raw.meta, amplifiers())
    with pytest.raises(ParameterError, match="no bias was subtracted"):
        correct_nonlinearity(raw, coefficients=[1.0])
    electrons = correct_gain(without_bias(np.ones(SHAPE)))
    with pytest.raises(UnitError, match="before correct_gain"):
        correct_nonlinearity(electrons, coefficients=[1.0])
    dark = without_bias(np.ones(SHAPE))
    dark.meta["APPDARK"] = 1
    with pytest.raises(ParameterError, match="corrected by a dark already"):
        correct_nonlinearity(dark, coefficients=[1.0])


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({}, "nothing says how"),
        ({"coefficients": [1.0], "points": [(1, 1)]}, "both coefficients="),
        ({"coefficients": {"A": [1.0]}}, "not the amplifier B"),
        ({"coefficients": [-1.0]}, "amplifier A: the polynomial"),
        ({"points": [(2, 2), (1, 1)]}, "amplifier A: both counts"),
    ],
)
def test_what_cannot_be_is_refused(words, match):
    with pytest.raises(ParameterError, match=match):
        correct_nonlinearity(without_bias(np.ones(SHAPE)), **words)


@pytest.mark.iraf
def test_irlincor_gives_the_same_counts(need, folder):
    need("iraf")
    data = np.linspace(1, 60000, SHAPE[0] * SHAPE[1]).reshape(SHAPE).astype("f4")
    fits.PrimaryHDU(data).writeto("x.fits")
    theirs = run_task(
        "noao.imred.irred.irlincor", inputs={"input": "x.fits"},
        outputs={"output": "y.fits"}, coeff1=1.01, coeff2=0.03, coeff3=-0.002,
    )  # fmt: skip
    ours = correct_nonlinearity(
        without_bias(data), coefficients=[1.01, 0.03, -0.002], scale=32767
    )
    np.testing.assert_allclose(ours.data, theirs["output"][0][0].data, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "result"), [("u2", "f4"), ("f4", "f4"), ("i4", "f8"), ("f8", "f8")]
)
def test_type_holds_all_digits(dtype, result):
    raw = NDLater(np.full(SHAPE, 7, dtype), ident=1, unit="adu")
    stamp(raw.meta, amplifiers())
    raw.meta["APPBIAS"] = 0
    assert correct_nonlinearity(raw, coefficients=[1.0]).dtype == result


TABLE = """
schema = 1
description = "mine"
[applies]
INSTRUME = "MINE"
[steps.correct_nonlinearity]
scale = 32767
limit = 50000
[steps.correct_nonlinearity.coefficients]
A = [1.0, 0.1]
B = [1, 0.2, 0.01]
"""


def test_table_of_the_instrument_has_the_coefficients(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(TABLE)
    DataFile("x.fits", data=[without_bias(np.full(SHAPE, 32767.0))], mode="new").save()
    made = correct_nonlinearity("x.fits", instrument="mine.toml")
    assert made[0].data[0, 0] == pytest.approx(32767 * 1.1)
    assert made[0].data[0, 300] == pytest.approx(32767 * 1.21)
