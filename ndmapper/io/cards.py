"""
Header cards as they are in real files: any byte, and values that cannot be parsed.

A card that breaks the standard is shown as astropy shows it, with '?' for what is no
printable ASCII, and is written back byte for byte unless it is modified.
"""

import functools
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from astropy.io import fits
from astropy.io.fits import Header

from ndmapper.errors import CardError

__all__ = [
    "HeaderPlace",
    "OddCard",
    "UnreadableCardError",
    "card_bytes",
    "find_end",
    "header_size",
    "join_cards",
    "parse_header",
    "printable",
]

UnreadableCardError = fits.VerifyError
"""Raised on access to the value of a card that breaks the standard."""

_CARD = 80
_BLOCK = 2880
_END_CARD = b"END".ljust(_CARD)

_TEXT = rb"'(?:[ -&(-~]|'')*'"
_VALUE = (
    rb" *(?:" + _TEXT + rb"|[TF]|[+-]?(?:\d+\.?\d*|\.\d+)(?:[ED][+-]?\d+)?)?"
    rb" *(?:/[ -~]*)?"
)
_CLEAN = re.compile(
    rb"(?=[A-Z0-9_ -]{8}= )(?!CONTINUE)[A-Z0-9_-]+ *= " + _VALUE
    + rb"|(?:COMMENT |HISTORY | {8})[ -~]*"
    + rb"|HIERARCH [A-Z0-9_. -]+= " + _VALUE
    + rb"|CONTINUE  *" + _TEXT + rb" *(?:/[ -~]*)?"
)  # fmt: skip
"""A card of which astropy changes nothing when it shows or writes it."""

_HAS_TEXT = re.compile(rb"(?:HIERARCH [^=]*|.{8})= *'", re.DOTALL)
_ODD_BYTE = re.compile(rb"[^ -~]")
_QUOTED = re.compile(rb"'(?:[^']|'')*'")
_CONTROL = bytes([*range(0x21), 0x7F])
_BLANK_FOR_CONTROL = bytes(0x20 if b in _CONTROL else b for b in range(256))


class HeaderPlace(NamedTuple):
    """Where a header stands, for errors about its cards."""

    path: str
    hdu: int  # position of the HDU
    name: str

    def __str__(self) -> str:
        name = f" ({self.name})" if self.name else ""
        return f"HDU {self.hdu}{name} of {self.path}"


class UnparsableCardError(CardError, fits.VerifyError):  # type: ignore[misc]
    """The value of a card cannot be parsed; also the exception of astropy."""


class OddCard(fits.Card):  # type: ignore[misc]
    """A card that breaks the standard, or that astropy would write in another way."""

    stored: bytes = b""  # the card as it is in the file
    place: HeaderPlace | None = None

    @property
    def is_set(self) -> bool:
        """Whether its value, keyword or comment was set."""
        return bool(self._modified)

    @property
    def image(self) -> str:
        """The text of the card as astropy shows it; reading it changes nothing."""
        if self.is_set:
            return str(super().image)
        text = printable(self.stored).decode("ascii")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return str(fits.Card.fromstring(text).image)
            except (ValueError, fits.VerifyError):
                return text

    @property
    def value(self) -> Any:
        """The value; one that cannot be parsed is an error that names the card."""
        try:
            return super().value
        except (ValueError, fits.VerifyError) as err:
            text = printable(self.stored).decode("ascii").rstrip()
            where = "a header" if self.place is None else str(self.place)
            msg = (
                f"the card {text!r} in {where} cannot be read: its value must be a "
                "number, T, F or a text in quotes; set the keyword "
                f"{self.keyword!r}, or correct the file"
            )
            raise UnparsableCardError(msg) from err

    @value.setter
    def value(self, value: Any) -> None:
        fits.Card.value.fset(self, value)

    @value.deleter
    def value(self) -> None:
        fits.Card.value.fdel(self)

    @property
    def comment(self) -> str:
        """The comment; none where it cannot be told from a value that is unreadable."""
        try:
            return str(super().comment)
        except (ValueError, fits.VerifyError):
            return ""

    @comment.setter
    def comment(self, comment: Any) -> None:
        fits.Card.comment.fset(self, comment)

    @comment.deleter
    def comment(self) -> None:
        fits.Card.comment.fdel(self)


