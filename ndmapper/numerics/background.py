"""The background of an image: a smooth map, its scatter, and the error of the map."""

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.correlated_noise import Covariances, sum_variance_factor
from ndmapper.numerics.detection import (
    DividedSources,
    divide_sources,
    find_islands,
    significance,
)

__all__ = [
    "Background",
    "Estimator",
    "divide_sources_roughly",
    "estimate_background",
    "find_sources_roughly",
]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

Estimator: TypeAlias = Literal["mean", "median", "mode"]

_LEAST_GOOD = 0.2
"""A box with a smaller share of good pixels is filled in from its neighbours."""

_FWHM = 3.5
_HIGH = 4.5
"""Sources are looked for at this FWHM [pixel], with peaks above this significance."""

_VARIANCE_OF = {"mean": 1.0, "median": np.pi / 2, "mode": 4.57}
"""Variance of an estimate from normal noise, in units of that of the mean."""


@dataclass(frozen=True, kw_only=True)
class Background:
    """The background of an image."""

    # The map, and the standard deviation of the pixels about it.
    level: Array
    rms: Array
    # Variance of the map. It is common to the pixels of a box.
    variance: Array
    # Pixels of sources, which were left out.
    sources: Mask
    # Height and width of the boxes.
    box: tuple[int, int]


