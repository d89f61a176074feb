"""The calibrator; the published session itself is in tests/test_session.py."""

import hashlib

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import (
    FormatError,
    IdentError,
    OutputExistsError,
    ParameterError,
    ShapeError,
)
from ndmapper.lib.calibrator import Calibrator, OverscanMethods

STRIP = {"xmin": 0, "xmax": 200, "ymin": 0, "ymax": 20}
IMAGE = {"xmin": 0, "xmax": 200, "ymin": 20, "ymax": 120}
GAIN, NOISE = 2.0, 6.0


def save(name, data, **parts):
    DataFile(name, data=[NDLater(data, **parts)], mode="overwrite").save()
    return name


def raw(seed=1, *, electrons=400.0, flat=1.0, bias=0.0):
    rng = np.random.default_rng(seed)
    counts = 500 + rng.normal(0, NOISE / GAIN, (120, 200))
    counts[20:] += rng.poisson(electrons * flat * np.ones((100, 200))) / GAIN + bias
    return save("raw.fits", counts.astype("f4"))


def calibrator(**options):
    return Calibrator(overscans=[STRIP], gain=GAIN, image_area=IMAGE, **options)


def test_calibrator_subtracts_the_overscan_and_trims(folder):
    (ndd,) = calibrator()(raw=raw(), calibrated="out.fits")
    assert ndd.shape == (100, 200)
    # 20000 pixels of 10.4 adu, and the median of 4000 of 3 adu: 0.1 adu; 5 sigma.
    assert ndd.data.mean() == pytest.approx(200, abs=0.5)


@pytest.mark.parametrize("method", ["median", OverscanMethods.mean])
def test_calibrator_variance_has_pulls_of_width_one(folder, method):
    # All parts: photons, read noise (from the overscan), overscan, bias of 4 frames,
    # dark, and a flat far from 1, where a wrong order of the formulas would show.
    rng = np.random.default_rng(3)
    structure = rng.normal(0, 5, (100, 200))
    flat = rng.uniform(0.4, 0.8, (100, 200))
    sigmas = {"bias": NOISE / GAIN / 2, "dark": 1.0, "flat": 0.01}
    truths = {"bias": structure, "dark": np.full((100, 200), 3.0), "flat": flat}
    masters = {
        f"master_{name}": save(
            f"{name}.fits",
            (truths[name] + rng.normal(0, sigma, (100, 200))).astype("f4"),
            variance=np.full((100, 200), sigma**2, "f4"),
        )
        for name, sigma in sigmas.items()
    }
    calibrate = calibrator(overscan_method=method, **masters)
    image = raw(4, electrons=800.0, flat=flat, bias=structure)
    with_dark = DataFile(image)
    with_dark[0].data[20:] += 3
    with_dark.save("dark_too.fits")
    (ndd,) = calibrate(raw="dark_too.fits", calibrated="out.fits")
    pulls = (ndd.data - 800 / GAIN) / np.sqrt(ndd.variance)
    # 20000 pixels: 0.5 per cent; the variance from each pixel's own counts, about 480
    # electrons, 0.5 per cent more.
    assert pulls.std() == pytest.approx(1, abs=0.025)


def test_calibrator_without_masters_applies_none(folder):
    save("bias.fits", np.full((100, 200), 7.0, "f4"))
    calibrate = calibrator(master_bias="bias.fits")
    with_bias = calibrate(raw=raw(), calibrated="a.fits")
    without = calibrate(raw="raw.fits", calibrated="b.fits", master_bias=None)
    np.testing.assert_allclose(without[0].data - with_bias[0].data, 7, atol=1e-4)


def test_calibrator_change_for_one_image_is_forgotten(folder):
    calibrate = calibrator()
    calibrate(raw=raw(), calibrated="a.fits", gain=8.0)
    assert calibrate.gain == GAIN
    assert DataFile("a.fits")[0].meta["CALBGAIN"] == 8


def test_calibrator_set_masters_leaves_the_others(folder):
    calibrate = calibrator(master_bias="b.fits")
    calibrate.set_masters(dark="d.fits")
    assert (calibrate.master_bias, calibrate.master_dark) == ("b.fits", "d.fits")


def test_calibrator_set_masters_unknown_raises():
    with pytest.raises(ParameterError, match="no master 'fringe'"):
        Calibrator().set_masters(fringe="f.fits")


def own_method(image, overscan):
    """Correct each column by its own overscan: a method of a user's own."""
    rows = slice(overscan["ymin"], overscan["ymax"])
    return image - np.median(image[rows], axis=0)


