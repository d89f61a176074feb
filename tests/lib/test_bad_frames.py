"""
Frames that are no good, in every step of the library that takes images.

Either there is an error that names the file and what to do, or a product in which no
number is wrong without a flag.
"""

import re
import resource
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS

from ndmapper import config
from ndmapper.data import DataFile, DataFileList, NDLater, PlainFile
from ndmapper.errors import NdmapperError, ShapeError
from ndmapper.lib import ccd, combine, cosmetics, image
from ndmapper.lib.calibrator import Calibrator

pytest.importorskip("photutils", reason="the extra ccd is not installed")
pytest.importorskip("astroscrappy", reason="the extra ccd is not installed")

NY, NX, STRIP = 48, 64, 10
STARS = [(12, 15), (44, 20), (30, 37), (40, 40), (20, 33)]


def parts(seed=0):
    """Make data, variance and flags of some stars and a sky, in adu."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:NY, :NX]
    light = np.full((NY, NX), 1000.0)
    for a, b in STARS:
        light += 8000 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 4.5)
    data = rng.poisson(light) + rng.normal(0, 3, light.shape)
    return data, np.maximum(data, 0) + 9, np.zeros(data.shape, np.uint16)


def zeros(data, variance, flags):
    return data * 0, variance, flags


def negative(data, variance, flags):
    return -data, variance, flags


def nan(data, variance, flags):
    return data * np.nan, variance, flags


def infinite(data, variance, flags):
    return data + np.inf, variance, flags


def flagged(data, variance, flags):
    return data, variance, flags | 1


def saturated(data, variance, flags):
    return data * 0 + 65535, variance, flags | 4


def one_pixel(*arrays):
    return [array[:1, :1] for array in arrays]


def one_row(*arrays):
    return [array[:1] for array in arrays]


def narrow(*arrays):
    return [array[:, :50] for array in arrays]


def cube(*arrays):
    return [np.stack([array, array]) for array in arrays]


ALL_BAD = (zeros, nan, flagged)
OTHER_SHAPES = (one_row, narrow)


def name_of(kind):
    """Name a kind in the name of a test."""
    return kind.__name__


def cards(shape):
    """Make the header of an extension that says all that is needed."""
    ny, nx = shape[-2:]
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [150, 2], [30, 20], [-1e-4, 1e-4]
    found = dict(wcs.to_header())
    found |= {"GAIN": 2.0, "RDNOISE": 4.0, "DETSEC": f"[1:{nx},1:{ny}]"}
    if nx > STRIP and ny > 1:
        found["DATASEC"] = f"[1:{nx - STRIP},1:{ny}]"
        found["BIASSEC"] = f"[{nx - STRIP + 1}:{nx},1:{ny}]"
    return found


def write(path, data, variance, flags, *, without=(), primary=None):
    """Write a frame that has no bias any more, without some keywords."""
    ndd = NDLater(data.astype("f4"), flags=flags, unit="adu", ident=1)
    if variance is not None:
        ndd.variance = variance.astype("f4")
    given = {"APPBIAS": 1} | cards(data.shape)
    ndd.meta.update({key: value for key, value in given.items() if key not in without})
    df = DataFile(path, data=[ndd], mode="new")
    wanted = {"EXPTIME": 60.0, "IMAGETYP": "object"} | (primary or {})
    df.meta.update({key: v for key, v in wanted.items() if key not in without})
    df.save()
    return str(path)


class Files:
    """Frames that are good, and how bad ones are made of them."""

    def __init__(self, folder):
        self.folder = folder
        self.good = [write(folder / f"good{n}.fits", *parts(n)) for n in range(3)]
        data, variance, flags = parts()
        self.flat = write(
            folder / "flat.fits", data * 0 + 1, variance * 0 + 1e-6, flags
        )
        self.plain = [
            write(folder / f"plain{n}.fits", parts(n)[0], None, parts(n)[2])
            for n in range(3)
        ]
        self.table = str(folder / "list.ecsv")
        Table(np.array(STARS, float), names=["x", "y"]).write(self.table)
        self.sky = str(folder / "sky.ecsv")
        Table({"ra": [150.0, 150.001], "dec": [2.0, 2.001], "mag": [15.0, 16.0]}).write(
            self.sky
        )

    def bad(self, kind, *, variance=True):
        """Give the name of a frame of a kind."""
        path = self.folder / f"bad_{kind.__name__}{'' if variance else '_plain'}.fits"
        if not path.exists():
            data, noise, flags = kind(*parts(9))
            write(path, data, noise if variance else None, flags)
        return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("frames"))


@pytest.fixture(autouse=True)
def quiet(folder, monkeypatch):
    """Draw no figures, as without matplotlib, since they take the most time."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with config.using(reprocess=None, logfile=None):
        yield


