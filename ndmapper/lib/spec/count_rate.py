"""Spectra as count rates for each unit of wavelength."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from astropy import units as u

from ndmapper.data import NDLater
from ndmapper.errors import ShapeError, UnitError
from ndmapper.lib.alike import called
from ndmapper.lib.ccd.dark import exposure_time
from ndmapper.lib.flagging import good_pixels
from ndmapper.lib.spec.axis import wavelengths_of
from ndmapper.numerics.air import vacuum_to_air
from ndmapper.numerics.rebin import pixel_edges

__all__ = ["FLUX_UNIT", "CountRate", "air_wavelengths", "count_rate", "require_pixels"]

Array = npt.NDArray[np.float64]

FLUX_UNIT = u.Unit("erg / (s cm2 Angstrom)")

_COUNTS = tuple(u.Unit(name) for name in ("electron", "adu", "ct", "photon", "DN"))


@dataclass(frozen=True, kw_only=True)
class CountRate:
    """A spectrum in counts for each second and Angstrom."""

    wavelengths: Array  # [Angstrom], in air
    edges: Array  # of the pixels
    values: Array
    variance: Array | None
    good: npt.NDArray[np.bool_]
    unit: u.UnitBase  # electron, adu, ...

    def rising(self) -> "CountRate":
        """Turn it so that wavelengths rise."""
        if self.edges[0] < self.edges[-1]:
            return self
        return CountRate(
            wavelengths=self.wavelengths[::-1],
            edges=self.edges[::-1],
            values=self.values[::-1],
            variance=None if self.variance is None else self.variance[::-1],
            good=self.good[::-1],
            unit=self.unit,
        )


def air_wavelengths(ndd: NDLater) -> Array:
    """Give the wavelengths of a spectrum in air [Angstrom]."""
    axis = wavelengths_of(ndd)
    require_pixels(ndd)
    return axis.values if axis.medium == "air" else vacuum_to_air(axis.values)


def require_pixels(ndd: NDLater) -> None:
    """Refuse a spectrum of one pixel, whose width is not known."""
    if ndd.shape[0] < 2:
        msg = f"{called(ndd)} has {ndd.shape[0]} pixel, and a spectrum has two or more"
        raise ShapeError(msg)


def count_rate(ndd: NDLater, exposure: float | None, name: str) -> CountRate:
    """
    Divide a spectrum by its exposure time and the widths of pixels, where it was not.

    Raises
    ------
    UnitError
        If its unit is none of counts, for each second and Angstrom or not.
    ParameterError
        If the exposure time is needed and not known.
    """
    unit, by_time, by_width = _parts(ndd.unit, name)
    wavelengths = air_wavelengths(ndd)
    edges = pixel_edges(wavelengths)
    factor = unit.to(_plain(unit)) * np.ones(ndd.shape)
    if not by_time:
        factor /= exposure_time(ndd, exposure, "exposure", name)
    if not by_width:
        factor /= np.abs(np.diff(edges))
    variance = ndd.variance
    return CountRate(
        wavelengths=wavelengths,
        edges=edges,
        values=np.asarray(ndd.data, np.float64) * factor,
        variance=(
            None if variance is None else np.asarray(variance, np.float64) * factor**2
        ),
        good=good_pixels(ndd),
        unit=_plain(unit),
    )


def _parts(unit: u.UnitBase | None, name: str) -> tuple[u.UnitBase, bool, bool]:
    """Tell the counts of a unit, and whether it is for each second and Angstrom."""
    if unit is not None:
        for by_time, by_width in product((False, True), repeat=2):
            counts = unit * u.s**by_time * u.AA**by_width
            if any(counts.is_equivalent(one) for one in _COUNTS):
                return counts, by_time, by_width
    already = unit is not None and unit.is_equivalent(FLUX_UNIT)
    why = "it is calibrated already" if already else "set ndd.unit"
    msg = (
        f"{name} is in {unit or 'no unit'}, and counts (electron, adu) are needed, for "
        f"each second and Angstrom or not; {why}"
    )
    raise UnitError(msg)


def _plain(counts: u.UnitBase) -> u.UnitBase:
    return next(one for one in _COUNTS if counts.is_equivalent(one))
