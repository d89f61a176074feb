"""World coordinates that came as an object, or were changed in one."""

import copy
import logging
import pickle
from pathlib import Path

import astropy
import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, NDData, NDDataRef
from astropy.wcs import WCS, Sip
from astropy.wcs.wcsapi import HighLevelWCSWrapper
from shared_helpers import tangent_wcs

from ndmapper.data import DataFile, NDLater
from ndmapper.io.headers import whole_header
from ndmapper.testing import count_reads, make_mef

pytestmark = pytest.mark.filterwarnings("ignore:.*:astropy.wcs.FITSFixedWarning")

SHAPE = (20, 30)
SAMPLES = Path(astropy.__path__[0]) / "wcs/tests/data"
PIXELS = np.array([3.0, 11.0]), np.array([5.0, 7.0])


def ccd(**more):
    return CCDData(np.ones(SHAPE), unit="adu", wcs=tangent_wcs(), **more)


@pytest.fixture
def file_with_wcs(tmp_path):
    cards = dict(tangent_wcs().to_header()) | {"BUNIT": "adu", "LTV1": -3.0}
    return make_mef(tmp_path / "l1.fits", shape=SHAPE, extension=cards)


@pytest.fixture
def no_fits():
    """Coordinates that FITS cannot hold: a model without end."""
    gwcs = pytest.importorskip("gwcs")
    from astropy.coordinates import ICRS
    from astropy.modeling.models import Mapping, Polynomial2D
    from gwcs.coordinate_frames import CelestialFrame, Frame2D

    x = Polynomial2D(2, c0_0=10, c1_0=1e-3, c0_2=1e-6)
    y = Polynomial2D(2, c0_0=20, c0_1=1e-3, c2_0=1e-6)
    sky = CelestialFrame(reference_frame=ICRS(), unit=(u.deg, u.deg))
    steps = [(Frame2D(), Mapping((0, 1, 0, 1)) | (x & y)), (sky, None)]
    return gwcs.WCS(steps)


def world(wcs, dx=0, dy=0):
    return np.array(
        wcs.low_level_wcs.pixel_to_world_values(PIXELS[0] - dx, PIXELS[1] - dy)
    )


# ---- coordinates that come as an object


