"""Sources in an image without background: where they are, their shapes and fluxes."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.correlated_noise import Covariances
from ndmapper.numerics.detection import find_islands, gaussian_factor, significance
from ndmapper.numerics.moments import Shapes, measure_shapes

__all__ = ["Sources", "detect_sources", "typical_fwhm"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]

_ISOPHOTE = 3.0
"""A source reaches as far as the significance is above this."""

_FIRST_FWHM = 3.0
"""With this the image is smoothed where nothing is known of the seeing [pixel]."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The sources of an image, in the order of their labels."""

    shapes: Shapes
    # Flux in an aperture of 2.5 Kron radii, and its error.
    flux: Array
    flux_error: Array
    # Significance of the peak: signal-to-noise ratio of a star.
    significance: Array
    # Whether a source was cut out of one that overlaps it.
    is_blended: Mask
    # The pixels of each source, numbered from 1.
    labels: Labels
    # FWHM of the smoothing [pixel].
    fwhm: float


def detect_sources(
    data: npt.ArrayLike,
    variance: npt.ArrayLike,
    mask: Mask,
    *,
    threshold: float = 5.0,
    fwhm: float | None = None,
    deblend: bool = True,
    contrast: float = 0.005,
    covariances: Covariances | None = None,
) -> Sources | None:
    """
    Find sources, and measure them; None where there are none.

    The image is smoothed by a Gaussian of the FWHM of stars, which by default is
    measured of the brighter sources in a first round. `covariances` are those of the
    pixels of a stack: errors are those of sums over as many pixels as a source has.
    """
    values, noise = np.asarray(data, np.float64), np.asarray(variance, np.float64)
    bad = mask | ~np.isfinite(values) | ~np.isfinite(noise) | (noise <= 0)
    values, noise = np.where(bad, 0.0, values), np.where(bad, 0.0, noise)
    usable = ~bad
    width, least = fwhm, contrast if deblend else None
    if width is None:
        known = _find(
            values, noise, bad,
            fwhm=_FIRST_FWHM, threshold=threshold, contrast=least,
            covariances=covariances,
        )  # fmt: skip
        if known is None:
            return None
        width = _seeing(values, noise, usable, known)
    found = _find(
        values, noise, bad,
        fwhm=width, threshold=threshold, contrast=least, covariances=covariances,
    )  # fmt: skip
    if found is None:
        return None
    labels, peaks, heights, is_blended = found
    noise = noise * gaussian_factor(width, covariances)
    own = np.arange(1, len(heights) + 1, dtype=np.int32)
    shapes = measure_shapes(
        values, noise, usable, peaks[:, 1], peaks[:, 0],
        fwhm=width, labels=labels, own=own,
    )  # fmt: skip
    flux, error = _kron(values, noise, bad, labels)
    return Sources(
        shapes=shapes,
        flux=flux,
        flux_error=error,
        significance=heights,
        is_blended=is_blended,
        labels=labels,
        fwhm=width,
    )


def typical_fwhm(fwhm: Array, snr: Array, usable: Mask) -> float:
    """Give the FWHM of stars: the median of the brighter ones; NaN without any."""
    good = usable & np.isfinite(fwhm)
    bright = good & (snr > 20)
    chosen = fwhm[bright if bright.sum() >= 5 else good]
    return float(np.median(chosen)) if chosen.size else float("nan")


_Found = tuple[Labels, npt.NDArray[np.int_], Array, Mask]


def _find(
    values: Array,
    noise: Array,
    bad: Mask,
    *,
    fwhm: float,
    threshold: float,
    contrast: float | None = None,
    covariances: Covariances | None = None,
) -> _Found | None:
    """Label the sources: their pixels, peaks (row, column), and significance."""
    from scipy.ndimage import maximum_position

    found = significance(values, noise, bad, fwhm=fwhm, covariances=covariances)
    labels = find_islands(found, low=min(_ISOPHOTE, threshold), high=threshold)
    count = int(np.max(labels))
    if count == 0:
        return None
    is_blended = np.zeros(count, np.bool_)
    if contrast is not None:
        labels, is_blended = _deblended(found, labels, contrast, threshold)
        count = len(is_blended)
    peaks = np.asarray(maximum_position(found, labels, np.arange(1, count + 1)))
    return labels, peaks, found[peaks[:, 0], peaks[:, 1]], is_blended


