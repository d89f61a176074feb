"""Models of long-slit frames: what objects and sky explain, and how well they do."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from ndmapper.numerics.neighbours import medians_along
from ndmapper.numerics.sharpness import NARROWEST, sharp_pixels

__all__ = [
    "LocalModel",
    "bright_along",
    "has_spectra",
    "local_spectrum_model",
    "spectrum_model",
]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_WINDOW, _WIDE_WINDOW = 31, 51
"""Lengths of the running medians along a spectrum, and across it [pixel]."""

_DARKER = 25
"""Percentile across a spectrum that is the sky beside it, in a first guess."""

_HALF = 15
"""Half the length of the window in which a profile is a parabola [pixel]."""

_ACROSS = 8
"""The brightness of a spectrum is that of so many pixels on either side together."""

_LEAST_LIGHT = 100.0
"""Square of the signal to noise from which on the brightness is fitted."""

_BLOCK = 64
"""Pixels whose scatter tells how far a model misses them."""

_DRIFT = 4
"""A trace moves by at most so many rows from one block to the next [pixel]."""

_REACH_OF_HIT = 2
"""Pixels within so many of the brightest ones of a hit may belong to it."""

_SHARE, _SQUARE = 80, 1.6424
"""Percentile of the squared deviations of a block, and that of normal ones."""


@dataclass(frozen=True)
class LocalModel:
    """Light of a long-slit frame, and its variance with that of the model's misfit."""

    light: Array
    variance: Array

    def deviations(self, image: Array) -> Array:
        """Deviations of an image from the model [standard deviations]."""
        return np.asarray((image - self.light) / np.sqrt(self.variance))

    def hits(
        self, image: Array, good: Mask, limit: float, fraction: float, fwhm: float
    ) -> Mask:
        """
        Find pixels above the model that are sharper than a star of a width [pixel].

        Their deviations exceed the limit, and those of their neighbours a fraction of
        it. A width of 0 makes no demand.
        """
        from scipy.ndimage import maximum_filter

        off = np.where(good, self.deviations(image), 0)
        near = maximum_filter(off > limit, size=2 * _REACH_OF_HIT + 1)
        found = np.asarray(near & (off > fraction * limit), np.bool_)
        if fwhm > 0 and found.any():
            return sharp_pixels(
                image - self.light, self.variance, good, found, fwhm=fwhm
            )
        return found


def local_spectrum_model(
    image: Array, variance: Array, good: Mask, *, rounds: int = 3
) -> LocalModel:
    """
    Model traces and sky lines by the pixels around, along the rows and the columns.

    Notes
    -----
    The light is the sum of two components, one for each axis (of objects and of sky
    lines, in either order). Each is a profile that changes slowly along its axis, a
    parabola in each window of 31 pixels, times a brightness that may change from pixel
    to pixel along that axis, but is the same for the pixels across. It follows traces
    that move and lines that are tilted, whatever the spectrum is; no light of one pixel
    alone is part of it. Pixels far off are left out of the next round.

    The variance is that of the pixels, times the square by which the model misses the
    good pixels of a part of a line, where that is more than their noise.
    """
    # Fits need finite numbers, and those of bad pixels have no weight.
    filled = np.where(good, image, np.median(image[good]))
    noise = np.where(good, variance, np.median(variance[good]))
    rows, columns = (_running(filled, _WINDOW, axis) for axis in (1, 0))
    forms = [
        smooth - _running(smooth, _WIDE_WINDOW, 1 - axis, _DARKER)
        for axis, smooth in ((1, rows), (0, columns))
    ]
    parts = [forms[0], _running(filled, _WIDE_WINDOW, 0, _DARKER)]
    # At first only what no spectrum can be, whether the trace is followed or not.
    above = filled - np.maximum(np.maximum(rows, columns), sum(parts))
    suspects = good & (above > 3 * np.sqrt(noise))
    hit = sharp_pixels(filled, noise, good, suspects, fwhm=NARROWEST)
    used = known = good & ~hit
    for number in range(rounds):
        weight = used / noise
        for k, axis in enumerate((1, 0)):
            rest = filled - parts[1 - k]
            parts[k], forms[k] = _component(rest, weight, forms[k], axis)
        light = parts[0] + parts[1]
        squares = (filled - light) ** 2 / noise
        misfit = np.maximum(*(_misfit(squares, known, axis) for axis in (1, 0)))
        model = LocalModel(light, noise * misfit)
        left = good & ~model.hits(filled, good, 4.5, 0.4, NARROWEST)
        if number:
            # Dark pixels may be lines of a spectrum that is not followed yet.
            left &= model.deviations(filled) > -8
        if number >= 2 and np.count_nonzero(left != used) <= 1e-5 * used.size:
            break
        used = left
    return model


