"""How spectra lie on the image of a slit spectrograph."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from ndmapper.data import NDLater
from ndmapper.errors import ParameterError, ShapeError
from ndmapper.instruments.spectrograph import check_spectrograph
from ndmapper.numerics.slit import likely_dispersion_axis
from ndmapper.steps import OfInstrument

__all__ = [
    "Spectrograph",
    "SpectrographTable",
    "spectrograph_of",
    "spectrograph_of_light",
]

log = logging.getLogger(__name__)

SpectrographTable = Annotated[Mapping[str, Any] | None, OfInstrument("spectrograph")]
"""
The parameter of a step that takes ``[spectrograph]`` of the instrument's table.

A call gives a mapping of the same keys, which replace those of the table.
"""


@dataclass(frozen=True, kw_only=True)
class Spectrograph:
    """
    Geometry of the spectra on an image.

    Parameters
    ----------
    axis : int
        The axis of the array along which the wavelength changes.
    falls : bool
        Whether the wavelength falls with the index along that axis.
    binning : tuple of int
        Detector pixels for each pixel of the image: along the slit, and along the
        dispersion.
    values : mapping
        All that the instrument's table and the call state (see `check_spectrograph`).
    is_stated : bool
        Whether the table, the call or the header state the axis; else it is taken for
        granted.
    """

    axis: int
    falls: bool
    binning: tuple[int, int]
    values: Mapping[str, Any]
    is_stated: bool = True

    def turned(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """View an image with the slit along axis 0 and rising wavelengths on axis 1."""
        turned = image if self.axis == 1 else image.T
        return turned[:, ::-1] if self.falls else turned

    def back(self, turned: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """View an array that is turned like `turned` as the image lies."""
        image = turned[:, ::-1] if self.falls else turned
        return image if self.axis == 1 else image.T

    @property
    def dispersion(self) -> float | None:
        """Approximate dispersion [Angstrom for each pixel of the image]."""
        value = self.values.get("dispersion")
        return None if value is None else float(value) * self.binning[1]

    @property
    def wavelength_range(self) -> tuple[float, float] | None:
        """Approximate wavelengths of the first and the last pixel [Angstrom]."""
        value = self.values.get("wavelength_range")
        return None if value is None else (float(value[0]), float(value[1]))

    @property
    def pixel_scale(self) -> float | None:
        """Size of a pixel of the image along the slit [arcsec]."""
        value = self.values.get("pixel_scale")
        return None if value is None else float(value) * self.binning[0]

    def rows(self, n: int) -> slice:
        """Give the rows of a turned image of `n` rows that the slit covers."""
        if (limits := self.values.get("slit")) is None:
            return slice(0, n)
        return _pixels(limits, self.binning[0], n)

    def in_gap(self, n: int) -> npt.NDArray[np.bool_]:
        """Mark the columns of a turned image of `n` columns that gaps cover."""
        marked = np.zeros(n, bool)
        for limits in self.values.get("gaps", ()):
            marked[_pixels(limits, self.binning[1], n)] = True
        # Gaps are counted as the pixels of the detector are.
        return marked[::-1] if self.falls else marked


def spectrograph_of(given: Mapping[str, Any] | None, ndd: NDLater) -> Spectrograph:
    """
    Tell how the spectra of an image lie.

    Parameters
    ----------
    given : mapping or None
        What a step was handed as `SpectrographTable`.
    ndd : NDLater
        The image. DISPAXIS in its header or the primary one (1 is x, 2 is y, as for
        IRAF) counts where `given` has no ``dispersion_axis``.

    Returns
    -------
    Spectrograph
        The geometry; without any statement the dispersion is along x, and the
        wavelength rises with it.

    Raises
    ------
    ParameterError
        If a key of `given` is not known, or its value is wrong.
    ShapeError
        If the data are no image.
    """
    if ndd.ndim != 2:
        msg = f"a spectrograph has images of two axes, and these are {ndd.shape}"
        raise ShapeError(msg)
    try:
        values = check_spectrograph(given or {})
    except ValueError as err:
        msg = f"spectrograph: {err}"
        raise ParameterError(msg) from err
    stated = values.get("dispersion_axis") or _axis_of_header(ndd)
    axis = stated or "x"
    binning = [b if isinstance(b, int) else 1 for b in values.get("binning", (1, 1))]
    x_bin, y_bin = (binning * 2)[:2]
    array_axis = 1 if axis == "x" else 0
    along = (y_bin, x_bin) if axis == "x" else (x_bin, y_bin)
    if "wavelength_range" not in values:
        values |= _range_about(values, ndd.shape[array_axis] * along[1])
    return Spectrograph(
        axis=array_axis,
        falls=values.get("wavelength") == "falls",
        binning=along,
        values=values,
        is_stated=stated is not None,
    )


def spectrograph_of_light(
    given: Mapping[str, Any] | None, ndd: NDLater, light: npt.NDArray[np.float64]
) -> Spectrograph:
    """
    Tell how the spectra of a frame lie whose light fills the slit, such as a lamp's.

    Parameters
    ----------
    given : mapping or None
        As for `spectrograph_of`.
    ndd : NDLater
        The frame.
    light : ndarray of float, shape (ny, nx)
        Its light; NaN where a pixel is bad, and 0 where it is known to be unlit.

    Returns
    -------
    Spectrograph
        The geometry. There is a warning where it is stated and the light looks as if
        the dispersion were along the other axis.

    Raises
    ------
    ParameterError
        As `spectrograph_of`; and if nothing states the axis, and the light looks so.
    """
    geometry = spectrograph_of(given, ndd)
    seen = likely_dispersion_axis(light)
    if seen is None or seen == geometry.axis:
        return geometry
    axis, other = ("x", "y") if geometry.axis == 1 else ("y", "x")
    why = f"the light of {ndd!r} looks as if the dispersion were along {other}"
    if not geometry.is_stated:
        msg = (
            f"{why}, and nothing states its axis, so that {axis} would be taken: give "
            f"spectrograph={{'dispersion_axis': '{other}'}} (or '{axis}', if that is "
            "right), or write it into the instrument's table under [spectrograph]"
        )
        raise ParameterError(msg)
    log.warning("%s, and %s is stated; is that right?", why, axis)
    return geometry


def _range_about(values: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Find the wavelengths of the ends of `n` detector pixels about the centre."""
    centre, step = values.get("central_wavelength"), values.get("dispersion")
    if not isinstance(centre, int | float) or step is None:
        return {}
    half = step * n / 2
    return {"wavelength_range": [centre - half, centre + half]}


def _axis_of_header(ndd: NDLater) -> str | None:
    value = ndd.header_values.get("DISPAXIS")
    if value is None and ndd.primary_values is not None:
        value = ndd.primary_values.get("DISPAXIS")
    if value is None:
        return None
    if value in (1, 2):
        return "x" if value == 1 else "y"
    msg = (
        f"DISPAXIS = {value!r} in the header is neither 1 (x) nor 2 (y); give "
        "spectrograph={'dispersion_axis': 'x'}, or 'y'"
    )
    raise ParameterError(msg)


def _pixels(limits: Any, binning: int, n: int) -> slice:
    """Convert the limits of detector pixels, counted from 1, to a slice."""
    first = int(np.floor((limits[0] - 1) / binning))
    last = int(np.ceil(limits[1] / binning))
    return slice(max(first, 0), min(last, n))
