"""Images without axes, which FITS holds as one pixel."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData, VarianceUncertainty

from ndmapper.data import DataFile, NDLater


@pytest.fixture
def one_image(tmp_path):
    hdu = fits.ImageHDU(np.arange(12, dtype="f4").reshape(3, 4), name="SCI", ver=1)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "a.fits")
    return tmp_path / "a.fits"


@pytest.mark.parametrize("name", ["b.fits", "b.fits.gz", "b.fits.fz"])
def test_number_is_saved_as_one_pixel(tmp_path, name):
    df = DataFile(tmp_path / name, mode="new")
    df.append(NDData(5.0, uncertainty=VarianceUncertainty(4.0)))
    df.append(NDData([1, 2, 3]))
    df.save()
    assert df.unloaded
    assert (df[0].shape, df[0].data[()]) == ((), 5)
    again = DataFile(tmp_path / name)
    assert [ndd.data.tolist() for ndd in again] == [[5.0], [1, 2, 3]]
    assert again[0].variance.tolist() == [4.0]
    with fits.open(tmp_path / name) as found:
        assert [hdu.name for hdu in found] == ["PRIMARY", "SCI", "VAR", "SCI"]


def test_number_can_be_saved_again(tmp_path, one_image):
    df = DataFile(one_image, mode="update")
    df.append(df[0][1, 2])
    df.append((df[0] * 2)[0, 1])
    df.append(NDLater(np.int16(7)))
    df.save()
    df[3].data[...] = 8
    df.save()
    del df[3].data
    assert [float(ndd.data) for ndd in list(df)[1:]] == [6, 2, 8]
    assert [ndd.data.size for ndd in DataFile(one_image)] == [12, 1, 1, 1]
