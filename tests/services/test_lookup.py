"""Looking up calibrations, on the real night and with functions."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from astropy.table import Table
from shared_helpers import read_document, write_document

from ndmapper.calibrations import cal_entries, survey
from ndmapper.data import DataFile
from ndmapper.errors import (
    CalibrationDocumentError,
    MissingFileError,
    ParameterError,
    ServiceError,
)
from ndmapper.lib.simulate import Night, simulate_night
from ndmapper.services import look_up_cals
from ndmapper.testing import write_headers

DEPENDENCIES = {"target": ["bias", "flat"], "flat": ["bias"]}
BIAS = ["b21.fits.gz", "b22.fits.gz", "b23.fits.gz"]
FLAT = ["b11.fits.gz", "b12.fits.gz", "b13.fits.gz"]


@pytest.mark.real_data
def test_look_up_kast_object_gives_the_sets_of_the_night(kast_raw: Path) -> None:
    found = look_up_cals(kast_raw / "b27.fits.gz")
    assert found["calibrations"] == {
        "b21_bias.fits": BIAS,
        "b11_flat.fits": FLAT,
        "b1_arc.fits": ["b1.fits.gz"],
        "b24_standard.fits": ["b24.fits.gz"],
    }


@pytest.mark.real_data
def test_look_up_kast_object_goes_through_all_dependencies(kast_raw: Path) -> None:
    found = look_up_cals(kast_raw / "b27.fits.gz")["associations"]
    spectrum = {"bias": "b21_bias.fits", "flat": "b11_flat.fits", "arc": "b1_arc.fits"}
    assert found["b27.fits.gz"] == spectrum | {"standard": "b24_standard.fits"}
    assert found["b24.fits.gz"] == spectrum
    assert found["b1.fits.gz"] == {"bias": "b21_bias.fits"}
    assert all(found[name] == {"bias": "b21_bias.fits"} for name in FLAT)
    assert not set(found) & set(BIAS)


@pytest.mark.real_data
def test_look_up_kast_with_given_dependencies(kast_raw: Path) -> None:
    found = look_up_cals(kast_raw / "b27.fits.gz", dependencies={"target": ["bias"]})
    assert found["associations"] == {"b27.fits.gz": {"bias": "b21_bias.fits"}}


@pytest.mark.real_data
def test_look_up_kast_without_target_takes_the_class(kast_raw: Path) -> None:
    dependencies = {"object": ["arc"], "standard": ["bias"]}
    files = [kast_raw / "b24.fits.gz", kast_raw / "b27.fits.gz"]
    found = look_up_cals(files, dependencies=dependencies)["associations"]
    assert found == {
        "b24.fits.gz": {"bias": "b21_bias.fits"},
        "b27.fits.gz": {"arc": "b1_arc.fits"},
    }


@pytest.mark.real_data
def test_look_up_kast_feeds_cal_entries(kast_raw: Path) -> None:
    found = look_up_cals(kast_raw / "b27.fits.gz")
    assert cal_entries(found, "bias", "b27.fits") == [("b21_bias.fits", BIAS)]


@pytest.mark.real_data
def test_look_up_kast_finds_the_folder_by_dirname(kast_raw: Path) -> None:
    found = look_up_cals("b27.fits.gz", dirname=kast_raw)
    assert found["calibrations"]["b21_bias.fits"] == BIAS


@pytest.mark.real_data
def test_look_up_kast_with_edited_survey_uses_its_classes(
    kast_raw: Path, tmp_path: Path
) -> None:
    table = survey(kast_raw, instrument="kast")
    table["class"][table["file"] == "b13.fits.gz"] = "?"
    table.write(tmp_path / "night.ecsv")
    found = look_up_cals(kast_raw / "b27.fits.gz", survey=tmp_path / "night.ecsv")
    assert found["calibrations"]["b11_flat.fits"] == FLAT[:2]


@pytest.mark.real_data
def test_look_up_kast_with_survey_table_turns_a_target_into_a_standard(
    kast_raw: Path,
) -> None:
    table = survey(kast_raw)
    table["class"][table["file"] == "b24.fits.gz"] = "object"
    found = look_up_cals(kast_raw / "b27.fits.gz", survey=table)
    assert found["associations"]["b27.fits.gz"]["standard"] is None


@pytest.mark.real_data
def test_look_up_kast_too_few_biases_says_so(
    kast_raw: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (kast_raw / "b23.fits.gz").unlink()
    with caplog.at_level(logging.WARNING):
        found = look_up_cals(kast_raw / "b27.fits.gz", {"target": ["bias"]})
    assert found["associations"]["b27.fits.gz"]["bias"] is None
    assert "2 of class bias, but at least 3 needed" in caplog.text


@pytest.mark.real_data
def test_look_up_kast_says_why_others_do_not_fit(
    kast_raw: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with fits.open(kast_raw / "b13.fits.gz", mode="update") as hdus:
        hdus[0].header["SLIT_N"] = "0.5 arcsec"
    with caplog.at_level(logging.INFO):
        found = look_up_cals(kast_raw / "b27.fits.gz", {"target": ["flat"]})
    assert found["calibrations"]["b11_flat.fits"] == FLAT[:2]
    assert "b13.fits.gz: slit '0.5 arcsec' is not '2.0 arcsec'" in caplog.text


@pytest.mark.real_data
def test_look_up_kast_again_works_without_the_frames(
    kast_raw: Path, cache: Path
) -> None:
    dependencies = {"target": ["bias", "flat"], "flat": ["bias"]}
    first = look_up_cals(kast_raw / "b27.fits.gz", dependencies, cache=cache)
    before = cache.read_bytes()
    for path in kast_raw.iterdir():
        path.unlink()
    assert look_up_cals(kast_raw / "b27.fits.gz", dependencies, cache=cache) == first
    assert cache.read_bytes() == before


@pytest.mark.real_data
def test_look_up_kast_in_read_only_folder_writes_nothing_there(kast_raw: Path) -> None:
    before = sorted(path.name for path in kast_raw.iterdir())
    look_up_cals(kast_raw / "b27.fits.gz")
    assert sorted(path.name for path in kast_raw.iterdir()) == before


def test_look_up_simulated_night_gives_its_sets(tmp_path: Path) -> None:
    simulate_night(tmp_path)
    table = survey(tmp_path)
    kinds = {kind: list(table["file"][table["class"] == kind]) for kind in
             ("bias", "flat", "object")}  # fmt: skip
    found = look_up_cals([tmp_path / name for name in kinds["object"]])
    assert list(found["calibrations"].values()) == [kinds["bias"], kinds["flat"]]
    assert set(found["associations"]) == {*kinds["object"], *kinds["flat"]}


def test_look_up_in_two_folders_counts_a_frame_once(tmp_path: Path) -> None:
    header = fits.Header({"INSTRUME": "SIMCAM", "DATE-OBS": "2016-01-12", "EXPTIME": 0})
    header["OBSTYPE"] = "BIAS"
    for folder in ("one", "two", "three"):
        (tmp_path / folder).mkdir()
        for name in ("b1.fits", "b2.fits"):
            fits.PrimaryHDU(header=header).writeto(tmp_path / folder / name)
    files = [tmp_path / "one" / "b1.fits", tmp_path / "two" / "b2.fits"]
    files.append(tmp_path / "three" / "b2.fits")
    # The rule needs three, and there is one beside the file itself, in three places.
    found = look_up_cals(files, {"target": ["bias"]})["associations"]
    assert found == {"b1.fits": {"bias": None}, "b2.fits": {"bias": None}}


def test_look_up_with_a_function_takes_its_answers() -> None:
    found = look_up_cals(
        "raw/rgS20120827S0066.fits", DEPENDENCIES, server=lambda name, kind: [
            (f"{kind}_of_{name}", "0123")
        ],
    )  # fmt: skip
    assert found["associations"] == {
        "S20120827S0066.fits": {
            "bias": "bias_of_S20120827S0066_bias.fits",
            "flat": "flat_of_S20120827S0066_flat.fits",
        },
        "flat_of_S20120827S0066.fits": {
            "bias": "bias_of_flat_of_S20120827S0066_bias.fits"
        },
    }
    assert found["checksums"]["bias_of_S20120827S0066.fits"] == "0123"


def test_look_up_with_an_object_asks_its_method() -> None:
    class Archive:
        def look_up(self, filename: str, cal_type: str) -> list[str]:
            return ["b1.fits"]

        def fetch(self, *_: Any) -> list[Path]:
            return []

    found = look_up_cals("x.fits", {"target": ["bias"]}, server=Archive())
    assert found["calibrations"] == {"b1_bias.fits": ["b1.fits"]}


def test_look_up_saves_to_the_cache(cache: Path) -> None:
    found = look_up_cals("x.fits", DEPENDENCIES, lambda *_: None, cache)
    assert read_document(cache) == found


def test_look_up_keeps_an_edit_for_ever(cache: Path) -> None:
    look_up_cals("x.fits", DEPENDENCIES, lambda *_: ["b1.fits"], cache)
    edited = read_document(cache)
    edited["associations"]["x.fits"]["bias"] = "mine.fits"
    write_document(cache, edited)
    found = look_up_cals("x.fits", DEPENDENCIES, lambda *_: ["b2.fits"], cache)
    assert found["associations"]["x.fits"]["bias"] == "mine.fits"
    assert read_document(cache)["associations"]["x.fits"]["bias"] == "mine.fits"


def test_look_up_keeps_fewer_frames_in_a_set(cache: Path) -> None:
    server = lambda *_: ["b1.fits", "b2.fits", "b3.fits"]  # noqa: E731
    look_up_cals("x.fits", {"target": ["bias"]}, server, cache)
    edited = read_document(cache)
    edited["calibrations"]["b1_bias.fits"] = ["b1.fits", "b3.fits"]
    write_document(cache, edited)
    found = look_up_cals("x.fits", {"target": ["bias"]}, server, cache)
    assert found["calibrations"] == {"b1_bias.fits": ["b1.fits", "b3.fits"]}


def editing(cache: Path, edit: Callable[[Any], None]) -> Callable[[str, str], Any]:
    """Give a look-up during which somebody edits the file, once."""
    edited = []

    def look_up(filename: str, cal_type: str) -> list[str]:
        if not edited:
            edited.append(True)
            document = read_document(cache)
            edit(document)
            write_document(cache, document)
        return [f"{cal_type}1.fits"]

    return look_up


def test_look_up_keeps_an_edit_made_while_it_runs(cache: Path) -> None:
    look_up_cals("a.fits", DEPENDENCIES, lambda *_: ["b1.fits"], cache)

    def edit(document: Any) -> None:
        document["associations"]["a.fits"]["bias"] = "mine.fits"
        document["associations"]["x.fits"] = {"bias": "mine.fits"}

    found = look_up_cals("x.fits", DEPENDENCIES, editing(cache, edit), cache)
    assert read_document(cache) == found
    assert found["associations"]["a.fits"]["bias"] == "mine.fits"
    assert found["associations"]["x.fits"] == {
        "bias": "mine.fits",
        "flat": "flat1_flat.fits",
    }


def test_look_up_follows_an_edit_made_while_it_runs(cache: Path) -> None:
    look_up_cals("a.fits", {"target": []}, lambda *_: None, cache)

    def edit(document: Any) -> None:
        document["associations"]["x.fits"] = {"flat": "mine.fits"}
        document["calibrations"]["mine.fits"] = ["m1.fits"]

    found = look_up_cals("x.fits", DEPENDENCIES, editing(cache, edit), cache)
    assert found["associations"]["m1.fits"] == {"bias": "bias1_bias.fits"}


def test_look_up_after_the_file_broke_while_it_runs_leaves_it(cache: Path) -> None:
    def look_up(filename: str, cal_type: str) -> list[str]:
        cache.write_text('{"associations": {"x.fits": {"bias": "mi')
        return ["b1.fits"]

    with pytest.raises(CalibrationDocumentError, match=r"at associations.*\"bias\""):
        look_up_cals("x.fits", DEPENDENCIES, look_up, cache)
    assert cache.read_text().endswith('"mi')


def test_look_up_with_malformed_cache_asks_nothing(cache: Path) -> None:
    cache.write_text('{"associations": {"x.fits": []}}')

    def never(filename: str, cal_type: str) -> None:
        raise AssertionError(filename)

    with pytest.raises(CalibrationDocumentError, match=r'associations\["x.fits"\]'):
        look_up_cals("x.fits", DEPENDENCIES, never, cache)
    assert cache.read_text() == '{"associations": {"x.fits": []}}'


def test_look_up_that_fails_half_way_keeps_what_it_found(cache: Path) -> None:
    def look_up(filename: str, cal_type: str) -> list[str]:
        if cal_type == "flat":
            raise ConnectionError(filename)
        return ["b1.fits"]

    with pytest.raises(ConnectionError):
        look_up_cals("x.fits", DEPENDENCIES, look_up, cache)
    assert read_document(cache)["associations"] == {"x.fits": {"bias": "b1_bias.fits"}}


def test_look_up_asks_each_question_once(cache: Path) -> None:
    asked = []

    def look_up(filename: str, cal_type: str) -> list[str]:
        asked.append((filename, cal_type))
        return ["f1.fits"]

    look_up_cals(["x.fits", "y.fits", "x.fits"], DEPENDENCIES, look_up, cache)
    assert len(asked) == len(set(asked))


def test_look_up_other_obs_type_starts_there() -> None:
    found = look_up_cals("f.fits", DEPENDENCIES, lambda *_: ["b.fits"], obs_type="flat")
    assert found["associations"] == {"f.fits": {"bias": "b_bias.fits"}}


def test_look_up_unknown_obs_type_is_an_error() -> None:
    with pytest.raises(ParameterError, match="no 'flatt'; did you mean 'flat'"):
        look_up_cals("x.fits", DEPENDENCIES, lambda *_: None, obs_type="flatt")


def test_look_up_unknown_service_says_which_there_are() -> None:
    with pytest.raises(ServiceError, match=r"'keck'; there are: .*local"):
        look_up_cals("x.fits", DEPENDENCIES, server="keck")


def test_look_up_server_that_is_no_function_is_an_error() -> None:
    with pytest.raises(ParameterError, match="server must be"):
        look_up_cals("x.fits", DEPENDENCIES, server=5)  # type: ignore[arg-type]


def test_look_up_missing_file_names_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"no file x\.fits in .*give its path"):
        look_up_cals(tmp_path / "x.fits")


def test_look_up_unknown_instrument_asks_for_it(tmp_path: Path) -> None:
    fits.PrimaryHDU().writeto(tmp_path / "x.fits")
    with pytest.raises(ParameterError, match="name it with instrument="):
        look_up_cals(tmp_path / "x.fits")


def test_look_up_files_of_two_instruments_asks_each_by_its_own_needs(
    tmp_path: Path,
) -> None:
    simulate_night(tmp_path, Night(shape=(32, 32), biases=3, flats=1, science=1))
    other = tmp_path / "muse"
    other.mkdir()
    header = {"INSTRUME": "MUSE", "DATE-OBS": "2017-06-16T03:00:00", "OBJECT": "x",
              "ESO DPR CATG": "SCIENCE", "ESO DPR TYPE": "OBJECT"}  # fmt: skip
    write_headers(other / "y.fits", [header])
    found = look_up_cals([tmp_path / "sim0005.fits", other / "y.fits"])
    alone = look_up_cals(tmp_path / "sim0005.fits")["associations"]
    assert {k: v for k, v in found["associations"].items() if k != "y.fits"} == alone
    assert {"geometry", "astrometry"} <= set(found["associations"]["y.fits"])


def test_look_up_no_files_gives_an_empty_document() -> None:
    assert look_up_cals([]) == {"associations": {}, "calibrations": {}, "checksums": {}}


def test_look_up_survey_of_other_form_is_an_error(tmp_path: Path) -> None:
    fits.PrimaryHDU(header=fits.Header({"INSTRUME": "SIMCAM"})).writeto(
        tmp_path / "x.fits"
    )
    with pytest.raises(ParameterError, match="no column 'file'"):
        look_up_cals(tmp_path / "x.fits", survey=Table({"class": ["bias"]}))


def test_look_up_with_survey_in_memory_takes_an_unknown_file(tmp_path: Path) -> None:
    simulate_night(tmp_path, Night(shape=(32, 32), biases=3, flats=1, science=1))
    fits.PrimaryHDU().writeto(tmp_path / "odd.fits")
    found = look_up_cals(tmp_path / "sim0005.fits", survey=survey(tmp_path))
    assert set(found["calibrations"]) == {"sim0001_bias.fits", "sim0004_flat.fits"}


def test_look_up_for_an_unnamed_file_is_an_error() -> None:
    with pytest.raises(ParameterError, match=r"has no file name.*save it"):
        look_up_cals(DataFile(data=[]), {"target": ["bias"]}, lambda *_: None)


def test_look_up_for_no_file_is_an_error() -> None:
    with pytest.raises(ParameterError, match="expected the name of a file"):
        look_up_cals([7], {"target": ["bias"]}, lambda *_: None)
