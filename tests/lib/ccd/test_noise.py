import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import InstrumentError, ParameterError, UnitError
from ndmapper.lib.ccd import (
    add_variance,
    correct_gain,
    subtract_bias,
    subtract_overscan,
    trim,
)


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


def coarse(noise, gain=8.0, shape=(200, 200), strip=24):
    """Make a dark raw frame of integers with little read noise [adu]."""
    rng = np.random.default_rng(round(100 * noise))
    ny, nx = shape
    counts = np.rint(1000.3 + rng.normal(0, noise, (ny, nx + strip)))
    header = fits.Header()
    header["GAIN"], header["RDNOISE"] = gain, noise * gain
    header["DATASEC"] = f"[1:{nx},1:{ny}]"
    header["BIASSEC"] = f"[{nx + 1}:{nx + strip},1:{ny}]"
    return counts, header


def written(folder, how, counts, header):
    path = folder / "raw.fits"
    if how == "compressed":
        image = fits.CompImageHDU(counts.astype("u2"), header)
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    elif how == "scaled":
        image = fits.PrimaryHDU((counts / 2).astype("i2") * 2.0, header)
        image.scale("int16", bscale=2.0)
        image.writeto(path)
    else:
        fits.PrimaryHDU(counts.astype(how), header).writeto(path)
    return DataFile(path)[0]


@pytest.mark.parametrize(
    ("how", "step"),
    [("u2", 1), ("i2", 1), ("i4", 1), ("u1", 1), ("compressed", 1), ("scaled", 2),
     ("f4", 0), ("f8", 0)],
)  # fmt: skip
def test_integers_of_a_raw_frame_have_the_noise_of_their_rounding(how, step, tmp_path):
    counts, header = coarse(0.5, shape=(30, 30))
    if how == "u1":
        counts -= 900
    frame = trim(subtract_overscan(written(tmp_path, how, counts, header)))
    level = frame.meta["OVSCERR1"] ** 2
    result = add_variance(frame, poisson=False)
    expected = 0.25 + step**2 / 12 + level
    np.testing.assert_allclose(result.variance, expected, rtol=1e-5)
    gained = correct_gain(frame)  # in electrons it is the same, in whatever order
    for other in (correct_gain(result), add_variance(gained, poisson=False)):
        np.testing.assert_allclose(other.variance, 64 * expected, rtol=1e-4)


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_frames_of_coarse_steps_have_pulls_of_width_one(noise):
    # 40000 pixels: 0.4 per cent; the mean of 4800 overscan pixels is common to all.
    counts, header = coarse(noise)
    raw = NDLater(counts.astype("u2"), meta=header)
    result = add_variance(trim(subtract_overscan(raw)), poisson=False)
    pulls = result.data / np.sqrt(result.variance)
    assert pulls.std() == pytest.approx(1, abs=0.02)


def test_integers_without_overscan_keep_their_step_through_the_bias():
    raw = NDLater(np.full((4, 5), 100, "u2"))
    raw.meta.update(GAIN=2.0, RDNOISE=4.0)
    frame = subtract_bias(raw, bias=NDLater(np.full((4, 5), 99.5, "f4")))
    result = add_variance(frame, poisson=False)
    np.testing.assert_allclose(result.variance, 4 + 1 / 12, rtol=1e-6)


def test_integers_that_were_divided_are_rounded_no_more():
    raw = NDLater(np.full((4, 5), 100, "u2"))
    raw.meta.update(GAIN=2.0, RDNOISE=4.0)
    assert (add_variance(raw / 3, poisson=False).variance == 4).all()


def test_step_of_the_digitisation_can_be_given(detector):
    frame = detector.trimmed()
    more = add_variance(frame, poisson=False, adc_step=12.0).variance
    less = add_variance(frame, poisson=False).variance
    np.testing.assert_allclose(more - less, 12, rtol=1e-5)


def test_less_read_noise_than_a_third_of_a_step_is_told(caplog):
    for noise in (0.25, 0.35):
        counts, header = coarse(noise, shape=(20, 20))
        raw = NDLater(counts.astype("u2"), meta=header)
        add_variance(trim(subtract_overscan(raw)))
        assert ("0.25 of a step of its digitisation" in caplog.text) == (noise < 0.3)
        caplog.clear()


@pytest.mark.parametrize("step", ["one", -1.0, True])
def test_step_that_was_edited_is_named(detector, step):
    frame = detector.trimmed()
    frame.meta["ADCSTEP"] = step
    with pytest.raises(InstrumentError, match=r"ADCSTEP = .* is no step"):
        add_variance(frame)
