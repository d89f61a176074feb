"""Flags in a file: whatever they are stored as, they are read as whole numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.errors import FormatError
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.filemap import HduMap
from ndmapper.io.tiles.read import TileHandle, open_array

__all__ = ["flags_handle", "unfit_as_bits"]

_CONVERTED = np.dtype("uint32")
"""Type of flags that are stored as floating point: room for every named flag."""


def flags_handle(hdu: HduMap) -> ArrayHandle:
    """
    Make the handle of flags.

    Parameters
    ----------
    hdu : HduMap
        An HDU that holds an image.

    Returns
    -------
    ArrayHandle
        One whose values are integers.
    """
    handle = open_array(hdu)
    if handle.is_pseudo or (handle.bitpix > 0 and not handle.is_converted):
        return handle
    if isinstance(handle, TileHandle):
        return _TiledFlags(**handle.__dict__)
    return _StoredFlags(**handle.__dict__, hdu=hdu)


def unfit_as_bits(values: npt.NDArray[Any]) -> Any:
    """
    Find a number that cannot be the flags of a pixel.

    Parameters
    ----------
    values : ndarray of float
        What is given as flags.

    Returns
    -------
    float or None
        The first that is no whole number, or needs more than 32 bits; None if all
        are flags.
    """
    fit = (values >= 0) & (values <= np.iinfo(_CONVERTED).max)
    fit &= values == np.trunc(values)
    return None if fit.all() else values[~fit][0].item()


class _Flags(ArrayHandle):
    """An array of flags that is stored in another way than as plain integers."""

    hdu: HduMap

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the flags, which is known without reading them."""
        if self._is_plain:
            # What BLANK marks are flags like others: no bit is left for it.
            return np.dtype(f"{'u' if self.bitpix == 8 else 'i'}{self.bitpix // 8}")
        return _CONVERTED

    @property
    def _is_plain(self) -> bool:
        return self.bitpix > 0 and self.bscale == 1 and self.bzero == 0

    def _scaled(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self._is_plain:
            return stored
        values = stored * np.float64(self.bscale) + np.float64(self.bzero)
        values = np.asarray(values)
        if (wrong := unfit_as_bits(values)) is not None:
            msg = (
                f"the flags in HDU {self.index} ({self.hdu.name}) of "
                f"{self.source.path} must be whole numbers of up to 32 bits, and there "
                f"is {wrong}; correct them, or do without them: ndd.flags = None"
            )
            raise FormatError(msg)
        return values.astype(_CONVERTED)


@dataclass(frozen=True)
class _StoredFlags(_Flags):
    hdu: HduMap


class _TiledFlags(_Flags, TileHandle):
    pass
