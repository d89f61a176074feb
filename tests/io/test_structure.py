import numpy as np
import pytest
from shared_helpers import empty_primary

from ndmapper.io.hdu import array_header, stored_form
from ndmapper.io.headers import Header, StoredHeader


def header_of(stored, array, **options):
    raw = array_header(stored, stored_form(array), **{"primary": False, **options})
    return Header.fromstring(raw)


def test_array_header_of_nothing_has_the_form_in_order():
    header = header_of(Header(), np.zeros((2, 3), "f4"), name="SCI", version=1)
    assert list(header) == [
        "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT",
        "EXTNAME", "EXTVER", "INHERIT",
    ]  # fmt: skip


def test_array_header_right_cards_come_back_with_their_padding():
    raw = array_header(
        Header({"A": 1}), stored_form(np.zeros(3)), primary=False, name="X"
    )
    longer = raw.ljust(len(raw) + 2880)
    assert (
        array_header(StoredHeader(longer), stored_form(np.zeros(3)), primary=False)
        == longer
    )


@pytest.mark.parametrize(
    ("dtype", "scaling"),
    [
        ("f4", {}),
        ("i2", {}),
        ("u2", {"BSCALE": 1, "BZERO": 32768}),
        ("i1", {"BSCALE": 1, "BZERO": -128}),
    ],
)
def test_array_header_scaling_of_another_type_is_replaced(dtype, scaling):
    old = Header({"BSCALE": 0.5, "BZERO": 7, "BLANK": 3, "OBJECT": "x"})
    header = header_of(old, np.zeros(3, dtype))
    assert {
        k: header[k] for k in ("BSCALE", "BZERO", "BLANK") if k in header
    } == scaling
    assert header["OBJECT"] == "x"


def test_array_header_checksums_of_other_bytes_are_dropped():
    header = header_of(Header({"CHECKSUM": "abc", "DATASUM": "1"}), np.zeros(3))
    assert "CHECKSUM" not in header
    assert "DATASUM" not in header


def test_array_header_duplicates_and_comments_stay():
    old = Header()
    old.append(("OBSTYPE", "OBJECT", "first"))
    old.append(("OBSTYPE", 1, "second"))
    old.add_comment("a comment")
    header = header_of(old, np.zeros(3))
    assert [header[("OBSTYPE", i)] for i in (0, 1)] == ["OBJECT", 1]
    assert list(header["COMMENT"]) == ["a comment"]


@pytest.mark.parametrize(
    ("unit", "expected"), [(None, "adu"), ("electron", "electron"), ("", None)]
)
def test_array_header_unit(unit, expected):
    header = header_of(Header({"BUNIT": "adu"}), np.zeros(3), unit=unit)
    assert header.get("BUNIT") == expected


def test_array_header_primary_cards_become_an_extension():
    old = Header({"SIMPLE": True, "BITPIX": 16, "NAXIS": 0, "EXTEND": True, "A": 1})
    header = header_of(old, np.zeros((2, 2), "i2"))
    assert next(iter(header)) == "XTENSION"
    assert "SIMPLE" not in header
    assert "EXTEND" not in header


def test_empty_primary_takes_the_axes_out():
    old = Header(
        {"SIMPLE": True, "BITPIX": 16, "NAXIS": 1, "NAXIS1": 5, "BZERO": 32768}
    )
    header = Header.fromstring(empty_primary(old))
    assert (header["NAXIS"], "NAXIS1" in header, "BZERO" in header) == (0, False, False)
