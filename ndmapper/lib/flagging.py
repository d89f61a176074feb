"""Flags of an image: setting bits, and which pixels are good."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.data import Flag, NDLater
from ndmapper.data.flags import FLAGS_DTYPE, widened

__all__ = ["flags_with", "good_pixels", "joined"]


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
