"""A header of which only a few values are wanted, found in its bytes."""

import functools
import logging
import re
from typing import Any, TypeAlias

from astropy.io import fits

from ndmapper.io.cards import HeaderPlace, parse_header, printable
from ndmapper.io.formkeys import card_value, with_upper
from ndmapper.io.headers import StoredHeader

__all__ = ["HeaderValues", "QuickHeader", "values_of"]

log = logging.getLogger(__name__)

_CARD = 80
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
