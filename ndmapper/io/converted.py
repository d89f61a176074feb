"""
Lazy arrays whose values differ in meaning from the stored numbers.

Uncertainties in another unit than their data, inverse variances, masks of CCDData, and
flags that are not stored as integers are converted on reading. Each has a class, by
which a save knows what it can copy, and a function that makes it of an HDU: hence more
than ten names.
"""

import functools
import logging
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from astropy import units as u

from ndmapper.errors import FormatError
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.filemap import HduMap
from ndmapper.io.source import Source
from ndmapper.io.tiles.read import TileHandle, open_array
from ndmapper.io.units import says_nothing, unit_from_text
from ndmapper.numerics.formulas import as_float, float_type

__all__ = [
    "KIND_KEYWORD",
    "KIND_NAMES",
    "ConvertedHandle",
    "InverseHandle",
    "NoDataHandle",
    "RescaledHandle",
    "flags_handle",
    "in_unit_of_data",
    "inverse_handle",
    "kind_of_uncertainty",
    "mask_handle",
    "no_data_handle",
    "unfit_as_bits",
    "weighed_handle",
]


log = logging.getLogger(__name__)

_Handle = TypeVar("_Handle", bound=ArrayHandle)

Kind = Literal["std", "variance", "inverse"]

KIND_KEYWORD = "UTYPE"
"""Keyword that tells the kind of an uncertainty."""

KIND_NAMES: dict[Kind, str] = {
    "std": "StdDevUncertainty",
    "variance": "VarianceUncertainty",
    "inverse": "InverseVariance",
}
"""Its values."""


def kind_of_uncertainty(hdu: HduMap) -> Kind:
    """Return the kind of an uncertainty by UTYPE; without it standard deviations."""
    stated = str(hdu.header.get(KIND_KEYWORD, "")).strip()
    return next((kind for kind, name in KIND_NAMES.items() if name == stated), "std")


class ConvertedHandle(ArrayHandle):
    """A lazy array whose values differ in meaning from those that are stored."""


def _converted(kind: type[_Handle], handle: ArrayHandle, **attributes: Any) -> _Handle:
    """Make a handle of another kind for the same array, be it compressed in tiles."""
    tiled: Any = _TILED[kind] if isinstance(handle, TileHandle) else kind
    made: _Handle = object.__new__(tiled)
    made.__dict__.update(handle.__dict__, **attributes)
    return made


# ---- uncertainties


class InverseHandle(ConvertedHandle):
    """Variances that are stored as inverse variances."""

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
        """Return where there is a variance: the inverse is positive and finite."""
        return _is_measured(as_float(super()._scaled(self.stored())))