AREAS = {
    "overscans": [{"xmin": NX - STRIP, "xmax": NX, "ymin": 0, "ymax": NY}],
    "image_area": {"xmin": 0, "xmax": NX - STRIP, "ymin": 0, "ymax": NY},
}

ALONE = {
    "overscan": ccd.subtract_overscan,
    "polynomial": lambda x: ccd.subtract_overscan(x, method="polynomial"),
    "trim": ccd.trim,
    "correct_gain": lambda x: ccd.correct_gain(ccd.trim(x)),
    "subtract_dark": lambda x: ccd.subtract_dark(x, dark=None),
    "make_bias": lambda x: ccd.make_bias([x], bias="o.fits"),
    "make_dark": lambda x: ccd.make_dark([x], dark="o.fits"),
    "plain flat": lambda x: ccd.make_flat([x], flat="o.fits", normalise="plain"),
    "spectral flat": lambda x: ccd.make_flat([x], flat="o.fits", normalise="spectral"),
    "combine": lambda x: combine.combine([x], combined="o.fits"),
    "median": lambda x: combine.combine([x], combined="o.fits", method="median"),
    "make_mosaic": image.make_mosaic,
    "stack_images": lambda x: image.stack_images([x], stack="o.fits"),
    "background": lambda x: image.subtract_background(x, box_size=16),
    "map": lambda x: image.measure_background(x, box_size=16),
    "find_sources": lambda x: image.find_sources(x, box_size=16),
    "clean_cosmic_rays": cosmetics.clean_cosmic_rays,
    "with models": lambda x: cosmetics.clean_cosmic_rays(x, x_order=3, y_order=2),
    "calibrator": lambda x: Calibrator(**AREAS)(raw=x, calibrated="o.fits"),
}
"""Steps that take one image."""

WITH_OTHERS = {
    "bias of": lambda x, f: ccd.subtract_bias(x, bias=f.good[0], again=True),
    "bias by": lambda x, f: ccd.subtract_bias(f.good[0], bias=x, again=True),
    "dark of": lambda x, f: ccd.subtract_dark(x, dark=f.good[0]),
    "dark by": lambda x, f: ccd.subtract_dark(f.good[0], dark=x),
    "flat of": lambda x, f: ccd.apply_flat(x, flat=f.flat),
    "flat by": lambda x, f: ccd.apply_flat(f.good[0], flat=x),
    "bpm by": lambda x, f: cosmetics.add_bpm(f.good[0], bpm=x),
    "make_bias": lambda x, f: ccd.make_bias([*f.good, x], bias="o.fits"),
    "make_dark": lambda x, f: ccd.make_dark([*f.good, x], dark="o.fits"),
    "flats": lambda x, f: ccd.make_flat([*f.good, x], flat="o.fits", normalise="plain"),
    "first of flats": lambda x, f: ccd.make_flat(
        [x, *f.good], flat="o.fits", normalise="plain"
    ),
    "combine": lambda x, f: combine.combine([*f.good, x], combined="o.fits"),
    "scale": lambda x, f: combine.combine(
        [*f.good, x], combined="o.fits", method="median", scale="median"
    ),
    "zero": lambda x, f: combine.combine([x, *f.good], combined="o.fits", zero="mean"),
    "weighted": lambda x, f: combine.combine(
        [*f.good, x], combined="o.fits", method="weighted"
    ),
    "avsigclip": lambda x, f: combine.combine(
        [*f.good, x], combined="o.fits", method="mean", reject="avsigclip"
    ),
    "minmax": lambda x, f: combine.combine(
        [*f.good, x], combined="o.fits", method="mean", reject="minmax"
    ),
    "master of a calibrator": lambda x, f: Calibrator(
        master_bias=f.good[0], master_flat=x
    )(raw=f.good[1], calibrated="o.fits"),
    "dark of a calibrator": lambda x, f: Calibrator(master_dark=x)(
        raw=f.good[1], calibrated="o.fits"
    ),
    "measure_read_noise": lambda x, f: ccd.measure_read_noise([f.good[0], x]),
    "measure_gain": lambda x, f: ccd.measure_gain([f.good[0], x]),
}
"""Steps that take several images, which have one shape."""

