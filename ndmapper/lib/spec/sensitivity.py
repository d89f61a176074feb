"""The sensitivity of a spectrograph, from spectra of standard stars."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.table import Table

from ndmapper.data import DataFile, DataFileList, Flag, NDLater
from ndmapper.data.header_query import look_up
from ndmapper.errors import NdmapperError, ParameterError, UnitError
from ndmapper.lib.figures import new_figure
from ndmapper.lib.flagging import flags_with, good_pixels
from ndmapper.lib.spec.axis import with_wavelengths
from ndmapper.lib.spec.count_rate import FLUX_UNIT, CountRate, count_rate
from ndmapper.lib.spec.extinction import ExtinctionCurve, extinction_for
from ndmapper.lib.spec.pointing import airmass_at_middle, target_of
from ndmapper.lib.spec.refraction import report_refraction
from ndmapper.lib.spec.standards import StandardStar, find_standard, read_standard
from ndmapper.lib.spectrograph import SpectrographTable
from ndmapper.lib.times import TimeIs
from ndmapper.numerics.response import Response, band_means, fit_response
from ndmapper.steps import OfInstrument, Range, qc, run_task

__all__ = [
    "SENSITIVITY",
    "SLIT_WIDTH",
    "TELLURIC_BANDS",
    "brightest_spectrum",
    "make_sensitivity",
]

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SENSITIVITY = "SENSITIVITY"
"""Name of the table of bands."""

SLIT_WIDTH = "SLITWID"
"""Card of a sensitivity: the width of the slit of its standard [arcsec]."""

TELLURIC_BANDS = (
    (6270.0, 6330.0), (6860.0, 6970.0), (7160.0, 7350.0), (7585.0, 7720.0),
    (8100.0, 8370.0), (8900.0, 9850.0),
)  # fmt: skip
"""Where oxygen and water vapour absorb [Angstrom, in air]."""

_LINES = (
    3835.4, 3889.1, 3970.1, 4101.7, 4340.5, 4685.7, 4861.3, 5411.5, 6562.8,
)  # fmt: skip
"""Lines of hydrogen and ionised helium of the hot stars that most standards are."""

_LINE_ERROR = 0.05
"""Relative error of bands with such lines, whose depth depends on resolution."""

_FINE = 10.0
"""Tables of smaller steps are averaged over bands of the step's own [Angstrom]."""

_UNKNOWN = 0.3
"""A sensitivity of a larger relative error is none."""

_GUESS = 0.03
"""Where the choice of a spline makes a larger relative error, there is none either."""

_GAP = 200.0
_CHANGE = 0.3
"""A change of the logarithm by more, over a gap of so many Angstrom, is told."""

_COVERED = 0.8
"""Bands of which good pixels cover less are not used."""

_MAGNITUDE = 2.5 / math.log(10)

_HC = 1.98644586e-8
"""Planck's constant times the velocity of light [erg Angstrom]."""


@dataclass(frozen=True, kw_only=True)
class _Standard:
    """One exposure of a standard star, in bands."""

    name: str
    star: StandardStar
    airmass: float
    rate: CountRate
    low: Array
    high: Array
    flux: Array  # of the table
    counts: Array  # rates above the atmosphere
    variance: Array  # of the logarithm of these
    usable: Mask
    in_line: Mask

    @property
    def centres(self) -> Array:
        return (self.low + self.high) / 2

    @property
    def log_ratio(self) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.log(self.flux / self.counts), np.float64)


