"""Whose an association is: that of a look-up, or that of a person."""

import json
from pathlib import Path
from typing import Any

import pytest

from ndmapper.calibrations import (
    add_cal_entry,
    cal_entries,
    init_cal_dict,
    lock_cals,
    mark_bad,
    save_cal_dict,
    unmark_bad,
)
from ndmapper.calibrations.dependencies import walk_dependencies
from ndmapper.calibrations.edits import replace_cals
from ndmapper.calibrations.provenance import (
    answer_of,
    bad_frames,
    is_locked,
    source_of,
)
from ndmapper.errors import CalibrationDocumentError, ParameterError


def looked_up(path: Path | None = None) -> dict[str, Any]:
    cals = init_cal_dict(path)
    walk_dependencies(
        [("x.fits", "target")], {"target": ["bias", "arc"]},
        lambda _, kind: [f"b{i}.fits" for i in (1, 2, 3)] if kind == "bias" else None,
        cals,
    )  # fmt: skip
    return cals


def test_answer_of_a_look_up_is_its_own() -> None:
    cals = looked_up()
    assert answer_of("x.fits", "bias", cals) is not None
    assert answer_of("x.fits", "arc", cals) is not None


@pytest.mark.parametrize(
    "edit",
    [
        lambda cals: cals["associations"]["x.fits"].update(bias="mine.fits"),
        lambda cals: cals["associations"]["x.fits"].update(bias=None),
        lambda cals: cals["calibrations"]["b1_bias.fits"].remove("b2.fits"),
        lambda cals: cals["calibrations"]["b1_bias.fits"].append("b9.fits"),
        lambda cals: cals["calibrations"].pop("b1_bias.fits"),
        lambda cals: cals["answers"].pop("x.fits"),
        lambda cals: add_cal_entry("x.fits", "bias", ["b1.fits", "b3.fits"], cals),
        lambda cals: replace_cals("x.fits", "bias", cals, product="made.fits"),
    ],
)
def test_answer_after_an_edit_is_the_users(edit: Any) -> None:
    cals = looked_up()
    edit(cals)
    assert source_of("x.fits", "bias", cals) == "user"


def test_answer_survives_an_edit_of_order_and_compression() -> None:
    cals = looked_up()
    cals["calibrations"]["b1_bias.fits"] = ["b3.fits.gz", "b2.fits", "b1.fits"]
    assert answer_of("x.fits", "bias", cals) is not None


def test_answer_the_user_gives_by_hand_is_the_users_even_if_it_is_the_same() -> None:
    cals = looked_up()
    add_cal_entry("x.fits", "bias", ["b1.fits", "b2.fits", "b3.fits"], cals)
    assert source_of("x.fits", "bias", cals) == "user"


def test_answers_saved_and_read_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    cals = looked_up(path)
    cals["_note"] = {"windy": True}
    save_cal_dict(cals, path)
    before = path.read_bytes()
    again = init_cal_dict(path)
    save_cal_dict(again, path)
    assert path.read_bytes() == before
    assert answer_of("x.fits", "bias", again) is not None
    assert again["_note"] == {"windy": True}


def test_document_without_answers_gets_none_from_saving(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    text = '{"associations": {"x": {"bias": null}}, "calibrations": {}}'
    path.write_text(text)
    save_cal_dict(init_cal_dict(path), path)
    assert path.read_text() == text


def test_edits_of_answers_locks_and_bad_frames_on_disk_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    cals = looked_up(path)
    save_cal_dict(cals, path)
    edited = json.loads(path.read_text())
    edited["locked"] = {"x.fits": ["arc"]}
    edited["bad_frames"] = {"b2.fits": "stripes"}
    path.write_text(json.dumps(edited))
    add_cal_entry("y.fits", "bias", ["b4.fits"], cals)
    mark_bad("b7.fits", cals, "lamp on", who="me")
    save_cal_dict(cals, path)
    found = json.loads(path.read_text())
    assert found["locked"] == {"x.fits": ["arc"]}
    assert found["bad_frames"] == {
        "b2.fits": "stripes",
        "b7.fits": {"who": "me", "why": "lamp on"},
    }


def test_bad_frame_is_left_out_of_a_set_and_stays_in_the_list() -> None:
    cals = looked_up()
    mark_bad("raw/b2.fits.gz", cals, "stripes", who="me")
    assert cal_entries(cals, "bias") == [("b1_bias.fits", ["b1.fits", "b3.fits"])]
    assert cals["calibrations"]["b1_bias.fits"] == ["b1.fits", "b2.fits", "b3.fits"]
    assert bad_frames(cals) == {"b2.fits": "me: stripes"}


def test_bad_frame_taken_back_is_in_its_set_again() -> None:
    cals = looked_up()
    mark_bad(["b2.fits", "b3.fits"], cals, "stripes")
    unmark_bad("b2.fits.gz", cals)
    assert cal_entries(cals, "bias") == [("b1_bias.fits", ["b1.fits", "b2.fits"])]
    unmark_bad("b3.fits", cals)
    assert "bad_frames" not in cals


def test_set_of_bad_frames_alone_is_an_error() -> None:
    cals = looked_up()
    mark_bad([f"b{i}.fits" for i in (1, 2, 3)], cals, "fog")
    with pytest.raises(CalibrationDocumentError, match=r"all frames of b1_bias\.fits"):
        cal_entries(cals, "bias")


def test_bad_frame_without_reason_is_refused() -> None:
    with pytest.raises(ParameterError, match="say why"):
        mark_bad("b1.fits", looked_up(), " ")


def test_bad_frame_that_is_not_bad_is_not_taken_back() -> None:
    cals = looked_up()
    mark_bad("b1.fits", cals, "fog")
    with pytest.raises(ParameterError, match=r"b2\.fits is not marked bad.*b1\.fits"):
        unmark_bad("b2.fits", cals)


def test_lock_goes_by_type_and_not_by_compression() -> None:
    cals = looked_up()
    lock_cals("x.fits.gz", "bias", cals)
    assert is_locked("x.fits", "bias", cals)
    assert not is_locked("x.fits", "arc", cals)
    lock_cals("x.fits.gz", "bias", cals, locked=False)
    assert "locked" not in cals


@pytest.mark.parametrize(
    ("key", "value", "where"),
    [
        ("answers", {"x.fits": []}, r'answers\["x.fits"\]'),
        ("answers", {"x.fits": {"bias": 1}}, r'answers\["x.fits"\]\["bias"\]'),
        ("locked", {"x.fits": "bias"}, r'locked\["x.fits"\]: expected a list'),
        ("bad_frames", ["b1.fits"], "bad_frames: expected an object"),
        ("bad_frames", {"b1.fits": 1}, r'bad_frames\["b1.fits"\]'),
        ("bad_frames", {"b1.fits": {"why": 1}}, r'\["why"\]: expected a text'),
        ("bad_frames", {"../b1.fits": "x"}, "without '..'"),
    ],
)
def test_wrong_notes_are_an_error_with_path_and_line(
    tmp_path: Path, key: str, value: Any, where: str
) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"associations": {}, key: value}, indent=1))
    with pytest.raises(CalibrationDocumentError, match=rf"on line \d, at .*{where}"):
        init_cal_dict(path)