def test_calibrator_takes_an_overscan_method_of_the_user(folder):
    (ndd,) = calibrator(overscan_method=own_method)(raw=raw(), calibrated="out.fits")
    counts = DataFile("raw.fits")[0].data.astype(float)
    np.testing.assert_allclose(ndd.data, own_method(counts, STRIP)[20:], atol=1e-3)
    assert ndd.meta["OVSCNMTD"] == "own_method"


def test_calibrator_own_method_that_changes_the_shape_raises(folder):
    calibrate = calibrator(overscan_method=lambda image, overscan: image[20:])
    with pytest.raises(ShapeError, match="overscan method returned"):
        calibrate(raw=raw(), calibrated="out.fits")


def test_overscan_methods_can_be_called_like_ones_own():
    image = np.full((6, 4), 9.0)
    image[:2] = 5
    area = {"xmin": 0, "xmax": 4, "ymin": 0, "ymax": 2}
    corrected = OverscanMethods.median(image, area)
    assert corrected[[0, -1], 0].tolist() == [0, 4]


def test_calibrator_two_overscans_are_averaged_by_size(folder):
    image = np.full((10, 10), 100.0, "f4")
    image[0], image[1:4] = 10, 30
    save("raw.fits", image)
    areas = [
        {"xmin": 0, "xmax": 10, "ymin": y1, "ymax": y2} for y1, y2 in ((0, 1), (1, 4))
    ]
    calibrate = Calibrator(overscans=areas)
    (ndd,) = calibrate(raw="raw.fits", calibrated="out.fits")
    assert ndd.data[9, 9] == 100 - 25


def test_calibrator_polynomial_follows_the_columns(folder):
    x = np.linspace(0, 9, 200)
    save("raw.fits", (np.ones((120, 1)) * x).astype("f4"))
    calibrate = calibrator(overscan_method="polynomial")
    (ndd,) = calibrate(raw="raw.fits", calibrated="out.fits")
    np.testing.assert_allclose(ndd.data, 0, atol=1e-4)


def test_calibrator_flags_saturated_pixels(folder):
    image = np.full((120, 200), 100.0, "f4")
    image[30, 40] = 60000
    save("raw.fits", image)
    (ndd,) = calibrator(saturation=6e4)(raw="raw.fits", calibrated="out.fits")
    assert np.argwhere(ndd.flags == 4).tolist() == [[10, 40]]


def test_calibrator_writes_what_it_used(folder):
    save("bias.fits", np.zeros((100, 200), "f4"))
    content = (folder / "bias.fits").read_bytes()
    calibrate = calibrator(master_bias="bias.fits")
    (ndd,) = calibrate(raw=raw(), calibrated="out.fits")
    header = ndd.meta
    assert header["MBIASFNM"] == "bias.fits"
    assert header["MBIASSHA"] == hashlib.sha1(content).hexdigest()
    assert header["OVRSCN00"] == "0 < x < 200, 0 < y < 20"
    assert header["IMAGAREA"] == "0 < x < 200, 20 < y < 120"


def test_calibrator_product_exists_raises(folder):
    calibrate = calibrator()
    calibrate(raw=raw(), calibrated="out.fits")
    with pytest.raises(OutputExistsError):
        calibrate(raw="raw.fits", calibrated="out.fits")


def test_calibrator_words_of_the_framework_go_through(folder):
    calibrate = calibrator()
    calibrate(raw=raw(), calibrated="out.fits")
    calibrate(raw=raw(9), calibrated="out.fits", reprocess=True)
    assert DataFile("out.fits").record[-1]["step"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"overscan_method": "mode"}, ParameterError, "'median', 'mean'"),
        ({"image_area": dict(STRIP, xmax=999)}, ParameterError, "outside an image"),
        ({"overscans": [{"xmin": 1}]}, ParameterError, "must have xmin"),
        ({"gain": 0.0}, ParameterError, "gain"),
        ({"master_bias": "small.fits"}, ShapeError, "master of the same area"),
        (
            {"overscan_method": "polynomial", "overscans": [dict(STRIP, xmax=100)]},
            ParameterError,
            "along the whole image",
        ),
    ],
    ids=["method", "area", "overscan", "gain", "master", "polynomial"],
)
def test_calibrator_impossible_options_raise(folder, options, error, message):
    save("small.fits", np.zeros((3, 4), "f4"))
    with pytest.raises(error, match=message):
        calibrator()(raw=raw(), calibrated="out.fits", **options)


