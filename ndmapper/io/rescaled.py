"""Uncertainties in another unit than their data, turned into that when read."""

import functools
import logging
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy import units as u

from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.ccddata import ConvertedHandle
from ndmapper.io.filemap import HduMap
from ndmapper.io.source import Source
from ndmapper.io.tiles.read import TileHandle
from ndmapper.io.units import says_nothing, unit_from_text

__all__ = ["RescaledHandle", "in_unit_of_data"]

log = logging.getLogger(__name__)


class RescaledHandle(ConvertedHandle):
    """
    An uncertainty that is multiplied by a factor, in double precision.

    Parameters
    ----------
    source, index, offset, bitpix, stored_shape, bscale, bzero, blank, section : object
        As of an `ArrayHandle`.
    """

    factor: float = 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return np.dtype(np.float64)

    def _scaled(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(np.float64(self.factor) * super()._scaled(stored))


class _TiledRescaled(RescaledHandle, TileHandle):
    pass


def in_unit_of_data(
    handle: ArrayHandle, hdu: HduMap, data: HduMap, *, is_std: bool
) -> ArrayHandle:
    """
    Check what the header of an uncertainty says of its unit.

    Parameters
    ----------
    handle : ArrayHandle
        The uncertainty.
    hdu, data : HduMap
        Where it is, and where its data are.
    is_std : bool
        It holds standard deviations, not variances.

    Returns
    -------
    ArrayHandle
        The same one, or one that gives values in the unit of the data (squared). Where
        the units do not fit each other there is a warning in the log, and the values
        are taken as they are.
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
        return handle  # nobody can check that
    expected = of_data if is_std else of_data**2
    try:
        factor = unit.to(expected)
    except u.UnitConversionError:
        _warn(handle.source, text, data_text, is_std)
        return handle
    if abs(factor - 1) < 1e-9:
        return handle
    kind = _TiledRescaled if isinstance(handle, TileHandle) else RescaledHandle
    made = kind(**handle.__dict__)
    made.__dict__["factor"] = float(factor)
    return made


@functools.lru_cache(maxsize=256)  # once for a file
def _warn(source: Source, text: str, data_text: str, is_std: bool) -> None:
    log.warning(
        "%s has %s in %r beside data in %r, which do not go together; their numbers "
        "are taken as they are, in the unit of the data%s",
        source.path, "standard deviations" if is_std else "variances", text, data_text,
        "" if is_std else " squared",
    )  # fmt: skip
