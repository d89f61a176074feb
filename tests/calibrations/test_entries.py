"""Entries of the calibration document: labels, clashes, pruning, lists."""

import copy
from pathlib import Path
from typing import Any

import pytest

from ndmapper.calibrations import (
    add_cal_entry,
    cal_entries,
    clean_cal_entries_if_unused,
    init_cal_dict,
    save_cal_dict,
)
from ndmapper.data import DataFile, FileName
from ndmapper.errors import CalibrationDocumentError, ParameterError


@pytest.fixture
def cal_dict() -> dict[str, Any]:
    return init_cal_dict()


def bias_of(cal_dict: dict[str, Any], name: str) -> str | None:
    label: str | None = cal_dict["associations"][name]["bias"]
    return label


@pytest.mark.parametrize(
    ("matches", "cal_type", "label"),
    [
        (["S20120827S0069.fits"], "flat", "S20120827S0069_flat.fits"),
        (["b22.fits.gz", "b21.fits.gz"], "bias", "b21_bias.fits"),
        (["MUSE.2017-06-16T01:34:56.867.fits.fz"], "std",
         "MUSE.2017-06-16T01:34:56.867_std.fits"),
        (["raw/b21.fits.gz"], "bias", "b21_bias.fits"),
        ([Path("raw/b21.fits.gz")], "bias", "b21_bias.fits"),
        ([FileName("raw/b21.fits")], "bias", "b21_bias.fits"),
        (["frame7"], "bias", "frame7_bias"),
    ],
)  # fmt: skip
def test_label_is_made_from_the_first_of_the_sorted_frames(
    cal_dict: dict[str, Any], matches: list[Any], cal_type: str, label: str
) -> None:
    add_cal_entry("x.fits", cal_type, matches, cal_dict)
    assert cal_dict["associations"] == {"x.fits": {cal_type: label}}


def test_add_sorts_the_frames_and_drops_doubles(cal_dict: dict[str, Any]) -> None:
    add_cal_entry("x.fits", "bias", ["b3.fits", "b1.fits", "b3.fits"], cal_dict)
    assert cal_dict["calibrations"] == {"b1_bias.fits": ["b1.fits", "b3.fits"]}


def test_add_same_frames_in_other_order_shares_the_label(
    cal_dict: dict[str, Any],
) -> None:
    add_cal_entry("x.fits", "bias", ["b1.fits", "b2.fits"], cal_dict)
    add_cal_entry("y.fits", "bias", ["b2.fits", "b1.fits"], cal_dict)
    assert bias_of(cal_dict, "x.fits") == bias_of(cal_dict, "y.fits")


def test_add_other_frames_with_same_first_gets_running_numbers(
    cal_dict: dict[str, Any],
) -> None:
    for i, name in enumerate(["x.fits", "y.fits", "z.fits"]):
        add_cal_entry(name, "bias", ["b1.fits", f"b{i + 2}.fits"], cal_dict)
    assert list(cal_dict["calibrations"]) == [
        "b1_bias.fits", "b1_bias_1.fits", "b1_bias_2.fits",
    ]  # fmt: skip


def test_add_known_frames_finds_their_running_number_again(
    cal_dict: dict[str, Any],
) -> None:
    add_cal_entry("x.fits", "bias", ["b1.fits"], cal_dict)
    add_cal_entry("y.fits", "bias", ["b1.fits", "b2.fits"], cal_dict)
    add_cal_entry("z.fits", "bias", ["b1.fits", "b2.fits"], cal_dict)
    assert bias_of(cal_dict, "z.fits") == "b1_bias_1.fits"
    assert len(cal_dict["calibrations"]) == 2


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_add_nothing_notes_null(cal_dict: dict[str, Any], nothing: Any) -> None:
    add_cal_entry("x.fits", "bias", nothing, cal_dict)
    assert cal_dict["associations"] == {"x.fits": {"bias": None}}


def test_add_notes_checksums(cal_dict: dict[str, Any]) -> None:
    add_cal_entry("x.fits", "bias", [("b1.fits", "abc"), ("b2.fits", None)], cal_dict)
    assert cal_dict["checksums"] == {"b1.fits": "abc"}


def test_add_leaves_a_corrected_checksum(cal_dict: dict[str, Any]) -> None:
    cal_dict["checksums"]["b1.fits"] = "corrected"
    add_cal_entry("x.fits", "bias", [("b1.fits", "abc")], cal_dict)
    assert cal_dict["checksums"] == {"b1.fits": "corrected"}