MAKERS = {
    "from_ccddata": lambda: NDLater.from_ccddata(ccd()),
    "CCDData": lambda: NDLater(ccd()),
    "CCDData with another header": lambda: NDLater(ccd(), meta={"OBJECT": "x"}),
    "argument": lambda: NDLater(np.ones(SHAPE), wcs=tangent_wcs(), unit="adu"),
    "argument and CCDData": lambda: NDLater(
        CCDData(np.ones(SHAPE), unit="adu"), wcs=tangent_wcs()
    ),
    "wrapped": lambda: NDLater(
        NDData(np.ones(SHAPE), wcs=HighLevelWCSWrapper(tangent_wcs()), unit="adu")
    ),
    "appended": lambda: DataFile(data=ccd())[0],
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_coordinates_that_came_as_an_object_stay(make, tmp_path):
    expected = world(tangent_wcs())
    ndd = make()
    part = ndd[2:, 3:]
    for other, dx, dy in [
        (ndd, 0, 0),
        (ndd.copy(), 0, 0),
        (part, 3, 2),
        (part.to_ccddata(), 3, 2),
        (ndd * 2, 0, 0),
        (pickle.loads(pickle.dumps(part)), 3, 2),
    ]:
        np.testing.assert_allclose(world(other.wcs, dx, dy), expected, rtol=1e-12)
    assert part.wcs.array_shape == part.shape
    DataFile(data=part).save(tmp_path / "v.fits")
    stored = WCS(fits.getheader(tmp_path / "v.fits", "SCI"))
    np.testing.assert_allclose(world(stored, 3, 2), expected, rtol=1e-12)


def test_coordinates_of_ccddata_replace_cards_that_say_something_else():
    header = tangent_wcs(crval=[1, 2]).to_header()
    header["CRPIX1A"] = 4.0
    header["DATE-OBS"] = "2026-01-01T00:00:00"
    ndd = NDLater(ccd(meta=header))
    assert (ndd.meta["CRVAL1"], ndd.meta["DATE-OBS"]) == (10, "2026-01-01T00:00:00")
    assert "CRPIX1A" not in ndd.meta
    assert "CRVAL1" in header


def test_cards_that_say_the_same_are_kept_as_they_are():
    header = fits.Header(tangent_wcs().to_header())
    del header["CDELT*"]
    header.update({"CD1_1": -1e-4, "CD2_2": 1e-4, "LTV1": 3})
    ndd = NDLater(CCDData(np.ones(SHAPE), unit="adu", meta=header, wcs=WCS(header)))
    assert list(ndd.meta) == list(header)


def test_no_object_means_the_coordinates_of_the_header():
    header = tangent_wcs().to_header()
    for ndd in (
        NDLater(np.ones(SHAPE), meta=header, wcs=None),
        NDLater(CCDData(np.ones(SHAPE), unit="adu", meta=header), wcs=None),
    ):
        assert world(ndd[1:].wcs, 0, 1).tolist() == world(tangent_wcs()).tolist()


def test_coordinates_that_were_taken_out_stay_out(file_with_wcs):
    df = DataFile(file_with_wcs, mode="update")
    df[0].wcs = None
    assert df[0].wcs is df[0][1:].wcs is df[0].copy().wcs is None
    df.save()
    assert "CRVAL1" not in fits.getheader(file_with_wcs, ("SCI", 1))


def test_ccddata_of_a_file_comes_back_with_its_astrometry(tmp_path):
    ccd().write(tmp_path / "in.fits")
    read = CCDData.read(tmp_path / "in.fits")
    assert "CRVAL1" not in read.meta
    DataFile(data=NDLater.from_ccddata(read)).save(tmp_path / "out.fits")
    assert fits.getval(tmp_path / "out.fits", "CRVAL1") == 10


def test_section_that_astropy_made_is_written(tmp_path):
    cut = NDDataRef(np.ones(SHAPE), wcs=tangent_wcs())[2:, 3:]
    ndd = NDLater(cut)
    assert ndd.meta["CRPIX1"] == 2.5
    np.testing.assert_allclose(world(ndd[1:].wcs, 3, 3), world(tangent_wcs()))
    cube = WCS({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CTYPE3": "WAVE"}, naxis=3)
    row = NDDataRef(np.ones((4, 5, 6)), wcs=cube)[:, 2]
    meta = NDLater(row).meta  # the axis that is gone comes last
    assert [meta[f"CTYPE{n}"][:4] for n in (1, 2, 3)] == ["RA--", "WAVE", "DEC-"]
    assert NDLater(row)[1:].wcs.low_level_wcs.pixel_n_dim == 2


def test_from_ccddata_shares_no_coordinates_nor_psf():
    given = ccd(psf=np.ones(3))
    ndd = NDLater.from_ccddata(given)
    given.wcs.wcs.crpix = [1, 1]
    given.psf[:] = 0
    assert ndd.wcs.wcs.crpix.tolist() == [5.5, 6]
    assert ndd.psf.tolist() == [1, 1, 1]


# ---- coordinates that FITS cannot hold


@pytest.mark.parametrize("how", ["argument", "NDData", "setter"])
def test_coordinates_without_fits_stay_in_memory(no_fits, how, tmp_path, caplog):
    expected = world(no_fits)
    if how == "NDData":
        ndd = NDLater(NDData(np.ones(SHAPE), wcs=no_fits))
    else:
        ndd = NDLater(np.ones(SHAPE), wcs=no_fits if how == "argument" else None)
        ndd.wcs = no_fits
    assert ndd.wcs is no_fits
    part = ndd[2:, 3:]
    for other, dx, dy in [
        (ndd.copy(), 0, 0),
        (part, 3, 2),
        (part[1:], 3, 3),
        (part * 2, 3, 2),
        (pickle.loads(pickle.dumps(part)), 3, 2),
    ]:
        np.testing.assert_allclose(world(other.wcs, dx, dy), expected)
    assert ndd.copy().wcs is not no_fits
    assert caplog.text == ""
    df = DataFile(data=part)
    df.save(tmp_path / "v.fits")
    assert "not saved" in caplog.text
    assert df[0].wcs is not None
    assert DataFile(tmp_path / "v.fits")[0].wcs is None


@pytest.mark.parametrize(
    "item", [np.s_[::2], np.s_[:, ::-1], np.s_[3, 4], np.s_[[1, 2]]], ids=str
)
def test_section_that_has_no_coordinates_without_fits(no_fits, item, caplog):
    with caplog.at_level(logging.WARNING):
        part = NDLater(np.ones(SHAPE), wcs=no_fits)[item]
    assert part.wcs is None
    assert ("no coordinates" in caplog.text) == (not isinstance(item, list))


def test_cards_that_came_with_such_coordinates_stay(no_fits):
    header = tangent_wcs().to_header()
    kept = NDLater(NDData(np.ones(SHAPE), wcs=no_fits, meta=header))
    assert kept[2:].meta["CRPIX2"] == 4
    replaced = NDLater(np.ones(SHAPE), wcs=no_fits, meta=header)
    assert "CRPIX2" not in replaced.meta


def test_spectrum_of_another_package_keeps_its_wavelengths(tmp_path, caplog):
    specutils = pytest.importorskip("specutils")
    axis = np.array([1.0, 2, 4, 8, 16]) * u.nm
    df = DataFile(tmp_path / "s.fits", mode="new")
    df.append(specutils.Spectrum(np.ones(5) * u.Jy, spectral_axis=axis))
    found = df[0][1:4].wcs.low_level_wcs.pixel_to_world_values(np.arange(3))
    np.testing.assert_allclose(np.ravel(found), [2, 4, 8])
    df.save()
    assert "not saved" not in caplog.text
    stored = DataFile(df.filename)[0].wcs
    assert stored.wcs.ctype[0] == "WAVE-TAB"
    np.testing.assert_allclose(
        stored.pixel_to_world(np.arange(5)).to_value("nm"), axis.value
    )


# ---- copies


def test_copies_have_coordinates_and_psf_of_their_own(file_with_wcs):
    df = DataFile(file_with_wcs)
    ndd = df[0]
    ndd.psf = np.ones(3)
    assert ndd.wcs.wcs.crpix.tolist() == [5.5, 6]
    with count_reads() as reads:
        files = [df.copy(), copy.deepcopy(df), df * 2, df[:1]]
        copies = [copy.deepcopy(ndd), copy.copy(ndd), NDLater(ndd), ndd[:]]
        copies += [*(file[0] for file in files), ndd.replace(unit="Jy")]
    assert reads.reads == 0
    for other in [*copies, ndd * 2]:
        other.wcs.wcs.crpix = [1, 1]
        other.psf[:] = 0
    assert ndd.wcs.wcs.crpix.tolist() == [5.5, 6]
    assert ndd.psf.tolist() == [1, 1, 1]


def test_psf_of_another_image_is_taken_over():
    assert NDLater(NDLater([1.0], psf="gauss")).psf == "gauss"
    assert NDLater(NDData([1.0], psf="gauss")).psf == "gauss"
    assert NDLater(NDData([1.0], psf="gauss"), psf="moffat").psf == "moffat"


# ---- objects that are changed in place


def test_looking_at_coordinates_changes_nothing(file_with_wcs, tmp_path):
    before = file_with_wcs.read_bytes()
    df = DataFile(file_with_wcs, mode="update")
    for ndd in df:
        ndd.wcs.pixel_to_world(1, 2)
        ndd.wcs.wcs.set()
        assert not ndd.content.is_modified
    assert df.unloaded
    df[1:].save(tmp_path / "other.fits")
    df.save()
    assert file_with_wcs.read_bytes() == before


@pytest.mark.parametrize("path", sorted(SAMPLES.rglob("*.hdr")), ids=lambda p: p.stem)
def test_looking_at_any_coordinates_changes_nothing(path):
    text = path.read_text("latin-1")
    sep = "\n" if "\n" in text else ""
    ndd = NDLater(np.ones((2, 2)), meta=fits.Header.fromstring(text, sep=sep))
    before = whole_header(ndd.meta.cards)
    if ndd.wcs is not None:
        ndd.wcs.all_pix2world([[1.0] * ndd.wcs.naxis], 1)
        ndd.wcs.fix()
    ndd.copy()
    assert whole_header(ndd.meta.cards) == before


def test_change_in_place_is_saved_and_nothing_else(file_with_wcs, tmp_path):
    df = DataFile(file_with_wcs)
    df[0].wcs.wcs.crpix = [9, 9]
    assert not df.unloaded
    assert df[0].copy().wcs.wcs.crpix.tolist() == [9, 9]
    assert df[0][2:, 3:].wcs.wcs.crpix.tolist() == [6, 7]
    assert (df[0] * 2).wcs.wcs.crpix.tolist() == [9, 9]
    assert pickle.loads(pickle.dumps(df))[0].wcs.wcs.crpix.tolist() == [9, 9]
    before = fits.getheader(file_with_wcs, ("SCI", 1))
    with count_reads() as reads:
        df.save(tmp_path / "x.fits")
    after = fits.getheader(tmp_path / "x.fits", ("SCI", 1))
    changed = {k for k in before if before[k] != after[k]}
    assert changed == {"CRPIX1", "CRPIX2"}
    assert list(before) == list(after)
    assert (after["CRPIX1"], after["CRPIX2"]) == (9, 9)
    assert df[0].wcs.wcs.crpix.tolist() == [9, 9]
    assert df.unloaded
    # What is in the file is copied, and not looked at.
    assert not df[0].content.arrays["data"].is_loaded
    assert reads.reads <= 9


def test_change_in_place_after_a_save_is_saved_as_well(file_with_wcs, tmp_path):
    df = DataFile(file_with_wcs)
    wcs = df[0].wcs
    for value in (9, 10):
        wcs.wcs.crval = [value, 20]
        df.save(tmp_path / "x.fits", overwrite=True)
        assert fits.getval(tmp_path / "x.fits", "CRVAL1", ("SCI", 1)) == value


def test_change_in_place_of_anything_else_is_saved(file_with_wcs, tmp_path):
    df = DataFile(file_with_wcs)
    df[0].meta["CRPIX1P"] = 4.0
    df[0].wcs.wcs.cdelt = [-2e-4, 2e-4]
    terms = np.zeros((3, 3))
    terms[2, 0] = terms[1, 1] = 1e-5
    df[1].wcs.sip = Sip(terms, terms.T, None, None, df[1].wcs.wcs.crpix)
    df[1].wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    expected = world(df[0].wcs), np.array(df[1].wcs.all_pix2world(*PIXELS, 0))
    df.save(tmp_path / "x.fits")
    header = fits.getheader(tmp_path / "x.fits", ("SCI", 1))
    assert (header["CRPIX1P"], header["LTV1"], header["BUNIT"]) == (4, -3, "adu")
    again = DataFile(tmp_path / "x.fits")
    np.testing.assert_allclose(world(again[0].wcs), expected[0], rtol=1e-12)
    found = np.array(again[1].wcs.all_pix2world(*PIXELS, 0))
    np.testing.assert_allclose(found, expected[1], rtol=1e-12)
    again[1].wcs.sip.a[2, 0] = 1e-4
    assert again[1].copy().wcs.sip.a[2, 0] == 1e-4


def test_change_in_place_in_the_primary_header_is_saved(tmp_path):
    fits.PrimaryHDU(np.ones(SHAPE), tangent_wcs().to_header()).writeto(
        tmp_path / "a.fits"
    )
    df = DataFile(tmp_path / "a.fits", mode="update")
    df[0].wcs.wcs.crpix = [9, 9]
    df.save()
    assert fits.getval(tmp_path / "a.fits", "CRPIX1") == 9


def test_change_in_place_of_what_was_given_is_saved(tmp_path):
    given = ccd()
    df = DataFile(data=given)
    given.wcs.wcs.crpix = [9, 9]
    df.save(tmp_path / "x.fits")
    assert fits.getval(tmp_path / "x.fits", "CRPIX1", "SCI") == 9


def test_new_header_brings_its_coordinates(file_with_wcs):
    ndd = DataFile(file_with_wcs)[0]
    assert ndd.wcs.wcs.crval.tolist() == [10, 20]
    ndd.meta = tangent_wcs(crval=[1, 2]).to_header()
    assert ndd.wcs.wcs.crval.tolist() == [1, 2]


def test_header_that_is_edited_changes_unit_and_coordinates(tmp_path):
    ndd = NDLater(np.ones((4, 5)), unit="adu", variance=np.ones((4, 5)))
    ndd.meta.update(CTYPE1="LINEAR", CRPIX1=1.0, CRVAL1=1.0, CDELT1=1.0, BUNIT="adu")
    DataFile(data=ndd).save(tmp_path / "a.fits")
    ndd = DataFile(tmp_path / "a.fits")[0]
    assert (ndd.unit, ndd.wcs.wcs.crval[0]) == ("adu", 1)
    assert ndd.uncertainty.unit == "adu2"
    ndd.meta["BUNIT"], ndd.meta["CRVAL1"] = "electron", 7.0
    assert (ndd.unit, ndd.wcs.wcs.crval[0]) == ("electron", 7)
    assert ndd.uncertainty.unit == "electron2"
    assert (ndd * 2).unit == "electron"
    assert ndd.wcs is ndd.wcs
    held = ndd.wcs
    held.wcs.crpix = [3, 4]
    DataFile(data=ndd).save(tmp_path / "b.fits")
    assert ndd.wcs is held  # as long as nobody edits the header
    stored = DataFile(tmp_path / "b.fits")[0]
    assert (stored.unit, stored.meta["CRVAL1"], stored.meta["CRPIX1"]) == (
        "electron", 7, 3,
    )  # fmt: skip
    del ndd.meta["BUNIT"]
    assert ndd.unit is None


def test_unit_that_was_set_stays_without_a_card():
    ndd = NDLater(np.ones(3), meta={"BUNIT": "adu"}, unit="Jy")
    del ndd.meta["BUNIT"]
    assert ndd.unit == "Jy"
    ndd.meta["BUNIT"] = "s"
    assert ndd.unit == "s"
