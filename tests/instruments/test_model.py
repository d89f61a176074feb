"""Classification and amplifiers, on made-up headers and on the real night."""

from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from ndmapper import instruments
from ndmapper.instruments.conditions import parse_condition

KAST = instruments.load("kast")
NIGHT = {
    "b1": "arc", "b11": "flat", "b12": "flat", "b13": "flat", "b21": "bias",
    "b22": "bias", "b23": "bias", "b24": "standard", "b27": "object",
}  # fmt: skip


@pytest.mark.real_data
@pytest.mark.parametrize("name", NIGHT)
def test_classify_kast_frame_as_the_observer_would(real_data: Path, name: str) -> None:
    header = fits.getheader(real_data / "kast_blue_longslit" / f"{name}.fits.gz")
    frame_class, why = KAST.classify(header)
    assert frame_class == NIGHT[name]
    assert repr(header["OBJECT"].strip()) in why


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"OBJECT": "Bias", "EXPTIME": 0}, "bias"),
        ({"OBJECT": "Bias", "EXPTIME": 30}, None),
        ({"OBJECT": "Dome Flat", "EXPTIME": 15}, None),
        ({"OBJECT": "Arcs", "EXPTIME": 30, "LAMPSTAF": "on"}, "arc"),
        ({"OBJECT": "Arcturus", "EXPTIME": 1}, "object"),
        ({"OBJECT": "J1217p3905", "EXPTIME": 1200, "LAMPSTA5": "on"}, None),
        ({"OBJECT": "feige 66", "EXPTIME": 30}, "standard"),
        ({"OBJECT": "HE1234-1233", "EXPTIME": 30}, "object"),
        ({"OBJECT": "", "EXPTIME": 30}, None),
        ({"OBJECT": "M31", "EXPTIME": 0}, None),
        ({}, None),
    ],
)
def test_classify_kast_by_object_exposure_and_lamps(
    cards: dict[str, Any], expected: str | None
) -> None:
    assert KAST.classify(cards)[0] == expected


def test_classify_ignores_obstype_of_kast() -> None:
    cards = {"OBSTYPE": "DARK", "OBJECT": "M31", "EXPTIME": 60}
    assert KAST.classify(cards)[0] == "object"


def test_classify_nothing_fits_says_what_speaks_against_each() -> None:
    _, why = KAST.classify({"OBJECT": "Bias", "EXPTIME": 30})
    assert "not bias (exptime 30 not <= 0)" in why
    assert "not object (object 'Bias')" in why


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Bias Frame", "bias"), ("zero", "bias"), ("skyflat", "flat"),
     ("Light Frame", "object"), ("Dark", "dark"), ("tricolor", None)],
)  # fmt: skip
def test_classify_ccd_by_free_text(text: str, expected: str | None) -> None:
    assert instruments.load("ccd").classify({"IMAGETYP": text})[0] == expected


def test_amplifiers_of_kast_are_those_of_the_file() -> None:
    left, right = KAST.amplifiers({"NAXIS1": 2112, "NAXIS2": 350, "GAIN": 1})
    assert (left.data, left.overscan) == ("[1:1024,1:350]", "[2050:2080,1:350]")
    assert (right.data, right.overscan) == ("[1025:2048,1:350]", "[2081:2111,1:350]")
    assert (left.gain, right.gain) == (1.2, 1.237)
    assert left.read_noise == right.read_noise == 3.7


def test_amplifiers_of_kast_with_other_readout_are_none() -> None:
    assert KAST.amplifiers({"NAXIS1": 1056, "NAXIS2": 175}) == ()


def test_amplifiers_from_cards_of_the_extension() -> None:
    extension = {
        "DATASEC": "[33:96,1:64]", "BIASSEC": "[1:32,1:64]", "GAIN": 1.5,
        "RDNOISE": 4, "AMPNAME": "A2",
    }  # fmt: skip
    (found,) = instruments.load("simcam").amplifiers({"GAIN": 99.0}, extension)
    assert found.data == "[33:96,1:64]"
    assert found.overscan == "[1:32,1:64]"
    assert (found.name, found.gain, found.read_noise) == ("A2", 1.5, 4.0)
    assert found.saturation is None


def test_amplifiers_without_cards_are_none() -> None:
    assert instruments.load("ccd").amplifiers({"IMAGETYP": "bias"}) == ()


@pytest.mark.parametrize(
    ("spec", "value", "met"),
    [
        ("bias*", "BIAS frame ", True),
        (["a", "b"], "b", True),
        ("bias", None, False),
        ({"not": ["*flat*"]}, "sky", True),
        ({"not": ["*flat*"]}, "Dome Flat", False),
        ({"not": ["*flat*"]}, None, True),
        ({"max": 0.0}, 0, True),
        ({"max": 0.0}, None, False),
        ({"above": 0.0}, 0, False),
        ({"min": 1, "below": 2}, 1.5, True),
        ({"min": 1, "below": 2}, 2, False),
        ({"present": False}, "", True),
        ({"present": True}, None, False),
        (2, 2.0, True),
        (True, False, False),
        ({"max": 0.0}, "0", False),
    ],
)
def test_condition_is_met_as_documented(spec: object, value: Any, met: bool) -> None:
    assert all(c.test("x", value)[0] for c in parse_condition(spec)) is met


@pytest.mark.parametrize("spec", [{}, [], [1], {"max": "1"}, {"max": True}, {"odd": 1}])
def test_condition_wrong_is_refused(spec: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_condition(spec)
