"""Wavelengths of the pixels of a long-slit spectrograph, from an arc."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.table import Table

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.engines.quality import about
from ndmapper.errors import ParameterError
from ndmapper.lib.alike import called
from ndmapper.lib.flagging import flags_with, good_pixels
from ndmapper.lib.spec.axis import WAVETYPE, Medium, word_of
from ndmapper.lib.spec.identifying import decide_lines
from ndmapper.lib.spec.line_lists import join_lists
from ndmapper.lib.spec.template import range_of_template
from ndmapper.lib.spec.wavelength_figures import draw_arc, draw_slit
from ndmapper.lib.spectrograph import Spectrograph, SpectrographTable, spectrograph_of
from ndmapper.numerics.arc_lines import LineFlag, Lines, find_lines
from ndmapper.numerics.arc_match import SearchRange
from ndmapper.numerics.dispersion import DispersionFit, Kind, fit_surface
from ndmapper.numerics.identification import (
    DoubtfulSolutionError,
    Identification,
    LineList,
    identify,
)
from ndmapper.numerics.line_traces import (
    LineTraces,
    light_of_rows,
    lit_rows,
    spectrum_of_rows,
    trace_lines,
)
from ndmapper.numerics.slit_count import SeveralSlitsError, check_one_slit
from ndmapper.steps import Range, Unit, qc, run_task

__all__ = ["make_wavelengths"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LINES = "ARCLINES"
"""Name of the table of lines of a product."""

_MIDDLE = 5
"""The spectrum of so many rows either side of the middle is identified."""

_WIDER = 1.9
"""A refused arc is tried with dispersions that are wrong by this factor, too."""

_UNCERTAIN = 3.0
"""Wavelengths less certain than so many times the largest error are flagged."""

log = logging.getLogger(__name__)

Pair = tuple[float, float]


@run_task(each="file", suffix="_wave", cals=["line_list", "template"])
def make_wavelengths(
    df: DataFile,
    line_list: DataFile | None = None,
    template: DataFile | None = None,
    *,
    lines: Sequence[str] | None = None,
    medium: Medium = "air",
    kind: Kind = "polynomial",
    order: Annotated[int | None, Range(ge=1, le=30)] = None,
    slit_order: Annotated[int, Range(ge=0, le=5)] = 2,
    shift: Annotated[float, Range(gt=0), Unit("Angstrom")] = 200.0,
    stretch: Annotated[float, Range(gt=0, lt=1)] = 0.15,
    centre_within: Pair | None = None,
    dispersion_within: Pair | None = None,
    least_snr: Annotated[float, Range(gt=0)] = 10.0,
    max_error: Annotated[float, Range(gt=0), Unit("pixel")] = 0.1,
    interact: bool | None = None,
    spectrograph: SpectrographTable = None,
) -> list[NDLater]:
    """
    Find the wavelength of each pixel by an arc: ``make_wavelengths(arc)``.

    Lines are found in the middle of the slit, identified in a list, and followed along
    the slit. Where to look is taken from ``[spectrograph]`` of the instrument's table
    (lines, wavelength_range, dispersion). A solution that is not sure is an error.

    Parameters
    ----------
    df : DataFile
        The arc, without bias; with variance, if possible.
    line_list : DataFile, optional
        Table of lines beside, or in place of, those of the package, with a column
        wavelength [Angstrom], perhaps strength, and ``medium: air`` or ``medium:
        vacuum`` in its metadata or comments.
    template : DataFile, optional
        Spectrum of such an arc with wavelengths, which tells where to look: any
        spectrum with world coordinates, or a table with columns wave and flux.
    lines : list of str, optional
        Line lists of the package; by default those of the instrument's table.
    medium : {'air', 'vacuum'}
        What the wavelengths are to be in.
    kind : {'polynomial', 'spline'}
        Function along the dispersion; a spline is cubic.
    order : int, optional
        Degree of the polynomial, or number of pieces of the spline; by default that
        which best predicts lines that were left out, from 2 to 5.
    slit_order : int
        Degree of the polynomial along the slit; 0 if lines are not to be followed.
    shift : float
        The wavelength in the middle of the table may be wrong by so much.
    stretch : float
        The dispersion of the table may be wrong by this part of it.
    centre_within, dispersion_within : (float, float), optional
        Limits of both in place of the table's values [Angstrom, and Angstrom/pixel].
    least_snr : float
        Lines with fainter peaks are not used.
    max_error : float
        Largest standard error of the solution between the lines; wavelengths less
        certain than three times it are flagged.
    interact : bool, optional
        Whether the lines are identified on a plot.
    spectrograph : mapping, optional
        Keys of ``[spectrograph]`` that replace those of the instrument's table.

    Returns
    -------
    list of NDLater
        For each extension the wavelength of each pixel [Angstrom], its variance, and
        flags (BAD) where it is not certain. WAVETYPE in the header is AWAV for air and
        WAVE for vacuum, as in CTYPE of a spectrum. The table ARCLINES has the lines:
        pixel, wavelength, residual, and why a line is not used.

    Raises
    ------
    ParameterError
        If no solution is sure; a figure shows the best one. If nothing tells which
        lines there are or where to look, or the wavelengths fall where they should
        rise.

    Notes
    -----
    All dispersions, shifts and curvatures within the limits are tried. Solutions are
    judged by how well they predict each line from all the others, against what chance
    would do with a list of that density, and against the best other solution. The same
    arc gives the same answer in every run.
    """
    found = []
    for ndd in df:
        with about("" if ndd.ident is None else f"[{ndd.ident}]"):
            geometry = spectrograph_of(spectrograph, ndd)
            listed = join_lists(_names(lines, geometry, line_list), medium, line_list)
            arc = _Arc.of(ndd, geometry)
            settings = _Settings(
                kind=kind, order=order, slit_order=slit_order, shift=shift,
                stretch=stretch, centre_within=centre_within,
                dispersion_within=dispersion_within, least_snr=least_snr,
                max_error=max_error, template=template, medium=medium,
            )  # fmt: skip
            solution = _identified(arc, listed, settings)
            found.append(_product(arc, solution, settings))
    return found


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """What a call states."""

    kind: Kind
    order: int | None
    slit_order: int
    shift: float
    stretch: float
    centre_within: Pair | None
    dispersion_within: Pair | None
    least_snr: float
    max_error: float
    template: DataFile | None
    medium: Medium


@dataclass(frozen=True, kw_only=True)
class _Arc:
    """An arc, turned so that the slit is along axis 0, and its spectrum."""

    ndd: NDLater
    geometry: Spectrograph
    image: Array
    variance: Array
    bad: Mask
    rows: slice
    # The row of the spectrum, which is of some rows around it.
    row: int
    spectrum: Array
    noise2: Array
    lost: Mask

    @classmethod
    def of(cls, ndd: NDLater, geometry: Spectrograph) -> "_Arc":
        """Take an extension."""
        image = geometry.turned(np.asarray(ndd.data, np.float64))
        bad = ~geometry.turned(good_pixels(ndd))
        if bad.all():
            msg = f"no pixel of {called(ndd)} is good"
            raise ParameterError(msg)
        bad = bad | geometry.in_gap(image.shape[1])
        if ndd.variance is None:
            log.warning("the arc has no variance; that of its noise is estimated")
            known = image[:, ~bad.all(axis=0)]
            steps = np.diff(known, axis=1)
            width = 1.4826 * float(np.nanmedian(np.abs(steps))) / np.sqrt(2)
            variance = np.maximum(np.nan_to_num(image), 0) + max(width, 1e-9) ** 2
        else:
            variance = geometry.turned(np.asarray(ndd.variance, np.float64))
        rows = geometry.rows(image.shape[0])
        light = light_of_rows(image, bad, rows)
        try:
            check_one_slit(light[:, None])
        except SeveralSlitsError as err:
            msg = f"{ndd!r}: {err}"
            raise ParameterError(msg) from err
        rows = lit_rows(light, rows)
        row = (rows.start + rows.stop - 1) // 2
        part = slice(max(rows.start, row - _MIDDLE), min(rows.stop, row + _MIDDLE + 1))
        spectrum, noise2, lost = spectrum_of_rows(image, variance, bad, part)
        return cls(
            ndd=ndd, geometry=geometry, image=image, variance=variance, bad=bad,
            rows=rows, row=row, spectrum=spectrum, noise2=noise2, lost=lost,
        )  # fmt: skip

    @property
    def length(self) -> int:
        """Number of pixels along the dispersion."""
        return int(self.image.shape[1])


def _names(
    lines: Sequence[str] | None, geometry: Spectrograph, own: DataFile | None
) -> Sequence[str]:
    """Choose the lists of the package: of the call, or of the table."""
    if lines is not None:
        return lines
    return () if own is not None else geometry.values.get("lines", ())


def _identified(arc: _Arc, listed: LineList, settings: _Settings) -> Identification:
    """Identify the lines of the spectrum in the middle of the slit."""
    try:
        lines = find_lines(
            arc.spectrum, arc.noise2, bad=arc.lost, least_snr=settings.least_snr
        )
    except ValueError as err:
        draw_arc(arc.spectrum, None, None, title=str(err))
        msg = f"{arc.ndd!r}: {err}; is it an arc, and is its lamp on?"
        raise ParameterError(msg) from err
    _tell_saturated(arc, lines)
    search = _search_range(arc, settings)
    found: Identification | None = None
    doubt = ""
    try:
        found = identify(
            lines, listed, arc.length, search, kind=settings.kind,
            order=settings.order, max_error=settings.max_error,
        )  # fmt: skip
    except DoubtfulSolutionError as err:
        found, doubt = err.found, str(err)
    chosen = decide_lines(
        lines, listed, arc.spectrum, found, kind=settings.kind, order=settings.order
    )
    if chosen is not None:
        found, doubt = chosen, ""
    if found is None or doubt:
        draw_arc(arc.spectrum, lines, found, title=doubt)
        msg = (
            f"{arc.ndd!r}: {doubt}. The lines were looked for with the middle of the "
            f"spectrum at {search.centre[0]:.0f} to {search.centre[1]:.0f} Angstrom "
            f"and {search.dispersion[0]:.3g} to {search.dispersion[1]:.3g} "
            "Angstrom/pixel"
            f"{_elsewhere(lines, listed, arc, search)}: look whether these and the "
            "lamps (lines=) are right, give a template, or identify the lines yourself "
            "with interact=True"
        )
        raise ParameterError(msg)
    if found.fit.slope((arc.length - 1) / 2) < 0:
        axis = arc.geometry.values.get("wavelength", "rises")
        msg = (
            f"the wavelengths of {arc.ndd!r} do the opposite of what is stated or "
            f"taken for granted (wavelength = {axis!r} in [spectrograph]); give "
            "spectrograph={'wavelength': "
            f"{'rises' if axis == 'falls' else 'falls'!r}}}, or correct the table"
        )
        raise ParameterError(msg)
    return found


def _tell_saturated(arc: _Arc, lines: Lines) -> None:
    """Warn of lines that are saturated and that no flag of the arc has told of."""
    saturated = (lines.flags & int(LineFlag.SATURATED)) != 0
    place = np.rint(lines.pixel).astype(np.intp).clip(0, arc.length - 1)
    untold = int(np.sum(saturated & ~arc.lost[place]))
    if untold:
        log.warning(
            "%r: %d of %d lines have flat tops, as saturated ones have, without a flag "
            "of it, and are not used; is the saturation of the detector in its table?",
            arc.ndd, untold, len(lines),
        )  # fmt: skip


def _elsewhere(lines: Lines, listed: LineList, arc: _Arc, search: SearchRange) -> str:
    """Tell of a solution that is sure, if there is one beyond what was stated."""
    low, high = search.centre
    wider = SearchRange(
        centre=(low - (high - low), high + (high - low)),
        dispersion=(search.dispersion[0] / _WIDER, search.dispersion[1] * _WIDER),
        directions=search.directions,
    )
    try:
        found = identify(lines, listed, arc.length, wider)
    except DoubtfulSolutionError:
        return ""
    middle = (arc.length - 1) / 2
    return (
        f". With {float(found.fit(middle)):.0f} Angstrom there and "
        f"{abs(float(found.fit.slope(middle))):.3g} Angstrom/pixel "
        f"{int(found.used.sum())} of {int(lines.good.sum())} lines agree, which is sure"
    )


def _search_range(arc: _Arc, settings: _Settings) -> SearchRange:
    """Find where solutions are looked for."""
    if settings.template is not None:
        return range_of_template(settings.template, arc.spectrum, settings.medium)
    ends, step = arc.geometry.wavelength_range, arc.geometry.dispersion
    if step is None and ends is not None:
        step = (ends[1] - ends[0]) / max(arc.length - 1, 1)
    centre, dispersion = settings.centre_within, settings.dispersion_within
    if centre is None and ends is not None:
        middle = (ends[0] + ends[1]) / 2
        centre = (middle - settings.shift, middle + settings.shift)
    if dispersion is None and step is not None:
        factor = 1 + settings.stretch
        dispersion = (step / factor, step * factor)
    if centre is None or dispersion is None:
        msg = (
            f"nothing tells about where the wavelengths of {arc.ndd!r} are: give "
            "spectrograph={'wavelength_range': [first, last]}, or centre_within= and "
            "dispersion_within=, or a template"
        )
        raise ParameterError(msg)
    # Both directions are tried, since a wrong one is to be told as such.
    return SearchRange(
        centre=(min(centre), max(centre)),
        dispersion=(min(dispersion), max(dispersion)), directions=(1, -1),
    )  # fmt: skip


def _product(arc: _Arc, solution: Identification, settings: _Settings) -> NDLater:
    """Make the image of wavelengths, with its table of lines, numbers and figures."""
    surface, traces = _along_slit(arc, solution, settings.slit_order)
    x = np.arange(arc.length, dtype=np.float64)
    if surface is None:
        values = np.broadcast_to(solution.fit(x), arc.image.shape)
        variance = np.zeros(arc.image.shape)
    else:
        values, variance = surface.on_image(*arc.image.shape)
    slope = np.abs(np.gradient(values, axis=1))
    # A line that is wrong is so all along the slit, which bands cannot tell.
    variance = variance + (solution.error(x) * slope) ** 2
    uncertain = ~(np.sqrt(variance) < _UNCERTAIN * settings.max_error * slope)
    back = arc.geometry.back
    plain = arc.ndd.replace(flags=np.zeros(arc.ndd.shape, np.uint16))
    product = plain.replace(
        data=np.ascontiguousarray(back(values)),
        variance=np.ascontiguousarray(back(variance)),
        flags=flags_with(plain, (back(uncertain), Flag.BAD)),
        unit=u.AA,
    )
    word = word_of(settings.medium)
    product.meta[WAVETYPE] = (word, f"wavelengths in {settings.medium}")
    product.tables[LINES] = _table(solution, settings.medium)
    _report(arc, solution, uncertain)
    draw_arc(arc.spectrum, solution.lines, solution)
    if surface is not None:
        _report_slit(arc, surface, traces)
    return product


def _along_slit(
    arc: _Arc, solution: Identification, slit_order: int
) -> tuple[DispersionFit | None, LineTraces]:
    """Follow the lines along the slit, and fit the wavelengths on the image."""
    lines, known = solution.lines, solution.used
    rows = arc.rows
    traces = trace_lines(
        arc.image, arc.variance, arc.bad, lines, rows=rows, start=arc.row
    )
    of_use = known[traces.line]
    traces = LineTraces(
        line=traces.line[of_use], x=traces.x[of_use], y=traces.y[of_use],
        error=traces.error[of_use],
    )  # fmt: skip
    bands = len(np.unique(traces.y))
    if slit_order == 0 or bands < slit_order + 3:
        return None, traces
    # What the list and the solution differ by is not what the tilt is fitted to.
    wavelength = solution.fit(lines.pixel)[traces.line]
    slope = np.abs(solution.fit.slope(traces.x))
    variance = (slope * np.maximum(traces.error, 1e-3)) ** 2
    try:
        surface = fit_surface(
            traces.x, traces.y, wavelength, variance,
            domain=(0.0, arc.length - 1.0, float(rows.start), rows.stop - 1.0),
            kind=solution.fit.kind, order=solution.fit.order, slit_order=slit_order,
        )  # fmt: skip
    except ValueError as err:
        log.warning("the lines are not followed along the slit: %s", err)
        return None, traces
    return surface, traces


def _table(solution: Identification, medium: Medium) -> Table:
    """Make the table of lines."""
    lines = solution.lines
    table = Table()
    table["pixel"] = lines.pixel * u.pix
    table["pixel_error"] = (
        np.where(np.isfinite(lines.error), lines.error, np.nan) * u.pix
    )
    table["wavelength"] = solution.wavelengths * u.AA
    table["residual"] = solution.residuals * u.pix
    table["fwhm"] = lines.fwhm * u.pix
    table["peak"] = lines.peak
    table["used"] = solution.used
    table["clear"] = solution.clear
    table["why_not"] = np.array(solution.why_not, "U32")
    table["pixel"].description = "centre along the dispersion; the first pixel is 0"
    table["wavelength"].description = f"wavelength of the list, in {medium}"
    table["residual"].description = "wavelength minus solution, in pixels"
    table["clear"].description = "used, and no other line is known to shift it"
    return table


def _report(arc: _Arc, solution: Identification, uncertain: Mask) -> None:
    fit = solution.fit
    middle = (arc.length - 1) / 2
    qc(
        lines=int(solution.clear.sum()),
        lines_found=len(solution.lines),
        rms=solution.rms * u.pix,
        loo=solution.loo * u.pix,
        order=fit.order,
        fwhm=solution.lines.width * u.pix,
        centre=float(fit(middle)) * u.AA,
        dispersion=float(fit.slope(middle)) * (u.AA / u.pix),
        uncertain=float(uncertain[arc.rows].mean()),
        **{name: float(value) for name, value in solution.evidence.items()},
    )


def _report_slit(arc: _Arc, surface: DispersionFit, traces: LineTraces) -> None:
    """Report how the lines lie along the slit."""
    middle = (arc.length - 1) / 2
    rows = np.linspace(arc.rows.start, arc.rows.stop - 1, 50)
    tilt = surface(middle, rows) / surface.slope(middle, rows)
    slope = np.abs(surface.slope(traces.x, traces.y))
    residuals = surface.residuals / slope
    qc(
        slit_rms=float(np.sqrt(np.mean(residuals[surface.used] ** 2))) * u.pix,
        slit_range=float(np.ptp(tilt)) * u.pix,
        slit_points=int(surface.used.sum()),
    )
    draw_slit(traces, residuals, surface.used)
