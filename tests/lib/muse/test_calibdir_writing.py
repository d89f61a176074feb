"""Writing folders of MUSE calibrations."""

import os
import pickle
import sys
import tracemalloc

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.errors import (
    IdentError,
    NdmapperError,
    OutputExistsError,
)
from ndmapper.io.temporary import staging_mark
from ndmapper.lib.muse import CalibDir

KIND = "MASTER_BIAS"


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
