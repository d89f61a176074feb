"""Calibrating photometry: the zero point, with a colour term, against a catalogue."""

import logging
import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from ndmapper.data import DataFile
from ndmapper.errors import ParameterError
from ndmapper.lib.figures import new_figure
from ndmapper.lib.image.catalogue import (
    instrumental_magnitudes,
    make_catalogue,
    numbers_in,
    read_catalogue,
    sky_columns,
)
from ndmapper.numerics.robust import LinearFit, fit_linear
from ndmapper.steps import Range, qc, run_task

__all__ = ["calibrate_photometry"]

Array = npt.NDArray[np.float64]

log = logging.getLogger(__name__)

_LEAST_STARS = 3
_MANY_LEFT_OUT = 0.3
"""If a larger part of the stars does not agree, it is told."""

_MAGNITUDE = 2.5 / math.log(10)
"""The error of a magnitude by the relative error of the flux."""


@run_task(
    each="file",
    outputs={"calibrated": "z{root}.fits", "catalogue": "{root}_cal.ecsv"},
    cals=["sources", "reference"],
    options={"revision": 2},
)
def calibrate_photometry(
    df: DataFile,
    sources: DataFile | None,
    reference: DataFile | None,
    *,
    magnitude: str = "mag",
    magnitude_error: str | None = None,
    colour: tuple[str, str] | None = None,
    colour_term: float | None = None,
    ra: str = "ra",
    dec: str = "dec",
    match_radius: Annotated[float, Range(gt=0)] = 1.0,
    least_snr: Annotated[float, Range(gt=0)] = 10.0,
    clip: Annotated[float, Range(gt=0)] = 3.0,
) -> dict[str, Any]:
    """
    Find the zero point of a frame, by stars whose magnitudes are known.

    ``calibrate_photometry(frame, sources=fluxes, reference=catalogue, magnitude='r')``.
    The magnitude of a star is ``zero point - 2.5 log10(flux) + colour term * colour``,
    with the flux in the unit of the catalogue of sources; it is not divided by the
    exposure time.

    Parameters
    ----------
    df : DataFile
        The frame. Its copy gets the zero point into its header.
    sources : DataFile
        Fluxes of its sources with ra and dec, as by `aperture_photometry`.
    reference : DataFile
        Table of stars with positions [degree, ICRS] and magnitudes.
    magnitude : str
        Column of the reference with the magnitudes.
    magnitude_error : str, optional
        Column with their errors; without it they have none but the common scatter.
    colour : (str, str), optional
        Two columns of magnitudes whose difference is the colour; without it there is no
        colour term.
    colour_term : float, optional
        The colour term, if it is known; else it is fitted.
    ra, dec : str
        Columns of the reference with the positions; where it has none of these names,
        what catalogues usually call them (RA_ICRS, RAJ2000), as for `align_images`.
    match_radius : float
        Sources and stars nearer than this are the same [arcsec].
    least_snr : float
        Sources of a lower signal-to-noise ratio are not used.
    clip : float
        Stars further from the fit than this are left out [standard deviations, of
        errors and scatter].

    Returns
    -------
    dict
        ``'calibrated'``: the frame, with the zero point (PHOTZP), its error (PHOTZPER),
        the part of this that the aperture correction has (PHOTAPER), the colour term
        (PHOTCLR), the scatter of stars beyond their errors (PHOTRMS), the number of
        stars (PHOTNUM), and the magnitude of a star whose flux is 5 times its error
        (MAGLIM). ``'catalogue'``: the sources with mag and mag_error, for a colour of
        0; mag_error is that of the flux.

    Raises
    ------
    ParameterError
        If columns are missing or empty, the sources have no sky positions, or too few
        stars match.
    """
    table = read_catalogue(_given(sources, "sources"), "catalogue of sources")
    stars = read_catalogue(_given(reference, "reference"), "reference catalogue")
    matched = _match(table, stars, ra=ra, dec=dec, radius=match_radius)
    used = _used(
        table, stars, matched,
        columns=(magnitude, magnitude_error, colour), least_snr=least_snr,
    )  # fmt: skip
    least = _LEAST_STARS + (colour is not None and colour_term is None)
    if len(used.difference) < least:
        msg = (
            f"{len(used.difference)} stars of the reference match sources that are "
            f"not flagged, within {match_radius:g} arcsec and with a signal-to-noise "
            f"ratio above {least_snr:g} (of {len(matched[0])} that match at all), and "
            f"{least} are needed; look at the WCS, or give a larger match_radius"
        )
        raise ParameterError(msg)
    term, fit = _fit(used, colour_term, clip)
    limit = _limiting_flux(table)
    # All fluxes are wrong by it, so it does not show in the scatter of the stars.
    common = _aperture_error(table)
    found = {
        "zero_point": float(fit.values[0]),
        "zero_point_error": math.hypot(math.sqrt(fit.covariance[0, 0]), common),
        "aperture_error": common,
        "colour_term": term,
        "stars": int(fit.kept.sum()),
        "left_out": int((~fit.kept).sum()),
        "scatter": fit.scatter,
        "limiting_magnitude": float(fit.values[0]) - 2.5 * math.log10(limit),
    }
    if found["left_out"] > _MANY_LEFT_OUT * len(used.difference):
        log.warning(
            "%d of the %d stars do not agree with the zero point and are left out; "
            "look whether all are the same stars as in the reference, and in one band",
            found["left_out"], len(used.difference),
        )  # fmt: skip
    if colour is not None and colour_term is None:
        found["colour_term_error"] = math.sqrt(fit.covariance[1, 1])
    qc(**found)
    _draw(used, fit, found)
    _write_header(df, found, magnitude)
    return {"calibrated": df, "catalogue": _with_magnitudes(table, found)}


