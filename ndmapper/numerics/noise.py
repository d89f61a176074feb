"""The noise of CCD pixels: its model, and gain and read noise measured from pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.statistics import clip_scatter

__all__ = [
    "PhotonTransfer",
    "gain_from_pairs",
    "pixel_variance",
    "read_noise_from_pair",
    "step_at_seam",
]

Frame = npt.NDArray[np.floating]


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
    values = np.asarray(counts, np.float64)
    floor = np.broadcast_to((r / g) ** 2 + q**2 / 12, values.shape)
    return np.maximum(values, 0) / g + floor if poisson else floor.copy()


def read_noise_from_pair(
    first: npt.ArrayLike, second: npt.ArrayLike, clip: float = 4.0
) -> tuple[float, float]:
    """
    Measure the read noise from two bias frames.

    Parameters
    ----------
    first, second : array_like, shape (ny, nx)
        The same part of two bias frames [adu].
    clip : float
        Pixels whose difference lies this many standard deviations off are left out.

    Returns
    -------
    read_noise : float
        Standard deviation of the difference over the square root of two [adu]; the
        structure that both frames share cancels.
    error : float
        Its standard error.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape:
        msg = f"the frames of a pair have different shapes, {a.shape} and {b.shape}"
        raise ValueError(msg)
    kept = clip_scatter(a - b, clip)
    sigma = float(kept.std(ddof=1)) / np.sqrt(2)
    return float(sigma), float(sigma / np.sqrt(2 * (kept.size - 1)))


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
    """

    gain: float
    gain_error: float
    read_noise: float
    chi2_dof: float
    level: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]


def gain_from_pairs(
    pairs: Sequence[tuple[Frame, Frame]],
    *,
    read_noise: float | None = None,
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
    read_noise : float, optional
        Read noise [adu], if it is known; else the intercept is free.
    block : (int, int)
        Rows and columns of the blocks within which the level counts as constant
        and the ratio of the two lamps too.
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
    In each block the second frame is scaled to the first one, which removes drifts of
    the lamp in brightness and colour; with k the ratio, ``var(a - k b)`` is divided by
    ``1 + k`` (photons) so that points of different k lie on one line:
    ``level / gain + read_noise**2`` [1]_. One degree of freedom per block goes to its
    scale.

    References
    ----------
    .. [1] J. R. Janesick, Photon Transfer (SPIE, 2007), chapter 5.
    """
    parts = [_block_statistics(a, b, block, clip) for a, b in pairs]
    level, variance, weight = (
        np.concatenate([p[i] for p in parts]) if parts else np.empty(0)
        for i in range(3)
    )
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
    slope, intercept, slope_error, chi2 = _fit_line(x, y, n, read_noise)
    if slope <= 0:
        msg = "the variance of the flats does not grow with their level"
        raise ValueError(msg)
    gain = 1 / slope
    return PhotonTransfer(
        gain=gain,
        gain_error=slope_error * gain**2,
        read_noise=float(np.sqrt(max(intercept, 0.0)) * gain),
        chi2_dof=chi2,
        level=x,
        variance=y,
    )


def _block_statistics(
    first: Frame, second: Frame, block: tuple[int, int], clip: float
) -> tuple[Frame, Frame, Frame]:
    """Level, variance per frame and degrees of freedom of every block of a pair."""
    if first.shape != second.shape:
        msg = f"the frames of a pair have shapes {first.shape} and {second.shape}"
        raise ValueError(msg)
    ny, nx = (n // b for n, b in zip(first.shape, block, strict=True))
    if ny == 0 or nx == 0:
        msg = f"blocks of {block} pixels are larger than the flats, {first.shape}"
        raise ValueError(msg)

    def blocks(frame: Frame) -> npt.NDArray[np.float64]:
        cut = np.asarray(frame[: ny * block[0], : nx * block[1]], np.float64)
        cut = cut.reshape(ny, block[0], nx, block[1]).swapaxes(1, 2)
        return cut.reshape(ny * nx, -1)

    a, b = blocks(first), blocks(second)
    mean_a, mean_b = a.mean(axis=1, keepdims=True), b.mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((mean_b > 0) & (mean_a > 0), mean_a / mean_b, 1.0)
    # A block in which the light itself varies has a mean that is not each pixel's
    # level, but variance is linear in the level, so its mean is what is needed.
    difference = a - ratio * b
    sigma = difference.std(axis=1, keepdims=True)
    good = np.abs(difference) <= clip * sigma
    count = good.sum(axis=1)
    difference = np.where(good, difference, 0)
    mean = difference.sum(axis=1) / np.maximum(count, 1)
    squares = np.where(good, (difference - mean[:, None]) ** 2, 0).sum(axis=1)
    k = ratio[:, 0]
    free = count - 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = squares / free / (1 + k**2)
    # Poisson part of var(a - k b) is (a + k**2 b) / g = a (1 + k) / g.
    level = mean_a[:, 0] * (1 + k) / (1 + k**2)
    return level, variance, free


def _fit_line(
    x: Frame, y: Frame, n: Frame, read_noise: float | None
) -> tuple[float, float, float, float]:
    """Fit y = slope x + intercept, with the sampling error of a variance."""
    if read_noise is None and np.ptp(x) < 1e-3 * np.max(x):
        msg = "flats of one level do not tell the gain from the read noise"
        raise ValueError(msg)
    model = np.maximum(y, 1e-12)
    for _ in range(10):
        # var(s**2) = 2 s**4 / n; with the model for s**2, low points get no more
        # weight than high ones.
        weight = n / (2 * model**2)
        if read_noise is None:
            basis = np.stack([x, np.ones_like(x)], axis=1)
            target = y
        else:
            basis, target = x[:, None], y - read_noise**2
        normal = basis.T @ (basis * weight[:, None])
        answer = np.linalg.solve(normal, basis.T @ (weight * target))
        intercept = float(answer[1]) if read_noise is None else read_noise**2
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