ON_THE_SKY = {
    "align_images": lambda x, f: image.align_images(x, reference=f.good[0]),
    "reference": lambda x, f: image.align_images(f.good[0], reference=x),
    "stack_images": lambda x, f: image.stack_images([*f.good, x], stack="o.fits"),
    "first of a stack": lambda x, f: image.stack_images(
        [x, *f.good], stack="o.fits", level="median"
    ),
    "apertures": lambda x, f: image.aperture_photometry(x, sources=f.table, radius=3.0),
    "psf": lambda x, f: image.psf_photometry(x, sources=f.table, fwhm=3.5, box_size=16),
}
"""Steps that take images of any shapes."""

WITHOUT_VARIANCE = {
    "combine": lambda x, f: combine.combine([*f.plain, x], combined="o.fits"),
    "clean_cosmic_rays": lambda x, f: cosmetics.clean_cosmic_rays(ccd.trim(x)),
    "add_variance": lambda x, f: ccd.add_variance(ccd.trim(x)),
}


def check(step, name):
    """Call a step; give its product, or None where it refuses with good reason."""
    try:
        result = step()
    except NdmapperError as err:
        message = str(err)
        assert name.rpartition("/")[2] in message
        # An exception of Python says nothing to an observer.
        assert not re.search(r"\b[A-Z]\w*(Error|Warning): ", message)
        return None
    return next(iter(result.values())) if isinstance(result, dict) else result


def images_of(result):
    """List the images of a product: data, variance, flags."""
    df = result[0] if isinstance(result, DataFileList) else result
    for ndd in df:
        data = np.asarray(ndd.data)
        flags = np.zeros(ndd.shape) if ndd.flags is None else np.asarray(ndd.flags)
        yield data, ndd.variance, flags


def assert_sound(result):
    """No number is wrong without a flag: what is finite has an error that is."""
    if isinstance(result, Table):
        for name in ("read_noise", "gain", "error"):
            if name in result.colnames:
                assert np.isfinite(result[name]).all()
        return
    if isinstance(result, PlainFile):
        table = result.table()
        good = table[np.asarray(table["flags"]) == 0]
        for name in ("flux", "flux_error"):
            assert np.isfinite(np.ma.filled(np.ma.asarray(good[name]), np.nan)).all()
        return
    for data, variance, flags in images_of(result):
        good = np.isfinite(data) & (flags == 0)
        if variance is not None:
            assert np.isfinite(np.asarray(variance)[good]).all()
            assert (np.asarray(variance)[good] >= 0).all()


@pytest.mark.parametrize("kind", [*ALL_BAD, infinite, one_pixel], ids=name_of)
@pytest.mark.parametrize("step", ALONE)
def test_a_bad_frame_alone(files, step, kind):
    name = files.bad(kind)
    result = check(lambda: ALONE[step](name), name)
    if result is None:
        return
    assert_sound(result)
    if kind in (flagged, nan, saturated, infinite) and not isinstance(
        result, PlainFile
    ):
        for data, _, flags in images_of(result):
            assert (~np.isfinite(data) | (flags != 0)).all()


