"""Walking dependencies with any look-up."""

import copy
from typing import Any

import pytest

from ndmapper.calibrations import add_cal_entry, init_cal_dict
from ndmapper.calibrations.dependencies import (
    Change,
    check_dependencies,
    walk_dependencies,
)
from ndmapper.calibrations.lookup_result import Answer
from ndmapper.errors import ParameterError, ServiceError

DEPENDENCIES = {"target": ["flat", "bias"], "flat": ["bias"]}


class Archive:
    """Give every frame the calibration f<name> or b<name>, and note the questions."""

    def __init__(self, *missing: str) -> None:
        self.asked: list[tuple[str, str]] = []
        self.missing = missing

    def __call__(self, filename: str, cal_type: str) -> list[str] | None:
        self.asked.append((filename, cal_type))
        if cal_type in self.missing:
            return None
        return [f"{cal_type[0]}{filename}"]


def walk(cal_dict: dict[str, Any], archive: Any, **options: Any) -> list[Change]:
    return walk_dependencies(
        [("x.fits", "target")], DEPENDENCIES, archive, cal_dict, **options
    )


def test_walk_notes_calibrations_of_calibrations() -> None:
    cal_dict = init_cal_dict()
    walk(cal_dict, Archive())
    assert cal_dict["associations"] == {
        "x.fits": {"flat": "fx_flat.fits", "bias": "bx_bias.fits"},
        "fx.fits": {"bias": "bfx_bias.fits"},
    }


def test_walk_notes_what_is_not_found() -> None:
    cal_dict = init_cal_dict()
    walk(cal_dict, Archive("flat"))
    assert cal_dict["associations"]["x.fits"]["flat"] is None


def test_walk_again_asks_nothing() -> None:
    cal_dict = init_cal_dict()
    walk(cal_dict, Archive())
    again = Archive()
    walk(cal_dict, again)
    assert again.asked == []


def test_walk_again_asks_for_what_was_not_found() -> None:
    cal_dict = init_cal_dict()
    walk(cal_dict, Archive("flat"))
    again = Archive()
    walk(cal_dict, again)
    assert again.asked == [("x.fits", "flat"), ("fx.fits", "bias")]


def test_walk_again_off_line_keeps_what_was_not_found() -> None:
    cal_dict = init_cal_dict()
    walk(cal_dict, Archive("flat"))
    before = copy.deepcopy(dict(cal_dict))

    def stopped(filename: str, cal_type: str) -> None:
        raise ServiceError(filename)

    walk(cal_dict, stopped)
    assert cal_dict == before


def test_walk_again_never_asks_for_null_of_the_user() -> None:
    cal_dict = init_cal_dict()
    walk(cal_dict, Archive())
    cal_dict["associations"]["x.fits"]["flat"] = None
    again = Archive()
    walk(cal_dict, again, refresh=True)
    assert ("x.fits", "flat") not in again.asked
    assert cal_dict["associations"]["x.fits"]["flat"] is None


def test_walk_refresh_asks_for_all_answers_and_changes_what_differs() -> None:
    cal_dict = init_cal_dict()
    walk(cal_dict, Archive())
    changes = walk(cal_dict, lambda name, kind: [f"{kind[0]}new.fits"], refresh=True)
    assert cal_dict["associations"] == {
        "x.fits": {"flat": "fnew_flat.fits", "bias": "bnew_bias.fits"},
        "fnew.fits": {"bias": "bnew_bias.fits"},
    }
    assert [str(change) for change in changes] == [
        "flat of x.fits: fnew.fits instead of fx.fits",
        "bias of x.fits: bnew.fits instead of bx.fits",
    ]


def test_walk_refresh_with_the_same_answers_changes_nothing() -> None:
    cal_dict = init_cal_dict()
    walk(cal_dict, Archive())
    before = copy.deepcopy(dict(cal_dict))
    assert walk(cal_dict, Archive(), refresh=True) == []
    assert cal_dict == before


def test_walk_refresh_keeps_edits_of_the_user() -> None:
    cal_dict = init_cal_dict()
    walk(cal_dict, lambda name, kind: [f"{kind}1.fits", f"{kind}2.fits"])
    cal_dict["calibrations"]["bias1_bias.fits"] = ["bias1.fits"]
    add_cal_entry("x.fits", "flat", ["mine.fits"], cal_dict)
    walk(cal_dict, Archive(), refresh=True)
    assert cal_dict["associations"]["x.fits"] == {
        "flat": "mine_flat.fits",
        "bias": "bias1_bias.fits",
    }
    assert cal_dict["calibrations"]["bias1_bias.fits"] == ["bias1.fits"]


def test_walk_refresh_keeps_what_is_locked() -> None:
    cal_dict = init_cal_dict()
    walk(cal_dict, Archive())
    cal_dict["locked"] = {"x.fits": ["bias"]}
    again = Archive()
    walk(cal_dict, again, refresh=True)
    assert ("x.fits", "bias") not in again.asked


