"""Photometry by fits of the point spread function, of sources that may overlap."""

import logging
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.figures import image_panel, report_panels
from ndmapper.lib.flagging import good_pixels
from ndmapper.lib.image.aperture import separation
from ndmapper.lib.image.background import background_of, photutils_needed, require_image
from ndmapper.lib.image.catalogue import SourceFlag, pixel_flags, read_catalogue
from ndmapper.lib.image.correlation import covariances_of
from ndmapper.lib.image.placing import catalogue_fwhm, measure_rows
from ndmapper.numerics.aperture import ApertureFluxes, measure_apertures
from ndmapper.numerics.psf import (
    FittedSources,
    Profile,
    fit_profile,
    fit_sources,
    smooth_variance,
)
from ndmapper.steps import Range, qc, run_task

__all__ = ["psf_photometry"]

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]

_MOST_STARS = 25
_LEAST_STARS = 3
_LEAST_SNR = 30.0


@run_task(
    each="file", outputs={"photometry": "{root}_psf.ecsv"}, cals=["sources"],
    options={"revision": 2},
)  # fmt: skip
def psf_photometry(
    df: DataFile,
    sources: DataFile | None,
    *,
    model: Literal["moffat", "gaussian"] = "moffat",
    fwhm: Annotated[float | None, Range(gt=0)] = None,
    fit_radius: Annotated[float | None, Range(gt=0)] = None,
    fit_positions: bool = True,
    box_size: Annotated[int | None, Range(ge=4)] = 64,
) -> Table:
    """
    Measure fluxes by fits of the PSF: ``psf_photometry(frame, sources=catalogue)``.

    The PSF is an elliptical profile that is fitted to the brighter stars without
    neighbours or flags, of each extension. Sources that overlap are fitted together.

    Parameters
    ----------
    df : DataFile
        A frame with variance.
    sources : DataFile
        The catalogue, as for `aperture_photometry`.
    model : {'moffat', 'gaussian'}
        The profile of stars.
    fwhm : float, optional
        A first guess of the FWHM of stars [pixel]; by default that of the catalogue.
    fit_radius : float, optional
        Pixels nearer than this to a source are fitted [pixel]; by default 1.5 times the
        FWHM.
    fit_positions : bool
        Fit positions as well, of sources of a signal-to-noise ratio above 5.
    box_size : int or None
        Size of the boxes in which the background is measured, as by
        `measure_background` [pixel]; None for a frame without background.

    Returns
    -------
    Table
        The rows of the catalogue, with x, y and their errors, flux, flux_error, chi2
        and flags. Pixels that are masked or not finite are left out of the fit, so that
        fluxes of saturated stars are those of their wings. Fluxes are those of the
        profile; where that of stars is another, they are all wrong by the same factor,
        which the zero point takes up.

    Raises
    ------
    ParameterError
        If the frame has no variance, the catalogue no positions on it, or there are too
        few stars for the PSF.
    """
    if sources is None:
        msg = "psf_photometry needs a catalogue: psf_photometry(frame, sources=...)"
        raise ParameterError(msg)
    table = read_catalogue(sources)
    width = fwhm if fwhm is not None else catalogue_fwhm(table)
    if width is None:
        msg = "the catalogue does not say the FWHM of stars; give fwhm"
        raise ParameterError(msg)
    radius = fit_radius if fit_radius is not None else 1.5 * width
    profiles: dict[str, float] = {}

    def measure(ndd: NDLater, x: Array, y: Array, rows: Table) -> Mapping[str, Any]:
        where = f"[{ndd.ident}]" if len(df) > 1 else ""
        frame = _Frame(ndd, box_size, width)
        first = frame.apertures(x, y, radius)
        profile = _profile(
            frame, first,
            x=x, y=y, rows=rows, is_moffat=model == "moffat", where=where,
        )  # fmt: skip
        with photutils_needed():
            found = fit_sources(
                frame.data, frame.variance, frame.weights, frame.good, profile,
                x=x, y=y, radius=radius, refine=fit_positions,
                common_variance=np.full(len(x), frame.common_variance),
                covariances=covariances_of(ndd),
            )  # fmt: skip
        profiles[f"fwhm{where}"] = profile.fwhm
        _report(frame, found, profile, where)
        return _columns(found, first)

    result = measure_rows(df, table, measure)
    result.meta |= {
        "frame": df.filename.name if df.filename is not None else "",
        "model": model,
        "fit_radius": radius,
        "fwhm": float(np.median(list(profiles.values()))),
    }
    return result


