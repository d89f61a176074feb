"""Flexure: wavelengths of a frame, shifted by the lines of its own sky."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from astropy import units as u

from ndmapper.data import NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.alike import called, check_shape
from ndmapper.lib.figures import new_figure
from ndmapper.lib.flagging import good_pixels
from ndmapper.lib.spec.axis import medium_of
from ndmapper.lib.spec.line_lists import join_lists
from ndmapper.lib.spectrograph import Spectrograph, SpectrographTable, spectrograph_of
from ndmapper.numerics.arc_lines import measure_lines
from ndmapper.steps import Range, Unit, qc, run_task

__all__ = ["correct_flexure"]

Array = npt.NDArray[np.float64]

_REACH = 4
"""Pixels within so many FWHM of a line are looked at."""

_APART = 2.5
"""Lines nearer to each other than so many FWHM are not used."""


@dataclass(frozen=True)
class _Shift:
    """How far a line lies from where the arc has it, and the error [pixel]."""

    wavelength: float
    value: float
    error: float


@run_task(suffix="_wave", cals=["wavelengths"])
def correct_flexure(
    ndd: NDLater,
    wavelengths: NDLater,
    *,
    lines: Sequence[str] = ("sky",),
    least_snr: Annotated[float, Range(gt=0)] = 10.0,
    max_shift: Annotated[float, Range(gt=0), Unit("pixel")] = 3.0,
    fwhm: Annotated[float | None, Range(gt=0), Unit("pixel")] = None,
    spectrograph: SpectrographTable = None,
) -> NDLater:
    """
    Shift the wavelengths of a frame by its sky: ``correct_flexure(frame, waves)``.

    Parameters
    ----------
    ndd : NDLater
        The frame with its sky, not rectified.
    wavelengths : NDLater
        The wavelength of each pixel, as `make_wavelengths` gives it.
    lines : list of str
        Line lists of the package with the lines of the sky.
    least_snr : float
        Fainter lines are not used.
    max_shift : float
        Lines that lie further away are taken for others.
    fwhm : float, optional
        FWHM of a line; by default that of the lines of the arc.
    spectrograph : mapping, optional
        Keys of ``[spectrograph]`` that replace those of the instrument's table.

    Returns
    -------
    NDLater
        The wavelengths of this frame, all shifted by the same number of pixels, with
        the error of the shift in their variance. FLEXURE and FLEXERR in the header are
        the shift and its error [pixel].

    Raises
    ------
    ParameterError
        If no line of the sky is bright enough.
    """
    check_shape(ndd, wavelengths, "the wavelengths")
    geometry = spectrograph_of(spectrograph, ndd)
    waves = geometry.turned(np.asarray(wavelengths.data, np.float64))
    width = fwhm or _width_of(wavelengths)
    listed = join_lists(list(lines), medium_of(wavelengths)).wavelengths
    slope = np.gradient(waves, axis=1)
    step = abs(float(np.median(slope)))
    alone = np.full(len(listed), np.inf)
    alone[1:] = np.diff(listed)
    alone[:-1] = np.minimum(alone[:-1], np.diff(listed))

    def measured(line: float) -> _Shift | None:
        return _shift_of(ndd, geometry, waves, line, width=width, least_snr=least_snr)

    shifts = [
        shift
        for line in listed[alone > _APART * width * step]
        if (shift := measured(float(line))) and abs(shift.value) < max_shift
    ]
    if not shifts:
        msg = (
            f"{called(ndd)} has no line of the sky ({', '.join(lines)}) of a signal-to-"
            f"noise ratio above {least_snr:g} between {np.min(waves):.0f} and "
            f"{np.max(waves):.0f} Angstrom, by which flexure could be measured"
        )
        raise ParameterError(msg)
    value, error = _mean(shifts)
    qc(flexure=value * u.pix, flexure_error=error * u.pix, sky_lines=len(shifts))
    _draw(shifts, value, error)
    moved = geometry.back(waves - value * slope)
    variance = geometry.back((error * slope) ** 2)
    if wavelengths.variance is not None:
        variance = variance + np.asarray(wavelengths.variance, np.float64)
    product = wavelengths.replace(
        data=np.ascontiguousarray(moved), variance=np.ascontiguousarray(variance)
    )
    product.meta["FLEXURE"] = (round(value, 4), "shift of the sky from the arc [pixel]")
    product.meta["FLEXERR"] = (round(error, 4), "standard error of FLEXURE [pixel]")
    return product


def _width_of(wavelengths: NDLater) -> float:
    """Give the FWHM of the lines of the arc [pixel]."""
    if "ARCLINES" not in wavelengths.tables:
        return 3.0
    table = wavelengths.tables["ARCLINES"]
    used = np.asarray(table["used"], np.bool_)
    return float(np.median(np.asarray(table["fwhm"], np.float64)[used]))


def _shift_of(
    ndd: NDLater,
    geometry: Spectrograph,
    waves: Array,
    line: float,
    *,
    width: float,
    least_snr: float,
) -> _Shift | None:
    """
    Measure how far a line of the sky lies from where the arc has it.

    The pixels of each row are taken relative to that place, and their median is that of
    the sky, where objects cover less than half of the slit.
    """
    image = geometry.turned(np.asarray(ndd.data, np.float64))
    good = geometry.turned(good_pixels(ndd))
    rows = geometry.rows(image.shape[0])
    offsets = np.arange(-int(_REACH * width) - 1, int(_REACH * width) + 2)
    x = np.arange(image.shape[1], dtype=np.float64)
    found = []
    for row in range(rows.start, rows.stop):
        place = float(np.interp(line, waves[row], x, left=np.nan, right=np.nan))
        if not (-offsets[0] < place < len(x) - 1 - offsets[-1]):
            continue
        if good[row].sum() > 0.5 * len(x):
            at, known = place + offsets, good[row]
            found.append(np.interp(at, x[known], image[row][known]))
    if len(found) < 3:
        return None
    profiles = np.array(found)
    profile = np.median(profiles, axis=0)
    scatter = 1.4826 * np.median(np.abs(profiles - profile), axis=0)
    variance = np.maximum(np.pi / 2 * scatter**2 / len(found), 1e-12)
    middle = -float(offsets[0])
    peak = float(np.argmax(profile[2:-2]) + 2)
    seen = measure_lines(profile, variance, np.array([peak]), width)
    if not seen.good[0] or seen.snr[0] < least_snr:
        return None
    return _Shift(line, float(seen.pixel[0] - middle), float(seen.error[0]))


def _mean(shifts: Sequence[_Shift]) -> tuple[float, float]:
    """Give the mean shift, and the error that the lines or their scatter tell."""
    values = np.array([s.value for s in shifts])
    variance = np.array([s.error for s in shifts]) ** 2
    keep = np.abs(values - np.median(values)) < 0.5
    values, weight = values[keep], 1 / variance[keep]
    mean = float(np.average(values, weights=weight))
    error2 = 1 / float(weight.sum())
    if len(values) > 2:
        chi2 = float(np.sum(weight * (values - mean) ** 2)) / (len(values) - 1)
        error2 *= max(1.0, chi2)
    return mean, float(np.sqrt(error2))


def _draw(shifts: Sequence[_Shift], value: float, error: float) -> None:
    """Draw how far each line of the sky lies from where the arc has it."""
    if (figure := new_figure()) is None:
        return
    figure.set_size_inches(8.9, 3)
    axis = figure.subplots(gridspec_kw={"left": 0.09, "right": 0.98, "bottom": 0.17})
    lines, values, errors = (
        [getattr(shift, name) for shift in shifts]
        for name in ("wavelength", "value", "error")
    )
    axis.axhspan(value - error, value + error, color="0.85", label="mean, its error")
    axis.axhline(value, color="0.6")
    axis.errorbar(lines, values, errors, fmt="k.", label="lines of the sky")
    axis.axhline(0, color="0.6", linestyle=":")
    axis.set_xlabel("wavelength [Angstrom]", fontsize=9)
    axis.set_ylabel("sky - arc [pixel]", fontsize=9)
    axis.legend(fontsize=7)
    qc(figure=figure)
