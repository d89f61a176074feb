"""The headers of variance and flags, for sections and where arrays are replaced."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import VarianceUncertainty

from ndmapper.data import DataFile


@pytest.fixture
def hst_file(tmp_path):
    path = tmp_path / "a.fits"
    hdus = [fits.PrimaryHDU()]
    hdus[0].header.update({"TELESCOP": "HST", "INSTRUME": "ACS"})
    for name, dtype in (("SCI", "f4"), ("VAR", "f4"), ("DQ", "i2")):
        hdu = fits.ImageHDU(np.zeros((4, 5), dtype), name=name, ver=1)
        hdu.header["CRPIX1"] = 3.0
        hdu.header["CTYPE1"] = "LINEAR"
        hdu.header["OWN"] = name
        hdus.append(hdu)
    hdus[3].data[0] = 5
    fits.HDUList(hdus).writeto(path)
    return path


def test_section_keeps_the_headers_of_its_parts(hst_file):
    df = DataFile(hst_file, mode="update")
    df[0] = df[0][:, 1:4]
    df.save()
    for n, name in enumerate(("SCI", "VAR", "DQ"), start=1):
        header = fits.getheader(hst_file, n)
        assert (header["EXTNAME"], header["OWN"]) == (name, name)
        assert (header["CRPIX1"], header["NAXIS1"]) == (2.0, 3)


def test_section_by_an_array_has_no_coordinates(hst_file):
    df = DataFile(hst_file, mode="update")
    df[0] = df[0][:, [0, 3]]
    df.save()
    for n in (1, 2, 3):
        assert "CRPIX1" not in fits.getheader(hst_file, n)
        assert fits.getheader(hst_file, n)["OWN"]


def test_section_does_not_parse_headers_nor_share_them(hst_file):
    df = DataFile(hst_file)
    part = df[0][1:]
    assert all(
        p.header._header is None for n, p in part.content.arrays.items() if n != "data"
    )
    part.content.arrays["flags"].header.header["OWN"] = "changed"
    assert df[0].content.arrays["flags"].header.header["OWN"] == "DQ"


def test_section_keeps_the_convention_that_its_flags_state(hst_file, tmp_path):
    DataFile(hst_file).translate_flags("jwst").save(tmp_path / "j.fits")
    df = DataFile(tmp_path / "j.fits", mode="update")
    whole, part = df[0], df[0][:, :]
    assert whole.flag_table.name == part.flag_table.name == "jwst"
    assert np.array_equal((whole + part).flags, whole.flags)
    df[0] = part[:2]
    df.save()
    assert DataFile(tmp_path / "j.fits")[0].flag_table.name == "jwst"
    assert np.array_equal(DataFile(tmp_path / "j.fits")[0].flags, whole.flags[:2])


@pytest.mark.parametrize("kind", ["uncertainty", "variance"])
def test_new_variance_has_the_header_of_the_old(hst_file, kind):
    df = DataFile(hst_file, mode="update")
    array = np.full((4, 5), 2.0, "f4")
    setattr(df[0], kind, array if kind == "variance" else VarianceUncertainty(array))
    df.save()
    assert fits.getheader(hst_file, 2)["OWN"] == "VAR"
    assert fits.getdata(hst_file, 2)[0, 0] == 2


def test_uncertainty_is_taken_away_and_a_wrong_one_refused(hst_file):
    ndd = DataFile(hst_file)[0]
    with pytest.raises(TypeError):
        ndd.uncertainty = 3
    assert ndd.has("uncertainty")
    ndd.uncertainty = None
    assert not ndd.has("uncertainty")


def test_filled_flags_of_hst_have_the_cards_of_their_place(tmp_path):
    path = tmp_path / "hst.fits"
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.zeros((2, 3), "f4"), name="SCI", ver=1)]
    hdus[1].header["CRPIX1"] = 2.0
    for name in ("ERR", "DQ"):
        empty = fits.ImageHDU(name=name, ver=1)
        empty.header.update({"NPIX1": 3, "NPIX2": 2, "PIXVALUE": 0, "OWN": name})
        hdus.append(empty)
    fits.HDUList(hdus).writeto(path)
    df = DataFile(path, mode="update", labels="hst")
    df[0].flags = np.ones((2, 3), "u2")
    df.save()
    with fits.open(path) as found:
        assert [hdu.name for hdu in found] == ["PRIMARY", "SCI", "DQ", "ERR"]
        header = found["DQ"].header
        assert (header["OWN"], header["EXTVER"], header["CRPIX1"]) == ("DQ", 1, 2.0)
        assert not {"NPIX1", "NPIX2", "PIXVALUE"} & set(header)
        assert found["DQ"].data.tolist() == [[1] * 3] * 2