def test_add_files_a_product_under_its_raw_frame(cal_dict: dict[str, Any]) -> None:
    add_cal_entry("raw/rgS20120827S0066.fits", "bias", None, cal_dict)
    assert list(cal_dict["associations"]) == ["S20120827S0066.fits"]


def test_add_knows_a_frame_by_another_compression(cal_dict: dict[str, Any]) -> None:
    cal_dict["associations"]["b27.fits.gz"] = {"flat": "f_flat.fits"}
    add_cal_entry("b27.fits", "bias", ["b1.fits"], cal_dict)
    assert list(cal_dict["associations"]) == ["b27.fits.gz"]


def test_add_replaces_and_prunes_what_was_there(cal_dict: dict[str, Any]) -> None:
    add_cal_entry("x.fits", "bias", [("b1.fits", "abc")], cal_dict)
    add_cal_entry("x.fits", "bias", ["b2.fits"], cal_dict)
    assert cal_dict["calibrations"] == {"b2_bias.fits": ["b2.fits"]}
    assert cal_dict["checksums"] == {}


def test_add_without_clean_keeps_what_was_there(cal_dict: dict[str, Any]) -> None:
    add_cal_entry("x.fits", "bias", ["b1.fits"], cal_dict)
    add_cal_entry("x.fits", "bias", ["b2.fits"], cal_dict, clean=False)
    assert set(cal_dict["calibrations"]) == {"b1_bias.fits", "b2_bias.fits"}


def test_add_keeps_what_another_file_uses(cal_dict: dict[str, Any]) -> None:
    add_cal_entry("x.fits", "bias", ["b1.fits"], cal_dict)
    add_cal_entry("y.fits", "bias", ["b1.fits"], cal_dict)
    add_cal_entry("x.fits", "bias", None, cal_dict)
    assert cal_dict["calibrations"] == {"b1_bias.fits": ["b1.fits"]}


def test_add_same_again_prunes_nothing(cal_dict: dict[str, Any]) -> None:
    add_cal_entry("x.fits", "bias", [("b1.fits", "abc")], cal_dict)
    add_cal_entry("x.fits", "bias", [("b1.fits", "abc")], cal_dict)
    assert cal_dict["checksums"] == {"b1.fits": "abc"}


def test_add_prunes_the_calibrations_of_calibrations(cal_dict: dict[str, Any]) -> None:
    add_cal_entry("x.fits", "standard", [("s1.fits", "s")], cal_dict)
    add_cal_entry("s1.fits", "flat", [("f1.fits", "f")], cal_dict)
    add_cal_entry("f1.fits", "bias", [("b1.fits", "b")], cal_dict)
    add_cal_entry("x.fits", "standard", None, cal_dict)
    assert cal_dict == {
        "associations": {"x.fits": {"standard": None}},
        "calibrations": {},
        "checksums": {},
    }


def test_add_prunes_only_what_nothing_else_needs(cal_dict: dict[str, Any]) -> None:
    add_cal_entry("x.fits", "flat", ["f1.fits"], cal_dict)
    add_cal_entry("x.fits", "bias", [("b1.fits", "b")], cal_dict)
    add_cal_entry("f1.fits", "bias", [("b1.fits", "b")], cal_dict)
    add_cal_entry("x.fits", "flat", None, cal_dict)
    assert cal_dict["calibrations"] == {"b1_bias.fits": ["b1.fits"]}
    assert cal_dict["checksums"] == {"b1.fits": "b"}


def test_clean_keeps_a_raw_frame_of_another_set(cal_dict: dict[str, Any]) -> None:
    add_cal_entry("x.fits", "bias", [("b1.fits", "b")], cal_dict)
    add_cal_entry("y.fits", "bias", [("b1.fits", "b"), ("b2.fits", "c")], cal_dict)
    add_cal_entry("x.fits", "bias", None, cal_dict)
    assert cal_dict["checksums"] == {"b1.fits": "b", "b2.fits": "c"}


def test_clean_ends_where_calibrations_refer_to_each_other(
    cal_dict: dict[str, Any],
) -> None:
    cal_dict["associations"] = {"a.fits": {"flat": "B"}, "b.fits": {"flat": "A"}}
    cal_dict["calibrations"] = {"A": ["a.fits"], "B": ["b.fits"], "C": ["a.fits"]}
    clean_cal_entries_if_unused("C", cal_dict)
    assert set(cal_dict["calibrations"]) == {"A", "B"}


def test_clean_unknown_label_changes_nothing(cal_dict: dict[str, Any]) -> None:
    clean_cal_entries_if_unused("none.fits", cal_dict)
    assert cal_dict == init_cal_dict()


