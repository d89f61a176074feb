"""The header of a table that is written anew: cards that are right stay as they are."""

import re
import warnings
from collections.abc import Mapping
from typing import Any

from astropy.io import fits
from astropy.io.fits.column import python_to_tdisp
from astropy.table import Table

from ndmapper.io.headers import Header
from ndmapper.io.units import unit_to_text

__all__ = [
    "column_cards",
    "describe",
    "drop_sums",
    "is_same_meta",
    "put_meta",
    "renumbered",
    "set_form",
]

# Keywords of one column, which end in its number (FITS standard 4.0, sections
# 7.2.2, 7.3.2 and 8.2, and the conventions of the archives of high-energy astronomy).
_COLUMN = re.compile(
    r"(T(?:TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|DIM|BCOL|DMIN|DMAX|LMIN|LMAX|CTYP|CTY"
    r"|CUNI|CUN|CRPX|CRP|CRVL|CRV|CDLT|CDE|CROT|CRD|CSY|CNA|WCS|RPOS|COMM|UCD|UTYP))"
    r"([1-9]\d*)([A-Z]?)"
)
_SUMS = ("CHECKSUM", "DATASUM")
_COMMENTARY = ("COMMENT", "HISTORY", "")


def renumbered(header: Header, places: Mapping[int, int]) -> Header:
    """Renumber the cards of columns."""
    made = Header()
    for card in header.cards:
        match = _COLUMN.fullmatch(card.keyword)
        if match is not None:
            number = places.get(int(match[2]))
            if number is None:
                continue
            if number != int(match[2]):
                keyword = f"{match[1]}{number}{match[3]}"
                card = fits.Card(keyword, card.value, card.comment)  # noqa: PLW2901
        made.append(card, end=True)
    return made


def set_form(header: Header, form: Mapping[str, Any], new: list[fits.Card]) -> None:
    """Put the form of the rows, and the cards of new columns, into a header."""
    for keyword, value in form.items():
        if value is None:
            header.remove(keyword, ignore_missing=True)
        elif header.get(keyword) != value:
            header.set(keyword, value)
    if not new:
        return
    keywords = [card.keyword for card in header.cards]
    last = max(
        i for i, k in enumerate(keywords) if k == "TFIELDS" or _COLUMN.fullmatch(k)
    )
    for at, card in enumerate(new, start=last + 1):
        header.insert(at, card)


def drop_sums(header: Header) -> None:
    """Remove the checksums, whose bytes have changed."""
    for keyword in _SUMS:
        header.remove(keyword, ignore_missing=True)


def column_cards(header: Header) -> list[fits.Card]:
    """Find the cards of columns."""
    return [card for card in header.cards if _COLUMN.fullmatch(card.keyword)]


def describe(header: Header, number: int, column: Any, stored: Any) -> None:
    """Put what was changed about a column, apart from its values, into a header."""
    if column.unit != stored.unit:
        text = None if column.unit is None else unit_to_text(column.unit)
        _set(header, f"TUNIT{number}", text, f"TFORM{number}")
    if column.info.format != stored.info.format:
        shown = column.info.format
        if shown is not None:
            shown = python_to_tdisp(shown, logical_dtype=column.dtype == bool)
        _set(header, f"TDISP{number}", shown, f"TFORM{number}")


def _set(header: Header, keyword: str, value: str | None, after: str) -> None:
    if value is None:
        header.remove(keyword, ignore_missing=True)
    elif keyword in header:
        header[keyword] = value
    else:
        header.set(keyword, value, after=after)


def put_meta(
    header: Header, meta: Mapping[str, Any], stored: Mapping[str, Any]
) -> None:
    """Put what was changed in the ``meta`` of a table into a header."""
    # Keywords have large letters in the file.
    meta = {key if key == "comments" else key.upper(): v for key, v in meta.items()}
    # The name is that of the place in the file, whatever the table was called before.
    meta, stored = _unnamed(meta), _unnamed(stored)
    for key in stored.keys() - meta.keys():
        header.remove(_keyword(key), ignore_missing=True, remove_all=True)
    for key, value in meta.items():
        if key in _SUMS or (key in stored and _same(value, stored[key])):
            continue
        before = stored.get(key)
        old = before if isinstance(before, list) else [before] if key in stored else []
        new = value if isinstance(value, list) else [value]
        cards = _cards_of(key, new)
        if len(old) == len(cards) == 1 and cards[0].keyword not in (
            "COMMENT",
            "HISTORY",
        ):
            header[cards[0].keyword] = cards[0].value
            continue
        if len(old) < len(cards) == len(new) and _same(new[: len(old)], old):
            cards = cards[len(old) :]
        else:
            header.remove(_keyword(key), ignore_missing=True, remove_all=True)
        for card in cards:
            header.append(card, end=True)


def is_same_meta(meta: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Whether the ``meta`` of a table is as it was read."""
    meta, stored = _unnamed(meta), _unnamed(stored)
    return meta.keys() == stored.keys() and all(
        _same(value, stored[key]) for key, value in meta.items()
    )


def _unnamed(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in meta.items() if k.upper() not in ("EXTNAME", "EXTVER")}


def _keyword(key: str) -> str:
    return "COMMENT" if key == "comments" else key.upper()


def _cards_of(key: str, values: list[Any]) -> list[fits.Card]:
    """Make the cards that astropy makes of an item of ``meta``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = fits.table_to_hdu(Table({"x": [0]}, meta={key: values})).header
    plain = fits.table_to_hdu(Table({"x": [0]})).header
    return list(made.cards)[len(plain) :]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    undefined = fits.card.Undefined
    if isinstance(one, undefined) and isinstance(other, undefined):
        return True
    return type(one) is type(other) and bool(one == other or one != one)  # noqa: PLR0124
