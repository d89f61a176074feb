import numpy as np
import pytest
from astropy import units as u

from ndmapper.config import config
from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import NdmapperError, ParameterError
from ndmapper.lib.ccd import (
    add_variance,
    apply_flat,
    make_dark,
    subtract_bias,
    subtract_dark,
)

MAKE = make_dark.func
GAIN, NOISE = 2.0, 6.0
SHAPE = (150, 160)
CURRENT = np.random.default_rng(1).uniform(0.5, 3, SHAPE)  # electrons a second


def exposed(rng, seconds, light=0.0, bias=0, **cards):
    """Make a frame without bias, with dark current, and its variance."""
    electrons = rng.poisson((CURRENT + light) * seconds)
    counts = electrons / GAIN + rng.normal(0, NOISE / GAIN, SHAPE)
    ndd = NDLater(counts.astype("f4"), unit="adu", ident=1)
    ndd.meta.update({"GAIN": GAIN, "RDNOISE": NOISE, "EXPTIME": seconds} | cards)
    if bias is not None:
        ndd.meta["APPBIAS"] = bias
    return ndd


def dark_of(rng, seconds, n=5, **words):
    frames = [add_variance(exposed(rng, seconds)) for _ in range(n)]
    files = DataFileList(data=[DataFile(data=[ndd]) for ndd in frames])
    (dark,) = MAKE(files, method="mean", **words)
    return dark


@pytest.mark.parametrize(("seconds", "of_dark"), [(100, 100), (50, 200), (300, 100)])
def test_subtract_dark_has_pulls_of_width_one(seconds, of_dark):
    rng = np.random.default_rng(51)
    dark = dark_of(rng, of_dark)
    assert dark.meta["DARKEXP"] == of_dark
    result = subtract_dark(add_variance(exposed(rng, seconds, light=5)), dark=dark)
    pulls = (result.data - 5 * seconds / GAIN) / np.sqrt(result.variance)
    # 24000 pixels: 0.5 per cent; variances from counts of 275 electrons and more: 0.6.
    assert pulls.std() == pytest.approx(1, abs=0.02)
    assert pulls.mean() == pytest.approx(0, abs=0.05)


def test_subtract_dark_scales_the_variance_by_the_square():
    dark = NDLater(np.full(SHAPE, 8.0), variance=np.full(SHAPE, 4.0), unit="adu")
    dark.meta.update(DARKEXP=100.0, APPBIAS=1)
    frame = exposed(np.random.default_rng(2), 25)
    result = subtract_dark(frame, dark=dark)
    np.testing.assert_allclose(frame.data - result.data, 2, atol=1e-4)
    np.testing.assert_allclose(result.variance, 4 / 16, rtol=1e-5)
    given = subtract_dark(frame, dark=dark, exposure=1 * u.min, dark_exposure=30)
    np.testing.assert_allclose(frame.data - given.data, 16, atol=1e-4)


def test_subtract_dark_of_the_same_exposure_time_only(caplog):
    rng = np.random.default_rng(3)
    dark = dark_of(rng, 100, n=2)
    frame = exposed(rng, 50)
    with pytest.raises(ParameterError, match=r"0.5 times that of the dark.*scale=True"):
        subtract_dark(frame, dark=dark, scale=False)
    same = exposed(rng, 100.2)
    plain = subtract_dark(same, dark=dark, scale=False)
    np.testing.assert_array_equal(plain.data, same.data - dark.data)
    assert "shorter than the frame" not in caplog.text
    subtract_dark(exposed(rng, 200), dark=dark)
    assert "shorter than the frame: its noise is multiplied by 2" in caplog.text


def test_dark_with_its_bias_is_not_scaled_and_takes_that_of_the_frame(caplog):
    rng = np.random.default_rng(4)
    dark = NDLater(np.full(SHAPE, 8.0), unit="adu")
    dark.meta["EXPTIME"] = 100.0
    with pytest.raises(ParameterError, match="its bias was not subtracted"):
        subtract_dark(exposed(rng, 50, bias=None), dark=dark)
    with pytest.raises(ParameterError, match="would be subtracted twice"):
        subtract_dark(exposed(rng, 100, bias=1), dark=dark)
    result = subtract_dark(exposed(rng, 100, bias=None), dark=dark)
    assert (result.meta["APPBIAS"], result.meta["APPDARK"]) == (1, 1)
    with pytest.raises(ParameterError, match="corrected by a bias already"):
        subtract_bias(result, bias=dark)
    apply_flat(result, flat=NDLater(np.ones(SHAPE)))
    assert "no bias was subtracted" not in caplog.text


def test_subtract_dark_twice_is_refused_unless_it_is_meant():
    rng = np.random.default_rng(5)
    dark = dark_of(rng, 100, n=2)
    once = subtract_dark(subtract_dark(exposed(rng, 100), dark=None), dark=dark)
    with pytest.raises(ParameterError, match="corrected by a dark already"):
        subtract_dark(once, dark=dark)
    assert subtract_dark(once, dark=dark, again=True).meta["APPDARK"] == 2


def test_variance_after_the_dark_is_told(caplog):
    rng = np.random.default_rng(6)
    dark = dark_of(rng, 100, n=2)
    add_variance(subtract_dark(exposed(rng, 100), dark=None))
    assert "dark current" not in caplog.text
    add_variance(subtract_dark(exposed(rng, 100), dark=dark))
    assert "without the photon noise of the dark current" in caplog.text


@pytest.mark.parametrize("time", [None, 0.0, -1.0, "long"])
def test_exposure_time_that_is_not_known_is_an_error(time, tmp_path):
    rng = np.random.default_rng(7)
    frames = [exposed(rng, 100, EXPTIME=time) for _ in range(2)]
    for number, ndd in enumerate(frames):
        if time is None:
            del ndd.meta["EXPTIME"]
        DataFile(data=[ndd]).save(tmp_path / f"dark{number}.fits")
    names = [str(tmp_path / f"dark{n}.fits") for n in range(2)]
    shown = "no EXPTIME or EXPOSURE" if time is None else "EXPTIME or EXPOSURE"
    with config.using(outdir=str(tmp_path)):
        with pytest.raises(
            ParameterError, match=rf"dark0.fits has .*{shown}.* exposure= "
        ):
            make_dark(names, dark="master.fits")
        dark = make_dark(names, dark="master.fits", exposure=100.0)
        with pytest.raises(NdmapperError, match=rf"dark1.fits.*{shown}.* exposure= "):
            subtract_dark(names[1], dark=dark)
        made = subtract_dark(names[1], dark=dark, exposure=50.0)
    assert made[0].meta["APPDARK"] == 1
    plain = NDLater(np.ones(SHAPE), unit="adu")
    with pytest.raises(ParameterError, match=r"the dark has no EXP.* dark_exposure= "):
        subtract_dark(exposed(rng, 100), dark=plain)


def test_darks_of_several_exposure_times_are_refused(tmp_path):
    rng = np.random.default_rng(8)
    files = DataFileList(data=[DataFile(data=[exposed(rng, t)]) for t in (100, 50)])
    with pytest.raises(ParameterError, match=r"50 s, but .* for 100 s; make one dark"):
        MAKE(files)
    assert MAKE(files, exposure=100.0)[0].meta["DARKEXP"] == 100
