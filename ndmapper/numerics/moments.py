"""Positions and shapes of sources, by moments under a Gaussian that adapts to each."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.detection import FWHM_OF_SIGMA

__all__ = ["Shapes", "cut_around", "measure_shapes"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_CHUNK = 2**22
"""So many pixels of cutouts are handled at a time."""


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """Positions [pixel, from 0] and shapes of sources."""

    x: Array
    y: Array
    # Standard errors of the position along an axis.
    x_error: Array
    y_error: Array
    # Geometric mean of the FWHM along the axes [pixel]; NaN where nothing was found.
    fwhm: Array
    # 1 - b/a, and the angle of the major axis from x to y [degree].
    ellipticity: Array
    theta: Array
    # Whether the iteration came to an end.
    converged: Mask


def measure_shapes(
    data: npt.ArrayLike,
    variance: npt.ArrayLike,
    usable: npt.NDArray[np.bool_] | None,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    fwhm: float,
    labels: npt.NDArray[np.int32] | None = None,
    own: npt.NDArray[np.int32] | None = None,
    iterations: int = 50,
) -> Shapes:
    """
    Measure sources near some positions, in an image without background.

    The weight is an elliptical Gaussian that takes on position and shape of the source
    (adaptive moments: Bernstein and Jarvis 2002, Hirata and Seljak 2003), so that noise
    and neighbours count little, and a Gaussian source is measured without bias. Where
    `labels` are of another source than the `own` one, pixels do not count.
    """
    px, py = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
    half = max(4, int(np.ceil(2.5 * fwhm)))
    per_chunk = max(1, _CHUNK // (2 * half + 1) ** 2)
    parts = []
    for start in range(0, px.size, per_chunk):
        part = slice(start, start + per_chunk)
        cx, cy = np.rint(px[part]).astype(int), np.rint(py[part]).astype(int)
        pixels = cut_around(np.asarray(data, np.float64), cx, cy, half, np.nan)
        noise = cut_around(np.asarray(variance, np.float64), cx, cy, half, np.nan)
        good = np.isfinite(pixels) & np.isfinite(noise)
        if usable is not None:
            good &= cut_around(usable, cx, cy, half, False).astype(np.bool_)
        if labels is not None and own is not None:
            there = cut_around(labels, cx, cy, half, 0)
            good &= (there == 0) | (there == own[part, None, None])
        parts.append(
            _adapt(
                np.where(good, pixels, 0.0),
                np.where(good, noise, 0.0),
                start=np.stack([px[part], py[part]], 1),
                corner=np.stack([cx, cy], 1),
                half=half,
                sigma=fwhm / FWHM_OF_SIGMA,
                iterations=iterations,
            )
        )
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return _shapes(*joined)


def cut_around(
    image: npt.NDArray[np.generic],
    x: npt.NDArray[np.int_],
    y: npt.NDArray[np.int_],
    half: int,
    fill: float | bool,
) -> npt.NDArray[np.generic]:
    """Copy squares around pixels, with a value where they reach out of the image."""
    ny, nx = image.shape
    offsets = np.arange(-half, half + 1)
    rows, columns = y[:, None] + offsets, x[:, None] + offsets
    inside = ((rows >= 0) & (rows < ny))[:, :, None] & (
        (columns >= 0) & (columns < nx)
    )[:, None, :]
    rows, columns = np.clip(rows, 0, ny - 1), np.clip(columns, 0, nx - 1)
    cut = image[rows[:, :, None], columns[:, None, :]]
    return np.where(inside, cut, fill).astype(image.dtype)


def _adapt(
    pixels: Array,
    noise: Array,
    *,
    start: Array,
    corner: npt.NDArray[np.int_],
    half: int,
    sigma: float,
    iterations: int,
) -> tuple[Array, Array, Array, Mask]:
    """Let Gaussians adapt: centres, covariances and errors of centres of each."""
    n = len(pixels)
    offsets = np.arange(-half, half + 1, dtype=float)
    centre = start - corner
    cov = np.tile(np.diag([sigma**2, sigma**2]), (n, 1, 1))
    error = np.full((n, 2), np.nan)
    active = np.ones(n, np.bool_)
    converged = np.zeros(n, np.bool_)
    for _ in range(iterations):
        if not active.any():
            break
        index = np.flatnonzero(active)
        dx = offsets[None, None, :] - centre[index, 0, None, None]
        dy = offsets[None, :, None] - centre[index, 1, None, None]
        inverse = np.linalg.inv(cov[index])
        weight = np.exp(
            -0.5 * (inverse[:, 0, 0, None, None] * dx**2
                    + inverse[:, 1, 1, None, None] * dy**2)
            - inverse[:, 0, 1, None, None] * dx * dy
        )  # fmt: skip
        light = weight * pixels[index]
        total = light.sum((1, 2))
        lost = ~(total > 0)
        total[lost] = 1.0
        first = (
            np.stack([(light * d).sum((1, 2)) for d in (dx, dy)], 1) / total[:, None]
        )
        second = np.empty((index.size, 2, 2))
        second[:, 0, 0] = (light * dx**2).sum((1, 2)) / total
        second[:, 1, 1] = (light * dy**2).sum((1, 2)) / total
        second[:, 0, 1] = second[:, 1, 0] = (light * dx * dy).sum((1, 2)) / total
        second -= first[:, :, None] * first[:, None, :]
        # Under a weight of the shape of the source, moments are half of its own.
        shift = 2 * first
        new = 2 * second
        limit = (0.3**2, (half / 1.5) ** 2)
        lost |= ~_is_shape(new, limit) | (np.abs(centre[index] + shift) > half).any(1)
        variance = (weight**2 * noise[index])[:, :, :]
        spread = np.stack([(variance * d**2).sum((1, 2)) for d in (dx, dy)], 1)
        error[index] = 2 * np.sqrt(spread) / total[:, None]
        change = np.abs(new - cov[index]).max((1, 2)) / np.trace(
            cov[index], axis1=1, axis2=2
        )
        done = (np.abs(shift) < 1e-4).all(1) & (change < 1e-3) & ~lost
        moved = index[~lost]
        centre[moved] += shift[~lost]
        cov[moved] = new[~lost]
        converged[index[done]] = True
        active[index[done | lost]] = False
    return centre + corner, cov, error, converged


def _is_shape(cov: Array, limit: tuple[float, float]) -> Mask:
    """Whether covariances are those of ellipses of a size that can be."""
    trace = cov[:, 0, 0] + cov[:, 1, 1]
    root = np.hypot(cov[:, 0, 0] - cov[:, 1, 1], 2 * cov[:, 0, 1])
    found: Mask = ((trace - root) / 2 > limit[0]) & ((trace + root) / 2 < limit[1])
    return found


def _shapes(centre: Array, cov: Array, error: Array, converged: Mask) -> Shapes:
    trace = cov[:, 0, 0] + cov[:, 1, 1]
    root = np.hypot(cov[:, 0, 0] - cov[:, 1, 1], 2 * cov[:, 0, 1])
    major, minor = np.sqrt((trace + root) / 2), np.sqrt((trace - root) / 2)
    angle = 0.5 * np.arctan2(2 * cov[:, 0, 1], cov[:, 0, 0] - cov[:, 1, 1])
    known = np.where(converged, 1.0, np.nan)
    return Shapes(
        x=centre[:, 0],
        y=centre[:, 1],
        x_error=error[:, 0],
        y_error=error[:, 1],
        fwhm=FWHM_OF_SIGMA * np.sqrt(major * minor) * known,
        ellipticity=(1 - minor / major) * known,
        theta=np.degrees(angle) * known,
        converged=converged,
    )
