"""Surveys: what a folder holds, as a table that a person corrects."""

import gzip
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ndmapper.calibrations import survey
from ndmapper.calibrations.survey import frames_of_survey
from ndmapper.errors import (
    FormatError,
    InstrumentError,
    MissingFileError,
    ParameterError,
)
from ndmapper.io.filemap import HduMap

NIGHT = {
    "b1": "arc", "b11": "flat", "b12": "flat", "b13": "flat", "b21": "bias",
    "b22": "bias", "b23": "bias", "b24": "standard", "b27": "object",
}  # fmt: skip


@pytest.mark.real_data
def test_survey_of_kast_night_classifies_every_frame(kast_raw: Path) -> None:
    table = survey(kast_raw, instrument="kast")
    found = {name.split(".")[0]: c for name, c in table["file", "class"].iterrows()}
    assert found == NIGHT


@pytest.mark.real_data
def test_survey_of_kast_night_says_why(kast_raw: Path) -> None:
    table = survey(kast_raw)
    row = table[table["file"] == "b1.fits.gz"][0]
    assert row["why"].startswith("object 'Arcs', line_lamps 'He+Hg-Cd'")


@pytest.mark.real_data
def test_survey_of_kast_night_shows_chosen_keywords(kast_raw: Path) -> None:
    table = survey(kast_raw)
    assert table.colnames[:4] == ["file", "class", "why", "instrument"]
    assert list(table["exptime"]) == [30, 15, 15, 15, 0, 0, 0, 30, 1200]


@pytest.mark.real_data
def test_survey_marks_missing_keywords_as_masked(kast_raw: Path) -> None:
    lamps = survey(kast_raw)["lamps"]
    assert list(lamps.mask) == [False] * 4 + [True] * 5


@pytest.mark.real_data
def test_survey_saved_as_ecsv_is_the_same_again(kast_raw: Path) -> None:
    table = survey(kast_raw)
    table.write(kast_raw / "night.ecsv")
    again = Table.read(kast_raw / "night.ecsv")
    assert again.pformat(max_lines=-1) == table.pformat(max_lines=-1)
    assert again.meta == table.meta


def test_survey_reads_no_pixels(
    make_frame: Any, camera: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_frame("a.fits", "bias")

    def refuse(self: HduMap) -> bytes:
        raise AssertionError(self)

    monkeypatch.setattr(HduMap, "read_data", refuse)
    monkeypatch.setattr(HduMap, "read_bytes", refuse)
    assert survey(camera.parent, camera)["class"][0] == "bias"


def test_survey_marks_unclassified_frames(make_frame: Any, camera: Path) -> None:
    make_frame("a.fits", "strange")
    table = survey(camera.parent, camera)
    assert table["class"][0] == "?"
    assert "not bias (object 'strange')" in table["why"][0]


def test_survey_without_known_instrument_says_so(
    make_frame: Any, tmp_path: Path
) -> None:
    make_frame("a.fits", "bias")
    table = survey(tmp_path)
    assert table["class"][0] == "?"
    assert "name it with instrument=" in table["why"][0]


def test_survey_goes_on_after_a_broken_file(make_frame: Any, camera: Path) -> None:
    make_frame("a.fits", "bias")
    (camera.parent / "b.fits").write_text("this is no FITS file")
    table = survey(camera.parent, camera)
    assert list(table["class"]) == ["bias", "?"]
    assert table["why"][1].startswith("cannot be read: ")


@pytest.mark.parametrize(
    ("name", "expected", "why"),
    [
        ("b_a.fits", "?", "a product of ndmapper, not a raw frame"),
        ("a_bias.fits", "processed_bias", "a product of ndmapper, by its name"),
        ("a_bias_2.fits", "processed_bias", "a product of ndmapper, by its name"),
    ],
)
def test_survey_knows_products_by_name(
    make_frame: Any, camera: Path, name: str, expected: str, why: str
) -> None:
    path = make_frame(name, "bias")
    record = fits.BinTableHDU(np.array([(1,)], dtype=[("x", "i4")]), name="NDM_RECORD")
    with fits.open(path, mode="append") as hdus:
        hdus.append(record)
    table = survey(camera.parent, camera)
    assert table["class"][0] == expected
    assert table["why"][0] == why


def test_survey_counts_a_frame_and_its_compressed_copy_once(
    make_frame: Any, camera: Path
) -> None:
    make_frame("a.fits", "bias")
    make_frame("a.fits.gz", "bias")
    table = survey(camera.parent, camera)
    assert list(table["class"]) == ["bias", "?"]
    assert table["why"][1] == "the same frame as a.fits"


def test_survey_leaves_other_and_hidden_files_out(
    make_frame: Any, camera: Path
) -> None:
    make_frame("a.fits", "bias")
    make_frame(".a.fits", "bias")
    (camera.parent / "notes.txt").write_text("windy")
    assert list(survey(camera.parent, camera)["file"]) == ["a.fits"]


def test_survey_of_empty_folder_has_its_columns(tmp_path: Path) -> None:
    table = survey(tmp_path)
    assert len(table) == 0
    assert table.colnames == ["file", "class", "why", "instrument"]


def test_survey_reads_the_first_extension(camera: Path) -> None:
    primary = fits.PrimaryHDU()
    primary.header.update(INSTRUME="TESTCAM", OBJECT="NGC 1")
    image = fits.ImageHDU(np.zeros((2, 2)))
    image.header["SLIT"] = "2.0"
    fits.HDUList([primary, image]).writeto(camera.parent / "a.fits")
    assert survey(camera.parent, camera)["slit"][0] == "2.0"


def test_survey_of_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="there is no folder"):
        survey(tmp_path / "none")


