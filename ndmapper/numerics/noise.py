"""The noise of CCD pixels: its model, and gain and read noise measured from pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.statistics import clip_scatter, clipped_variance_factor

__all__ = [
    "PairNoise",
    "PhotonTransfer",
    "gain_from_pairs",
    "noise_of_pair",
    "pixel_variance",
    "read_noise_from_pair",
    "read_noise_of",
    "step_at_seam",
]

Frame = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]

_MAX_ROUNDS = 10


def pixel_variance(
    counts: npt.ArrayLike,
    gain: npt.ArrayLike = 1.0,
    read_noise: npt.ArrayLike = 0.0,
    *,
    poisson: bool = True,
    step: npt.ArrayLike = 0.0,
) -> npt.NDArray[np.float64]:
    """
    Variance of pixels from photon statistics, read noise and digitisation.

    Parameters
    ----------
    counts : array_like
        Pixels above the bias level [adu]; where they are negative, there were no
        photons.
    gain : array_like
        Gain [electron/adu].
    read_noise : array_like
        Read noise [electron].
    poisson : bool
        Whether the counts are photons; those of a bias are not.
    step : array_like
        Step of the digitisation [adu]: 1 for the integers of a raw frame, 0 where
        numbers were not rounded, or the read noise has it already.

    Returns
    -------
    ndarray of float
        ``max(counts, 0) / gain + (read_noise / gain)**2 + step**2 / 12`` [adu**2].

    Raises
    ------
    ValueError
        If a gain is not positive, or a read noise or step is negative.
    """
    g, r = np.asarray(gain, np.float64), np.asarray(read_noise, np.float64)
    if not np.all((g > 0) & np.isfinite(g)) or not np.all(r >= 0):
        msg = f"gain must be > 0 and read noise >= 0, not {gain!r} and {read_noise!r}"
        raise ValueError(msg)
    q = np.asarray(step, np.float64)
    if not np.all(q >= 0):
        msg = f"the step of the digitisation must be >= 0, not {step!r}"
        raise ValueError(msg)
    floor = (r / g) ** 2 + q**2 / 12
    if not poisson:
        return np.broadcast_to(floor, np.shape(counts)).copy()
    variance = np.maximum(counts, 0, dtype=np.float64)
    variance /= g
    variance += floor
    return variance


@dataclass(frozen=True, kw_only=True)
class PairNoise:
    """What the difference of two equal frames says of the noise of one."""

    variance: float  # of a pixel of one frame
    used: int  # pixels
    rejected: int  # pixels that were masked, not finite, or outliers
    chi2_dof: float  # of the means of rows and columns; 1 where pixels are independent


def noise_of_pair(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    mask: Mask | None = None,
    clip: float = 4.0,
) -> PairNoise:
    """Measure the noise of pixels from two frames; what is common to them cancels."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape:
        msg = f"the frames of a pair have different shapes, {a.shape} and {b.shape}"
        raise ValueError(msg)
    difference = a - b
    usable = np.isfinite(difference)
    if mask is not None:
        usable &= ~mask
    kept = clip_scatter(difference[usable], clip)
    if kept.size < 2:
        msg = f"{kept.size} good pixels are too few to measure noise"
        raise ValueError(msg)
    good = usable & (difference >= np.min(kept)) & (difference <= np.max(kept))
    # The limit was that of what is left, which is narrower than all.
    factor = 1.0
    for _ in range(_MAX_ROUNDS):
        factor = clipped_variance_factor(clip * float(np.sqrt(factor)))
    variance = float(kept.var(ddof=1)) / factor / 2
    return PairNoise(
        variance=variance,
        used=kept.size,
        rejected=difference.size - kept.size,
        chi2_dof=_chi2_of_lines(difference - kept.mean(), good, 2 * variance),
    )


def _chi2_of_lines(residual: Frame, good: Mask, variance: float) -> float:
    """Reduced chi square of the means of rows and of columns about 0."""
    total, free = 0.0, 0
    for axis in (0, 1) if residual.ndim == 2 else ():
        count = good.sum(axis=axis)
        sums = np.where(good, residual, 0).sum(axis=axis)[count > 0]
        total += float(np.sum(sums**2 / count[count > 0]))
        free += sums.size - 1
    return total / variance / free if free > 0 and variance > 0 else float("nan")


