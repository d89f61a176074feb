"""
CHECKSUM and DATASUM (FITS standard 4.0, section 4.4.2.7 and appendix J).

Both are sums of 32-bit words in ones' complement arithmetic. That of a whole HDU is
brought to minus zero by the sixteen characters of CHECKSUM.
"""

import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ndmapper.io.cards import header_size
from ndmapper.io.filemap import FileMap, HduMap, Tail, map_file, padded
from ndmapper.io.hdu import HduOut
from ndmapper.io.quickheader import card_value
from ndmapper.io.temporary import staging_name
from ndmapper.io.write import write_hdus

__all__ = ["Damage", "DataSum", "take_sums_out", "with_checksums"]

log = logging.getLogger(__name__)

_CARD = 80
_CHUNK = 1 << 22
_NOTHING = "0" * 16
# Not letters and digits, which are all that may stand in CHECKSUM.
_PUNCTUATION = frozenset(range(0x3A, 0x41)) | frozenset(range(0x5B, 0x61))


class Damage(NamedTuple):
    """An HDU whose data do not have the checksum in their header."""

    hdu: int
    what: str  # what was expected and found


class DataSum:
    """The checksum of a data unit, accumulated while it is read for another purpose."""

    def __init__(self, hdu: HduMap, total: int = 0) -> None:
        self._hdu = hdu
        self._total = total
        self._rest = b""
        self._stated = [value for card in _stated(hdu) if (value := _number(card, hdu))
                        is not None]  # fmt: skip
        self.is_wanted = bool(self._stated)

    def add(self, content: bytes) -> None:
        """Add a piece of the data, or of their padding."""
        if self._rest:
            content = self._rest + content
        whole = len(content) // 4 * 4
        self._rest = content[whole:]
        self._total = _add(self._total, _sum(memoryview(content)[:whole]))

    def damage(self) -> Damage | None:
        """Compare with DATASUM, when all was added."""
        total = _add(self._total, _sum(self._rest.ljust(-(-len(self._rest) // 4) * 4,
                                                        b"\0")))  # fmt: skip
        # There are two ways to write zero in ones' complement.
        if not self._stated or any(
            n == total or {n, total} == {0, 0xFFFFFFFF} for n in self._stated
        ):
            return None
        stated = " and ".join(map(str, self._stated))
        return Damage(
            self._hdu.index,
            f"{_where(self._hdu)}: DATASUM says {stated}, its data have {total}",
        )


def _where(hdu: HduMap) -> str:
    return f"HDU {hdu.index} ({hdu.name or 'no name'})"


def _stated(hdu: HduMap) -> Iterator[bytes]:
    """Return the DATASUM cards of a header."""
    raw = hdu.raw
    at = raw.find(b"DATASUM =")
    while at != -1:
        if not at % _CARD:
            yield raw[at : at + _CARD]
        at = raw.find(b"DATASUM =", at + 1)


def _number(card: bytes, hdu: HduMap) -> int | None:
    """Parse DATASUM; None if it is empty or no number of 32 bits."""
    value = card_value(card)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip() if isinstance(value, (str, int, float)) else ""
    if not text:
        return None
    if text.isascii() and text.isdigit() and (number := int(text)) < 1 << 32:
        return number
    log.warning(
        "%s: %s has the DATASUM %r, which is no sum; its data are not checked",
        hdu.source.path, _where(hdu), value,
    )  # fmt: skip
    return None


def take_sums_out(path: Path, damaged: Collection[Damage]) -> None:
    """
    Remove wrong checksums from a file that is being made.

    They came with an HDU that was copied, or an external tool left them behind; the
    file itself is right.
    """
    right = staging_name(path)
    write_hdus(right, _without(map_file(path), [one.hdu for one in damaged]))
    right.replace(path)


def _without(
    fmap: FileMap, which: Collection[int]
) -> Iterator[HduOut | HduMap | bytes | Tail]:
    """Yield the HDUs of a file without their wrong checksums."""
    for hdu in fmap.hdus:
        if hdu.before:
            yield hdu.before
        if hdu.index not in which:
            yield HduOut(hdu.raw, hdu)
            continue
        raw = hdu.raw
        cards = [raw[at : at + _CARD] for at in range(0, header_size(raw), _CARD)]
        sums = (b"CHECKSUM", b"DATASUM ")
        yield HduOut(_padded([card for card in cards if card[:8] not in sums]), hdu)
    if fmap.tail is not None:
        yield fmap.tail


def with_checksums(
    fmap: FileMap, target: Path | None = None
) -> Iterator[HduOut | bytes | Tail]:
    """Yield the HDUs of a file with their checksums; a wrong one is warned of."""
    for hdu in fmap.hdus:
        if hdu.before:
            yield _summed(hdu.before, 0)
        total = _data_sum(hdu)
        if (damage := DataSum(hdu, total).damage()) is not None:
            log.warning(
                "%s may be damaged: %s. Its new checksums are of what is there now",
                target or fmap.source.path, damage.what,
            )  # fmt: skip
        yield HduOut(_summed(hdu.raw, total), hdu)
    if fmap.tail is not None:
        yield fmap.tail


def _summed(raw: bytes, data_sum: int) -> bytes:
    """Set the checksums in a header."""
    cards = [raw[at : at + _CARD] for at in range(0, header_size(raw), _CARD)]
    _set(cards, "DATASUM", str(data_sum).ljust(8), "data unit checksum")
    _set(cards, "CHECKSUM", _NOTHING, "HDU checksum")
    header = _padded(cards)
    text = _letters(~_add(_sum(header), data_sum) & 0xFFFFFFFF)
    _set(cards, "CHECKSUM", text, "HDU checksum")
    return _padded(cards)


def _set(cards: list[bytes], keyword: str, value: str, comment: str) -> None:
    card = f"{keyword:8}= '{value}'".ljust(30) + f" / {comment}"
    new = card.encode("ascii").ljust(_CARD)
    for i, old in enumerate(cards):
        if old[:8].rstrip() == keyword.encode():
            cards[i] = new
            return
    cards.append(new)


def _padded(cards: list[bytes]) -> bytes:
    raw = b"".join(cards) + b"END".ljust(_CARD)
    return raw.ljust(padded(len(raw)))


def _data_sum(hdu: HduMap) -> int:
    total = 0
    left = padded(hdu.data_size)
    if not left:
        return 0
    with hdu.source.open_data(hdu.data_offset, hdu.data_size) as stream:
        while left:
            chunk = stream.read(min(left, _CHUNK))
            if not chunk:
                break  # missing padding counts as zeros
            total = _add(total, _sum(chunk.ljust(-(-len(chunk) // 4) * 4, b"\0")))
            left -= len(chunk)
    return total


def _sum(content: bytes | memoryview) -> int:
    return _folded(int(np.frombuffer(content, ">u4").sum(dtype=np.uint64)))


def _add(one: int, other: int) -> int:
    return _folded(one + other)


def _folded(total: int) -> int:
    """Add the carries beyond 32 bits at the lower end (ones' complement)."""
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def _letters(value: int) -> str:
    """
    Encode a checksum as sixteen characters (appendix J of the standard).

    Each byte becomes four characters, a quarter of it each from "0" on, which are then
    moved in pairs, up and down, until none is a punctuation mark. The letters are
    turned by one place, since the value of a card starts at its twelfth character.
    """
    text = [0] * 16
    for i in range(4):
        byte = value >> (24 - 8 * i) & 0xFF
        quarter, rest = divmod(byte, 4)
        four = [0x30 + quarter + rest, *(0x30 + quarter,) * 3]
        while _PUNCTUATION & set(four):
            for j in (0, 2):
                if _PUNCTUATION & set(four[j : j + 2]):
                    four[j] += 1
                    four[j + 1] -= 1
        for j in range(4):
            text[4 * j + i] = four[j]
    return "".join(map(chr, text[-1:] + text[:-1]))
