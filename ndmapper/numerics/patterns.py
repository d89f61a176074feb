"""How strong a pattern is in an image: the level of a sky, the amplitude of fringes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Matching", "PatternFit", "fit_pattern", "relative_level"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

Matching: TypeAlias = Literal["multiply", "add", "none"]

_MOST = 2**20
"""So many pixels, from all over the image, tell a level."""

_ROUNDS = 20


@dataclass(frozen=True, kw_only=True)
class PatternFit:
    """By what a pattern is to be multiplied to be that of an image."""

    scale: float
    error: float
    # Standard deviation of the pixels that were used, without the pattern and with it.
    rms_before: float
    rms_after: float
    # The share of the pixels that was used.
    used: float


def relative_level(
    image: npt.ArrayLike, other: npt.ArrayLike, how: Matching, *, clip: float = 3.0
) -> tuple[float, float]:
    """
    Give the factor and the offset that bring another image to the level of an image.

    The factor is that of the means of the pixels that both have (NaN is none), so that
    noise does not bias it; pixels where the images differ from that by more than
    `clip` times the scatter of the differences are left out.

    Raises
    ------
    ValueError
        If they have no pixel in common, or a level is not positive that is divided by.
    """
    if how == "none":
        return 1.0, 0.0
    one, two = _common(np.asarray(image), np.asarray(other))
    # The first guess must not follow bright stars.
    factor, offset = _match(one, two, how, np.median)
    kept = np.ones(one.size, np.bool_)
    for _ in range(_ROUNDS):
        new = _within(one - factor * two, clip, kept)
        if np.array_equal(new, kept):
            break
        kept = new
        factor, offset = _match(one[kept], two[kept], how, np.mean)
    return factor, offset


def _match(
    one: Array, two: Array, how: Matching, mean: Callable[[Array], Any]
) -> tuple[float, float]:
    if how == "add":
        return 1.0, float(mean(one - two))
    above, below = float(mean(one)), float(mean(two))
    if not (below > 0 and above > 0):
        msg = f"a ratio was asked for of the levels {above:.4g} and {below:.4g}"
        raise ValueError(msg)
    return above / below, 0.0


def _common(
    one: npt.NDArray[np.generic], two: npt.NDArray[np.generic]
) -> tuple[Array, Array]:
    """Take the pixels that both images have, or some of them from all over."""
    places = np.flatnonzero(np.isfinite(one) & np.isfinite(two))
    if not places.size:
        msg = "they have no good pixel in common"
        raise ValueError(msg)
    places = places[:: -(-places.size // _MOST)]
    some = [image.ravel()[places].astype(np.float64) for image in (one, two)]
    return some[0], some[1]


def fit_pattern(
    image: Array,
    pattern: Array,
    good: Mask,
    *,
    variance: Array | None = None,
    pattern_variance: Array | None = None,
    clip: float = 4.0,
) -> PatternFit:
    """
    Fit a smooth pattern to an image, both without background, by least squares.

    The noise of the pattern would make its scale too small, and too large where the
    image is one of those that the pattern was made of, so that they share noise. The
    noise of pixels is independent, while the pattern is nearly the same in neighbours:
    so products are taken with the mean of the pattern in the eight pixels around.
    Pixels that are further from the fit than `clip` times the scatter are left out; the
    first round takes least absolute deviations, which stars hardly move. Pixels are not
    weighted by their variances, since these contain what their own noise has added.

    Raises
    ------
    ValueError
        If the pattern does not stand out of its noise.
    """
    values, shape = image[good], pattern[good]
    around = _mean_around(pattern, good)[good]
    noise = np.zeros(shape.size) if pattern_variance is None else pattern_variance[good]
    scale = _least_absolute(values, shape)
    kept = np.ones(values.size, np.bool_)
    for _ in range(_ROUNDS):
        new = _within(values - scale * shape, clip)
        power = float((shape[new] * around[new]).sum())
        # A pair of neighbours is there twice, with an eighth of the product of each.
        if not power > 3 * float(np.sqrt((noise[new] ** 2).sum() / 4)):
            msg = "the pattern does not stand out of its own noise"
            raise ValueError(msg)
        scale = float((values[new] * around[new]).sum()) / power
        if np.array_equal(new, kept):
            break
        kept = new
    after = values[kept] - scale * shape[kept]
    own = np.full(after.size, after.var()) if variance is None else variance[good][kept]
    of_pattern = noise[kept]
    # What the variance of the image, and that of the pattern, make of the two sums.
    spread = float((around[kept] ** 2 * (own + scale**2 * of_pattern)).sum())
    spread += scale**2 * float((of_pattern**2).sum()) / 8
    return PatternFit(
        scale=scale,
        error=float(np.sqrt(spread)) / power,
        rms_before=float(values[kept].std()),
        rms_after=float(after.std()),
        used=float(kept.mean()),
    )


def _mean_around(image: Array, good: Mask) -> Array:
    """Give the mean of the good ones of the eight pixels around each; 0 without any."""
    total, count = (
        _sum_around(part) for part in (np.where(good, image, 0.0), good.astype(float))
    )
    # Sums of whole numbers are exact.
    return np.divide(total, count, out=np.zeros(image.shape), where=count > 0)


def _sum_around(image: Array) -> Array:
    padded = np.pad(image, 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    sums: Array = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] - image
    return sums


def _least_absolute(values: Array, shape: Array) -> float:
    """Minimise the sum of absolute deviations, by weights of their inverse."""
    squares = float((shape**2).sum())
    if not squares > 0:
        msg = "the pattern is zero everywhere"
        raise ValueError(msg)
    scale = float((values * shape).sum()) / squares
    least = 1e-3 * float(np.median(np.abs(values))) + 1e-30
    for _ in range(_ROUNDS):
        weighted = shape / np.maximum(np.abs(values - scale * shape), least)
        scale = float((values * weighted).sum()) / float((shape * weighted).sum())
    return scale


def _within(residual: Array, clip: float, kept: Mask | None = None) -> Mask:
    """Tell which residuals are within the limit, by the scatter of those kept."""
    some = residual if kept is None else residual[kept]
    low, centre, high = np.percentile(some, (15.87, 50.0, 84.13))
    within: Mask = np.abs(residual - centre) <= clip * (high - low) / 2
    return within
