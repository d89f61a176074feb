"""
Arrays that mean something else than the stored numbers say.

Inverse variances are read as variances, and where they give none the pixel is flagged;
the mask that astropy's CCDData writes is read as flags.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.filemap import HduMap
from ndmapper.io.tiles.read import TileHandle, open_array
from ndmapper.numerics.formulas import as_float, float_type

__all__ = [
    "KIND_KEYWORD",
    "KIND_NAMES",
    "ConvertedHandle",
    "InverseHandle",
    "NoDataHandle",
    "inverse_handle",
    "kind_of_uncertainty",
    "mask_handle",
    "no_data_handle",
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
    if kind_of_uncertainty(hdu) != "inverse":
        return open_array(hdu)
    return inverse_handle(hdu)


def inverse_handle(hdu: HduMap) -> "InverseHandle":
    """
    Make the handle of inverse variances, which become variances.

    Parameters
    ----------
    hdu : HduMap
        Its HDU.

    Returns
    -------
    InverseHandle
        One whose values are variances: infinite where nothing was measured.
    """
    handle = open_array(hdu)
    kind = _TiledInverse if isinstance(handle, TileHandle) else InverseHandle
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
    handle = open_array(hdu)
    kind = _TiledMask if isinstance(handle, TileHandle) else _Mask
    return kind(**handle.__dict__)


class InverseHandle(ConvertedHandle):
    """
    Variances, of which the inverse is stored.

    Parameters
    ----------
    source, index, offset, bitpix, stored_shape, bscale, bzero, blank, section : object
        As of an `ArrayHandle`.
    """

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the variances."""
        return float_type(super().dtype)

    def _scaled(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        weights = as_float(super()._scaled(stored))
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return np.where(
                _is_measured(weights), 1 / weights, weights.dtype.type(np.inf)
            )

    def is_measured(self) -> npt.NDArray[np.bool_]:
        """
        Read where there is a variance.

        Returns
        -------
        ndarray of bool
            False where the inverse is 0, negative or not finite.
        """
        return _is_measured(as_float(super()._scaled(self.stored())))


def _is_measured(weights: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return np.asarray((weights > 0) & np.isfinite(weights))


class NoDataHandle(ConvertedHandle):
    """
    Flags, to which those of pixels are added that have no variance.

    Parameters
    ----------
    source, index, offset, bitpix, stored_shape, bscale, bzero, blank, section : object
        As of an `ArrayHandle`, those of the inverse variances.

    Attributes
    ----------
    weights : InverseHandle
        The variances.
    flags : ArrayHandle or None
        The flags that are stored; None where there are none.
    bit : int
        The bit that means that nothing was measured.
    """

    weights: InverseHandle
    flags: ArrayHandle | None
    bit: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the flags."""
        stored = np.dtype("uint8") if self.flags is None else self.flags.dtype
        if self.bit.bit_length() <= 8 * stored.itemsize - (stored.kind == "i"):
            return stored
        return np.promote_types(np.min_scalar_type(self.bit), f"u{stored.itemsize}")

    def take(self, item: Any) -> "NoDataHandle":
        """
        Take a section without reading it.

        Parameters
        ----------
        item : index
            Numbers, slices and an ellipsis.

        Returns
        -------
        NoDataHandle
            The handle of the section.
        """
        taken: Any = super().take(item)
        weights = self.weights.take(item)
        flags = None if self.flags is None else self.flags.take(item)
        taken.__dict__.update(weights=weights, flags=flags)
        return taken  # type: ignore[no-any-return]

    def read(self) -> npt.NDArray[Any]:
        """
        Read the section.

        Returns
        -------
        ndarray of int
            The flags.
        """
        made = np.zeros(self.shape, self.dtype)
        if self.flags is not None:
            flags = self.flags.read()
            made |= flags.astype(self.dtype, copy=False)
        made[~self.weights.is_measured()] |= self.dtype.type(self.bit)
        return made


def no_data_handle(
    weights: InverseHandle, flags: ArrayHandle | None, bit: int
) -> NoDataHandle:
    """
    Make the handle of the flags beside inverse variances.

    Parameters
    ----------
    weights : InverseHandle
        The variances.
    flags : ArrayHandle or None
        The flags of the file, if it has any.
    bit : int
        The bit that means that nothing was measured.

    Returns
    -------
    NoDataHandle
        One whose values are the flags, and that bit where there is no variance.
    """
    made = object.__new__(NoDataHandle)
    made.__dict__.update(weights.__dict__, weights=weights, flags=flags, bit=bit)
    return made


class _Mask(ConvertedHandle):
    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the flags."""
        return np.dtype("uint8")

    def _scaled(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        values = stored * np.float64(self.bscale) + np.float64(self.bzero)
        return np.asarray(values != 0).astype(np.uint8)


class _TiledInverse(InverseHandle, TileHandle):
    pass


class _TiledMask(_Mask, TileHandle):
    pass
