"""The level of an overscan strip, constant or along the readout."""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.statistics import (
    clip_scatter,
    clipped_mean,
    median_variance_factor,
)

__all__ = ["OverscanMethod", "overscan_level"]

OverscanMethod = Literal["mean", "median", "polynomial"]
"""How a level is taken from an overscan strip."""

_MAX_ITERATIONS = 20


def overscan_level(
    strip: npt.ArrayLike,
    method: str = "mean",
    *,
    degree: int = 3,
    clip: float = 4.0,
    readout_axis: int = 0,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """
    Measure the bias level that an overscan strip shows.

    Parameters
    ----------
    strip : array_like, shape (ny, nx)
        The overscan pixels of one amplifier [adu].
    method : str
        ``'mean'``: one clipped mean; ``'median'``: one median, which integer pixels
        quantise; ``'polynomial'``: a polynomial along the readout, for a level that
        drifts while the frame is read.
    degree : int
        Degree of the polynomial.
    clip : float
        Pixels further than this many standard deviations from the level are left
        out (from the median: only in its variance).
    readout_axis : int
        The axis along which the level drifts: 0 where the strip has columns beside
        the image, 1 where it has rows above or below it.

    Returns
    -------
    level : ndarray of float
        The level [adu], of a shape that broadcasts against the image:
        ``(1, 1)``, or ``(ny, 1)`` or ``(1, nx)`` for a polynomial.
    variance : ndarray of float
        Its variance [adu**2], of the same shape.

    Raises
    ------
    ValueError
        If the strip is not two-dimensional, holds no finite pixel, or has fewer rows
        than the polynomial has coefficients, or the method is unknown.
    """
    pixels = np.asarray(strip, dtype=np.float64)
    if pixels.ndim != 2 or pixels.size == 0:
        msg = f"an overscan strip has shape (ny, nx), not {pixels.shape}"
        raise ValueError(msg)
    if method == "mean":
        level, _, error = clipped_mean(pixels, clip)
        return np.full((1, 1), level), np.full((1, 1), error**2)
    if method == "median":
        kept = clip_scatter(pixels, clip)
        spread = kept.var(ddof=1) if kept.size > 1 else 0.0
        variance = spread * median_variance_factor(kept.size) / kept.size
        return np.full((1, 1), np.median(kept)), np.full((1, 1), variance)
    if method == "polynomial":
        along = pixels if readout_axis == 0 else pixels.T
        values, variances = _polynomial(along, degree, clip)
        shape = (-1, 1) if readout_axis == 0 else (1, -1)
        return values.reshape(shape), variances.reshape(shape)
    msg = f"overscan method {method!r} is not one of {get_args(OverscanMethod)}"
    raise ValueError(msg)


def _polynomial(
    pixels: npt.NDArray[np.float64], degree: int, clip: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Fit a polynomial along axis 0; return its value and variance per row."""
    good = np.isfinite(pixels)
    if degree < 0 or np.count_nonzero(good.any(axis=1)) <= degree:
        msg = (
            f"a polynomial of degree {degree} cannot be fitted to an overscan strip "
            f"of {pixels.shape[0]} rows along the readout"
        )
        raise ValueError(msg)
    basis = np.polynomial.legendre.legvander(
        np.linspace(-1, 1, pixels.shape[0]), degree
    )
    # The medians of the rows follow the drift before anything is fitted, so that a
    # wild pixel is found by its distance from its neighbours.
    middle = np.nanmedian(np.where(good, pixels, np.nan)[good.any(axis=1)], axis=1)
    start = np.zeros((pixels.shape[0], 1))
    start[good.any(axis=1), 0] = middle
    limit = clip * clip_scatter((pixels - start)[good], clip).std()
    good = good & (np.abs(pixels - start) <= max(limit, 1e-9))
    for _ in range(_MAX_ITERATIONS):
        count = good.sum(axis=1)
        normal = basis.T @ (basis * count[:, None])
        total = np.where(good, pixels, 0).sum(axis=1)
        coefficients = np.linalg.solve(normal, basis.T @ total)
        level = np.asarray(basis @ coefficients, np.float64)
        residual = pixels - level[:, None]
        free = max(int(count.sum()) - degree - 1, 1)
        sigma = float(np.sqrt(np.sum(residual[good] ** 2) / free))
        new = np.isfinite(pixels) & (np.abs(residual) <= clip * sigma)
        if np.array_equal(new, good) or np.count_nonzero(new.any(axis=1)) <= degree:
            break
        good = new
    # Rows of the basis times the covariance of the coefficients.
    covariance = np.linalg.inv(normal) * sigma**2
    variance: npt.NDArray[np.float64] = ((basis @ covariance) * basis).sum(axis=1)
    return level, variance
