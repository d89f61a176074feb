"""
The noise of masters in dithered images on a common grid.

A master has its noise at the pixels of the detector. Dithered images have different
pixels of it at the same place of the sky, so that it averages down as their own noise
does; but as far as two images have the same pixel of the detector at one place of the
grid, it does not, and where that is at two places of the grid, these covary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.resample import covariance, cross_covariance, overlap
from ndmapper.numerics.shared_noise import SharedNoise

__all__ = ["Placed", "covariances", "variance_in_common"]

Array = npt.NDArray[np.float64]

_SAME = 1e-3
"""Places that differ by less are the same [pixel]."""

_STEP = 16
"""Whether images are near to each other is looked at every so many pixels."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """
    Some rows of the grid, as one image has them.

    `x` and `y` say where they lie in the image, and `deviations` what each of the
    shared noises, by its number, adds to them.
    """

    x: Array
    y: Array
    data: Array
    variance: Array | None
    flags: npt.NDArray[Any]
    deviations: Mapping[int, Array] = field(default_factory=dict)


def variance_in_common(placed: Sequence[Placed], count: npt.NDArray[Any]) -> Array:
    """
    Compute what the covariance of images adds to the variance of their mean.

    `count` says how many of them were used at each pixel.
    """
    total = np.zeros(count.shape)
    for number in sorted({number for one in placed for number in one.deviations}):
        having = [one for one in placed if number in one.deviations]
        groups = _at_same_places(having)
        sums = []
        for group in groups:
            parts = [one.deviations[number] for one in group]
            whole = np.sum(parts, axis=0)
            sums.append(whole)
            total += whole**2 - np.sum(np.square(parts), axis=0)
        for (ours, one), (theirs, other) in combinations(
            zip(sums, (group[0] for group in groups), strict=True), 2
        ):
            if _are_near(one, other):
                total += 2 * ours * theirs * _correlation(one, other)
    found = np.sum([np.isfinite(one.data) for one in placed], axis=0)
    # Of all pairs, those of which both were used have a part.
    pairs = np.maximum(found * (found - 1.0), 1.0)
    used = np.maximum(count.astype(np.float64), 1.0)
    result: Array = total / pairs * (used - 1) / used
    return result


def covariances(
    places: Sequence[tuple[Array, Array]],
    noises: Sequence[SharedNoise],
    shares: Sequence[Mapping[int, float]],
) -> dict[tuple[int, int], float]:
    """
    Compute the mean covariance of pixels of a stack by their distance, of half a plane.

    `places` says where some pixels of the grid lie in each image, and `shares` which
    part of the variance of an image is from each of the noises. Each pixel of an image
    has the variance 1.
    """
    total: dict[tuple[int, int], float] = {}
    for x, y in places:
        _add(total, covariance(x, y), 1 / len(places))
    for number in range(len(noises)):
        having = [i for i, share in enumerate(shares) if share.get(number, 0) > 0]
        for i, j in combinations(having, 2):
            part = np.sqrt(shares[i][number] * shares[j][number]) / len(places)
            cross = cross_covariance(*places[i], *places[j])
            # Of a pixel with itself, it is that of one image with the other and back.
            cross = {lag: v * (2 if lag == (0, 0) else 1) for lag, v in cross.items()}
            _add(total, cross, part)
    return total


def _add(
    total: dict[tuple[int, int], float],
    more: Mapping[tuple[int, int], float],
    factor: float,
) -> None:
    """Add covariances of both halves of the plane, which mirror each other."""
    for (dx, dy), value in more.items():
        is_lower = dy < 0 or (dy == 0 and dx < 0)
        lag = (-dx, -dy) if is_lower else (dx, dy)
        total[lag] = total.get(lag, 0.0) + value * factor


def _at_same_places(placed: Sequence[Placed]) -> list[list[Placed]]:
    groups: list[list[Placed]] = []
    for one in placed:
        for group in groups:
            if np.max(_distance(one, group[0])) < _SAME:
                group.append(one)
                break
        else:
            groups.append([one])
    return groups


def _are_near(one: Placed, other: Placed) -> bool:
    return bool(np.min(_distance(one, other)) < 3)


def _distance(one: Placed, other: Placed) -> Array:
    """Give the distance of places along the axis where it is larger, of some pixels."""
    some = (slice(None, None, _STEP), slice(None, None, _STEP))
    return np.maximum(
        np.abs(one.x[some] - other.x[some]), np.abs(one.y[some] - other.y[some])
    )


def _correlation(one: Placed, other: Placed) -> Array:
    own = overlap(one.x, one.y, one.x, one.y) * overlap(
        other.x, other.y, other.x, other.y
    )
    shared: Array = overlap(one.x, one.y, other.x, other.y) / np.sqrt(own)
    return shared
