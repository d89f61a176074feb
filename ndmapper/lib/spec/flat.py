"""The light of the slit that a spectral flat leaves or takes: illumination, scatter."""

import logging
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from ndmapper.calibrations.copies import distinct_exposures
from ndmapper.data import DataFile, DataFileList, Flag, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.alike import check_shape
from ndmapper.lib.ccd.applied import times_applied
from ndmapper.lib.combine import check_frames, combine_files
from ndmapper.lib.figures import image_panel, report_panels
from ndmapper.lib.flagging import flags_with, good_pixels
from ndmapper.lib.spec.axis import counterpart, turned_wavelengths
from ndmapper.lib.spectrograph import (
    Spectrograph,
    SpectrographTable,
    spectrograph_of,
    spectrograph_of_light,
)
from ndmapper.numerics.formulas import narrowed
from ndmapper.numerics.scattered_light import ScatteredLight, fit_scattered_light
from ndmapper.numerics.slit import LitSlit, lit_slit
from ndmapper.numerics.slit_light import SlitLight, fit_slit_light
from ndmapper.steps import Range, Unit, qc, run_task

__all__ = ["make_slit_illumination", "subtract_scattered_light"]

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Windows = Sequence[tuple[float, float]]

_SMOOTH = 51
"""Spectra of frames are compared by medians over so many columns."""

_SIGNIFICANT = 3.0
_MATTERS = 0.003
"""Structure along the slit that the fit leaves is told from these on: its rms in units
of its error, and as a part of the light."""


@run_task(
    each="list",
    outputs="illumination",
    suffix="_illumination",
    cals=["wavelengths"],
)
def make_slit_illumination(
    files: DataFileList,
    wavelengths: DataFile | Sequence[DataFile] | None = None,
    *,
    method: Literal["mean", "median", "sigclip"] = "sigclip",
    low: Annotated[float, Range(gt=0)] = 5.0,
    high: Annotated[float, Range(gt=0)] = 5.0,
    slit_degree: Annotated[int, Range(ge=1)] = 8,
    slit_degree_along: Annotated[int, Range(ge=0)] = 3,
    edge_margin: Annotated[float, Range(ge=0), Unit("pixel")] = 3.0,
    largest_error: Annotated[float, Range(gt=0)] = 0.01,
    spectrograph: SpectrographTable = None,
) -> list[NDLater]:
    """
    Measure how evenly a slit is lit, by frames of twilight or of a lamp.

    ``make_slit_illumination(twilights, illumination='slit.fits')``. The frames are
    brought to one spectrum and combined, and their light is taken apart into a spectrum
    and a smooth function of the place in the slit and of the wavelength.
    `apply_illumination` divides frames by it, after the flat.

    Parameters
    ----------
    files : DataFileList
        Frames of twilight, or of a lamp that lights the slit as the sky does; with
        variance, and divided by the pixel flat, best dithered along the slit.
    wavelengths : DataFile, optional
        The wavelength of each pixel, as `make_wavelengths` gives it: needed where lines
        are tilted, since what a column then sees of the spectrum is no illumination.
    method : {'mean', 'median', 'sigclip'}
        How the frames are combined.
    low, high : float
        Limits of the clipping [standard deviations].
    slit_degree, slit_degree_along : int
        Degrees of the polynomial along the slit and along the dispersion; the first is
        less than the number of rows.
    edge_margin : float
        Pixels nearer than this to the edge of the slit count as unlit [pixel]; of
        frames that were divided by a flat, those of the flat count.
    largest_error : float
        Where the relative error of the illumination is larger, or beyond the columns
        that tell it so well, it is flagged BAD.
    spectrograph : mapping, optional
        Keys of ``[spectrograph]`` that replace those of the instrument's table.

    Returns
    -------
    list of NDLater
        The illumination, without unit; its mean along the slit is 1 in each column. Its
        variance is that of the fit, which all pixels of a column share. It is 1 and
        flagged UNILLUMINATED beside the slit. FLATKIND = 'illumination' in its header
        says what it is.

    Raises
    ------
    ParameterError
        If frames were corrected by an illumination already, or there is too little
        light.

    Notes
    -----
    Of the lamps that the flat was made of, noise that they share with it is counted
    twice, so that errors are 1.4 times too large.
    """
    files = DataFileList(data=[files[i] for i in distinct_exposures(files)])
    if not len(files):
        msg = "make_slit_illumination needs a frame of twilight or of a lamp"
        raise ParameterError(msg)
    if wavelengths is not None and not isinstance(wavelengths, DataFile):
        msg = (
            "the frames have several calibrations 'wavelengths', which says that they "
            "are not of one set-up; give wavelengths= as one file"
        )
        raise ParameterError(msg)
    check_frames(files)
    _check_history(files)
    geometries = [
        spectrograph_of_light(spectrograph, ndd, _light(ndd)) for ndd in files[0]
    ]
    frames = _of_one_spectrum(files, geometries)
    combined = combine_files(frames, method=method, low=low, high=high)
    made = []
    for ndd, geometry in zip(combined, geometries, strict=True):
        waves = None
        if wavelengths is not None:
            # Those that are flagged since their lines are few still tell the tilt.
            image = counterpart(wavelengths, ndd).replace(flags=None)
            waves = turned_wavelengths(image, geometry, ndd)
        slit = _lit(ndd, geometry, edge_margin)
        light = _fitted(
            ndd, geometry, slit, waves, (slit_degree, slit_degree_along), largest_error
        )
        made.append(_as_flat(ndd, geometry, slit, light, largest_error))
        _report(made[-1], ndd, geometry, light)
    return made


