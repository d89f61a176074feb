"""
The few keywords that give the form and the name of an HDU.

They are parsed from the bytes of a header: making a Card of every card would take most
of the time of opening a file.
"""

import functools
import math
import re
import struct
from typing import Any

from astropy.io import fits

from ndmapper.io.cards import printable

__all__ = [
    "card_value",
    "data_size_of",
    "form_keywords",
    "shape_of",
    "tiled_keywords",
    "with_upper",
]

_CARD = 80
_CARDS = struct.Struct("8s72s").iter_unpack
"""Keyword and rest of each card, without a slice for each (bench_versions.py)."""

_FORM = [
    "SIMPLE",
    "XTENSION",
    "BITPIX",
    "NAXIS",
    *(f"NAXIS{i}" for i in range(1, 1000)),
    "PCOUNT",
    "GCOUNT",
    "GROUPS",
    "EXTNAME",
    "EXTVER",
    "BSCALE",
    "BZERO",
    "BLANK",
    "ZIMAGE",
    "ZSIMPLE",
    "ZBITPIX",
    "ZBLANK",
    "ZNAXIS",
    *(f"ZNAXIS{i}" for i in range(1, 1000)),
    "EXTEND",
    "INHERIT",
    # What an extension is, where its name does not tell.
    "HDUCLAS2",
    "HDUCLAS3",
    "SCIDATA",
    "ERRDATA",
    "QUALDATA",
    "IMAGETYP",
    "BUNIT",
    "UTYPE",
]
_WANTED = {keyword.encode().ljust(8): keyword for keyword in _FORM}
_OF_PIXELS = (b"BITPIX", b"NAXIS", b"BSCALE", b"BZERO", b"BLANK", b"ZBITPIX", b"ZNAXIS")
_END = b"END".ljust(8)

# Whole numbers, plain text and logical values, as most cards are written.
_FIXED = re.compile(rb"= *(?:(-?\d+)|'([ -&(-~]*)'|([TF])) *(?:/.*)?")

# The table that the coordinates of an axis lie in.
_TABLE_NAME = re.compile(rb"PS\d+_0[A-Z ]? *= *'([^']*)'")

_BITPIX = (8, 16, 32, 64, -32, -64)


def form_keywords(raw: bytes) -> dict[str, Any]:
    """
    Read the keywords that give form and name; the first card of each counts.

    The value is None if it cannot be parsed. ``-TAB`` holds the names of tables with
    coordinates, ``-TWICE`` the keywords of pixels that further cards give other values.
    """
    found: dict[str, Any] = {}
    if not (raw[::_CARD] + raw[1::_CARD]).isupper():
        raw = with_upper(raw)
    number = 0
    for number, (keyword, rest) in enumerate(_CARDS(raw)):
        if keyword in _WANTED:
            # "= " marks a value, but the first card of a header may do with "=".
            if rest.startswith(b"= ") or number == 0:
                value = card_value(keyword + rest)
                if type(value) is str and value[-1:] == "&":
                    value = _long_value(raw, number * _CARD, value)
                known = found.setdefault(_WANTED[keyword], value)
                if known != value and keyword.startswith(_OF_PIXELS):
                    found["-TWICE"] = (*found.get("-TWICE", ()), _WANTED[keyword])
        elif keyword == _END and not rest.strip():
            break  # `END     = 3` is a card like any other
    if raw.find(b"-TAB", 0, number * _CARD) != -1:  # what follows are only blanks
        names = (name.decode("latin-1") for name in _TABLE_NAME.findall(raw))
        found["-TAB"] = tuple(name.strip().upper() for name in names)
    return found


def with_upper(raw: bytes) -> bytes:
    """Return a header with its keywords in upper case."""
    cards = (raw[at : at + _CARD] for at in range(0, len(raw), _CARD))
    return b"".join(card[:8].upper() + card[8:] for card in cards)


def _long_value(raw: bytes, at: int, value: str) -> Any:
    """Join a string with its CONTINUE cards."""
    end = at + _CARD
    while raw.startswith(b"CONTINUE  ", end):
        end += _CARD
    joined = None if end == at + _CARD else card_value(raw[at:end])
    return value if joined is None else joined


# Cached: the extensions of a file, and the files of a night, share most cards.
@functools.lru_cache(maxsize=4096)
def card_value(card: bytes) -> Any:
    """Parse a card, or several with CONTINUE; None if that fails, strings stripped."""
    if fixed := _FIXED.fullmatch(card, 8):
        number, text, logical = fixed.groups()
        if number is not None:
            return int(number)
        return logical == b"T" if text is None else text.decode("ascii").strip()
    try:
        value = fits.Card.fromstring(printable(card)).value
    except (ValueError, fits.VerifyError):
        return None
    return value.strip() if isinstance(value, str) else value


def shape_of(keys: dict[str, Any]) -> tuple[int, ...] | None:
    """Return the shape of the data in the order of Python; None if it is unclear."""
    naxis: Any = keys.get("NAXIS")
    if type(naxis) is not int or not 0 <= naxis <= 999:
        return None
    if keys.get("BITPIX") not in _BITPIX:
        return None
    shape = tuple([keys.get(f"NAXIS{i}", -1) for i in range(naxis, 0, -1)])
    for count in (*shape, keys.get("GCOUNT", 1), keys.get("PCOUNT", 0)):
        if type(count) is not int or count < 0:  # a logical value is no number
            return None
    return shape


def data_size_of(keys: dict[str, Any], shape: tuple[int, ...]) -> int:
    """Return the size of the data in bytes (section 6.1 of the standard)."""
    if not shape:
        return 0
    has_groups = keys.get("GROUPS") is True
    if has_groups and shape[-1] == 0:
        shape = shape[:-1]
    width, elements = abs(int(keys["BITPIX"])) // 8, math.prod(shape)
    if "SIMPLE" in keys and not has_groups:
        return width * elements  # PCOUNT and GCOUNT mean nothing here
    groups, extra = int(keys.get("GCOUNT", 1)), int(keys.get("PCOUNT", 0))
    return width * groups * (extra + elements)


def tiled_keywords(keys: dict[str, Any]) -> dict[str, Any] | None:
    """Return the keywords of a compressed image; None for any other HDU."""
    if keys.get("ZIMAGE") is not True or keys.get("XTENSION") != "BINTABLE":
        return None
    image = {k: v for k, v in keys.items() if k[:1] != "Z" and k[:5] != "NAXIS"}
    image |= {k[1:]: v for k, v in keys.items() if k[:6] == "ZNAXIS" or k == "ZBITPIX"}
    image |= {"PCOUNT": 0, "GCOUNT": 1}
    if "ZBLANK" in keys:
        image.setdefault("BLANK", keys["ZBLANK"])  # which counts for integers alone
    if keys.get("ZSIMPLE") is True:
        del image["XTENSION"]
        image["SIMPLE"] = True
    else:
        image["XTENSION"] = "IMAGE"
    if image.get("EXTNAME") == "COMPRESSED_IMAGE":
        del image["EXTNAME"]
    return None if not shape_of(image) else image
