"""Fringes of the sky, made and subtracted, against the truth."""

import logging

import numpy as np
import pytest
from lib_image import star

from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import ParameterError, ShapeError, UnitError
from ndmapper.lib import image
from ndmapper.lib.image import make_fringe, subtract_fringe
from ndmapper.numerics.patterns import fit_pattern

make = make_fringe.func
subtract = subtract_fringe.func
SHAPE = 180, 190
READ_NOISE = 4.0


def fringes():
    """Four percent of the sky, in curved bands of about 25 pixels."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return 0.04 * np.sin(2 * np.pi * np.hypot(x - 300, y + 80) / 25)


def frame(rng, sky, dither=(0, 0), *, stars=12, part=1.0, name="x.fits"):
    """Image stars on a sky with fringes and a slope."""
    fixed = np.random.default_rng(99)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    true = sky * (1 + part * fringes()) + 0.2 * (x - 95) + 0.1 * y
    light = np.zeros(SHAPE)
    for _ in range(stars):
        at = fixed.uniform(20, 160, 2) + dither
        light += np.exp(fixed.uniform(*np.log((500, 1e5)))) * star(SHAPE, *at, 3.5)
    data = rng.poisson(true + light) + rng.normal(0, READ_NOISE, SHAPE)
    ndd = NDLater(
        data.astype(np.float32),
        variance=(np.maximum(data, 0) + READ_NOISE**2).astype(np.float32),
        flags=np.zeros(SHAPE, np.uint16),
        unit="electron",
        ident=1,
    )
    return DataFile(name, data=[ndd]), true, light


def dithered(seed, count=6, **words):
    rng = np.random.default_rng(seed)
    skies = 800 * np.cumprod(1 + 0.05 * rng.normal(size=count))
    dithers = rng.uniform(-18, 18, (count, 2))
    return DataFileList(
        data=[
            frame(rng, sky, dither, name=f"x{n}.fits", **words)[0]
            for n, (sky, dither) in enumerate(zip(skies, dithers, strict=True))
        ]
    ), skies


@pytest.fixture(scope="module")
def made():
    files, skies = dithered(1)
    return make(files)[0], skies


def test_fringes_are_those_of_the_sky_without_its_stars(made):
    found, skies = made
    true = skies[0] * fringes()
    error = found.data - true
    good = np.asarray(found.flags) == 0
    assert good.mean() > 0.995
    assert found.meta["FRNLEVEL"] == pytest.approx(skies[0], rel=0.02)
    pull = error / np.sqrt(found.variance)
    # Stars, background and level together are less than the noise of six frames.
    assert np.std(pull[good]) == pytest.approx(1, abs=0.05)
    slope = np.sum(found.data * true) / np.sum(true**2)
    assert slope == pytest.approx(1, abs=0.01)


def test_given_masks_are_used():
    files, _ = dithered(2, count=4)
    masks = [
        DataFile(f"m{n}.fits", data=[NDLater(np.zeros(SHAPE, np.uint8), ident=1)])
        for n in range(4)
    ]
    for mask in masks:
        mask[0].data[50:55, 60:70] = 1
    found = make(files, masks=masks)[0]
    assert (found.flags[50:55, 60:70] & 1).all()
    assert np.isfinite(found.data).all()


def test_the_scale_is_right_within_its_error(made):
    fringe, skies = made
    pulls = []
    for seed in range(8):
        rng = np.random.default_rng(100 + seed)
        sky = rng.uniform(300, 1500)
        df, _, _ = frame(rng, sky, rng.uniform(-18, 18, 2))
        found = subtract(df[0], fringe)
        scale, error = found.meta["FRNSCALE"], found.meta["FRNERR"]
        assert error < 0.02 * scale
        pulls.append((scale - sky / skies[0]) / error)
    # Of eight frames it is known to a quarter; the errors of the fringe frame are
    # common to all.
    assert 0.3 < np.std(pulls) < 1.6
    assert abs(np.mean(pulls)) < 2


def test_the_noise_of_the_fringe_frame_does_not_bias_the_scale():
    # The noise of the fringes is as large as they are: plainly fitted, half is left.
    rng = np.random.default_rng(3)
    shape = (300, 300)
    y, x = np.mgrid[: shape[0], : shape[1]]
    pattern = 14 * np.sin(x / 4 + 0.5 * np.sin(y / 9))  # of a period of 25 pixels
    pulls = []
    for _ in range(20):
        image_ = 0.7 * pattern + rng.normal(0, 20, shape)
        noisy = pattern + rng.normal(0, 10, shape)
        found = fit_pattern(
            image_, noisy, np.ones(shape, bool), pattern_variance=np.full(shape, 100.0)
        )
        pulls.append((found.scale - 0.7) / found.error)
    assert abs(np.mean(pulls)) < 0.9  # four standard errors
    assert 0.6 < np.std(pulls) < 1.45


def test_the_scale_is_right_for_frames_that_the_fringes_are_made_of():
    # They share noise, which doubled the scale of weak fringes in faint sky.
    files, skies = dithered(5, count=9, part=0.4)
    fringe = make(files)[0]
    for df, sky in zip(files, skies, strict=True):
        found = subtract(df[0], fringe)
        scale, error = found.meta["FRNSCALE"], found.meta["FRNERR"]
        assert error < 0.06
        assert abs(scale - sky / skies[0]) < 4 * error


def test_pulls_and_numbers_of_what_is_left(made):
    fringe, _ = made
    rng = np.random.default_rng(7)
    df, true, light = frame(rng, 1000.0, (5, -7))
    found = subtract(df[0], fringe)
    expected = true - 1000 * fringes() + light
    pull = (found.data - expected) / np.sqrt(found.variance)
    good = (found.flags == 0) & (light < 5)
    assert np.std(pull[good]) == pytest.approx(1, abs=0.03)
    # The noise of the fringes is in it: six frames add a sixth, times 1.25 squared.
    added = found.variance - df[0].variance
    assert np.median(added) == pytest.approx(1000 / 6 * 1000 / 800, rel=0.2)


def test_numbers_go_to_the_record(tmp_path, monkeypatch, made):
    monkeypatch.chdir(tmp_path)
    df, _, _ = frame(np.random.default_rng(8), 1000.0)
    df.save()
    fringe = DataFile("fringe.fits", data=[made[0]])
    fringe.save()
    found = subtract_fringe("x.fits", fringe="fringe.fits")
    values = found.record[-1]["qc"]
    assert values["rms_before"] == pytest.approx(
        np.hypot(1000 * 0.04 / 2**0.5, 32), rel=0.05
    )
    assert values["rms_after"] == pytest.approx(np.hypot(32, 14), rel=0.05)
    assert values["scale"] == pytest.approx(found[0].meta["FRNSCALE"])
    assert found[0].meta["APPFRNG"] == 1
    with pytest.raises(ParameterError, match="again=True"):
        subtract_fringe("rx.fits", fringe="fringe.fits")
    assert (
        subtract_fringe("rx.fits", fringe="fringe.fits", again=True)[0].meta["APPFRNG"]
        == 2
    )
    none = subtract_fringe("x.fits", fringe=None, out_names="none.fits")
    assert none[0].meta["APPFRNG"] == 0
    assert np.array_equal(none[0].data, df[0].data)


def test_a_given_scale_is_used(made):
    fringe, _ = made
    df, _, _ = frame(np.random.default_rng(9), 900.0)
    found = subtract(df[0], fringe, scale=0.5)
    assert np.allclose(df[0].data - found.data, 0.5 * fringe.data, atol=2)
    assert found.meta["FRNERR"] == 0


def test_a_frame_without_fringes_is_warned_of(made, caplog):
    fringe, _ = made
    df, _, _ = frame(np.random.default_rng(10), 900.0, part=0.0)
    with caplog.at_level(logging.WARNING):
        found = subtract(df[0], fringe)
    assert abs(found.meta["FRNSCALE"]) < 5 * found.meta["FRNERR"]
    assert (
        ("no detection" in caplog.text)
        or ("negative scale" in caplog.text)
        or (found.meta["FRNSCALE"] > 3 * found.meta["FRNERR"])
    )


def test_what_cannot_be_done_is_refused(made):
    fringe, _ = made
    files, _ = dithered(4, count=3, stars=0)
    with pytest.raises(ParameterError, match="three or more dithered frames, not of 2"):
        make(files[:2])
    with pytest.raises(
        ParameterError, match="3 files of sky need as many masks, not 1"
    ):
        make(files, masks=files[:1])
    dark = DataFileList(data=[df.copy() for df in files])
    for df in dark:
        df[0].data = df[0].data - 900
    with pytest.raises(ParameterError, match=r"has a sky of -.*scale='none'"):
        make(dark)
    ndd = files[0][0]
    with pytest.raises(ShapeError, match=r"the fringe frame has shape \(20, 20\)"):
        subtract(ndd, NDLater(np.zeros((20, 20))))
    with pytest.raises(UnitError, match="fringes are in adu"):
        subtract(ndd, fringe.replace(unit="adu"))
    noise = np.random.default_rng(0).normal(0, 10, SHAPE)
    with pytest.raises(ParameterError, match="does not stand out of its own noise"):
        subtract(ndd, NDLater(noise, variance=np.full(SHAPE, 100.0)))
    assert image.make_fringe is make_fringe
