"""The sky in long-slit spectra, fitted where the detector has it and subtracted."""

import logging
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from ndmapper.data import Flag, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.alike import called, check_shape
from ndmapper.lib.ccd.applied import times_applied
from ndmapper.lib.ccd.flat import SLIT_LIGHT
from ndmapper.lib.figures import image_panel, report_panels
from ndmapper.lib.flagging import flags_with, good_pixels
from ndmapper.lib.spec.axis import turned_wavelengths
from ndmapper.lib.spectrograph import Spectrograph, SpectrographTable, spectrograph_of
from ndmapper.numerics.formulas import narrowed
from ndmapper.numerics.slit_sky import SlitSky, find_sky_rows, fit_columns, fit_spline
from ndmapper.steps import Range, Unit, qc, run_task

__all__ = ["measure_sky", "subtract_sky"]

log = logging.getLogger(__name__)

Method = Literal["spline", "columns"]
Windows = Sequence[tuple[float, float]]

_TOO_ROUGH = 1.2
"""Residuals this many times the noise are worth a warning."""


@run_task(suffix="_sky", cals=["wavelengths"])
def measure_sky(
    ndd: NDLater,
    wavelengths: NDLater | None = None,
    *,
    method: Method | None = None,
    windows: Windows | None = None,
    degree: Annotated[int, Range(ge=0, le=5)] = 1,
    knot_spacing: Annotated[float, Range(ge=0.3), Unit("pixel")] = 0.75,
    clip: Annotated[float, Range(gt=0)] = 5.0,
    spectrograph: SpectrographTable = None,
) -> NDLater:
    """
    Measure the sky of a long-slit spectrum: ``measure_sky(frames, wavelengths=...)``.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame with variance, divided by a flat, not rectified.
    wavelengths : NDLater, optional
        The wavelength of each pixel, as `make_wavelengths` gives it.
    method : {'spline', 'columns'}, optional
        See `subtract_sky`.
    windows : sequence of tuple of float, optional
        Rows of the sky, ``(first, last)`` along the slit, from 1 [pixel]. By default
        all that no object covers, which are found.
    degree : int
        Degree of the polynomial along the slit.
    knot_spacing : float
        Distance of the knots of the spline [pixel].
    clip : float
        Limit of the rejection [standard deviations].
    spectrograph : mapping, optional
        Keys of ``[spectrograph]`` that replace those of the instrument's table.

    Returns
    -------
    NDLater
        The sky at each pixel, with the variance of the fit; NaN and flagged BAD where
        nothing tells it.

    Raises
    ------
    ParameterError
        As `subtract_sky`.
    """
    geometry = spectrograph_of(spectrograph, ndd)
    found = _fitted(
        ndd, wavelengths, geometry, method, windows, degree, knot_spacing, clip
    )
    level = geometry.back(found.level)
    unknown = ~np.isfinite(level)
    return ndd.replace(
        data=level.astype(np.result_type(ndd.dtype, np.float32)),
        variance=narrowed(geometry.back(found.variance), np.dtype("f4")),
        flags=flags_with(ndd.replace(flags=None), (unknown, Flag.BAD)),
    )


@run_task(prefix="s", cals=["wavelengths"])
def subtract_sky(
    ndd: NDLater,
    wavelengths: NDLater | None = None,
    *,
    method: Method | None = None,
    windows: Windows | None = None,
    degree: Annotated[int, Range(ge=0, le=5)] = 1,
    knot_spacing: Annotated[float, Range(ge=0.3), Unit("pixel")] = 0.75,
    clip: Annotated[float, Range(gt=0)] = 5.0,
    spectrograph: SpectrographTable = None,
) -> NDLater:
    """
    Subtract the sky from a long-slit spectrum: ``subtract_sky(frames)``.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame with variance, divided by a flat, not rectified.
    wavelengths : NDLater, optional
        The wavelength of each pixel, as `make_wavelengths` gives it; None for
        ``method='columns'``.
    method : {'spline', 'columns'}, optional
        ``'spline'``: a cubic spline in the wavelength, whose coefficients are
        polynomials along the slit, fitted to all pixels where they lie; where lines are
        tilted it samples them within a pixel (Kelson 2003, PASP 115, 688).
        ``'columns'``: a polynomial along the slit for each column. By default the first
        where there are wavelengths.
    windows : sequence of tuple of float, optional
        Rows of the sky, ``(first, last)`` along the slit, from 1 [pixel]. By default
        all that no object covers, which are found.
    degree : int
        Degree of the polynomial along the slit.
    knot_spacing : float
        Distance of the knots of the spline [pixel].
    clip : float
        Limit of the rejection [standard deviations].
    spectrograph : mapping, optional
        Keys of ``[spectrograph]`` that replace those of the instrument's table.

    Returns
    -------
    NDLater
        The frame without sky. The variance of the fit is added to its own; since it is
        common to the pixels of a column, SKYSHARE in the header has the median of its
        part of the variance, for sums along the slit. Pixels whose sky nothing tells
        are flagged BAD.

    Raises
    ------
    ParameterError
        If the frame has no variance, ``'spline'`` has no wavelengths, these change
        along the slit or fall, or no row of the slit has sky alone.
    """
    geometry = spectrograph_of(spectrograph, ndd)
    found = _fitted(
        ndd, wavelengths, geometry, method, windows, degree, knot_spacing, clip
    )
    level, error = geometry.back(found.level), geometry.back(found.variance)
    unknown = ~np.isfinite(level)
    level, error = np.where(unknown, 0, level), np.where(unknown, 0, error)
    data = np.asarray(ndd.data, np.float64) - level
    variance = np.asarray(ndd.variance, np.float64)
    share = float(np.median((error / (variance + error))[~unknown]))
    _report(ndd, found, geometry, data)
    kind = np.result_type(ndd.dtype, np.float32)
    result = ndd.replace(
        data=data.astype(kind),
        variance=narrowed(variance + error, np.dtype("f4")),
        flags=flags_with(ndd, (unknown, Flag.BAD)),
    )
    result.meta["SKYSHARE"] = (share, "part of variance common along the slit")
    return result


