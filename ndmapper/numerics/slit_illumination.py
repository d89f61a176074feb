"""
How evenly a slit is lit: a smooth function of the place in the slit and of the column.

Arrays have the slit along axis 0 and the dispersion along axis 1.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Illumination", "fit_illumination", "pixel_scatter"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_BLOCKS = 64
"""The illumination is fitted to the means of about so many blocks of columns."""

_LOWEST = 0.05
"""An illumination is not taken to be lower than this part of its mean."""

_LIMIT = 5.0
"""Means of blocks further off are left out [standard deviations]."""


@dataclass(frozen=True, kw_only=True)
class Illumination:
    """
    Smooth illumination of a slit.

    Parameters
    ----------
    values : ndarray of float, shape (ny, nx)
        Its mean along the slit is 1 in each column; beyond the slit it is that of the
        edge.
    relative_variance : ndarray of float, shape (ny, nx)
        Variance of the fit, divided by the square of the values. It is that of the
        difference to the other pixels of the column, since the mean is no error.
    told : ndarray of bool, shape (nx,)
        Columns between the first and the last block that was fitted.
    """

    values: Array
    relative_variance: Array
    told: Mask


def fit_illumination(
    relative: Array,
    variance: Array | None,
    usable: Mask,
    position: Array,
    degree: tuple[int, int],
    *,
    largest_error: float = np.inf,
) -> Illumination:
    """
    Fit a polynomial in the place in the slit and the column, by weights 1/variance.

    Parameters
    ----------
    relative : ndarray of float, shape (ny, nx)
        Light, divided by that of its column or its wavelength.
    variance : ndarray of float, shape (ny, nx), or None
        All variance of it, that of the sensitivity of pixels, too; None weighs all
        alike, by the scatter about the fit.
    usable : ndarray of bool, shape (ny, nx)
        Which pixels count.
    position : ndarray of float, shape (ny, nx)
        Place in the slit, from -1 to 1.
    degree : (int, int)
        Degrees along the slit and along the dispersion; less than the number of rows.
    largest_error : float
        Blocks of columns which alone would not tell the illumination to this standard
        deviation are not fitted.

    Returns
    -------
    Illumination
        The illumination; its variance is that of the pixels, propagated, or larger
        where the means of blocks scatter more.

    Raises
    ------
    ValueError
        If there is no usable pixel.
    """
    nx = relative.shape[1]
    along = np.linspace(-1, 1, nx)
    rows = int(np.max(usable.sum(axis=0)))
    degree = (max(min(degree[0], rows - 1), 0), degree[1])
    spread = np.ones(relative.shape) if variance is None else variance
    weight = np.where(usable & (spread > 0), 1 / np.where(spread > 0, spread, 1), 0.0)
    block = max(1, nx // _BLOCKS)
    points, told = [], np.zeros(nx, np.bool_)
    for start in range(0, nx, block):
        columns = slice(start, start + block)
        w = weight[:, columns]
        if variance is not None and w.sum() < (degree[0] + 1) / largest_error**2:
            continue
        lit = w.sum(axis=1) > 0
        if not lit.any():
            continue
        told[columns] = True
        # Means over a few columns: enough pixels to forget single bad ones. They have
        # the mean position of what they hold.
        w = w[lit]
        total = w.sum(axis=1)
        values = np.where(w > 0, relative[lit][:, columns], 0)
        at, when = position[lit][:, columns], np.broadcast_to(along[columns], w.shape)
        means = [(w * part).sum(axis=1) / total for part in (at, when, values)]
        points.append(np.column_stack([*means, np.sqrt(total)]))
    if not points:
        msg = "no part of the slit has enough light to tell its illumination"
        raise ValueError(msg)
    known = variance is not None
    answer, covariance = _polynomial(np.concatenate(points), degree, known)
    values, relative_variance = _evaluated(
        answer, covariance, position, along, usable, degree
    )
    found = np.flatnonzero(told)
    told[found[0] : found[-1] + 1] = True
    return Illumination(
        values=values, relative_variance=relative_variance, told=np.asarray(told)
    )


def pixel_scatter(relative: Array, noise: Array | None, usable: Mask) -> Array:
    """
    Measure the variance of the sensitivity of pixels in each column, beyond the noise.

    `relative` is the light divided by all models, and `noise` its variance. It is
    pooled over blocks of columns, and over all where a block does not tell it.
    """
    nx = relative.shape[1]
    block = max(1, nx // _BLOCKS, min(nx, 64))
    rows = usable.sum(axis=0)
    used = usable & (rows > 2)
    # What is missed of the light of a column is no scatter.
    mean = np.where(used, relative, 0).sum(axis=0) / np.maximum(rows, 1)
    deviation = (relative - mean) * np.sqrt(rows / np.maximum(rows - 1, 1))
    centres, found, errors = [], [], []
    for start in range(0, nx, block):
        columns = slice(start, min(start + block, nx))
        count = np.count_nonzero(used[:, columns])
        if count < 16:
            continue
        some = deviation[:, columns][used[:, columns]]
        known = None if noise is None else noise[:, columns][used[:, columns]]
        excess, typical = _excess(some, known)
        centres.append((start + columns.stop - 1) / 2)
        found.append(excess)
        errors.append(typical * np.sqrt(2 / count))
    if not centres:
        return np.zeros(nx)
    values, error = np.array(found), np.maximum(np.array(errors), 1e-30)
    mean = np.average(values, weights=1 / error**2)
    values = np.where(error < 0.3 * np.abs(values), values, mean)
    return np.asarray(np.interp(np.arange(nx), centres, np.maximum(values, 0.0)))


def _excess(deviation: Array, noise: Array | None) -> tuple[float, float]:
    """Find the variance that noise lacks for a width of 1, and the typical sum."""
    if noise is None:
        return _width2(deviation), _width2(deviation)
    excess = 0.0
    for _ in range(6):
        total = np.maximum(noise + excess, 1e-30)
        change = (_width2(deviation / np.sqrt(total)) - 1) * float(np.median(total))
        if excess + change < 0:
            # Less than the noise: it is what the mean over blocks needs to know.
            return excess + change if excess == 0 else 0.0, float(np.median(noise))
        excess += change
    return excess, float(np.median(noise + excess))


def _width2(values: Array) -> float:
    """Variance of what is within five widths of the median, as percentiles tell it."""
    low, middle, high = np.percentile(values, [15.865, 50, 84.135])
    near = np.abs(values - middle) <= _LIMIT * max(high - low, 1e-300) / 2
    return float(np.mean((values[near] - middle) ** 2))


def _polynomial(
    points: Array, degree: tuple[int, int], known: bool
) -> tuple[Array, Array]:
    """Fit Legendre terms to means of blocks; coefficients and covariance."""
    s, t, value, scale = points.T
    legendre = np.polynomial.legendre
    basis = legendre.legvander2d(s, t, list(degree))
    good = np.ones(value.size, np.bool_)
    sigma = 1.0
    for _ in range(4):
        w = scale[good, None]
        normal = (basis[good] * w).T @ (basis[good] * w)
        # Where a slit moves by less than a pixel, rows do not tell all terms apart.
        inverse = np.linalg.pinv(normal, rcond=1e-12, hermitian=True)
        answer = inverse @ (basis[good].T @ (scale[good] ** 2 * value[good]))
        residual = (value - basis @ answer) * scale
        freedom = max(np.count_nonzero(good) - basis.shape[1], 1)
        typical = 1.4826 * float(np.median(np.abs(residual[good])))
        sigma = typical * np.sqrt(np.count_nonzero(good) / freedom)
        kept = np.abs(residual) <= max(_LIMIT * sigma, 1e-9)
        if np.count_nonzero(kept) < basis.shape[1]:
            break
        good = kept
    return answer, inverse * (max(1.0, sigma**2) if known else sigma**2)


def _evaluated(  # noqa: PLR0917
    answer: Array,
    covariance: Array,
    position: Array,
    along: Array,
    usable: Mask,
    degree: tuple[int, int],
) -> tuple[Array, Array]:
    """Evaluate a polynomial whose mean along the slit is 1, and its variance."""
    legendre = np.polynomial.legendre
    shape = (degree[0] + 1, degree[1] + 1)
    where = np.clip(position, -1, 1)
    t = legendre.legvander(along, degree[1])
    terms = answer.reshape(shape) @ t.T
    terms = terms / np.where(terms[0] > 0, terms[0], 1)
    values, variance = np.empty(position.shape), np.empty(position.shape)
    folded = covariance.reshape(*shape, *shape)
    for first in range(0, along.size, 64):
        columns = slice(first, first + 64)
        s = legendre.legvander(where[:, columns], degree[0])
        values[:, columns] = np.einsum("yxk,kx->yx", s, terms[:, columns])
        of_column = np.einsum(
            "klpq,xl,xq->xkp", folded, t[columns], t[columns], optimize=True
        )
        lit = usable[:, columns, None]
        count = np.maximum(lit.sum(axis=0), 1)
        s = s - np.where(lit, s, 0).sum(axis=0) / count
        variance[:, columns] = np.einsum(
            "yxk,xkp,yxp->yx", s, of_column, s, optimize=True
        )
    values = np.maximum(values, _LOWEST)
    return values, np.maximum(variance, 0.0) / values**2