def estimate_background(
    data: npt.ArrayLike,
    mask: Mask | None = None,
    *,
    box_size: int = 64,
    filter_size: int = 3,
    clip: float = 4.0,
    estimator: Estimator = "mean",
    mask_sources: bool = True,
    covariances: Covariances | None = None,
) -> Background:
    """
    Measure the background in boxes, and interpolate between them.

    In a first pass the mode in the boxes, which sources move least, gives a rough map;
    what stands out of it is masked, with its wings, in the second. A quadratic surface
    through the rough map is subtracted before the second pass and added to its result,
    since at the border of the image filter and interpolation make slopes flat.
    `covariances` are those of the pixels of a stack.

    Raises
    ------
    ValueError
        If no box has enough good pixels.
    """
    values, bad, box = _prepared(data, mask, box_size)
    options: dict[str, Any] = {"box": box, "clip": clip}
    first: Estimator = "mode" if mask_sources else estimator
    # Not filtered: at the border the median of boxes makes a slope flat.
    rough = _map(values, bad, estimator=first, filter_size=1, **options)
    surface = _surface(rough.background_mesh, box, values.shape)
    sources = np.zeros(values.shape, np.bool_)
    if mask_sources:
        sources = find_sources_roughly(
            values - np.asarray(rough.background, np.float64),
            np.asarray(rough.background_rms, np.float64) ** 2,
            bad,
            covariances,
        )
    fine = _map(
        values - surface,
        bad | sources,
        estimator=estimator,
        filter_size=filter_size,
        **options,
    )
    unclipped = _unclipped(clip)
    good = np.asarray(fine.n_pixels_mesh, np.float64)
    good = np.maximum(good, _LEAST_GOOD * box[0] * box[1])
    mesh = (unclipped * np.asarray(fine.background_rms_mesh, np.float64)) ** 2 / good
    mesh *= _VARIANCE_OF[estimator] * _filter_factor(good.shape, filter_size)
    if covariances is not None:
        mesh *= sum_variance_factor(covariances, min(box))
    cells = [
        np.minimum(np.arange(n) // b, m - 1)
        for n, b, m in zip(values.shape, box, mesh.shape, strict=True)
    ]
    return Background(
        level=np.asarray(fine.background, np.float64) + surface,
        rms=unclipped * np.asarray(fine.background_rms, np.float64),
        variance=mesh[np.ix_(*cells)],
        sources=sources,
        box=(box[0], box[1]),
    )


def find_sources_roughly(
    residual: Array, variance: Array, bad: Mask, covariances: Covariances | None = None
) -> Mask:
    """
    Find the pixels of sources, with their wings, in an image without background.

    The limits are such that of a million pixels of noise about 30 are taken, which
    makes the background of the others lower by less than 0.001 of their noise.
    """
    return _grown(
        significance(residual, variance, bad, fwhm=_FWHM, covariances=covariances)
    )


def divide_sources_roughly(
    data: npt.ArrayLike,
    mask: Mask | None = None,
    *,
    box_size: int = 64,
    covariances: Covariances | None = None,
) -> DividedSources:
    """
    Find and divide sources, by the first pass of `estimate_background`.

    Raises
    ------
    ValueError
        If no box has enough good pixels.
    """
    values, bad, box = _prepared(data, mask, box_size)
    rough = _map(values, bad, estimator="mode", filter_size=1, box=box, clip=4.0)
    residual = np.where(bad, 0.0, values - rough.background)
    rms = np.asarray(rough.background_rms, np.float64)
    found = significance(residual, rms**2, bad, fwhm=_FWHM, covariances=covariances)
    return divide_sources(found, _grown(found), high=_HIGH)


def _prepared(
    data: npt.ArrayLike, mask: Mask | None, box_size: int
) -> tuple[Array, Mask, tuple[int, ...]]:
    """Give values, those that do not count, and the size of boxes."""
    values = np.asarray(data, np.float64)
    bad = ~np.isfinite(values)
    if mask is not None:
        bad |= mask
    if bad.all():
        msg = "all pixels are masked or are no numbers, so there is no background"
        raise ValueError(msg)
    return values, bad, tuple(_box_edge(n, box_size) for n in values.shape)


def _grown(found: Array) -> Mask:
    """Give the pixels of what is significant, with its wings."""
    from scipy.ndimage import binary_dilation

    islands = find_islands(found, low=2.0, high=_HIGH) > 0
    round_disk = np.hypot(*np.mgrid[-4:5, -4:5]) <= 4.2
    grown: Mask = binary_dilation(islands, round_disk)
    return grown


def _unclipped(clip: float) -> float:
    """Ratio of the standard deviation of a normal sample to that of its clipped one."""
    inside = math.erf(clip / math.sqrt(2))
    density = math.exp(-0.5 * clip**2) / math.sqrt(2 * math.pi)
    return 1 / math.sqrt(1 - 2 * clip * density / inside)


def _box_edge(n: int, wanted: int) -> int:
    """Give boxes that fill an axis evenly."""
    return -(-n // max(1, round(n / wanted)))


def _map(
    values: Array,
    bad: Mask,
    *,
    estimator: Estimator,
    box: tuple[int, ...],
    filter_size: int,
    clip: float,
) -> Any:
    from astropy.stats import SigmaClip
    from photutils.background import (
        Background2D,
        MeanBackground,
        MedianBackground,
        SExtractorBackground,
    )

    kinds = {
        "mean": MeanBackground, "median": MedianBackground,
        "mode": SExtractorBackground,
    }  # fmt: skip
    try:
        return Background2D(
            np.where(bad, 0.0, values),
            box,
            mask=bad,
            filter_size=filter_size,
            exclude_percentile=100 * (1 - _LEAST_GOOD),
            sigma_clip=SigmaClip(sigma=clip, maxiters=10),
            bkg_estimator=kinds[estimator](sigma_clip=None),
        )
    except ValueError as err:
        msg = (
            f"no box of {box[0]} x {box[1]} pixels has {_LEAST_GOOD:.0%} of good "
            "pixels without sources to measure the background in; give larger boxes"
        )
        raise ValueError(msg) from err


def _surface(mesh: Array, box: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """Fit a polynomial of degree 2, 1 or 0 to a mesh, whatever its size allows."""
    degree = min(2, (min(mesh.shape) - 1) // 2)
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    centres = [
        ((np.arange(m) + 0.5) * b - 0.5) / n
        for m, b, n in zip(mesh.shape, box, shape, strict=True)
    ]
    y, x = np.meshgrid(*centres, indexing="ij")
    terms = np.stack([(y**i * x**j).ravel() for i, j in powers], axis=1)
    solution = np.linalg.lstsq(terms, np.asarray(mesh, np.float64).ravel())[0]
    y, x = (np.arange(n) / n for n in shape)
    surface = np.zeros(shape)
    for (i, j), value in zip(powers, solution, strict=True):
        surface += value * np.multiply.outer(y**i, x**j)
    return surface


def _filter_factor(shape: tuple[int, ...], size: int) -> Array:
    """By how much the median of the boxes around lowers the variance of each."""
    half = size // 2
    counts = [
        np.minimum(np.arange(n) + half, n - 1) - np.maximum(np.arange(n) - half, 0) + 1
        for n in shape
    ]
    boxes = np.multiply.outer(*counts).astype(np.float64)
    # The variance of the median of n normal values; 1/n of the mean for one or two.
    of_median = np.pi / 2 / (boxes + np.pi / 2 - 1)
    return np.asarray(np.where(boxes <= 2, 1 / boxes, of_median), np.float64)
