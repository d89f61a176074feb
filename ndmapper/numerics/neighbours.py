"""The pixels around some pixels of an image, and their medians."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["REACH", "Points", "level_around", "median_of", "medians_along", "windows"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Points = tuple[npt.NDArray[np.intp], ...]
"""Rows and columns of pixels, as `numpy.nonzero` gives them."""

REACH = 7
"""So many pixels on either side, but the two next ones, tell the level of a line."""

_CHUNK = 2**16


def windows(
    image: npt.NDArray[Any], points: Points, half: int, outside: Any = None
) -> npt.NDArray[Any]:
    """
    Take the pixels around each point, row by row: an array of shape (n, size**2).

    Those outside the image are `outside`, or by default mirrored at its edge.
    """
    steps = np.arange(-half, half + 1)
    indices, inside = [], []
    for index, n in zip(points, image.shape, strict=True):
        at = index[:, None] + steps
        inside.append((at >= 0) & (at < n))
        at = np.abs(at)
        mirrored = np.where(at < n, at, 2 * (n - 1) - at)
        indices.append(np.clip(mirrored, 0, n - 1))
    taken = image[indices[0][:, :, None], indices[1][:, None, :]]
    if outside is not None:
        both = inside[0][:, :, None] & inside[1][:, None, :]
        taken = np.where(both, taken, outside)
    result: npt.NDArray[Any] = taken.reshape(points[0].size, steps.size**2)
    return result


def medians_along(
    arrays: tuple[Array, ...],
    known: Mask,
    points: Points,
    *,
    axis: int,
    reach: int = REACH,
) -> list[Array]:
    """
    Median of the known neighbours of some pixels along an axis, of each array.

    The pixel itself and its two neighbours, which a hit often shares, do not count. It
    is NaN where there are no neighbours.
    """
    steps = np.concatenate([np.arange(-reach, -1), np.arange(2, reach + 1)])
    n = known.shape[axis]
    results = [np.empty(points[0].size) for _ in arrays]
    for start in range(0, points[0].size, _CHUNK):
        part = slice(start, start + _CHUNK)
        at = [index[part, None] for index in points]
        at[axis] = at[axis] + steps
        inside = (at[axis] >= 0) & (at[axis] < n)
        at[axis] = np.clip(at[axis], 0, n - 1)
        usable = inside & known[tuple(at)]
        for array, result in zip(arrays, results, strict=True):
            result[part] = median_of(array[tuple(at)], usable)
    return results


def median_of(values: Array, usable: Mask) -> Array:
    """Median of the usable values along the last axis; NaN where there are none."""
    ordered = np.sort(np.where(usable, values, np.inf), axis=-1)
    count = usable.sum(axis=-1)[..., None]
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, axis=-1)
    last = ordered.shape[-1] - 1
    high = np.take_along_axis(ordered, np.minimum(count // 2, last), axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(count > 0, (low + high) / 2, np.nan)[..., 0])


def level_around(
    image: Array, variance: Array, known: Mask, points: Points
) -> tuple[Array, Array]:
    """
    Level on which some pixels stand, and the variance there.

    It is the higher one of the medians along the row and along the column, so that
    neither a spectrum nor a sky line passes for the light of the pixel itself. Without
    neighbours in both it is the median of the image.
    """
    along_x, along_y = (
        medians_along((image, variance), known, points, axis=axis) for axis in (1, 0)
    )
    column = along_y[0] > np.where(np.isnan(along_x[0]), -np.inf, along_x[0])
    level, noise = (
        np.where(column, b, a) for a, b in zip(along_x, along_y, strict=True)
    )
    lonely = np.isnan(level)
    if lonely.any() and known.any():
        level[lonely], noise[lonely] = (
            np.median(array[known]) for array in (image, variance)
        )
    return level, noise