@pytest.mark.parametrize("kind", [*ALL_BAD, negative, saturated], ids=name_of)
@pytest.mark.parametrize("step", WITH_OTHERS)
def test_a_bad_frame_among_others(files, step, kind):
    name = files.bad(kind)
    result = check(lambda: WITH_OTHERS[step](name, files), name)
    if result is not None:
        assert_sound(result)


@pytest.mark.parametrize("kind", [*ALL_BAD, one_pixel, cube], ids=name_of)
@pytest.mark.parametrize("step", ON_THE_SKY)
def test_a_bad_frame_of_the_sky(files, step, kind):
    name = files.bad(kind)
    result = check(lambda: ON_THE_SKY[step](name, files), name)
    if result is not None:
        assert_sound(result)


@pytest.mark.parametrize("kind", ALL_BAD, ids=name_of)
@pytest.mark.parametrize("step", WITHOUT_VARIANCE)
def test_a_bad_frame_without_variance(files, step, kind):
    name = files.bad(kind, variance=False)
    result = check(lambda: WITHOUT_VARIANCE[step](name, files), name)
    if result is not None:
        assert_sound(result)


@pytest.mark.parametrize("kind", OTHER_SHAPES, ids=name_of)
@pytest.mark.parametrize("step", WITH_OTHERS)
def test_frames_of_another_shape_are_refused(files, step, kind):
    name = files.bad(kind)
    shape = str(DataFile(name)[0].shape)
    with pytest.raises(ShapeError) as error:
        WITH_OTHERS[step](name, files)
    message = str(error.value)
    assert shape in message
    assert str((NY, NX)) in message
    assert name.rpartition("/")[2] in message


