"""A header of which only a few values are wanted, found in its bytes."""

import functools
import re
from typing import Any

from astropy.io import fits

from ndmapper.io.formkeys import card_value

__all__ = ["QuickHeader"]

_CARD = 80

# A hierarchical keyword, as ESO and others write long ones: nothing of it is escaped.
_HIERARCHICAL = re.compile(rb"HIERARCH +(.+?) *= *(.*)", re.DOTALL)


class QuickHeader:
    """
    The values of a header, looked for when somebody asks.

    Parameters
    ----------
    raw : bytes
        The header as stored.

    Notes
    -----
    To make a card object of each of the hundreds or thousands of cards takes far
    longer than to find a dozen of them. Hierarchical keywords, of which there are most,
    are searched for one by one.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._whole: fits.Header | None = None
        self._cards: dict[bytes, int] | None = None

    def get(self, key: str, /) -> Any:
        """
        Give the value of the first card with a keyword.

        Parameters
        ----------
        key : str
            The keyword, a hierarchical one without HIERARCH.

        Returns
        -------
        object
            Its value; None where there is no such card, or none can be understood.
        """
        pattern, hierarchical = _pattern(key)
        if not hierarchical:
            if self._cards is None:
                raw = self.raw
                places = range(len(raw) - _CARD, -1, -_CARD)
                # Backwards, so that of several cards the first one stays.
                self._cards = {raw[at : at + 9]: at for at in places}
            found = self._cards.get(pattern)
            return None if found is None else self._value(key, found, False)
        at = self.raw.find(pattern)
        while at != -1:
            after = self.raw[at + len(pattern) : at + _CARD].lstrip()
            if at % _CARD == 0 and after.startswith(b"="):
                return self._value(key, at, True)
            at = self.raw.find(pattern, at + 1)
        return None

    def _value(self, key: str, at: int, hierarchical: bool) -> Any:
        if self.raw.startswith(b"CONTINUE", at + _CARD):
            # A long text goes on over several cards, which astropy joins.
            if self._whole is None:
                self._whole = fits.Header.fromstring(self.raw)
            return self._whole.get(key)
        card = self.raw[at : at + _CARD]
        return _hierarchical_value(card) if hierarchical else card_value(card)


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
