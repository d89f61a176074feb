"""Resampling images onto another grid, with variance, flags and covariance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Resampled",
    "covariance",
    "cross_covariance",
    "overlap",
    "resample",
]

Array = npt.NDArray[np.float64]

_EDGE = 1e-3
"""Positions may be off by so much [pixel]: the outermost pixels are inside."""

_LEAST = 0.5
"""Least weight of good pixels of which a value is made; else of all that are finite."""

_NONE = 1e-6
"""Covariances below this are none."""

_REACH = 16
"""Covariances are looked for up to so many pixels."""

_EVERY = 7
"""Of two images they are averaged over pixels so far apart."""


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """
    An image on another grid.

    Parameters
    ----------
    data : ndarray of float, shape (ny, nx)
        The values; NaN outside the image.
    variance : ndarray of float, shape (ny, nx), or None
        The variance of each pixel by itself; neighbours share noise (`covariance`).
    flags : ndarray of unsigned int, shape (ny, nx)
        The flags of all pixels that a value is made of.
    """

    data: Array
    variance: Array | None
    flags: npt.NDArray[np.unsignedinteger]


def resample(
    data: npt.NDArray[Any],
    x: Array,
    y: Array,
    *,
    variance: npt.NDArray[Any] | None = None,
    flags: npt.NDArray[np.unsignedinteger] | None = None,
    area: Array | float = 1.0,
    bad_flags: int = 0xFFFFFFFF,
    no_data_flag: int = 16,
) -> Resampled:
    """
    Interpolate an image linearly at given positions.

    Parameters
    ----------
    data : ndarray, shape (h, w)
        The image.
    x, y : ndarray of float, shape (ny, nx)
        Where the centre of each new pixel lies in the image [pixel], from 0.
    variance : ndarray, shape (h, w), optional
        Its variance.
    flags : ndarray of unsigned int, shape (h, w), optional
        Its flags.
    area : ndarray or float
        The area of each new pixel [pixel of the image], by which values are multiplied,
        so that flux is conserved; 1 keeps surface brightness.
    bad_flags : int
        Pixels with any of these bits have no part in values, as far as others do.
    no_data_flag : int
        Bit set outside the image, and where a value that is not finite has a part.

    Returns
    -------
    Resampled
        Values, variance, and flags.

    Notes
    -----
    A value is the sum of w d over the four pixels around it, with weights w that add up
    to one, and its variance the sum of w^2 v, from the same weights: interpolating
    the plane of variances gives up to four times as much. A pixel that is flagged
    shows in the flags of up to four new ones.
    """
    ny, nx = data.shape
    kind = np.dtype(np.uint16)
    if flags is not None:
        kind = np.result_type(kind, flags)
    no_data = np.array(no_data_flag, kind)
    with np.errstate(invalid="ignore"):
        inside = (x >= -_EDGE) & (x <= nx - 1 + _EDGE)
        inside &= (y >= -_EDGE) & (y <= ny - 1 + _EDGE)
    at_x = np.clip(np.where(inside, x, 0), 0, nx - 1)
    at_y = np.clip(np.where(inside, y, 0), 0, ny - 1)
    left, low = np.floor(at_x).astype(np.intp), np.floor(at_y).astype(np.intp)
    right_part, upper_part = at_x - left, at_y - low

    shape = x.shape
    bits = np.where(inside, 0, no_data).astype(kind)
    sums, squares, weights = np.zeros((3, *shape))
    finite_sums, finite_squares, finite_weights = np.zeros((3, *shape))
    for step_y, wy in ((0, 1 - upper_part), (1, upper_part)):
        for step_x, wx in ((0, 1 - right_part), (1, right_part)):
            # Beyond the last pixel the weight is zero.
            row = np.minimum(low + step_y, ny - 1)
            column = np.minimum(left + step_x, nx - 1)
            w = np.where(inside, wx * wy, 0)
            value = data[row, column].astype(np.float64)
            noise = 0.0 if variance is None else variance[row, column]
            # What is negative is no variance.
            is_finite = np.isfinite(value) & np.isfinite(noise) & (noise >= 0)
            own = np.zeros(shape, kind) if flags is None else flags[row, column]
            has_part = w > 0
            bits |= np.where(has_part, own.astype(kind), kind.type(0))
            bits |= np.where(has_part & ~is_finite, no_data, kind.type(0))
            value, noise = np.where(is_finite, value, 0), np.where(is_finite, noise, 0)
            w = np.where(is_finite, w, 0)
            finite_sums += w * value
            finite_squares += w**2 * noise
            finite_weights += w
            w = np.where(own & np.array(bad_flags, np.uint64).astype(kind), 0, w)
            sums += w * value
            squares += w**2 * noise
            weights += w
    few = weights < _LEAST
    for total, every in (
        (sums, finite_sums), (squares, finite_squares), (weights, finite_weights),
    ):  # fmt: skip
        total[few] = every[few]
    weights[weights == 0] = np.nan
    return Resampled(
        data=sums / weights * area,
        variance=None if variance is None else squares / weights**2 * area**2,
        flags=bits,
    )


def covariance(x: Array, y: Array) -> dict[tuple[int, int], float]:
    """
    Compute the covariance of neighbours that linear interpolation makes.

    Parameters
    ----------
    x, y : ndarray of float, shape (ny, nx)
        Where the centre of each new pixel lies in the image [pixel].

    Returns
    -------
    dict of (int, int) to float
        The mean covariance of new pixels by their distance (dx, dy), of one half of the
        plane, where each pixel of the image has the variance 1; that of (0, 0) is the
        mean variance.

    Notes
    -----
    Two values share the noise of the pixels that both are made of: their covariance is
    the sum over these of the products of their weights, which for linear interpolation
    is a product of two sums, along x and along y.
    """
    found: dict[tuple[int, int], float] = {}
    for dy in range(min(_REACH, x.shape[0])):
        before = len(found)
        for sign in (1, -1):
            for dx in range(min(_REACH, x.shape[1])):
                lag = (sign * dx, dy)
                if lag in found or (dy == 0 and sign < 0):
                    continue
                ours, theirs = _pairs(x.shape, *lag)
                shared = overlap(x[ours], y[ours], x[theirs], y[theirs])
                if (mean := float(np.nanmean(shared))) < _NONE:
                    break
                found[lag] = mean
        if len(found) == before:
            break
    return found


def cross_covariance(
    x: Array, y: Array, other_x: Array, other_y: Array
) -> dict[tuple[int, int], float]:
    """
    Compute the covariance of pixels of two images that have the same noise.

    It is that of the detector, such as that of a master flat; `x` and `y` say where the
    pixels of the grid lie in one image, as for `covariance`, `other_x` and `other_y`
    where they lie in the other. Distances are from a pixel of the one to that of the
    other.
    """
    middle = tuple(n // 2 for n in x.shape)
    if min(x.shape) < 2:
        return {}
    before = middle[0] - 1, middle[1] - 1
    matrix = np.array(
        [
            [a[middle] - a[middle[0], before[1]], a[middle] - a[before[0], middle[1]]]
            for a in (other_x, other_y)
        ]
    )
    away = np.stack(
        [(x - other_x)[::_EVERY, ::_EVERY], (y - other_y)[::_EVERY, ::_EVERY]]
    )
    scale = np.sqrt(np.abs(np.linalg.det(matrix)))
    if not (scale > 0 and np.isfinite(away).all()):
        return {}
    shifts = np.tensordot(np.linalg.inv(matrix), away, 1).reshape(2, -1)
    lows = np.ceil(shifts.min(axis=1) - 2 / scale).astype(int)
    highs = np.floor(shifts.max(axis=1) + 2 / scale).astype(int)
    found = {}
    for dy in range(lows[1], highs[1] + 1):
        for dx in range(lows[0], highs[0] + 1):
            if abs(dx) >= x.shape[1] or abs(dy) >= x.shape[0]:
                continue
            ours, theirs = (
                tuple(slice(s.start, s.stop, _EVERY) for s in part)
                for part in _pairs(x.shape, dx, dy)
            )
            mean = float(
                overlap(x[ours], y[ours], other_x[theirs], other_y[theirs]).mean()
            )
            if mean > _NONE:
                found[dx, dy] = mean
    return found


def overlap(x: Array, y: Array, other_x: Array, other_y: Array) -> Array:
    """Sum the products of the weights that two positions give to pixels of an image."""
    return _shared(x, other_x) * _shared(y, other_y)


def _pairs(
    shape: tuple[int, ...], dx: int, dy: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Give the sections of all pixels and of those at some distance from them."""
    ny, nx = shape
    ours = slice(max(0, -dy), ny - max(0, dy)), slice(max(0, -dx), nx - max(0, dx))
    theirs = slice(max(0, dy), ny - max(0, -dy)), slice(max(0, dx), nx - max(0, -dx))
    return ours, theirs


def _shared(one: Array, other: Array) -> Array:
    """Sum the products of the weights that two positions give to whole numbers."""
    total = np.zeros(one.shape)
    for step in (0, 1):
        at = np.floor(one) + step
        total += (1 - np.abs(at - one)) * np.maximum(0, 1 - np.abs(at - other))
    return total