@run_task(
    each="list", outputs="sensitivity", suffix="_sensitivity", options={"revision": 2}
)
def make_sensitivity(
    files: DataFileList,
    *,
    standard: str | None = None,
    extinction: str | None = None,
    mask: Sequence[tuple[float, float]] | None = None,
    line_width: Annotated[float, Range(ge=0)] = 35.0,
    band_width: Annotated[float, Range(gt=0)] = 20.0,
    knot_spacing: Annotated[float, Range(gt=0)] = 300.0,
    clip: Annotated[float, Range(gt=0)] = 3.0,
    target: tuple[float, float] | None = None,
    time_is: Annotated[TimeIs | None, OfInstrument()] = None,
    exposure: Annotated[float | None, Range(gt=0)] = None,
    spectrograph: SpectrographTable = None,
) -> NDLater:
    """
    Find the sensitivity of a spectrograph by standard stars.

    ``make_sensitivity(spectra, sensitivity='name.fits')``. The ratio of tabulated flux
    to count rate above the atmosphere is averaged over bands, and a spline is fitted
    to its logarithm.

    Parameters
    ----------
    files : DataFileList
        Spectra of standard stars with wavelengths and best with variance, of one
        set-up; of a file with several, the brightest is the star.
    standard : str, optional
        Name of the star ('Feige 66', in any spelling) or of a table
        ('feige66_massey'), or the path of a file (see `read_standard`). By default
        OBJECT of the header is the name, else its coordinates tell. `find_standard`
        says which of several tables of a star is taken.
    extinction : str, optional
        Name of an extinction curve, path of a file, or 'none'; by default what the
        table of the instrument says under ``[spectrograph]``, or a curve of its site.
    mask : sequence of (float, float), optional
        Ranges of wavelength that are not used, in air [Angstrom]; by default those of
        tellurics.
    line_width : float
        So far from lines of hydrogen and ionised helium [Angstrom] bands have a further
        error of 5 percent, so that they count only where there are no others.
    band_width : float
        Width of bands where the table has steps below 10 Angstrom [Angstrom]; else
        bands are those of the table.
    knot_spacing : float
        Distance of the knots of the spline [Angstrom]; there are at least four bands
        between two.
    clip : float
        Bands further from the fit than this are left out [standard deviations, of
        errors and scatter].
    target : (float, float), optional
        Right ascension and declination [degree, ICRS], as for `correct_velocity`.
    time_is : {'start', 'middle', 'end'}, optional
        What the time in headers is, likewise.
    exposure : float, optional
        Exposure time [s]; by default that of each header.
    spectrograph : mapping, optional
        Site, extinction, slit_width and slit_angle, as in ``[spectrograph]`` of the
        instrument's table.

    Returns
    -------
    NDLater
        Flux for each count rate, by wavelength, without atmosphere
        [erg/cm2/electron]; its variance is that of the fit, with the scatter of bands,
        and with what other splines differ by. Where these differ by more than 3
        percent, and beyond the bands, it is flagged. The table SENSITIVITY has the
        bands.

    Raises
    ------
    ParameterError
        If a star, its airmass or the extinction are not known, or too few bands are
        left.
    UnitError
        If spectra are not in counts, or their units differ.

    Notes
    -----
    The airmass is computed at the middle of the exposure; where the header has too
    little for it, it is that of the header (AIRMASS). Of several exposures each but
    that with most light is shifted by a factor that does not depend on wavelength,
    since light is lost at the slit and in clouds; the shifts are among the quality
    numbers. The scale is that of the exposure with most light, and the true one if
    that lost nothing; a target loses its own share at the slit.
    """
    if not len(files):
        msg = "make_sensitivity needs the spectrum of a standard star"
        raise ParameterError(msg)
    curve = extinction_for(extinction, spectrograph)
    ranges = _masked_ranges(mask)
    standards = []
    for df in files:
        ndd, name = brightest_spectrum(df), str(df.filename or "the spectrum")
        rate = count_rate(ndd, exposure, name).rising()
        star = _star(df, standard, rate, target)
        airmass = math.nan
        if curve is not None:
            airmass, _ = airmass_at_middle(
                df, spectrograph, target=target, time_is=time_is, exposure=exposure
            )
        standards.append(
            _in_bands(
                name, rate, star,
                airmass=airmass, curve=curve, ranges=ranges, line_width=line_width,
                band_width=band_width,
            )
        )  # fmt: skip
    _check_units(standards)
    if len(files) == 1:
        report_refraction(
            files[0], spectrograph, target=target, time_is=time_is, exposure=exposure
        )
    fit = _fitted(standards, knot_spacing, clip)
    lost = fit.offsets - np.min(fit.offsets)
    made = _product(files[0], standards, fit, curve, spectrograph)
    table = _table(standards, fit)
    made.tables[SENSITIVITY] = table
    _report(standards, fit, lost, table)
    return made


def _masked_ranges(
    given: Sequence[tuple[float, float]] | None,
) -> Sequence[tuple[float, float]]:
    if given is None:
        return TELLURIC_BANDS
    wrong = [one for one in given if not one[0] < one[1]]
    if wrong:
        msg = f"mask has ranges (first, last), and {wrong[0]} does not rise"
        raise ParameterError(msg)
    return given


