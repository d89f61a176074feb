"""Folders of MUSE calibrations: mapping them, and finding IFUs in them."""

import os
import pickle
import sys
import threading
import tracemalloc
from copy import deepcopy

import numpy as np
import pytest
from astropy.io import fits

from ndmapper import run_task
from ndmapper.data import DataFileList, FileSet, NDLater
from ndmapper.errors import (
    FormatError,
    IdentError,
    MissingFileError,
    NdmapperError,
    OutputExistsError,
    ShapeError,
    UnitError,
)
from ndmapper.io.temporary import staging_mark
from ndmapper.lib.muse import CalibDir, CalibFile
from ndmapper.parallel import threads
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


# ---- as a set of files


@pytest.mark.parametrize("separator", ["-", "_"])
def test_folder_is_a_set_named_by_a_pattern(make_folder, separator):
    folder = make_folder(separator=separator)
    cals = CalibDir(KIND, folder)
    assert isinstance(cals, FileSet)
    assert cals.by == ("ifu",)
    assert str(cals) == f"{folder}/{KIND}{separator}{{ifu:02d}}.fits"
    assert cals.names == [str(cals[ifu]) for ifu in (1, 2, 7)]
    assert cals.members == [cals[1], cals[2], cals[7]]
    assert (cals.whole, cals.missing) == (None, {})
    assert cals.get(3) is cals.get(99) is None


def test_merged_file_is_a_set_of_parts(tmp_path, write_merged):
    path = write_merged(tmp_path / f"{KIND}.fits", (1, 2, 7))
    cals = CalibDir(KIND, tmp_path)
    assert (str(cals), cals.dirname, str(cals.whole)) == (
        str(path), str(tmp_path), str(path),
    )  # fmt: skip
    cals[7].get_data()
    assert cals.whole is not None
    cals[7].get_data()[:] = 0
    assert cals.whole is None


@pytest.mark.parametrize(
    "change",
    [
        lambda cals: cals.__setitem__(2, cals[1]),
        lambda cals: cals.__delitem__(2),
        lambda cals: cals.files.pop(2),
        lambda cals: setattr(cals, "files", {1: cals[1], 2: cals[1]}),
        lambda cals: cals.__isub__(1),
    ],
)
def test_changed_set_is_no_longer_the_merged_file(tmp_path, write_merged, change):
    write_merged(tmp_path / f"{KIND}.fits", (1, 2, 7))
    cals = CalibDir(KIND, tmp_path, workers=1)
    change(cals)
    assert cals.whole is None
    cals.write(tmp_path / "out")
    assert str(cals.whole) == str(tmp_path / "out" / f"{KIND}.fits")


def test_names_that_no_pattern_has_are_no_name(make_folder, write_single):
    folder = make_folder(ifus=(1,))
    write_single(folder / f"{KIND}-02.fits.gz", 2)
    cals = CalibDir(KIND, folder)
    assert (cals.filename, cals.dirname) == (None, str(folder))


def test_result_is_in_no_folder(biases):
    result = biases - 1
    assert isinstance(result, CalibDir)
    assert (result.filename, result.dirname, str(result)) == (None, None, "")


def test_it_is_combined_with_another_set(biases, make_folder, pixels):
    files = FileSet(f"{make_folder('others', scale=2.0)}/{KIND}-{{ifu:02d}}.fits")
    expected = pixels(7)[0]
    np.testing.assert_array_equal((files - biases)[7][0].data, expected)
    np.testing.assert_array_equal((biases - files)[7].get_data(), -expected)
    np.testing.assert_array_equal((biases - files)[7].get_stat(), 2 * pixels(7)[1])
    both = DataFileList(data=[biases]) - DataFileList(data=[files])
    np.testing.assert_array_equal(both[0][7].get_data(), -expected)


def test_results_are_named_by_a_pattern(biases, tmp_path):
    result = biases.subtract(1, filename=tmp_path / "d-{ifu:02d}.fits")
    result.save()
    assert (tmp_path / "d-07.fits").exists()
    assert result.dirname == str(tmp_path)


@pytest.mark.parametrize("form", ["files", "merged"])
def test_it_is_input_and_calibration_of_a_step(
    folder, make_folder, write_merged, pixels, form
):
    @run_task(prefix="b", cals=["bias"])
    def subtract_bias(ndd, bias):
        """Subtract the bias."""
        return ndd - bias

    write_merged(folder / "merged" / f"{KIND}.fits", (1, 2, 7), scale=3.0)
    bias = CalibDir(KIND, folder / "merged" if form == "merged" else make_folder())
    raws = CalibDir(KIND, make_folder("raws", scale=2.0))
    made = subtract_bias(raws, bias=bias, reprocess="auto")
    assert str(made) == f"b{KIND}-{{ifu:02d}}.fits"
    expected = (2 - (3 if form == "merged" else 1)) * pixels(7)[0]
    np.testing.assert_array_equal(made[7][0].data, expected)
    before = [path.stat().st_mtime_ns for path in sorted(folder.glob("b*"))]
    subtract_bias(raws, bias=bias, reprocess="auto")
    after = [path.stat().st_mtime_ns for path in sorted(folder.glob("b*"))]
    assert len(before) == 3
    assert after == before


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


