"""IRAF's long-slit tasks on the same frames: the same where it does the same."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from numpy.polynomial import chebyshev

from ndmapper import config, run_task
from ndmapper.data import DataFile, NDLater
from ndmapper.iraf_task import add_db_entry, db_path, read_db
from ndmapper.lib.simulate import SlitSource, SlitSpectrograph
from ndmapper.lib.spec import (
    apply_sensitivity,
    extract_spectra,
    make_sensitivity,
    make_wavelengths,
    rectify_wavelength,
    trace_spectra,
    wavelengths_of,
    with_wavelengths,
)
from ndmapper.lib.spec.line_lists import join_lists

pytestmark = pytest.mark.iraf

APALL = {
    "apextract_dispaxis": 1, "interactive": False, "find": False, "recenter": False,
    "resize": False, "edit": False, "trace": False, "review": False, "extras": False,
}  # fmt: skip
ONEDSPEC = "noao.onedspec"
FIRST, STEP, NX = 4000.0, 2.0, 500
RANGE = (FIRST, FIRST + STEP * (NX - 1))


@pytest.fixture(autouse=True)
def in_folder(need, folder):
    need("iraf")
    with config.using(reprocess=True, logfile=None):
        yield


def write(name, ndd, **header):
    """Write an image as IRAF likes it, single precision and without extensions."""
    frame = NDLater(np.asarray(ndd.data, np.float32), unit="electron")
    frame.variance = ndd.variance
    file = DataFile(name, data=[frame], mode="new")
    for key, value in header.items():
        file.meta[key] = value
    file.save()
    return file


def same_aperture(name, trace, low, high):
    """Write an entry of apall for the trace of a table, in which pixels are from 0."""
    first, *terms = np.asarray(Table.read(trace)["trace"][0], float)
    fields = {
        "image": f"{name}_1", "aperture": 1, "beam": 1,
        "center": f"{NX / 2} {first + 1}",
        "low": f"{-NX / 2} {low}", "high": f"{NX / 2} {high}", "axis": 2,
        # A Legendre series of so many terms between the first and the last column.
        "curve": [2, 1 + len(terms), 1, NX, 0.0, *terms],
    }  # fmt: skip
    path = db_path("aperture", f"{name}_1.fits")
    add_db_entry(path, "aperture", f"{name}_1 1 {NX / 2} {first + 1}", fields)


def boxcars(shift, coefficients, radius):
    """Extract by extract_spectra and by apall, along the same trace."""
    slit = SlitSpectrograph(shape=(60, NX), trace_shift=shift, read_noise=4.0)
    scene = slit.science([SlitSource(row=28.0, flux=8000.0)], fwhm=(4, 5))
    frame = write("star.fits", slit.observe(scene.light, seed=3))
    words = {"spectrograph": {"dispersion_axis": "x"}}
    name = str(trace_spectra(frame, **words))
    table = Table.read(name)
    table["trace"][0] = coefficients
    table.write("edited.ecsv")
    same_aperture("star", "edited.ecsv", -radius, radius)
    ours = extract_spectra(
        frame, trace="edited.ecsv", method="boxcar", radius=radius, **words
    )
    theirs = run_task(
        "noao.twodspec.apextract.apall", inputs={"input": frame},
        outputs={"output": "theirs.fits"}, background="none", weights="none", **APALL,
    )["output"][0]  # fmt: skip
    return np.asarray(frame[0].data), ours[0].data, np.ravel(theirs[0].data)


def test_boxcar_of_whole_pixels_is_the_sum_of_apall():
    frame, ours, theirs = boxcars(0.0, [28.0, 0.0, 0.0, 0.0], 5.5)
    # Sums of eleven pixels in single precision.
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_allclose(ours, frame[23:34].sum(axis=0), rtol=1e-6)


def test_boxcar_differs_from_apall_by_the_light_within_pixels_at_the_edges():
    radius = 5.0
    frame, ours, theirs = boxcars(6.0, [28.0, 3.0, 0.0, 0.0], radius)
    place = 28.0 + np.linspace(-3, 3, NX)
    bound = np.zeros(NX)
    for edge in (place - radius, place + radius):
        row = np.rint(edge).astype(int)
        three = frame[row + np.arange(-1, 2)[:, None], np.arange(NX)]
        # It shares the light of a pixel by a line through its neighbours, we by the
        # area: a slope of s counts a pixel moves at most s / 8 of them.
        bound += np.abs(np.diff(three, axis=0)).max(axis=0) / 8
    off = np.abs(ours - theirs)
    assert np.all(off <= bound + 0.01)
    assert np.max(off) > 5  # or nothing was tested


def test_wavelengths_are_those_of_autoidentify():
    slit = SlitSpectrograph(
        shape=(20, 1000), wavelength_range=(4000.0, 6600.0), nonlinearity=20
    )
    known = join_lists(["He", "Hg", "Cd", "Ne"], "air").wavelengths
    rng = np.random.default_rng(3)
    lines = [(w, 3e4 * np.exp(-abs(rng.normal(0, 1.5)))) for w in known]
    arc = write("arc.fits", slit.observe(slit.arc(lines, background=20.0), seed=5))
    ours = make_wavelengths(
        arc, lines=["He", "Hg", "Cd", "Ne"], medium="air", spectrograph=slit.table
    )[0].data[10]  # fmt: skip
    write("line.fits", NDLater(np.asarray(arc[0].data).sum(axis=0)))
    Path("lines.dat").write_text("".join(f"{w}\n" for w in known))
    run_task(
        f"{ONEDSPEC}.autoidentify", inputs={"images": "line.fits"}, outputs={},
        crval=5300.0, cdelt=2.6, coordlist=Path("lines.dat"), interactive=False,
        order=4, function="chebyshev", units="angstroms", fwidth=4.0, cradius=5.0,
        threshold=50.0,
    )  # fmt: skip
    (entry,) = read_db("database/idline_1")
    _, _, low, high, *terms = entry.numbers("coefficients")
    x = np.arange(1, 1001)
    theirs = chebyshev.chebval((2 * x - low - high) / (high - low), terms)
    between = slice(10, 970)  # the first and the last line
    truth = slit.wavelengths()[10][between]
    # Bars of .03 pixel each for what blends and noise do to 46 lines.
    np.testing.assert_allclose(ours[between], truth, atol=0.03 * 2.6)
    np.testing.assert_allclose(theirs[between], truth, atol=0.03 * 2.6)
    np.testing.assert_allclose(ours[between], theirs[between], atol=0.03 * 2.6)


def test_rebinned_counts_are_those_of_dispcor():
    """A line on a continuum, by the same wavelengths, onto the same grid."""
    slit = SlitSpectrograph(shape=(30, NX), wavelength_range=RANGE, nonlinearity=10)
    waves = NDLater(slit.wavelengths(), unit="Angstrom")
    waves.meta["WAVETYPE"] = "AWAV"
    DataFile("w.fits", data=[waves], mode="new").save()
    light = 500 + slit.wavelengths() / 10
    light += 4000 * np.exp(-0.5 * ((slit.wavelengths() - 4500) / 8) ** 2)
    ndd = NDLater(light, unit="electron", variance=light)
    frame = write("f.fits", ndd, OBJECT="lamp")
    ours = rectify_wavelength(frame, wavelengths="w.fits", spectrograph=slit.table)
    axis = wavelengths_of(ours[0][15]).values
    write("line.fits", NDLater(light[15]), REFSPEC1="known")
    middle, half = (FIRST + RANGE[1]) / 2 - 5, (RANGE[1] - FIRST) / 2
    fields = {
        "id": "known", "task": "identify", "image": "known", "units": "Angstroms",
        # The Chebyshev series of middle + half u + 10 u^2 - 5, and 10 u^2 is 5 + 5 T2.
        "coefficients": [1, 3, 1, NX, middle, half, 5.0],
    }  # fmt: skip
    add_db_entry(db_path("identify", "known.fits"), "identify", "known", fields)
    theirs = run_task(
        f"{ONEDSPEC}.dispcor", inputs={"input": "line.fits"},
        outputs={"output": "theirs.fits"}, w1=axis[0], w2=axis[-1], nw=axis.size,
        flux=True, linearize=True,
    )["output"][0]  # fmt: skip
    found = np.asarray(ours[0].data[15])
    inside = slice(5, -5)
    # It integrates a polynomial of degree 5 through the pixels, we share out what is
    # in each: beside a line of 9 pixels FWHM they differ by up to a percent of it.
    np.testing.assert_allclose(
        found[inside], np.ravel(theirs[0].data)[inside], atol=0.01 * 4000, rtol=1e-3
    )
    total = np.ravel(theirs[0].data)[inside].sum()
    assert found[inside].sum() == pytest.approx(total, rel=1e-4)


def test_calibrated_flux_is_that_of_sensfunc():
    x = FIRST + STEP * np.arange(NX)
    response = 1e-17 * (1 + ((x - 4600) / 600) ** 2)  # erg/cm2/electron
    star = 1e-13 * (x / 4500) ** -3
    target = 2e-14 * (x / 4500)
    seconds = {"star": 30.0, "target": 300.0}
    for name, flux in (("star", star), ("target", target)):
        cards = {"EXPTIME": seconds[name], "OBJECT": name, "AIRMASS": 1.0}
        counts = flux * seconds[name] * STEP / response
        linear = {"CTYPE1": "LINEAR", "CRVAL1": FIRST, "CDELT1": STEP, "CRPIX1": 1.0}
        linear |= {"DC-FLAG": 0, "CUNIT1": "Angstrom"}
        file = DataFile(
            f"i{name}.fits", data=[NDLater(counts.astype("f4"))], mode="new"
        )
        for key, value in (cards | linear).items():
            file.meta[key] = file[0].meta[key] = value
        file.save()
        ndd = with_wavelengths(NDLater(counts, unit="electron"), x, "air")
        file = DataFile(f"{name}.fits", data=[ndd.replace(variance=counts)], mode="new")
        for key, value in cards.items():
            file.meta[key] = value
        file.save()
    centres = np.arange(4020.0, 4990.0, 40.0)
    grid = centres[:, None] + np.linspace(-20, 20, 401)
    mean = np.mean(np.interp(grid, x, star) * grid**2 / 2.99792458e18, axis=1)
    table = zip(centres, -2.5 * np.log10(mean) - 48.6, strict=True)
    Path("own.dat").write_text("".join(f"{w:.1f} {m:.5f} 40\n" for w, m in table))
    Path("standards.men").write_text("own\n")
    words = {"spectrograph": {"extinction": "none"}}
    made = make_sensitivity(
        ["star.fits"], standard="own.dat", sensitivity="s.fits", **words
    )
    ours = apply_sensitivity("target.fits", sensitivity=made, **words)[0].data
    common = {"extinction": "", "observatory": "lick"}
    bands = run_task(
        f"{ONEDSPEC}.standard", inputs={"input": "istar.fits"},
        outputs={"output": "{root}_std.dat"},
        params={
            **common, "caldir": f"{Path.cwd()}/", "star_name": "own", "airmass": 1.0,
            "exptime": 30.0, "interact": False, "answer": "no",
            "fnuzero": 10 ** (-0.4 * 48.6),
        },
    )["output"]  # fmt: skip
    sensitivity = run_task(
        f"{ONEDSPEC}.sensfunc", inputs={"standards": bands},
        outputs={"sensitivity": "sens.fits"},
        params={
            **common, "newextinction": "", "interactive": False, "answer": "no",
            "ignoreaps": True, "function": "spline3", "order": 6, "logfile": "",
            "graphs": "",
        },
    )["sensitivity"][0]  # fmt: skip
    theirs = run_task(
        f"{ONEDSPEC}.calibrate", inputs={"input": "itarget.fits"},
        outputs={"output": "theirs.fits"},
        params={
            "extinct": False, "extinction": "", "flux": True, "ignoreaps": True,
            "sensitivity": sensitivity, "observatory": "lick", "airmass": 1.0,
            "exptime": 300.0,
        },
    )["output"][0]  # fmt: skip
    # Beyond 4180 Angstrom all bands are near lines of hydrogen or helium, where ours
    # takes tables to be wrong by 5 percent, and continues the spline instead.
    inside = slice(90, 480)
    # Without noise, splines through bands of 40 Angstrom follow so smooth a response;
    # the tables have magnitudes of five digits.
    np.testing.assert_allclose(
        ours[inside], np.ravel(theirs[0].data)[inside], rtol=0.003
    )
    np.testing.assert_allclose(ours[inside], target[inside], rtol=0.002)
