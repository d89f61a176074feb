"""
The map of a FITS file: where each header and data unit lies.

Only header blocks are read (FITS standard 4.0, sections 3.3 and 4.4.1); headers are
parsed on access, and data units are skipped.
"""

import functools
import logging
import os
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from astropy.io import fits

from ndmapper.errors import FormatError, TruncatedFileError
from ndmapper.io.cards import HeaderPlace, find_end, parse_header
from ndmapper.io.quickheader import (
    data_size_of,
    form_keywords,
    shape_of,
    tiled_keywords,
)
from ndmapper.io.source import Source, ends_at, open_source
from ndmapper.io.tile_header import image_header, is_dummy_primary

__all__ = ["BLOCK", "LOOKUP_NAMES", "FileMap", "HduMap", "Tail", "map_file", "padded"]

LOOKUP_NAMES = ("WCSDVARR", "D2IMARR")
"""EXTNAME of the images that are lookup tables of distortions."""


log = logging.getLogger(__name__)

BLOCK = 2880
"""Size of a FITS block in bytes."""

_CARD = 80
# Without an END card within this many bytes the file is taken to be no FITS file.
_LONGEST_HEADER = 200_000 * _CARD
_LONGEST_HEADERS = 256 << 20
"""Bytes of all headers: a compressed file of kilobytes can hold any number of them."""
_MOST_HDUS = 50_000
_LOOKED_THROUGH = 100 * BLOCK
"""Bytes behind the last HDU that are read, to tell padding from what was meant."""
_FARTHEST = (1 << 63) - BLOCK
"""Where no file can reach; the sizes in a header may be any."""