# ---- arithmetic of folders of MUSE calibrations


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_operator_goes_ifu_by_ifu(biases, make_folder, name):
    other = CalibDir(KIND, make_folder("others", scale=2.0))
    result = getattr(biases, f"_{name}")(other)
    assert list(result) == [1, 2, 7]
    for ifu in result:
        expected = getattr(biases[ifu], f"_{name}")(other[ifu])
        for method in ("get_data", "get_stat", "get_dq"):
            np.testing.assert_array_equal(
                getattr(result[ifu], method)(), getattr(expected, method)()
            )


def test_difference_of_two_folders_is_not_zero(biases, make_folder, pixels):
    # What the old program gave, because it opened the first file twice.
    other = CalibDir(KIND, make_folder("others", scale=2.0))
    np.testing.assert_array_equal((biases - other)[7].get_data(), -pixels(7)[0])


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        (lambda c: c + 1, lambda d: d + 1),
        (lambda c: 1 - c, lambda d: 1 - d),
        (lambda c: 2 * c, lambda d: 2 * d),
        (lambda c: c / 2, lambda d: d / 2),
        (lambda c: (c + 1) * 2 - c, lambda d: (d + 1) * 2 - d),
        (
            lambda c: c - c[2],
            lambda d: d - np.float32(200) - np.arange(30).reshape(5, 6),
        ),
        (lambda c: np.full((5, 6), 3.0) * c, lambda d: 3 * d),
    ],
    ids=["add", "rsub", "rmul", "div", "chain", "one file", "array"],
)
def test_operand_may_be_one_for_all(biases, pixels, symbol, expected):
    np.testing.assert_array_equal(symbol(biases)[7].get_data(), expected(pixels(7)[0]))


def test_in_place_form_changes_the_object_and_none_of_its_operands(biases, pixels):
    cal, same = biases[1], biases
    biases -= 1
    assert biases is same
    assert (biases.type, biases.dirname, list(biases)) == (KIND, None, [1, 2, 7])
    np.testing.assert_array_equal(cal.get_data(), pixels(1)[0])
    np.testing.assert_array_equal(biases[1].get_data(), pixels(1)[0] - 1)


def test_folder_and_merged_file_are_combined(biases, tmp_path, write_merged):
    merged = CalibDir(KIND, write_merged(tmp_path / "m.fits", (1, 2, 7), scale=3.0))
    assert (merged - biases)[7].get_data()[0, 0] == 1400
    assert (biases - merged)[7].get_data()[0, 0] == -1400


def test_result_is_computed_when_looked_at_and_kept(biases, pixels):
    flat = np.full((5, 6), 2.0)
    biases[1].get_data()  # unchanged, so it is not kept twice
    biases[1].get_stat(), biases[1].get_dq()
    with count_reads() as reads:
        result = 1 - (biases * 2) / flat
        result[7].info()
    assert {path.name for path in reads.paths} <= {f"{KIND}-01.fits"}
    assert result[7].get_data() is result[7].get_data()
    np.testing.assert_array_equal(result[7].get_data(), 1 - pixels(7)[0])


def test_result_is_of_the_operands_as_they_were(biases, pixels):
    biases[7].get_data()[:] = 5
    flat = np.full((5, 6), 2.0)
    result = biases * flat
    biases[7].get_data()[:] = 0
    flat[:] = 0
    assert result[7].get_data().min() == 10
    np.testing.assert_array_equal(result[1].get_data(), 2 * pixels(1)[0])


def test_other_ifus_are_an_error_that_names_them(biases, make_folder):
    other = CalibDir(KIND, make_folder("others", ifus=(1, 2, 8, 9)))
    with pytest.raises(IdentError, match=r"alone has 7 and .*alone has 8-9"):
        biases - other


def test_other_shape_is_an_error_that_names_the_ifu(biases):
    with pytest.raises(ShapeError, match="IFU 1 of MASTER_BIAS"):
        biases - NDLater(np.ones((2, 3)))


def test_other_unit_is_an_error_before_anything_is_read(biases, make_folder):
    other = CalibDir(KIND, make_folder("others", unit="m"))
    with count_reads() as reads, pytest.raises(UnitError, match=r"IFU 1.*adu and m"):
        biases + other
    assert reads.reads == 0


