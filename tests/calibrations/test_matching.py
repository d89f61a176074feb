"""Matching by rules: what must be equal, how near, how many, and why not."""

from pathlib import Path
from typing import Any

import pytest

from ndmapper.calibrations.frames import Frame
from ndmapper.calibrations.matching import match_frames
from ndmapper.instruments import Instrument, load


@pytest.fixture
def instrument(camera: Path) -> Instrument:
    return load(camera)


@pytest.fixture
def frame(instrument: Instrument) -> Any:
    def make(
        name: str, frame_class: str | None, day: float = 10.0, **values: Any
    ) -> Any:
        hours = round((day % 1) * 24)
        values = {"time": f"2026-01-{int(day):02d}T{hours:02d}:00:00", **values}
        return Frame(name=name, instrument=instrument, frame_class=frame_class,
                     why="", values=values)  # fmt: skip

    return make


def test_match_is_sorted_by_name_whatever_the_order(frame: Any) -> None:
    frames = [frame("b2.fits", "bias"), frame("b1.fits", "bias")]
    target = frame("x.fits", "object")
    assert match_frames(target, "bias", frames).files == ("b1.fits", "b2.fits")
    assert match_frames(target, "bias", frames[::-1]).files == ("b1.fits", "b2.fits")


def test_match_other_class_is_not_used(frame: Any) -> None:
    frames = [frame("b1.fits", "bias"), frame("b2.fits", "bias"), frame("f", "flat")]
    assert "f" not in match_frames(frame("x.fits", "object"), "bias", frames).files


def test_match_frame_is_not_its_own_calibration(frame: Any) -> None:
    frames = [frame(f"b{i}.fits", "bias") for i in range(3)]
    target = frame("b1.fits.gz", "bias")
    assert match_frames(target, "bias", frames).files == ("b0.fits", "b2.fits")


def test_match_unequal_value_says_both(frame: Any) -> None:
    frames = [frame("f1.fits", "flat", slit="0.5")]
    match = match_frames(frame("x.fits", "object", slit="2.0"), "flat", frames)
    assert match.files == ()
    assert "f1.fits: slit '0.5' is not '2.0'" in match.why


def test_match_value_missing_in_one_is_unequal(frame: Any) -> None:
    match = match_frames(frame("x", "object", slit="2"), "flat", [frame("f", "flat")])
    assert "slit missing is not '2'" in match.why


def test_match_value_missing_in_both_is_equal(frame: Any) -> None:
    match = match_frames(frame("x", "object"), "flat", [frame("f", "flat")])
    assert match.files == ("f",)


@pytest.mark.parametrize(
    ("found", "fits"), [(-40.0, True), (-41.1, False), (None, False)]
)
def test_match_tolerance(frame: Any, found: float | None, fits: bool) -> None:
    target = frame("x", "object", temperature=-40.0)
    frames = [frame("f", "flat", temperature=found)]
    assert bool(match_frames(target, "flat", frames).files) is fits


@pytest.mark.parametrize(
    ("day", "fits"), [(8.0, True), (7.5, False), (10.5, True), (10.75, False)]
)
def test_match_window_before_and_after(frame: Any, day: float, fits: bool) -> None:
    frames = [frame("b1", "bias", day), frame("b2", "bias", day)]
    match = match_frames(frame("x", "object", 10.0), "bias", frames)
    assert bool(match.files) is fits


def test_match_outside_the_window_says_how_far(frame: Any) -> None:
    match = match_frames(frame("x", "object"), "bias", [frame("b1", "bias", 5.0)])
    assert "b1: 5.0 d before, more than 2 d" in match.why


def test_match_unknown_time_with_window_says_so(frame: Any) -> None:
    match = match_frames(frame("x", "object"), "bias", [frame("b1", "bias", time=None)])
    assert "b1: the time of b1 is not known (" in match.why


def test_match_too_few_are_none_and_says_so(frame: Any) -> None:
    match = match_frames(frame("x", "object"), "bias", [frame("b1", "bias")])
    assert match.files == ()
    assert "1 of class bias, but at least 2 needed" in match.why


def test_match_too_many_keeps_the_nearest(frame: Any) -> None:
    frames = [frame(f"b{i}", "bias", 8.5 + i / 4) for i in range(5)]
    match = match_frames(frame("x", "object", 10.0), "bias", frames)
    assert match.files == ("b2", "b3", "b4")
    assert "b0: beyond the 3 that are used, dt 1.5 d and not 1 d" in match.why


def test_match_takes_one_set_the_nearest(frame: Any) -> None:
    frames = [
        frame("b1", "bias", 9.0, batch="old"), frame("b2", "bias", 9.0, batch="old"),
        frame("b3", "bias", 10.0, batch="new"), frame("b4", "bias", 10.0, batch="new"),
    ]  # fmt: skip
    match = match_frames(frame("x", "object", 10.25), "bias", frames)
    assert match.files == ("b3", "b4")


def test_match_ties_go_by_name(frame: Any) -> None:
    frames = [frame(f"b{i}", "bias") for i in (4, 2, 3, 1)]
    match = match_frames(frame("x", "object"), "bias", frames)
    assert match.files == ("b1", "b2", "b3")


def test_match_without_rule_says_so(frame: Any) -> None:
    match = match_frames(frame("x", "object"), "fringe", [])
    assert match.why == "testcam has no rule for fringe"


def test_match_unknown_instrument_says_so() -> None:
    target = Frame(name="x.fits", instrument=None, frame_class=None, why="odd",
                   values={})  # fmt: skip
    why = match_frames(target, "bias", []).why
    assert why == "the instrument of x.fits is not known (odd)"


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("2000-01-02T00:00:00", 1.0),
        ("2000-01-02T00:00:00Z", 1.0),
        ("2000-01-02T06:00:00+06:00", 1.0),
        ("in the evening", None),
        (None, None),
    ],
)
def test_time_of_a_frame_is_universal_whatever_a_person_made_of_it(
    text: str | None, days: float | None
) -> None:
    frame = Frame(
        name="a", instrument=None, frame_class=None, why="", values={"time": text}
    )
    assert frame.days == days
