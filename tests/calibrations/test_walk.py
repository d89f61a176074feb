"""Walking dependencies with any look-up."""

from typing import Any

import pytest

from ndmapper.calibrations import add_cal_entry, init_cal_dict
from ndmapper.calibrations.walk import check_dependencies, walk_dependencies
from ndmapper.errors import ParameterError

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


def walk(cal_dict: dict[str, Any], archive: Archive, **options: Any) -> None:
    walk_dependencies(
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
    walk(cal_dict, Archive("flat"))
    again = Archive()
    walk(cal_dict, again)
    assert again.asked == []


def test_walk_refresh_asks_for_null_only() -> None:
    cal_dict = init_cal_dict()
    walk(cal_dict, Archive("flat"))
    again = Archive()
    walk(cal_dict, again, refresh=True)
    assert again.asked == [("x.fits", "flat"), ("fx.fits", "bias")]


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
