"""Flags of an image: setting bits, and which pixels are good."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.data import Flag, NDLater
from ndmapper.data.flags import FLAGS_DTYPE, widened
from ndmapper.instruments import FlagBit

__all__ = [
    "INTERPOLATED",
    "flags_with",
    "good_pixels",
    "joined",
    "union_along",
    "with_interpolated",
]

INTERPOLATED = "INTERPOLATED"
"""Name of the flag of pixels whose values come from those around."""

_FIRST_FREE = 7
"""Below are ndmapper's own flags, which other conventions may not all have."""


def flags_with(
    ndd: NDLater, *additions: tuple[npt.NDArray[np.bool_], Flag]
) -> npt.NDArray[Any]:
    """Return the flags of an image, with bits set: (where, which) each."""
    old = ndd.flags
    flags = np.zeros(ndd.shape, FLAGS_DTYPE) if old is None else np.array(old)
    for where, flag in additions:
        # A convention without a word for it calls the pixel bad.
        bits = ndd.flag_table.like_own(flag) or ndd.flag_table.like_own(Flag.BAD)
        if np.any(where):
            flags = widened(flags, bits)
            flags[where] |= flags.dtype.type(bits)
    return flags


def good_pixels(ndd: NDLater) -> npt.NDArray[np.bool_]:
    """Tell which pixels of an image are finite and not masked."""
    good: npt.NDArray[np.bool_] = np.isfinite(ndd.data)
    return good if ndd.mask is None else good & ~np.asarray(ndd.mask)


def joined(*flags: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    """Join arrays of flags by OR, as uint16 or wider; the sign bit is one of them."""
    bits = [f.view(f"u{f.dtype.itemsize}") for f in flags if f is not None]
    result = bits[0].astype(np.result_type(FLAGS_DTYPE, *bits))
    for more in bits[1:]:
        result |= more
    return result


def _union_of(flags: npt.NDArray[Any]) -> int:
    """Join the flags of all pixels by OR."""
    joined_bits: Any = np.bitwise_or.reduce(flags, axis=None, keepdims=True)
    return int(joined_bits.item())


def union_along(flags: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Join flags by OR along the first axis."""
    joined_bits: Any = np.bitwise_or.reduce(flags, axis=0, keepdims=True)
    return np.asarray(joined_bits[0])


def with_interpolated(ndd: NDLater, where: npt.NDArray[np.bool_]) -> NDLater:
    """Flag pixels of an image INTERPOLATED, by a bit that its convention has free."""
    table = ndd.flag_table
    bit = next((b for b in table.bits if b.name.upper() == INTERPOLATED), None)
    if bit is None:
        old = ndd.flags
        taken = 0 if old is None else _union_of(old)
        taken |= sum(b.value for b in table.bits)
        free = [n for n in range(_FIRST_FREE, 32) if not taken >> n & 1]
        if not free:
            return ndd
        means = "taken from the pixels around"
        bit = FlagBit(bit=free[0], name=INTERPOLATED, means=means, own="BAD")
        table = replace(table, bits=(*table.bits, bit))
    flags = flags_with(ndd)
    if np.any(where):
        flags = widened(flags, bit.value)
        flags[where] |= flags.dtype.type(bit.value)
    result: NDLater = ndd.replace(flags=flags)
    result.flag_table = table
    return result