def _deblended(
    found: Array, labels: Labels, contrast: float, threshold: float
) -> tuple[Labels, Mask]:
    """Divide islands that have several peaks."""
    from photutils.segmentation import SegmentationImage, deblend_sources
    from scipy.ndimage import maximum, maximum_filter

    tops = (found == maximum_filter(found, 3)) & (labels > 0)
    several = np.flatnonzero(np.bincount(labels[tops]) > 1)
    if several.size == 0:
        return labels, np.zeros(int(np.max(labels)), np.bool_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        divided = deblend_sources(
            found, SegmentationImage(labels), 5, labels=several, contrast=contrast,
            progress_bar=False,
        )  # fmt: skip
    new = np.asarray(divided.data, np.int32)
    count = int(new.max())
    numbers = np.arange(1, count + 1)
    heights = np.asarray(maximum(found, new, numbers))
    parents = np.asarray(maximum(labels, new, numbers))
    kept = heights > threshold
    renumbered = np.zeros(count + 1, np.int32)
    renumbered[1:][kept] = np.arange(1, int(kept.sum()) + 1)
    return renumbered[new], (np.bincount(parents)[parents] > 1)[kept]


def _seeing(values: Array, noise: Array, usable: Mask, known: _Found) -> float:
    labels, peaks, heights, is_blended = known
    brightest = np.argsort(-heights)[:200]
    shapes = measure_shapes(
        values, noise, usable, peaks[brightest, 1], peaks[brightest, 0],
        fwhm=2 * _FIRST_FWHM, labels=labels,
        own=(brightest + 1).astype(np.int32),
    )  # fmt: skip
    alone = shapes.converged & ~is_blended[brightest]
    chosen = alone if alone.sum() >= 5 else shapes.converged
    width = typical_fwhm(shapes.fwhm, heights[brightest], chosen)
    return _FIRST_FWHM if np.isnan(width) else float(np.clip(width, 1.2, 15))


def _kron(
    values: Array, noise: Array, bad: Mask, labels: Labels
) -> tuple[Array, Array]:
    from photutils.segmentation import SegmentationImage, SourceCatalog

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        catalogue: Any = SourceCatalog(values, SegmentationImage(labels), mask=bad)
        flux = np.atleast_1d(np.asarray(catalogue.kron_flux, np.float64))
        found = catalogue.kron_aperture
    ellipses = [found] if catalogue.isscalar else found
    variance = [
        np.nan if one is None else _variance_in(one, noise, bad, labels, number)
        for number, one in enumerate(ellipses, start=1)
    ]
    return flux, np.sqrt(variance)


def _variance_in(
    ellipse: Any, noise: Array, bad: Mask, labels: Labels, own: int
) -> float:
    """
    Give the variance of the light in an ellipse.

    A pixel counts by the square of the share of its area, which not every version of
    photutils does. In place of a pixel of a neighbour photutils takes that on the other
    side of the centre, which counts for both.
    """
    shares = ellipse.to_mask(method="exact")
    large, small = shares.get_overlap_slices(noise.shape)
    if large is None:
        return float("nan")
    weights = np.where(bad[large], 0.0, shares.data[small])
    theirs = (labels[large] != own) & (labels[large] != 0)
    y, x = np.nonzero(theirs)
    start = np.array([large[0].start, large[1].start])
    centre = (np.asarray(ellipse.positions)[::-1] - start + 0.5).astype(np.int_)
    across = 2 * centre[:, None] - np.array([y, x])
    limits = np.array(weights.shape)[:, None]
    inside = ((across >= 0) & (across < limits)).all(axis=0)
    moved = np.zeros(weights.shape)
    np.add.at(moved, tuple(across[:, inside]), weights[y[inside], x[inside]])
    weights[theirs] = 0.0
    weights += np.where(bad[large] | theirs, 0.0, moved)
    return float(np.sum(weights**2 * noise[large]))
