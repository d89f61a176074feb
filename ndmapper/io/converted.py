"""
Lazy arrays of the HDUs of a file, also where the stored numbers mean other values.

Uncertainties that are no variances or in another unit than their data, masks of
CCDData, and flags that are not stored as integers are converted on reading. Each has a
conversion, by which a save knows what it can copy, and a function that makes the handle
of an HDU: hence more than ten names.
"""

import functools
import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy import units as u

from ndmapper.errors import FormatError
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.filemap import HduMap
from ndmapper.io.roles import KINDS_BY_UTYPE, UncertaintyKind
from ndmapper.io.source import Source
from ndmapper.io.tiles.read import TileHandle
from ndmapper.io.units import says_nothing, unit_from_text
from ndmapper.numerics.formulas import as_float, float_type, squared

__all__ = [
    "KIND_KEYWORD",
    "KIND_NAMES",
    "AsBits",
    "AsMask",
    "AsVariance",
    "WithNoData",
    "flags_handle",
    "kind_of_uncertainty",
    "mask_handle",
    "measured",
    "open_array",
    "stored_kind",
    "unfit_as_bits",
    "variance_handle",
]


log = logging.getLogger(__name__)

Array = npt.NDArray[Any]


def open_array(hdu: HduMap) -> ArrayHandle:
    """Make the handle of an array, compressed in tiles or not; nothing is read."""
    kind = TileHandle if hdu.is_tiled else ArrayHandle
    return kind.of(hdu)


KIND_KEYWORD = "UTYPE"
"""Keyword that tells the kind of an uncertainty."""

KIND_NAMES = {kind: name for name, kind in KINDS_BY_UTYPE.items()}
"""Its values."""


def kind_of_uncertainty(hdu: HduMap) -> UncertaintyKind:
    """Return the kind of an uncertainty by UTYPE; without it standard deviations."""
    stated = str(hdu.header.get(KIND_KEYWORD, "")).strip()
    return KINDS_BY_UTYPE.get(stated, "std")


# ---- uncertainties


@dataclass(frozen=True)
class AsVariance:
    """Conversion of an uncertainty of any kind to variances in the unit of the data."""

    kind: UncertaintyKind  # that is stored
    factor: float = 1  # what is stored is multiplied by it, in double precision

    def dtype(self, handle: ArrayHandle) -> np.dtype[Any]:
        """Return the type of the variances."""
        inverse = self.kind == "ivar"
        return float_type(handle.scaled_dtype) if inverse else np.dtype(np.float64)

    def values(self, handle: ArrayHandle, stored: Array) -> Array:
        """Make variances of what is stored."""
        if self.kind == "ivar":
            weights = as_float(handle.scaled(stored))
            with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
                return np.where(
                    _is_measured(weights), 1 / weights, weights.dtype.type(np.inf)
                )
        if self.factor == 1:
            values = handle.scaled(stored)
        else:
            scaled = handle.scaled(stored, np.float64)
            values = np.asarray(np.float64(self.factor) * scaled)
        return squared(values) if self.kind == "std" else values


def stored_kind(handle: ArrayHandle | None) -> UncertaintyKind:
    """Return the kind of uncertainty that is stored, by the conversion of a handle."""
    how = None if handle is None else handle.conversion
    return how.kind if isinstance(how, AsVariance) else "variance"


def measured(weights: ArrayHandle) -> npt.NDArray[np.bool_]:
    """Return where an inverse variance, as it is stored, is positive and finite."""
    return _is_measured(as_float(weights.scaled(weights.stored())))


def _is_measured(weights: Array) -> npt.NDArray[np.bool_]:
    return np.asarray((weights > 0) & np.isfinite(weights))


def variance_handle(hdu: HduMap, data: HduMap, kind: UncertaintyKind) -> ArrayHandle:
    """
    Make the handle of an uncertainty, which is read as variances.

    They are in the unit of the data squared. Units that do not fit each other are
    warned of, and the values taken as they are. What inverse variances have as unit is
    not looked at.
    """
    handle = open_array(hdu)
    factor = 1.0 if kind == "ivar" else _factor(hdu, data, is_std=kind == "std")
    if kind == "variance" and factor == 1:
        return handle
    return handle.converted(AsVariance(kind, factor))


