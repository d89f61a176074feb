import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndmapper.numerics.sections import (
    format_section,
    intersect,
    offset_section,
    parse_region,
    parse_section,
)


def test_parse_section_of_kast_returns_rows_first():
    assert parse_section("[2050:2080,1:350]") == (slice(0, 350), slice(2049, 2080))


@pytest.mark.parametrize("text", ["1:2,3:4", "[0:5,1:2]", "[5:4,1:2]", "[]", "[a:b]"])
def test_parse_section_malformed_raises(text):
    with pytest.raises(ValueError, match="is not of the form"):
        parse_section(text)


@given(st.lists(st.tuples(st.integers(1, 9999), st.integers(0, 9999)), min_size=1))
def test_format_section_round_trip_is_identity(axes):
    slices = tuple(slice(start - 1, start + n) for start, n in axes)
    assert parse_section(format_section(slices)) == slices


def test_offset_section_counts_from_the_part():
    section = (slice(10, 20), slice(5, 8))
    assert offset_section(section, (10, 4)) == (slice(0, 10), slice(1, 4))


def test_intersect_of_overlapping_sections_is_what_they_share():
    first, second = (slice(0, 10), slice(0, 10)), (slice(5, 20), slice(8, 9))
    assert intersect(first, second) == (slice(5, 10), slice(8, 9))


def test_intersect_of_sections_apart_is_none():
    assert intersect((slice(0, 5),), (slice(5, 9),)) is None


# The three examples are those of the published documentation of init_bpm.
@pytest.mark.parametrize(
    ("text", "convention", "first", "last", "count"),
    [
        ("100:110,50:60", "numpy", (100, 50), (109, 59), 100),
        ("100:110,50:60", "fits", (49, 99), (59, 109), 121),
        ("100,*", "fits", (0, 99), (199, 99), 200),
        ("100,*", "numpy", (100, 0), (100, 149), 150),
        (":,99", "numpy", (0, 99), (199, 99), 200),
        ("[1:3, 2]", "FITS", (1, 0), (1, 2), 3),
        ("5:,:7", "NumPy", (5, 0), (199, 6), 195 * 7),
    ],
)
def test_parse_region_selects_the_pixels(text, convention, first, last, count):
    image = np.zeros((200, 150), bool)
    image[parse_region(text, convention)] = True
    where = np.argwhere(image)
    assert (tuple(where[0]), tuple(where[-1]), len(where)) == (first, last, count)


@pytest.mark.parametrize("text", ["", "1,,2", "a:b,1", "1:2:3,4", "5:5,1", "-3,1"])
def test_parse_region_malformed_raises(text):
    with pytest.raises(ValueError, match="numpy convention"):
        parse_region(text)


def test_parse_region_fits_zero_raises_because_it_counts_from_one():
    with pytest.raises(ValueError, match="no pixels"):
        parse_region("0,5", "fits")


def test_parse_region_unknown_convention_raises():
    with pytest.raises(ValueError, match="'numpy' or 'fits'"):
        parse_region("1,2", "iraf")