@run_task(prefix="n", cals=["flat"])
def subtract_scattered_light(
    ndd: NDLater,
    flat: NDLater | None = None,
    *,
    windows: Windows | None = None,
    degree: Annotated[int, Range(ge=0, le=5)] = 1,
    degree_along: Annotated[int, Range(ge=0, le=10)] = 3,
    margin: Annotated[float, Range(ge=0), Unit("pixel")] = 10.0,
    spectrograph: SpectrographTable = None,
) -> NDLater:
    """
    Subtract light that is scattered inside a spectrograph, as the unlit rows show it.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame without bias, with variance; lamps, too, before a flat is
        made of them.
    flat : NDLater, optional
        A flat, whose flags tell which rows the slit does not light: a first one, to
        make a better one. None: the slit of ``[spectrograph]`` tells it.
    windows : sequence of tuple of float, optional
        The unlit rows, ``(first, last)`` along the slit, from 1 [pixel].
    degree, degree_along : int
        Degrees of the polynomial along the slit and along the dispersion. With unlit
        rows on one side only, that along the slit is 0.
    margin : float
        Pixels nearer to the slit than this are not used, unless they are in `windows`
        [pixel].
    spectrograph : mapping, optional
        Keys of ``[spectrograph]`` that replace those of the instrument's table.

    Returns
    -------
    NDLater
        The frame without scattered light. The variance of the fit, which pixels share,
        is added to its own. SCATTER in the header is the median of what was subtracted.

    Raises
    ------
    ParameterError
        If nothing says which rows are unlit, or there are none; if the frame has no
        variance, or was divided by a flat, which has no answer in these rows.
    """
    if ndd.variance is None:
        msg = f"{ndd!r} has no variance, which outliers are told by: add_variance"
        raise ParameterError(msg)
    if times_applied(ndd.meta, "pixel flat"):
        msg = (
            f"{ndd!r} was divided by a flat already, which has no answer where "
            "there is no light; use subtract_scattered_light before apply_flat, and "
            "on the lamps"
        )
        raise ParameterError(msg)
    geometry = spectrograph_of(spectrograph, ndd)
    unlit = _unlit(ndd, flat, geometry, windows, margin)
    good = geometry.turned(good_pixels(ndd) & (np.asarray(ndd.variance) > 0))
    good = good & ~geometry.in_gap(good.shape[1])
    if not (unlit & good).any():
        rows = "" if windows is None else f" in the windows {list(windows)}"
        msg = (
            f"{ndd!r} has no good unlit pixel{rows}, so that scattered light cannot be "
            "told from that of the slit: name unlit rows by windows=[(first, last)], "
            "give a smaller margin, or leave the step out"
        )
        raise ParameterError(msg)
    data = geometry.turned(np.asarray(ndd.data, np.float64))
    variance = geometry.turned(np.asarray(ndd.variance, np.float64))
    degrees = (degree if _is_on_both_sides(unlit, good) else 0, degree_along)
    if degrees[0] != degree:
        log.warning(
            "%r has unlit rows on one side of the slit only: scattered light is taken "
            "to be the same along the slit",
            ndd,
        )
    try:
        found = fit_scattered_light(
            np.where(good, data, 0.0), variance, unlit & good, degrees
        )
    except ValueError as err:
        msg = f"{ndd!r}: {err}; give lower degrees, or windows="
        raise ParameterError(msg) from err
    return _without_scattered(ndd, geometry, found)


