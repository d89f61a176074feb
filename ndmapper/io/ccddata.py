"""Uncertainty and mask as astropy's CCDData writes them, in UNCERT and MASK."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.filemap import HduMap
from ndmapper.io.tiles import TileHandle
from ndmapper.numerics.formulas import as_float, float_type

__all__ = [
    "KIND_KEYWORD",
    "KIND_NAMES",
    "ConvertedHandle",
    "kind_of_uncertainty",
    "mask_handle",
    "weighed_handle",
]

Kind = Literal["std", "variance", "inverse"]

KIND_KEYWORD = "UTYPE"
"""What says of which kind an uncertainty is."""

KIND_NAMES: dict[Kind, str] = {
    "std": "StdDevUncertainty",
    "variance": "VarianceUncertainty",
    "inverse": "InverseVariance",
}
"""Its values."""


def kind_of_uncertainty(hdu: HduMap) -> Kind:
    """
    Read what an uncertainty is.

    Parameters
    ----------
    hdu : HduMap
        Its HDU.

    Returns
    -------
    {'std', 'variance', 'inverse'}
        Standard deviations, where the header does not say.
    """
    stated = str(hdu.header.get(KIND_KEYWORD, "")).strip()
    return next((kind for kind, name in KIND_NAMES.items() if name == stated), "std")


class ConvertedHandle(ArrayHandle):
    """
    An array whose values are not those that are stored.

    Parameters
    ----------
    source, index, offset, bitpix, stored_shape, bscale, bzero, blank, section : object
        As of an `ArrayHandle`.
    """


def weighed_handle(hdu: HduMap) -> ArrayHandle:
    """
    Make the handle of an uncertainty, where inverse variances become variances.

    Parameters
    ----------
    hdu : HduMap
        Its HDU.

    Returns
    -------
    ArrayHandle
        One whose values are variances, or else standard deviations.
    """
    handle = ArrayHandle.of(hdu)
    if kind_of_uncertainty(hdu) != "inverse":
        return handle
    kind = _TiledInverse if isinstance(handle, TileHandle) else _Inverse
    return kind(**handle.__dict__)


def mask_handle(hdu: HduMap) -> ArrayHandle:
    """
    Make the handle of a mask, of which every number but 0 means a bad pixel.

    Parameters
    ----------
    hdu : HduMap
        Its HDU.

    Returns
    -------
    ArrayHandle
        One whose values are 0 and 1.
    """
    handle = ArrayHandle.of(hdu)
    kind = _TiledMask if isinstance(handle, TileHandle) else _Mask
    return kind(**handle.__dict__)


class _Inverse(ConvertedHandle):
    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the variances."""
        return float_type(super().dtype)

    def _scaled(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(1 / as_float(super()._scaled(stored)))


class _Mask(ConvertedHandle):
    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the flags."""
        return np.dtype("uint8")

    def _scaled(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        values = stored * np.float64(self.bscale) + np.float64(self.bzero)
        return np.asarray(values != 0).astype(np.uint8)


class _TiledInverse(_Inverse, TileHandle):
    pass


class _TiledMask(_Mask, TileHandle):
    pass
