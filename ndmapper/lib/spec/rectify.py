"""Long-slit spectra on a grid of wavelengths that is the same for all rows."""

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from astropy.table import Table
from astropy.wcs import WCS

from ndmapper.data import Flag, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.alike import check_shape
from ndmapper.lib.figures import image_panel, report_panels
from ndmapper.lib.flagging import flags_with
from ndmapper.lib.image.correlation import COVARIANCE
from ndmapper.lib.spec.axis import medium_of, turned_wavelengths, word_of
from ndmapper.lib.spectrograph import Spectrograph, SpectrographTable, spectrograph_of
from ndmapper.numerics.formulas import narrowed
from ndmapper.numerics.rebin import Rebinned, pixel_edges, rebin
from ndmapper.steps import Range, Unit, qc, run_task

__all__ = ["rectify_wavelength"]

Array = npt.NDArray[np.float64]


@run_task(prefix="t", cals=["wavelengths"])
def rectify_wavelength(
    ndd: NDLater,
    wavelengths: NDLater,
    *,
    first: Annotated[float | None, Range(gt=0), Unit("Angstrom")] = None,
    last: Annotated[float | None, Range(gt=0), Unit("Angstrom")] = None,
    step: Annotated[float | None, Range(gt=0), Unit("Angstrom")] = None,
    spectrograph: SpectrographTable = None,
) -> NDLater:
    """
    Rebin each row of a long-slit spectrum to the same linear wavelengths.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame with counts in its pixels.
    wavelengths : NDLater
        The wavelength of each pixel, as `make_wavelengths` gives it.
    first, last : float, optional
        Wavelengths of the first and the last pixel [Angstrom]; by default those of the
        row in the middle of the slit.
    step : float, optional
        Width of a pixel [Angstrom]; by default the mean of that row.
    spectrograph : mapping, optional
        Keys of ``[spectrograph]`` that replace those of the instrument's table.

    Returns
    -------
    NDLater
        The frame with world coordinates along the dispersion. The counts of a row are
        conserved; the variance is the sum of w^2 v, and since pixels beside each other
        share noise, the table COVARIANCE has their mean covariance (see
        `ndmapper.lib.image.noise_factor`). Flags are those of all pixels that a new one
        overlaps; NO_DATA where the row has no such wavelengths.

    Raises
    ------
    ParameterError
        If the header of the wavelengths does not say whether they are in air, or no
        pixel has a wavelength between first and last.
    """
    geometry = spectrograph_of(spectrograph, ndd)
    check_shape(ndd, wavelengths, "wavelengths")
    word = word_of(medium_of(wavelengths))
    waves = turned_wavelengths(wavelengths, geometry, ndd)
    usable, edges = _edges_of(waves)
    grid = _grid(waves[usable], first, last, step)
    found = _rebinned(ndd, geometry, usable, edges, grid)
    result = _as_ndd(ndd, found, geometry, usable)
    _describe(result, geometry, grid, word)
    result.tables[COVARIANCE] = _table(found, geometry)
    correlation = found.covariances.get((1, 0), 0.0)
    qc(dispersion=grid[1] - grid[0], correlation_of_neighbours=correlation)
    report_panels([image_panel(ndd.data, "before", {}),
                   image_panel(result.data, "rectified", {})])  # fmt: skip
    return result


def _edges_of(waves: Array) -> tuple[npt.NDArray[np.bool_], Array]:
    """Find the rows whose wavelengths rise, and the edges of their pixels."""
    known = np.isfinite(waves)
    usable = known.all(axis=1)
    usable &= np.all(np.diff(np.where(known, waves, 0.0), axis=1) > 0, axis=1)
    if not usable.any():
        msg = "no row has wavelengths that are known and rise all the way"
        raise ParameterError(msg)
    return usable, pixel_edges(waves[usable])


def _grid(
    waves: Array, first: float | None, last: float | None, step: float | None
) -> Array:
    """Choose the centres of the new pixels."""
    middle = waves[len(waves) // 2]
    start = float(middle[0]) if first is None else first
    stop = float(middle[-1]) if last is None else last
    width = float(middle[-1] - middle[0]) / (middle.size - 1) if step is None else step
    count = round((stop - start) / width) + 1
    if count < 2 or start > np.max(waves) or stop < np.min(waves):
        msg = (
            f"the wavelengths {start:.1f} to {stop:.1f} Angstrom are none of the "
            f"frame, which has {np.min(waves):.1f} to {np.max(waves):.1f}"
        )
        raise ParameterError(msg)
    return np.asarray(start + width * np.arange(count), np.float64)


def _rebinned(
    ndd: NDLater,
    geometry: Spectrograph,
    usable: npt.NDArray[np.bool_],
    edges: Array,
    grid: Array,
) -> Rebinned:
    data = geometry.turned(np.asarray(ndd.data, np.float64))
    variance = np.zeros(data.shape)
    if ndd.variance is not None:
        variance = geometry.turned(np.asarray(ndd.variance, np.float64))
    flags = geometry.turned(flags_with(ndd, (~np.isfinite(ndd.data), Flag.BAD)))
    return rebin(
        data[usable], variance[usable], edges, pixel_edges(grid), flags[usable]
    )


def _as_ndd(
    ndd: NDLater,
    found: Rebinned,
    geometry: Spectrograph,
    usable: npt.NDArray[np.bool_],
) -> NDLater:
    """Put rows that were rebinned in their places, as the detector has them."""
    assert found.flags is not None

    def placed(rows: Any, dtype: Any) -> Any:
        image = np.zeros((usable.size, rows.shape[1]), dtype)
        image[usable] = rows
        return geometry.back(image)

    known = placed(found.known, bool)
    result = ndd.replace(
        data=placed(found.values, np.result_type(ndd.dtype, np.float32)),
        variance=None
        if ndd.variance is None
        else narrowed(placed(found.variance, np.float64), np.dtype("f4")),
        flags=placed(found.flags, found.flags.dtype),
    )
    return result.replace(flags=flags_with(result, (~known, Flag.NO_DATA)))


def _describe(ndd: NDLater, geometry: Spectrograph, grid: Array, word: str) -> None:
    """Write linear wavelengths along the dispersion, and pixels along the slit."""
    step = float(grid[1] - grid[0])
    along, across = (0, 1) if geometry.axis == 1 else (1, 0)
    wcs = WCS(naxis=2)
    names, units, values, steps = ["", ""], ["", ""], [1.0, 1.0], [1.0, 1.0]
    names[along], units[along] = word, "Angstrom"
    names[across] = "LINEAR"
    values[along] = float(grid[-1] if geometry.falls else grid[0])
    steps[along] = -step if geometry.falls else step
    wcs.wcs.ctype, wcs.wcs.cunit, wcs.wcs.crpix = names, units, [1.0, 1.0]
    wcs.wcs.crval, wcs.wcs.cdelt = values, steps
    ndd.wcs = wcs


def _table(found: Rebinned, geometry: Spectrograph) -> Table:
    rows = [
        (lag, 0, value) if geometry.axis == 1 else (0, lag, value)
        for (lag, _), value in found.covariances.items()
    ]
    return Table(rows=rows, names=["dx", "dy", "covariance"])
