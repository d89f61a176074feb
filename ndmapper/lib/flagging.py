"""Setting flag bits of an image."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.data import Flag, NDLater
from ndmapper.data.flags import FLAGS_DTYPE, widened

__all__ = ["flags_with", "joined"]


def flags_with(
    ndd: NDLater, *additions: tuple[npt.NDArray[np.bool_], Flag]
) -> npt.NDArray[Any]:
    """
    Join bits to the flags of an image, which stay as they are.

    Parameters
    ----------
    ndd : NDLater
        The image.
    *additions : (ndarray of bool, Flag)
        Where a bit is to be set, and which. It becomes the one that stands for it in
        the convention of the image's flags.

    Returns
    -------
    ndarray of int
        The new flags; uint16 where the image had none.
    """
    old = ndd.flags
    flags = np.zeros(ndd.shape, FLAGS_DTYPE) if old is None else np.array(old)
    for where, flag in additions:
        # A convention without a word for it calls the pixel bad.
        bits = ndd.flag_table.like_own(flag) or ndd.flag_table.like_own(Flag.BAD)
        if np.any(where):
            flags = widened(flags, bits)
            flags[where] |= flags.dtype.type(bits)
    return flags


def joined(*flags: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    """
    Join arrays of flags by OR; no bit is lost.

    Parameters
    ----------
    *flags : ndarray of int, or None
        The arrays, of one shape; None is nothing. Of signed integers the sign is a bit
        like the others.

    Returns
    -------
    ndarray of unsigned int
        The flags: uint16, or the widest type of them where that is wider.
    """
    bits = [f.view(f"u{f.dtype.itemsize}") for f in flags if f is not None]
    result = bits[0].astype(np.result_type(FLAGS_DTYPE, *bits))
    for more in bits[1:]:
        result |= more
    return result
