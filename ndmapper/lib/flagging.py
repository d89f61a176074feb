"""Setting flag bits of an image."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.data import Flag, NDLater
from ndmapper.data.flags import FLAGS_DTYPE, widened

__all__ = ["flags_with"]


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
