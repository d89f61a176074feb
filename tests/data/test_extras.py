"""Extra images: put in, replaced, renamed and taken out."""

import copy
import pickle

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData
from shared_helpers import hdu_names

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import FormatError


@pytest.fixture
def extras_file(tmp_path):
    path = tmp_path / "a.fits"
    hdus = [fits.PrimaryHDU(np.zeros((2, 2)))]
    hdus[0].header.update({"OBJECT": "x", "CRVAL1": 3.0})
    for name, version in (("SCI", 1), ("OBJMASK", 1), ("OBJMASK", 2)):
        hdus.append(fits.ImageHDU(np.full(3, version), name=name, ver=version))
    fits.HDUList(hdus).writeto(path)
    return path


@pytest.mark.parametrize("wrap", [NDData, NDLater, np.array])
def test_extra_of_any_kind_is_saved(extras_file, wrap):
    df = DataFile(extras_file, mode="update")
    df.extras["A"] = wrap(np.arange(4))
    assert isinstance(df.extras["A"], NDLater)
    df.save()
    again = DataFile(extras_file)
    assert list(again.extras) == ["PRIMARY", "OBJMASK_1", "OBJMASK_2", "A"]
    assert again.extras["A"].data.tolist() == [0, 1, 2, 3]
    assert df.unloaded


@pytest.mark.parametrize("value", [3, "x", None])
def test_extra_of_no_image_is_refused(extras_file, value):
    with pytest.raises(TypeError, match="an extra is an image"):
        DataFile(extras_file).extras["A"] = value


def test_extra_with_variance_is_refused(extras_file):
    df = DataFile(extras_file, mode="update")
    df.extras["A"] = NDLater(np.ones(3), variance=np.ones(3))
    with pytest.raises(FormatError, match="append it"):
        df.save()


def test_extra_renamed(extras_file):
    df = DataFile(extras_file, mode="update")
    df.extras["OTHER"] = df.extras.pop("OBJMASK_1")
    assert not df.unloaded
    df.save()
    assert hdu_names(extras_file)[2:] == [("OTHER", 1), ("OBJMASK", 2)]
    assert df.unloaded
    df.extras["OBJMASK_2"].data[0] = 9
    df.save()
    assert hdu_names(extras_file)[2:] == [("OTHER", 1), ("OBJMASK", 2)]
    assert DataFile(extras_file).extras["OTHER"].data.tolist() == [1, 1, 1]


def test_extra_keeps_its_name_with_a_new_header(extras_file):
    df = DataFile(extras_file, mode="update")
    df.extras["OBJMASK_2"].meta = {"NEW": 1}
    df.save()
    assert hdu_names(extras_file)[3] == ("OBJMASK", 2)
    assert DataFile(extras_file).extras["OBJMASK_2"].meta["NEW"] == 1


def test_extra_replaced_stays_in_its_place(extras_file):
    df = DataFile(extras_file, mode="update")
    df.extras["OBJMASK_1"] = NDData(np.arange(2))
    df.save()
    assert hdu_names(extras_file)[2:] == [("OBJMASK", 1), ("OBJMASK", 2)]
    assert DataFile(extras_file).extras["OBJMASK_1"].data.tolist() == [0, 1]


@pytest.mark.parametrize("is_copy", [False, True])
def test_image_in_the_primary_hdu_replaced(extras_file, is_copy):
    df = DataFile(extras_file, mode="update")
    old = df.extras["PRIMARY"]
    new = np.full((2, 2), 7.0)
    df.extras["PRIMARY"] = old.replace(data=new) if is_copy else NDData(new)
    df.save()
    header = fits.getheader(extras_file)
    assert fits.getdata(extras_file)[0, 0] == 7
    assert header["OBJECT"] == "x"
    assert ("CRVAL1" in header) is is_copy
    assert list(DataFile(extras_file).extras) == ["PRIMARY", "OBJMASK_1", "OBJMASK_2"]


def test_image_of_the_primary_hdu_as_extra_of_another_file(extras_file, tmp_path):
    df = DataFile(tmp_path / "b.fits", data=NDData([1]), mode="new")
    df.extras["IMG"] = DataFile(extras_file).extras["PRIMARY"]
    df.save()
    header = fits.getheader(tmp_path / "b.fits", 2)
    assert (header["EXTNAME"], header["OBJECT"], header["CRVAL1"]) == ("IMG", "x", 3)


def test_extra_of_another_file_is_not_shared(extras_file, tmp_path):
    one, two = DataFile(extras_file), DataFile(extras_file, mode="update")
    two.extras["NEW"] = one.extras["OBJMASK_1"]
    two.extras["NEW"].data[0] = 9
    two.save(tmp_path / "b.fits")
    assert one.extras["OBJMASK_1"].data[0] == 1
    assert hdu_names(tmp_path / "b.fits")[-1] == ("NEW", 1)


def test_extras_travel_with_copies(extras_file):
    df = DataFile(extras_file)
    df.extras["A"] = NDData([1])
    for other in (df.copy(), copy.deepcopy(df), pickle.loads(pickle.dumps(df))):
        assert list(other.extras) == list(df.extras)
        other.extras["B"] = NDData([2])
    assert "B" not in df.extras