def test_walk_refresh_that_fails_is_an_error() -> None:
    cal_dict = init_cal_dict()
    walk(cal_dict, Archive())

    def stopped(filename: str, cal_type: str) -> None:
        raise ServiceError(filename)

    with pytest.raises(ServiceError):
        walk(cal_dict, stopped, refresh=True)


def test_walk_in_document_without_answers_asks_for_null_with_refresh_only() -> None:
    cal_dict = init_cal_dict()
    cal_dict["associations"] = {"x.fits": {"flat": None, "bias": "mine.fits"}}
    again = Archive()
    walk(cal_dict, again)
    assert again.asked == []
    walk(cal_dict, again, refresh=True)
    assert again.asked == [("x.fits", "flat"), ("fx.fits", "bias")]


def test_walk_in_document_without_answers_keeps_null_of_before_as_it_was() -> None:
    cal_dict = init_cal_dict()
    cal_dict["associations"] = {"x.fits": {"flat": None}}
    walk(cal_dict, Archive())  # the bias is new, so the document has answers then
    again = Archive()
    assert walk(cal_dict, again) == []
    assert again.asked == []
    walk(cal_dict, again, refresh=True)
    assert ("x.fits", "flat") in again.asked


def test_walk_asks_again_where_a_frame_is_bad_by_now() -> None:
    cal_dict = init_cal_dict()
    walk(cal_dict, lambda name, kind: [f"{kind}1.fits", f"{kind}2.fits"])
    cal_dict["bad_frames"] = {"bias2.fits.gz": "stripes"}
    walk(cal_dict, lambda name, kind: [f"{kind}{i}.fits" for i in (1, 2, 3)])
    label = cal_dict["associations"]["x.fits"]["bias"]
    assert cal_dict["calibrations"][label] == ["bias1.fits", "bias3.fits"]


def test_walk_with_a_bad_frame_and_no_other_keeps_the_set() -> None:
    cal_dict = init_cal_dict()
    server = lambda name, kind: [f"{kind}1.fits", f"{kind}2.fits"]  # noqa: E731
    walk(cal_dict, server)
    cal_dict["bad_frames"] = {"bias2.fits": {"who": "me", "why": "stripes"}}
    before = copy.deepcopy(dict(cal_dict))
    walk(cal_dict, server)
    assert cal_dict == before


def test_walk_never_takes_a_bad_frame() -> None:
    cal_dict = init_cal_dict()
    cal_dict["bad_frames"] = {"fx.fits": "lamp off"}
    walk(cal_dict, Archive())
    assert cal_dict["associations"]["x.fits"]["flat"] is None


def test_walk_takes_a_calibration_that_is_made_already() -> None:
    cal_dict = init_cal_dict()
    made = Answer(product="master_flat.fits", quality=0, source="local")
    walk(cal_dict, lambda name, kind: made if kind == "flat" else None)
    assert cal_dict["associations"] == {
        "x.fits": {"flat": "master_flat.fits", "bias": None}
    }
    assert cal_dict["calibrations"] == {}


def test_walk_follows_an_edit_of_the_user() -> None:
    cal_dict = init_cal_dict()
    cal_dict["associations"]["x.fits"] = {"flat": "my.fits"}
    cal_dict["calibrations"]["my.fits"] = ["mine1.fits", "mine2.fits"]
    archive = Archive()
    walk(cal_dict, archive)
    assert cal_dict["associations"]["x.fits"]["flat"] == "my.fits"
    assert ("mine2.fits", "bias") in archive.asked


def test_walk_takes_a_calibration_made_elsewhere() -> None:
    cal_dict = init_cal_dict()
    cal_dict["associations"]["x.fits"] = {"flat": "given.fits", "bias": None}
    walk(cal_dict, Archive())
    assert list(cal_dict["associations"]) == ["x.fits"]


def test_walk_asks_once_for_a_shared_calibration() -> None:
    archive = Archive()
    walk_dependencies(
        [("x.fits", "target"), ("x.fits", "target")], DEPENDENCIES, archive,
        init_cal_dict(),
    )  # fmt: skip
    assert len(archive.asked) == len(set(archive.asked)) == 3


def test_walk_ends_where_types_need_each_other() -> None:
    cal_dict = init_cal_dict()
    loop = {"target": ["flat"], "flat": ["arc"], "arc": ["flat"]}
    walk_dependencies([("x", "target")], loop, lambda _, kind: [kind], cal_dict)
    assert set(cal_dict["associations"]) == {"x", "flat", "arc"}


@pytest.mark.parametrize("wrong", [None, ["bias"], {"target": "bias"}, {"target": [1]}])
def test_check_dependencies_refuses_other_forms(wrong: Any) -> None:
    with pytest.raises(ParameterError, match="dependencies"):
        check_dependencies(wrong)


def test_walk_makes_targets_of_its_frames_that_keep_their_calibrations() -> None:
    cal_dict = init_cal_dict()
    add_cal_entry("y.fits", "standard", ["x.fits"], cal_dict)
    walk(cal_dict, Archive())
    add_cal_entry("y.fits", "standard", None, cal_dict)
    assert cal_dict["associations"]["x.fits"] == {
        "flat": "fx_flat.fits",
        "bias": "bx_bias.fits",
    }