def test_calibrator_pairs_extensions_of_a_master(folder):
    values = {1: 10.0, 2: 20.0}
    for name, factor in (("raw.fits", 3), ("bias.fits", 1)):
        groups = [
            NDLater(np.full((4, 5), factor * v, "f4"), ident=i)
            for i, v in values.items()
        ]
        DataFile(name, data=groups, mode="new").save()
    result = Calibrator(master_bias="bias.fits")(raw="raw.fits", calibrated="o.fits")
    assert [ndd.data[0, 0] for ndd in result] == [20, 40]


def test_calibrator_one_master_serves_all_extensions(folder):
    groups = [NDLater(np.full((4, 5), 9.0, "f4"), ident=i) for i in (1, 2)]
    DataFile("raw.fits", data=groups, mode="new").save()
    save("bias.fits", np.full((4, 5), 2.0, "f4"))
    result = Calibrator(master_bias="bias.fits")(raw="raw.fits", calibrated="o.fits")
    assert [ndd.data[0, 0] for ndd in result] == [7, 7]


def test_calibrator_master_without_the_extension_raises(folder):
    for name, idents in (("raw.fits", (1, 2, 3)), ("bias.fits", (1, 2))):
        groups = [NDLater(np.ones((4, 5), "f4"), ident=i) for i in idents]
        DataFile(name, data=groups, mode="new").save()
    with pytest.raises(IdentError, match="has no extension 3"):
        Calibrator(master_bias="bias.fits")(raw="raw.fits", calibrated="o.fits")


def test_calibrator_cube_raises(folder):
    save("cube.fits", np.ones((2, 3, 4), "f4"))
    with pytest.raises(ShapeError, match="3 axes"):
        Calibrator()(raw="cube.fits", calibrated="o.fits")


ERROR = np.full((100, 200), 0.05, "f4")


def two_hdus(name, *hdus, primary=None):
    made = [fits.PrimaryHDU(primary)]
    for data, cards in hdus:
        made.append(fits.ImageHDU(data))
        made[-1].header.update(cards)
    fits.HDUList(made).writeto(name, overwrite=True)
    return name


@pytest.mark.parametrize("form", ["primary", "named", "card"])
def test_master_of_image_and_error_is_used_with_its_error(folder, form):
    flat = np.full((100, 200), 0.5, "f4")
    if form == "primary":
        master = two_hdus("flat.fits", (ERROR, {"EXTNAME": "ERROR"}), primary=flat)
    elif form == "named":
        cards = {"EXTNAME": "IMAGE"}, {"EXTNAME": "ERROR"}
        master = two_hdus("flat.fits", (flat, cards[0]), (ERROR, cards[1]))
    else:
        master = two_hdus("flat.fits", (flat, {}), (ERROR, {"IMAGETYP": "error"}))
    save("raw.fits", np.full((100, 200), 1000, "f4"))
    # So large a gain leaves the error of the flat alone.
    result = Calibrator(master_flat=master, gain=1e9)("raw.fits", "out.fits")
    expected = 0.05**2 * 1000**2 / 0.5**4
    np.testing.assert_allclose(result[0].variance, expected, rtol=1e-5)


def test_master_with_an_image_that_cannot_be_placed_is_refused(folder):
    flat = np.full((100, 200), 0.5, "f4")
    save("raw.fits", np.full((100, 200), 1000, "f4"))
    for master, error in (
        (two_hdus("a.fits", (ERROR, {}), primary=flat), FormatError),
        (two_hdus("b.fits", (ERROR, {"EXTNAME": "ODD"}), primary=flat), FormatError),
        (two_hdus("c.fits", (flat, {}), (ERROR, {})), IdentError),
    ):
        with pytest.raises(error, match="IMAGETYP = 'error'"):
            Calibrator(master_flat=master)("raw.fits", "out.fits")
    # What says that it is something else is no error.
    master = two_hdus("d.fits", (ERROR, {"EXTNAME": "WAVELENGTH"}), primary=flat)
    assert len(Calibrator(master_flat=master)("raw.fits", "out.fits")) == 1


def test_calibrator_writes_image_and_error(folder):
    calibrate = calibrator(output="image+error")
    result = calibrate(raw=raw(), calibrated="out.fits")
    with fits.open("out.fits") as hdus:
        assert hdus[0].data.shape == (100, 200)
        assert hdus[1].name == "ERROR"
        np.testing.assert_array_equal(hdus[0].data, result[0].data)
        np.testing.assert_allclose(hdus[1].data ** 2, result[0].variance, rtol=1e-6)
        assert [hdu.name for hdu in hdus[2:]] == ["NDM_RECORD"]
    again = calibrator(output="image+error", saturation=600, master_dark="out.fits")
    (ndd,) = again(raw=raw(), calibrated="two.fits")
    np.testing.assert_allclose(ndd.data, 0, atol=1e-3)
    with fits.open("two.fits") as hdus:
        assert [hdu.name for hdu in hdus[1:3]] == ["ERROR", "MASK"]


