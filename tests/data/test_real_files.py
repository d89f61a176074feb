"""
Real files: what each of their HDUs is, and where its maker says so.

To add a file, put a row into `FILES`. What is not judged yet is ``...``.
"""

import gzip
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.wcs import WCS

from ndmapper.data import DataFile

# Real headers are what they are, and astropy says so.
pytestmark = [
    pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning"),
    pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning"),
]

FLUX20 = u.Unit("1e-20 erg / (s cm2 Angstrom)")


@dataclass(frozen=True)
class Real:
    """
    What a file is.

    Parameters
    ----------
    documented : str
        Where its maker says so.
    hdus : tuple of (str, unit)
        Role of each HDU (data, std, variance, ivar, flags, table, extra, or - for a
        header alone), and unit of data and errors; None where none is stated or the
        text is no unit.
    warned : tuple of int
        HDUs that may be errors or masks, for all that the file says: a warning names
        them.
    wcs : bool or ...
        Whether there are coordinates as astropy reads them.
    """

    documented: str
    hdus: tuple[tuple[str, Any], ...]
    warned: tuple[int, ...] = ()
    wcs: Any = ...


EMPTY, TABLE, EXTRA, FLAGS = (
    ("-", None),
    ("table", None),
    ("extra", None),
    ("flags", None),
)
DATA = ("data", None)

FILES = {
    "real/SDSSJ220248.31+123656.3.fits": Real(
        "linetools, spectra/tests/files: a BOSS spectrum by MWRFITS; what HDUs 1 to 3 "
        "are is written nowhere in it",
        (("data", ...), EXTRA, EXTRA, EXTRA),
        warned=(1, 2, 3),
    ),
    "real/Spectrum_Variance.fits": Real(
        "mpdaf.readthedocs.io, Spectrum: the variance is named by whoever opens it, "
        "Spectrum(file, ext=[0, 1])",
        (("data", ...), EXTRA),
        warned=(1,),
    ),
    "real/hxi_imgcube_01e02t_20230501_130758_HXI_CLEAN.fits": Real(
        "sunpy data/test: images of ASO-S/HXI at two times, and the parameters of both",
        (DATA, EXTRA, TABLE),
        warned=(1,),
    ),
    "real/specexample1.fits": Real(
        "linetools.readthedocs.io, XSpectrum1D.write_to_fits: flux, sig, wave, co",
        (DATA, ("std", None), EXTRA, EXTRA),
    ),
    "real/origin-00026.fits": Real(
        "mpdaf.readthedocs.io, Source object, format: IMA_name_DATA and _STAT",
        (EMPTY, TABLE, ("data", FLUX20), ("variance", FLUX20**2)),
        wcs=True,
    ),
    "real/sing-0032.fits": Real(
        "as origin-00026.fits", (EMPTY, TABLE, ("data", FLUX20)), wcs=True
    ),
    "real/UM184_nF.fits": Real(
        "linetools, io.readspec: a normalised spectrum of IRAF", (("data", ...),)
    ),
    "real/popler_sample.fits": Real(
        "UVES_popler: rows of one array are flux, error, status, ... (ARRAY1 to 9)",
        (DATA, TABLE),
    ),
    "real/TRES.fits": Real("IRAF multispec: orders in one array", (DATA,)),
    "real/multispec_equispec.fits": Real("IRAF equispec: bands in one array", (DATA,)),
    "real/spPlate-4055-55359-0020.fits": Real(
        "data.sdss.org/datamodel, spPlate: HDU 0 is the flux; a cut with this alone",
        (("data", ...),),
    ),
    "real/n2hp_cube.fits": Real("pyspeckit examples", (("data", u.K),)),
    "real/xte_test.evt.gz": Real(
        "heasarc, XTE event list", (EMPTY, TABLE, TABLE, TABLE)
    ),
    "muse/minicube_cut.fits": Real(
        "ESO-044286, HDUCLAS and ERRDATA; MUSE pipeline manual: DATA, STAT, DQ",
        (EMPTY, ("data", FLUX20), ("variance", FLUX20**2), FLAGS),
        wcs=True,
    ),
    "muse/IMAGE-HDFS-1.34.fits": Real(
        "MUSE pipeline manual", (EMPTY, DATA, ("variance", None), FLAGS), wcs=True
    ),
    "muse/MUSE.2017-06-16T01_34_56.867.fits": Real(
        "MUSE pipeline manual; headers without pixels", (EMPTY, EMPTY)
    ),
    "muse/filter_list.fits": Real("MUSE pipeline manual", (EMPTY, *[TABLE] * 27)),
    "gemini/processed/ngc3998-sfin.fits": Real(
        "Gemini IRAF: SCI, VAR and DQ for each EXTVER",
        (EMPTY, *[DATA, ("variance", None), FLAGS] * 6),
    ),
    "gemini/processed/NuclearNGC4945.fits": Real("IRAF", (DATA,)),
    "misc/a8280271.fits": Real("ccdproc tests: one raw frame", (DATA,)),
    "misc/science-mef.fits": Real("unnamed extensions, all data", (EMPTY, *[DATA] * 3)),
    "misc/flat-mef.fits": Real("unnamed extensions, all data", (EMPTY, *[DATA] * 3)),
    "misc/sip-wcs.fit": Real("one image with SIP", (("data", u.adu),), wcs=True),
    "misc/transposed_det_image_seq5_MIRIMAGE_P750Lexp1_s2d.fits": Real(
        "a transposed slit image", (DATA,)
    ),
}

files = pytest.mark.parametrize("name", FILES)
images = pytest.mark.parametrize(
    "name", [n for n, real in FILES.items() if any("data" in r for r, _ in real.hdus)]
)


