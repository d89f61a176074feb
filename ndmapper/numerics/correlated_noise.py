"""Sums of pixels whose noise is correlated with that of their neighbours."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Covariances", "sum_variance_factor", "variance_of_sum"]

Covariances: TypeAlias = Mapping[tuple[int, int], float]
"""Covariance of pixels by their distance (dx, dy), of one half of the plane."""


def sum_variance_factor(covariances: Covariances, size: int) -> float:
    """
    Compute how much larger the variance of a sum is than the sum of the variances.

    Parameters
    ----------
    covariances : mapping of (int, int) to float
        As `ndmapper.numerics.resample.covariance` gives them.
    size : int
        The sum is over so many pixels along each side of a square.

    Returns
    -------
    float
        1 where neighbours share no noise; what it tends to for large squares is the
        sum of all covariances over the variance of a pixel.
    """
    total = 0.0
    for (dx, dy), value in covariances.items():
        count = max(0, size - abs(dx)) * max(0, size - abs(dy))
        total += value * count * (1 if (dx, dy) == (0, 0) else 2)
    return total / (size**2 * covariances[0, 0])


def variance_of_sum(
    deviations: npt.ArrayLike, covariances: Covariances | None = None
) -> float:
    """
    Compute the variance of a weighted sum of pixels.

    Parameters
    ----------
    deviations : array_like, shape (ny, nx)
        Standard deviation of each pixel times its weight, which may be zero.
    covariances : mapping of (int, int) to float, optional
        Only their relation to that at (0, 0) counts; by default pixels have none.

    Returns
    -------
    float
        The sum over all pairs of pixels of their deviations times their correlation.
    """
    values = np.asarray(deviations, np.float64)
    total = float((values**2).sum())
    if covariances is None:
        return total
    ny, nx = values.shape
    for (dx, dy), value in covariances.items():
        if (dx, dy) != (0, 0) and abs(dx) < nx and abs(dy) < ny:
            pairs = _cut(values, -dx, -dy) * _cut(values, dx, dy)
            total += 2 * value / covariances[0, 0] * float(pairs.sum())
    return total


def _cut(values: npt.NDArray[np.float64], dx: int, dy: int) -> npt.NDArray[np.float64]:
    """Leave out what has no partner at a distance."""
    ny, nx = values.shape
    rows = slice(max(dy, 0), ny + min(dy, 0))
    return values[rows, max(dx, 0) : nx + min(dx, 0)]
