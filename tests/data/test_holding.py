"""Arrays that somebody holds: they stay the pixels, whatever else is done."""

import pickle

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.data import DataFile, NDLater
from ndmapper.testing import make_mef


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


WHAT_IS_DONE = {
    "section": lambda df: df[0][1:3],
    "section of file": lambda df: df[:1],
    "copy": lambda df: df[0].copy(),
    "copy of file": lambda df: DataFile(data=df),
    "NDLater": lambda df: NDLater(df[0]),
    "replace": lambda df: df[0].replace(unit="adu"),
    "pickle": pickle.dumps,
    "arithmetic": lambda df: df + 1,
    "repr": lambda df: df._repr_html_(),
}


@pytest.mark.parametrize("what", WHAT_IS_DONE)
def test_array_that_was_handed_out_stays_the_pixels(folder, what):
    make_mef("a.fits")
    df = DataFile("a.fits", mode="update")
    data, variance, flags = df[0].data, df[0].variance, df[0].flags
    uncertainty = df[0].uncertainty
    taken = WHAT_IS_DONE[what](df)
    assert df[0].data is data
    data[0, 0] = 555
    uncertainty.array[0, 0] = 556
    variance[0, 1] = 557
    flags[0, 0] = 8
    df.save()
    with fits.open("a.fits") as hdus:
        assert hdus["SCI", 1].data[0, 0] == 555
        assert hdus["VAR", 1].data[0, :2].tolist() == [556, 557]
        assert hdus["DQ", 1].data[0, 0] == 8
    del taken


@pytest.mark.parametrize("take", ["copy", "section", "NDLater"])
def test_array_of_the_user_does_not_show_in_what_was_taken(take):
    array = np.ones((3, 4))
    ndd = NDLater(array, variance=array)
    taken = {
        "copy": ndd.copy,
        "section": lambda: ndd[:2],
        "NDLater": lambda: NDLater(ndd),
    }[take]()
    array[0, 0] = 5
    assert ndd.data is array
    assert taken.data[0, 0] == 1
    assert taken.variance[0, 0] == 1


def test_result_of_arithmetic_is_copied_only_once_it_was_handed_out():
    result = NDLater(np.ones((3, 4))) + 1
    copy = result.copy()
    assert copy._parts["data"].peek() is result._parts["data"].peek()
    assert result.data is not copy._parts["data"].peek()
    assert result.copy()._parts["data"].peek() is not result.data


@pytest.mark.parametrize("is_read", [True, False])
def test_in_place_operator_on_a_new_ndlater_leaves_the_old_one(folder, is_read):
    make_mef("a.fits")
    old = DataFile("a.fits")[0]
    if is_read:
        _ = old.data, old.variance
    new = NDLater(old)
    new += 1
    assert old.data[0, 0] == 1000
    assert new.data[0, 0] == 1001


SIZES = {"small": (3, 4), "large": (1024, 1025)}


@pytest.mark.parametrize("shape", SIZES.values(), ids=SIZES)
def test_in_place_operator_where_data_and_variance_are_one_array(shape):
    array = np.full(shape, 10.0)
    ndd = NDLater(array, variance=array)
    ndd *= 2
    assert set(np.unique(ndd.data)) == {20}
    assert set(np.unique(ndd.variance)) == {40}


@pytest.mark.parametrize("shape", SIZES.values(), ids=SIZES)
def test_in_place_operator_where_the_variance_is_a_view_of_the_data(shape):
    array = np.arange(float(np.prod(shape))).reshape(shape)
    expected = 4 * array[::-1]
    ndd = NDLater(array, variance=array[::-1])
    ndd *= 2
    np.testing.assert_array_equal(ndd.variance, expected)


@pytest.mark.parametrize("shape", SIZES.values(), ids=SIZES)
def test_in_place_operator_where_two_operands_share_arrays(shape):
    array, factor = np.full(shape, 10.0), np.full(shape, 3.0)
    ndd = NDLater(array, variance=factor)
    ndd *= NDLater(factor, variance=array)
    assert set(np.unique(ndd.data)) == {30}
    assert set(np.unique(ndd.variance)) == {3 * 9 + 10 * 100}


def test_array_held_over_an_in_place_operator_stays_the_pixels():
    ndd = NDLater(np.ones((3, 4)))
    array = ndd.data
    ndd += 1
    copy = ndd.copy()
    array[0, 0] = 7
    assert ndd.data[0, 0] == 7
    assert copy.data[0, 0] == 2


@pytest.mark.parametrize("is_read", [True, False])
def test_in_place_operator_on_what_was_appended_leaves_the_original(folder, is_read):
    make_mef("a.fits")
    section = DataFile("a.fits")[0][:2]
    if is_read:
        _ = section.data
    df = DataFile(data=[section])
    df += 1
    assert section.data[0, 0] == 1000
    assert df[0].data[0, 0] == 1001
    section += 2
    assert df[0].data[0, 0] == 1001


def test_augmented_assignment_to_data_keeps_the_array(folder):
    make_mef("a.fits")
    df = DataFile("a.fits")
    array = df[0].data
    df[0].data += 5
    assert df[0].data is array
    assert df[0].copy().data[0, 0] == 1005
