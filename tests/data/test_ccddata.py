"""Files of astropy's CCDData: an image in the primary HDU, UNCERT and MASK."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import (
    CCDData,
    InverseVariance,
    StdDevUncertainty,
    VarianceUncertainty,
)
from shared_helpers import hdu_bytes

from ndmapper.data import DataFile, NDLater
from ndmapper.testing import count_reads

KINDS = {StdDevUncertainty: 2.0, VarianceUncertainty: 4.0, InverseVariance: 0.25}
kinds = pytest.mark.parametrize("kind", list(KINDS), ids=lambda kind: kind.__name__)


def write_ccd(path, kind=StdDevUncertainty, *, mask=True, **options):
    ccd = CCDData(np.arange(6.0).reshape(2, 3), unit="adu", meta={"OBJECT": "M 31"})
    if kind is not None:
        ccd.uncertainty = kind(np.full((2, 3), KINDS[kind]))
    if mask:
        ccd.mask = np.arange(6).reshape(2, 3) == 4
    ccd.write(path, **options)
    return path


@kinds
@pytest.mark.parametrize("as_image_hdu", [False, True])
def test_open_file_of_ccddata_has_variance_and_mask(
    tmp_path, kind, as_image_hdu, caplog
):
    path = write_ccd(tmp_path / "a.fits", kind, as_image_hdu=as_image_hdu)
    with count_reads() as reads:
        df = DataFile(path)
        assert (len(df), list(df.extras)) == (1, [])
        assert df[0].content.arrays["flags"].dtype == np.uint8
        assert df[0].content.arrays["uncertainty"].dtype == np.float64
    assert reads.reads == 0
    assert (df[0].data == np.arange(6).reshape(2, 3)).all()
    assert (df[0].variance == 4).all()
    assert df[0].mask.tolist() == [[False] * 3, [False, True, False]]
    assert df[0].unit == u.adu
    assert df[0][1].mask.tolist() == [False, True, False]
    assert df.unloaded
    assert not caplog.records


@pytest.mark.parametrize("kind", [StdDevUncertainty, None])
@pytest.mark.parametrize("mask", [True, False])
def test_open_file_of_ccddata_with_one_of_them(tmp_path, kind, mask):
    ndd = DataFile(write_ccd(tmp_path / "a.fits", kind, mask=mask))[0]
    assert (ndd.has("uncertainty"), ndd.has("flags")) == (kind is not None, mask)


@kinds
def test_save_file_of_ccddata_copies_what_nobody_changed(tmp_path, kind):
    before = hdu_bytes(write_ccd(tmp_path / "a.fits", kind))
    df = DataFile(tmp_path / "a.fits", mode="update")
    df[0].data[0, 0] = 7
    df.save()
    after = hdu_bytes(tmp_path / "a.fits")
    assert after[0] != before[0]
    assert after[1:] == before[1:]
    assert df.unloaded


@kinds
def test_save_changed_uncertainty_is_what_ccddata_reads(tmp_path, kind):
    path = write_ccd(tmp_path / "a.fits", kind)
    df = DataFile(path, mode="update")
    df[0].variance[...] = 9
    df[0].flags[0, 0] = 8
    df.save()
    for ndd in (df[0], DataFile(path)[0]):
        assert (ndd.variance == 9).all()
        assert ndd.flags.tolist() == [[8, 0, 0], [0, 1, 0]]
    ccd = CCDData.read(path)
    assert (ccd.uncertainty.represent_as(VarianceUncertainty).array == 9).all()
    assert ccd.mask.tolist() == [[True, False, False], [False, True, False]]


def test_save_file_of_ccddata_with_what_it_had_not(tmp_path):
    path = write_ccd(tmp_path / "a.fits", None)
    df = DataFile(path, mode="update")
    df[0].variance = np.full((2, 3), 4.0)
    df.save()
    assert (DataFile(path)[0].variance == 4).all()
    ccd = CCDData.read(path)
    assert isinstance(ccd.uncertainty, StdDevUncertainty)
    assert (ccd.uncertainty.array == 2).all()
    assert ccd.mask.sum() == 1


def test_new_file_with_labels_of_ccddata_is_read_by_both(tmp_path):
    df = DataFile(tmp_path / "a.fits", mode="new", labels="ccddata")
    flags = np.array([[0, 4]], "u2")
    df.append(NDLater(np.ones((1, 2)), variance=[[4.0, 9.0]], flags=flags, unit="adu"))
    df.save()
    ccd = CCDData.read(tmp_path / "a.fits")
    assert ccd.uncertainty.array.tolist() == [[2, 3]]
    assert ccd.mask.tolist() == [[False, True]]
    again = DataFile(tmp_path / "a.fits")[0]
    assert again.variance.tolist() == [[4, 9]]
    assert again.flags.tolist() == [[0, 4]]


@kinds
def test_save_file_of_ccddata_with_other_labels_means_the_same(tmp_path, kind):
    path = write_ccd(tmp_path / "a.fits", kind)
    with fits.open(path, mode="update") as hdus:
        hdus["MASK"].data[...] *= 4
        hdus[0].header["TELESCOP"] = "HST"
    df = DataFile(path)
    assert df[0].flags.max() == 1
    df.labels = "default"
    df.save(tmp_path / "b.fits")
    for ndd in (df[0], DataFile(tmp_path / "b.fits")[0]):
        assert (ndd.variance == 4).all()
        assert ndd.flags.tolist() == [[0, 0, 0], [0, 1, 0]]
        assert ndd.flagged("BAD").sum() == 1


def test_mask_beside_sci_is_an_extra_as_ever(tmp_path):
    images = [fits.ImageHDU(np.zeros((2, 2), "u1"), name=n) for n in ("SCI", "MASK")]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(tmp_path / "a.fits")
    assert list(DataFile(tmp_path / "a.fits").extras) == ["MASK"]


@pytest.mark.parametrize("mask", [True, False])
def test_inverse_variance_of_0_is_no_data_in_a_file_of_ccddata_too(tmp_path, mask):
    path = write_ccd(tmp_path / "a.fits", InverseVariance, mask=mask)
    with fits.open(path, mode="update") as hdus:
        hdus["UNCERT"].data[0, 0] = 0
    df = DataFile(path)
    assert df[0].flags[0].tolist() == [16, 0, 0]
    assert np.isinf(df[0].variance[0, 0])
    df.save(tmp_path / "b.fits")
    assert (tmp_path / "b.fits").read_bytes() == path.read_bytes()
    (df * 2).save(tmp_path / "c.fits")
    again = DataFile(tmp_path / "c.fits")
    assert again[0].flags[0, 0]
    assert not again[0].flags[0, 1]
    assert again[0].variance[0, 1] == 16


# ---- parts of other files that are put into a file of CCDData, unchanged


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