def brightest_spectrum(df: DataFile) -> NDLater:
    """Give the spectrum with most light."""
    if not len(df):
        msg = f"{df} has no spectrum"
        raise ParameterError(msg)
    levels = [_median(ndd) for ndd in df]
    found: NDLater = df[int(np.argmax(levels))]
    if len(df) > 1:
        log.info("the standard of %s is its brightest spectrum, %s", df, found.ident)
    return found


def _median(ndd: NDLater) -> float:
    good = np.asarray(ndd.data)[good_pixels(ndd)]
    return float(np.median(good)) if good.size else -math.inf


def _star(
    df: DataFile,
    given: str | None,
    rate: CountRate,
    target: tuple[float, float] | None,
) -> StandardStar:
    name = given
    if name is None:
        name = next(
            (
                str(value)
                for key in ("OBJECT", "TCSTGT", "TARGNAME", "OBJNAME")
                if (value := look_up(df, key)) is not None
            ),
            None,
        )
    near = None
    if given is None:
        try:
            where = target_of(df, target)
            near = (float(where.ra.deg), float(where.dec.deg))
        except NdmapperError as err:
            log.debug("no position of %s: %s", df, err)
    covered = (float(rate.edges[0]), float(rate.edges[-1]))
    star = read_standard(find_standard(name, near=near, wavelengths=covered))
    log.info("%s is taken for %s, with the table %s", df, star.name, star.table)
    return star


def _in_bands(
    name: str,
    rate: CountRate,
    star: StandardStar,
    *,
    airmass: float,
    curve: ExtinctionCurve | None,
    ranges: Sequence[tuple[float, float]],
    line_width: float,
    band_width: float,
) -> _Standard:
    """Average table and spectrum over bands."""
    low, high, flux = _bands(star, rate, band_width)
    above = np.ones(rate.values.shape)
    if curve is not None:
        above = 10 ** (0.4 * airmass * curve.at(rate.wavelengths))
    variance = np.zeros(above.shape) if rate.variance is None else rate.variance
    good = rate.good & np.isfinite(variance)
    means = band_means(
        rate.edges,
        np.where(good, rate.values * above, 0.0),
        np.where(good, variance * above**2, 0.0),
        good,
        low=low,
        high=high,
    )
    usable = (means.covered > _COVERED) & (means.values > 0) & np.isfinite(flux)
    for first, last in ranges:
        usable &= (high < first) | (low > last)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = means.variance / means.values**2
    if rate.variance is None:
        relative = np.full(low.shape, 1e-4)
    # An error below this is none that a table of fluxes has.
    relative = np.maximum(np.where(usable, relative, np.inf), 1e-8)
    in_line = np.zeros(low.shape, np.bool_)
    for line in _LINES if line_width else ():
        in_line |= (low < line + line_width) & (high > line - line_width)
    relative[in_line] += _LINE_ERROR**2
    return _Standard(
        name=name, star=star, airmass=airmass, rate=rate, low=low, high=high,
        flux=flux, counts=means.values, variance=relative, usable=usable,
        in_line=in_line,
    )  # fmt: skip


def _bands(
    star: StandardStar, rate: CountRate, band_width: float
) -> tuple[Array, Array, Array]:
    """Give limits and fluxes of the bands of a table that a spectrum covers."""
    first, last = rate.edges[0], rate.edges[-1]
    if star.step >= _FINE:
        widths = star.widths
        if widths is None:
            widths = np.gradient(star.wavelengths)
        low, high = star.wavelengths - widths / 2, star.wavelengths + widths / 2
        inside = (low >= first) & (high <= last)
        return low[inside], high[inside], star.flux[inside]
    start, stop = max(first, star.wavelengths[0]), min(last, star.wavelengths[-1])
    if start >= stop:
        return np.empty(0), np.empty(0), np.empty(0)
    limits = np.linspace(start, stop, max(round((stop - start) / band_width), 1) + 1)
    total = np.concatenate([
        [0.0],
        np.cumsum(np.diff(star.wavelengths) * (star.flux[1:] + star.flux[:-1]) / 2),
    ])  # fmt: skip
    sums = np.interp(limits, star.wavelengths, total)
    return limits[:-1], limits[1:], np.diff(sums) / np.diff(limits)


def _check_units(standards: Sequence[_Standard]) -> None:
    for one in standards[1:]:
        if one.rate.unit != standards[0].rate.unit:
            msg = (
                f"{one.name} is in {one.rate.unit}, but {standards[0].name} in "
                f"{standards[0].rate.unit}"
            )
            raise UnitError(msg)