def card_bytes(card: fits.Card) -> bytes:
    """Return a card as bytes, unchanged if it was read from a file and not modified."""
    if isinstance(card, OddCard) and not card.is_set:
        return card.stored
    # Card.image, the public way, corrects what breaks the standard also in a card that
    # was not modified, and takes longer than all else that a save does with a header.
    if card._image is not None and not card._modified:
        image = card._image
    else:
        image = card.image
    size = -(-len(image) // _CARD) * _CARD
    return image.encode("latin-1").ljust(size)  # type: ignore[no-any-return]


def printable(card: bytes) -> bytes:
    """
    Replace what is not printable ASCII, without a change of length.

    Control characters around values, with which some programs pad, become blanks, all
    others "?".
    """
    if _ODD_BYTE.search(card) is None:
        return card
    if len(card) > _CARD:
        pieces = (card[at : at + _CARD] for at in range(0, len(card), _CARD))
        return b"".join(map(printable, pieces))
    keyword = _ODD_BYTE.sub(b"?", card[:8].rstrip(_CONTROL)).ljust(8)[: len(card)]
    quoted = _QUOTED.search(card, 9) if card[8:9] == b"=" else None
    start, end = (len(card), len(card)) if quoted is None else quoted.span()
    before, after = (
        _ODD_BYTE.sub(b"?", x.translate(_BLANK_FOR_CONTROL))
        for x in (card[8:start], card[end:])
    )
    return keyword + before + _ODD_BYTE.sub(b"?", card[start:end]) + after


def find_end(raw: bytes) -> int | None:
    """Return the offset of the END card; None if there is none."""
    at = raw.find(_END_CARD)
    while at != -1 and at % _CARD:
        at = raw.find(_END_CARD, at + 1)
    return None if at == -1 else at


def header_size(raw: bytes) -> int:
    """Return the number of bytes before the END card."""
    end = find_end(raw)
    return len(raw) - len(raw) % _CARD if end is None else end


def join_cards(cards: Iterable[bytes]) -> bytes:
    """Join cards to a header with END, padded to whole blocks."""
    raw = b"".join(cards) + _END_CARD
    return raw.ljust(-(-len(raw) // _BLOCK) * _BLOCK)


def parse_header(raw: bytes, place: HeaderPlace | None = None) -> Header:
    """Parse a header of any bytes; `card_bytes` gives its cards back unchanged."""
    end = find_end(raw) or header_size(raw)
    odd = [at for at in range(0, end, _CARD) if not _is_clean(raw[at : at + _CARD])]
    if raw.find(b"CONTINUE", 0, end) != -1:
        odd = sorted({*odd, *_falsely_continued(raw, end)})
    if not odd:
        return Header.fromstring(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # accessing such a card raises
        return _parse_odd(raw, end, odd, place)


# Cached: the extensions of a file, and the files of a night, share most cards.
@functools.lru_cache(maxsize=16384)
def _is_clean(card: bytes) -> bool:
    """Whether astropy leaves a card as it is; see bench_versions.py for its time."""
    return _CLEAN.fullmatch(card) is not None


def _falsely_continued(raw: bytes, end: int) -> Iterator[int]:
    """Find the cards before CONTINUE cards that hold no text to be continued."""
    start = 0
    for at in range(0, end, _CARD):
        if not raw.startswith(b"CONTINUE", at):
            start = at
        elif at == start + _CARD and not _HAS_TEXT.match(raw, start, at):
            yield start


def _parse_odd(
    raw: bytes, end: int, odd: Sequence[int], place: HeaderPlace | None
) -> Header:
    """Parse a header with odd cards, which begin at known offsets."""
    parsed = Header.fromstring(printable(raw[:end]) + raw[end:])
    cards: list[fits.Card] = []
    at, waiting = 0, iter([*odd, end])
    following = next(waiting)
    for card in parsed.cards:
        size = len(card_bytes(card))
        if following < at + size:
            stored = raw[at : at + size]
            cards.append(_odd(stored, place))
            while following < at + size:
                following = next(waiting)
        else:
            cards.append(card)
        at += size
    return Header(cards)


def _odd(stored: bytes, place: HeaderPlace | None) -> OddCard:
    card = OddCard.fromstring(printable(stored).decode("ascii"))
    assert isinstance(card, OddCard)
    card.stored, card.place = stored, place
    return card