@pytest.mark.parametrize("matches", [[("b1.fits",)], [3], [("b1.fits", 5)], [None]])
def test_add_wrong_matches_are_refused(cal_dict: dict[str, Any], matches: Any) -> None:
    with pytest.raises(ParameterError, match="names of files, or pairs"):
        add_cal_entry("x.fits", "bias", matches, cal_dict)
    assert cal_dict == init_cal_dict()


def test_add_to_a_malformed_document_is_refused() -> None:
    with pytest.raises(CalibrationDocumentError, match="associations"):
        add_cal_entry("x.fits", "bias", None, {"associations": []})


def test_add_to_a_plain_dict_says_how_to_begin() -> None:
    with pytest.raises(ParameterError, match="init_cal_dict"):
        add_cal_entry("x.fits", "bias", None, {})


def test_cal_entries_are_sorted_by_label(cal_dict: dict[str, Any]) -> None:
    add_cal_entry("x.fits", "bias", ["b9.fits"], cal_dict)
    add_cal_entry("y.fits", "bias", ["b1.fits", "b2.fits"], cal_dict)
    add_cal_entry("y.fits", "flat", ["f1.fits"], cal_dict)
    assert cal_entries(cal_dict, "bias") == [
        ("b1_bias.fits", ["b1.fits", "b2.fits"]),
        ("b9_bias.fits", ["b9.fits"]),
    ]


@pytest.mark.parametrize(
    "reference",
    ["x.fits", "raw/x.fits", "x.fits.gz", Path("x.fits"), FileName("x.fits"),
     ["x.fits"], ("x.fits", "z.fits")],
)  # fmt: skip
def test_cal_entries_of_reference_only(
    cal_dict: dict[str, Any], reference: Any
) -> None:
    add_cal_entry("x.fits", "bias", ["b9.fits"], cal_dict)
    add_cal_entry("y.fits", "bias", ["b1.fits"], cal_dict)
    assert cal_entries(cal_dict, "bias", reference) == [("b9_bias.fits", ["b9.fits"])]


def test_cal_entries_leave_null_out(cal_dict: dict[str, Any]) -> None:
    add_cal_entry("x.fits", "bias", None, cal_dict)
    assert cal_entries(cal_dict, "bias") == []


def test_cal_entries_of_calibration_made_elsewhere_have_no_frames(
    cal_dict: dict[str, Any],
) -> None:
    cal_dict["associations"]["x.fits"] = {"bias": "my_bias.fits"}
    assert cal_entries(cal_dict, "bias") == [("my_bias.fits", [])]


def test_cal_entries_are_copies(cal_dict: dict[str, Any]) -> None:
    add_cal_entry("x.fits", "bias", ["b1.fits"], cal_dict)
    cal_entries(cal_dict, "bias")[0][1].append("b2.fits")
    assert cal_dict["calibrations"] == {"b1_bias.fits": ["b1.fits"]}


def test_add_does_not_take_the_label_of_a_calibration_made_elsewhere(
    cal_dict: dict[str, Any],
) -> None:
    cal_dict["associations"]["x.fits"] = {"bias": "b1_bias.fits"}
    add_cal_entry("y.fits", "bias", ["b1.fits"], cal_dict)
    assert bias_of(cal_dict, "y.fits") == "b1_bias_1.fits"
    assert cal_dict["calibrations"] == {"b1_bias_1.fits": ["b1.fits"]}


def test_add_takes_the_label_that_only_the_file_itself_used(
    cal_dict: dict[str, Any],
) -> None:
    cal_dict["associations"]["x.fits"] = {"bias": "b1_bias.fits"}
    add_cal_entry("x.fits", "bias", ["b1.fits"], cal_dict)
    assert cal_dict["calibrations"] == {"b1_bias.fits": ["b1.fits"]}


def test_clean_keeps_the_associations_of_a_file_that_is_a_target_too(
    cal_dict: dict[str, Any],
) -> None:
    add_cal_entry("std.fits", "bias", [("b1.fits", "b")], cal_dict)
    add_cal_entry("x.fits", "standard", [("std.fits", "s")], cal_dict)
    add_cal_entry("x.fits", "standard", ["std2.fits"], cal_dict)
    assert bias_of(cal_dict, "std.fits") == "b1_bias.fits"
    assert cal_dict["calibrations"]["b1_bias.fits"] == ["b1.fits"]
    assert cal_dict["checksums"] == {"b1.fits": "b", "std.fits": "s"}


def test_clean_of_a_copy_still_knows_the_targets(cal_dict: dict[str, Any]) -> None:
    add_cal_entry("std.fits", "bias", ["b1.fits"], cal_dict)
    add_cal_entry("x.fits", "standard", ["std.fits"], cal_dict)
    copied = copy.deepcopy(cal_dict)
    add_cal_entry("x.fits", "standard", None, copied)
    assert bias_of(copied, "std.fits") == "b1_bias.fits"


