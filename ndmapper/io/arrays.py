"""
Lazy arrays in a file, of which an index reads only its section.

Scaling follows FITS standard 4.0: BSCALE and BZERO by section 4.4.2.5, unsigned
integers by table 11, and integers equal to BLANK become NaN where the values are
scaled to floating point or there is no scaling of unsigned integers at work.
"""

import functools
import logging
import mmap
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from ndmapper.io.filemap import HduMap
from ndmapper.io.source import PositionedReader, Source

__all__ = ["ArrayHandle", "Conversion", "Section", "is_basic_index", "section_of"]

Section = tuple[range | int, ...]
"""For each axis, which pixels are taken; a number takes the axis away."""

log = logging.getLogger(__name__)

_STORED = {8: "u1", 16: "i2", 32: "i4", 64: "i8", -32: "f4", -64: "f8"}
_OFFSETS = {8: -128, 16: 1 << 15, 32: 1 << 31, 64: 1 << 63}
_PSEUDO = {8: "i1", 16: "u2", 32: "u4", 64: "u8"}


def is_basic_index(item: Any) -> bool:
    """Whether an index holds only integers, slices and an ellipsis: it is lazy."""
    # A loop, since reading a section of a few pixels takes little longer than this.
    for i in item if isinstance(item, tuple) else (item,):
        if type(i) is slice or type(i) is int or i is Ellipsis:
            continue
        if not isinstance(i, int | np.integer) or isinstance(i, bool | np.bool_):
            return False
    return True


def section_of(section: Section, item: Any) -> Section:
    """Compose a section of a stored array with a basic index into it."""
    items = list(item) if isinstance(item, tuple) else [item]
    open_axes = [i for i, axis in enumerate(section) if type(axis) is range]
    if items.count(Ellipsis):
        at = items.index(Ellipsis)
        missing = len(open_axes) - (len(items) - 1)
        items[at : at + 1] = [slice(None)] * missing
    if len(items) > len(open_axes) or items.count(Ellipsis):
        msg = f"too many indices for an array of {len(open_axes)} axes: {item!r}"
        raise IndexError(msg)
    taken = list(section)
    for axis, i in zip(open_axes, items, strict=False):
        pixels = taken[axis]
        assert isinstance(pixels, range)
        try:
            taken[axis] = pixels[i]
        except IndexError:
            at = open_axes.index(axis)
            msg = f"there is no pixel {i} on axis {at}, which has {len(pixels)}"
            raise IndexError(msg) from None
    return tuple(taken)


