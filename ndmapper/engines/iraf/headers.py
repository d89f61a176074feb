"""Headers for IRAF and back: only cards that a task changed are taken over."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ndmapper.data import DataFile, NDLater
from ndmapper.engines.iraf.installation import HEADER_LENGTH
from ndmapper.errors import StepError
from ndmapper.io.headers import Header, UnreadableCardError, card_bytes

__all__ = ["changed_keywords", "header_for", "header_from", "without_inherited"]

_STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|GROUPS|EXTEND|BSCALE|BZERO|BLANK"
    r"|EXTNAME|EXTVER|EXTLEVEL|INHERIT|NEXTEND|CHECKSUM|DATASUM|END"
)
# Cards that IRAF writes into every file.
_OF_IRAF = {
    "ORIGIN",
    "DATE",
    "IRAF-TLM",
    "IRAF-MAX",
    "IRAF-MIN",
    "IRAFNAME",
    "FILENAME",
}
_COMMENTARY = {"COMMENT", "HISTORY", ""}
_BOILERPLATE = re.compile(r"FITS \(Flexible Image Transport System\)|Astrophysics'")
# WCS cards that IRAF adds to images without coordinates.
_COORDINATES = re.compile(
    r"WCSDIM|WAT\d_\d{3}|(CD|LTM)\d_\d|LTV\d|CRPIX\d|CRVAL\d|CTYPE\d|CDELT\d|WCSAXES"
)


def header_for(df: DataFile, ndd: NDLater) -> Header:
    """
    Build the header of an image as a file of its own.

    Cards of the primary header are added, since tasks need EXPTIME or GAIN. Raises
    StepError if there are more cards than IRAF can hold.
    """
    header = Header()
    for card in ndd.meta.cards:
        if not _STRUCTURE.fullmatch(card.keyword):
            header.append(card, end=True)
    known = set(header)
    for card in df.meta.cards:
        keyword = card.keyword
        if keyword not in known | _COMMENTARY and not _STRUCTURE.fullmatch(keyword):
            header.append(card, end=True)
    if "OBJECT" in header:
        # IRAF does not double the quotes in an image title, so a neutral title is used.
        # The user's title is restored later.
        at, title = header.index("OBJECT"), str(header["OBJECT"])
        header.remove("OBJECT", remove_all=True)
        header.insert(at, ("OBJECT", re.sub("['\"]", "_", title)))
    if (count := len(header.cards)) * 81 > HEADER_LENGTH - 4096:
        msg = (
            f"the headers of {df}[{ndd.ident}] have {count} cards, more than IRAF is "
            "told to make room for; remove some first"
        )
        raise StepError(msg)
    return header


def _text(cards: Iterable[Any]) -> list[bytes]:
    return [card_bytes(card).rstrip() for card in cards]


Cards = dict[str, list[Any]]


def _by_keyword(header: Header) -> Cards:
    found: Cards = {}
    for card in header.cards:
        found.setdefault(card.keyword, []).append(card)
    return found


def _same(one: list[Any], other: list[Any]) -> bool:
    """Whether cards have the same values, ignoring comments."""
    if _text(one) == _text(other):  # fast path without parsing
        return True
    try:
        return _values(one) == _values(other)
    except UnreadableCardError:
        return False


def _values(cards: list[Any]) -> list[object]:
    found = [card.value for card in cards]
    return [v.rstrip() if isinstance(v, str) else v for v in found]


def header_from(made: Header, given: Header, own: Header) -> tuple[Header, set[str]]:
    """Apply the changes that a task made to the image's own header."""
    header = own.copy()
    in_own, in_given, in_made = set(own), _by_keyword(given), _by_keyword(made)
    for keyword in in_own - set(in_made):
        if keyword in in_given and keyword not in _COMMENTARY | _OF_IRAF:
            header.remove(keyword, ignore_missing=True, remove_all=True)
    made_up = not any(_COORDINATES.fullmatch(k) for k in in_given)
    made_up = made_up and _is_trivial(made)
    changed: set[str] = set()
    for keyword, cards in in_made.items():
        if _STRUCTURE.fullmatch(keyword) or keyword in _COMMENTARY | _OF_IRAF:
            continue
        if keyword in in_given and _same(cards, in_given[keyword]):
            continue
        if keyword not in in_given and (
            (made_up and _COORDINATES.fullmatch(keyword))
            or (keyword == "OBJECT" and not str(made[keyword]).strip())
        ):
            continue
        if keyword in in_given and keyword not in in_own:
            changed.add(keyword)
        _replace(header, keyword, cards)
    _add_commentary(header, made, given)
    return header, changed


def changed_keywords(made: Header, given: Header) -> list[str]:
    """Return the keywords that a task wrote, changed or deleted."""
    header, _ = header_from(made, given, given)
    before, after = _by_keyword(given), _by_keyword(header)
    return [
        keyword
        for keyword in dict.fromkeys([*before, *after])
        if _text(before.get(keyword, [])) != _text(after.get(keyword, []))
    ]


def _replace(header: Header, keyword: str, cards: list[Any]) -> None:
    at = header.index(keyword) if keyword in header else None
    header.remove(keyword, ignore_missing=True, remove_all=True)
    for offset, card in enumerate(cards):
        if at is None:
            header.append(card, end=True)
        else:
            header.insert(at + offset, card)


def _add_commentary(header: Header, made: Header, given: Header) -> None:
    before = set(_text(given.cards))
    for card in made.cards:
        if card.keyword not in ("COMMENT", "HISTORY"):
            continue
        is_boilerplate = _BOILERPLATE.search(str(card.value)) is not None
        if not is_boilerplate and card_bytes(card).rstrip() not in before:
            header.append(card, end=True)


def _is_trivial(header: Header) -> bool:
    """Whether coordinates are pixel coordinates."""
    for keyword in header:
        if not _COORDINATES.fullmatch(keyword) or keyword == "WCSDIM":
            continue
        value = header[keyword]
        if keyword.startswith("WAT"):
            if str(value).replace("wtype=linear", "").split("=")[0].strip() not in (
                "system", "wtype", "",
            ):  # fmt: skip
                return False
        elif keyword.startswith(("CD", "LTM")) and keyword[-3:-2] == keyword[-1]:
            if value != 1:
                return False
        elif keyword.startswith("CTYPE"):
            if str(value).strip() not in ("", "LINEAR", "PIXEL"):
                return False
        elif keyword.startswith(("CRPIX", "CRVAL", "LTV", "CD", "LTM")) and value != 0:
            return False
    return True


def without_inherited(
    header: Header, primary: Header, own: Header, above: Sequence[Header]
) -> Header | None:
    """
    Remove cards that IRAF copied from the primary header into an extension.

    A task that writes a card into both headers means both. Therefore only cards that
    were in the primary header before, and still are, count as copies.
    """
    still = _by_keyword(primary)
    before = [_by_keyword(given) for given in above]
    keywords = [
        keyword
        for keyword, cards in _by_keyword(header).items()
        if keyword in still
        and keyword not in own
        and keyword not in _COMMENTARY
        and not _STRUCTURE.fullmatch(keyword)
        and _same(cards, still[keyword])
        and any(_same(cards, given.get(keyword, [])) for given in before)
    ]
    if not keywords:
        return None
    cleaned = header.copy()
    for keyword in keywords:
        cleaned.remove(keyword, ignore_missing=True, remove_all=True)
    return cleaned