def _fitted(standards: Sequence[_Standard], spacing: float, clip: float) -> Response:
    for one in standards:
        if one.usable.sum() < 4:
            msg = (
                f"{one.name}, {one.rate.edges[0]:.0f}-{one.rate.edges[-1]:.0f} "
                f"Angstrom, has {one.usable.sum()} bands of {one.star.table} with "
                f"light that are not flagged or masked (of {one.low.size}), and 4 are "
                "needed; give mask=, line_width= or standard="
            )
            raise ParameterError(msg)
    numbers = [np.full(x.usable.sum(), n) for n, x in enumerate(standards)]
    return fit_response(
        np.concatenate([x.centres[x.usable] for x in standards]),
        np.concatenate([x.log_ratio[x.usable] for x in standards]),
        np.concatenate([x.variance[x.usable] for x in standards]),
        limits=(
            min(float(np.min(x.low[x.usable])) for x in standards),
            max(float(np.max(x.high[x.usable])) for x in standards),
        ),
        spacing=spacing,
        clip=clip,
        spectrum=np.concatenate(numbers).astype(np.intp),
        in_line=np.concatenate([x.in_line[x.usable] for x in standards]),
        widths=np.concatenate([(x.high - x.low)[x.usable] for x in standards]),
    )


def _product(
    df: DataFile,
    standards: Sequence[_Standard],
    fit: Response,
    curve: ExtinctionCurve | None,
    spectrograph: Mapping[str, Any] | None,
) -> NDLater:
    first = standards[0]
    log_value, log_variance = fit.at(first.rate.wavelengths)
    # The scale is that of the exposure with most light.
    value = np.exp(log_value + float(np.min(fit.offsets)))
    source = brightest_spectrum(df)
    made = NDLater(
        value,
        variance=value**2 * log_variance,
        unit=FLUX_UNIT / (first.rate.unit / u.s / u.AA),
        meta=source.meta.copy(),
    )
    wrong = ~(log_variance < _UNKNOWN**2)
    guessed = fit.guess(first.rate.wavelengths) > _GUESS
    wrong |= guessed
    _warn_of_guesses(first.rate.wavelengths, guessed & np.isfinite(log_value))
    for low, high in fit.missed:
        wrong |= (first.rate.wavelengths >= low) & (first.rate.wavelengths <= high)
    made = made.replace(flags=flags_with(made, (wrong, Flag.NO_DATA)))
    made = with_wavelengths(made, first.rate.wavelengths, "air")
    cards: dict[str, tuple[Any, str]] = {
        "STDSTAR": (", ".join(x.star.name for x in standards), "standard stars"),
        "STDTABLE": (", ".join(x.star.table for x in standards), "tables of these"),
        "EXTCURVE": ("none" if curve is None else curve.name, "extinction curve"),
    }
    width = (spectrograph or {}).get("slit_width")
    if isinstance(width, int | float):
        cards[SLIT_WIDTH] = (float(width), "[arcsec] width of the slit of the standard")
    for keyword, card in cards.items():
        made.meta[keyword] = card
    return made


def _table(standards: Sequence[_Standard], fit: Response) -> Table:
    """Make a table of all bands, with what was fitted to them."""
    columns: dict[str, list[Array]] = {}
    used = iter(np.split(fit.kept, np.cumsum([x.usable.sum() for x in standards])))
    for number, one in enumerate(standards):
        fitted, _ = fit.at(one.centres)
        kept = np.zeros(one.usable.shape, np.bool_)
        kept[one.usable] = next(used)
        found = {
            "spectrum": np.full(kept.shape, number + 1, np.int16),
            "wavelength": one.centres,
            "width": one.high - one.low,
            "flux": one.flux,
            "rate": one.counts,
            "error": _MAGNITUDE * np.sqrt(one.variance),
            "residual": _MAGNITUDE * (one.log_ratio - fitted - fit.offsets[number]),
            "in_line": one.in_line,
            "used": kept,
        }
        if one.rate.unit == u.electron:
            found["area"] = one.counts * _HC / one.centres / one.flux
        for name, values in found.items():
            columns.setdefault(name, []).append(values)
    table = Table({name: np.concatenate(parts) for name, parts in columns.items()})
    units = {
        "wavelength": "Angstrom", "width": "Angstrom", "flux": FLUX_UNIT,
        "rate": standards[0].rate.unit / u.s / u.AA, "error": "mag",
        "residual": "mag", "area": "cm2",
    }  # fmt: skip
    for name, unit in units.items():
        if name in table.colnames:
            table[name].unit = unit
    return table


