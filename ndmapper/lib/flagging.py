"""Setting flag bits of an image."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.data import Flag, NDLater

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
        Where a bit is to be set, and which.

    Returns
    -------
    ndarray of int
        The new flags; uint16 where the image had none.
    """
    old = ndd.flags
    flags = np.zeros(ndd.shape, np.uint16) if old is None else np.array(old)
    for where, flag in additions:
        flags[where] |= flags.dtype.type(flag)
    return flags