def padded(size: int) -> int:
    """Round a size up to whole FITS blocks."""
    return -(-size // BLOCK) * BLOCK


@dataclass(kw_only=True, eq=False, slots=True, weakref_slot=True)
class HduMap:
    """Where one HDU lies in its file, and the keywords that give its form and name."""

    source: Source = field(repr=False)
    index: int  # position in the file; 0 is the primary HDU
    # Where header and data start, in bytes of the decompressed content.
    header_offset: int
    data_offset: int
    data_size: int  # size of the data, in bytes, without padding
    # The values of the keywords that give form and name.
    keys: dict[str, Any] = field(repr=False)
    name: str  # EXTNAME in upper case, as FITS compares it; empty where there is none
    # Shape of the array in the order of Python, the fastest axis last.
    shape: tuple[int, ...]
    is_image: bool  # whether it holds an array of pixels, be it one of length zero
    # Whether it holds a table (that is not an image compressed in tiles).
    is_table: bool
    # The header as stored, where it is kept in memory.
    kept: bytes | None = field(default=None, repr=False)
    # Whether the array is compressed in tiles; keys and shape are those of the image
    # then, and header and data those of the table it lies in.
    is_tiled: bool = False
    # The primary header that leads to it, for a compressed image that was in the
    # primary HDU.
    before: bytes = field(default=b"", repr=False)
    _header: fits.Header | None = field(default=None, init=False, repr=False)

    @property
    def version(self) -> int | None:
        """EXTVER; None where there is none."""
        value = self.keys.get("EXTVER")
        return value if isinstance(value, int) else None

    @property
    def number(self) -> int:
        """EXTVER; 1 where there is none, as the standard has it (section 4.4.2.6)."""
        return 1 if self.version is None else self.version

    @property
    def raw(self) -> bytes:
        """The header as stored, with its padding; read if it is not in memory."""
        if self.kept is not None:
            return self.kept
        size = self.data_offset - self.header_offset
        return self.source.read(self.header_offset, size, counted=False)

    @property
    def image_raw(self) -> bytes:
        """The header as stored; for a compressed image, that of the image."""
        return image_header(self.raw) if self.is_tiled else self.raw

    @property
    def place(self) -> HeaderPlace:
        """Where the header stands, for errors about its cards."""
        return HeaderPlace(str(self.source.path), self.index, self.name)

    @property
    def header(self) -> fits.Header:
        """The header, parsed; each HduMap has its own copy."""
        if self._header is None:
            self._header = parse_header(self.image_raw, self.place)
        return self._header

    def read_data(self) -> bytes:
        """Read the data unit, without padding."""
        return self.source.read(self.data_offset, self.data_size)

    def read_bytes(self) -> bytes:
        """Read the whole HDU, padded to whole blocks."""
        if not self.data_size:
            return self.raw
        return self.raw + self.read_data().ljust(padded(self.data_size), b"\0")


@dataclass(frozen=True)
class Tail:
    """Bytes after the last HDU: special records, another file, blocks of padding."""

    source: Source
    # Where it starts, in bytes of the decompressed content; it ends with the file.
    offset: int


@dataclass(frozen=True)
class FileMap:
    """The map of one file."""

    source: Source  # the file as it was when it was mapped
    hdus: tuple[HduMap, ...]  # its HDUs in file order
    tail: Tail | None = None  # what follows them

    @property
    def primary(self) -> HduMap:
        """The primary HDU."""
        return self.hdus[0]

    @property
    def coordinate_hdus(self) -> tuple[HduMap, ...]:
        """The HDUs that may hold coordinates of an image, by their name and form."""
        return tuple([hdu for hdu in self.hdus if _may_have_coordinates(hdu)])

    def keep_headers(self) -> None:
        """Read the headers that are not in memory, opening the file once."""
        wanted = [hdu for hdu in self.hdus if hdu.kept is None]
        if not wanted:
            return
        with self.source.open() as stream:
            for hdu in wanted:
                stream.seek(hdu.header_offset)
                hdu.kept = stream.read(hdu.data_offset - hdu.header_offset)


def _may_have_coordinates(hdu: HduMap) -> bool:
    if hdu.is_image:
        return hdu.name in LOOKUP_NAMES
    return hdu.is_table and hdu.name != "" and hdu.keys.get("NAXIS2") == 1


def map_file(path: str | os.PathLike[str], *, keep: bool = False) -> FileMap:
    """Map a FITS file, reading only its headers; `keep` keeps them in memory."""
    with open_source(path) as (source, stream):
        hdus, tail = _scan(source, stream, keep)
        return FileMap(source, tuple(_without_dummy(hdus)), tail)


def _without_dummy(hdus: list[HduMap]) -> list[HduMap]:
    """Drop an empty primary HDU that precedes a compressed primary image."""
    if (
        len(hdus) > 1
        and hdus[1].is_tiled
        and "SIMPLE" in hdus[1].keys
        and not hdus[0].data_size
        and is_dummy_primary(hdus[0].raw)
    ):
        hdus[1].before = hdus[0].raw
        hdus = hdus[1:]
        hdus[0].kept = hdus[0].raw
        for hdu in hdus:
            hdu.index -= 1
    return hdus


def _scan(
    source: Source, stream: BinaryIO, keep: bool
) -> tuple[list[HduMap], Tail | None]:
    end = source.size if source.compression is None else None
    hdus: list[HduMap] = []
    position = headers = 0
    while True:
        raw = _read_header(source, stream, position, first=not hdus)
        if raw is None:
            stream.seek(position)
            return hdus, _tail(source, stream, position, len(hdus))
        hdu = _map_hdu(source, raw, position, index=len(hdus))
        hdus.append(hdu)
        data_end = hdu.data_offset + hdu.data_size
        headers += len(raw)
        if data_end > _FARTHEST:
            raise source.truncated(data_end, min(source.size, _FARTHEST))
        if len(hdus) > _MOST_HDUS or headers > _LONGEST_HEADERS:
            msg = (
                f"{source.path} has more than {_MOST_HDUS} HDUs, or {headers} bytes of "
                "headers; that is no file that an instrument writes"
            )
            raise FormatError(msg)
        position = hdu.data_offset + padded(hdu.data_size)
        # Other headers may never be needed; but in a compressed file it would be slow
        # to find one again.
        if keep or hdu.index == 0 or end is None:
            hdu.kept = raw
        # Else the data of the last HDU would be decompressed to find nothing there.
        if source.compression == "gzip" and ends_at(source.path, position):
            return hdus, None
        if end is None:
            stream.seek(data_end)
            end_found = stream.tell()
        else:
            end_found = min(end, data_end)
        if end_found < data_end:
            raise source.truncated(data_end, end_found)
        if end is not None and end < position:
            log.warning(
                "%s ends within a block of 2880 bytes; if more extensions than %d were "
                "expected, it is truncated",
                source.path,
                len(hdus) - 1,
            )
        if end is not None and position >= end:
            return hdus, None
        stream.seek(position)


def _tail(source: Source, stream: BinaryIO, position: int, count: int) -> Tail | None:
    """Return what follows the last HDU, and warn unless it is padding."""
    start = stream.read(_LOOKED_THROUGH)
    if start.strip(b"\0 \r\n\x1a"):
        _warn_of_tail(source, position, count)
    return Tail(source, position) if start else None


@functools.lru_cache(maxsize=4096)
def _warn_of_tail(source: Source, position: int, count: int) -> None:
    log.warning(
        "%s: what follows HDU %d, from byte %d on, is no HDU (special records, another "
        "file, or extensions behind a header with a wrong size); it is kept, and not "
        "shown", source.path, count - 1, position,
    )  # fmt: skip


def _map_hdu(source: Source, raw: bytes, position: int, index: int) -> HduMap:
    keys = form_keywords(raw)
    if (shape := shape_of(keys)) is None:
        msg = (
            f"the header of HDU {index} of {source.path} does not give its size: "
            "BITPIX, NAXIS, NAXISn, PCOUNT or GCOUNT is missing or wrong"
        )
        raise FormatError(msg)
    size = data_size_of(keys, shape)
    if tiled := tiled_keywords(keys):
        tiled |= {key: keys[key] for key in ("-TAB",) if key in keys}
        keys, shape = tiled, shape_of(tiled) or ()
    kind = keys.get("XTENSION", "IMAGE" if "SIMPLE" in keys else "")
    groups = keys.get("GROUPS") is True
    return HduMap(
        source=source,
        index=index,
        header_offset=position,
        data_offset=position + len(raw),
        data_size=size,
        keys=keys,
        name=str(keys.get("EXTNAME") or "").strip().upper(),
        shape=shape,
        is_image=kind in ("IMAGE", "IUEIMAGE") and len(shape) > 0 and not groups,
        is_table=kind in ("BINTABLE", "TABLE") and keys.get("ZIMAGE") is not True,
        is_tiled=tiled is not None,
    )


def _read_header(
    source: Source, stream: BinaryIO, position: int, *, first: bool
) -> bytes | None:
    """Read one header; None where no further HDU follows."""
    block = stream.read(BLOCK)
    start = b"SIMPLE  =" if first else b"XTENSION="
    if not block.startswith(start):
        if first and block and start.startswith(block):
            msg = (
                f"{source.path} is truncated: it has {len(block)} bytes, and a header "
                "alone has 2880; copy or download it again"
            )
            raise TruncatedFileError(msg)
        if first:
            msg = (
                f"{source.path} is not a FITS file: it starts with {block[:20]!r} and "
                f"not with {start!r}"
            )
            raise FormatError(msg)
        return None
    blocks = [block]
    while (end := find_end(blocks[-1])) is None:
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
