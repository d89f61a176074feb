"""
Headers of images that are compressed in tiles (FITS standard 4.0, section 10.1).

The image lies in a binary table, whose header holds the cards of the image among its
own. Either header is made from the other, byte for byte.
"""

import re
from collections.abc import Iterator

from ndmapper.io.cards import header_size, join_cards

__all__ = ["image_header", "is_dummy_primary", "table_header"]

_CARD = 80

# What the table has under another name, and what is of the table alone.
_RENAMED = {
    b"ZSIMPLE": b"SIMPLE",
    b"ZTENSION": b"XTENSION",
    b"ZBITPIX": b"BITPIX",
    b"ZNAXIS": b"NAXIS",
    b"ZEXTEND": b"EXTEND",
    b"ZPCOUNT": b"PCOUNT",
    b"ZGCOUNT": b"GCOUNT",
    b"ZBLOCKED": b"BLOCKED",
}
_OF_TABLE = re.compile(
    rb"XTENSION|BITPIX|NAXIS\d*|[PG]COUNT|TFIELDS|THEAP|CHECKSUM|DATASUM|EXTEND|BLOCKED"
    rb"|T(TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|DIM|BCOL)\d+"
    rb"|Z(IMAGE|CMPTYPE|MASKCMP|QUANTIZ|DITHER0|BLANK|SCALE|ZERO|HECKSUM|DATASUM)"
    rb"|Z(SIMPLE|TENSION|BITPIX|EXTEND|PCOUNT|GCOUNT|BLOCKED)"
    rb"|Z(NAXIS\d*|TILE\d+|NAME\d+|VAL\d+)"
)
_OF_IMAGE = re.compile(
    rb"SIMPLE|XTENSION|BITPIX|NAXIS\d*|[PG]COUNT|EXTEND|BLOCKED|GROUPS|CHECKSUM|DATASUM"
)
_PLACE = (b"ZSIMPLE", b"ZTENSION", b"ZEXTEND", b"ZBLOCKED", b"ZPCOUNT", b"ZGCOUNT")
_DUMMY = re.compile(rb"SIMPLE|BITPIX|NAXIS|EXTEND|COMMENT|CHECKSUM|DATASUM|")


def _cards(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keyword and card, of all cards before END."""
    for at in range(0, header_size(raw), _CARD):
        card = raw[at : at + _CARD]
        yield card[:8].rstrip(), card


def _card(keyword: bytes, value: bytes) -> bytes:
    return (keyword.ljust(8) + b"= " + value.rjust(20)).ljust(_CARD)


def image_header(raw: bytes) -> bytes:
    """
    Make the header of a compressed image from that of its table.

    Cards that do not give the form are copied byte for byte.
    """
    form: dict[bytes, bytes] = {}
    extend: list[bytes] = []
    rest: list[bytes] = []
    for keyword, card in _cards(raw):
        name = _RENAMED.get(keyword)
        if keyword[:6] == b"ZNAXIS" and keyword[6:].isdigit():
            name = keyword[1:]
        if name in (b"EXTEND", b"BLOCKED"):
            extend.append(name.ljust(8) + card[8:])
        elif name is not None:
            form.setdefault(name, name.ljust(8) + card[8:])
        elif not _OF_TABLE.fullmatch(keyword) and not _is_default_name(card):
            rest.append(card)
    if b"SIMPLE" in form:
        first, counts = [form[b"SIMPLE"]], []
    else:
        default = _card(b"XTENSION", b"'IMAGE   '          ")
        first = [form.get(b"XTENSION", default)]
        counts = [
            form.get(b"PCOUNT", _card(b"PCOUNT", b"0")),
            form.get(b"GCOUNT", _card(b"GCOUNT", b"1")),
        ]
    axes = sorted(
        (k for k in form if k[:5] == b"NAXIS" and k != b"NAXIS"),
        key=lambda keyword: int(keyword[5:]),
    )
    shape = [form[k] for k in (b"BITPIX", b"NAXIS", *axes) if k in form]
    return join_cards([*first, *shape, *counts, *extend, *rest])


def _is_default_name(card: bytes) -> bool:
    """Whether a card is the default EXTNAME of compressed images."""
    return card.startswith(b"EXTNAME = 'COMPRESSED_IMAGE'")


def table_header(image: bytes, table: bytes) -> bytes:
    """
    Make the header of the table of a compressed image from that of the image.

    The form comes from the header of a table that holds it; unchanged, that one is
    returned.
    """
    if image_header(table).rstrip(b" ") == image.rstrip(b" "):
        return table
    sums = (b"CHECKSUM", b"DATASUM", b"ZHECKSUM", b"ZDATASUM")
    form = [
        card
        for keyword, card in _cards(table)
        if _OF_TABLE.fullmatch(keyword) and keyword not in (*sums, *_PLACE)
    ]
    rest = [card for keyword, card in _cards(image) if not _OF_IMAGE.fullmatch(keyword)]
    at = 1 + next(i for i, card in enumerate(form) if card.startswith(b"ZIMAGE"))
    return join_cards([*form[:at], *_place(image), *form[at:], *rest])


def _place(image: bytes) -> Iterator[bytes]:
    """Yield the cards that keep whether it is a primary image, and its form."""
    for keyword, card in _cards(image):
        if keyword == b"XTENSION":
            yield b"ZTENSION" + card[8:]
        elif keyword in (b"SIMPLE", b"EXTEND", b"BLOCKED", b"PCOUNT", b"GCOUNT"):
            yield (b"Z" + keyword).ljust(8) + card[8:]


def is_dummy_primary(raw: bytes) -> bool:
    """Whether a primary header says nothing and only precedes a compressed image."""
    return all(_DUMMY.fullmatch(keyword) for keyword, _ in _cards(raw))