@dataclass(frozen=True, kw_only=True)
class _Used:
    """The stars that the fit uses."""

    # Reference minus instrumental magnitude, and its variance.
    difference: Array
    variance: Array
    magnitude: Array
    # 0 without a colour term.
    colour: Array
    has_colour: bool


def _given(file: DataFile | None, name: str) -> DataFile:
    if file is None:
        msg = (
            f"calibrate_photometry needs {name}: calibrate_photometry(frame, "
            "sources='fluxes.ecsv', reference='stars.ecsv')"
        )
        raise ParameterError(msg)
    return file


def _match(
    table: Table, stars: Table, *, ra: str, dec: str, radius: float
) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    """Pair sources and stars that are nearest to each other, both ways."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    if "ra" not in table.colnames or "dec" not in table.colnames:
        msg = (
            "the catalogue of sources has no ra and dec: its frame had no celestial "
            "coordinates (WCS); solve its astrometry before find_sources"
        )
        raise ParameterError(msg)
    ours = [numbers_in(table, n, "catalogue of sources", "deg") for n in ("ra", "dec")]
    if (ra, dec) == ("ra", "dec"):
        ra, dec = sky_columns(stars) or (ra, dec)
    theirs = [numbers_in(stars, n, "reference catalogue", "deg") for n in (ra, dec)]
    is_place = [
        np.flatnonzero(np.isfinite(a) & np.isfinite(b) & (np.abs(b) <= 90))
        for a, b in (ours, theirs)
    ]
    one, two = (
        SkyCoord(a[there], b[there], unit="deg")
        for (a, b), there in zip((ours, theirs), is_place, strict=True)
    )
    if not one.size or not two.size:
        return np.empty(0, np.int_), np.empty(0, np.int_)
    there, distance, _ = one.match_to_catalog_sky(two)
    back, _, _ = two.match_to_catalog_sky(one)
    is_pair = (back[there] == np.arange(one.size)) & (distance < radius * u.arcsec)
    return is_place[0][is_pair], is_place[1][there[is_pair]]


def _used(
    table: Table,
    stars: Table,
    matched: tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]],
    *,
    columns: tuple[str, str | None, tuple[str, str] | None],
    least_snr: float,
) -> _Used:
    magnitude, magnitude_error, colour = columns
    ours, theirs = matched
    flux = numbers_in(table, "flux", "catalogue of sources")[ours]
    error = numbers_in(table, "flux_error", "catalogue of sources")[ours]
    known = numbers_in(stars, magnitude, "reference catalogue", "mag")[theirs]
    variance, tint = np.zeros(len(ours)), np.zeros(len(ours))
    if magnitude_error is not None:
        variance += (
            numbers_in(stars, magnitude_error, "reference catalogue", "mag")[theirs]
            ** 2
        )
    if colour is not None:
        blue, red = (
            numbers_in(stars, name, "reference catalogue", "mag") for name in colour
        )
        tint = (blue - red)[theirs]
    good = (flux > least_snr * error) & (error > 0)
    good &= np.isfinite(known) & np.isfinite(variance) & np.isfinite(tint)
    if "flags" in table.colnames:
        good &= np.asarray(table["flags"])[ours] == 0
    ours_mag, ours_error = instrumental_magnitudes(flux[good], error[good])
    return _Used(
        difference=known[good] - ours_mag,
        variance=variance[good] + ours_error**2,
        magnitude=known[good],
        colour=tint[good],
        has_colour=colour is not None,
    )


def _fit(
    used: _Used, colour_term: float | None, clip: float
) -> tuple[float, LinearFit]:
    """Fit the zero point and, where it is not known, the colour term."""
    terms = np.ones((len(used.difference), 1))
    data = used.difference
    if not used.has_colour:
        return 0.0, fit_linear(terms, data, used.variance, clip=clip)
    if colour_term is not None:
        data = data - colour_term * used.colour
        return colour_term, fit_linear(terms, data, used.variance, clip=clip)
    terms = np.column_stack([terms, used.colour])
    try:
        fit = fit_linear(terms, data, used.variance, clip=clip)
    except ValueError as err:
        msg = (
            "the stars have all the same colour, which does not tell a colour term; "
            "give colour_term, or no colour"
        )
        raise ParameterError(msg) from err
    return float(fit.values[1]), fit


def _aperture_error(table: Table) -> float:
    """Give the error of the aperture correction of a catalogue, as a magnitude."""
    factor = table.meta.get("aperture_correction", 1.0)
    error = table.meta.get("aperture_correction_error", 0.0)
    return _MAGNITUDE * float(error) / float(factor)


def _limiting_flux(table: Table, snr: float = 5.0) -> float:
    """
    Find the flux that is 5 times its error, for this aperture and background.

    The variance of a flux is that of the background plus a part that grows with the
    flux, the noise of its photons; a line through all sources tells both.
    """
    flux = numbers_in(table, "flux", "catalogue of sources")
    variance = numbers_in(table, "flux_error", "catalogue of sources") ** 2
    good = np.isfinite(flux) & (variance > 0)
    if "flags" in table.colnames:
        good &= np.asarray(table["flags"]) == 0
    flux, variance = flux[good], variance[good]
    constant, slope = float(np.min(variance)), 0.0
    if len(flux) >= _LEAST_STARS:
        terms = np.column_stack([np.ones(len(flux)), flux]) / variance[:, None]
        line = np.linalg.lstsq(terms, np.ones(len(flux)))[0]
        if line[0] > 0 and line[1] >= 0:
            constant, slope = float(line[0]), float(line[1])
    half = snr**2 * slope / 2
    return half + math.sqrt(half**2 + snr**2 * constant)


def _with_magnitudes(table: Table, found: dict[str, Any]) -> Table:
    flux, error = (
        np.ma.filled(np.ma.asarray(table[name], np.float64), np.nan)
        for name in ("flux", "flux_error")
    )
    magnitude, error = instrumental_magnitudes(flux, error)
    made = make_catalogue({"mag": found["zero_point"] + magnitude, "mag_error": error})
    result = table.copy()
    for name in made.colnames:
        result[name] = made[name]
    result.meta |= found
    return result


def _write_header(df: DataFile, found: dict[str, Any], magnitude: str) -> None:
    cards = {
        "PHOTZP": (found["zero_point"], "zero point: mag = PHOTZP - 2.5 log10(flux)"),
        "PHOTZPER": (found["zero_point_error"], "standard error of the zero point"),
        "PHOTAPER": (found["aperture_error"], "part of it of the aperture correction"),
        "PHOTCLR": (found["colour_term"], "colour term"),
        "PHOTRMS": (found["scatter"], "scatter of stars beyond their errors"),
        "PHOTNUM": (found["stars"], "number of stars of the zero point"),
        "PHOTBAND": (magnitude, "reference magnitude"),
        "MAGLIM": (found["limiting_magnitude"], "5 sigma limiting magnitude"),
    }
    for keyword, card in cards.items():
        df.meta[keyword] = card


def _draw(used: _Used, fit: LinearFit, found: dict[str, Any]) -> None:
    if (figure := new_figure()) is None:
        return
    residual = (
        used.difference - found["zero_point"] - found["colour_term"] * used.colour
    )
    error = np.sqrt(used.variance)
    panels = [(used.magnitude, "reference magnitude")]
    if used.has_colour:
        panels.append((used.colour, "colour"))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (values, label) in zip(axes, panels, strict=True):
        for kept, style in ((fit.kept, "k."), (~fit.kept, "rx")):
            axis.errorbar(values[kept], residual[kept], error[kept], fmt=style)
        axis.axhline(0, color="0.6")
        axis.set_xlabel(label)
    axes[0].set_ylabel("residual [mag]")
    figure.tight_layout()
    qc(figure=figure)
