"""Cosmic rays: finding them by their sharp edges, and protecting what looks alike."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.interpolate import interpolate_pixels
from ndmapper.numerics.neighbours import REACH, Points, medians_along
from ndmapper.numerics.sharpness import NARROWEST, sharp_pixels
from ndmapper.numerics.spectrum_model import bright_along, local_spectrum_model

__all__ = [
    "CosmicRays",
    "count_followers",
    "find_cosmic_rays",
    "find_in_spectra",
    "neighbour_excess",
]

_BORDER = 5
"""Pixels by which an image is mirrored; the search leaves the outermost ones out, and
writes beyond images that are smaller than its largest filter."""

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
        Its variance. That of a replaced pixel is the error of the interpolation: from
        the variances of the pixels used, and from how far the same interpolation
        misses these themselves (see `interpolate_pixels`).
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
    fwhm: float | None = None,
) -> CosmicRays:
    """
    Find cosmic rays with L.A.Cosmic, keep what light explains, and replace the rest.

    Parameters
    ----------
    data : array_like, shape (ny, nx)
        The image [electron].
    variance : array_like, shape (ny, nx)
        Its variance [electron**2].
    mask : ndarray of bool, shape (ny, nx), optional
        Pixels that are known to be bad, which are neither searched nor used.
    background : array_like, shape (ny, nx), optional
        Smooth model of what is not a cosmic ray [electron]; it is subtracted for the
        search and not from the result.
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
    fwhm : float, optional
        Stars of this full width at half maximum, and all that is as smooth, are no hits
        [pixel]; by default measured. 0 protects none.

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

    pixels = _pixels(data, variance, mask)
    if isinstance(pixels, CosmicRays):
        return pixels
    filled, filled_noise, bad = pixels.filled, pixels.filled_noise, pixels.bad
    found, _ = astroscrappy.detect_cosmics(
        _mirrored(filled),
        inmask=_mirrored(bad).astype(np.bool_),
        inbkg=None if background is None else _mirrored(np.asarray(background)),
        invar=_mirrored(filled_noise),
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
    inside = slice(_BORDER, -_BORDER)
    hits = np.asarray(found[inside, inside], np.bool_) & ~bad
    if fwhm != 0 and hits.any():
        hits = sharp_pixels(filled, filled_noise, ~bad, hits, fwhm=fwhm)
    if protect_axis is not None and hits.any():
        hits = _confirm(
            pixels.image,
            pixels.noise,
            bad,
            hits,
            (protect_axis, protect_fraction, sigclip),
        )
    smooth = np.zeros(bad.shape) if background is None else np.asarray(background)
    return pixels.replaced(hits, smooth, cleantype)


def find_in_spectra(
    data: npt.ArrayLike,
    variance: npt.ArrayLike,
    mask: Mask | None = None,
    *,
    sigclip: float = 4.5,
    sigfrac: float = 0.3,
    iterations: int = 4,
    cleantype: str = "meanmask",
    fwhm: float | None = None,
) -> CosmicRays:
    """
    Find cosmic rays in a frame of spectra, which a local model explains, and replace
    them.

    A hit is brighter than the model (`local_spectrum_model`) by `sigclip` standard
    deviations, those by which the model misses the spectrum around included, and what
    is left of it is sharper than a star of `fwhm` pixels (by default 1.5) can be. Its
    neighbours belong to it from `sigfrac` of that limit on. The model is fitted in at
    most so many `iterations`. The options are otherwise those of `find_cosmic_rays`.
    """
    pixels = _pixels(data, variance, mask)
    if isinstance(pixels, CosmicRays):
        return pixels
    filled, filled_noise, bad = pixels.filled, pixels.filled_noise, pixels.bad
    model = local_spectrum_model(filled, filled_noise, ~bad, rounds=iterations)
    width = NARROWEST if fwhm is None else fwhm
    hits = model.hits(filled, ~bad, sigclip, sigfrac, width)
    return pixels.replaced(hits, model.light, cleantype)


def count_followers(
    found: Mask, data: npt.ArrayLike, variance: npt.ArrayLike, good: Mask, axis: int
) -> tuple[int, float]:
    """
    Count the hits on bright lines along an axis, and those expected there by chance.

    The expectation is that of hits as frequent as in the rest of the frame. Pixels that
    touch are one hit.
    """
    from scipy.ndimage import binary_dilation, label

    groups, n = label(found, structure=np.ones((3, 3)))
    image, noise = np.asarray(data, np.float64), np.asarray(variance, np.float64)
    lines = bright_along(image, noise, good, axis)
    on = np.unique(groups[lines & found]).size
    # A hit has a size, so that it touches a line from beside it.
    area = np.count_nonzero(binary_dilation(lines, np.ones((3, 3))))
    return on, (n - on) * area / max(found.size - area, 1)


@dataclass(frozen=True)
class _Pixels:
    """An image and its variance, which pixels are unusable, and finite stand-ins."""

    image: Array
    noise: Array
    bad: Mask
    filled: Array
    filled_noise: Array

    def replaced(self, hits: Mask, smooth: Array, cleantype: str) -> CosmicRays:
        """Replace hits by interpolating what a smooth image leaves around them."""
        points = np.nonzero(hits)
        good = ~(self.bad | hits)
        values, errors = interpolate_pixels(
            self.filled - smooth, self.filled_noise, good, points, cleantype
        )
        clean, clean_variance = self.image.copy(), self.noise.copy()
        clean[points] = values + smooth[points]
        clean_variance[points] = errors
        return CosmicRays(data=clean, variance=clean_variance, found=hits)


def _pixels(
    data: npt.ArrayLike, variance: npt.ArrayLike, mask: Mask | None
) -> _Pixels | CosmicRays:
    """Check an image and its variance; without a good pixel there are no hits."""
    image = np.asarray(data, np.float64)
    noise = np.asarray(variance, np.float64)
    if image.ndim != 2 or noise.shape != image.shape:
        msg = f"an image of shape (ny, nx) and its variance have {image.shape} and "
        raise ValueError(msg + f"{noise.shape}")
    # The search works with float32.
    with np.errstate(over="ignore"):
        known = np.isfinite(image.astype("f4")) & np.isfinite(noise.astype("f4"))
    bad = ~(known & (noise > 0))
    if mask is not None:
        bad |= mask
    if bad.all():
        return CosmicRays(data=image.copy(), variance=noise.copy(), found=bad & False)
    filled, filled_noise = (
        np.where(known, array, np.median(array[~bad])) for array in (image, noise)
    )
    return _Pixels(image, noise, bad, filled, filled_noise)


def _mirrored(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    wider = np.pad(image, _BORDER, mode="reflect")
    # The search takes no other order of memory, and np.pad keeps that of its input.
    return np.ascontiguousarray(wider, np.float32)


def neighbour_excess(
    data: npt.ArrayLike,
    variance: npt.ArrayLike,
    mask: Mask | None = None,
    *,
    axis: int = 1,
    reach: int = REACH,
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
    image = np.asarray(data, np.float64)
    noise = np.asarray(variance, np.float64)
    known = np.isfinite(image) & np.isfinite(noise)
    if mask is not None:
        known &= ~mask
    points = np.nonzero(np.ones(image.shape, np.bool_))
    excess = _excess_along(
        image, noise, known, points, axis=axis, fraction=fraction, reach=reach
    )
    return excess.reshape(image.shape)


def _excess_along(
    image: Array,
    noise: Array,
    known: Mask,
    points: Points,
    *,
    axis: int,
    fraction: float,
    reach: int = REACH,
) -> Array:
    middle, variance = medians_along(
        (image, noise), known, points, axis=axis, reach=reach
    )
    sigma2 = variance + (fraction * middle) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((image[points] - middle) / np.sqrt(sigma2))


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
    points = np.nonzero(hits)
    excess = _excess_along(
        image, noise, ~(bad | hits), points, axis=axis, fraction=fraction
    )
    groups, n = label(hits, structure=np.ones((3, 3)))
    peak = np.full(n + 1, -np.inf)
    # A hit without neighbours cannot be judged; L.A.Cosmic has the last word.
    judged = np.where(np.isfinite(excess), excess, np.inf)
    np.maximum.at(peak, groups[points], judged)
    # In a group that is real, pixels below the line they lie on are none of it.
    kept = np.zeros_like(hits)
    kept[points] = (peak[groups[points]] >= limit) & (judged > 0)
    return kept
