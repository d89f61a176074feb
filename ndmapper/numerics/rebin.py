"""Rebinning of spectra onto other wavelengths by the overlap of pixels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.correlated_noise import Covariances

__all__ = ["Rebinned", "pixel_edges", "rebin"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_WHOLE = 1 - 1e-9


@dataclass(frozen=True, kw_only=True)
class Rebinned:
    """Spectra on other pixels."""

    values: Array
    variance: Array
    flags: npt.NDArray[np.unsignedinteger] | None
    known: Mask  # pixels that the input covers as a whole
    covariances: Covariances  # mean of neighbours along the spectrum, relative


def pixel_edges(centres: Array) -> Array:
    """
    Place the edges of pixels in the middle between their centres.

    Parameters
    ----------
    centres : ndarray, shape (..., n)
        Wavelengths of at least two pixels, along the last axis.

    Returns
    -------
    ndarray, shape (..., n + 1)
        The edges; the first and the last pixel are as wide as to their neighbours.
    """
    inner = (centres[..., 1:] + centres[..., :-1]) / 2
    first = 2 * centres[..., :1] - inner[..., :1]
    last = 2 * centres[..., -1:] - inner[..., -1:]
    return np.concatenate([first, inner, last], axis=-1)


def rebin(
    values: Array,
    variance: Array,
    edges: Array,
    wanted: Array,
    flags: npt.NDArray[np.unsignedinteger] | None = None,
    *,
    density: bool = False,
    lags: int = 4,
) -> Rebinned:
    """
    Rebin spectra so that their flux is conserved.

    Parameters
    ----------
    values, variance : ndarray, shape (rows, n)
        The spectra. What is not finite counts as 0, and is to be flagged.
    edges : ndarray, shape (rows, n + 1)
        Edges of their pixels, which rise or fall [any unit].
    wanted : ndarray, shape (m + 1,)
        Edges of the new pixels, which rise [the same unit].
    flags : ndarray of unsigned int, shape (rows, n), optional
        Flags; a new pixel has those of all pixels that it overlaps.
    density : bool
        The values are for each unit of wavelength, and not for each pixel.
    lags : int
        Covariances are found up to this distance.

    Returns
    -------
    Rebinned
        The sum over pixels of the values (times the widths of pixels, of a density) is
        that of the input; the variance is the sum of w^2 v with the same weights w.
    """
    edges, values, variance, flags = _risen(edges, values, variance, flags)
    rows, n = values.shape
    values = np.where(np.isfinite(values), values, 0.0)
    variance = np.where(np.isfinite(variance), variance, 0.0)
    columns = np.arange(n + 1, dtype=float)
    places = np.array([np.interp(wanted, row, columns) for row in edges])
    low, high = places[:, :-1], places[:, 1:]
    first = np.minimum(np.floor(low).astype(np.intp), n - 1)
    most = int(np.max(np.ceil(high) - first, initial=1))
    scale = 1 / np.diff(wanted) if density else np.ones(wanted.size - 1)
    new = np.zeros((2, rows, wanted.size - 1))
    bits = None if flags is None else np.zeros(low.shape, flags.dtype)
    index = np.arange(rows)[:, np.newaxis]
    widths = np.diff(edges, axis=1)
    weights = []
    for step in range(most):
        pixel = np.minimum(first + step, n - 1)
        overlap = np.minimum(high, first + step + 1) - np.maximum(low, first + step)
        overlap = np.where(first + step < n, np.maximum(overlap, 0), 0)
        weight = overlap * scale * (widths[index, pixel] if density else 1)
        new[0] += weight * values[index, pixel]
        new[1] += weight**2 * variance[index, pixel]
        weights.append(weight)
        if bits is not None and flags is not None:
            bits |= np.where(overlap > 0, flags[index, pixel], 0)
    known = (edges[:, :1] <= wanted[:-1]) & (wanted[1:] <= edges[:, -1:])
    covariances = _covariances(weights, first, variance, known, lags)
    return Rebinned(
        values=np.where(known, new[0], 0.0),
        variance=np.where(known, new[1], 0.0),
        flags=bits,
        known=known,
        covariances=covariances,
    )


def _risen(
    edges: Array,
    values: Array,
    variance: Array,
    flags: npt.NDArray[np.unsignedinteger] | None,
) -> tuple[Array, Array, Array, npt.NDArray[np.unsignedinteger] | None]:
    """Turn spectra so that their wavelengths rise."""
    if edges[0, -1] >= edges[0, 0]:
        return edges, values, variance, flags
    turned = None if flags is None else flags[:, ::-1]
    return edges[:, ::-1], values[:, ::-1], variance[:, ::-1], turned


def _covariances(
    weights: list[Array],
    first: npt.NDArray[np.intp],
    variance: Array,
    known: Mask,
    lags: int,
) -> Covariances:
    """Average the covariances of neighbours over all pixels, relative to variances."""
    rows, n = variance.shape
    index = np.arange(rows)[:, np.newaxis]
    found: dict[tuple[int, int], float] = {}
    total = 0.0
    for lag in range(min(lags, known.shape[1] - 1) + 1):
        stop = known.shape[1] - lag
        both = known[:, :stop] & known[:, lag:]
        shift = first[:, lag:] - first[:, :stop]
        mean = 0.0
        for step, weight in enumerate(weights):
            pixel = np.minimum(first[:, :stop] + step, n - 1)
            share = weight[:, :stop] * variance[index, pixel]
            for other, partner in enumerate(weights):
                same = both & (shift + other == step)
                if same.any():
                    mean += float(np.sum((share * partner[:, lag:])[same]))
        if lag == 0:
            total = mean
        if total <= 0:
            break
        if lag and mean < 1e-6 * total:
            break
        # A pair of neighbours is there once for each pixel but the last ones.
        count = max(int(both.sum()), 1)
        every = max(int(known.sum()), 1)
        found[lag, 0] = mean / count / (total / every)
    return found or {(0, 0): 1.0}
