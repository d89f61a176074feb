"""Parts of other files that are put into a file of CCDData, unchanged."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, VarianceUncertainty

from ndmapper.data import DataFile


@pytest.fixture
def mef(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fits.HDUList([
        fits.PrimaryHDU(), fits.ImageHDU(np.ones((9, 9), "f4"), name="SCI", ver=1),
        fits.ImageHDU(np.full((9, 9), 4, "f4"), name="VAR", ver=1),
        fits.ImageHDU(np.full((9, 9), 2, "u2"), name="DQ", ver=1),
    ]).writeto("m.fits")  # fmt: skip
    return DataFile("m.fits")


@pytest.mark.parametrize("kind", [VarianceUncertainty, InverseVariance])
@pytest.mark.parametrize("looked", [False, True])
def test_variance_of_another_file_stays_a_variance(mef, kind, looked):
    ccd = CCDData(np.ones((9, 9)), unit="adu", uncertainty=kind(np.ones((9, 9))))
    ccd.write("q.fits")
    df = DataFile("q.fits")
    if looked:
        _ = mef[0].variance
    df[:] = [mef[0]]
    df.save("q2.fits")
    assert (DataFile("q2.fits")[0].variance == 4).all()
    judge = CCDData.read("q2.fits", unit="adu").uncertainty
    assert np.allclose(judge.represent_as(VarianceUncertainty).array, 4)


@pytest.mark.parametrize("factor", [None, 1])
def test_flags_of_another_file_keep_their_bits(mef, factor):
    df = mef if factor is None else mef * factor
    df.labels = "ccddata"
    df.save("l.fits", overwrite=True)
    stored = DataFile("l.fits")[0]
    assert np.unique(stored.flags).tolist() == [2]
    assert (stored.variance == 4).all()