def _factor(hdu: HduMap, data: HduMap, *, is_std: bool) -> float:
    """Return what turns an uncertainty into the unit of its data, or of its square."""
    text = str(hdu.keys.get("BUNIT") or "")
    data_text = str(data.keys.get("BUNIT") or "")
    if not text or not data_text or says_nothing(text) or says_nothing(data_text):
        return 1
    unit, of_data = unit_from_text(text), unit_from_text(data_text)
    if not isinstance(unit, u.UnitBase) or not isinstance(of_data, u.UnitBase):
        return 1  # cannot be checked
    expected = of_data if is_std else of_data**2
    try:
        factor = unit.to(expected)
    except u.UnitConversionError:
        _warn(hdu.source, text, data_text, is_std)
        return 1
    return 1 if abs(factor - 1) < 1e-9 else float(factor)


@functools.lru_cache(maxsize=256)  # once for a file
def _warn(source: Source, text: str, data_text: str, is_std: bool) -> None:
    log.warning(
        "%s has %s in %r beside data in %r, which do not go together; their numbers "
        "are taken as they are, in the unit of the data%s",
        source.path, "standard deviations" if is_std else "variances", text, data_text,
        "" if is_std else " squared",
    )  # fmt: skip


# ---- flags


@dataclass(frozen=True)
class AsMask:
    """Conversion of a mask to flags 0 and 1."""

    def dtype(self, handle: ArrayHandle) -> np.dtype[Any]:
        """Return the type of the flags."""
        return np.dtype("uint8")

    def values(self, handle: ArrayHandle, stored: Array) -> Array:
        """Make flags of the mask that is stored."""
        values = stored * np.float64(handle.bscale) + np.float64(handle.bzero)
        return np.asarray(values != 0).astype(np.uint8)


def mask_handle(hdu: HduMap) -> ArrayHandle:
    """Make the handle of a mask that is read as flags 0 and 1."""
    return open_array(hdu).converted(AsMask())


@dataclass(frozen=True)
class WithNoData:
    """
    Conversion of inverse variances to flags.

    A bit is added to the flags where the inverse variance is not positive and finite.
    """

    flags: ArrayHandle | None  # the whole array as stored; None where there is none
    bit: int  # the bit that means that nothing was measured

    def dtype(self, handle: ArrayHandle) -> np.dtype[Any]:
        """Return the type of the flags."""
        stored = np.dtype("uint8") if self.flags is None else self.flags.dtype
        if self.bit.bit_length() <= 8 * stored.itemsize - (stored.kind == "i"):
            return stored
        return np.promote_types(np.min_scalar_type(self.bit), f"u{stored.itemsize}")

    def values(self, handle: ArrayHandle, stored: Array) -> Array:
        """Read the same section of the flags, and add the bit."""
        made = np.zeros(stored.shape, self.dtype(handle))
        if self.flags is not None:
            flags = replace(self.flags, section=handle.section).read()
            made |= flags.astype(made.dtype, copy=False)
        weights = as_float(handle.scaled(stored))
        made[~_is_measured(weights)] |= made.dtype.type(self.bit)
        return made


_FLAGS = np.dtype("uint32")
"""Type of flags that are stored as floating point: room for every named flag."""


def unfit_as_bits(values: Array) -> Any:
    """Return the first value that is no integer of up to 32 bits; None if all are."""
    fit = (values >= 0) & (values <= np.iinfo(_FLAGS).max)
    fit &= values == np.trunc(values)
    return None if fit.all() else values[~fit][0].item()


@dataclass(frozen=True)
class AsBits:
    """Conversion of flags that are not stored as plain integers."""

    name: str  # that of the extension, for errors

    def dtype(self, handle: ArrayHandle) -> np.dtype[Any]:
        """Return the type of the flags."""
        # What BLANK marks are flags like others: no bit is left for it.
        return handle.stored_dtype if _is_plain(handle) else _FLAGS

    def values(self, handle: ArrayHandle, stored: Array) -> Array:
        """Make integers of the flags that are stored."""
        if _is_plain(handle):
            return stored
        values = stored * np.float64(handle.bscale) + np.float64(handle.bzero)
        values = np.asarray(values)
        if (wrong := unfit_as_bits(values)) is not None:
            msg = (
                f"the flags in HDU {handle.index} ({self.name}) of "
                f"{handle.source.path} must be whole numbers of up to 32 bits, and "
                f"there is {wrong}; correct them, or do without them: ndd.flags = None"
            )
            raise FormatError(msg)
        return values.astype(_FLAGS)


def _is_plain(handle: ArrayHandle) -> bool:
    return handle.bitpix > 0 and handle.bscale == 1 and handle.bzero == 0


def flags_handle(hdu: HduMap) -> ArrayHandle:
    """Make the handle of flags, which are read as integers however they are stored."""
    handle = open_array(hdu)
    if handle.is_pseudo or (handle.bitpix > 0 and not handle.is_scaled):
        return handle
    return handle.converted(AsBits(hdu.name))
