"""Flags that files hold as floating point, with BLANK, or with many bits."""

import pickle

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import FormatError, ShapeError
from ndmapper.io.filemap import map_file
from ndmapper.numerics.combine import combine
from ndmapper.testing import count_reads


def write(path, flags, *, tiled=False, **cards):
    """Write SCI and DQ, with the numbers of DQ as they are stored."""
    flags = np.asarray(flags)
    dq = (fits.CompImageHDU if tiled else fits.ImageHDU)(flags, name="DQ")
    sci = fits.ImageHDU(np.zeros(flags.shape, "f4"), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), sci, dq]).writeto(path)
    for key, value in cards.items():
        fits.setval(path, key, value=value, ext=2)
    return path


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("stored", ["f4", "f8"])
def test_flags_of_floating_point_are_integers(tmp_path, stored, tiled):
    numbers = np.array([[0, 1], [5, 65536]], stored)
    df = DataFile(write(tmp_path / "a.fits", numbers, tiled=tiled))
    with count_reads() as reads:
        dtype = df[0].content.arrays["flags"].dtype
    assert reads.reads == 0
    ndd = df[0]
    assert ndd.flags.dtype == dtype == np.uint32
    assert ndd.flags.tolist() == [[0, 1], [5, 65536]]
    assert ndd.mask.tolist() == [[False, True], [True, True]]
    assert ndd.flagged("SATURATED").tolist() == [[False, False], [True, False]]
    assert ndd.translate_flags("hst").mask.tolist() == ndd.mask.tolist()
    assert pickle.loads(pickle.dumps(df[0][1])).flags.tolist() == [5, 65536]


@pytest.mark.parametrize("cards", [{"BLANK": 1}, {"BLANK": 1, "BSCALE": 1.0}])
def test_flags_that_blank_stands_for_are_the_stored_ones(tmp_path, cards):
    ndd = DataFile(write(tmp_path / "a.fits", np.array([0, 1, 4], "i2"), **cards))[0]
    assert ndd.flags.dtype == np.int16
    assert ndd.flags.tolist() == [0, 1, 4]
    assert ndd[1:].mask.tolist() == [True, True]


def test_flags_with_a_scale_are_integers(tmp_path):
    path = write(tmp_path / "a.fits", np.array([0, 1, 4], "i2"), BSCALE=2, BZERO=1)
    assert DataFile(path)[0].flags.tolist() == [1, 3, 9]


@pytest.mark.parametrize("wrong", [np.nan, 0.5, -1, 2**32])
def test_flags_that_are_no_bits_are_a_clear_error(tmp_path, wrong):
    df = DataFile(write(tmp_path / "a.fits", np.array([0, wrong, 1], "f8")))
    with pytest.raises(FormatError, match=r"HDU 2 \(DQ\) of .*a.fits"):
        _ = df[0].mask
    with pytest.raises(ShapeError, match="integers"):
        df[0].flags = [0.0, wrong, 1.0]
    df[0].flags = [0, 2, 1]
    df.save(tmp_path / "b.fits")
    assert DataFile(tmp_path / "b.fits")[0].flags.tolist() == [0, 2, 1]


def test_flags_set_to_large_floating_point_keep_their_bits():
    ndd = NDLater(np.zeros(2), flags=[65536.0, 1.0])
    assert ndd.flags.tolist() == [65536, 1]


def test_flags_of_other_form_are_copied_byte_for_byte(tmp_path):
    path = write(tmp_path / "a.fits", np.array([0, np.nan], "f4"))
    before = map_file(path).hdus[2].read_bytes()
    df = DataFile(path, mode="update")
    df[0].data[0] = 3
    df.save()
    assert map_file(path).hdus[2].read_bytes() == before


def test_flags_of_other_form_can_be_changed_and_saved(tmp_path):
    path = write(tmp_path / "a.fits", np.array([0, 4], "f4"))
    df = DataFile(path, mode="update")
    df[0].flags[0] |= 8
    df.save()
    assert df[0].flags.tolist() == [8, 4]
    assert DataFile(path)[0].flags.tolist() == [8, 4]
    assert fits.getheader(path, 2)["BITPIX"] == 32


def test_flags_of_other_form_are_joined(tmp_path):
    one = DataFile(write(tmp_path / "a.fits", np.array([[0, 4]] * 2, "f4")))
    two = DataFile(write(tmp_path / "b.fits", np.array([[1, 0]] * 2, "i2"), BLANK=1))
    assert (one + two)[0].flags.tolist() == [[1, 4]] * 2


@pytest.mark.parametrize("bad_flags", [None, "ALL", "-OVERLAP"])
@pytest.mark.parametrize("bit", [32, 40, 63])
def test_flags_above_those_that_have_names_count(bit, bad_flags):
    flags = np.array([0, 1 << bit, 4], "u8").view("i8")
    ndd = NDLater(np.zeros(3), flags=flags, bad_flags=bad_flags)
    assert ndd.mask.tolist() == [False, True, True]
    assert ndd.flag_table.names(1 << bit) == [f"bit {bit}"]
    turned = ndd.translate_flags("gemini")
    assert turned.flags.view("u8").tolist() == [0, 1 << bit, 4]
    assert turned.mask.tolist() == [False, True, True]
    assert ndd.translate_flags("hst").mask.tolist() == [False, True, True]


def test_combining_leaves_out_what_has_a_flag_above_those_with_names():
    flags = [np.array([[1 << 40]], "i8"), np.array([[0]], "i8")]
    made = combine([np.array([[9.0]]), np.array([[1.0]])], flags=flags)
    assert made.data.item() == 1
