"""The Python package ccdproc on the same frames: the same pixels and errors."""

import numpy as np
import pytest
from astropy import units as u
from astropy.modeling import models
from astropy.nddata import CCDData, StdDevUncertainty

from ndmapper.data import DataFile, NDLater
from ndmapper.lib import ccd
from ndmapper.lib.combine import combine_ndds

ccdproc = pytest.importorskip("ccdproc")

NY, NX, STRIP = 60, 40, 16
GAIN, READ_NOISE = 2.0, 5.0
# Ours are of single precision.
ROUNDING = {"rtol": 3e-6, "atol": 1e-3}


@pytest.fixture(autouse=True)
def in_a_folder(folder):
    """Write frames into a folder of its own."""


def raw_pixels(drift, seed=3):
    """Make a raw frame of whole numbers, without outliers, whose level drifts."""
    rng = np.random.default_rng(seed)
    y = np.linspace(-1, 1, NY)[:, None]
    pixels = 1000 + drift * (y + 0.4 * y**3) + np.zeros((NY, NX + STRIP))
    pixels[:, :NX] += 300 + 5 * np.arange(NX)
    return (np.rint(pixels) + rng.integers(-8, 9, pixels.shape)).astype(np.uint16)


def noisy(level, seed):
    rng = np.random.default_rng(seed)
    data = rng.normal(level, np.sqrt(level), (NY, NX))
    return data, np.sqrt(np.abs(data) + rng.uniform(1, 2, (NY, NX)))


def as_ours(name, image, **cards):
    """Write an image of (data, error) for our steps."""
    data, error = image
    ndd = NDLater(data.astype("f4"), variance=(error**2).astype("f4"), unit="adu")
    df = DataFile(name, data=[ndd], mode="overwrite")
    df.meta.update({"EXPTIME": 60.0, **cards})
    df.save()
    return ccd.subtract_bias(name, bias=None)


def as_theirs(image):
    """Give an image of (data, error) to ccdproc."""
    data, error = image
    return CCDData(data, unit="adu", uncertainty=StdDevUncertainty(error))


def assert_equal(ours, theirs, scale=1.0):
    """Compare pixels, and errors that have single precision once as a square."""
    np.testing.assert_allclose(ours.data, theirs.data * scale, **ROUNDING)
    error = np.sqrt(np.asarray(ours.variance))
    np.testing.assert_allclose(error, theirs.uncertainty.array * scale, rtol=1e-5)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"method": "row"}, {}),
        ({"method": "mean"}, {"model": models.Legendre1D(0)}),
        ({"method": "polynomial", "degree": 3}, {"model": models.Legendre1D(3)}),
        ({"method": "chebyshev", "degree": 2}, {"model": models.Chebyshev1D(2)}),
    ],
    ids=lambda words: words.get("method", ""),
)
def test_overscan_and_trim_are_those_of_ccdproc(ours, theirs):
    pixels = raw_pixels(0.0 if ours["method"] == "mean" else 20.0)
    section = f"[{NX + 1}:{NX + STRIP},:]"
    wanted = ccdproc.subtract_overscan(
        CCDData(pixels.astype(float), unit="adu"), fits_section=section,
        overscan_axis=1, **theirs,
    )  # fmt: skip
    wanted = ccdproc.trim_image(wanted, fits_section=f"[1:{NX},:]")
    df = DataFile("x.fits", data=[NDLater(pixels)], mode="new")
    df[0].meta.update(
        {"DATASEC": f"[1:{NX},1:{NY}]", "BIASSEC": section.replace(":]", f"1:{NY}]")}
    )
    df.meta["IMAGETYP"] = "object"
    df.save()
    found = ccd.trim(ccd.subtract_overscan("x.fits", **ours))[0]
    np.testing.assert_allclose(found.data, wanted.data, **ROUNDING)


def test_variance_is_the_square_of_its_deviation():
    data = noisy(400, 1)[0]
    theirs = ccdproc.create_deviation(
        CCDData(data, unit="adu"), gain=GAIN * u.electron / u.adu,
        readnoise=READ_NOISE * u.electron,
    )  # fmt: skip
    df = DataFile("x.fits", data=[NDLater(data.astype("f4"), unit="adu")], mode="new")
    df.save()
    no_bias = ccd.subtract_bias("x.fits", bias=None)
    ours = ccd.add_variance(no_bias, gain=GAIN, read_noise=READ_NOISE)[0]
    assert_equal(ours, theirs)