class Conversion(Protocol):
    """How values are made of stored numbers that mean something else."""

    def dtype(self, handle: "ArrayHandle") -> np.dtype[Any]:
        """Return the type of the values; nothing is read."""

    def values(
        self, handle: "ArrayHandle", stored: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        """Convert what a handle has stored, which may be done in place."""


@dataclass(frozen=True)
class ArrayHandle:
    """
    A lazy array, or a section of one: where it lies in a file and how it is stored.

    It holds no open file, and can be pickled.
    """

    source: Source
    index: int  # position of the HDU in the file
    offset: int  # where its data start, in bytes of the decompressed content
    bitpix: int  # how the pixels are stored
    stored_shape: tuple[int, ...]  # shape of the whole array
    # The physical value is ``bzero + bscale * stored``.
    bscale: float
    bzero: float
    blank: int | None  # stored value of undefined pixels
    section: Section  # in stored pixels
    # Beyond BSCALE, BZERO and BLANK.
    conversion: Conversion | None = field(default=None, kw_only=True)

    @classmethod
    def of(cls, hdu: HduMap) -> "ArrayHandle":
        """Make the handle of the whole array of an HDU."""
        return cls(*cls._fields_of(hdu))

    @staticmethod
    def _fields_of(hdu: HduMap) -> tuple[Any, ...]:
        bitpix = hdu.keys["BITPIX"]
        blank = hdu.keys.get("BLANK")
        for keyword in hdu.keys.get("-TWICE", ()):
            _warn_of_second(hdu.source, hdu.index, keyword)
        return (
            hdu.source,
            hdu.index,
            hdu.data_offset,
            bitpix,
            hdu.shape,
            _scaling(hdu, "BSCALE", 1),
            _scaling(hdu, "BZERO", 0),
            blank if bitpix > 0 and isinstance(blank, int) else None,
            tuple(map(range, hdu.shape)),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the section."""
        return tuple([len(axis) for axis in self.section if type(axis) is range])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values, in the byte order of this machine."""
        how = self.conversion
        return self.scaled_dtype if how is None else how.dtype(self)

    @property
    def scaled_dtype(self) -> np.dtype[Any]:
        """Type of the values before any conversion."""
        if self.is_pseudo:
            return np.dtype(_PSEUDO[self.bitpix])
        if self.bitpix > 0 and self.is_scaled:
            # As astropy does: a mantissa as wide as the stored integers.
            return np.dtype("f8" if self.bitpix > 16 else "f4")
        return self.stored_dtype

    @property
    def is_pseudo(self) -> bool:
        """Whether BZERO only stands for the (un)signed type of table 11."""
        return self.bscale == 1 and self.bzero == _OFFSETS.get(self.bitpix)

    @property
    def is_scaled(self) -> bool:
        """Whether BSCALE, BZERO or BLANK make other values of the stored numbers."""
        return self.bscale != 1 or self.bzero != 0 or self.blank is not None

    @property
    def is_whole(self) -> bool:
        """Whether the section is the whole stored array."""
        return self.section == tuple(map(range, self.stored_shape))

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """Type of the stored numbers, in the byte order of this machine."""
        return np.dtype(_STORED[self.bitpix])

    def take(self, item: Any) -> "ArrayHandle":
        """Return the handle of a section; nothing is read."""
        # `dataclasses.replace` would take longer than reading a few rows.
        taken = object.__new__(type(self))
        taken.__dict__.update(self.__dict__, section=section_of(self.section, item))
        return taken

    def converted(self, conversion: Conversion) -> Self:
        """Return the handle of the same array, read with a conversion."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, conversion=conversion)
        return made

    def __getitem__(self, item: Any) -> npt.NDArray[Any]:
        return self.take(item).read()

    def read(self) -> npt.NDArray[Any]:
        """Read the section as a new, writable array in the native byte order."""
        stored, how = self.stored(), self.conversion
        return self.scaled(stored) if how is None else how.values(self, stored)

    def stored(self) -> npt.NDArray[Any]:
        """Read the section without applying BSCALE, BZERO and BLANK."""
        dtype = self.stored_dtype.newbyteorder(">")
        total = int(np.prod(self.stored_shape)) * dtype.itemsize
        if 0 in self.shape:
            return np.zeros(self.shape, dtype.newbyteorder("="))
        index = tuple(
            axis if isinstance(axis, int) else _as_slice(axis) for axis in self.section
        )
        if self.source.compression is not None or self.is_whole:
            stored = np.empty(self.stored_shape, dtype)
            with PositionedReader(self.source) as reader:
                reader.read_into(self.offset, _bytes_of(stored))
            if not self.is_whole:
                stored = stored[(*index, ...)].copy()
        elif (first := self._first_of_rows()) is not None:
            # One piece of the file: reading it is quicker than mapping its pages.
            stored = np.empty(self.shape, dtype)
            start = self.offset + first * (total // self.stored_shape[0])
            with PositionedReader(self.source) as reader:
                reader.read_into(start, _bytes_of(stored))
        else:
            wanted = int(np.prod(self.shape)) * dtype.itemsize
            with self.source.open_data(self.offset, wanted) as stream:
                # The map lives only as long as this block: pages of the section are
                # copied out of it, and no file stays open.
                start = self.offset - self.offset % mmap.ALLOCATIONGRANULARITY
                length = self.offset - start + total
                if self.source.size < start + length:
                    raise self.source.truncated(start + length, self.source.size)
                with mmap.mmap(
                    stream.fileno(), length, access=mmap.ACCESS_READ, offset=start
                ) as pages:
                    whole = np.ndarray(
                        self.stored_shape, dtype, pages, self.offset - start
                    )
                    stored = np.array(
                        whole[(*index, ...)]
                    )  # no scalar, also without axes
                    del whole
        return _native(stored)

    @property
    def has_rows(self) -> bool:
        """Whether `read_rows` can read it: whole rows of a plain file, not rescaled."""
        return (
            type(self) is ArrayHandle
            and self.conversion is None
            and self.source.compression is None
            and (self.is_pseudo or not self.is_scaled)
            and self._first_of_rows() is not None
        )

    def read_rows(
        self, reader: PositionedReader, span: slice, out: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        """
        Read some rows of the section into the memory of `out`.

        Floating point numbers come back in the byte order of the file, integers in the
        native one.
        """
        first = self._first_of_rows()
        assert first is not None
        stored = out.view(self.stored_dtype.newbyteorder(">"))
        start = self.offset + (first + span.start) * (out.nbytes // len(out))
        reader.read_into(start, _bytes_of(stored))
        return stored if self.bitpix < 0 else self.scaled(_native(stored))

    def _first_of_rows(self) -> int | None:
        """Return the first row if the section is contiguous whole rows, else None."""
        if not self.section:
            return None
        rows, *rest = self.section
        whole = rest == [range(n) for n in self.stored_shape[1:]]
        if not whole or not isinstance(rows, range) or rows.step != 1:
            return None
        return rows.start

    def scaled(
        self, stored: npt.NDArray[Any], dtype: npt.DTypeLike | None = None
    ) -> npt.NDArray[Any]:
        """Apply BSCALE, BZERO and BLANK, where they scale in another `dtype`."""
        if not self.is_scaled:
            return stored
        if self.is_pseudo:
            # Adding half the range is the same as turning the highest bit over.
            bits = stored.view(f"u{stored.itemsize}")
            bits ^= bits.dtype.type(1 << (self.bitpix - 1))
            return bits.view(self.scaled_dtype)
        values = stored.astype(dtype or self.scaled_dtype)
        if self.bscale != 1:
            np.multiply(values, self.bscale, out=values)
        if self.bzero != 0:
            np.add(values, self.bzero, out=values)
        if self.blank is not None:
            values[stored == self.blank] = np.nan
        return values


def _as_slice(axis: range) -> slice:
    stop: int | None = axis.stop
    return slice(axis.start, None if axis.stop < 0 else stop, axis.step)


def _scaling(hdu: HduMap, keyword: str, default: float) -> float:
    """Return BSCALE or BZERO; one that is no number is warned of and ignored."""
    value = hdu.keys.get(keyword, default)
    if isinstance(value, int | float):
        return value
    _warn_once(hdu.source, hdu.index, keyword)
    return default


@functools.lru_cache(maxsize=4096)
def _warn_of_second(source: Source, index: int, keyword: str) -> None:
    """Warn of a keyword with two values, of which programs take either."""
    log.warning(
        "%s: HDU %d has cards of %s that say different things: the first counts, and "
        "other programs may take the last; correct the file",
        source.path, index, keyword,
    )  # fmt: skip


@functools.lru_cache(maxsize=4096)
def _warn_once(source: Source, index: int, keyword: str) -> None:
    log.warning(
        "%s: %s of HDU %d is no number that can be read: its pixels are taken as they "
        "are stored; correct the file", source.path, keyword, index,
    )  # fmt: skip


def _bytes_of(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)


def _native(stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Swap to the native byte order, in place."""
    if stored.dtype.isnative:
        return stored
    native = stored.view(stored.dtype.newbyteorder("="))
    if stored.flags.c_contiguous:
        # Assigned to its own memory, which NumPy does in one row without a copy, and
        # several times faster than byteswap().
        native.reshape(-1)[...] = stored.reshape(-1)
    else:
        native.byteswap(inplace=True)
    return native
