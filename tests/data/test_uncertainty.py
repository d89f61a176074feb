"""Standard deviations and variances in files: their units, and odd values."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits

from ndmapper.data import DataFile, NDLater

STD = {"data": "SCI", "uncertainty": "ERR", "flags": "DQ", "uncertainty_is": "std"}
UNITS = {"std": "electron", "variance": "electron2"}


def with_uncertainty(path, kind, unit="electron", *, states_unit=True):
    """Write a file whose ERR or VAR has a unit, and give the labels that it has."""
    labels = {**STD, "uncertainty": "ERR" if kind == "std" else "VAR"}
    labels["uncertainty_is"] = kind
    hdus = [fits.PrimaryHDU()]
    for name, text in (("SCI", unit), (labels["uncertainty"], UNITS[kind])):
        hdus.append(fits.ImageHDU(np.full((2, 3), 4, "f4"), name=name, ver=1))
        if text and (name == "SCI" or states_unit):
            hdus[-1].header["BUNIT"] = text
    fits.HDUList(hdus).writeto(path)
    return labels


@pytest.mark.parametrize("unit", ["electron", None, "furlongs/fortnite"])
@pytest.mark.parametrize(("kind", "other"), [("std", "variance"), ("variance", "std")])
def test_unit_of_the_uncertainty_follows_what_it_is(tmp_path, kind, other, unit):
    labels = with_uncertainty(tmp_path / "a.fits", kind, unit)
    df = DataFile(tmp_path / "a.fits", labels=labels)
    df.labels = {**labels, "uncertainty_is": other}
    df.save(tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as hdus:
        assert u.Unit(hdus[2].header["BUNIT"]) == u.Unit(UNITS[other])
        assert hdus[2].data[0, 0] == (2 if other == "std" else 16)
    df.labels = labels
    df.save(tmp_path / "c.fits")
    with fits.open(tmp_path / "c.fits") as hdus:
        assert u.Unit(hdus[2].header["BUNIT"]) == u.Unit(UNITS[kind])
        assert hdus[2].data[0, 0] == 4


def test_unit_of_the_uncertainty_stays_in_results_of_arithmetic(tmp_path):
    labels = with_uncertainty(tmp_path / "a.fits", "std", None)
    df = DataFile(tmp_path / "a.fits", labels=labels)
    for result in (df * 2, DataFile(data=df * 2, labels=labels)):
        result.save(tmp_path / "b.fits", overwrite=True)
        with fits.open(tmp_path / "b.fits") as hdus:
            assert hdus[2].header["BUNIT"] == "electron"
            assert hdus[2].data[0, 0] == 8
    apart = DataFile(data=[df[0] * 2])
    apart.save(tmp_path / "c.fits")
    with fits.open(tmp_path / "c.fits") as hdus:
        assert hdus["VAR"].header["BUNIT"] == "electron2"
        assert hdus["VAR"].data[0, 0] == 64


def test_unit_that_no_uncertainty_states_is_not_made_up(tmp_path):
    labels = with_uncertainty(tmp_path / "a.fits", "std", states_unit=False)
    df = DataFile(tmp_path / "a.fits", labels=labels)
    df.labels = {**labels, "uncertainty_is": "variance"}
    df.save(tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as hdus:
        assert "BUNIT" not in hdus[2].header


def test_variances_without_a_root_and_errors_that_are_large_to_square(tmp_path):
    ndd = NDLater(np.ones((2, 3)), variance=np.full((2, 3), -1.0))
    DataFile(data=[ndd], labels="hst").save(tmp_path / "a.fits")
    assert np.isnan(fits.getdata(tmp_path / "a.fits", "ERR")).all()
    large = NDLater(np.ones((2, 3), "f4"), variance=np.full((2, 3), np.inf, "f4"))
    DataFile(data=[large], labels="hst").save(tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits", mode="update") as hdus:
        hdus["ERR"].data[...] = 1e30
    df = DataFile(tmp_path / "b.fits", mode="update")
    np.testing.assert_allclose(df[0].variance, 1e60, rtol=1e-6)
    df.meta["NEW"] = 1
    df.save()
    assert (fits.getdata(tmp_path / "b.fits", "ERR") == np.float32(1e30)).all()
