"""IRAF's ccdproc on the same frames: the same pixels where it does the same."""

import numpy as np
import pytest

from ndmapper import run_task
from ndmapper.data import DataFile, NDLater
from ndmapper.lib import ccd

pytestmark = pytest.mark.iraf

NY, NX, STRIP = 60, 40, 16
OFF = dict.fromkeys(
    ("fixpix", "overscan", "trim", "zerocor", "darkcor", "flatcor"), False
)
# The sums are made in single precision there.
ROUNDING = {"rtol": 3e-6, "atol": 2e-3}


@pytest.fixture(autouse=True)
def iraf(need, folder):
    """Have IRAF, and a folder of its own."""
    need("iraf")


def frame(name, data, **cards):
    """Write an image of one extension."""
    df = DataFile(name, data=[NDLater(data, meta=None)], mode="overwrite")
    df.meta.update({"EXPTIME": 60.0, "IMAGETYP": "object", **cards})
    df.save()
    return name


def ccdproc(name, to, **words):
    """Correct a frame by ccdproc."""
    result = run_task(
        "noao.imred.ccdred.ccdproc",
        inputs={"images": name},
        outputs={"output": to},
        **OFF | {"ccdtype": "", "interactive": False} | words,
    )
    return result["output"][0][0].data


def raw(name="raw.fits", *, drift=0.0, seed=3):
    """Write a raw frame of whole numbers, without outliers, whose level drifts."""
    rng = np.random.default_rng(seed)
    y = np.linspace(-1, 1, NY)[:, None]
    pixels = 1000 + drift * (y + 0.4 * y**3) + np.zeros((NY, NX + STRIP))
    pixels[:, :NX] += 300 + 5 * np.arange(NX)
    pixels = np.rint(pixels) + rng.integers(-8, 9, pixels.shape)
    return frame(
        name,
        pixels.astype(np.uint16),
        DATASEC=f"[1:{NX},1:{NY}]",
        TRIMSEC=f"[1:{NX},1:{NY}]",
        BIASSEC=f"[{NX + 1}:{NX + STRIP},1:{NY}]",
        GAIN=2.0,
        RDNOISE=5.0,
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"method": "row"}, {"function": "mean"}),
        ({"method": "mean"}, {"function": "legendre", "order": 1}),
        (
            {"method": "polynomial", "degree": 3},
            {"function": "legendre", "order": 4},
        ),
        (
            {"method": "chebyshev", "degree": 5},
            {"function": "chebyshev", "order": 6},
        ),
        ({"method": "spline", "knots": 4}, {"function": "spline3", "order": 5}),
    ],
    ids=lambda words: next(iter(words.values())),
)
def test_overscan_and_trim_are_those_of_iraf(ours, theirs):
    drift = 0.0 if ours["method"] == "mean" else 20.0
    name = raw(drift=drift)
    ccdproc_of = {"overscan": True, "trim": True, "biassec": "image"}
    wanted = ccdproc(
        name, "theirs.fits", trimsec="image", niterate=0, **ccdproc_of, **theirs
    )
    found = ccd.trim(ccd.subtract_overscan(name, **ours))[0].data
    assert found.shape == (NY, NX) == wanted.shape
    np.testing.assert_allclose(found, wanted, **ROUNDING)


def pixels(level, seed, shape=(NY, NX)):
    rng = np.random.default_rng(seed)
    return rng.normal(level, np.sqrt(level), shape).astype(np.float32)


def test_the_bias_is_subtracted_as_by_iraf():
    name = frame("x.fits", pixels(400, 1))
    bias = frame("bias.fits", pixels(9, 2), IMAGETYP="zero")
    wanted = ccdproc(name, "theirs.fits", zerocor=True, zero=DataFile(bias))
    found = ccd.subtract_bias(name, bias=bias)[0].data
    np.testing.assert_allclose(found, wanted, **ROUNDING)