MISSING = {
    "gain": (lambda x, f: ccd.add_variance(x), ["GAIN"], ["GAIN", "gain="]),
    "gain to correct": (
        lambda x, f: ccd.correct_gain(x), ["GAIN"], ["EGAIN or GAIN", "gain="],
    ),
    "read noise": (
        lambda x, f: ccd.add_variance(x), ["RDNOISE"], ["RDNOISE", "read_noise="],
    ),
    "cosmic rays": (
        lambda x, f: cosmetics.clean_cosmic_rays(x), ["GAIN"],
        ["EGAIN or GAIN", "add_variance"],
    ),
    "overscan": (
        lambda x, f: ccd.subtract_overscan(x), ["BIASSEC"], ["BIASSEC", "overscan="],
    ),
    "exposure of a frame": (
        lambda x, f: ccd.subtract_dark(x, dark=f.good[0]), ["EXPTIME"],
        ["EXPTIME or EXPOSURE", "exposure="],
    ),
    "exposure of a dark": (
        lambda x, f: ccd.subtract_dark(f.good[0], dark=x), ["EXPTIME"],
        ["EXPTIME or EXPOSURE", "dark_exposure="],
    ),
    "exposure of one of the darks": (
        lambda x, f: ccd.make_dark([f.good[0], x], dark="o.fits"), ["EXPTIME"],
        ["EXPTIME or EXPOSURE", "exposure="],
    ),
    "scale": (
        lambda x, f: combine.combine(
            [f.good[0], x], combined="o.fits", scale="EXPTIME"
        ),
        ["EXPTIME"], ["EXPTIME", "scale="],
    ),
    "zero": (
        lambda x, f: combine.combine([f.good[0], x], combined="o.fits", zero="PEDE"),
        ["PEDE"], ["PEDE", "zero="],
    ),
    "weights": (
        lambda x, f: combine.combine(
            [f.good[0], x], combined="o.fits", method="weighted", weights="EXPTIME"
        ),
        ["EXPTIME"], ["EXPTIME", "weights="],
    ),
    "place of a chip": (
        lambda x, f: image.make_mosaic(x), ["DETSEC"], ["DETSEC", "keyword"],
    ),
    "place on the sky": (
        lambda x, f: image.stack_images([f.good[0], x], stack="o.fits"),
        ["CTYPE1", "CTYPE2"], ["celestial coordinates", "align_images"],
    ),
    "rough place": (
        lambda x, f: image.align_images(x, reference=f.sky), ["CTYPE1", "CTYPE2"],
        ["coordinates", "reference"],
    ),
    "place of sources": (
        lambda x, f: image.aperture_photometry(x, sources=f.sky, radius=3.0),
        ["CTYPE1", "CTYPE2"], ["coordinates", "x and y"],
    ),
    "gain of a calibrator": (
        lambda x, f: Calibrator(gain=None)(raw=x, calibrated="o.fits"), ["GAIN"],
        ["EGAIN nor GAIN", "gain="],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MISSING)
def test_a_missing_keyword_is_named_with_file_and_option(files, case, folder):
    step, keys, words = MISSING[case]
    data, _, flags = parts(5)
    name = write(folder / "frame.fits", data, None, flags, without=keys)
    if case in ("gain", "gain to correct", "read noise", "cosmic rays"):
        name = ccd.trim(name)
    with pytest.raises(NdmapperError) as error:
        step(name, files)
    message = str(error.value)
    assert "frame.fits" in message or case == "zero"
    for word in words:
        assert word in message


@pytest.mark.parametrize("given", [0.0, -1.0, "unknown", np.nan], ids=str)
@pytest.mark.parametrize("step", ["subtract_dark", "make_dark", "scale"])
def test_exposure_times_that_are_none(files, folder, step, given):
    if isinstance(given, float) and np.isnan(given):
        given = "nan"  # a card holds no such number
    name = write(folder / "frame.fits", *parts(5), primary={"EXPTIME": given})
    calls = {
        "subtract_dark": lambda: ccd.subtract_dark(name, dark=files.good[0]),
        "make_dark": lambda: ccd.make_dark([name], dark="o.fits"),
        "scale": lambda: combine.combine(
            [files.good[0], name], combined="o.fits", scale="EXPTIME"
        ),
    }
    with pytest.raises(NdmapperError, match=r"EXPTIME|exposure time|scale") as error:
        calls[step]()
    assert "frame.fits" in str(error.value)
    if step == "subtract_dark":
        ccd.subtract_dark(name, dark=files.good[0], exposure=60.0)


HEADER_ONLY = {
    "make_bias": lambda x, f: ccd.make_bias([x], bias="o.fits"),
    "make_dark": lambda x, f: ccd.make_dark([x], dark="o.fits"),
    "make_flat": lambda x, f: ccd.make_flat([x], flat="o.fits", normalise="spectral"),
    "combine": lambda x, f: combine.combine([x], combined="o.fits"),
    "stack_images": lambda x, f: image.stack_images([*f.good, x], stack="o.fits"),
    "make_mosaic": lambda x, f: image.make_mosaic(x),
    "align_images": lambda x, f: image.align_images(x, reference=f.good[0]),
    "find_sources": lambda x, f: image.find_sources(x),
    "calibrator": lambda x, f: Calibrator()(raw=x, calibrated="o.fits"),
    "read noise": lambda x, f: ccd.measure_read_noise([x, x]),
    "trim": lambda x, f: ccd.trim(x),
}


@pytest.mark.parametrize("step", HEADER_ONLY)
def test_a_file_without_images(files, step):
    DataFile("frame.fits", data=[], mode="new").save()
    with pytest.raises(NdmapperError) as error:
        HEADER_ONLY[step]("frame.fits", files)
    assert "frame.fits" in str(error.value)
    assert not re.search(r"\b[A-Z]\w*(Error|Warning): ", str(error.value))


@pytest.mark.slow
def test_many_frames_need_few_open_files(folder):
    n = 1000
    rng = np.random.default_rng(2)
    pixels = rng.normal(100, 3, (n, 4, 6)).astype(">f4")
    DataFile("first.fits", data=[NDLater(pixels[0])], mode="new").save()
    first = Path("first.fits").read_bytes()
    names = [f"f{number}.fits" for number in range(n)]
    for name, data in zip(names, pixels, strict=True):
        Path(name).write_bytes(first.replace(pixels[0].tobytes(), data.tobytes()))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        result = combine.combine(names, combined="o.fits")[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    np.testing.assert_allclose(result.data, pixels.mean(axis=0), atol=0.02)
    assert result.variance == pytest.approx(9 / n, rel=0.2)