class _Frame:
    """An image without background, with what the fits need."""

    def __init__(self, ndd: NDLater, box_size: int | None, fwhm: float) -> None:
        require_image(ndd, "fluxes are measured")
        if ndd.variance is None:
            msg = "a fit of the PSF needs the variance; use add_variance before"
            raise ParameterError(msg)
        self.data = np.asarray(ndd.data, np.float64)
        self.variance = np.asarray(ndd.variance, np.float64)
        self.flags = pixel_flags(ndd)
        self.common_variance = float(ndd.meta.get("BKGERR", 0.0)) ** 2
        if box_size is not None:
            background = background_of(ndd, box_size=box_size)
            self.data = self.data - background.level
            self.common_variance += float(np.median(background.variance))
        self.good = good_pixels(ndd) & np.isfinite(self.variance)
        self.good &= np.isfinite(self.data) & (self.variance > 0)
        if not self.good.any():
            msg = "all pixels are masked, are no numbers, or have no variance"
            raise ParameterError(msg)
        with photutils_needed():
            self.weights = smooth_variance(self.variance, self.good, fwhm)
        self.fwhm = fwhm

    def apertures(self, x: Array, y: Array, radius: float) -> ApertureFluxes:
        """Measure apertures, for a first choice of stars and for flags."""
        with photutils_needed():
            return measure_apertures(
                self.data, self.variance, self.good,
                flags=self.flags, x=x, y=y, radius=radius, annulus=None,
            )  # fmt: skip


def _profile(
    frame: _Frame,
    first: ApertureFluxes,
    *,
    x: Array,
    y: Array,
    rows: Table,
    is_moffat: bool,
    where: str,
) -> Profile:
    """Fit the profile to the brightest lone stars, twice, since it moves them."""
    snr = first.flux / np.sqrt(first.variance)
    usable = (first.flags == 0) & first.is_inside & (snr > _LEAST_SNR)
    if "flags" in rows.colnames and rows["flags"].dtype.kind in "iu":
        usable &= np.ma.filled(np.ma.asarray(rows["flags"]), 0) == 0
    alone = usable & (separation(x, y) > 4 * frame.fwhm)
    chosen = np.flatnonzero(alone if alone.sum() >= _LEAST_STARS else usable)
    chosen = chosen[np.argsort(-snr[chosen])[:_MOST_STARS]]
    if chosen.size < _LEAST_STARS:
        msg = (
            f"the frame{where} has {chosen.size} stars without flags and with a "
            f"signal-to-noise ratio above {_LEAST_SNR:g} for the PSF, and "
            f"{_LEAST_STARS} are needed; use aperture_photometry"
        )
        raise ParameterError(msg)
    px, py = x[chosen], y[chosen]
    for _ in range(2):
        try:
            profile = fit_profile(
                frame.data, frame.weights, frame.good,
                x=px, y=py, fwhm=frame.fwhm, radius=3 * frame.fwhm, is_moffat=is_moffat,
            )  # fmt: skip
        except ValueError as err:
            raise ParameterError(str(err)) from err
        moved = fit_sources(
            frame.data, frame.variance, frame.weights, frame.good, profile,
            x=px, y=py, radius=1.5 * frame.fwhm,
        )  # fmt: skip
        px, py = moved.x, moved.y
    qc(**{f"psf_stars{where}": int(chosen.size)})
    return profile


def _columns(found: FittedSources, first: ApertureFluxes) -> dict[str, Any]:
    flags = first.flags.astype(np.int32)
    flags[~first.is_inside] |= SourceFlag.EDGE
    flags[~np.isfinite(found.flux)] |= SourceFlag.NOT_MEASURED
    return {
        "x": found.x,
        "y": found.y,
        "x_error": found.x_error,
        "y_error": found.y_error,
        "flux": found.flux,
        "flux_error": np.sqrt(found.variance),
        "chi2": found.chi2,
        "flags": flags,
    }


def _report(frame: _Frame, found: FittedSources, profile: Profile, where: str) -> None:
    known = np.isfinite(found.chi2)
    numbers = {
        "fwhm": profile.fwhm,
        "measured": int(known.sum()),
        "chi2": float(np.median(found.chi2[known])) if known.any() else float("nan"),
    }
    if np.isfinite(profile.beta):
        numbers["beta"] = profile.beta
    qc(**{f"{name}{where}": value for name, value in numbers.items()})
    rest = frame.data.copy()
    half = int(np.ceil(4 * profile.fwhm))
    ny, nx = rest.shape
    for x, y, flux in zip(found.x, found.y, found.flux, strict=True):
        if not np.isfinite(flux):
            continue
        rows = np.arange(max(0, round(y) - half), min(ny, round(y) + half + 1))
        columns = np.arange(max(0, round(x) - half), min(nx, round(x) + half + 1))
        light = profile.at(columns[None, :] - x, rows[:, None] - y)
        rest[np.ix_(rows, columns)] -= flux * light
    report_panels(
        [
            image_panel(frame.data, "sources", {}),
            image_panel(rest, "without the fitted sources", {}),
        ]
    )