def roles_of(df):
    layout = df.content.layout
    found = dict.fromkeys(layout.extras.values(), "extra")
    found |= dict.fromkeys(layout.tables.values(), "table")
    for group in layout.groups:
        for part, index in group.hdus.items():
            is_error = part == "uncertainty"
            found[index] = layout.labels.uncertainty_is if is_error else part
    return [found.get(hdu.index, "-") for hdu in df.content.map.hdus]


def parts_of(df):
    """List the groups with the position of each of their HDUs."""
    return list(zip(df, df.content.layout.groups, strict=True))


def variance_of(role, stored):
    stored = np.asarray(stored, float)
    return {"std": stored**2, "variance": stored}[role]


def judged(name, path, factor=1, section=...):
    """Compare a file with what astropy reads, times a factor."""
    roles = [role for role, _ in FILES[name].hdus]
    df = DataFile(path)
    with fits.open(path) as hdus:
        for ndd, group in parts_of(df):
            there = hdus[group.data].data
            np.testing.assert_array_equal(ndd[section].data, there[section])
            if group.uncertainty is not None:
                stored = hdus[group.uncertainty].data[section]
                expected = variance_of(roles[group.uncertainty], stored)
                np.testing.assert_allclose(ndd[section].variance, expected, rtol=2e-7)
            if group.flags is not None:
                flags = hdus[group.flags].data[section]
                np.testing.assert_array_equal(ndd[section].flags, flags)
        for extra, index in df.content.layout.extras.items():
            np.testing.assert_array_equal(df.extras[extra].data, hdus[index].data)


@files
def test_role_of_each_hdu(real_data, name, caplog):
    real = FILES[name]
    with caplog.at_level(logging.WARNING):
        df = DataFile(real_data / name)
    assert roles_of(df) == [role for role, _ in real.hdus]
    said = [r.getMessage() for r in caplog.records if "takes no part" in r.getMessage()]
    # A file is warned of once, so not at all if another test has opened it.
    assert all(any(f"HDU {i} " in text for i in real.warned) for text in said)


@images
def test_pixels_whole_and_in_sections(real_data, name):
    judged(name, real_data / name)
    judged(name, real_data / name, section=(..., slice(1, None, 2)))


@images
def test_units(real_data, name):
    df = DataFile(real_data / name)
    for ndd, group in parts_of(df):
        unit = FILES[name].hdus[group.data][1]
        assert unit is ... or ndd.unit == unit
        if group.uncertainty is not None:
            unit = FILES[name].hdus[group.uncertainty][1]
            assert unit is ... or ndd.uncertainty.unit == unit


@pytest.mark.parametrize("name", [n for n, real in FILES.items() if real.wcs is True])
def test_coordinates(real_data, name):
    with fits.open(real_data / name) as hdus:
        for ndd, group in parts_of(DataFile(real_data / name)):
            expected = WCS(hdus[group.data].header, hdus)
            pixels = [np.array([0.0, 3.5])] * expected.pixel_n_dim
            np.testing.assert_allclose(
                ndd.wcs.pixel_to_world_values(*pixels),
                expected.pixel_to_world_values(*pixels),
            )


@images
def test_twice_and_saved(real_data, tmp_path, name):
    roles = [role for role, _ in FILES[name].hdus]
    result = DataFile(real_data / name) * 2
    target = tmp_path / "twice.fits"
    result.save(target)
    assert result.unloaded
    with fits.open(real_data / name) as before, fits.open(target) as after:
        assert [h.name for h in after] == [h.name for h in before]
        for role, old, new in zip(roles, before, after, strict=True):
            if role in ("data", "std", "variance"):
                with np.errstate(over="ignore"):
                    expected = old.data * (4 if role == "variance" else 2)
                np.testing.assert_allclose(new.data, expected, rtol=3e-7)
            elif role != "-":
                assert np.asarray(new.data).tobytes() == np.asarray(old.data).tobytes()
    assert roles_of(DataFile(target)) == roles


@images
def test_saved_untouched_has_the_same_bytes(real_data, tmp_path, name):
    df = DataFile(real_data / name)
    for ndd in df:
        _ = ndd.data, ndd.variance, ndd.flags
    df.save(tmp_path / "same.fits")
    content = (real_data / name).read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    assert (tmp_path / "same.fits").read_bytes() == content


def test_every_real_image_stands_in_the_table(real_data):
    folders = ("real", "muse", "misc", "gemini/processed")
    there = [
        f"{folder}/{path.name}"
        for folder in folders
        for path in (real_data / folder).iterdir()
        if path.suffix in (".fits", ".fit", ".gz")
    ]
    assert sorted(there) == sorted(FILES)


def test_error_without_a_name_is_named_by_labels(real_data, tmp_path):
    path = real_data / "real" / "Spectrum_Variance.fits"
    df = DataFile(path, labels={"data": "PRIMARY", "uncertainty": "IMAGE"})
    stored = fits.getdata(path, 1)
    np.testing.assert_array_equal(df[0].variance, stored)
    (df * 2).save(tmp_path / "b.fits")
    np.testing.assert_array_equal(fits.getdata(tmp_path / "b.fits", 1), stored * 4)
    path = real_data / "real" / "SDSSJ220248.31+123656.3.fits"
    labels = {"uncertainty": "IMAGE_1", "flags": "IMAGE_3", "uncertainty_is": "ivar"}
    (ndd,) = DataFile(path, labels={"data": "PRIMARY", **labels})
    stored = fits.getdata(path, 1)
    np.testing.assert_array_equal(np.isinf(ndd.variance), stored == 0)