def test_nothing_that_is_no_number_is_left_unflagged(folder):
    flat = np.ones((100, 200), "f4")
    flat[5, 5], flat[6, 6], flat[7, 7], flat[8, 8] = 0, np.nan, -1, np.inf
    counts = np.full((120, 200), 1000, "f4")
    counts[:20] = 400
    counts[40, 90], counts[41, 91] = np.nan, np.inf
    save("raw.fits", counts)
    save("flat.fits", flat, variance=np.full((100, 200), np.nan, "f4"))
    save("flat0.fits", flat)
    for name in ("flat0.fits", "flat.fits"):
        (ndd,) = calibrator(master_flat=name)("raw.fits", f"o{name}")
        bad = (ndd.flags & Flag.BAD) != 0
        assert bad[[5, 6, 7, 8, 20, 21], [5, 6, 7, 8, 90, 91]].all()
        assert bad.sum() == (6 if name == "flat0.fits" else bad.size)
        assert bad[~np.isfinite(ndd.data) | ~np.isfinite(ndd.variance)].all()
        # Where nothing can be divided by, the counts stay.
        np.testing.assert_array_equal(ndd.data[[5, 6], [5, 6]], 600)


@pytest.mark.parametrize(
    ("cards", "expected"), [({"GAIN": 2.5}, 2.5), ({"GAIN": 139, "EGAIN": 0.5}, 0.5)]
)
def test_gain_of_the_header(folder, cards, expected):
    raw()
    with fits.open("raw.fits", mode="update") as hdus:
        hdus[0].header.update(cards)
    (ndd,) = calibrator(read_noise=0.0)("raw.fits", "out.fits", gain=None)
    assert ndd.meta["CALBGAIN"] == expected
    known = ndd.data > 0
    # The level of the overscan adds 3e-3 adu**2 to some 100.
    np.testing.assert_allclose(
        ndd.variance[known], ndd.data[known] / expected, rtol=1e-3
    )


@pytest.mark.parametrize("cards", [{}, {"GAIN": "high"}, {"GAIN": 0.0}])
def test_gain_of_a_header_without_one_raises(folder, cards):
    raw()
    with fits.open("raw.fits", mode="update") as hdus:
        hdus[0].header.update(cards)
    with pytest.raises(
        ParameterError, match=r"raw.fits has .*GAIN.* give it with gain="
    ):
        calibrator()("raw.fits", "out.fits", gain=None)


BAYER = {"R": (0, 0), "G": (1, 0), "H": (0, 1), "B": (1, 1)}


def bayer_frame():
    """Write a frame whose colours differ by 100; two rows of overscan differ, too."""
    counts = np.zeros((120, 200), "f4")
    for number, (x, y) in enumerate(BAYER.values()):
        counts[y:20:2, x::2] = 10 * number
        counts[20 + y :: 2, x::2] = 100 * (number + 1) + 10 * number
    return save("raw.fits", counts)


@pytest.mark.parametrize("form", ["pairs", "slices", "numbers"])
def test_channels_of_a_bayer_frame(folder, form):
    bayer_frame()
    channels = {
        name: {
            "pairs": (x, y),
            "slices": (slice(y, None, 2), slice(x, None, 2)),
            "numbers": (x, 2, y, 2),
        }[form]
        for name, (x, y) in BAYER.items()
    }
    result = calibrator(channels=channels)("raw.fits", "out.fits")
    assert result.idents == list(BAYER)
    for number, (name, (x, y)) in enumerate(BAYER.items()):
        assert result[name].shape == (50, 100)
        np.testing.assert_array_equal(result[name].data, 100 * (number + 1))
        header = result[name].meta
        assert header["CLRCHNL"] == name
        found = [header[f"CHNL{k}"] for k in ("XOFF", "XSTP", "YOFF", "YSTP")]
        assert found == [x, 2, y, 2]
        assert header["IMAGAREA"] == "0 < x < 200, 20 < y < 120"
    # As a master it is used channel by channel.
    again = calibrator(channels=channels, master_dark="out.fits")
    for ndd in again("raw.fits", "two.fits"):
        np.testing.assert_array_equal(ndd.data, 0)


def test_channels_as_image_and_error(folder):
    bayer_frame()
    calibrate = calibrator(channels=BAYER, output="image+error")
    calibrate("raw.fits", "out.fits")
    result = calibrate("raw.fits", "two.fits", master_dark="out.fits")
    assert [ndd.data.max() for ndd in result] == [0] * 4
    assert all((ndd.variance > 0).all() for ndd in result)