def _is_measured(weights: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return np.asarray((weights > 0) & np.isfinite(weights))


def inverse_handle(hdu: HduMap) -> InverseHandle:
    """Make the handle of inverse variances that are read as variances."""
    return _converted(InverseHandle, open_array(hdu))


def weighed_handle(hdu: HduMap) -> ArrayHandle:
    """Make the handle of an uncertainty; inverse variances are read as variances."""
    if kind_of_uncertainty(hdu) != "inverse":
        return open_array(hdu)
    return inverse_handle(hdu)


class RescaledHandle(ConvertedHandle):
    """An uncertainty that is multiplied by a factor, in double precision."""

    factor: float

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return np.dtype(np.float64)

    def _scaled(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(np.float64(self.factor) * super()._scaled(stored))


def in_unit_of_data(
    handle: ArrayHandle, hdu: HduMap, data: HduMap, *, is_std: bool
) -> ArrayHandle:
    """
    Convert an uncertainty to the unit of its data (squared for variances).

    Units that do not fit each other are warned of, and the values taken as they are.
    """
    text, data_text = (str(h.keys.get("BUNIT") or "") for h in (hdu, data))
    if not text or not data_text:
        return handle
    if isinstance(handle, ConvertedHandle):
        return handle  # inverse variances, whose unit is another matter
    if says_nothing(text) or says_nothing(data_text):
        return handle
    unit, of_data = unit_from_text(text), unit_from_text(data_text)
    if not isinstance(unit, u.UnitBase) or not isinstance(of_data, u.UnitBase):
        return handle  # cannot be checked
    expected = of_data if is_std else of_data**2
    try:
        factor = unit.to(expected)
    except u.UnitConversionError:
        _warn(handle.source, text, data_text, is_std)
        return handle
    if abs(factor - 1) < 1e-9:
        return handle
    return _converted(RescaledHandle, handle, factor=float(factor))


@functools.lru_cache(maxsize=256)  # once for a file
def _warn(source: Source, text: str, data_text: str, is_std: bool) -> None:
    log.warning(
        "%s has %s in %r beside data in %r, which do not go together; their numbers "
        "are taken as they are, in the unit of the data%s",
        source.path, "standard deviations" if is_std else "variances", text, data_text,
        "" if is_std else " squared",
    )  # fmt: skip


# ---- flags


class _Mask(ConvertedHandle):
    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the flags."""
        return np.dtype("uint8")

    def _scaled(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        values = stored * np.float64(self.bscale) + np.float64(self.bzero)
        return np.asarray(values != 0).astype(np.uint8)


def mask_handle(hdu: HduMap) -> ArrayHandle:
    """Make the handle of a mask that is read as flags 0 and 1."""
    return _converted(_Mask, open_array(hdu))


class NoDataHandle(ConvertedHandle):
    """Flags, with a bit added where the inverse variance is not positive and finite."""

    weights: InverseHandle
    flags: ArrayHandle | None  # the flags that are stored; None where there are none
    bit: int  # the bit that means that nothing was measured

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the flags."""
        stored = np.dtype("uint8") if self.flags is None else self.flags.dtype
        if self.bit.bit_length() <= 8 * stored.itemsize - (stored.kind == "i"):
            return stored
        return np.promote_types(np.min_scalar_type(self.bit), f"u{stored.itemsize}")

    def take(self, item: Any) -> "NoDataHandle":
        """Return the handle of a section; nothing is read."""
        taken: Any = super().take(item)
        weights = self.weights.take(item)
        flags = None if self.flags is None else self.flags.take(item)
        taken.__dict__.update(weights=weights, flags=flags)
        return taken  # type: ignore[no-any-return]

    def read(self) -> npt.NDArray[Any]:
        """Read the section."""
        made = np.zeros(self.shape, self.dtype)
        if self.flags is not None:
            flags = self.flags.read()
            made |= flags.astype(self.dtype, copy=False)
        made[~self.weights.is_measured()] |= self.dtype.type(self.bit)
        return made


def no_data_handle(
    weights: InverseHandle, flags: ArrayHandle | None, bit: int
) -> NoDataHandle:
    """Make the handle of flags that have `bit` where there is no variance."""
    made = object.__new__(NoDataHandle)
    made.__dict__.update(weights.__dict__, weights=weights, flags=flags, bit=bit)
    return made


_FLAGS = np.dtype("uint32")
"""Type of flags that are stored as floating point: room for every named flag."""


def unfit_as_bits(values: npt.NDArray[Any]) -> Any:
    """Return the first value that is no integer of up to 32 bits; None if all are."""
    fit = (values >= 0) & (values <= np.iinfo(_FLAGS).max)
    fit &= values == np.trunc(values)
    return None if fit.all() else values[~fit][0].item()


class _Flags(ArrayHandle):
    """Flags that are not stored as plain integers."""

    name: str  # that of the extension, for errors

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the flags."""
        # What BLANK marks are flags like others: no bit is left for it.
        return self.stored_dtype if self._is_plain else _FLAGS

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
                f"the flags in HDU {self.index} ({self.name}) of "
                f"{self.source.path} must be whole numbers of up to 32 bits, and there "
                f"is {wrong}; correct them, or do without them: ndd.flags = None"
            )
            raise FormatError(msg)
        return values.astype(_FLAGS)


def flags_handle(hdu: HduMap) -> ArrayHandle:
    """Make the handle of flags, which are read as integers however they are stored."""
    handle = open_array(hdu)
    if handle.is_pseudo or (handle.bitpix > 0 and not handle.is_converted):
        return handle
    return _converted(_Flags, handle, name=hdu.name)


# ---- the same, compressed in tiles


class _TiledInverse(InverseHandle, TileHandle):
    pass


class _TiledRescaled(RescaledHandle, TileHandle):
    pass


class _TiledMask(_Mask, TileHandle):
    pass


class _TiledFlags(_Flags, TileHandle):
    pass


_TILED: dict[type[ArrayHandle], type[TileHandle]] = {
    InverseHandle: _TiledInverse,
    RescaledHandle: _TiledRescaled,
    _Mask: _TiledMask,
    _Flags: _TiledFlags,
}