def _report(
    standards: Sequence[_Standard], fit: Response, lost: Array, table: Table
) -> None:
    kept = np.asarray(table["used"])
    residual = np.asarray(table["residual"])[kept & ~np.asarray(table["in_line"])]
    usable = sum(int(x.usable.sum()) for x in standards)
    qc(
        bands=int(kept.sum()),
        masked=len(table) - usable,
        rejected=usable - int(kept.sum()),
        in_lines=int((kept & np.asarray(table["in_line"])).sum()),
        rms_percent=100 * float(np.std(residual)) / _MAGNITUDE,
        scatter_percent=100 * fit.scatter,
    )
    for low, high in fit.missed:
        log.warning(
            "the sensitivity does not follow the bands from %.0f to %.0f Angstrom, "
            "which are flagged; look at the figure, and try a smaller knot_spacing or "
            "band_width", low, high,
        )  # fmt: skip
    _warn_of_gaps(table, fit)
    for number, one in enumerate(standards):
        where = "" if len(standards) == 1 else f"[{number + 1}]"
        qc(**{f"star{where}": one.star.name, f"table{where}": one.star.table})
        if math.isfinite(one.airmass):
            qc(**{f"airmass{where}": one.airmass})
        if len(standards) > 1:
            shift = _MAGNITUDE * float(lost[number])
            qc(**{f"grey_shift_mag{where}": shift})
            if shift > 0:
                log.info(
                    "%s has %.3f mag less light than the exposure with most, as of a "
                    "slit or clouds", one.name, shift,
                )  # fmt: skip
    _draw(table, standards, fit)


def _warn_of_guesses(wavelengths: Array, guessed: Mask) -> None:
    """Tell ranges in which splines that follow the bands as well differ."""
    steps = np.flatnonzero(np.diff(np.concatenate([[0], guessed.astype(int), [0]])))
    for first, stop in zip(steps[::2], steps[1::2], strict=True):
        log.warning(
            "the sensitivity from %.0f to %.0f Angstrom is a guess, which is flagged: "
            "the bands do not tell it to %.0f percent; look at the figure, and try "
            "mask= or another band_width",
            wavelengths[first], wavelengths[stop - 1], 100 * _GUESS,
        )  # fmt: skip


def _warn_of_gaps(table: Table, fit: Response) -> None:
    """Tell ranges without bands over which the sensitivity changes much."""
    places = np.unique(np.asarray(table["wavelength"])[np.asarray(table["used"])])
    values, _ = fit.at(places)
    for n in np.flatnonzero(np.diff(places) > _GAP).tolist():
        change = abs(float(values[n + 1] - values[n]))
        if change > _CHANGE:
            log.warning(
                "there are no bands between %.0f and %.0f Angstrom, over which the "
                "sensitivity changes by a factor of %.2f, so that it is a guess there",
                places[n], places[n + 1], math.exp(change),
            )  # fmt: skip


def _draw(table: Table, standards: Sequence[_Standard], fit: Response) -> None:
    if (figure := new_figure()) is None:
        return
    figure.set_size_inches(8.9, 5)
    above, below = figure.subplots(2, 1, sharex=True)
    grid = np.linspace(fit.knots[0], fit.knots[-1], 500)
    curve = -_MAGNITUDE * fit.at(grid)[0]
    above.plot(grid, curve, color="0.6")
    kept = np.asarray(table["used"])
    wavelength = np.asarray(table["wavelength"])
    residual = np.asarray(table["residual"])
    fitted = -_MAGNITUDE * fit.at(wavelength)[0]
    for where, style, word in ((kept, "k.", "used"), (~kept, "rx", "not used")):
        above.plot(wavelength[where], (fitted - residual)[where], style, label=word)
        below.plot(wavelength[where], residual[where], style)
    above.legend(fontsize=7)
    above.set_ylabel("sensitivity [mag]")
    above.set_title(", ".join(dict.fromkeys(x.star.name for x in standards)))
    below.axhline(0, color="0.6")
    below.set_ylabel("residual [mag]")
    below.set_xlabel("wavelength [Angstrom]")
    limit = 5 * float(np.std(residual[kept])) or 1.0
    below.set_ylim(-limit, limit)
    figure.tight_layout()
    qc(figure=figure)
