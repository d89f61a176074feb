"""Names with a key in braces: what is filled in is read back, and nothing else."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ndmapper.data.name_pattern import (
    NamePattern,
    checked_key,
    find_key,
    in_order,
    key_text,
    keys_text,
    parse_pattern,
)
from ndmapper.errors import ParameterError

TEXTS = st.text(min_size=1, max_size=12)
NUMBERS = st.integers(-(10**6), 10**6)


@pytest.mark.parametrize(
    ("pattern", "key", "name"),
    [
        ("BIAS-{ifu:02d}.fits", 7, "BIAS-07.fits"),
        ("BIAS-{ifu:02d}.fits", 124, "BIAS-124.fits"),
        ("BIAS-{ifu:d}.fits", 7, "BIAS-7.fits"),
        ("x_{filter}.fits", "white", "x_white.fits"),
        ("m/{ifu:02d}/{filter}.fits", (7, "V"), "m/07/V.fits"),
        ("m/{ifu:02d}/{filter}-{ifu:d}.fits", (7, "V"), "m/07/V-7.fits"),
        ("{ifu:02d}/{ifu:02d}", 7, "07/07"),
        ("{n:03d}", -7, "-07"),
        ("a*[x]?-{ifu:02d}.(fits)", 7, "a*[x]?-07.(fits)"),
    ],
)
def test_key_is_written_and_read_back(pattern, key, name):
    assert NamePattern(pattern).fill(key) == name
    assert NamePattern(pattern).match(name) == key


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("BIAS-{ifu:02d}.fits", "BIAS-7.fits"),
        ("BIAS-{ifu:02d}.fits", "BIAS-007.fits"),
        ("BIAS-{ifu:02d}.fits", "BIAS-xx.fits"),
        ("BIAS-{ifu:02d}.fits", "BIAS-07.fits.gz"),
        ("BIAS-{ifu:02d}.fits", "old/BIAS-07.fits"),
        ("BIAS-{ifu:02d}.fits", "BIAS-07xfits"),
        ("BIAS-{ifu:02d}.fits", "BIAS-\u0660\u0667.fits"),
        ("BIAS-{ifu:02d}.fits", f"BIAS-{'9' * 5000}.fits"),
        ("x{filter}.fits", "x.fits"),
        ("x{filter}.fits", "xa/b.fits"),
        ("{ifu:02d}/{ifu:02d}.fits", "07/08.fits"),
        ("{ifu:02d}/{ifu:d}.fits", "07/8.fits"),
    ],
)
def test_other_names_are_not_matched(pattern, name):
    assert NamePattern(pattern).match(name) is None


@given(ifu=NUMBERS, name=TEXTS)
def test_what_is_filled_in_is_read_back(ifu, name):
    pattern = NamePattern("m-{name}/{ifu:02d}.fits")
    assume(not set(name) & set("/\0") and name not in (".", ".."))
    assert pattern.match(pattern.fill((name, ifu))) == (name, ifu)


@given(first=TEXTS, second=TEXTS)
def test_two_keys_never_have_one_name(first, second):
    # 'a-b', 'c' and 'a', 'b-c' would.
    pattern = NamePattern("{x}-{y}.fits")
    try:
        name = pattern.fill((first, second))
    except ParameterError:
        return
    assert pattern.match(name) == (first, second)


@given(name=st.text(max_size=30))
def test_what_is_read_is_filled_in_again(name):
    pattern = NamePattern("{x}{n:02d}")
    key = pattern.match(name)
    if key is not None:
        assert pattern.fill(key) == name


@pytest.mark.parametrize(
    "key", ["a/b", "../../etc/passwd", "..", ".", "", "a\0b", "/etc", True, None, 1.5]
)
def test_key_that_no_name_can_hold_is_refused(key):
    with pytest.raises(ParameterError):
        NamePattern("m/{filter}/x.fits").fill(key)


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        ("x-{ifu:02d}.fits", "white"),
        ("x-{ifu:02d}.fits", "07"),
    ],
)
def test_key_that_would_be_read_back_as_another_is_refused(pattern, key):
    with pytest.raises(ParameterError, match="read back"):
        NamePattern(pattern).fill(key)


@pytest.mark.parametrize(
    ("key", "message"),
    [(7, r"has 2 parts \(ifu, filter\), which 7 has"), ((7, "V", 1), "has 2 parts")],
)
def test_key_of_other_fields_is_refused(key, message):
    with pytest.raises(ParameterError, match=message):
        NamePattern("{ifu:02d}-{filter}.fits").fill(key)


@pytest.mark.parametrize(("key", "text"), [(7, "7"), ((7, "V"), ("7", "V"))])
def test_number_may_be_written_as_a_text(key, text):
    pattern = NamePattern("x-{chip}.fits" if key == 7 else "{chip}/{filter}.fits")
    assert pattern.match(pattern.fill(key)) == text
    assert find_key([1, text], key) == text
    assert find_key([text, key], key) == key
    assert find_key([1, key], text) == key
    assert find_key([1, 2], key) is None
    assert find_key([1, 2], None) is None


def test_number_of_numpy_is_a_number():
    assert NamePattern("x-{ifu:02d}.fits").fill(np.int64(7)) == "x-07.fits"


@pytest.mark.parametrize(
    "text",
    [
        "x-{0}.fits",
        "x-{}.fits",
        "x-{ifu.__class__}.fits",
        "x-{ifu[0]}.fits",
        "x-{ifu!r}.fits",
        "x-{ifu:>10}.fits",
        "x-{ifu:2d}.fits",  # padded with blanks
        "x-{ifu:1000000000d}.fits",
        "x-{ifu:x}.fits",
        "x-{ïfu}.fits",
        "x-{a b}.fits",
        "plain.fits",
        "half{open.fits",
        "{a}{b}{c}{d}{e}{f}",
        "{a}-{b}-{c}-{d}.fits",
    ],
)
def test_anything_else_in_braces_is_no_pattern(text):
    with pytest.raises(ParameterError, match=r"key"):
        NamePattern(text)
    assert parse_pattern(text) is None


def test_fields_are_listed_once_each():
    pattern = NamePattern("{ifu:02d}/{filter}-{ifu:02d}.fits")
    assert pattern.fields == ("ifu", "filter")
    assert str(pattern) == "{ifu:02d}/{filter}-{ifu:02d}.fits"


def test_some_fields_leave_a_pattern():
    pattern = NamePattern("{base}_{tag}-{ifu:02d}.fits")
    partly = pattern.fill_fields({"base": "x_y", "tag": "OBJECT"})
    assert partly == "x_y_OBJECT-{ifu:02d}.fits"
    assert NamePattern(partly).fill(7) == "x_y_OBJECT-07.fits"


def test_value_of_a_field_makes_no_other_field():
    pattern = NamePattern("{base}-{ifu:02d}.fits")
    with pytest.raises(ParameterError, match="cannot be part"):
        pattern.fill_fields({"base": "x{filter}"})
    assert pattern.fill_fields({"base": "x{f}", "ifu": 7}) == "x{f}-07.fits"


def test_files_are_found_in_the_order_of_keys(folder):
    for name in ("b-10.fits", "b-2.fits", "b-02.fits", "b-x.fits", "c-03.fits"):
        (folder / name).touch()
    (folder / "b-05.fits").mkdir()
    assert list(NamePattern("b-{n:02d}.fits").files()) == [
        (2, "b-02.fits"),
        (10, "b-10.fits"),
    ]


def test_key_may_be_in_the_name_of_a_folder(folder):
    for night in ("n1", "n2"):
        (folder / night).mkdir()
        for ifu in (1, 2):
            (folder / night / f"b-{ifu:02d}.fits").touch()
    found = dict(NamePattern("{night}/b-{ifu:02d}.fits").files())
    assert list(found) == [("n1", 1), ("n1", 2), ("n2", 1), ("n2", 2)]
    assert found["n2", 1] == "n2/b-01.fits"


def test_characters_of_shells_are_plain_in_a_pattern(folder):
    (folder / "a[1]").mkdir()
    (folder / "a[1]" / "x*-07.fits").touch()
    (folder / "a[1]" / "xy-08.fits").touch()
    assert dict(NamePattern("a[1]/x*-{n:02d}.fits").files()) == {7: "a[1]/x*-07.fits"}


def test_file_whose_own_name_has_braces_is_no_pattern(folder):
    assert parse_pattern("x-{ifu}.fits") is not None
    (folder / "x-{ifu}.fits").touch()
    assert parse_pattern("x-{ifu}.fits") is None


@pytest.mark.parametrize(
    ("given", "key"),
    [(7, 7), (np.int16(7), 7), ("V", "V"), ([7, "V"], (7, "V")), ((7,), 7)],
)
def test_key_is_kept_as_number_text_or_tuple(given, key):
    found = checked_key(given)
    assert (found, type(found)) == (key, type(key))


@pytest.mark.parametrize(
    "key", [None, 1.0, True, "", b"V", (), ((1, 2), 3), {}, [None]]
)
def test_nothing_else_is_a_key(key):
    with pytest.raises(ParameterError, match="a key is a number or a text"):
        checked_key(key)


def test_keys_are_sorted_numbers_first():
    assert list(in_order({"b": 0, 10: 0, 2: 0, "a": 0})) == [2, 10, "a", "b"]
    assert list(in_order({(2, "a"): 0, (1, "b"): 0})) == [(1, "b"), (2, "a")]


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ([], "none"),
        ([3, 1, 2, 7], "1-3, 7"),
        (range(1, 25), "1-24"),
        (["V", "R"], "R, V"),
        ([(7, "V")], "(7, V)"),
        (range(0, 40, 2), "0, 2, 4, 6, ..., 38"),
    ],
)
def test_keys_are_worded_briefly(keys, text):
    assert keys_text(keys) == text


def test_key_of_several_fields_is_worded():
    assert key_text((7, "white")) == "7, white"


@pytest.mark.parametrize("text", ["7", "-7", "0", "123"])
def test_number_that_is_a_text_is_written_as_a_number(text):
    name = NamePattern("x-{ifu:02d}.fits").fill(text)
    assert name == NamePattern("x-{ifu:02d}.fits").fill(int(text))
    assert NamePattern("x-{ifu:02d}.fits").match(name) == int(text)


@pytest.mark.parametrize("pattern", ["{a}.fits", "m/{a}.fits", "{a}/x.fits", "{a}{b}"])
def test_name_of_a_hidden_file_is_refused(pattern):
    # It is not found again by the pattern.
    key = (".a", "b") if "{b}" in pattern else ".a"
    with pytest.raises(ParameterError, match="cannot be part"):
        NamePattern(pattern).fill(key)
    assert NamePattern("x{a}.fits").fill(".a") == "x.a.fits"


def test_slashes_count_once(tmp_path):
    (tmp_path / "x-07.fits").touch()
    pattern = NamePattern(f"{tmp_path}//x-{{ifu:02d}}.fits")
    assert list(pattern.files()) == [(7, f"{tmp_path}//x-07.fits")]