def _component(
    values: Array, weight: Array, form: Array, axis: int
) -> tuple[Array, Array]:
    """Fit the light along an axis, and give it with its profile."""
    from scipy.ndimage import correlate1d

    box = np.ones(2 * _ACROSS + 1)
    form = np.maximum(form, 0)
    there, light = (
        correlate1d(weight * form * other, box, axis=1 - axis, mode="constant")
        for other in (form, values)
    )
    # Where there is no light to tell, the brightness is as it is around.
    scale = np.clip((light + _LEAST_LIGHT) / (there + _LEAST_LIGHT), 0.01, 100)
    form = _local_parabola(values, weight, scale, axis)
    return scale * form, form


def _local_parabola(values: Array, weight: Array, scale: Array, axis: int) -> Array:
    """Fit a parabola, times a known scale, in a window along an axis around a pixel."""
    from scipy.ndimage import correlate1d

    t = np.arange(-_HALF, _HALF + 1) / (_HALF + 1)
    window = (1 - t**2) ** 2
    squares, products = weight * scale**2, weight * scale * values
    s = [
        correlate1d(squares, window * t**k, axis=axis, mode="constant")
        for k in range(5)
    ]
    d = [
        correlate1d(products, window * t**k, axis=axis, mode="constant")
        for k in range(3)
    ]
    # Cofactors of the first column of the normal equations: p is their first unknown.
    first = s[2] * s[4] - s[3] ** 2
    second = s[2] * s[3] - s[1] * s[4]
    third = s[1] * s[3] - s[2] ** 2
    determinant = s[0] * first + s[1] * second + s[2] * third
    with np.errstate(divide="ignore", invalid="ignore"):
        parabola = (d[0] * first + d[1] * second + d[2] * third) / determinant
        mean = d[0] / s[0]
    known = determinant > 1e-4 * s[0] * s[2] * s[4]
    return np.asarray(np.where(known, parabola, np.where(s[0] > 0, mean, 0.0)))


