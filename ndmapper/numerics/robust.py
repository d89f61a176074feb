"""Linear least squares with outliers, and scatter beyond the errors of the values."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["LinearFit", "fit_linear"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LinearFit:
    """The solution of a linear fit."""

    values: Array
    covariance: Array
    # Which data were used.
    kept: npt.NDArray[np.bool_]
    # Standard deviation beyond the errors, that brings chi square to its expectation.
    scatter: float


def fit_linear(
    terms: Array, data: Array, variance: Array, *, clip: float = 3.0
) -> LinearFit:
    """
    Fit a sum of terms (the columns) to data, without outliers.

    The first round takes least absolute deviations, which outliers hardly move. Then
    data further than `clip` standard deviations are left out, where the standard
    deviation is that of the error and of a scatter beyond it, common to all data; the
    scatter is found again in every round.

    Raises
    ------
    ValueError
        If there are fewer data than terms, or they do not tell the terms apart.
    """
    n, m = terms.shape
    if n < m or np.linalg.matrix_rank(terms) < m:
        msg = f"{n} values do not determine {m} numbers"
        raise ValueError(msg)
    solution = _least_absolute(terms, data, variance)
    kept = np.ones(n, np.bool_)
    extra = _robust_extra(data - terms @ solution, variance)
    for _ in range(30):
        residual = data - terms @ solution
        new = residual**2 <= clip**2 * (variance + extra)
        if new.sum() < m or np.linalg.matrix_rank(terms[new]) < m:
            break
        is_same = bool((new == kept).all())
        kept = new
        for _ in range(20):
            before = extra
            solution, covariance = _weighted(
                terms[kept], data[kept], variance[kept] + extra
            )
            residual = data[kept] - terms[kept] @ solution
            extra = _extra(residual, variance[kept], kept.sum() - m)
            if abs(extra - before) <= 1e-6 * (extra + 1e-30):
                break
        if is_same:
            break
    solution, covariance = _weighted(terms[kept], data[kept], variance[kept] + extra)
    return LinearFit(
        values=solution, covariance=covariance, kept=kept, scatter=float(np.sqrt(extra))
    )


def _weighted(terms: Array, data: Array, variance: Array) -> tuple[Array, Array]:
    weight = 1 / variance
    normal = terms.T @ (terms * weight[:, None])
    covariance = np.asarray(np.linalg.inv(normal), np.float64)
    return covariance @ (terms.T @ (weight * data)), covariance


def _least_absolute(terms: Array, data: Array, variance: Array) -> Array:
    """Minimise the sum of absolute deviations, by weights of their inverse."""
    typical = float(np.sqrt(np.median(variance)))
    weight: Array = np.ones(len(data))
    solution: Array = np.zeros(terms.shape[1])
    for _ in range(50):
        root = np.sqrt(weight)
        solved = np.linalg.lstsq(terms * root[:, None], data * root)[0]
        solution = np.asarray(solved, np.float64)
        residual = np.abs(data - terms @ solution)
        least = 1e-3 * typical + 1e-12
        weight = 1 / np.asarray(np.maximum(residual, least), np.float64)
    return solution


def _robust_extra(residual: Array, variance: Array) -> float:
    width = 1.4826 * float(np.median(np.abs(residual)))
    return max(0.0, width**2 - float(np.median(variance)))


def _extra(residual: Array, variance: Array, freedom: int) -> float:
    """Find the variance that, added to all, makes chi square its degrees of freedom."""
    if freedom < 1 or (residual**2 / variance).sum() <= freedom:
        return 0.0
    low, high = 0.0, float((residual**2).sum() / freedom)
    for _ in range(60):
        middle = (low + high) / 2
        too_small = (residual**2 / (variance + middle)).sum() > freedom
        low, high = (middle, high) if too_small else (low, middle)
    return (low + high) / 2