@pytest.mark.parametrize("mine", ["mine.fits", "own_set.fits", "b1_bias.fits", None])
def test_clean_keeps_what_the_user_wrote_for_a_frame(
    cal_dict: dict[str, Any], mine: str | None
) -> None:
    add_cal_entry("x.fits", "standard", ["std.fits"], cal_dict)
    add_cal_entry("std.fits", "flat", ["f1.fits"], cal_dict)
    # Not listed; listed under a name of one's own; without its first frame; none.
    sets = {"own_set.fits": ["b1.fits"], "b1_bias.fits": ["b2.fits"]}
    cal_dict["calibrations"] |= sets
    cal_dict["associations"]["std.fits"]["bias"] = mine
    add_cal_entry("x.fits", "standard", None, cal_dict)
    assert cal_dict["associations"]["std.fits"] == {"bias": mine}
    assert cal_dict["calibrations"] == sets


def test_clean_prunes_a_label_with_a_running_number(cal_dict: dict[str, Any]) -> None:
    add_cal_entry("x.fits", "bias", ["b1.fits"], cal_dict)
    add_cal_entry("x.fits", "standard", ["std.fits"], cal_dict)
    add_cal_entry("std.fits", "bias", ["b1.fits", "b2.fits"], cal_dict)
    assert bias_of(cal_dict, "std.fits") == "b1_bias_1.fits"
    add_cal_entry("x.fits", "standard", None, cal_dict)
    assert cal_dict["calibrations"] == {"b1_bias.fits": ["b1.fits"]}
    assert "std.fits" not in cal_dict["associations"]


def test_add_for_an_unnamed_file_is_an_error(cal_dict: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="has no file name"):
        add_cal_entry(DataFile(data=[]), "bias", None, cal_dict)
    assert cal_dict == init_cal_dict()


def test_cal_entries_of_an_unnamed_file_is_an_error(cal_dict: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="has no file name"):
        cal_entries(cal_dict, "bias", DataFile(data=[]))


def test_cal_entries_of_no_file_is_an_error(cal_dict: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="expected the name of a file"):
        cal_entries(cal_dict, "bias", [7])


@pytest.fixture
def on_disk(
    cal_dict: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Give a document that a person may have edited."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "night").mkdir()
    add_cal_entry("x.fits", "bias", ["b1.fits"], cal_dict)
    save_cal_dict(cal_dict, tmp_path / "night" / "calibrations.json")
    return init_cal_dict(tmp_path / "night" / "calibrations.json")


def test_cal_entries_misspelt_label_is_an_error_with_a_suggestion(
    on_disk: dict[str, Any],
) -> None:
    on_disk["associations"]["x.fits"]["bias"] = "b1_bais.fits"
    with pytest.raises(
        CalibrationDocumentError,
        match=r"calibrations\.json: x\.fits has the bias b1_bais\.fits, which is "
        r"neither in 'calibrations' nor a file; did you mean b1_bias\.fits\?$",
    ):
        cal_entries(on_disk, "bias")


def test_cal_entries_unknown_label_unlike_others_says_where_to_put_the_file(
    on_disk: dict[str, Any],
) -> None:
    on_disk["associations"]["x.fits"]["bias"] = "old.fits"
    with pytest.raises(
        CalibrationDocumentError, match=r"put the file into \. or .*night$"
    ):
        cal_entries(on_disk, "bias")


def test_cal_entries_empty_list_is_an_error(on_disk: dict[str, Any]) -> None:
    on_disk["calibrations"]["b1_bias.fits"] = []
    with pytest.raises(
        CalibrationDocumentError, match="is empty, and which is no file"
    ):
        cal_entries(on_disk, "bias")


@pytest.mark.parametrize("place", ["old.fits", "night/old.fits"])
@pytest.mark.parametrize("label", ["old.fits", "old"])
def test_cal_entries_label_of_a_file_has_no_frames(
    on_disk: dict[str, Any], tmp_path: Path, place: str, label: str
) -> None:
    (tmp_path / place).touch()
    on_disk["associations"]["x.fits"]["bias"] = label
    assert cal_entries(on_disk, "bias") == [(label, [])]


def test_cal_entries_of_another_type_do_not_matter(on_disk: dict[str, Any]) -> None:
    on_disk["associations"]["x.fits"]["flat"] = "nowhere.fits"
    assert cal_entries(on_disk, "bias") == [("b1_bias.fits", ["b1.fits"])]
