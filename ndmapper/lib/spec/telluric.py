"""Telluric absorption: from the spectrum of a standard, and out of others."""

import logging
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.figures import new_figure, report_spectra
from ndmapper.lib.flagging import flags_with, good_pixels
from ndmapper.lib.spec.axis import with_wavelengths
from ndmapper.lib.spec.count_rate import air_wavelengths
from ndmapper.lib.spec.pointing import airmass_at_middle
from ndmapper.lib.spec.sensitivity import TELLURIC_BANDS, brightest_spectrum
from ndmapper.lib.spec.velocity import require_topocentric
from ndmapper.lib.spectrograph import SpectrographTable
from ndmapper.lib.times import TimeIs
from ndmapper.steps import OfInstrument, Range, qc, run_task

__all__ = ["correct_telluric", "make_telluric"]

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]

_CORRECTED = "TELLURIC"
"""Card of a spectrum that was corrected: by which part of the standard's depth."""

_AIRMASS = "TELLAIRM"
_LEAST_PIXELS = 3
"""Each side of a band has at least so many good pixels."""

_OPAQUE = 0.1
"""Where less light than this is let through, what was above is not known."""


@run_task(each="file", suffix="_telluric")
def make_telluric(
    df: DataFile,
    *,
    bands: Sequence[tuple[float, float]] | None = None,
    side: Annotated[float, Range(gt=0)] = 40.0,
    target: tuple[float, float] | None = None,
    time_is: Annotated[TimeIs | None, OfInstrument()] = None,
    exposure: Annotated[float | None, Range(gt=0)] = None,
    spectrograph: SpectrographTable = None,
) -> NDLater:
    """
    Find the telluric transmission in the spectrum of a star without lines there.

    Parameters
    ----------
    df : DataFile
        Spectrum of a hot star, in counts or flux; of several, the brightest is taken.
    bands : sequence of (float, float), optional
        Ranges of the absorption, in air [Angstrom]; by default those of oxygen and
        water vapour from 6270 to 9850.
    side : float
        The continuum of a band is a straight line, in the logarithm, between the
        medians of so much at its sides [Angstrom].
    target : (float, float), optional
        Right ascension and declination [degree, ICRS], as for `correct_velocity`.
    time_is : {'start', 'middle', 'end'}, optional
        What the time in the header is, likewise.
    exposure : float, optional
        Exposure time [s]; by default that of the header.
    spectrograph : mapping, optional
        The site, as for `correct_velocity`.

    Returns
    -------
    NDLater
        The transmission: 1 outside of the bands, whose variance there is 0. Bands that
        the spectrum does not have with both sides are left out. TELLAIRM in the header
        is the airmass.

    Raises
    ------
    ParameterError
        If no band is in the spectrum, its airmass is not known, or its wavelengths are
        not those that the telescope has seen.
    """
    source = brightest_spectrum(df)
    require_topocentric(source, str(df.filename or "the spectrum"), "make_telluric")
    airmass, _ = airmass_at_middle(
        df, spectrograph, target=target, time_is=time_is, exposure=exposure
    )
    wavelengths = air_wavelengths(source)
    data = np.asarray(source.data, np.float64)
    variance = np.zeros(data.shape)
    if source.variance is not None:
        variance = np.asarray(source.variance, np.float64)
    good = good_pixels(source) & np.isfinite(variance)
    transmission, noise = np.ones(data.shape), np.zeros(data.shape)
    found = []
    for low, high in TELLURIC_BANDS if bands is None else bands:
        inside = (wavelengths >= low) & (wavelengths <= high)
        level = _continuum(wavelengths, data, good, (low, high), side)
        if level is None or not inside.any():
            continue
        transmission[inside] = (data / level)[inside]
        noise[inside] = (variance / level**2)[inside]
        found.append(f"{low:.0f}-{high:.0f}")
    if not found:
        msg = (
            f"{df} has no telluric band with {side:g} Angstrom of continuum at each "
            "side; give bands= or a smaller side="
        )
        raise ParameterError(msg)
    made = NDLater(transmission, variance=noise, meta=source.meta.copy())
    wrong = (transmission != 1) & ~good
    made = made.replace(flags=flags_with(made, (wrong, Flag.NO_DATA)))
    made = with_wavelengths(made, wavelengths, "air")
    made.meta[_AIRMASS] = (airmass, "airmass of the telluric standard")
    qc(
        airmass=airmass,
        bands=", ".join(found),
        least_transmission=float(np.min(transmission[~wrong])),
    )
    _draw(wavelengths, transmission)
    return made