@pytest.mark.parametrize(
    "grid", [(0,), (0, 0, 0, 0), (-1, 0), (slice(0, 5, 2), slice(0, None, 2)), (0, 400)]
)
def test_impossible_channels_raise(folder, grid):
    with pytest.raises(ParameterError, match="channel"):
        calibrator(channels={"R": grid})(raw(), "out.fits")


class Own:
    """A method of a user's own, as an object: a mean of its own."""

    def __init__(self, form):
        self.form = form

    def __call__(self, image, overscan):
        strip = image[overscan["ymin"] : overscan["ymax"]]
        correction, variance = strip.mean(), strip.var() / strip.size
        if self.form == "mapping":
            return {"correction": correction, "variance": variance}
        return image - correction, variance

    def document_in_fits_header(self, header):
        header["OWNMETH"] = self.form


@pytest.mark.parametrize("form", ["mapping", "tuple"])
def test_method_with_variance_and_text_for_the_header(folder, form):
    calibrate = calibrator(overscan_method=Own(form), read_noise=0.0)
    (ndd,) = calibrate(raw(electrons=0.0), "out.fits")
    strip = DataFile("raw.fits")[0].data[:20].astype(float)
    expected = strip.var() / strip.size
    dark = ndd.data <= 0
    np.testing.assert_allclose(ndd.variance[dark], expected, rtol=1e-4)
    assert ndd.meta["OWNMETH"] == form
    assert ndd.meta["OVSCNMTD"] == "Own"
    record = DataFile("out.fits").record[-1]["parameters"]["overscan_method"]
    assert record["attributes"] == {"form": form}


def test_mask_and_leaks_are_flagged(folder):
    counts = np.full((120, 200), 100.0, "f4")
    counts[30, 40] = counts[20, 199] = 60000
    save("raw.fits", counts)
    bits = np.zeros((100, 200), "u2")
    bits[50, 60] = 2
    save("mask.fits", bits)
    calibrate = calibrator(saturation=6e4, leak_directions=[(0, 1), (0, -1), (1, 0)])
    calibrate.set_masters(mask="mask.fits")
    (ndd,) = calibrate("raw.fits", "out.fits")
    where = {tuple(p) for p in np.argwhere(ndd.flags == Flag.SATURATED).tolist()}
    assert where == {(10, 40), (9, 40), (11, 40), (10, 41), (0, 199), (1, 199)}
    assert np.argwhere(ndd.flags == 2).tolist() == [[50, 60]]
    assert ndd.meta["MMASKFNM"] == "mask.fits"
    assert ndd.meta["MMASKSHA"]


def test_mask_of_other_numbers_raises(folder):
    save("mask.fits", np.zeros((100, 200), "f4"))
    with pytest.raises(ParameterError, match="a mask holds integers"):
        calibrator(master_mask="mask.fits")(raw(), "out.fits")


def test_header_says_when_from_what_and_by_what(folder):
    raw()
    with fits.open("raw.fits", mode="update") as hdus:
        hdus[0].header["DATE-OBS"] = "2026-01-01T12:00:00"
        hdus[0].header["EXPTIME"] = 86400.0
    header = calibrator()("raw.fits", "out.fits")[0].meta
    assert header["JD-OBS"] == pytest.approx(2461042.5, abs=1e-6)
    assert header["RAWFNAME"] == "raw"
    assert header["OVSCNPIX"] == 4000
    assert header["CALGITID"].startswith("ndmapper.lib.calibrator:")


def test_sci_var_and_dq_are_written_by_default(folder):
    calibrator()(raw(), "out.fits")
    with fits.open("out.fits") as hdus:
        assert [h.name for h in hdus] == ["PRIMARY", "SCI", "VAR", "DQ", "NDM_RECORD"]
        assert hdus["SCI"].data.dtype.kind == "f"


def test_attribute_that_there_is_not_raises():
    with pytest.raises(AttributeError):
        Calibrator().gian = 2.0


def test_integers_have_the_noise_of_their_steps(folder):
    rng = np.random.default_rng(12)
    sigma = 0.4
    counts = np.rint(
        1000 + rng.uniform(0, 1, (120, 200)) + rng.normal(0, sigma, (120, 200))
    )
    save("raw.fits", counts.astype("u2"))
    save("float.fits", counts.astype("f4"))
    words = {"read_noise": sigma, "gain": 1.0}
    (whole,) = Calibrator(**words)("raw.fits", "a.fits")
    (real,) = Calibrator(**words)("float.fits", "b.fits")
    np.testing.assert_allclose(whole.variance - real.variance, 1 / 12, atol=1e-3)