def _running(image: Array, size: int, axis: int, percentile: float = 50) -> Array:
    """Percentile, by default the median, of a window that runs along an axis."""
    from scipy.ndimage import percentile_filter

    lines = np.ascontiguousarray(np.moveaxis(image, axis, -1))
    odd = max(1, min(size, (lines.shape[-1] - 1) // 2 * 2 + 1))
    # Line by line, which is ten times quicker than an image with a flat window.
    smooth = np.array([percentile_filter(line, percentile, odd) for line in lines])
    # At its ends the window is shorter, but never so much that a hit fills it.
    half = odd // 2
    for at in range(half):
        reach = max(at, half // 2)
        window = slice(max(0, at - reach), at + reach + 1)
        for end, ordered in ((at, lines), (-1 - at, lines[:, ::-1])):
            smooth[:, end] = np.percentile(ordered[:, window], percentile, axis=1)
    return np.moveaxis(smooth, -1, axis)


def _misfit(squares: Array, used: Mask, axis: int) -> Array:
    """Factor of the variance along an axis, of blocks of at least 64 pixels; from 1."""
    from scipy.ndimage import maximum_filter1d

    lines = np.moveaxis(np.where(used, squares, np.nan), axis, -1)
    # Lines that are short are taken together with those beside them.
    together = -(-_BLOCK // lines.shape[1])
    firsts = np.arange(0, lines.shape[0], together)
    edges = np.linspace(0, lines.shape[1], max(1, lines.shape[1] // _BLOCK) + 1)
    starts = edges.astype(np.intp)
    found = np.ones((firsts.size, starts.size - 1))
    for j, (start, stop) in enumerate(pairwise(starts)):
        blocks = np.full((firsts.size * together, stop - start), np.nan)
        blocks[: lines.shape[0]] = lines[:, start:stop]
        found[:, j] = _percentile(blocks.reshape(firsts.size, -1)) / _SQUARE
    # What a profile is missed by is missed beside it, too.
    found = maximum_filter1d(found, 3, axis=0)
    middle = (starts[:-1] + starts[1:] - 1) / 2
    at = np.arange(lines.shape[1])
    factors = np.array([np.interp(at, middle, line) for line in found])
    factors = np.repeat(factors, together, axis=0)[: lines.shape[0]]
    return np.moveaxis(np.maximum(factors, 1), -1, axis)


def _percentile(blocks: Array) -> Array:
    """Give a percentile of each row without its NaN, which are last when sorted."""
    ordered = np.sort(blocks, axis=1)
    count = np.isfinite(ordered).sum(axis=1)
    at = np.maximum(np.ceil(count * _SHARE / 100).astype(np.intp) - 1, 0)
    found = np.take_along_axis(ordered, at[:, None], axis=1)[:, 0]
    return np.where(count > 0, found, _SQUARE)


def bright_along(
    image: Array, variance: Array, good: Mask, axis: int, limit: float = 5.0
) -> Mask:
    """Tell the pixels of traces or lines along an axis: brighter than most across."""
    filled = np.where(good, image, np.median(image[good]))
    smooth = _running(filled, _WINDOW, axis)
    level = np.median(smooth, axis=1 - axis, keepdims=True)
    return np.asarray(good & (smooth - level > limit * np.sqrt(variance)))


def has_spectra(data: Array, variance: Array, good: Mask) -> bool:
    """
    Tell traces or lines of spectra, which run across a frame, from stars.

    Two adjacent rows or columns stand out from those around by three times the noise of
    a pixel, in three quarters of the blocks of 64 pixels along them, by their darker
    pixels: those of bright stars do not. From block to block they may move by some
    rows. One alone may be a bad column.
    """
    if not good.any():
        return False
    image = np.where(good, data, np.median(data[good]))
    limit = 3 * np.sqrt(np.median(variance[good]))
    for lines in (image, image.T):
        n = lines.shape[1]
        parts = np.array_split(lines, max(4, n // _BLOCK), axis=1) if n >= 20 else []
        followed = np.zeros(len(lines))
        for part in parts:
            # A trace moves by a few rows from block to block, a trail by more.
            followed = _largest_around(followed, _DRIFT) + _stand_out(part, limit)
        if parts and np.max(followed) >= 0.75 * len(parts):
            return True
    return False


def _largest_around(values: Array, reach: int) -> Array:
    """Take the largest of the values within a number of rows."""
    padded = np.pad(values, reach)
    return np.asarray(np.max(sliding_window_view(padded, 2 * reach + 1), axis=1))


def _stand_out(lines: Array, limit: float) -> Mask:
    """Tell the rows that, with the next one, are brighter than those around."""
    profile = np.percentile(lines, 20, axis=1)[None, :]
    points = np.nonzero(np.ones(profile.shape, np.bool_))
    (around,) = medians_along((profile,), np.isfinite(profile), points, axis=1)
    above = np.nan_to_num(profile[0] - around)
    pairs = np.minimum(above, np.append(above[1:], -np.inf))
    return np.asarray(pairs > limit)


def spectrum_model(
    data: npt.ArrayLike,
    mask: Mask | None = None,
    *,
    object_order: int = 9,
    sky_order: int = 5,
    dispersion_axis: int = 1,
    clip: float = 4.0,
    iterations: int = 3,
) -> Array:
    """
    Model the objects and the sky of a long-slit frame smoothly.

    Parameters
    ----------
    data : array_like, shape (ny, nx)
        The frame.
    mask : ndarray of bool, shape (ny, nx), optional
        Pixels that are not fitted.
    object_order : int
        Number of Legendre terms along the dispersion, for the objects; 0 fits none.
    sky_order : int
        Number of Legendre terms along the slit, for the sky lines in what the objects
        leave; 0 fits none.
    dispersion_axis : int
        The axis along which wavelength changes.
    clip : float
        Pixels further off than this many standard deviations are left out.
    iterations : int
        So many rounds of that.

    Returns
    -------
    ndarray of float, shape (ny, nx)
        The sum of both models.
    """
    image = np.moveaxis(np.asarray(data, np.float64), dispersion_axis, -1)
    good = np.isfinite(image)
    if mask is not None:
        good &= ~np.moveaxis(mask, dispersion_axis, -1)
    model = np.zeros(image.shape)
    if object_order > 0:
        model += _fit_lines(image, good, object_order, clip, iterations)
    if sky_order > 0:
        left = (image - model).T
        model += _fit_lines(left, good.T, sky_order, clip, iterations).T
    return np.moveaxis(model, -1, dispersion_axis)


def _fit_lines(
    lines: Array, good: Mask, order: int, clip: float, iterations: int
) -> Array:
    """Fit every line along the last axis by a clipped Legendre series."""
    n = lines.shape[-1]
    terms = min(order, n)
    basis = np.polynomial.legendre.legvander(np.linspace(-1, 1, n), terms - 1)
    values = np.where(good, lines, 0)
    used = good
    for _ in range(iterations + 1):
        normal = np.einsum("ln,ni,nj->lij", used, basis, basis, optimize=True)
        # A line with too few pixels gets the smallest of its solutions: none.
        normal += 1e-9 * np.eye(terms)
        target = np.where(used, values, 0) @ basis
        answer = np.linalg.solve(normal, target[..., None])[..., 0]
        model = answer @ basis.T
        count = np.maximum(used.sum(axis=-1, keepdims=True), 1)
        residual = values - model
        squares = np.where(used, residual**2, 0).sum(axis=-1, keepdims=True)
        used = good & (np.abs(residual) <= clip * np.sqrt(squares / count) + 1e-12)
    return np.asarray(model, np.float64)