def test_unit_of_a_result_is_checked_before_anything_is_read(biases, make_folder):
    other = CalibDir(KIND, make_folder("others", unit="m"))
    with count_reads() as reads, pytest.raises(UnitError, match="IFU 1"):
        biases * other + other
    assert reads.reads == 0


def test_operand_that_is_nothing_of_this_kind_is_a_type_error(biases):
    with pytest.raises(TypeError):
        biases + "one"


def test_comparison_is_not_pixel_by_pixel(biases):
    assert biases != biases.copy()


def test_folders_in_memory_are_computed_by_several_threads(
    make_folder, pixels, monkeypatch
):
    monkeypatch.setattr(threads, "count_threads", lambda: 2)
    names = set()
    both = threading.Event()
    operate = CalibFile._operate

    def noted(*args, **options):
        names.add(threading.current_thread().name)
        if len(names) == 2:
            both.set()
        both.wait(60)  # so that one thread cannot do all of it
        return operate(*args, **options)

    monkeypatch.setattr(CalibFile, "_operate", noted)
    left, right = (CalibDir(KIND, make_folder(name=name)) for name in ("x", "y"))
    for cal in (*left.files.values(), *right.files.values()):
        _ = cal[0].data, cal[0].variance, cal[0].flags
    result = left * right
    assert len(names) == 2
    for ifu in result:
        np.testing.assert_array_equal(result[ifu].get_data(), pixels(ifu)[0] ** 2)


def test_error_of_one_ifu_ends_the_work(biases):
    biases[7] = CalibFile(data=np.zeros((5, 5), "f4"))
    _ = biases[1].data
    with pytest.raises(ShapeError, match="IFU 7 of MASTER_BIAS"):
        biases - NDLater(np.ones(biases[1][0].shape, "f4"))


def test_result_has_no_single_name(biases):
    with pytest.raises(TypeError, match=r"write\(dirname\)"):
        biases.add(1, filename="x.fits")


# ---- writing folders of MUSE calibrations


@pytest.mark.parametrize("separator", ["-", "_"])
def test_files_from_disk_are_written_byte_for_byte(make_folder, tmp_path, separator):
    cals = CalibDir(KIND, make_folder(separator=separator), workers=1)
    before = {p.name: p.read_bytes() for p in (tmp_path / "masters").iterdir()}
    cals.write(tmp_path / "a" / "b")
    assert {p.name: p.read_bytes() for p in (tmp_path / "a" / "b").iterdir()} == before
    assert cals.dirname == str(tmp_path / "a" / "b")


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_written_and_read_back(make_folder, tmp_path, pixels, workers):
    cals = CalibDir(KIND, make_folder(), workers=workers)
    result = cals * 2
    result.write(tmp_path / "out")
    for ifu in (1, 2, 7):
        with fits.open(tmp_path / "out" / f"{KIND}-{ifu:02d}.fits") as hdus:
            np.testing.assert_array_equal(hdus["DATA"].data, 2 * pixels(ifu)[0])
            np.testing.assert_array_equal(hdus["STAT"].data, 4 * pixels(ifu)[1])
            np.testing.assert_array_equal(hdus["DQ"].data, pixels(ifu)[2])
            assert hdus[0].header["EXTNAME"] == f"CHAN{ifu:02d}"


def test_workers_write_the_same_files(make_folder, tmp_path):
    for workers in (1, 2):
        cals = CalibDir(KIND, make_folder(f"raw{workers}"), workers=workers)
        ((cals - 1.5) / cals).write(tmp_path / f"out{workers}")
    one, two = (
        {p.name: p.read_bytes() for p in (tmp_path / f"out{n}").iterdir()}
        for n in (1, 2)
    )
    assert one == two


def test_write_computes_without_keeping_pixels(biases, tmp_path):
    result = biases - 1
    result.write(tmp_path / "out")
    assert all(len(pickle.dumps(cal)) < 20_000 for cal in result.files.values())
    assert result[7].data == str(tmp_path / "out" / f"{KIND}-07.fits")


def test_ifu_that_stands_in_for_another_is_renamed_in_its_header(biases, tmp_path):
    biases[8] = biases[7]
    biases.write(tmp_path / "out")
    with fits.open(tmp_path / "out" / f"{KIND}-08.fits") as hdus:
        assert hdus[0].header["EXTNAME"] == "CHAN08"
    assert (biases[7].ifu, biases[8].ifu) == (7, 8)


def test_write_refuses_what_would_be_replaced(biases, make_folder, tmp_path):
    before = (tmp_path / "masters" / f"{KIND}-07.fits").read_bytes()
    result = biases + 1
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        result.write(tmp_path / "masters")
    assert (tmp_path / "masters" / f"{KIND}-07.fits").read_bytes() == before


