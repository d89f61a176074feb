"""An HDU to be written, and the form in which its pixels are stored."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.errors import FormatError
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.filemap import HduMap

__all__ = ["HduOut", "StoredForm", "encoded", "stored_form"]


@dataclass(frozen=True)
class StoredForm:
    """How an array is, or will be, stored."""

    bitpix: int
    # Shape in the order of Python. In FITS a single number is an axis of one pixel.
    shape: tuple[int, ...]
    scaling: dict[str, float]  # the values of BSCALE, BZERO and BLANK that are needed


_BITPIX = {
    "u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64,
    "i1": 8, "u2": 16, "u4": 32, "u8": 64, "b1": 8, "f2": -32,
}  # fmt: skip
_BZERO = {"i1": -128, "u2": 1 << 15, "u4": 1 << 31, "u8": 1 << 63}


def stored_form(data: ArrayHandle | npt.NDArray[Any]) -> StoredForm:
    """Return how pixels are, or will be, stored."""
    if isinstance(data, ArrayHandle):
        scaling: dict[str, float] = {}
        if data.bscale != 1 or data.bzero != 0:
            scaling |= {"BSCALE": data.bscale, "BZERO": data.bzero}
        if data.blank is not None:
            scaling["BLANK"] = data.blank
        return StoredForm(data.bitpix, data.stored_shape, scaling)
    kind = f"{data.dtype.kind}{data.dtype.itemsize}"
    if kind not in _BITPIX:
        msg = (
            f"an array of type {data.dtype} cannot be written to FITS; convert it to "
            "a type with up to 64 bits, such as float32"
        )
        raise FormatError(msg)
    bzero = _BZERO.get(kind)
    return StoredForm(
        _BITPIX[kind],
        data.shape or (1,),  # in FITS nothing follows a header without axes
        {} if bzero is None else {"BSCALE": 1, "BZERO": bzero},
    )


def encoded(
    pixels: npt.NDArray[Any], form: StoredForm, *, in_place: bool = False
) -> npt.NDArray[np.uint8]:
    """Encode a row of pixels; with `in_place` in the memory that they have."""
    size = abs(form.bitpix) // 8
    kind = "f" if form.bitpix < 0 else "u"
    stored = np.dtype(f">{kind}{size}")
    if form.bitpix < 0:
        numbers = pixels
    else:
        # Two's complement: the bits are kept, and with BZERO the highest turned.
        numbers = np.ascontiguousarray(
            pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
        ).view(f"u{size}")
        if form.scaling:
            numbers = np.bitwise_xor(
                numbers,
                numbers.dtype.type(1 << (8 * size - 1)),
                out=numbers if in_place else None,
            )
    if in_place and numbers.dtype == stored:
        swapped = numbers
    elif in_place and numbers.dtype.itemsize == size:
        swapped = numbers.view(stored)
        swapped[...] = numbers
    else:
        swapped = numbers.astype(stored)
    return swapped.view(np.uint8)


@dataclass(frozen=True)
class HduOut:
    """An HDU to be written."""

    header: bytes  # the header, padded to whole blocks
    # Pixels that are copied as they are stored, an array to be encoded, or an HDU of
    # which the data are copied.
    data: ArrayHandle | npt.NDArray[Any] | HduMap | None = None
    is_tiled: bool = False
    like: ArrayHandle | None = None  # a compressed image whose tiling is kept
