"""
The map of a FITS file: where each header and data unit lies.

Only header blocks are read (FITS standard 4.0, sections 3.3 and 4.4.1); headers are
parsed when somebody asks for them, and data units are skipped.
"""

import logging
import os
import re
import struct
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, BinaryIO

from astropy.io import fits

from ndmapper.errors import FormatError, TruncatedFileError
from ndmapper.io.source import Source, find_source

__all__ = ["BLOCK", "FileMap", "HduMap", "map_file", "padded"]

log = logging.getLogger(__name__)

BLOCK = 2880
"""Size of a FITS block in bytes."""

_CARD = 80
_END = b"END".ljust(_CARD)
# Without an END card within this many bytes the file is taken to be no FITS file.
_LONGEST_HEADER = 200_000 * _CARD


def padded(size: int) -> int:
    """
    Round a size up to whole FITS blocks.

    Parameters
    ----------
    size : int
        Number of bytes.

    Returns
    -------
    int
        The next multiple of 2880.
    """
    return -(-size // BLOCK) * BLOCK


@dataclass(frozen=True, kw_only=True)
class HduMap:
    """
    One header and data unit of a file.

    Parameters
    ----------
    source : Source
        The file.
    index : int
        Position in the file; 0 is the primary HDU.
    raw : bytes
        The header as stored, with its padding.
    header_offset, data_offset : int
        Where header and data start, in bytes of the decompressed content.
    data_size : int
        Size of the data, in bytes, without padding.
    keys : dict
        The values of the keywords that give form and name.
    """

    source: Source
    index: int
    raw: bytes = field(repr=False)
    header_offset: int
    data_offset: int
    data_size: int
    keys: dict[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """EXTNAME in upper case, as FITS compares it; empty where there is none."""
        return str(self.keys.get("EXTNAME") or "").strip().upper()

    @property
    def version(self) -> int | None:
        """EXTVER; None where there is none."""
        value = self.keys.get("EXTVER")
        return value if isinstance(value, int) else None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array in the order of Python, the fastest axis last."""
        naxis = self.keys.get("NAXIS", 0)
        return tuple(self.keys[f"NAXIS{i}"] for i in range(naxis, 0, -1))

    @property
    def is_image(self) -> bool:
        """Whether it holds an array of pixels."""
        kind = self.keys.get("XTENSION", "IMAGE" if "SIMPLE" in self.keys else "")
        return (
            kind in ("IMAGE", "IUEIMAGE")
            and self.data_size > 0
            and self.keys.get("GROUPS") is not True
        )

    @property
    def is_table(self) -> bool:
        """Whether it holds a table (that is not an image compressed in tiles)."""
        return self.keys.get("XTENSION") in ("BINTABLE", "TABLE") and (
            self.keys.get("ZIMAGE") is not True
        )

    @cached_property
    def header(self) -> fits.Header:
        """The header, parsed; an own copy for whoever maps the file."""
        return fits.Header.fromstring(self.raw)

    def read_data(self) -> bytes:
        """
        Read the data unit.

        Returns
        -------
        bytes
            The data as stored, without padding.
        """
        return self.source.read(self.data_offset, self.data_size)

    def read_bytes(self) -> bytes:
        """
        Read the whole HDU.

        Returns
        -------
        bytes
            Header and data as stored, padded to whole blocks.
        """
        if not self.data_size:
            return self.raw
        return self.raw + self.read_data().ljust(padded(self.data_size), b"\0")


@dataclass(frozen=True)
class FileMap:
    """
    The map of one file.

    Parameters
    ----------
    source : Source
        The file as it was when it was mapped.
    hdus : tuple of HduMap
        Its HDUs in file order.
    """

    source: Source
    hdus: tuple[HduMap, ...]

    @property
    def primary(self) -> HduMap:
        """The primary HDU."""
        return self.hdus[0]


def map_file(path: str | os.PathLike[str]) -> FileMap:
    """
    Map a FITS file, reading nothing but its headers.

    Parameters
    ----------
    path : str or path
        The file, plain or compressed with gzip or bzip2.

    Returns
    -------
    FileMap
        Where everything lies.

    Raises
    ------
    MissingFileError, FileAccessError
        If the file is not there or cannot be read.
    FormatError, TruncatedFileError
        If it is not FITS, or shorter than its headers say.
    """
    source = find_source(path)
    with source.open() as stream:
        return FileMap(source, tuple(_scan(source, stream)))


def _scan(source: Source, stream: BinaryIO) -> list[HduMap]:
    end = source.size if source.compression is None else None
    hdus: list[HduMap] = []
    position = 0
    while True:
        raw = _read_header(source, stream, position, first=not hdus)
        if raw is None:
            return hdus
        keys = _keywords(raw)
        hdu = HduMap(
            source=source,
            index=len(hdus),
            raw=raw,
            header_offset=position,
            data_offset=position + len(raw),
            data_size=_data_size(source, keys, len(hdus)),
            keys=keys,
        )
        hdus.append(hdu)
        data_end = hdu.data_offset + hdu.data_size
        position = hdu.data_offset + padded(hdu.data_size)
        if end is None and _ends_here(source, data_end, position):
            return hdus
        if end is None:
            stream.seek(data_end)
            end_found = stream.tell()
        else:
            end_found = min(end, data_end)
            stream.seek(position)
        if end_found < data_end:
            raise source.truncated(data_end, end_found)
        if end is not None and end < position:
            log.warning(
                "%s ends within a block of 2880 bytes; if more extensions than %d were "
                "expected, it is truncated",
                source.path,
                len(hdus) - 1,
            )
        if end is None:
            stream.seek(position)
        elif position >= end:
            return hdus


def _ends_here(source: Source, data_end: int, position: int) -> bool:
    """
    Say whether a gzip file ends after an HDU, without decompressing its data.

    The last four bytes of a gzip member are the size of its content (RFC 1952,
    section 2.3.1). Where they agree with the headers nothing can follow.
    """
    if source.compression != "gzip":
        return False
    with source.path.open("rb") as raw:
        raw.seek(-4, os.SEEK_END)
        (size,) = struct.unpack("<I", raw.read(4))
    return size in (data_end & 0xFFFFFFFF, position & 0xFFFFFFFF)


def _read_header(
    source: Source, stream: BinaryIO, position: int, *, first: bool
) -> bytes | None:
    """Read one header, or None where no further HDU follows."""
    block = stream.read(BLOCK)
    start = b"SIMPLE  =" if first else b"XTENSION="
    if not block.startswith(start):
        if first:
            msg = (
                f"{source.path} is not a FITS file: it starts with "
                f"{block[:20]!r} and not with SIMPLE"
            )
            raise FormatError(msg)
        if block.strip(b"\0 "):
            # Special records (section 3.5) or rubbish; either way no HDU.
            log.debug("%s: ignored what follows byte %d", source.path, position)
        return None
    blocks = [block]
    while (end := _find_end(blocks[-1])) is None:
        block = stream.read(BLOCK)
        size = sum(map(len, blocks))
        if len(block) < BLOCK or size > _LONGEST_HEADER:
            msg = (
                f"{source.path} is truncated: the header that starts at byte "
                f"{position} has no END within {size + len(block)} bytes; "
                "copy or download it again"
            )
            raise TruncatedFileError(msg)
        blocks.append(block)
    raw = b"".join(blocks)
    if len(blocks[-1]) < BLOCK:
        # The END card is there and only padding is missing.
        raw = raw[: len(raw) - len(blocks[-1]) + end + _CARD]
        raw = raw.ljust(padded(len(raw)))
    return raw


def _find_end(block: bytes) -> int | None:
    at = block.find(_END)
    while at != -1 and at % _CARD:
        at = block.find(_END, at + 1)
    return None if at == -1 else at


_FORM = frozenset(
    [
        "SIMPLE",
        "XTENSION",
        "BITPIX",
        "NAXIS",
        "PCOUNT",
        "GCOUNT",
        "GROUPS",
        "EXTNAME",
        "EXTVER",
        "BSCALE",
        "BZERO",
        "BLANK",
        "ZIMAGE",
        "EXTEND",
        "INHERIT",
    ]
)


def _keywords(raw: bytes) -> dict[str, Any]:
    """Read the keywords that give form and name; the first of each counts."""
    found: dict[str, Any] = {}
    for at in range(0, len(raw), _CARD):
        card = raw[at : at + _CARD]
        keyword = card[:8].rstrip().decode("latin-1")
        if keyword == "END":
            break
        if card[8:10] != b"= " and keyword not in ("SIMPLE", "XTENSION"):
            continue
        wanted = keyword in _FORM or (
            keyword.startswith("NAXIS") and keyword[5:].isdigit()
        )
        if wanted and keyword not in found:
            found[keyword] = _value(card)
    return found


_FIXED_INTEGER = re.compile(rb"= +(-?\d+) +(/.*)?")


def _value(card: bytes) -> Any:
    # Most cards that give the form hold an integer, which needs no parser.
    if found := _FIXED_INTEGER.fullmatch(card, 8):
        return int(found[1])
    try:
        value = fits.Card.fromstring(card).value
    except (ValueError, fits.VerifyError):
        return None
    return value.strip() if isinstance(value, str) else value


def _data_size(source: Source, keys: dict[str, Any], index: int) -> int:
    """Compute the size of a data unit by equations 1 and 2 and section 6.1."""
    try:
        naxis = keys["NAXIS"]
        axes = [keys[f"NAXIS{i}"] for i in range(1, naxis + 1)]
        bitpix = keys["BITPIX"]
        groups, extra = keys.get("GCOUNT", 1), keys.get("PCOUNT", 0)
        counts = [*axes, groups, extra]
    except (KeyError, TypeError):
        counts, bitpix = [None], None
    if bitpix not in (8, 16, 32, 64, -32, -64) or any(
        not isinstance(n, int) or n < 0 for n in counts
    ):
        msg = (
            f"the header of HDU {index} of {source.path} does not give its size: "
            "BITPIX, NAXIS, NAXISn, PCOUNT or GCOUNT is missing or wrong"
        )
        raise FormatError(msg)
    width = abs(bitpix) // 8
    if not axes:
        return 0
    if axes[0] == 0 and keys.get("GROUPS") is True:
        axes = axes[1:]
    elements = 1
    for n in axes:
        elements *= n
    if "SIMPLE" in keys and keys.get("GROUPS") is not True:
        return int(width * elements)  # PCOUNT and GCOUNT mean nothing here
    return int(width * groups * (extra + elements))
