"""Folders of MUSE calibrations: mapping them, and finding IFUs in them."""

from copy import deepcopy

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.data import NDLater
from ndmapper.errors import (
    FormatError,
    IdentError,
    MissingFileError,
)
from ndmapper.lib.muse import CalibDir, CalibFile
from ndmapper.testing import count_reads

KIND = "MASTER_BIAS"


# ---- reading a folder


@pytest.mark.parametrize("separator", ["-", "_"])
def test_folder_of_files_is_mapped_by_ifu(make_folder, pixels, separator):
    cals = CalibDir(KIND, make_folder(separator=separator))
    assert list(cals) == [1, 2, 7]
    np.testing.assert_array_equal(cals[7].get_data(), pixels(7)[0])
    assert cals[7].filename.dir.endswith("masters")


def test_merged_file_is_mapped_by_ifu(tmp_path, write_merged, pixels):
    write_merged(tmp_path / "masters" / f"{KIND}.fits", range(1, 25))
    cals = CalibDir(KIND, tmp_path / "masters")
    assert list(cals) == list(range(1, 25))
    np.testing.assert_array_equal(cals[24].get_stat(), pixels(24)[1])
    assert cals[24].ifu == 24


def test_merged_file_may_be_named_itself(tmp_path, write_merged):
    path = write_merged(tmp_path / "any_name.fits", (3, 4))
    cals = CalibDir(KIND, path)
    assert list(cals) == [3, 4]
    assert cals.dirname == str(tmp_path)


def test_compressed_files_are_mapped(make_folder, write_single, pixels):
    folder = make_folder(ifus=(1,))
    write_single(folder / f"{KIND}-02.fits.gz", 2)
    cals = CalibDir(KIND, folder)
    np.testing.assert_array_equal(cals[2].get_dq(), pixels(2)[2])


def test_attributes_are_the_published_ones(biases, make_folder, tmp_path):
    assert (biases.type, biases.dirname) == (KIND, str(tmp_path / "masters"))
    assert biases.progress is True
    assert sorted(biases.files) == [1, 2, 7]
    assert all(isinstance(cal, CalibFile) for cal in biases.files.values())


def test_mapping_and_info_read_no_pixels(make_folder, capsys):
    with count_reads() as reads:
        cals = CalibDir(KIND, make_folder())
        text = (cals - cals.copy()).info() + cals.info()
        repr(cals)
        repr(cals.files)
    assert reads.reads == 0
    assert "missing: 3-6, 8-24" in text


def test_info_prints_what_it_returns(biases, capsys):
    text = biases.info()
    assert capsys.readouterr().out == f"{text}\n"
    assert f"{KIND}-07.fits" in text


def test_other_files_of_the_folder_are_left_alone(make_folder):
    folder = make_folder()
    for name in ("MASTER_BIAS-25.fits", "MASTER_BIAS-07.txt", "MASTER_BIAS_0001.fits"):
        (folder / name).write_text("none of ours")
    make_folder(kind="MASTER_DARK", ifus=(9,))
    assert list(CalibDir(KIND, folder)) == [1, 2, 7]


def test_missing_folder_is_said_to_be_missing(tmp_path):
    with pytest.raises(MissingFileError, match="nowhere does not exist"):
        CalibDir(KIND, tmp_path / "nowhere")


def test_type_that_is_not_there_gets_a_suggestion(make_folder):
    with pytest.raises(MissingFileError, match="did you mean 'MASTER_BIAS'"):
        CalibDir("MASTER_BAIS", make_folder())


@pytest.mark.parametrize("kind", ["", "../MASTER_BIAS", "a/b", 7])
def test_type_must_be_the_begin_of_a_name(kind):
    with pytest.raises(FormatError, match="type"):
        CalibDir(kind)


def test_ifu_that_is_there_twice_is_an_error(make_folder):
    make_folder(ifus=(7,))
    with pytest.raises(FormatError, match="IFU 7 of MASTER_BIAS is both in"):
        CalibDir(KIND, make_folder(ifus=(7,), separator="_"))


def test_file_with_the_name_of_another_ifu_is_an_error(make_folder):
    folder = make_folder(ifus=(7,))
    (folder / f"{KIND}-07.fits").rename(folder / f"{KIND}-08.fits")
    with pytest.raises(FormatError, match=r"that of IFU 8.*CHAN07"):
        CalibDir(KIND, folder)


def test_merged_name_without_ifus_inside_is_an_error(tmp_path, write_single):
    path = write_single(tmp_path / f"{KIND}.fits", 7)
    with fits.open(path, mode="update") as hdus:
        del hdus[0].header["EXTNAME"]
    with pytest.raises(FormatError, match="should be a merged file"):
        CalibDir(KIND, tmp_path)


# ---- indexing and assignment


@pytest.mark.parametrize("key", [7, np.int64(7), "CHAN07"])
def test_ifu_is_found_by_number_or_name(biases, key):
    assert biases[key] is biases.files[7]


@pytest.mark.parametrize("key", [3, 0, 25, -1, "CHAN99", "MASTER"])
def test_ifu_that_is_not_there_is_an_error(biases, key):
    with pytest.raises(IdentError):
        biases[key]


def test_key_of_another_type_is_an_error(biases):
    with pytest.raises(TypeError, match="number from 1 to 24"):
        biases[1.5]


def test_assignment_sets_the_file_of_an_ifu(biases):
    cal = CalibFile(data=[NDLater(np.ones((5, 6)))])
    biases[4] = cal
    assert biases[4] is cal
    assert list(biases) == [1, 2, 4, 7]
    del biases[4]
    assert 4 not in biases


@pytest.mark.parametrize("value", [3, "a.fits", None])
def test_assignment_of_anything_else_is_an_error(biases, value):
    with pytest.raises(TypeError, match="a CalibFile was expected"):
        biases[4] = value


def test_assignment_of_a_merged_file_is_an_error(biases, tmp_path, write_merged):
    with pytest.raises(IdentError, match="of one IFU"):
        biases[4] = CalibFile(write_merged(tmp_path / "m.fits", (4, 5)))


def test_empty_one_is_filled_by_assignment(tmp_path):
    cals = CalibDir(KIND)
    assert cals.dirname is None
    cals[2] = CalibFile(data=[NDLater(np.ones((5, 6)))])
    cals.write(tmp_path / "new")
    assert [p.name for p in (tmp_path / "new").iterdir()] == [f"{KIND}_02.fits"]
    assert cals[2].ifu == 2


def test_deepcopy_has_the_names_and_one_copy_of_each_file(biases):
    new, file = deepcopy((biases, biases[1]))
    assert [str(new[ifu]) for ifu in new] == [str(biases[ifu]) for ifu in biases]
    assert new[1] is file is not biases[1]
    assert (type(file), file.mode) == (type(biases[1]), biases[1].mode)


@pytest.mark.parametrize("side", ["copy", "original"])
def test_copy_and_original_never_change_each_other(biases, side):
    biases[7].get_data()  # in memory, as a user may have it
    copy = biases.copy()
    changed, other = (copy, biases) if side == "copy" else (biases, copy)
    changed[7].get_data()[:] = 0
    del changed[1]
    assert other[7].get_data().min() == 700
    assert 1 in other
    assert copy.type == KIND