def read_noise_from_pair(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    clip: float = 4.0,
    *,
    mask: Mask | None = None,
    step: float = 0.0,
) -> tuple[float, float]:
    """
    Measure the read noise from two bias frames.

    Parameters
    ----------
    first, second : array_like, shape (ny, nx)
        The same part of two bias frames [adu].
    clip : float
        Pixels whose difference lies this many standard deviations off are left out;
        what this takes from normal noise is added again.
    mask : ndarray of bool, shape (ny, nx), optional
        True where a pixel of either is not to be used.
    step : float
        Step of the digitisation [adu], whose noise is taken out of the result.

    Returns
    -------
    read_noise : float
        Standard deviation of the difference over the square root of two [adu], less
        ``step / sqrt(12)`` in quadrature; the structure that both frames share cancels.
    error : float
        Its standard error.

    Raises
    ------
    ValueError
        If the shapes differ, or fewer than two pixels are good.
    """
    pair = noise_of_pair(first, second, mask=mask, clip=clip)
    return read_noise_of(pair.variance, pair.used, step)


def read_noise_of(variance: float, used: int, step: float = 0.0) -> tuple[float, float]:
    """Take the digitisation out of a variance; give the read noise and its error."""
    noise = float(np.sqrt(max(variance - step**2 / 12, 0.0)))
    # The error of a variance is its square root of 2 / n; and of a root, that over
    # twice the root.
    return noise, variance / max(noise, 0.1 * step, 1e-12) / float(
        np.sqrt(2 * (used - 1))
    )


@dataclass(frozen=True, kw_only=True)
class PhotonTransfer:
    """
    What the photon transfer curve of flat pairs says.

    Parameters
    ----------
    gain, gain_error : float
        Gain and its standard error [electron/adu].
    read_noise : float
        Root of the intercept, or the value that was given [electron]; 0 where the
        fitted intercept is negative.
    chi2_dof : float
        Reduced chi square of the straight line.
    level, variance : ndarray of float, shape (n,)
        The points of the curve [adu, adu**2].
    used, rejected : int
        Pixels of the pairs that were used; and that were masked, outliers, beyond
        `max_level`, or too few in their block.
    """

    gain: float
    gain_error: float
    read_noise: float
    chi2_dof: float
    level: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]
    used: int
    rejected: int


def gain_from_pairs(
    pairs: Sequence[tuple[Frame, Frame]],
    *,
    masks: Sequence[Mask | None] | None = None,
    read_noise: float | None = None,
    step: float = 0.0,
    block: tuple[int, int] = (10, 32),
    n_levels: int = 30,
    clip: float = 4.0,
    max_level: float = np.inf,
) -> PhotonTransfer:
    """
    Measure the gain from pairs of flats of one amplifier.

    Parameters
    ----------
    pairs : sequence of (ndarray, ndarray), each of shape (ny, nx)
        Flats without bias [adu], two and two alike.
    masks : sequence of (ndarray of bool or None), optional
        For each pair, True where a pixel of either frame is not to be used.
    read_noise : float, optional
        Read noise [adu], if it is known; else the intercept is free.
    step : float
        Step of the digitisation [adu], whose noise the read noise does not have.
    block : (int, int)
        Rows and columns of the blocks within which the light of each frame counts as
        a plane, apart from what pixels differ by.
    n_levels : int
        The blocks are sorted into so many groups of equal size by their level.
    clip : float
        Pixels this many standard deviations off in the difference are left out.
    max_level : float
        Blocks above this level [adu] are left out (saturation).

    Returns
    -------
    PhotonTransfer
        Gain, its error, and the curve.

    Raises
    ------
    ValueError
        If shapes differ, or fewer than 4 groups of blocks can be formed.

    Notes
    -----
    In each block the second frame is scaled to the first one by the ratio k of the
    planes that fit them, which removes changes of the lamp in brightness and gradient;
    ``var(a - k b)`` is divided by ``1 + k**2`` so that points of different k lie on one
    line: ``level / gain + read_noise**2`` [1]_. Three degrees of freedom per block go
    to the planes. What lies further off than `clip` standard deviations (cosmic rays)
    is left out of planes, levels and variances alike.

    References
    ----------
    .. [1] J. R. Janesick, Photon Transfer (SPIE, 2007), chapter 5.
    """
    masks = [None] * len(pairs) if masks is None else masks
    parts = [
        _block_statistics(a, b, mask, block, clip)
        for (a, b), mask in zip(pairs, masks, strict=True)
    ]
    level, variance, weight = np.concatenate([np.empty((3, 0)), *parts], axis=1)
    usable = np.isfinite(variance) & (level <= max_level) & (weight > 0)
    level, variance, weight = level[usable], variance[usable], weight[usable]
    order = np.argsort(level)
    groups = [g for g in np.array_split(order, n_levels) if g.size]
    if len(groups) < 4:
        msg = f"{len(groups)} groups of blocks are too few for a photon transfer curve"
        raise ValueError(msg)
    x = np.array([np.average(level[g], weights=weight[g]) for g in groups])
    y = np.array([np.average(variance[g], weights=weight[g]) for g in groups])
    n = np.array([weight[g].sum() for g in groups])
    known = None if read_noise is None else read_noise**2 + step**2 / 12
    slope, intercept, slope_error, chi2 = _fit_line(x, y, n, known)
    if slope <= 0:
        msg = "the variance of the flats does not grow with their level"
        raise ValueError(msg)
    gain = 1 / slope
    used = round(float(np.sum(weight + _PLANE)))
    return PhotonTransfer(
        gain=gain,
        gain_error=slope_error * gain**2,
        read_noise=float(np.sqrt(max(intercept - step**2 / 12, 0.0)) * gain),
        chi2_dof=chi2,
        level=x,
        variance=y,
        used=used,
        rejected=sum(np.size(a) for a, _ in pairs) - used,
    )