def test_the_bias_is_subtracted_with_its_error():
    frame, bias = noisy(400, 1), noisy(9, 2)
    ours, theirs = as_ours("x.fits", frame), as_theirs(frame)
    found = ccd.subtract_bias(ours, bias=as_ours("b.fits", bias), again=True)
    wanted = ccdproc.subtract_bias(theirs, as_theirs(bias))
    assert_equal(found[0], wanted)


@pytest.mark.parametrize("time", [60.0, 150.0])
def test_the_dark_is_scaled_as_by_ccdproc(time):
    frame, dark = noisy(400, 1), noisy(30, 2)
    ours = as_ours("x.fits", frame, EXPTIME=time)
    found = ccd.subtract_dark(ours, dark=as_ours("d.fits", dark))
    wanted = ccdproc.subtract_dark(
        as_theirs(frame), as_theirs(dark), data_exposure=time * u.s,
        dark_exposure=60 * u.s, scale=True,
    )  # fmt: skip
    assert_equal(found[0], wanted)


def test_ccdproc_divides_by_the_mean_of_a_flat():
    frame, lamp = noisy(400, 1), noisy(30000, 2)
    response = np.linspace(0.7, 1.2, NX) ** 2
    lamp = lamp[0] * response, lamp[1] * response
    wanted = ccdproc.flat_correct(as_theirs(frame), as_theirs(lamp))
    made = ccd.make_flat(as_ours("f.fits", lamp), flat="m.fits", normalise="plain")
    found = ccd.apply_flat(as_ours("x.fits", frame), flat=made)
    assert_equal(found[0], wanted, scale=np.median(lamp[0]) / lamp[0].mean())


def stack(n, outliers):
    rng = np.random.default_rng(7)
    data = rng.normal(200, 5, (n, NY, NX))
    hits = rng.random(data.shape) < outliers
    data[hits] += rng.uniform(500, 5000, hits.sum())
    masks = rng.random(data.shape) < 0.1
    ours = [
        NDLater(one.astype("f4"), flags=mask.astype(np.uint16), unit="adu")
        for one, mask in zip(data, masks, strict=True)
    ]
    theirs = [
        CCDData(one.astype("f4").astype(float), mask=mask, unit="adu")
        for one, mask in zip(data, masks, strict=True)
    ]
    return ours, ccdproc.Combiner(theirs)


@pytest.mark.parametrize("method", ["average", "median", "sum"])
def test_stacks_with_masks_are_those_of_ccdproc(method):
    ours, theirs = stack(9, 0.0)
    found = combine_ndds(ours, method="mean" if method == "average" else method)
    wanted = getattr(theirs, f"{method}_combine")()
    values = wanted.data
    if method == "sum":
        # A masked value counts as zero there, and as the mean of the others with us.
        values = theirs.average_combine().data * 9
    np.testing.assert_allclose(found.data, values, **ROUNDING)
    assert not wanted.mask.any()


def about_median(values, axis):
    """Give the scatter about the median, as that of IRAF's sigclip."""
    offset = values - np.nanmedian(values, axis=axis, keepdims=True)
    count = np.isfinite(values).sum(axis=axis)
    return np.sqrt(np.nansum(offset**2, axis=axis) / (count - 1))


@pytest.mark.filterwarnings("ignore:Input data contains invalid values")
def test_clipping_is_that_of_ccdproc_but_goes_on():
    ours, theirs = stack(30, 0.02)
    masked = theirs.data_arr.mask.copy()
    theirs.data_arr.data[masked] = np.nan  # else what is masked counts there
    theirs.sigma_clipping(4, 4, func="median", dev_func=about_median)
    found = combine_ndds(
        ours, method="mean", reject="sigclip", low=4.0, high=4.0, maps=True
    )
    rejected = found.extras["REJECTED"].data
    by_theirs = (theirs.data_arr.mask & ~masked).sum(axis=0)
    # It clips once, and of two outliers may find one only.
    assert (rejected >= by_theirs).all()
    same = rejected == by_theirs
    assert same.mean() > 0.7
    assert (rejected[same] > 0).mean() > 0.3
    wanted = theirs.average_combine().data
    np.testing.assert_allclose(found.data[same], wanted[same], **ROUNDING)
