"""Spectra as specutils reads and has them."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.spec import tabulate_spectrum, to_spectrum, with_wavelengths

Spectrum = pytest.importorskip("specutils").Spectrum

PIXELS = np.arange(100.0)
LINEAR = 4000 + 2 * PIXELS
CURVED = LINEAR + 1e-3 * PIXELS**2


def spectrum(values, unit="erg / (s cm2 Angstrom)", scale=1e-15):
    flags = np.zeros(100, np.uint16)
    flags[7] = Flag.BAD
    ndd = NDLater(
        data=scale * (10 + PIXELS),
        variance=scale**2 * (1 + PIXELS),
        flags=flags,
        unit=unit,
    )
    return with_wavelengths(ndd, values, "air")


def file_of(path, *spectra):
    df = DataFile(path, mode="new")
    df.meta["OBJECT"] = "star"
    for one in spectra:
        df.append(one)
    df.save()
    return df


def check(found, values, scale=1e-15):
    np.testing.assert_allclose(found.spectral_axis.to_value("Angstrom"), values)
    np.testing.assert_allclose(found.flux.value, scale * (10 + PIXELS))
    error = found.uncertainty.represent_as(type(found.uncertainty)).array
    is_variance = found.uncertainty.uncertainty_type == "var"
    wanted = scale**2 * (1 + PIXELS)
    np.testing.assert_allclose(error, wanted if is_variance else np.sqrt(wanted))
    assert np.flatnonzero(found.mask).tolist() == [7]


@pytest.mark.parametrize("values", [LINEAR, CURVED], ids=["linear", "curved"])
def test_a_table_is_read_by_specutils_with_all_that_it_has(tmp_path, values):
    df = file_of(tmp_path / "one.fits", spectrum(values))
    tabulate_spectrum(df, outdir=tmp_path)
    found = Spectrum.read(str(tmp_path / "one_table.ecsv"))
    check(found, values)
    assert found.flux.unit == u.Unit("erg / (s cm2 Angstrom)")
    table = Table.read(tmp_path / "one_table.ecsv")
    assert table.meta["medium"] == "air"
    assert table.meta["spectrum"] == "one.fits[1]"


@pytest.mark.parametrize("values", [LINEAR, CURVED], ids=["linear", "curved"])
def test_spectrum_of_specutils(values):
    found = to_spectrum(spectrum(values, unit="electron", scale=1.0))
    check(found, values, 1.0)
    assert found.flux.unit == u.electron
    assert found.meta["medium"] == "air"


def test_specutils_reads_the_file_of_a_linear_spectrum(tmp_path):
    file_of(tmp_path / "one.fits", spectrum(LINEAR))
    found = Spectrum.read(str(tmp_path / "one.fits"), format="wcs1d-fits")
    check(found, LINEAR)


def test_one_of_several_spectra_has_to_be_named(tmp_path):
    df = file_of(tmp_path / "two.fits", spectrum(LINEAR), spectrum(CURVED))
    with pytest.raises(ParameterError, match="has the spectra 1, 2; name one of them"):
        tabulate_spectrum(df, outdir=tmp_path)
    tabulate_spectrum(df, ident=2, outdir=tmp_path)
    check(Spectrum.read(str(tmp_path / "two_table.ecsv")), CURVED)
    with pytest.raises(ParameterError, match="has the spectra"):
        tabulate_spectrum(df, ident=3, outdir=tmp_path, reprocess=True)


def test_without_variance_and_unit(tmp_path):
    ndd = NDLater(data=np.ones(100))
    found = to_spectrum(with_wavelengths(ndd, LINEAR, "vacuum"))
    assert found.uncertainty is None
    assert found.flux.unit == u.dimensionless_unscaled
