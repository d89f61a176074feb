"""Lines of an arc, followed along the slit."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.arc_lines import Lines, measure_lines

__all__ = [
    "LineTraces",
    "light_of_rows",
    "lit_rows",
    "spectrum_of_rows",
    "trace_lines",
]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_MEDIAN = np.pi / 2
"""The variance of a median by that of a mean."""

_MOST_BANDS = 40

_STEP = 1.5
"""A line moves by less than this from one band to the next [pixel]."""


@dataclass(frozen=True, kw_only=True)
class LineTraces:
    """
    Centres of lines in bands of rows.

    Parameters
    ----------
    line : ndarray of int, shape (n,)
        Which line.
    x, y, error : ndarray of float, shape (n,)
        Its centre along the dispersion, the middle of the band, and the error of the
        centre [pixel].
    """

    line: npt.NDArray[np.intp]
    x: Array
    y: Array
    error: Array


def light_of_rows(image: Array, bad: Mask, rows: slice) -> Array:
    """Give how bright the lines of an arc are in some rows; NaN if not known."""
    values = np.where(bad, np.nan, image)[rows]
    with np.errstate(invalid="ignore"):
        known = np.isfinite(values).mean(axis=1) > 0.5
    light = np.full(len(values), np.nan)
    if known.any():
        top = np.nanpercentile(values[known], 99, axis=1)
        light[known] = top - np.nanmedian(values[known], axis=1)
    return light


def lit_rows(light: Array, rows: slice) -> slice:
    """Find the rows where lines are at least half as bright as elsewhere."""
    light = np.nan_to_num(light)
    level = 0.5 * float(np.quantile(light, 0.9))
    lit = np.flatnonzero(light >= level)
    start = rows.start or 0
    if level <= 0 or not lit.size:
        return rows
    return slice(start + int(lit[0]), start + int(lit[-1]) + 1)


def spectrum_of_rows(
    image: Array, variance: Array, bad: Mask, rows: slice
) -> tuple[Array, Array, Mask]:
    """Give the median of some rows, its variance, and where most pixels are bad."""
    values = np.where(bad[rows], np.nan, image[rows])
    noise2 = np.where(bad[rows], np.nan, variance[rows])
    count = np.isfinite(values).sum(axis=0)
    lost = count < 0.5 * len(values)
    spectrum, error2 = np.zeros(image.shape[1]), np.ones(image.shape[1])
    if not lost.all():
        spectrum[~lost] = np.nanmedian(values[:, ~lost], axis=0)
        factor = np.where(count[~lost] > 2, _MEDIAN, 1.0)
        mean = np.nanmean(noise2[:, ~lost], axis=0)
        error2[~lost] = factor * mean / count[~lost]
    return spectrum, error2, lost


def trace_lines(
    image: Array,
    variance: Array,
    bad: Mask,
    lines: Lines,
    *,
    rows: slice,
    start: int,
) -> LineTraces:
    """
    Follow lines along the slit, from the row where they were found.

    Parameters
    ----------
    image, variance, bad : ndarray, shape (ny, nx)
        The arc, with the slit along axis 0.
    lines : Lines
        Lines of the spectrum around row `start`.
    rows : slice
        Rows of the slit.
    start : int
        The row where the lines were found.
    """
    first, last = rows.start, rows.stop
    height = max(3, -(-(last - first) // _MOST_BANDS))
    edges = np.arange(first, last + 1, height)
    middles = (edges[:-1] + edges[1:] - 1) / 2
    found: list[tuple[npt.NDArray[np.intp], Array, float, Array]] = []
    if not len(middles):
        return _empty()
    home = int(np.argmin(np.abs(middles - start)))
    for bands in (range(home, len(middles)), range(home - 1, -1, -1)):
        place = lines.pixel.copy()
        for band in bands:
            part = slice(int(edges[band]), int(edges[band + 1]))
            spectrum, noise2, lost = spectrum_of_rows(image, variance, bad, part)
            filled = np.where(lost, 0.0, spectrum)
            seen = measure_lines(
                filled, noise2, place, lines.width, bad=lost, sort=False
            )
            is_good = seen.good & (np.abs(seen.pixel - place) < _STEP)
            is_good &= seen.snr > 5
            place = np.where(is_good, seen.pixel, place)
            index = np.flatnonzero(is_good)
            found.append((index, seen.pixel[index], middles[band], seen.error[index]))
    return LineTraces(
        line=np.concatenate([f[0] for f in found]),
        x=np.concatenate([f[1] for f in found]),
        y=np.concatenate([np.full(len(f[0]), f[2]) for f in found]),
        error=np.concatenate([f[3] for f in found]),
    )


def _empty() -> LineTraces:
    nothing = np.empty(0)
    return LineTraces(line=np.empty(0, np.intp), x=nothing, y=nothing, error=nothing)
