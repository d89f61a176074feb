"""A header of which only a few values are wanted, found in its bytes."""

import functools
import logging
import math
import re
import struct
from typing import Any, TypeAlias

from astropy.io import fits

from ndmapper.io.cards import HeaderPlace, parse_header, printable
from ndmapper.io.headers import StoredHeader

__all__ = [
    "HeaderValues",
    "QuickHeader",
    "card_value",
    "data_size_of",
    "form_keywords",
    "shape_of",
    "tiled_keywords",
    "values_of",
    "with_upper",
]


log = logging.getLogger(__name__)

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


# So many keywords are searched for before all are sorted.
_FEW = 4

# A hierarchical keyword, as ESO and others write long ones: nothing of it is escaped.
_HIERARCHICAL = re.compile(rb"HIERARCH +(.+?) *= *(.*)", re.DOTALL)

_LOWER = re.compile(rb"(?:.{80})*?[^a-z]{0,7}[a-z]", re.DOTALL)
"""A card with a lower-case letter in its keyword."""


class QuickHeader:
    """
    The values of a header, searched for in its bytes on access.

    Parsing each of hundreds or thousands of cards takes far longer than finding a dozen
    of them. Hierarchical keywords, which most are, are searched for one by one.
    """

    def __init__(self, raw: bytes, place: HeaderPlace | None = None) -> None:
        self.raw = raw
        self.place = place
        self._whole: fits.Header | None = None
        self._cards: dict[bytes, int] | None = None
        self._asked = 0
        self._is_upper = False
        self._said: set[str] = set()

    def get(self, key: str, /) -> Any:
        """Return the value of the first card with a keyword."""
        found = self._get(key)
        if found is None and not self._is_upper:
            self._is_upper = True
            if _LOWER.match(self.raw):  # against the standard, and read all the same
                self.raw, self._cards = with_upper(self.raw), None
                return self._get(key)
        return found

    def _get(self, key: str) -> Any:
        pattern, hierarchical = _pattern(key)
        if hierarchical:
            return self._hierarchical(key, pattern)
        if self._cards is None:
            self._asked += 1
            if self._asked <= _FEW:
                at = self.raw.find(pattern)
                while at % _CARD and at != -1:
                    at = self.raw.find(pattern, at + 1)
                return None if at == -1 else self._value(key, at)
            raw = self.raw
            # Backwards, so that of several cards the first one stays.
            places = range(len(raw) - _CARD, -1, -_CARD)
            self._cards = {raw[at : at + 9]: at for at in places}
        found = self._cards.get(pattern)
        return None if found is None else self._value(key, found)

    def _hierarchical(self, key: str, pattern: bytes) -> Any:
        at = self.raw.find(pattern)
        while at != -1:
            after = self.raw[at + len(pattern) : at + _CARD].lstrip()
            if at % _CARD == 0 and after.startswith(b"="):
                value = _hierarchical_value(self.raw[at : at + _CARD])
                return self._whole_value(key, at, value)
            at = self.raw.find(pattern, at + 1)
        return None

    def _value(self, key: str, at: int) -> Any:
        value = card_value(self.raw[at : at + _CARD])
        if value is None or type(value) is str:
            return self._whole_value(key, at, value)
        return value

    def _say_unreadable(self, key: str, at: int) -> None:
        card = self.raw[at : at + _CARD]
        if key in self._said or not card.partition(b"=")[2].partition(b"/")[0].strip():
            return  # a card without a value is no mistake
        self._said.add(key)
        text = printable(card).decode("ascii").rstrip()
        log.warning(
            "the card %r in %s cannot be read; it counts as missing", text, self.place
        )

    def _whole_value(self, key: str, at: int, value: Any) -> Any:
        """Join a string with its CONTINUE cards as astropy does."""
        if value is None and self.place is not None:
            self._say_unreadable(key, at)
        if type(value) is not str or value[-1:] != "&":
            return value
        if not self.raw.startswith(b"CONTINUE", at + _CARD):
            return value
        if self._whole is None:
            self._whole = parse_header(self.raw)
        return self._whole.get(key)


@functools.lru_cache(maxsize=1024)
def _pattern(key: str) -> tuple[bytes, bool]:
    word = key.upper().encode("latin-1", "replace")
    if len(word) > 8 or b" " in word:
        return b"HIERARCH " + word, True
    return word.ljust(8) + b"=", False


@functools.lru_cache(maxsize=4096)
def _hierarchical_value(card: bytes) -> Any:
    match = _HIERARCHICAL.match(card)
    if match is None:
        return None
    # The same value in a short card is read by the same rules.
    short = b"VALUE   = " + match[2].rstrip()
    return card_value(short.ljust(_CARD)[: max(_CARD, len(short))])


HeaderValues: TypeAlias = QuickHeader | fits.Header
"""What has the values of a header, by ``get``."""


def values_of(stored: StoredHeader) -> HeaderValues:
    """Return the header, or a QuickHeader as long as it is not parsed."""
    if stored.raw is None or stored.is_parsed or stored.is_touched:
        header: fits.Header = stored.header
        return header
    return QuickHeader(stored.raw)
