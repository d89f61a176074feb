"""
Headers that are written back byte for byte unless they were changed.

What is above this layer knows headers by this module alone, so it offers `Header`,
`card_bytes` and `UnreadableCardError` beside its own names, eleven in all.
"""

import logging
import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from astropy.io import fits
from astropy.io.fits import Header

from ndmapper.io.cards import (
    HeaderPlace,
    UnreadableCardError,
    card_bytes,
    join_cards,
    parse_header,
)

__all__ = [
    "Header",
    "StoredHeader",
    "UnreadableCardError",
    "as_header",
    "card_bytes",
    "cards_by_keyword",
    "changed_keywords",
    "is_array_keyword",
    "is_form_keyword",
    "is_frame_keyword",
    "whole_header",
]

log = logging.getLogger(__name__)

_ARRAY_KEYWORD = re.compile(
    r"(BUNIT|WCSAXES|WCSNAME|WCSDIM|LONPOLE|LATPOLE|CNAME\d+|CTYPE\d+|CUNIT\d+|CRPIX\d+"
    r"|CRVAL\d+|CDELT\d+|CROTA\d+|CRDER\d+|CSYER\d+|CZPHS\d+|CPERI\d+"
    r"|(CD|PC|PV|PS|LTM|WAT)\d+_\d+|LTV\d+|[AB]P?_\w+)[A-Z]?"
    r"|(CD|PC)\d{6}|WAXMAP\d+"
    r"|(C[PQ]DIS|C[PQ]ERR|D2IMDIS|D2IMERR)\d|(DP|DQ|D2IM)\d(\..+)?|AXISCORR|D2IMEXT"
)
_FRAME_KEYWORD = re.compile(
    r"(RADESYS|RADECSYS|EQUINOX|EPOCH|SPECSYS|SSYSOBS|SSYSSRC|VELOSYS|VELANGL|ZSOURCE"
    r"|RESTFRQ|RESTFREQ|RESTWAV)[A-Z]?"
    r"|VELREF|DC-FLAG|COEFF[01]|APNUM\d+|APID\d+"
    r"|PLT(RA|DEC)\w+|PLTSCALE|PPO\d|[XY]PIXELSZ|CNPIX\d|AMD[XY]\d+"
)
_FORM_KEYWORD = re.compile(r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|BSCALE|BZERO|BLANK")


def whole_header(cards: Iterable[fits.Card]) -> bytes:
    """Join cards to a header with END, padded to whole blocks."""
    return join_cards(map(card_bytes, cards))


class StoredHeader:
    """A header of a file, parsed on first access; edits are noted before that."""

    def __init__(
        self,
        raw: bytes | None = None,
        header: Header | None = None,
        place: HeaderPlace | None = None,
        kind: str | None = None,
    ) -> None:
        self.raw = raw
        self.place = place
        # Of an uncertainty: of which kind of it the file has the array.
        self.kind = kind
        self._header = header
        self._edits: tuple[Callable[[Header], None], ...] = ()

    @property
    def header(self) -> Header:
        """The header; what is set in it is written by the next save."""
        if self._header is None:
            self._header = self.pristine()
            for edit in self._edits:
                edit(self._header)
            self._edits = ()
        return self._header

    @header.setter
    def header(self, value: Header) -> None:
        self._header = value
        self._edits = ()

    def edit(self, edit: Callable[[Header], None]) -> None:
        """Change the header now if it is parsed, else when it is."""
        if self._header is None:
            self._edits += (edit,)
        else:
            edit(self._header)

    @property
    def is_parsed(self) -> bool:
        """Whether the header object exists, so that it may have been changed."""
        return self._header is not None

    @property
    def is_touched(self) -> bool:
        """Whether it would be written differently from what is stored."""
        if self._header is None and not self._edits:
            return False
        if self.raw is None:
            return True
        return _cards(self.header) != _cards(self.pristine())

    def pristine(self) -> Header:
        """Parse the header as stored."""
        if self.raw is None:
            return Header()
        return parse_header(self.raw, self.place)

    def copy(self) -> "StoredHeader":
        """Copy the header; changes to one never show in the other."""
        if self._header is None:
            new = StoredHeader(self.raw, None, self.place, self.kind)
            new._edits = self._edits
            return new
        return StoredHeader(self.raw, self._header.copy(), self.place, self.kind)

    def rebase(self, raw: bytes) -> None:
        """Take over what a save wrote, keeping the identity of the header object."""
        self.raw = raw
        self._edits = ()
        if self._header is not None:
            self._header.clear()
            for card in self.pristine().cards:
                self._header.append(card, end=True)


def _cards(header: Header) -> list[bytes]:
    return [card_bytes(card) for card in header.cards]


def changed_keywords(stored: StoredHeader) -> set[str]:
    """List the keywords that differ between two headers."""
    now, before = cards_by_keyword(stored.header), cards_by_keyword(stored.pristine())
    return {k for k in now.keys() | before.keys() if now.get(k) != before.get(k)}


def cards_by_keyword(header: Header) -> dict[str, list[bytes]]:
    """Group the cards of a header by keyword."""
    found: dict[str, list[bytes]] = {}
    for card in header.cards:
        found.setdefault(card.keyword, []).append(card_bytes(card))
    return found


def is_array_keyword(keyword: str) -> bool:
    """Whether a keyword describes the pixels: coordinates and unit."""
    return _ARRAY_KEYWORD.fullmatch(keyword) is not None


def is_frame_keyword(keyword: str) -> bool:
    """Whether a keyword of the coordinates may be that of the whole file as well."""
    return _FRAME_KEYWORD.fullmatch(keyword) is not None


def is_form_keyword(keyword: str) -> bool:
    """Whether a keyword says how the pixels are stored."""
    return _FORM_KEYWORD.fullmatch(keyword) is not None


def as_header(meta: Any) -> Header:
    """Make a Header of any mapping."""
    if isinstance(meta, Header):
        return meta.copy()
    header = Header()
    for key, value in dict(meta or {}).items():
        keyword = str(key)
        if len(keyword) > 8:
            keyword = f"HIERARCH {keyword}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                header[keyword] = value
        except (ValueError, TypeError, fits.VerifyError, Warning) as err:
            log.warning("left %r out of a header: %s", key, err)
    return header