def _fitted(  # noqa: PLR0917
    ndd: NDLater,
    wavelengths: NDLater | None,
    geometry: Spectrograph,
    method: Method | None,
    windows: Windows | None,
    degree: int,
    spacing: float,
    clip: float,
) -> SlitSky:
    """Fit the sky of a frame, turned."""
    if ndd.variance is None:
        msg = f"{called(ndd)} has no variance, which outliers are told by: add_variance"
        raise ParameterError(msg)
    method = method or ("columns" if wavelengths is None else "spline")
    if method == "spline" and wavelengths is None:
        msg = (
            "a spline in the wavelength needs wavelengths: give wavelengths=, made by "
            "make_wavelengths of an arc, or method='columns'"
        )
        raise ParameterError(msg)
    data = geometry.turned(np.asarray(ndd.data, np.float64))
    variance = geometry.turned(np.asarray(ndd.variance, np.float64))
    good = geometry.turned(good_pixels(ndd) & (np.asarray(ndd.variance) > 0))
    rows = np.zeros(data.shape[0], bool)
    rows[geometry.rows(data.shape[0])] = True
    good = good & rows[:, np.newaxis] & ~geometry.in_gap(data.shape[1])
    data, variance = np.where(good, data, 0), np.where(good, variance, 1)
    sky = _sky_rows(data, variance, good, windows)
    if not sky.any():
        msg = (
            f"no row of the slit of {called(ndd)} has sky alone; give windows="
            "[(first, last)], or measure the sky in a frame beside"
        )
        raise ParameterError(msg)
    if method == "columns":
        return fit_columns(data, variance, sky, degree=degree, clip=clip)
    assert wavelengths is not None
    check_shape(ndd, wavelengths, "wavelengths")
    waves = turned_wavelengths(wavelengths, geometry, ndd)
    if not np.isfinite(waves[waves.shape[0] // 2]).any():
        msg = (
            f"there is no wavelength in the middle of the slit of {called(wavelengths)}"
        )
        raise ParameterError(msg)
    options: dict[str, Any] = {"spacing": spacing, "degree": degree, "clip": clip}
    found = fit_spline(data, variance, sky, waves, **options)
    if windows is not None:
        return found
    # Where lines are tilted the fit tells objects better than a median does.
    sky = find_sky_rows(data, variance, good, found.level)
    return fit_spline(data, variance, sky, waves, **options)


def _sky_rows(
    data: npt.NDArray[np.float64],
    variance: npt.NDArray[np.float64],
    good: npt.NDArray[np.bool_],
    windows: Windows | None,
) -> npt.NDArray[np.bool_]:
    if windows is None:
        return find_sky_rows(data, variance, good)
    inside = np.zeros(len(data), bool)
    for first, last in windows:
        if not 1 <= first <= last <= len(data):
            msg = (
                f"the window ({first}, {last}) is not in the slit, which has the rows "
                f"1 to {len(data)}"
            )
            raise ParameterError(msg)
        inside[int(np.ceil(first)) - 1 : int(np.floor(last))] = True
    return good & inside[:, np.newaxis]


def _report(
    ndd: NDLater, found: SlitSky, geometry: Spectrograph, residual: Any
) -> None:
    """Report the level of the sky, and what is left of it against the noise."""
    _warn_of_slit(ndd)
    turned = geometry.turned(residual)
    noise = geometry.turned(np.asarray(ndd.variance, np.float64)) - found.variance
    pull = turned[found.used] / np.sqrt(np.maximum(noise[found.used], 1e-30))
    width = float(np.std(pull)) if pull.size else float("nan")
    used = float(np.mean(found.used.any(axis=1)))
    level = float(np.nanmedian(found.level))
    qc(sky_level=level, sky_residual_over_noise=width, sky_rows=used)
    if width > _TOO_ROUGH:
        lit = (
            ""
            if times_applied(ndd.meta, "illumination")
            else "is the slit lit unevenly (make_slit_illumination and "
            "apply_illumination correct it)? Or "
        )
        log.warning(
            "%s: what the sky leaves is %.2f times its noise; %stry a higher degree, "
            "narrower knots, or better wavelengths",
            called(ndd), width, lit,
        )  # fmt: skip
    unused = geometry.back(~found.used)
    report_panels(
        [
            image_panel(ndd.data, "before", {"not sky": unused}),
            image_panel(residual, "without sky", {}),
        ]
    )


def _warn_of_slit(ndd: NDLater) -> None:
    """Say so where a flat took the illumination of the slit out, and nothing did it."""
    untold = times_applied(ndd.meta, "illumination") is None
    if untold and ndd.meta.get(SLIT_LIGHT) == "divided out":
        log.warning(
            "%r was divided by a flat without the illumination of the slit, so that an "
            "uneven one is left in its sky; use apply_illumination before, with what "
            "make_slit_illumination makes, or illumination=None if it is even",
            ndd,
        )
