"""
Images compressed in tiles, of which only the tiles that are needed are read.

The tiles of an image are the rows of a binary table (FITS standard 4.0, section 10.1):
a column of descriptors says where in the heap each one lies.

Why not ``astropy.io.fits.CompImageHDU.section`` on a view of the one HDU? It was tried
(astropy 8.0.2; benchmarks/README.md has the figures): a section takes 16 to 48 times as
long with tiles of 128 x 128, since all of the header and the table are read first, and
3 to 5 times as long in an HDU that is kept open. Nor can it be told how much a tile may
unpack to: a file of 0.3 MB took 600 MB.
"""

import itertools
import math
import operator
import struct
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from ndmapper.errors import FormatError, NdmapperError
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.filemap import HduMap
from ndmapper.io.headers import Header, UnreadableCardError
from ndmapper.io.source import PositionedReader
from ndmapper.io.tables.fields import Field, fields_of
from ndmapper.io.tiles.codecs import ALGORITHMS, DITHERS, decode, dequantise

__all__ = ["TileHandle", "Tiling", "tiling_of"]

Array = npt.NDArray[Any]

_NUMBERS = ("ZSCALE", "ZZERO", "ZBLANK")
_STRUCT = {"P": ">2i", "Q": ">2q", "B": ">B", "I": ">h", "J": ">i", "K": ">q",
           "E": ">f", "D": ">d"}  # fmt: skip


@dataclass(frozen=True)
class Tiling:
    """How an image is cut into tiles, and where they lie in the table."""

    algorithm: str  # ZCMPTYPE
    settings: dict[str, Any]  # the parameters of the algorithm, by name in lower case
    tile_shape: tuple[int, ...]  # shape of a tile, in the order of Python
    # Form of the table: bytes of a row, number of rows, and where its heap starts
    # after the first row, and the size of that, in bytes.
    row_size: int
    rows: int
    heap: int
    heap_size: int
    columns: dict[str, Field]  # by name
    # How numbers were quantised.
    dither: int
    seed: int
    blank: int | None  # the quantised number that stands for no value


_LARGEST_RATIO = 10_000
"""Pixels for each byte of the table; long runs of one value come to some thousand."""


# Reading the header takes longer than decoding a tile, and sections come in numbers.
_known: "WeakKeyDictionary[HduMap, Tiling]" = WeakKeyDictionary()


def tiling_of(hdu: HduMap) -> Tiling:
    """Read how an image is cut into tiles."""
    found = _known.get(hdu)
    if found is None:
        found = _known[hdu] = _tiling_in(hdu)
    return found


def _tiling_in(hdu: HduMap) -> Tiling:
    try:
        return _read_tiling(hdu.raw, hdu.shape)
    except (
        KeyError, TypeError, ValueError, AttributeError, IndexError,
        UnreadableCardError,
    ) as err:  # fmt: skip
        msg = (
            f"the compressed image in HDU {hdu.index} of {hdu.source.path} has a "
            f"damaged header ({err}); copy or download the file again"
        )
        raise FormatError(msg) from err