def test_survey_with_unknown_instrument_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InstrumentError, match="did you mean 'kast'"):
        survey(tmp_path, instrument="kastt")


def test_survey_class_column_takes_long_names(make_frame: Any, camera: Path) -> None:
    make_frame("a.fits", "bias")
    table = survey(camera.parent, camera)
    table["class"][0] = "spectroscopic standard"
    assert table["class"][0] == "spectroscopic standard"


def test_frames_of_survey_have_the_corrected_class(
    make_frame: Any, camera: Path
) -> None:
    make_frame("a.fits", "bias")
    table = survey(camera.parent, camera)
    table["class"][0] = "flat"
    (frame,) = frames_of_survey(table)
    assert frame.frame_class == "flat"
    assert frame.why == "the survey says so (the headers: bias)"


def test_frames_of_survey_have_corrected_keywords(
    make_frame: Any, camera: Path
) -> None:
    make_frame("a.fits", "flat", SLIT="0.5")
    table = survey(camera.parent, camera)
    table["slit"][0] = "2.0"
    (frame,) = frames_of_survey(table)
    assert frame.values["slit"] == "2.0"


def test_frames_of_survey_without_rows_taken_out(make_frame: Any, camera: Path) -> None:
    for name in ("a.fits", "b.fits"):
        make_frame(name, "bias")
    table = survey(camera.parent, camera)
    table.remove_row(0)
    assert [frame.name for frame in frames_of_survey(table)] == ["b.fits"]


@pytest.mark.parametrize("mark", ["?", ""])
def test_frames_of_survey_marked_unknown_have_no_class(
    make_frame: Any, camera: Path, mark: str
) -> None:
    make_frame("a.fits", "bias")
    table = survey(camera.parent, camera)
    table["class"][0] = mark
    table.write(camera.parent / "night.ecsv")
    (frame,) = frames_of_survey(camera.parent / "night.ecsv")
    assert frame.frame_class is None


def test_frames_of_survey_misspelt_class_warns(
    make_frame: Any, camera: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_frame("a.fits", "bias")
    table = survey(camera.parent, camera)
    table["class"][0] = "baias"
    with caplog.at_level(logging.WARNING):
        frames_of_survey(table)
    assert "did you mean 'bias'" in caplog.text


def test_frames_of_survey_leave_lost_files_out_with_a_warning(
    make_frame: Any, camera: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_frame("a.fits", "bias")
    path = make_frame("b.fits", "bias")
    table = survey(camera.parent, camera)
    path.unlink()
    with caplog.at_level(logging.WARNING):
        frames = frames_of_survey(table)
    assert [frame.name for frame in frames] == ["a.fits"]
    assert "b.fits of the survey is not in" in caplog.text


def test_frames_of_survey_need_only_file_and_class(
    make_frame: Any, camera: Path
) -> None:
    make_frame("a.fits", "bias")
    table = survey(camera.parent, camera)["file", "class"]
    (frame,) = frames_of_survey(table)
    assert frame.frame_class == "bias"


def test_frames_of_survey_without_class_column_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no column 'class'; did you mean 'clas'"):
        frames_of_survey(Table({"file": ["a"], "clas": ["bias"]}))


def test_frames_of_missing_survey_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"there is no survey .*night\.ecsv"):
        frames_of_survey(tmp_path / "night.ecsv")


def test_frames_of_survey_not_ecsv_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "night.ecsv").write_text("file class\na bias\n")
    with pytest.raises(FormatError, match="not a table in ECSV form"):
        frames_of_survey(tmp_path / "night.ecsv")


@pytest.mark.parametrize("nothing", ["", " ", np.ma.masked])
def test_frames_of_survey_take_an_instrument_that_is_not_known(
    make_frame: Any, camera: Path, nothing: Any
) -> None:
    make_frame("a.fits", "bias")
    make_frame("b.fits", "bias")
    table = Table(survey(camera.parent, camera), masked=True)
    table["instrument"][1] = nothing
    frames = frames_of_survey(table, [camera.parent])
    assert frames[0].instrument is not None
    assert frames[1].instrument is None