_PLANE = 3
"""Coefficients of a plane."""
_LEAST_PIXELS = 20
"""A block with fewer good pixels is not used."""


def _block_statistics(
    first: Frame, second: Frame, mask: Mask | None, block: tuple[int, int], clip: float
) -> npt.NDArray[np.float64]:
    """Level, variance per frame and degrees of freedom of every block of a pair."""
    if first.shape != second.shape:
        msg = f"the frames of a pair have shapes {first.shape} and {second.shape}"
        raise ValueError(msg)
    ny, nx = (n // b for n, b in zip(first.shape, block, strict=True))
    if ny == 0 or nx == 0:
        msg = f"blocks of {block} pixels are larger than the flats, {first.shape}"
        raise ValueError(msg)
    usable = np.isfinite(first) & np.isfinite(second)
    if mask is not None:
        usable &= ~mask
    y, x = (np.linspace(-1, 1, size) for size in block)
    plane = np.stack([np.ones(block), y[:, None] + 0 * x, 0 * y[:, None] + x], axis=-1)
    plane = plane.reshape(-1, _PLANE)
    # Some rows of blocks at a time: the arrays in between are many.
    rows = max(1, 500_000 // (nx * block[0] * block[1]))
    found = []
    for start in range(0, ny, rows):
        band = slice(start * block[0], min(start + rows, ny) * block[0])
        a, b, good = (
            np.asarray(frame[band, : nx * block[1]], np.float64)
            .reshape(-1, block[0], nx, block[1])
            .swapaxes(1, 2)
            .reshape(-1, plane.shape[0])
            for frame in (first, second, usable)
        )
        found.append(_noise_of_blocks(a, b, good.astype(np.bool_), plane, clip))
    return np.concatenate(found, axis=1)


def _noise_of_blocks(
    a: Frame, b: Frame, usable: Mask, plane: Frame, clip: float
) -> npt.NDArray[np.float64]:
    """Level, variance and degrees of freedom of blocks, one of them in each row."""
    a, b = (np.where(usable, frame, 0.0).astype(np.float64) for frame in (a, b))
    usable &= (usable.sum(axis=1) >= _LEAST_PIXELS)[:, None]
    # Medians and percentiles tell the first outliers, which a few cosmic rays and the
    # gradient within a block do not move.
    middle = [_percentile(frame, usable, 50.0) for frame in (a, b)]
    lit = (middle[0] > 0) & (middle[1] > 0)
    constant = np.where(lit, middle[0] / np.where(lit, middle[1], 1), 1.0)
    difference = (a - constant * b) / np.sqrt(1 + constant**2)
    low, centre, high = (_percentile(difference, usable, q) for q in (15.87, 50, 84.13))
    sigma = np.maximum((high - low) / 2, 1e-9)
    good = usable & (np.abs(difference - centre) <= (clip + 1) * sigma)
    factor = clipped_variance_factor(clip)
    for _ in range(_MAX_ROUNDS):
        fits = [_fit_plane(frame, good, plane) for frame in (a, b)]
        # Without light, or at the edge of it, planes of near zero have no ratio.
        lit = np.all([f > 0.1 * np.max(f, 1, keepdims=True) for f in fits], (0, 2))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(lit[:, None], fits[0] / fits[1], constant)
        difference = (a - ratio * b) / np.sqrt(1 + ratio**2)
        difference -= _fit_plane(difference, good, plane)
        free = np.maximum(good.sum(axis=1) - _PLANE, 0)
        squares = np.where(good, difference**2, 0).sum(axis=1)
        variance = squares / np.maximum(free, 1) / factor
        new = usable & (np.abs(difference) <= clip * np.sqrt(variance)[:, None])
        if np.array_equal(new, good):
            break
        good = new
    # The photons of the difference are those of a frame of this level.
    light = (fits[0] + ratio**2 * fits[1]) / (1 + ratio**2)
    count = good.sum(axis=1)
    level = np.where(good, light, 0).sum(axis=1) / np.maximum(count, 1)
    enough = count >= _LEAST_PIXELS
    return np.stack([level, variance, np.where(enough, free, 0)])


def _percentile(values: Frame, usable: Mask, percent: float) -> Frame:
    """Give a percentile of the usable values of each row; 0 where there is none."""
    ordered = np.sort(np.where(usable, values, np.inf), axis=1)
    place = np.rint(percent / 100 * (usable.sum(axis=1) - 1)).astype(int)
    found = np.take_along_axis(ordered, np.maximum(place, 0)[:, None], axis=1)
    return np.where(np.isfinite(found), found, 0.0)


def _fit_plane(values: Frame, good: Mask, plane: Frame) -> Frame:
    """Fit planes to the good values of each row."""
    weight = good.astype(np.float64)
    products = plane[:, :, None] * plane[:, None, :]
    normal = (weight @ products.reshape(-1, _PLANE**2)).reshape(-1, _PLANE, _PLANE)
    # Of a block without enough good pixels any answer will do.
    normal += 1e-9 * np.eye(_PLANE)
    target = (weight * values) @ plane
    answer = np.linalg.solve(normal, target[..., None])[..., 0]
    return np.asarray(answer @ plane.T, np.float64)


def _fit_line(
    x: Frame, y: Frame, n: Frame, known: float | None
) -> tuple[float, float, float, float]:
    """Fit y = slope x + intercept, which may be known, to sample variances y."""
    if known is None and np.ptp(x) < 1e-3 * np.max(x):
        msg = "flats of one level do not tell the gain from the read noise"
        raise ValueError(msg)
    model = np.maximum(y, 1e-12)
    for _ in range(10):
        # var(s**2) = 2 s**4 / n; with the model for s**2, low points get no more
        # weight than high ones.
        weight = n / (2 * model**2)
        if known is None:
            basis = np.stack([x, np.ones_like(x)], axis=1)
            target = y
        else:
            basis, target = x[:, None], y - known
        normal = basis.T @ (basis * weight[:, None])
        answer = np.linalg.solve(normal, basis.T @ (weight * target))
        intercept = float(answer[1]) if known is None else known
        model = np.maximum(answer[0] * x + intercept, 1e-12 + 0.01 * np.abs(y))
    error = float(np.sqrt(np.linalg.inv(normal)[0, 0]))
    chi2 = float(np.sum(weight * (y - model) ** 2) / max(x.size - basis.shape[1], 1))
    return float(answer[0]), intercept, error, chi2


def step_at_seam(
    frame: npt.ArrayLike,
    seam: int,
    *,
    axis: int = 1,
    width: int = 60,
    gap: int = 2,
    degree: int = 2,
) -> tuple[float, float]:
    """
    Measure the step of a smooth illumination where two amplifiers meet.

    Parameters
    ----------
    frame : array_like, shape (ny, nx)
        A flat without bias, the illuminated lines across the seam alone [adu].
    seam : int
        Index of the first pixel after the seam.
    axis : int
        The axis that crosses the seam.
    width : int
        So many pixels on either side are fitted.
    gap : int
        So many pixels next to the seam are left out.
    degree : int
        Degree of the polynomial that both sides share, apart from the step.

    Returns
    -------
    step : float
        Counts after the seam over those before it; the ratio of the gains is its
        inverse.
    error : float
        Its standard error, from the scatter about the fit.

    Raises
    ------
    ValueError
        If the seam is nearer than `width` to an edge, or counts are not positive.
    """
    image = np.moveaxis(np.asarray(frame, np.float64), axis, -1)
    if not width <= seam <= image.shape[-1] - width or width <= gap + degree:
        msg = f"{width} pixels on either side of a seam at {seam} are not in the frame"
        raise ValueError(msg)
    offset = np.arange(-width, width)
    profile = image.reshape(-1, image.shape[-1])[:, seam - width : seam + width]
    values = np.nanmean(profile, axis=0)
    used = (offset < -gap) | (offset >= gap)
    if not np.all(values[used] > 0):
        msg = "the step at a seam needs positive counts on both sides"
        raise ValueError(msg)
    after = (offset >= 0).astype(np.float64)
    basis = np.column_stack(
        [np.polynomial.legendre.legvander((offset + 0.5) / width, degree), after]
    )[used]
    target = np.log(values[used])
    answer, *_ = np.linalg.lstsq(basis, target, rcond=None)
    residual = target - basis @ answer
    spread = residual @ residual / (residual.size - basis.shape[1])
    covariance = np.linalg.inv(basis.T @ basis) * spread
    step = float(np.exp(answer[-1]))
    return step, float(step * np.sqrt(covariance[-1, -1]))
