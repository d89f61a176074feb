"""Aperture photometry of the sources of a catalogue."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.flagging import good_pixels
from ndmapper.lib.image.background import photutils_needed, require_image
from ndmapper.lib.image.catalogue import SourceFlag, pixel_flags, read_catalogue
from ndmapper.lib.image.correlation import covariances_of
from ndmapper.lib.image.placing import catalogue_fwhm, measure_rows
from ndmapper.numerics.aperture import ApertureFluxes, Level, measure_apertures
from ndmapper.numerics.background import divide_sources_roughly
from ndmapper.numerics.detection import DividedSources
from ndmapper.numerics.robust import fit_linear
from ndmapper.steps import Range, qc, run_task

__all__ = [
    "Annulus",
    "Apertures",
    "aperture_photometry",
    "catalogue_given",
    "flux_columns",
    "separation",
]

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]

Annulus: TypeAlias = tuple[float, float] | Literal["auto"] | None

_MOST_STARS = 50
_LEAST_STARS = 3
_LEAST_SNR = 30.0


@run_task(
    each="file", outputs={"photometry": "{root}_phot.ecsv"}, cals=["sources"],
    options={"revision": 2},
)  # fmt: skip
def aperture_photometry(
    df: DataFile,
    sources: DataFile | None,
    *,
    radius: Annotated[float | None, Range(gt=0)] = None,
    annulus: Annulus = "auto",
    level: Level = "mean",
    clip: Annotated[float, Range(gt=0)] = 3.0,
    total_radius: Annotated[float | None, Range(gt=0)] = None,
) -> Table:
    """
    Measure fluxes in apertures: ``aperture_photometry(frame, sources=catalogue)``.

    Parameters
    ----------
    df : DataFile
        A frame, best with variance. The errors of a stack contain the covariances of
        its pixels, as its table COVARIANCE has them.
    sources : DataFile
        The catalogue, a file with a table: that of `find_sources`, or any list with
        columns x and y [pixel, from 0] or ra and dec [degree, ICRS]. Positions are
        taken as they are.
    radius : float, optional
        Radius of the aperture [pixel]; by default 1.5 times the FWHM of the catalogue.
    annulus : (float, float), 'auto' or None
        Inner and outer radius of the annulus in which the background is measured
        [pixel]; by default 4 and 6 times the FWHM, or 2.5 and 4 times the radius if the
        FWHM is unknown. Pixels of other sources, with their wings, do not count; where
        hardly any else is left they do, and the source is flagged CROWDED. None for a
        frame without background: then its error is that of the header (BKGERR, of
        `subtract_background`).
    level : {'mean', 'median'}
        What is taken of the pixels of the annulus that are left by clipping; the median
        suffers less from neighbours, and is lower by up to 0.2 electrons.
    clip : float
        Limit of the clipping in the annulus [standard deviations].
    total_radius : float, optional
        Radius within which all light of a star is taken to be [pixel]. The ratio of the
        flux there to that in the aperture, of the brighter stars that are alone, is the
        aperture correction, by which all fluxes are multiplied.

    Returns
    -------
    Table
        The rows of the catalogue, with x, y, flux, flux_error, background,
        background_error, area and flags. Pixels that are masked, saturated ones too, or
        not finite do not count: such sources are flagged, and their fluxes too low.
        What is in no extension is flagged NOT_MEASURED. The metadata have radii and
        aperture correction.

    Raises
    ------
    ParameterError
        If the catalogue is empty, has no positions, or none of the frame; if no radius
        is known; if there are too few stars for the aperture correction.
    """
    table = read_catalogue(catalogue_given(sources, "aperture_photometry"))
    apertures = Apertures.chosen(table, radius, annulus, level=level, clip=clip)
    size, ring = apertures.radius, apertures.annulus
    if total_radius is not None and total_radius <= size:
        msg = f"total_radius is larger than the radius, {size:g}, not {total_radius:g}"
        raise ParameterError(msg)
    totals: list[Array] = []

    def measure(ndd: NDLater, x: Array, y: Array, rows: Table) -> Mapping[str, Any]:
        if total_radius is None:
            return flux_columns(*apertures.measure(ndd, x, y))
        found, total = apertures.measure(ndd, x, y, [size, total_radius])
        is_alone = separation(x, y) > total_radius + size
        totals.append(_ratios(found, total, is_alone, rows))
        return flux_columns(found)

    result = measure_rows(df, table, measure)
    factor, error = 1.0, 0.0
    if total_radius is not None:
        factor, error = _correction(np.concatenate(totals))
        for name in ("flux", "flux_error"):
            result[name] *= factor
    result.meta |= {
        "frame": df.filename.name if df.filename is not None else "",
        "aperture_radius": size,
        "annulus": None if ring is None else list(ring),
        "aperture_correction": factor,
        "aperture_correction_error": error,
    }
    _report(result, total_radius is not None)
    return result


@dataclass(frozen=True, kw_only=True)
class Apertures:
    """Apertures in which fluxes are measured, and how their background is."""

    radius: float
    annulus: tuple[float, float] | None
    level: Level = "mean"
    clip: float = 3.0

    @classmethod
    def chosen(
        cls, table: Table, radius: float | None, annulus: Annulus, **words: Any
    ) -> "Apertures":
        """Complete what is given by the FWHM of stars, as their catalogue says it."""
        fwhm = catalogue_fwhm(table)
        size = _radius(radius, fwhm)
        return cls(radius=size, annulus=_annulus(annulus, size, fwhm), **words)

    def measure(
        self, ndd: NDLater, x: Array, y: Array, radii: Sequence[float] = ()
    ) -> list[ApertureFluxes]:
        """Measure an image in apertures of each radius, with the same background."""
        require_image(ndd, "fluxes are measured")
        if ndd.variance is None:
            if self.annulus is None:
                msg = (
                    "a frame without variance, and photometry without annulus, say "
                    "nothing of the noise; use add_variance before, or give annulus"
                )
                raise ParameterError(msg)
            log.warning(
                "the frame has no variance, so that errors are those of the "
                "background, without the noise of the light of sources; use "
                "add_variance before"
            )
        error = ndd.meta.get("BKGERR", 0.0) if self.annulus is None else 0.0
        words: dict[str, Any] = {
            "flags": pixel_flags(ndd),
            "x": x,
            "y": y,
            "annulus": self.annulus,
            "level": self.level,
            "clip": self.clip,
            "sources": None if self.annulus is None else _sources_of(ndd),
            "common_variance": float(error) ** 2,
            "covariances": covariances_of(ndd),
        }
        good = good_pixels(ndd)
        with photutils_needed():
            return [
                measure_apertures(ndd.data, ndd.variance, good, radius=radius, **words)
                for radius in radii or [self.radius]
            ]


def _sources_of(ndd: NDLater) -> DividedSources | None:
    """Find the pixels of sources; None where the background of no box is known."""
    try:
        with photutils_needed():
            return divide_sources_roughly(
                ndd.data, ~good_pixels(ndd), covariances=covariances_of(ndd)
            )
    except ValueError:
        return None


def catalogue_given(sources: DataFile | None, step: str) -> DataFile:
    """Raise a ParameterError if a step was given no catalogue."""
    if sources is None:
        msg = f"{step} needs a catalogue: {step}(frame, sources='catalogue.ecsv')"
        raise ParameterError(msg)
    return sources


def _radius(radius: float | None, fwhm: float | None) -> float:
    if radius is None and fwhm is None:
        msg = "the catalogue does not say the FWHM of stars; give radius"
        raise ParameterError(msg)
    return radius if radius is not None else 1.5 * (fwhm or 0.0)


def _annulus(
    annulus: Annulus, radius: float, fwhm: float | None
) -> tuple[float, float] | None:
    if annulus is None:
        return None
    if annulus == "auto":
        if fwhm is None:
            return 2.5 * radius, 4 * radius
        return max(4 * fwhm, radius), max(6 * fwhm, radius + 2 * fwhm)
    inner, outer = annulus
    if not 0 <= inner < outer:
        msg = f"annulus is an inner and a larger outer radius, not {annulus}"
        raise ParameterError(msg)
    return float(inner), float(outer)


def flux_columns(found: ApertureFluxes) -> dict[str, Any]:
    """Give the columns of a catalogue of what was measured in apertures."""
    flags = found.flags.astype(np.int32)
    flags[~found.is_inside] |= SourceFlag.EDGE
    flags[found.is_crowded] |= SourceFlag.CROWDED
    no_light = ~(found.area > 0)
    flags[no_light] |= SourceFlag.NOT_MEASURED
    flags[~no_light & ~np.isfinite(found.flux)] |= SourceFlag.NO_BACKGROUND
    return {
        "flux": found.flux,
        "flux_error": np.sqrt(found.variance),
        "background": found.background,
        "background_error": np.sqrt(found.background_variance),
        "area": found.area,
        "flags": flags,
    }


def separation(x: Array, y: Array) -> Array:
    """Give the distance of each source to the nearest other one [pixel]."""
    from scipy.spatial import cKDTree

    if len(x) < 2:
        return np.full(len(x), np.inf)
    places = np.stack([x, y], 1)
    return np.asarray(cKDTree(places).query(places, k=2)[0][:, 1])


def _ratios(
    small: ApertureFluxes,
    large: ApertureFluxes,
    is_alone: npt.NDArray[np.bool_],
    rows: Table,
) -> Array:
    """Give total light by that in the aperture, its variance, and SNR, of stars."""
    snr = small.flux / np.sqrt(small.variance)
    flags = large.flags | np.where(large.is_inside, 0, int(SourceFlag.EDGE))
    chosen = is_alone & (flags == 0)
    chosen &= np.isfinite(large.flux) & (snr > _LEAST_SNR)
    if "flags" in rows.colnames and rows["flags"].dtype.kind in "iu":
        chosen &= np.ma.filled(np.ma.asarray(rows["flags"]), 0) == 0
    ratio = large.flux / small.flux
    # The background is the same in both apertures, and so is the light of the smaller
    # one: in a ratio they count by what they change it.
    pixels = [f.variance - f.area**2 * f.background_variance for f in (small, large)]
    ring = np.maximum(pixels[1] - pixels[0], 0.01 * pixels[0])
    noise = ring + (ratio - 1) ** 2 * pixels[0]
    noise += (large.area - ratio * small.area) ** 2 * small.background_variance
    found = np.stack([ratio, noise / small.flux**2, snr], 1)
    return np.asarray(found[chosen], np.float64)


def _correction(ratios: Array) -> tuple[float, float]:
    """Take the mean over the brightest stars, without outliers; give its error, too."""
    if len(ratios) < _LEAST_STARS:
        msg = (
            f"there are {len(ratios)} stars without flags or neighbours and with a "
            f"signal-to-noise ratio above {_LEAST_SNR:g} for the aperture correction, "
            f"and {_LEAST_STARS} are needed; leave total_radius out, or give a smaller "
            "one"
        )
        raise ParameterError(msg)
    best = ratios[np.argsort(-ratios[:, 2])[:_MOST_STARS]]
    fit = fit_linear(np.ones((len(best), 1)), best[:, 0], best[:, 1])
    return float(fit.values[0]), math.sqrt(fit.covariance[0, 0])


def _report(table: Table, is_corrected: bool) -> None:
    snr = np.asarray(table["flux"]) / np.asarray(table["flux_error"])
    qc(
        sources=len(table),
        flagged=int((np.asarray(table["flags"]) != 0).sum()),
        measured=int(np.isfinite(snr).sum()),
        radius=table.meta["aperture_radius"],
    )
    if is_corrected:
        qc(
            aperture_correction=table.meta["aperture_correction"],
            aperture_correction_error=table.meta["aperture_correction_error"],
        )
