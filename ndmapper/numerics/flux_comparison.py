"""The relative flux of two images of a field, and the level between them, by chunks."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Chunks", "FluxLine", "fit_flux_line", "measure_chunks"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Chunks:
    """
    Medians of two images in square chunks.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        Medians of the first and of the second image.
    x_variance, y_variance : ndarray, shape (n,)
        Their variances, of the noise of pixels.
    places : ndarray of int, shape (n, 2)
        Row and column of the first pixel of each.
    valid : float
        Part of all chunks that have enough good pixels.
    """

    x: Array
    y: Array
    x_variance: Array
    y_variance: Array
    places: npt.NDArray[np.intp]
    valid: float


@dataclass(frozen=True, kw_only=True)
class FluxLine:
    """
    The line ``y = slope * (x + background)``.

    Parameters
    ----------
    slope, background : float
        The line.
    slope_error, background_error : float
        Standard deviations.
    kept : ndarray of bool, shape (n,)
        Which chunks were used.
    rms, scatter : float
        Standard deviation of their distances in y; and the same of all chunks, by the
        median of absolute deviations.
    """

    slope: float
    background: float
    slope_error: float
    background_error: float
    kept: Mask
    rms: float
    scatter: float


def measure_chunks(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    good: Mask,
    *,
    size: int = 15,
    least: float = 0.3,
) -> Chunks:
    """
    Measure the medians of two images in chunks.

    Parameters
    ----------
    first, second : array_like, shape (ny, nx)
        The images, on one grid and of one resolution.
    good : ndarray of bool, shape (ny, nx)
        Pixels that are good in both.
    size : int
        Side of a chunk [pixel].
    least : float
        Chunks are used if this part of their pixels is good.

    Returns
    -------
    Chunks
        What was measured.
    """
    ones, twos = np.asarray(first, np.float64), np.asarray(second, np.float64)
    noises = [_pixel_variance(image, good) for image in (ones, twos)]
    rows = []
    total = 0
    for row in range(0, ones.shape[0], size):
        for column in range(0, ones.shape[1], size):
            here = (slice(row, row + size), slice(column, column + size))
            total += 1
            keep = good[here]
            if keep.sum() < max(1, least * size**2):
                continue
            medians = [float(np.median(image[here][keep])) for image in (ones, twos)]
            # A median scatters by pi / 2 more than a mean, in variance.
            rows.append((*medians, np.pi / 2 / keep.sum(), row, column))
    table = np.array(rows, np.float64).reshape(-1, 5)
    return Chunks(
        x=table[:, 0], y=table[:, 1],
        x_variance=table[:, 2] * noises[0], y_variance=table[:, 2] * noises[1],
        places=table[:, 3:].astype(np.intp), valid=len(table) / max(total, 1),
    )  # fmt: skip


def _pixel_variance(image: Array, good: Mask) -> float:
    """Find the noise of pixels, by differences of those two apart along a row."""
    pairs = good[:, 2:] & good[:, :-2]
    if not pairs.any():
        return 0.0
    difference = (image[:, 2:] - image[:, :-2])[pairs]
    return float((1.4826 * np.median(np.abs(difference))) ** 2 / 2)


def fit_flux_line(chunks: Chunks, *, clip: float = 4.0) -> FluxLine:
    """
    Fit a line to chunks by orthogonal distances, without outliers.

    Parameters
    ----------
    chunks : Chunks
        What was measured.
    clip : float
        Chunks further from the line than so many standard deviations are left out.

    Returns
    -------
    FluxLine
        The line, and how well it fits.

    Raises
    ------
    ValueError
        If there are fewer than five chunks, or no light in them that would tell.

    Notes
    -----
    Distances count in units of what both errors give along them (the line of York,
    1966, Canadian Journal of Physics 44, 1079, with errors that are independent), so
    that neither image is privileged. The errors are those of what the chunks really
    scatter by around the line.
    """
    from scipy.optimize import minimize_scalar

    x, y = chunks.x, chunks.y
    if len(x) < 5:
        msg = f"{len(x)} chunks have enough good pixels, and five are needed"
        raise ValueError(msg)
    start = _first_slope(x, y)
    kept = np.ones(len(x), np.bool_)
    slope, intercept = start, float(np.median(y - start * x))
    for _ in range(30):
        ours = kept.copy()

        def cost(angle: float, ours: Mask = ours) -> float:
            a = np.tan(angle)
            weight = 1 / (chunks.y_variance + a**2 * chunks.x_variance + 1e-300)[ours]
            b = np.average(y[ours] - a * x[ours], weights=weight)
            return float(np.sum(weight * (y[ours] - a * x[ours] - b) ** 2))

        low, high = _around(float(np.arctan(slope)))
        found = minimize_scalar(cost, bounds=(low, high), method="bounded",
                                options={"xatol": 1e-10})  # fmt: skip
        slope = float(np.tan(found.x))
        variance = chunks.y_variance + slope**2 * chunks.x_variance + 1e-300
        intercept = float(
            np.average(y[kept] - slope * x[kept], weights=1 / variance[kept])
        )
        away = (y - slope * x - intercept) / np.sqrt(variance)
        width = max(1.4826 * float(np.median(np.abs(away))), 1e-9)
        now = np.abs(away) <= clip * width
        if now.sum() < 5 or bool((now == kept).all()):
            break
        kept = now
    away = y - slope * x - intercept
    return _with_errors(chunks, slope, intercept, kept, away)


def _with_errors(
    chunks: Chunks, slope: float, intercept: float, kept: Mask, away: Array
) -> FluxLine:
    weight = 1 / (chunks.y_variance + slope**2 * chunks.x_variance + 1e-300)[kept]
    middle = float(np.average(chunks.x[kept], weights=weight))
    lever_arm = chunks.x[kept] - middle
    spread = float(np.sum(weight * lever_arm**2))
    if not spread > 0 or not slope:
        msg = "the chunks of the image have one level, so that no line fits them"
        raise ValueError(msg)
    # Of what chunks really scatter by: bright ones scatter by more than their noise.
    free = kept.sum() / (kept.sum() - 2)
    pulls = (weight * away[kept]) ** 2 * free
    slope_error = float(np.sqrt(np.sum(pulls * lever_arm**2)) / spread)
    level_error = float(np.sqrt(np.sum(pulls)) / np.sum(weight))
    background = intercept / slope
    # The level is known best at the middle of the chunks.
    lever = (middle + background) * slope_error
    return FluxLine(
        slope=slope, background=background, slope_error=slope_error,
        background_error=float(np.hypot(level_error, lever) / abs(slope)), kept=kept,
        rms=float(np.sqrt(np.sum(away[kept] ** 2) / (kept.sum() - 2))),
        scatter=1.4826 * float(np.median(np.abs(away - np.median(away)))),
    )  # fmt: skip


def _first_slope(x: Array, y: Array) -> float:
    """Give the ratio of the spreads, with the sign of the correlation."""
    spreads = [float(np.std(values)) for values in (x, y)]
    if not min(spreads) > 0:
        msg = "the chunks of an image have one level, so that no line fits them"
        raise ValueError(msg)
    sign = 1.0 if np.sum((x - np.mean(x)) * (y - np.mean(y))) >= 0 else -1.0
    return sign * spreads[1] / spreads[0]


def _around(angle: float) -> tuple[float, float]:
    """Give the angles of lines within a factor of three of a slope."""
    slope = np.tan(angle)
    ends = sorted((float(np.arctan(slope / 3)), float(np.arctan(slope * 3))))
    return ends[0], ends[1]
