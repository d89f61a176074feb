"""
Pixels that are sharper than the point-spread function of an image allows.

What comes through the optics is a sum of point sources. If no point source at any
sub-pixel position is brighter in one pixel than ``r`` times the sum of some neighbours,
then no scene is: no star, blend, galaxy, or line of a spectrum. A pixel that exceeds
such a bound by more than its noise is a hit, or a defect of the detector.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.neighbours import Points, level_around, windows

__all__ = ["NARROWEST", "narrowest_fwhm", "sharp_pixels"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

NARROWEST = 1.5
"""Stars from this full width at half maximum on are never taken for hits [pixel]."""

_WIDEST = 3.0
"""A wider point-spread function than this would not make the bounds much tighter."""

_UNKNOWN = 2.0
"""Where there is no star to measure, one may be too faint for it."""

_MARGIN = 0.9
"""Part of the width that is found which is used: stars differ over a frame."""

_LIMIT, _NEIGHBOUR_LIMIT = 4.2, 2.5
"""Excess that makes a hit, and a neighbour of a hit part of it [sigma]."""

_HALF = 2
_CHUNK = 2**16

_SIDES = {
    # Pixels in the middle, and those beside them, as (row, column).
    "ring": ([(0, 0)], [(j, i) for j in (-1, 0, 1) for i in (-1, 0, 1) if j or i]),
    "cross": ([(0, 0)], [(0, -1), (0, 1), (-1, 0), (1, 0)]),
    "row": ([(0, 0)], [(0, -1), (0, 1)]),
    "column": ([(0, 0)], [(-1, 0), (1, 0)]),
    "rising": ([(0, 0)], [(1, -1), (-1, 1)]),
    "falling": ([(0, 0)], [(1, 1), (-1, -1)]),
    "three in a row": (
        [(0, -1), (0, 0), (0, 1)],
        [(j, i) for j in (-1, 1) for i in (-1, 0, 1)],
    ),
    "three in a column": (
        [(-1, 0), (0, 0), (1, 0)],
        [(j, i) for i in (-1, 1) for j in (-1, 0, 1)],
    ),
}


@dataclass(frozen=True)
class _Scene:
    """Pixels, their variance, which are known, and which may be hits."""

    image: Array
    variance: Array
    usable: Mask
    candidates: Mask

    def level(self, points: Points) -> tuple[Array, Array]:
        """Level and variance around some pixels, without candidates."""
        known = self.usable & ~self.candidates
        return level_around(self.image, self.variance, known, points)

    def excess(self, points: Points, fwhm: float) -> Array:
        """Give the most by which pixels exceed a bound, in standard deviations."""
        result = np.empty(points[0].size)
        for start in range(0, result.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            result[part] = _excess(self, (points[0][part], points[1][part]), fwhm)
        return result


def sharp_pixels(
    image: Array,
    variance: Array,
    usable: Mask,
    candidates: Mask,
    *,
    fwhm: float | None = None,
) -> Mask:
    """
    Find the candidates that no star of a width explains, and what belongs to them.

    Without `fwhm` [pixel] it is that of `narrowest_fwhm`, measured without the hits
    that not even the narrowest star explains.
    """
    if fwhm is None:
        certain = sharp_pixels(image, variance, usable, candidates, fwhm=NARROWEST)
        fwhm = narrowest_fwhm(image, variance, usable & ~certain)
        if fwhm <= NARROWEST:
            return certain
    scene = _Scene(image, variance, usable, candidates)
    points = np.nonzero(candidates)
    found = np.zeros(image.shape, np.bool_)
    found[points] = scene.excess(points, fwhm) > _LIMIT
    return _grown(scene, found)


def narrowest_fwhm(image: Array, variance: Array, usable: Mask) -> float:
    """
    Width of the narrowest stars of an image, as a safe lower limit [pixel].

    It is between 1.5 and 3; 1.5 where stars are too faint to be measured, and 2 where
    there are none. Each peak above 6 sigma tells the width of its narrow side from the
    curvature of its logarithm, which does not depend on where in the pixel the star is,
    plus two standard errors. One in twenty may be narrower, as peaks beside hits are.
    """
    from scipy.ndimage import binary_erosion, maximum_filter

    peak = image >= maximum_filter(np.where(usable, image, -np.inf), 3)
    points = np.nonzero(peak & binary_erosion(usable, np.ones((3, 3))))
    level, noise = level_around(image, variance, usable, points)
    bright = image[points] - level > 6 * np.sqrt(noise)
    y, x = points[0][bright], points[1][bright]
    if not y.size:
        return _UNKNOWN
    narrow, limit = (
        np.minimum(a, b)
        for a, b in zip(
            *(
                _width2(image, variance, (y, x), level[bright], step)
                for step in ((0, 1), (1, 0))
            ),
            strict=True,
        )
    )
    # A hit has no light beside it; in a diffraction image it would be 1.35 pixels wide.
    star = narrow > (1.35 / _FWHM) ** 2
    limits = np.sort(limit[star & (limit < 1.6 * narrow)])
    if not limits.size:
        return NARROWEST if star.any() else _UNKNOWN
    fwhm = _MARGIN * _FWHM * np.sqrt(limits[limits.size // 20])
    return float(np.clip(fwhm, NARROWEST, _WIDEST))


_FWHM = np.sqrt(8 * np.log(2))


def _width2(
    image: Array, variance: Array, peak: Points, level: Array, step: tuple[int, int]
) -> tuple[Array, Array]:
    """Square of the Gaussian width along a direction, and what it is at most."""
    y, x = peak
    beside = [(y + step[0], x + step[1]), (y - step[0], x - step[1])]
    top = image[peak] - level
    curvature = 2 * np.log(top)
    error2 = 4 * variance[peak] / top**2
    for at in beside:
        # Light within the noise is at least half a standard deviation.
        light = np.maximum(image[at] - level, 0.5 * np.sqrt(variance[at]))
        curvature -= np.log(light)
        error2 += variance[at] / light**2
    width2, most = (
        1 / np.maximum(c, 1e-3) - 1 / 12  # of the pixel itself
        for c in (curvature, curvature - 2 * np.sqrt(error2))
    )
    return width2, most


def _grown(scene: _Scene, found: Mask) -> Mask:
    """Add neighbours of hits, judged by what is left without these."""
    from scipy.ndimage import binary_dilation

    new = found
    while new.any():
        # A hit is taken for as bright as its second brightest neighbour: that of a star
        # beside it keeps the star, and that of a single other hit is noise.
        at = np.nonzero(found)
        others = scene.usable & ~found
        left = replace(
            scene,
            image=_second_brightest(scene.image, others, at),
            variance=_second_brightest(scene.variance, others, at),
        )
        near = binary_dilation(new, np.ones((3, 3))) & scene.candidates & ~found
        points = np.nonzero(near)
        level, noise = scene.level(points)
        bright = scene.image[points] - level > 3 * np.sqrt(noise)
        points = points[0][bright], points[1][bright]
        new = np.zeros_like(found)
        new[points] = left.excess(points, NARROWEST) > _NEIGHBOUR_LIMIT
        found = found | new
    return found


def _second_brightest(image: Array, usable: Mask, points: Points) -> Array:
    """Replace some pixels by the second brightest one around, where there is one."""
    near = windows(usable, points, 1, False)
    values = np.where(near, windows(image, points, 1), -np.inf)
    second = np.sort(values, axis=1)[:, -2]
    result = image.copy()
    result[points] = np.where(np.isfinite(second), second, image[points])
    return result


def _excess(scene: _Scene, points: Points, fwhm: float) -> Array:
    centres, sides, ratios = _bounds(fwhm)
    level, dark = (value[:, None] for value in scene.level(points))
    # Beyond an edge nothing is known, but a corner has no pixels on two sides at all.
    near = windows(scene.usable, points, _HALF, False)
    ends = [
        (p == 0) | (p == n - 1) for p, n in zip(points, scene.usable.shape, strict=True)
    ]
    corner = np.all(ends, axis=0)
    near[corner] = windows(scene.usable, (points[0][corner], points[1][corner]), _HALF)
    light = np.where(near, windows(scene.image, points, _HALF) - level, 0.0)
    noise = np.where(near, windows(scene.variance, points, _HALF), 0.0)
    most = ratios * (np.maximum(light, 0) @ sides.T)
    there = light @ centres.T
    # Without the hit a pixel has the noise of the level, and that of the light that the
    # bound allows: as much of its own as there is of that light.
    dark = dark * centres.sum(axis=1)
    share = np.clip(most / np.maximum(there, 1e-30), 0, 1)
    own = dark + np.maximum(noise @ centres.T - dark, 0) * share
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = (there - most) / np.sqrt(own + ratios**2 * (noise @ sides.T))
    # A bound that needs a pixel which is not there says nothing.
    lacks = (~near).astype(np.float64) @ (centres + sides).T > 0
    return np.asarray(np.where(lacks, -np.inf, excess).max(axis=1))


@cache
def _bounds(fwhm: float) -> tuple[Array, Array, Array]:
    """Give the centres and sides of each bound, and its largest ratio for stars."""
    from scipy.special import erf

    size = 2 * _HALF + 1
    patterns = np.zeros((2, len(_SIDES), size, size))
    for k, both in enumerate(_SIDES.values()):
        for which, offsets in enumerate(both):
            for j, i in offsets:
                patterns[which, k, j + _HALF, i + _HALF] = 1
    centres, sides = patterns.reshape(2, len(_SIDES), size * size)
    scale = fwhm / np.sqrt(4 * np.log(2))
    pixel = np.arange(-_HALF, _HALF + 1)
    shift = np.linspace(-1.5, 1.5, 61)[:, None]
    line = erf((pixel - shift + 0.5) / scale) - erf((pixel - shift - 0.5) / scale)
    stars = np.einsum("aj,bi->abji", line, line).reshape(-1, size * size)
    return centres, sides, np.max((stars @ centres.T) / (stars @ sides.T), axis=0)
