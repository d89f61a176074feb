"""Values found in headers by declared recipes."""

from typing import Any

import pytest
from astropy.io import fits

from ndmapper.instruments.descriptors import Descriptor, parse_descriptor


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"DATE-OBS": "2015-05-20T04:37:33.12"}, "2015-05-20T04:37:33.120"),
        ({"DATE-OBS": "2015-05-20", "UT": "04:37:33"}, "2015-05-20T04:37:33.000"),
        ({"DATE-OBS": "2015-05-20"}, "2015-05-20T00:00:00.000"),
        ({"DATE-OBS": "2015-05-20T04:37:33Z"}, "2015-05-20T04:37:33.000"),
        ({"DATE-OBS": "2015-05-20T01:00:00+02:00"}, "2015-05-19T23:00:00.000"),
        ({"DATE-OBS": 51544.5}, "2000-01-01T12:00:00.000"),
        ({"DATE-OBS": "yesterday"}, None),
        ({}, None),
    ],
)
def test_timestamp_of_header_is_iso_in_ut(
    cards: dict[str, Any], expected: str | None
) -> None:
    descriptor = Descriptor(keys=("DATE-OBS", "UT"), fn="timestamp")
    assert descriptor.find(cards) == expected


def test_first_present_keyword_wins() -> None:
    descriptor = parse_descriptor({"keys": ["EXPTIME", "EXPOSURE"], "type": "float"})
    assert descriptor.find({"EXPOSURE": 30}) == 30.0


def test_primary_wins_over_extension() -> None:
    assert Descriptor(keys=("GAIN",)).find({"GAIN": 1}, {"GAIN": 2}) == 1


def test_extension_wins_where_asked() -> None:
    descriptor = parse_descriptor({"keys": ["GAIN"], "ext": True})
    assert descriptor.find({"GAIN": 1}, {"GAIN": 2}) == 2


def test_card_without_value_is_missing() -> None:
    header = fits.Header.fromstring("GAIN    =" + " " * 71)
    assert Descriptor(keys=("GAIN",)).find(header) is None


def test_card_against_the_standard_is_missing() -> None:
    header = fits.Header.fromstring("EXPTIME = 1.2.3".ljust(80))
    assert Descriptor(keys=("EXPTIME",)).find(header) is None


def test_value_of_wrong_type_is_missing() -> None:
    assert Descriptor(keys=("EXPTIME",), type="float").find({"EXPTIME": "long"}) is None


def test_doubled_keyword_gives_the_first_card() -> None:
    header = fits.Header([("OBSTYPE", "OBJECT")])
    header.append(("OBSTYPE", 1), end=True)
    assert Descriptor(keys=("OBSTYPE",)).find(header) == "OBJECT"


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"F1": "open1-6", "F2": "g_G0301"}, "g_G0301"),
        ({"F1": "r", "F2": "OG515"}, "OG515+r"),
        ({"F1": "open1-6", "F2": "open2-8"}, "open"),
        ({}, None),
    ],
)
def test_joined_keywords_are_a_set(cards: dict[str, Any], expected: str | None) -> None:
    descriptor = parse_descriptor(
        {"fn": "joined", "keys": ["F1", "F2"], "drop": ["open*"]}
    )
    assert descriptor.find(cards) == expected


def test_switched_on_names_the_lamps_that_are_on() -> None:
    descriptor = parse_descriptor(
        {"fn": "switched_on", "keys": ["SA", "SB", "SC"], "names": ["NA", "NB", "NC"],
         "on": ["on"]}
    )  # fmt: skip
    cards = {"SA": "on ", "NA": "He", "SB": "off", "NB": "Ne", "SC": "ON", "NC": "Ar"}
    assert descriptor.find(cards) == "Ar+He"


def test_map_gives_one_spelling() -> None:
    descriptor = parse_descriptor({"keys": ["T"], "map": [["*zero*", "bias"]]})
    assert descriptor.find({"T": "Zero Frame"}) == "bias"


@pytest.mark.parametrize(
    ("gain", "expected"), [(2.9, "low"), (4.4, "high"), ("x", None)]
)
def test_above_limit_gives_a_word(gain: Any, expected: str | None) -> None:
    descriptor = parse_descriptor(
        {"fn": "above", "keys": ["GAIN"], "limit": 3.0, "yes": "high", "no": "low"}
    )
    assert descriptor.find({"GAIN": gain}) == expected


def test_shape_of_image_without_axes_is_missing() -> None:
    assert Descriptor(fn="shape").find({"NAXIS": 0}) is None


def test_word_of_binning() -> None:
    descriptor = parse_descriptor(
        {"fn": "word", "keys": ["CCDSUM"], "n": 1, "type": "int"}
    )
    assert descriptor.find({"CCDSUM": "2 4"}) == 4


@pytest.mark.parametrize("kind", ["float", "int"])
def test_a_truth_value_is_no_number(kind: str) -> None:
    descriptor = parse_descriptor({"keys": ["EXPTIME"], "type": kind})
    assert descriptor.find({"EXPTIME": True}) is None
    assert descriptor.find({"EXPTIME": "2"}) == 2