def test_write_over_the_operands_is_right(biases, tmp_path, pixels):
    result = biases[1] + biases
    result.write(tmp_path / "masters", overwrite=True)
    expected = pixels(1)[0] + pixels(7)[0]
    again = CalibDir(KIND, tmp_path / "masters")
    np.testing.assert_array_equal(again[7].get_data(), expected)
    assert not [p for p in (tmp_path / "masters").iterdir() if p.name[0] == "."]


@pytest.mark.parametrize(
    "stranger", [f"{KIND}-09.fits", f"{KIND}_07.fits", f"{KIND}.fits"]
)
def test_write_never_mixes_two_sets(biases, tmp_path, stranger):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / stranger).write_text("of another set")
    with pytest.raises(OutputExistsError, match="mixed up"):
        biases.write(tmp_path / "out", overwrite=True)
    assert [p.name for p in (tmp_path / "out").iterdir()] == [stranger]


@pytest.mark.parametrize("workers", [1, 2])
def test_failure_leaves_no_file(make_folder, tmp_path, workers):
    cals = CalibDir(KIND, make_folder(), workers=workers)
    result = cals + 1
    (tmp_path / "masters" / f"{KIND}-07.fits").unlink()
    with pytest.raises(NdmapperError):
        result.write(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_a_killed_process_left_is_swept(biases, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", lambda: 2**22 + 1)  # more than Linux has
        left = tmp_path / "out" / staging_mark()
    left.mkdir(parents=True)
    biases.write(tmp_path / "out")
    assert not left.exists()


def test_nothing_is_not_written(tmp_path):
    with pytest.raises(IdentError, match="nothing to write"):
        CalibDir(KIND).write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_merged_file_stays_merged(tmp_path, write_merged, pixels):
    cals = CalibDir(KIND, write_merged(tmp_path / f"{KIND}.fits", (1, 2, 7)), workers=1)
    (cals * 2).write(tmp_path / "out")
    with fits.open(tmp_path / "out" / f"{KIND}.fits") as hdus:
        names = {hdu.name for hdu in hdus[1:]}
        np.testing.assert_array_equal(hdus["CHAN07.DATA"].data, 2 * pixels(7)[0])
        np.testing.assert_array_equal(hdus["CHAN07.DQ"].data, pixels(7)[2])
        assert "EXTNAME" not in hdus[0].header
    parts = ("DATA", "DQ", "STAT")
    assert names == {f"CHAN{i:02d}.{part}" for i in (1, 2, 7) for part in parts}


def test_merged_file_is_taken_apart_on_request(tmp_path, write_merged, pixels):
    cals = CalibDir(KIND, write_merged(tmp_path / f"{KIND}.fits", (1, 2, 7)), workers=1)
    cals.write(tmp_path / "out", merged=False)
    with fits.open(tmp_path / "out" / f"{KIND}-07.fits") as hdus:
        assert {hdu.name for hdu in hdus[1:]} == {"DATA", "DQ", "STAT"}
        assert hdus[0].header["EXTNAME"] == "CHAN07"
        np.testing.assert_array_equal(hdus["STAT"].data, pixels(7)[1])


def test_folder_is_merged_with_what_differs_in_the_extensions(biases, tmp_path):
    biases.write(tmp_path / "out", merged=True)
    with fits.open(tmp_path / "out" / f"{KIND}.fits") as hdus:
        key = "ESO QC BIAS MASTER MEDIAN"
        assert hdus["CHAN07.DATA"].header[key] == 1007
        assert hdus[0].header["ESO PRO CATG"] == KIND
        assert {"EXTNAME", key}.isdisjoint(hdus[0].header)
        assert len(hdus) == 10
    assert list(biases) == [1, 2, 7]


@pytest.mark.parametrize("progress", [True, False])
def test_progress_is_shown_unless_switched_off(
    make_folder, tmp_path, monkeypatch, capsys, progress
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    cals = CalibDir(KIND, make_folder(), progress=progress, workers=1)
    (cals + 1).write(tmp_path / "out")
    assert (KIND in capsys.readouterr().err) is progress


def test_write_in_one_process_holds_one_ifu_at_a_time(tmp_path, write_single):
    for ifu in range(1, 13):
        write_single(tmp_path / f"{KIND}-{ifu:02d}.fits", ifu, shape=(200, 300))
    cals = CalibDir(KIND, tmp_path, workers=1)
    result = (cals - 1.0) / 2.0
    result[1].get_data()  # what the first call needs is loaded now
    tracemalloc.start()
    result.write(tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # One IFU has 0.72 MB in its three arrays; two intermediate results and what is
    # written make some of them, and all twelve would be 8.6 MB even once.
    assert peak < 6e6
