"""
Scattered light, from the pixels that no light reaches directly.

Arrays have the slit along axis 0 and the dispersion along axis 1.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["ScatteredLight", "fit_scattered_light"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_BLOCKS = 64
_LIMIT = 5.0
"""Pixels further off are left out [standard deviations]."""

_MEDIAN = 0.4549
"""Median of the square of a normal number."""


@dataclass(frozen=True, kw_only=True)
class ScatteredLight:
    """
    Scattered light.

    Parameters
    ----------
    level, variance : ndarray of float, shape (ny, nx)
        The light at each pixel, and the variance of the fit.
    used : ndarray of bool, shape (ny, nx)
        Pixels that the fit was made of.
    """

    level: Array
    variance: Array
    used: Mask


def fit_scattered_light(
    data: Array,
    variance: Array,
    unlit: Mask,
    degree: tuple[int, int],
) -> ScatteredLight:
    """
    Fit a polynomial along slit and dispersion to pixels that no light reaches directly.

    Parameters
    ----------
    data, variance : ndarray of float, shape (ny, nx)
        The frame.
    unlit : ndarray of bool, shape (ny, nx)
        The pixels to be fitted.
    degree : (int, int)
        Degrees along the slit and along the dispersion.

    Returns
    -------
    ScatteredLight
        The light. Its variance is that of the pixels, propagated, or larger where they
        scatter more.

    Raises
    ------
    ValueError
        If the unlit pixels do not tell a polynomial of these degrees.
    """
    ny, nx = data.shape
    legendre = np.polynomial.legendre
    s, t = np.linspace(-1, 1, ny), np.linspace(-1, 1, nx)
    block = max(1, nx // _BLOCKS)
    # All pixels of a block weigh alike: own variances favour those of few counts.
    noise = np.full(nx, np.nan)
    for start in range(0, nx, block):
        columns = slice(start, start + block)
        if (some := variance[:, columns][unlit[:, columns]]).size:
            noise[columns] = max(float(np.mean(some)), 1e-30)
    used = unlit & np.isfinite(noise)
    terms = (degree[0] + 1) * (degree[1] + 1)
    count = np.count_nonzero(used)
    if count < 2 * terms:
        msg = f"{count} unlit pixels do not tell {terms} terms of scattered light"
        raise ValueError(msg)
    basis_s = legendre.legvander(s, degree[0])
    basis_t = legendre.legvander(t, degree[1])
    spread2 = 1.0
    for number in range(4):
        weight = np.where(used, 1 / noise, 0.0)
        normal = np.einsum(
            "yk,yp,yx,xl,xq->klpq", basis_s, basis_s, weight, basis_t, basis_t,
            optimize=True,
        ).reshape(terms, terms)  # fmt: skip
        right = np.einsum(
            "yk,yx,xl->kl", basis_s, np.where(used, weight * data, 0), basis_t,
            optimize=True,
        ).ravel()  # fmt: skip
        values = np.linalg.eigvalsh(normal)
        if values[0] <= 1e-10 * values[-1]:
            msg = (
                f"the unlit rows do not tell a polynomial of degree {degree[0]} along "
                f"the slit and {degree[1]} along the dispersion"
            )
            raise ValueError(msg)
        covariance = np.linalg.inv(normal)
        answer = covariance @ right
        level = basis_s @ answer.reshape(degree[0] + 1, degree[1] + 1) @ basis_t.T
        residual = np.where(unlit & np.isfinite(noise), data - level, 0.0)
        spread2 = float(np.mean((residual**2 / noise)[used]))
        typical = float(np.median((residual**2 / noise)[used])) / _MEDIAN
        limit = _LIMIT * np.sqrt(noise * max(typical, 1.0))
        kept = unlit & np.isfinite(noise) & (np.abs(residual) <= limit)
        if number and np.array_equal(kept, used):
            break
        used = kept
    folded = covariance.reshape(degree[0] + 1, degree[1] + 1, degree[0] + 1, -1)
    error = np.einsum(
        "yk,xl,klpq,yp,xq->yx", basis_s, basis_t, folded, basis_s, basis_t,
        optimize=True,
    ) * max(spread2, 1.0)  # fmt: skip
    return ScatteredLight(level=level, variance=error, used=used)