def _read_tiling(raw: bytes, shape: tuple[int, ...]) -> Tiling:
    header = Header.fromstring(raw)
    algorithm = str(header["ZCMPTYPE"]).strip().upper()
    if algorithm not in ALGORITHMS:
        msg = f"ZCMPTYPE is {algorithm!r}, and can be one of {', '.join(ALGORITHMS)}"
        raise ValueError(msg)
    axes = range(len(shape), 0, -1)
    tile_shape = tuple(
        int(header.get(f"ZTILE{i}", header["ZNAXIS1"] if i == 1 else 1)) for i in axes
    )
    rows = int(header["NAXIS2"])
    if min(tile_shape) < 1:
        msg = f"the tiles have the shape {tile_shape}"
        raise ValueError(msg)
    wanted = math.prod(-(-n // t) for n, t in zip(shape, tile_shape, strict=True))
    if rows < wanted:
        msg = f"the table has {rows} rows for {wanted} tiles"
        raise ValueError(msg)
    stored = int(header["NAXIS1"]) * rows + int(header["PCOUNT"])
    if math.prod(shape) > _LARGEST_RATIO * stored:
        msg = f"{stored} bytes cannot hold an image of the shape {shape}"
        raise ValueError(msg)
    row_size = int(header["NAXIS1"])
    columns = _read_columns(header, row_size)
    settings = {}
    for i in itertools.count(1):
        if f"ZNAME{i}" not in header:
            break
        settings[str(header[f"ZNAME{i}"]).lower()] = header[f"ZVAL{i}"]
    method = str(header.get("ZQUANTIZ") or "NO_DITHER").strip().upper()
    heap = int(header.get("THEAP", row_size * rows))
    return Tiling(
        algorithm=algorithm,
        settings=settings,
        tile_shape=tile_shape,
        row_size=row_size,
        rows=rows,
        heap=heap,
        heap_size=row_size * rows + int(header["PCOUNT"]) - heap,
        columns=columns,
        dither=DITHERS.get(method, -1),
        seed=int(header.get("ZDITHER0", 0)),
        blank=header.get("ZBLANK", header.get("BLANK")),
    )


def _read_columns(header: Header, row_size: int) -> dict[str, Field]:
    columns = {field.name.upper(): field for field in fields_of(header)}
    for name in _NUMBERS:
        if name in columns and columns[name].is_scaled:
            n = columns[name].number
            msg = f"{name}, column {n}, has a TSCAL{n} or TZERO{n} of its own"
            raise ValueError(msg)
    width = sum(field.width for field in columns.values())
    if width > row_size or "COMPRESSED_DATA" not in columns:
        msg = "its columns are not those of a compressed image"
        raise ValueError(msg)
    return columns


@dataclass(frozen=True)
class TileHandle(ArrayHandle):
    """A lazy array that is compressed in tiles."""

    hdu: HduMap  # the table that it is in

    @classmethod
    def of(cls, hdu: HduMap) -> "TileHandle":
        """Make the handle of the whole array of an HDU that is compressed in tiles."""
        return cls(*(*cls._fields_of(hdu), hdu))

    def stored(self) -> Array:
        """Decode the section, without applying BSCALE and BZERO."""
        if 0 in self.shape:
            return np.zeros(self.shape, self.stored_dtype)
        tiling = tiling_of(self.hdu)
        # For each axis, the tiles that are touched, and what of each goes where.
        pieces = [
            _pieces(axis if isinstance(axis, range) else range(axis, axis + 1), size)
            for axis, size in zip(self.section, tiling.tile_shape, strict=True)
        ]
        combined = list(itertools.product(*pieces))
        rows = [0] * len(combined)
        for axis, (n, size) in enumerate(
            zip(self.stored_shape, tiling.tile_shape, strict=True)
        ):
            across = -(-n // size)
            rows = [
                r * across + c[axis][0] for r, c in zip(rows, combined, strict=True)
            ]
        try:
            taken = np.empty([along[-1][1].stop for along in pieces], self.stored_dtype)
            table, contents = self._read(tiling, rows)
            whole = tiling.tile_shape
            ends = [n // size for n, size in zip(self.stored_shape, whole, strict=True)]
            for row, combination, content in zip(rows, combined, contents, strict=True):
                numbers, target, local = zip(*combination, strict=True)
                shape = whole
                if any(map(operator.ge, numbers, ends)):  # tiles at an end are cut off
                    shape = tuple(
                        min(size, n - number * size)
                        for number, size, n in zip(
                            numbers, whole, self.stored_shape, strict=True
                        )
                    )
                tile = _decoded((tiling, table, row), content, shape, self.bitpix)
                taken[target] = tile[local]
        except NdmapperError:
            raise
        # Whatever a damaged file makes the decoders stumble over.
        except Exception as err:
            msg = (
                f"the compressed image in HDU {self.index} of {self.source.path} is "
                f"damaged ({err}); copy or download the file again"
            )
            raise FormatError(msg) from err
        backwards = tuple(
            slice(None, None, -1) if isinstance(axis, range) and axis.step < 0
            else slice(None) if isinstance(axis, range) else 0
            for axis in self.section
        )  # fmt: skip
        return np.array(taken[backwards], order="C")  # also without axes

    def _read(
        self, tiling: Tiling, rows: list[int]
    ) -> tuple["_Table", list[tuple[str, bytes]]]:
        """Read the rows of the table, and from the heap the content of each tile."""
        first, last = min(rows), max(rows)
        size = (last - first + 1) * tiling.row_size
        heap = self.offset + tiling.heap
        with PositionedReader(self.source) as pieces:
            content = pieces.read(self.offset + first * tiling.row_size, size)
            table = _Table(content, first, tiling)
            found = [table.find(row) for row in rows]
            start = min(at for _, at, _ in found)
            stop = max(at + count for _, at, count in found)
            if start < 0 or stop > tiling.heap_size:
                msg = "a tile lies outside of the table"
                raise ValueError(msg)
            if stop - start <= 2 * sum(count for *_, count in found):
                whole = pieces.read(heap + start, stop - start)
                return table, [
                    (name, whole[at - start : at - start + count])
                    for name, at, count in found
                ]
            return table, [
                (name, pieces.read(heap + at, count)) for name, at, count in found
            ]


class _Table:
    """Some rows of the table of a compressed image."""

    def __init__(self, content: bytes, first: int, tiling: Tiling) -> None:
        self._content = content
        self._first = first
        self._row_size = tiling.row_size
        self._columns = tiling.columns

    def find(self, row: int) -> tuple[str, int, int]:
        """Find a tile: its column, and its offset and size in the heap."""
        for name in ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA"):
            if name in self._columns:
                count, at = self._values(name, row)
                if count > 0:
                    return name, at, count * self._columns[name].dtype.itemsize
        msg = f"tile {row} has no content"
        raise ValueError(msg)

    def number(self, name: str, row: int) -> Any:
        """Return a number of a row; None if there is no such column."""
        return self._values(name, row)[0] if name in self._columns else None

    def _values(self, name: str, row: int) -> tuple[Any, ...]:
        field = self._columns[name]
        place = (row - self._first) * self._row_size + field.start
        form = _STRUCT[field.pointer or field.code]
        return struct.unpack_from(form, self._content, place)


def _decoded(
    where: tuple[Tiling, _Table, int],
    content: tuple[str, bytes],
    shape: tuple[int, ...],
    bitpix: int,
) -> Array:
    tiling, table, row = where
    column, stored = content
    if column == "UNCOMPRESSED_DATA":
        return np.frombuffer(stored, tiling.columns[column].dtype).reshape(shape)
    if column == "GZIP_COMPRESSED_DATA":
        return decode("GZIP_1", stored, shape, {}, is_float=bitpix < 0)
    scale = table.number("ZSCALE", row)
    is_float = bitpix < 0 and scale is None
    tile = decode(tiling.algorithm, stored, shape, tiling.settings, is_float=is_float)
    blank = table.number("ZBLANK", row)
    blank = tiling.blank if blank is None else blank
    if scale is None or is_float:
        return tile
    nothing = None if blank is None else tile == blank
    tile = dequantise(
        tile,
        float(scale),
        float(table.number("ZZERO", row)),
        dither=tiling.dither,
        row=row + tiling.seed,
        bitpix=bitpix,
    )
    if nothing is not None and nothing.any():
        tile = np.where(nothing, tile.dtype.type(np.nan), tile)
    return tile


def _pieces(axis: range, size: int) -> list[tuple[int, slice, slice]]:
    """List the tiles along an axis: number, slice of the result, slice of the tile."""
    axis = axis[::-1] if axis.step < 0 else axis
    pieces = []
    done = 0
    while done < len(axis):
        tile = axis[done] // size
        # How many of the pixels that are taken lie in this tile.
        count = min(len(axis), -(-((tile + 1) * size - axis.start) // axis.step)) - done
        first = axis[done] - tile * size
        last = axis[done + count - 1] - tile * size
        pieces.append(
            (tile, slice(done, done + count), slice(first, last + 1, axis.step))
        )
        done += count
    return pieces