def test_frames_of_survey_without_known_instrument_have_no_class(
    make_frame: Any, tmp_path: Path
) -> None:
    make_frame("a.fits", "bias")
    frames = frames_of_survey(survey(tmp_path), [tmp_path])
    assert [(f.instrument, f.frame_class) for f in frames] == [(None, None)]


def test_frames_of_survey_take_a_masked_class(make_frame: Any, camera: Path) -> None:
    make_frame("a.fits", "bias")
    table = Table(survey(camera.parent, camera), masked=True)
    table["class"][0] = np.ma.masked
    assert frames_of_survey(table, [camera.parent])[0].frame_class is None


def test_survey_takes_the_compressed_twin_where_the_plain_file_is_cut(
    make_frame: Any, camera: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_frame("a.fits.gz", "bias")
    cut = make_frame("a.fits", "bias")
    cut.write_bytes(cut.read_bytes()[:1000])
    table = survey(tmp_path, instrument=camera)
    assert list(table["class"]) == ["?", "bias"]
    assert table["why"][0].startswith("cannot be read: ")
    survey(tmp_path, instrument=camera)
    said = f"{tmp_path / 'a.fits.gz'} is used, since a.fits cannot be read"
    assert caplog.text.count(said) == 1


@pytest.mark.parametrize("again", ["flat", "?", ""])
def test_file_with_two_classes_is_an_error(
    make_frame: Any, camera: Path, again: str
) -> None:
    make_frame("a.fits", "bias")
    table = Table({"file": ["a.fits", "a.fits"], "class": ["bias", again]})
    with pytest.raises(ParameterError, match=r"has a\.fits twice, as bias and as"):
        frames_of_survey(table, [camera.parent])


def test_row_that_is_there_twice_counts_once(make_frame: Any, camera: Path) -> None:
    make_frame("a.fits", "bias")
    files = ["a.fits", "a.fits", "a.fits.gz"]
    table = Table({"file": files, "class": ["bias"] * 3})
    assert [f.name for f in frames_of_survey(table, [camera.parent])] == ["a.fits"]


def test_row_without_a_file_is_left_out_with_a_warning(
    make_frame: Any, camera: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_frame("a.fits", "bias")
    table = Table({"file": ["", "a.fits"], "class": ["bias", "bias"]})
    assert len(frames_of_survey(table, [camera.parent])) == 1
    assert "row 0 of the survey names no file" in caplog.text


def test_frame_that_was_compressed_since_is_found(
    make_frame: Any, camera: Path
) -> None:
    path = make_frame("a.fits", "bias")
    table = survey(camera.parent, camera)
    path.with_name("a.fits.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert [frame.name for frame in frames_of_survey(table)] == ["a.fits.gz"]


def test_number_among_texts_is_a_number(
    make_frame: Any, camera: Path, tmp_path: Path
) -> None:
    for name in ("a.fits", "b.fits"):
        make_frame(name, "flat", TEMP=-20.0)
    table = survey(camera.parent, camera)
    table["temperature"] = ["-25.5", "nan"]
    table["exptime"] = np.array([2.0, np.nan])
    table.write(tmp_path / "night.ecsv")
    frames = frames_of_survey(tmp_path / "night.ecsv")
    assert [frame.values["temperature"] for frame in frames] == [-25.5, None]
    assert [frame.values["exptime"] for frame in frames] == [2.0, None]
    table["temperature"] = ["-25.5", "cold"]
    with pytest.raises(FormatError, match=r"b\.fits .*temperature = 'cold' is no n"):
        frames_of_survey(table)


def test_what_does_not_count_in_a_survey_is_said(
    make_frame: Any, camera: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_frame("a.fits", "flat")
    table = survey(camera.parent, camera)
    table["exptime"].unit = "ms"
    table["tempera_ture"] = [1.0]
    table["remark"] = ["fog"]
    frames_of_survey(table)
    assert "has a unit, ms, for 'exptime', which does not count" in caplog.text
    assert "'tempera_ture', which does not count; did you mean 'temp" in caplog.text
    assert "remark" not in caplog.text


def test_survey_with_a_byte_order_mark_is_read_and_an_empty_one_refused(
    make_frame: Any, camera: Path, tmp_path: Path
) -> None:
    make_frame("a.fits", "bias")
    path = tmp_path / "night.ecsv"
    survey(camera.parent, camera).write(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(frames_of_survey(path)) == 1
    path.write_text("\n")
    with pytest.raises(FormatError, match="is empty; make it again"):
        frames_of_survey(path)
