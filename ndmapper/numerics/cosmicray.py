"""Cosmic rays: finding them by their sharp edges, and protecting what looks alike."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CosmicRays", "find_cosmic_rays", "neighbour_excess", "spectrum_model"]

_BORDER = 4
"""Pixels by which an image is extended; the search uses 5 x 5 pixels around each."""

_CHUNK_PIXELS = 2**20
"""So many pixels are compared with their neighbours at a time; each has 12."""

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class CosmicRays:
    """
    Cosmic rays, and the image without them.

    Parameters
    ----------
    data : ndarray of float, shape (ny, nx)
        The image, with the pixels that were hit replaced by means of those around.
    variance : ndarray of float, shape (ny, nx)
        Its variance. A replaced pixel has the mean variance of the good pixels around
        it: as uncertain as it would have been without the hit.
    found : ndarray of bool, shape (ny, nx)
        The pixels that were hit.
    """

    data: Array
    variance: Array
    found: Mask


def find_cosmic_rays(
    data: npt.ArrayLike,
    variance: npt.ArrayLike,
    mask: Mask | None = None,
    *,
    background: npt.ArrayLike | None = None,
    sigclip: float = 4.5,
    sigfrac: float = 0.3,
    objlim: float = 5.0,
    iterations: int = 4,
    sepmed: bool = False,
    cleantype: str = "meanmask",
    protect_axis: int | None = None,
    protect_fraction: float = 0.03,
) -> CosmicRays:
    """
    Find cosmic rays with L.A.Cosmic and replace them.

    Parameters
    ----------
    data : array_like, shape (ny, nx)
        The image [electron].
    variance : array_like, shape (ny, nx)
        Its variance [electron**2].
    mask : ndarray of bool, shape (ny, nx), optional
        Pixels that are known to be bad, which are neither searched nor used.
    background : array_like, shape (ny, nx), optional
        Smooth model of what is not a cosmic ray [electron], such as that of
        `spectrum_model`; it is subtracted for the search and not from the result.
    sigclip : float
        Limit of the Laplacian [standard deviations of the noise].
    sigfrac : float
        Neighbours of a hit are taken from this fraction of `sigclip` on.
    objlim : float
        Least contrast between the Laplacian and the fine structure of the image.
    iterations : int
        At most so many rounds.
    sepmed : bool
        Use separable median filters: quicker, and nearly the same.
    cleantype : str
        How hits are replaced: ``'median'``, ``'medmask'``, ``'meanmask'`` or ``'idw'``,
        all from the 5 x 5 pixels around.
    protect_axis : int, optional
        The dispersion axis. If it is given, a hit must also stand out from its
        neighbours along that axis (`neighbour_excess`), which the ridge of a bright
        spectrum does not.
    protect_fraction : float
        The scatter that is allowed for in that comparison, as a fraction of the
        brightness: narrow lines, and flats and profiles that are not perfect.

    Returns
    -------
    CosmicRays
        The clean image and the hits.

    Raises
    ------
    ValueError
        If the shapes differ or the image is not two-dimensional.
    ImportError
        If astroscrappy is not installed.

    Notes
    -----
    The search is that of [1]_, as implemented in astroscrappy.

    References
    ----------
    .. [1] P. G. van Dokkum 2001, PASP 113, 1420.
    """
    import astroscrappy

    image = np.asarray(data, np.float64)
    noise = np.asarray(variance, np.float64)
    if image.ndim != 2 or noise.shape != image.shape:
        msg = f"an image of shape (ny, nx) and its variance have {image.shape} and "
        raise ValueError(msg + f"{noise.shape}")
    unusable = ~(np.isfinite(image) & np.isfinite(noise) & (noise > 0))
    bad = unusable if mask is None else unusable | mask
    if bad.all():
        return CosmicRays(data=image.copy(), variance=noise.copy(), found=bad & False)
    # The search leaves the outermost pixels out, so the image is mirrored there.
    width = tuple(min(_BORDER, n - 1) for n in image.shape)
    fill, fill_variance = np.median(image[~bad]), np.median(noise[~bad])
    found, clean = astroscrappy.detect_cosmics(
        _mirrored(np.where(unusable, fill, image), width),
        inmask=_mirrored(bad, width).astype(np.bool_),
        inbkg=None if background is None else _mirrored(np.asarray(background), width),
        invar=_mirrored(np.where(unusable, fill_variance, noise), width),
        sigclip=sigclip,
        sigfrac=sigfrac,
        objlim=objlim,
        # For a noise model of its own, which the variance replaces. Saturated stars
        # are in the mask already; where they are not, their shape protects them.
        satlevel=np.inf,
        niter=iterations,
        sepmed=sepmed,
        cleantype=cleantype,
    )
    inside = tuple(slice(w, w + n) for w, n in zip(width, image.shape, strict=True))
    found, clean = found[inside], clean[inside]
    hits = np.asarray(found, np.bool_) & ~bad
    if protect_axis is not None and hits.any():
        hits = _confirm(
            image, noise, bad, hits, (protect_axis, protect_fraction, sigclip)
        )
    clean_variance, known = _mean_around(noise, bad | hits)
    return CosmicRays(
        data=np.where(hits, clean, image),
        variance=np.where(hits & known, clean_variance, noise),
        found=hits,
    )


def _mirrored(
    image: npt.NDArray[Any], width: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    wider = np.pad(image, [(w, w) for w in width], mode="reflect")
    # The search takes no other order of memory, and np.pad keeps that of its input.
    return np.ascontiguousarray(wider, np.float32)


def neighbour_excess(
    data: npt.ArrayLike,
    variance: npt.ArrayLike,
    mask: Mask | None = None,
    *,
    axis: int = 1,
    reach: int = 7,
    fraction: float = 0.0,
) -> Array:
    """
    Compare every pixel with its neighbours along one axis.

    Parameters
    ----------
    data, variance : array_like, shape (ny, nx)
        The image and its variance.
    mask : ndarray of bool, shape (ny, nx), optional
        Pixels that do not count as neighbours.
    axis : int
        The axis along which the image is smooth: the dispersion.
    reach : int
        So many pixels on either side are neighbours.
    fraction : float
        Scatter of the neighbours that is not noise, as a fraction of their median.

    Returns
    -------
    ndarray of float, shape (ny, nx)
        Pixel less the median of its neighbours, in standard deviations: of the noise
        that the pixel has without the excess (the median of its neighbours'
        variances), and of `fraction`. NaN where there are no neighbours.
    """
    image = np.moveaxis(np.asarray(data, np.float64), axis, -1)
    noise = np.moveaxis(np.asarray(variance, np.float64), axis, -1)
    known = np.isfinite(image) & np.isfinite(noise)
    if mask is not None:
        known &= ~np.moveaxis(mask, axis, -1)
    middle = _neighbour_median(image, known, reach)
    sigma2 = _neighbour_median(noise, known, reach) + (fraction * middle) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        excess = (image - middle) / np.sqrt(sigma2)
    return np.moveaxis(excess, -1, axis)


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


def _neighbour_median(image: Array, known: Mask, reach: int) -> Array:
    """Median of the neighbours along the last axis, a few lines at a time."""
    lines = image.reshape(-1, image.shape[-1])
    usable = known.reshape(lines.shape)
    step = max(1, _CHUNK_PIXELS // lines.shape[-1])
    parts = [
        _line_median(lines[k : k + step], usable[k : k + step], reach)
        for k in range(0, len(lines), step)
    ]
    return np.concatenate(parts).reshape(image.shape) if parts else image.copy()


def _line_median(lines: Array, known: Mask, reach: int) -> Array:
    padded = np.pad(
        np.where(known, lines, np.inf), [(0, 0), (reach, reach)], constant_values=np.inf
    )
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=-1)
    # The pixel itself and its two neighbours, which a hit often shares, do not count.
    keep = np.abs(np.arange(-reach, reach + 1)) > 1
    ordered = np.sort(windows[..., keep], axis=-1)
    count = np.isfinite(ordered).sum(axis=-1)[..., None]
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, axis=-1)
    high = np.take_along_axis(
        ordered, np.minimum(count // 2, ordered.shape[-1] - 1), axis=-1
    )
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(count > 0, (low + high) / 2, np.nan)[..., 0])


def _confirm(
    image: Array,
    noise: Array,
    bad: Mask,
    hits: Mask,
    protection: tuple[int, float, float],
) -> Mask:
    """Keep the groups of pixels of which at least one stands out from its line."""
    from scipy.ndimage import label

    axis, fraction, limit = protection
    lines = np.flatnonzero(hits.any(axis=axis))
    excess = np.full(image.shape, np.nan)
    at = lines if axis == 1 else (slice(None), lines)
    excess[at] = neighbour_excess(
        image[at], noise[at], (bad | hits)[at], axis=axis, fraction=fraction
    )
    groups, n = label(hits, structure=np.ones((3, 3)))
    peak = np.full(n + 1, -np.inf)
    # A hit without neighbours cannot be judged; L.A.Cosmic has the last word.
    judged = np.where(np.isfinite(excess), excess, np.inf)
    np.maximum.at(peak, groups[hits], judged[hits])
    # In a group that is real, pixels below the line they lie on are none of it.
    kept: Mask = hits & (peak[groups] >= limit) & (judged > 0)
    return kept


def _mean_around(image: Array, excluded: Mask) -> tuple[Array, Mask]:
    """Mean of the 5 x 5 pixels around each, and where there is one."""
    total = _box(np.where(excluded, 0.0, image))
    count = _box((~excluded).astype(np.float64))
    return total / np.maximum(count, 1), count > 0


def _box(image: Array) -> Array:
    """Sum the 5 x 5 pixels around each; outside the image is nothing."""
    from scipy.ndimage import correlate1d

    # Not uniform_filter: its running sums carry a NaN to the end of the row, and do not
    # come back to 0 after pixels that are not counted.
    ones = np.ones(5)
    rows = correlate1d(image, ones, axis=0, output=np.float64, mode="constant")
    return np.asarray(correlate1d(rows, ones, axis=1, mode="constant"))
