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
    longer than to find a dozen of them.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._whole: fits.Header | None = None

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
        at = self.raw.find(pattern)
        while at != -1:
            card = self.raw[at : at + _CARD]
            if at % _CARD == 0 and (
                not hierarchical or card[len(pattern) :].lstrip().startswith(b"=")
            ):
                return self._value(key, card, at, hierarchical)
            at = self.raw.find(pattern, at + 1)
        return None

    def _value(self, key: str, card: bytes, at: int, hierarchical: bool) -> Any:
        if self.raw.startswith(b"CONTINUE", at + _CARD):
            # A long text goes on over several cards, which astropy joins.
            if self._whole is None:
                self._whole = fits.Header.fromstring(self.raw)
            return self._whole.get(key)
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
