"""Fluxes in circular apertures, with the background of an annulus, and errors."""

from dataclasses import dataclass, fields
from functools import reduce
from operator import or_
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.correlated_noise import Covariances, variance_of_sum
from ndmapper.numerics.detection import DividedSources
from ndmapper.numerics.statistics import clip_scatter

__all__ = ["ApertureFluxes", "Level", "measure_apertures"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

Level: TypeAlias = Literal["mean", "median"]

_LEAST_ANNULUS = 10
"""With fewer good pixels of the annulus there is no background."""

_LEAST_SHARE = 0.15
"""With a smaller share of them without sources, those of sources have to count."""


@dataclass(frozen=True, kw_only=True)
class ApertureFluxes:
    """What was measured in apertures; NaN where nothing could be."""

    # Without background, and with the variance of the background.
    flux: Array
    variance: Array
    # Of a pixel.
    background: Array
    background_variance: Array
    # Area of the pixels that count [pixel**2].
    area: Array
    # All flags of the pixels of the aperture, and whether it is all in the image.
    flags: npt.NDArray[np.int64]
    is_inside: Mask
    # Whether so little of the annulus is free of sources that these count, too.
    is_crowded: Mask


def measure_apertures(
    data: npt.ArrayLike,
    variance: npt.ArrayLike | None,
    good: Mask,
    *,
    flags: npt.NDArray[np.integer[Any]],
    x: Array,
    y: Array,
    radius: float,
    annulus: tuple[float, float] | None,
    level: Level = "mean",
    clip: float = 3.0,
    sources: DividedSources | None = None,
    common_variance: float = 0.0,
    covariances: Covariances | None = None,
) -> ApertureFluxes:
    """
    Sum the light in circles about positions [pixel, from 0].

    A pixel that is cut by the circle counts with the share of its area. The variance is
    the sum of those of pixels by the square of this share, and that of the background
    by the square of the area; without a variance plane pixels scatter as those of the
    annulus do. Pixels of other `sources` do not count in the annulus: clipping does not
    find the wings of stars, which are lower than the noise of a pixel. Those of the
    source itself do, so that its flux goes with its light. `common_variance` is that
    of a background that was subtracted before, and `covariances` are those of pixels of
    a stack.
    """
    from photutils.aperture import CircularAperture

    values = np.asarray(data, np.float64)
    noise = None if variance is None else np.asarray(variance, np.float64)
    good = good & np.isfinite(values)
    if noise is not None:
        good &= np.isfinite(noise) & (noise >= 0)
    rows = [np.full(len(x), np.nan) for _ in range(5)]
    flux, var, sky, sky_var, area = rows
    joined = np.zeros(len(x), np.int64)
    inside, crowded = np.zeros((2, len(x)), np.bool_)
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if known.size == 0:
        return ApertureFluxes(**_named(*rows, joined, inside, crowded))
    circles = CircularAperture(np.stack([x[known], y[known]], 1), radius)
    for n, circle in zip(known, circles.to_mask(method="exact"), strict=True):
        large, small = circle.get_overlap_slices(values.shape)
        if large is None:
            continue
        weight = circle.data[small]
        inside[n] = weight.sum() > circle.data.sum() - 1e-6
        joined[n] = reduce(or_, flags[large][weight > 0].tolist(), 0)
        weight = np.where(good[large], weight, 0.0)
        area[n] = weight.sum()
        if not area[n] > 0:
            continue
        sky[n], sky_var[n], scatter = 0.0, common_variance, np.nan
        if annulus is not None:
            place, ring = _ring(good.shape, x[n], y[n], annulus)
            chosen = ring & good[place]
            if sources is not None:
                owner = sources.owner[place]
                alone = chosen & ((owner == 0) | (owner == sources.at(x[n], y[n])))
                least = max(_LEAST_ANNULUS, _LEAST_SHARE * np.count_nonzero(chosen))
                crowded[n] = alone.sum() < min(least, np.count_nonzero(chosen))
                chosen = chosen if crowded[n] else alone
            sky[n], sky_var[n], scatter = _level(
                values[place][chosen], None if noise is None else noise[place][chosen],
                level=level, clip=clip,
            )  # fmt: skip
            if covariances is not None and chosen.any():
                # Nearly all of its pixels are left by clipping.
                count = np.count_nonzero(chosen)
                sky_var[n] *= variance_of_sum(chosen, covariances) / count
        light = np.where(weight > 0, values[large] - sky[n], 0.0)
        flux[n] = (weight * light).sum()
        pixels = scatter if noise is None else np.where(weight > 0, noise[large], 0.0)
        own = variance_of_sum(weight * np.sqrt(np.maximum(pixels, 0)), covariances)
        var[n] = own + area[n] ** 2 * sky_var[n]
    return ApertureFluxes(**_named(*rows, joined, inside, crowded))


def _named(*values: Any) -> dict[str, Any]:
    names = [one.name for one in fields(ApertureFluxes)]
    return dict(zip(names, values, strict=True))


def _ring(
    shape: tuple[int, ...], x: float, y: float, annulus: tuple[float, float]
) -> tuple[tuple[slice, slice], Mask]:
    """Give the part of an image that has an annulus, and its pixels in that part."""
    inner, outer = annulus
    ny, nx = shape
    rows = slice(max(0, int(y - outer)), min(ny, int(y + outer) + 2))
    columns = slice(max(0, int(x - outer)), min(nx, int(x + outer) + 2))
    dy = np.arange(rows.start, rows.stop)[:, None] - y
    dx = np.arange(columns.start, columns.stop)[None, :] - x
    distance2 = dx**2 + dy**2
    return (rows, columns), (distance2 >= inner**2) & (distance2 < outer**2)


def _level(
    sample: Array, noise: Array | None, *, level: Level, clip: float
) -> tuple[float, float, float]:
    """Measure the background of a sample: its value, variance, and that of pixels."""
    if sample.size < _LEAST_ANNULUS:
        return np.nan, np.nan, np.nan
    kept = clip_scatter(sample, clip)
    scatter = float(kept.var(ddof=1)) if kept.size > 1 else 0.0
    pixels = scatter
    if noise is not None:
        is_kept = (sample >= np.min(kept)) & (sample <= np.max(kept))
        pixels = float(noise[is_kept].mean())
    found = float(kept.mean() if level == "mean" else np.median(kept))
    factor = 1.0 if level == "mean" else np.pi / 2
    return found, factor * pixels / kept.size, scatter
