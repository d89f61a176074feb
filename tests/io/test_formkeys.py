import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from ndmapper.io.quickheader import data_size_of, form_keywords, shape_of

END = b"END".ljust(80)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


def header_of(*cards):
    return b"".join(card.encode("latin-1").ljust(80) for card in cards) + END


def keys(**values):
    return {"BITPIX": 16, "NAXIS": 2, "NAXIS1": 3, "NAXIS2": 5, **values}


@given(
    st.sampled_from(["BITPIX", "EXTNAME", "BZERO", "ZIMAGE", "NAXIS3"]),
    st.integers(-(10**18), 10**18) | st.booleans() | TEXT | st.floats(-1e30, 1e30),
    st.none() | TEXT,
)
def test_form_keywords_card_of_astropy_agrees_with_astropy(keyword, value, comment):
    try:
        image = fits.Card(keyword, value, comment).image
    except ValueError:
        return  # astropy cannot write it
    if len(image) > 80:
        return
    expected = fits.Card.fromstring(image).value
    if isinstance(expected, str):
        expected = expected.strip()
    found = form_keywords(header_of(image))[keyword]
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("card", "value"),
    [
        ("EXTNAME = 'SCI'", "SCI"),
        ("EXTNAME = 'SCI     '           / name", "SCI"),
        ("EXTNAME =                'it''s' / name", "it's"),
        ("EXTNAME = 'a / b'", "a / b"),
        ("EXTNAME = ''", ""),
        ("EXTVER  = 12", 12),
        ("EXTVER  =                  -12/ no blank", -12),
        ("EXTVER  =                  1.5", 1.5),
        ("EXTVER  = 12.", 12.0),
        ("EXTVER  =                    T / logical", True),
        ("EXTVER  =                     / undefined", fits.card.UNDEFINED),
    ],
)
def test_form_keywords_value_of_each_kind_is_read(card, value):
    (found,) = form_keywords(header_of(card)).values()
    assert found == value


@pytest.mark.parametrize(
    "card", ["EXTVER = 12", "EXTVER    12", "EXTVER  =12", "HIERARCH EXTVER = 12"]
)
def test_form_keywords_without_value_indicator_is_no_value(card):
    assert form_keywords(header_of("SIMPLE  =  T", card)) == {"SIMPLE": True}


def test_form_keywords_first_of_duplicates_counts():
    assert form_keywords(header_of("EXTVER  = 1", "EXTVER  = 2")) == {"EXTVER": 1}


def test_form_keywords_after_end_are_not_read():
    assert form_keywords(END + header_of("EXTVER  = 1")) == {}


def test_form_keywords_that_give_no_form_are_left_out():
    assert form_keywords(header_of("SIMPLE  =  T", "OBJECT  = 'M 31'")) == {
        "SIMPLE": True
    }


def test_shape_of_has_the_fastest_axis_last():
    assert shape_of(keys()) == (5, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"NAXIS": None},
        {"NAXIS": True},
        {"NAXIS": -1},
        {"NAXIS": 10**18},
        {"NAXIS": 3},
        {"NAXIS1": -1},
        {"NAXIS1": 1.5},
        {"BITPIX": 7},
        {"BITPIX": None},
        {"PCOUNT": -1},
        {"GCOUNT": "1"},
    ],
)
def test_shape_of_wrong_keywords_is_none(wrong):
    assert shape_of(keys(**wrong)) is None


@pytest.mark.parametrize(
    ("more", "size"),
    [
        ({}, 30),
        ({"PCOUNT": 7}, 2 * (7 + 15)),
        ({"PCOUNT": 7, "GCOUNT": 3}, 2 * 3 * (7 + 15)),
        ({"PCOUNT": 7, "SIMPLE": True}, 30),
        ({"GROUPS": True, "SIMPLE": True, "NAXIS1": 0, "GCOUNT": 3}, 2 * 3 * 5),
        ({"BITPIX": -64}, 120),
        ({"NAXIS": 0}, 0),
        ({"NAXIS1": 0}, 0),
    ],
)
def test_data_size_of_follows_the_standard(more, size):
    found = keys(**more)
    assert data_size_of(found, shape_of(found)) == size


@pytest.mark.parametrize("length", [67, 68, 69, 100, 300])
def test_form_keywords_join_a_name_that_is_continued(length):
    name = "VERY-'LONG' NAME "[: length % 17 + 1] * 20
    header = fits.Header([("XTENSION", "IMAGE"), ("EXTNAME", name[:length])])
    header["EXTVER"] = 2
    found = form_keywords(header.tostring().encode())
    assert (found["EXTNAME"], found["EXTVER"]) == (name[:length].strip(), 2)


@pytest.mark.parametrize("follows", ["EXTVER  = 1", "CONTINUE  7", "CONTINUE"])
def test_form_keywords_of_a_name_that_only_seems_continued(follows):
    assert form_keywords(header_of("EXTNAME = 'A&'", follows))["EXTNAME"] == "A&"


def test_form_keywords_in_lower_case_count():
    raw = header_of("bitpix  = 16", "Naxis   = 2", "bzero   = 32768", "zbitpix = 8")
    assert form_keywords(raw) == {
        "BITPIX": 16, "NAXIS": 2, "BZERO": 32768, "ZBITPIX": 8,
    }  # fmt: skip


def test_form_keywords_behind_a_card_that_only_begins_like_end_count():
    raw = header_of("BITPIX  = 16", "END     = 3", "BZERO   = 32768")
    assert form_keywords(raw + header_of("BSCALE  = 2")) == {
        "BITPIX": 16, "BZERO": 32768,
    }  # fmt: skip