def _check_history(files: Sequence[DataFile]) -> None:
    for df in files:
        for ndd in df:
            if times_applied(ndd.meta, "illumination"):
                msg = (
                    f"{df} was corrected by an illumination already (APPILLUM), so "
                    "that there is none left to measure"
                )
                raise ParameterError(msg)
    if any(times_applied(ndd.meta, "pixel flat") is None for ndd in files[0]):
        log.warning(
            "%s was not divided by a pixel flat; use apply_flat before, with flat=None "
            "if there is none", files[0],
        )  # fmt: skip


def _of_one_spectrum(
    files: DataFileList, geometries: Sequence[Spectrograph]
) -> list[DataFile]:
    """
    Multiply frames so that each column has the light of that of the first frame.

    Twilight changes not only its level but also its colour.
    """
    from scipy.ndimage import median_filter

    first = [_columns(n, g) for n, g in zip(files[0], geometries, strict=True)]
    frames = [files[0]]
    for df in files[1:]:
        images = []
        for reference, geometry, model in zip(first, geometries, files[0], strict=True):
            ndd = df[df.idents.index(model.ident)]
            own = _columns(ndd, geometry)
            known = (reference > 0) & (own > 0)
            if not known.any():
                msg = f"{df} has no light where {files[0]} has; leave it out"
                raise ParameterError(msg)
            x = np.arange(known.size)
            ratio = np.interp(x, x[known], reference[known] / own[known])
            size = min(_SMOOTH, 2 * (ratio.size // 4) + 1)
            factor = np.asarray(median_filter(ratio, size, mode="nearest"))
            image = geometry.back(
                np.broadcast_to(factor, geometry.turned(ndd.data).shape)
            )
            variance = None
            if ndd.variance is not None:
                variance = np.asarray(ndd.variance) * image**2
            data = np.asarray(ndd.data) * image
            images.append(ndd.replace(data=data, variance=variance))
        frames.append(df.with_images(images))
    return frames


def _columns(ndd: NDLater, geometry: Spectrograph) -> Array:
    """Give the median light of each column; 0 where there is none."""
    good = geometry.turned(good_pixels(ndd))
    values = geometry.turned(np.asarray(ndd.data, np.float64))
    rows = geometry.rows(len(values))
    values = np.where(good, values, np.nan)[rows]
    median = np.zeros(values.shape[1])
    known = np.isfinite(values).any(axis=0)
    # The brighter half of the rows, for slits that do not fill the frame.
    median[known] = np.nanpercentile(values[:, known], 75, axis=0)
    return median


def _dark(ndd: NDLater) -> Mask:
    """Tell which pixels are flagged to have no light."""
    if ndd.flags is None:
        return np.zeros(ndd.shape, np.bool_)
    bit = ndd.flag_table.like_own(Flag.UNILLUMINATED)
    return np.asarray((np.asarray(ndd.flags) & bit) != 0)


def _light(ndd: NDLater) -> Array:
    """Give the light of a frame: 0 where it is known that there is none, or NaN."""
    values = np.where(good_pixels(ndd), np.asarray(ndd.data, np.float64), np.nan)
    return np.where(_dark(ndd), 0.0, values)


def _lit(ndd: NDLater, geometry: Spectrograph, edge_margin: float) -> LitSlit:
    """Find the lit pixels of a turned frame; a flat has flagged those that are not."""
    dark = geometry.turned(_dark(ndd))
    image = np.array(geometry.turned(_light(ndd)))
    image[:, geometry.in_gap(image.shape[1])] = np.nan
    rows = geometry.rows(len(image))
    try:
        found = lit_slit(image[rows], 0.5 if dark.any() else edge_margin)
    except ValueError as err:
        msg = f"{ndd!r}: {err}"
        raise ParameterError(msg) from err
    first = rows.start
    lit = np.zeros(image.shape, np.bool_)
    lit[rows] = found.lit
    position = np.zeros(image.shape)
    position[rows] = found.position
    return LitSlit(
        lower=found.lower + first,
        upper=found.upper + first,
        lit=lit & ~dark & ~geometry.in_gap(image.shape[1]),
        position=position,
    )


def _fitted(  # noqa: PLR0917
    ndd: NDLater,
    geometry: Spectrograph,
    slit: LitSlit,
    waves: Array | None,
    degree: tuple[int, int],
    largest_error: float,
) -> SlitLight:
    good = geometry.turned(good_pixels(ndd))
    data = geometry.turned(np.asarray(ndd.data, np.float64))
    variance = None
    if ndd.variance is not None:
        variance = geometry.turned(np.asarray(ndd.variance, np.float64))
        good = good & (variance > 0)
    try:
        return fit_slit_light(
            np.where(good, data, 0.0),
            None if variance is None else np.where(good, variance, 1.0),
            slit.lit & good,
            slit.position,
            degree,
            wavelengths=waves,
            largest_error=largest_error,
        )
    except ValueError as err:
        msg = (
            f"{ndd!r}: {err} to {largest_error:.3g}; take more frames, or give a "
            "larger largest_error"
        )
        raise ParameterError(msg) from err


def _as_flat(
    ndd: NDLater,
    geometry: Spectrograph,
    slit: LitSlit,
    light: SlitLight,
    largest_error: float,
) -> NDLater:
    found = light.illumination
    unsure = slit.lit & (~found.told | (found.relative_variance > largest_error**2))
    values = np.where(slit.lit, found.values, 1.0)
    variance = np.where(slit.lit, found.relative_variance * values**2, 0.0)
    dark, unsure = geometry.back(~slit.lit), geometry.back(unsure)
    flat = ndd.replace(
        data=geometry.back(values).astype(np.float32),
        variance=narrowed(geometry.back(variance), np.dtype("f4")),
        flags=flags_with(
            ndd.replace(flags=None), (dark, Flag.UNILLUMINATED), (unsure, Flag.BAD)
        ),
        unit=None,
    )
    if ndd.unit is not None:
        flat.meta["FLATUNIT"] = (ndd.unit.to_string(), "unit of the frames")
    flat.meta["FLATKIND"] = ("illumination", "what it corrects")
    flat.meta["FLATNORM"] = ("spectral", "what the flat was divided by")
    share = float(np.mean(unsure[~dark])) if (~dark).any() else 1.0
    qc(**{f"unsure{_where(ndd)}": share})
    if share:
        log.warning(
            "illumination%s: %.1f percent of the slit is told to less than %.3g, and "
            "flagged; take more frames, or give a larger largest_error",
            _where(ndd), 100 * share, largest_error,
        )  # fmt: skip
    return flat


def _report(
    flat: NDLater, ndd: NDLater, geometry: Spectrograph, light: SlitLight
) -> None:
    """Report how uneven the slit is, and what a smooth function leaves."""
    where = _where(ndd)
    values = np.asarray(flat.data)
    lit = ~_dark(flat)
    left = light.structure[np.isfinite(light.structure)]
    rms = float(np.std(left)) if left.size else 0.0
    numbers: dict[str, Any] = {
        "least": float(np.min(values[lit])),
        "most": float(np.max(values[lit])),
        "error": float(np.sqrt(np.median(np.asarray(flat.variance)[lit]))),
        "structure": rms,
    }
    qc(**{f"{name}{where}": value for name, value in numbers.items()})
    if light.significance > _SIGNIFICANT and rms > _MATTERS:
        log.warning(
            "illumination%s: rows differ by %.2g percent (rms) from a smooth function "
            "of the place in the slit; if that is no dust, give a higher slit_degree, "
            "or wavelengths where lines are tilted",
            where, 100 * rms,
        )  # fmt: skip
    level = np.where(light.spectrum > 0, light.spectrum, np.nan)
    with np.errstate(invalid="ignore"):
        relative = np.where(
            light.used,
            geometry.turned(np.asarray(ndd.data, np.float64)) / level,
            np.nan,
        )
    report_panels(
        [
            image_panel(geometry.back(relative), "light over spectrum", {}),
            image_panel(values, "illumination", {"flagged": np.asarray(flat.mask)}),
        ]
    )


def _where(ndd: NDLater) -> str:
    return "" if ndd.ident is None else f"[{ndd.ident}]"


def _unlit(
    ndd: NDLater,
    flat: NDLater | None,
    geometry: Spectrograph,
    windows: Windows | None,
    margin: float,
) -> Mask:
    """Tell which pixels of a turned frame no light reaches directly."""
    shape = geometry.turned(np.empty(ndd.shape, np.bool_)).shape
    if windows is not None:
        named = np.zeros(shape, np.bool_)
        for first, last in windows:
            if not 1 <= first <= last <= shape[0]:
                msg = (
                    f"the window ({first}, {last}) is not in the frame, which has the "
                    f"rows 1 to {shape[0]} along the slit"
                )
                raise ParameterError(msg)
            named[int(np.ceil(first)) - 1 : int(np.floor(last))] = True
        return named
    if flat is not None:
        check_shape(ndd, flat, "flat")
        lit = ~geometry.turned(_dark(flat))
    elif geometry.values.get("slit") is not None:
        lit = np.zeros(shape, np.bool_)
        lit[geometry.rows(shape[0])] = True
    else:
        msg = (
            f"nothing says which rows of {ndd!r} are unlit: name them by "
            "windows=[(first, last)], give flat= (a flat flags them), or write slit "
            "into the instrument's table under [spectrograph]"
        )
        raise ParameterError(msg)
    grown = lit.copy()
    for shift in range(1, int(np.ceil(margin)) + 1):
        grown[shift:] |= lit[:-shift]
        grown[:-shift] |= lit[shift:]
    # In columns where a lamp has no light a flat tells nothing of the slit.
    return ~grown & lit.any(axis=0)


def _is_on_both_sides(unlit: Mask, good: Mask) -> bool:
    """Whether unlit rows enclose those that are lit."""
    used = np.flatnonzero((unlit & good).any(axis=1))
    other = np.flatnonzero(~unlit.all(axis=1))
    return other.size == 0 or bool(used[0] < other[0] and used[-1] > other[-1])


def _without_scattered(
    ndd: NDLater, geometry: Spectrograph, found: ScatteredLight
) -> NDLater:
    level = geometry.back(found.level)
    data = np.asarray(ndd.data, np.float64) - level
    variance = np.asarray(ndd.variance, np.float64) + geometry.back(found.variance)
    result: NDLater = ndd.replace(
        data=data.astype(np.result_type(ndd.dtype, np.float32)),
        variance=narrowed(variance, np.dtype("f4")),
    )
    typical = float(np.median(found.level))
    result.meta["SCATTER"] = (typical, "median of scattered light")
    qc(
        scattered=typical,
        scattered_error=float(np.sqrt(np.median(found.variance))),
        unlit=float(np.mean(found.used)),
    )
    report_panels(
        [
            image_panel(ndd.data, "before", {"unlit": geometry.back(found.used)}),
            image_panel(level, "scattered light", {}),
        ]
    )
    return result