@pytest.mark.parametrize("time", [60.0, 150.0])
def test_the_dark_is_scaled_as_by_iraf(time, caplog):
    name = frame("x.fits", pixels(400, 1), EXPTIME=time)
    dark = frame("dark.fits", pixels(30, 2), IMAGETYP="dark", EXPTIME=60.0)
    wanted = ccdproc(name, "theirs.fits", darkcor=True, dark=DataFile(dark))
    no_bias = [ccd.subtract_bias(n, bias=None) for n in (name, dark)]
    found = ccd.subtract_dark(no_bias[0], dark=no_bias[1])[0].data
    np.testing.assert_allclose(found, wanted, **ROUNDING)


def test_iraf_divides_by_the_mean_of_a_flat_and_we_by_its_median():
    name = frame("x.fits", pixels(400, 1))
    response = np.linspace(0.7, 1.2, NX) ** 2
    lamp = pixels(30000, 2) * response.astype("f4")
    flat = frame("flat.fits", lamp, IMAGETYP="flat")
    wanted = ccdproc(name, "theirs.fits", flatcor=True, flat=DataFile(flat))
    no_bias = ccd.subtract_bias(flat, bias=None)
    made = ccd.make_flat(no_bias, flat="made.fits", normalise="plain")
    found = ccd.apply_flat(ccd.subtract_bias(name, bias=None), flat=made)[0].data
    ratio = float(lamp.mean(dtype="f8") / np.median(lamp))
    assert abs(ratio - 1) > 0.01
    np.testing.assert_allclose(found * ratio, wanted, rtol=3e-6)


def test_where_a_flat_is_zero_iraf_divides_and_we_flag():
    name = frame("x.fits", pixels(400, 1))
    values = np.ones((NY, NX), np.float32)
    values[5, 7], values[6, 8] = 0, -1
    flat = frame("flat.fits", values, IMAGETYP="flat", CCDMEAN=1.0)
    wanted = ccdproc(name, "theirs.fits", flatcor=True, flat=DataFile(flat))
    found = ccd.apply_flat(ccd.subtract_bias(name, bias=None), flat=flat)[0]
    assert list(zip(*np.nonzero(found.flags), strict=True)) == [(5, 7), (6, 8)]
    assert np.isinf(wanted[5, 7])
    assert wanted[6, 8] < 0
    good = found.flags == 0
    np.testing.assert_allclose(found.data[good], wanted[good], **ROUNDING)


def test_all_of_it_in_one_call():
    rng = np.random.default_rng(8)
    flat_image = np.clip(rng.normal(1, 0.1, (NY, NX)), 0.5, 1.5).astype("f4")
    done = {"TRIM": "done", "OVERSCAN": "done", "ZEROCOR": "done", "DARKCOR": "done"}
    frames = {
        "zero": frame("zero.fits", pixels(9, 2), IMAGETYP="zero", **done),
        "dark": frame("dark.fits", pixels(30, 4), IMAGETYP="dark", EXPTIME=20, **done),
        "flat": frame(
            "flat.fits", flat_image, IMAGETYP="flat", CCDMEAN=1.0, **done
        ),
    }  # fmt: skip
    name = raw(drift=20.0)
    wanted = ccdproc(
        name, "theirs.fits", biassec="image", trimsec="image", function="legendre",
        order=3, niterate=0, overscan=True, trim=True, zerocor=True, darkcor=True,
        flatcor=True, **{what: DataFile(file) for what, file in frames.items()},
    )  # fmt: skip
    no_bias = {
        what: ccd.subtract_bias(file, bias=None) for what, file in frames.items()
    }
    files = ccd.subtract_overscan(name, method="polynomial", degree=2)
    files = ccd.add_variance(ccd.subtract_bias(ccd.trim(files), bias="zero.fits"))
    files = ccd.subtract_dark(files, dark=no_bias["dark"])
    found = ccd.apply_flat(files, flat=no_bias["flat"])[0]
    np.testing.assert_allclose(found.data, wanted, rtol=1e-5, atol=5e-3)
    assert found.variance.min() > 0