@run_task(each="file", prefix="u", cals=["telluric"])
def correct_telluric(
    df: DataFile,
    telluric: DataFile | None,
    *,
    power: Annotated[float, Range(ge=0)] = 0.55,
    target: tuple[float, float] | None = None,
    time_is: Annotated[TimeIs | None, OfInstrument()] = None,
    exposure: Annotated[float | None, Range(gt=0)] = None,
    spectrograph: SpectrographTable = None,
) -> DataFile:
    """
    Divide spectra by the telluric transmission, scaled to their airmass.

    ``correct_telluric(spectrum, telluric='star_telluric.fits')``.

    Parameters
    ----------
    df : DataFile
        Spectra of the same set-up, in counts or flux.
    telluric : DataFile
        The product of `make_telluric`.
    power : float
        The optical depth is in proportion to this power of the airmass: 0.55 is right
        for saturated lines that are not resolved, and 1 for weak ones.
    target : (float, float), optional
        Right ascension and declination [degree, ICRS], as for `correct_velocity`.
    time_is : {'start', 'middle', 'end'}, optional
        What the time in the header is, likewise.
    exposure : float, optional
        Exposure time [s]; by default that of the header.
    spectrograph : mapping, optional
        The site, as for `correct_velocity`.

    Returns
    -------
    DataFile
        The spectra, with the noise of the standard in their variance. Where less than a
        tenth of the light comes through, they are flagged.

    Raises
    ------
    ParameterError
        If there is no transmission, the airmass is not known, or wavelengths are not
        those that the telescope has seen.

    References
    ----------
    R. A. Wade and K. Horne, 1988, ApJ 324, 411.
    """
    if telluric is None or not len(telluric) or _AIRMASS not in telluric[0].meta:
        msg = (
            "correct_telluric needs a product of make_telluric: "
            "telluric='star_telluric.fits'"
        )
        raise ParameterError(msg)
    airmass, _ = airmass_at_middle(
        df, spectrograph, target=target, time_is=time_is, exposure=exposure
    )
    depth = (airmass / float(telluric[0].meta[_AIRMASS])) ** power
    qc(airmass=airmass, depth_ratio=depth)
    new = df.copy()
    name = str(df.filename or "the spectrum")
    for number, ndd in enumerate(df):
        require_topocentric(ndd, name, "correct_telluric")
        if _CORRECTED in ndd.meta:
            msg = f"{name} was divided by telluric absorption already ({_CORRECTED})"
            raise ParameterError(msg)
        new[number] = _divided(ndd, telluric[0], depth)
        new[number].meta[_CORRECTED] = (depth, "absorption that was divided by")
        report_spectra([ndd, new[number]], ["before", "corrected"])
    return new


def _divided(ndd: NDLater, telluric: NDLater, depth: float) -> NDLater:
    wavelengths, known = air_wavelengths(ndd), air_wavelengths(telluric)
    order = slice(None) if known[0] < known[-1] else slice(None, None, -1)
    bad = ~good_pixels(telluric)
    planes = (telluric.data, telluric.variance, bad)
    passed, noise, lost = (
        np.interp(wavelengths, known[order], np.asarray(plane, np.float64)[order])
        for plane in planes
    )
    opaque = ~(passed**depth > _OPAQUE) | (lost > 0)
    passed = np.where(opaque, np.nan, passed)
    data = np.asarray(ndd.data, np.float64) / passed**depth
    variance = None
    if ndd.variance is not None:
        variance = np.asarray(ndd.variance, np.float64) / passed ** (2 * depth)
        variance = variance + (data * depth / passed) ** 2 * noise
    made: NDLater = ndd.replace(
        data=data, variance=variance, flags=flags_with(ndd, (opaque, Flag.NO_DATA))
    )
    made.wcs = ndd.wcs
    return made


def _continuum(
    wavelengths: Array,
    data: Array,
    good: npt.NDArray[np.bool_],
    band: tuple[float, float],
    side: float,
) -> Array | None:
    """Draw a line between the sides of a band; None where one is missing."""
    low, high = band
    places, levels = [], []
    for first, last in ((low - side, low), (high, high + side)):
        use = good & (wavelengths >= first) & (wavelengths <= last) & (data > 0)
        if use.sum() < _LEAST_PIXELS:
            return None
        places.append(float(np.mean(wavelengths[use])))
        levels.append(float(np.log(np.median(data[use]))))
    slope = (levels[1] - levels[0]) / (places[1] - places[0])
    line: Array = np.exp(levels[0] + slope * (wavelengths - places[0]))
    return line


def _draw(wavelengths: Array, transmission: Array) -> None:
    if (figure := new_figure()) is None:
        return
    figure.set_size_inches(8.9, 3)
    axis = figure.subplots()
    axis.plot(wavelengths, transmission, "k", lw=0.7)
    axis.set_ylim(-0.1, 1.2)
    axis.set_xlabel("wavelength [Angstrom]")
    axis.set_ylabel("transmission")
    figure.tight_layout()
    qc(figure=figure)
