"""Combining spectra of exposures, and of orders."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.table import Table
from astropy.units.function import FunctionUnitBase

from ndmapper.data import DataFileList, Flag, NDLater
from ndmapper.errors import ParameterError, UnitError
from ndmapper.lib.alike import called
from ndmapper.lib.ccd.dark import exposure_time
from ndmapper.lib.figures import new_figure
from ndmapper.lib.flagging import flags_with, good_pixels, union_along
from ndmapper.lib.image.correlation import COVARIANCE, noise_factor
from ndmapper.lib.spec.axis import wavelengths_of, with_wavelengths
from ndmapper.lib.spec.count_rate import require_pixels
from ndmapper.lib.spec.flat_error import (
    FLAT_ERROR,
    FlatError,
    flat_errors_of,
    on_same_rows,
)
from ndmapper.lib.spec.flux import COMMON_ERROR, SENSITIVITY_ID
from ndmapper.lib.spec.velocity import VELOCITY_FRAME
from ndmapper.numerics.correlated_noise import Covariances
from ndmapper.numerics.rebin import pixel_edges, rebin
from ndmapper.numerics.spectrum_mean import (
    SpectrumMean,
    find_outlying,
    running_median,
    weighted_mean,
)
from ndmapper.steps import Range, qc, run_task

__all__ = ["combine_spectra"]

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_LIGHT = 299792.458
"""The velocity of light [km/s]."""

_SAME = 1e-3
"""Wavelengths that differ by less are the same [pixel]."""

_SAME_TIME = 0.005
"""Exposure times that differ by less than this part are the same."""

_COVERED = 0.5
"""A new pixel is good if good pixels cover this part of it."""

_LEAST_OWN = 1e-3
"""A pixel has at least this part of its variance by itself."""

_SIGNIFICANT = 20.0
"""Levels are compared if they are so many times their error."""

_LEVELS = 0.1
"""Levels that differ by more are told."""


@dataclass(frozen=True, kw_only=True)
class _Spectrum:
    """A spectrum as a density, on its own pixels or those of the result."""

    name: str
    edges: Array
    values: Array
    variance: Array
    good: Mask
    flags: npt.NDArray[np.unsignedinteger]
    common: Array
    sensitivity: str
    # What flats add, as densities.
    flats: list[FlatError]
    covariances: Covariances


@run_task(each="list", outputs="combined", suffix="_combined", options={"revision": 2})
def combine_spectra(
    files: DataFileList,
    *,
    grid: Literal["auto", "linear", "log"] = "auto",
    start: Annotated[float | None, Range(gt=0)] = None,
    stop: Annotated[float | None, Range(gt=0)] = None,
    step: Annotated[float | None, Range(gt=0)] = None,
    scale: Literal["none", "median"] = "none",
    clip: Annotated[float | None, Range(gt=0)] = 5.0,
    orders: bool = False,
) -> list[NDLater]:
    """
    Combine spectra: ``combine_spectra(spectra, combined='name.fits')``.

    Parameters
    ----------
    files : DataFileList
        Spectra with wavelengths and variance, in one unit. Extensions of the same name
        are of one object, and combined.
    grid : {'auto', 'linear', 'log'}
        The wavelengths of the result. By default they are those of the spectra, if all
        have the same, else linear; 'log' has pixels of one velocity.
    start, stop : float, optional
        First and last wavelength [Angstrom]; by default those of all spectra.
    step : float, optional
        Size of a pixel [Angstrom, for 'log' km/s]; by default the median of the first
        spectrum.
    scale : {'none', 'median'}
        Whether levels are made the same before, by one factor for each spectrum.
    clip : float or None
        Values further from the median are rejected [standard deviations]; None rejects
        nothing. Of two that differ it cannot be told which one is wrong: their mean is
        flagged.
    orders : bool
        All extensions are parts of one spectrum, as orders and chips are.

    Returns
    -------
    list of NDLater
        The mean spectra. Where some have a gap or flagged pixels, it is the mean of the
        others; where all have, it is flagged. Flux is conserved. The variance is that
        of each pixel by itself; by how much that of a sum over pixels is larger, is in
        the table COVARIANCE (see `noise_factor`).

    Raises
    ------
    ParameterError
        If wavelengths are in air and in vacuum, or of different frames of rest, or
        spectra have no variance.
    UnitError
        If units differ.

    Notes
    -----
    Weights are inverse variances, as medians of 101 pixels along the spectrum, so that
    they do not depend on what a pixel happened to count. The error of the sensitivity,
    which spectra that were calibrated by the same one share, counts once; so does that
    of a flat, for light on the same pixels of it (`extract_spectra` keeps it).
    """
    if not len(files):
        msg = "combine_spectra needs at least one spectrum"
        raise ParameterError(msg)
    results = []
    for ident, members in _objects(files, orders=orders).items():
        where = f"[{ident}]" if ident is not None else ""
        _check_alike(members)
        results.append(
            _combined(
                members, where,
                grid=grid, limits=(start, stop), step=step, scale=scale, clip=clip,
            )
        )  # fmt: skip
    return results


def _objects(
    files: DataFileList, *, orders: bool
) -> dict[Any, list[tuple[str, NDLater]]]:
    """Group spectra by the name of their extension, or all as one."""
    found: dict[Any, list[tuple[str, NDLater]]] = {}
    several = any(len(df) > 1 for df in files)
    for number, df in enumerate(files, start=1):
        name = str(df.filename or f"file {number}")
        for ndd in df:
            key = ndd.ident if several and not orders else None
            found.setdefault(key, []).append((f"{name}[{ndd.ident}]", ndd))
    if not found:
        msg = "the files have no spectra"
        raise ParameterError(msg)
    return found


def _check_alike(members: Sequence[tuple[str, NDLater]]) -> None:
    """Refuse spectra of different units, media, or frames of rest."""
    first_name, first = members[0]
    medium = wavelengths_of(first).medium
    frame = _frame(first)
    for name, ndd in members:
        if ndd.unit != first.unit:
            msg = f"{name} is in {ndd.unit}, but {first_name} in {first.unit}"
            raise UnitError(msg)
        require_pixels(ndd)
        if ndd.variance is None:
            msg = f"{name} has no variance, which the weights are made of"
            raise ParameterError(msg)
        if (theirs := wavelengths_of(ndd).medium) != medium:
            msg = f"{name} has wavelengths in {theirs}, but {first_name} in {medium}"
            raise ParameterError(msg)
        if _frame(ndd) != frame:
            msg = (
                f"{name} has wavelengths of the frame {_frame(ndd)}, but {first_name} "
                f"of {frame} (SPECSYS); use correct_velocity on all, or on none"
            )
            raise ParameterError(msg)
    if not _is_flux_density_or_ratio(first) and _power(first, "time") == 0:
        _check_exposures(members)
    days = {str(_card(ndd, "DATE-OBS", "DATE-BEG"))[:10] for _, ndd in members}
    if frame == "TOPOCENT" and len(days) > 1:
        log.warning(
            "spectra of %d days are combined whose wavelengths were not corrected for "
            "the motion of the Earth (correct_velocity): lines are smeared", len(days),
        )  # fmt: skip


def _check_exposures(members: Sequence[tuple[str, NDLater]]) -> None:
    """Refuse counts of other exposure times, where headers say these."""
    times: dict[str, float] = {}
    for name, ndd in members:
        try:
            times[name] = exposure_time(ndd, None, "exposure", name)
        except ParameterError:
            continue
    if times and max(times.values()) > min(times.values()) * (1 + _SAME_TIME):
        low, high = (f(times, key=lambda name: times[name]) for f in (min, max))
        msg = (
            f"{high} is in counts of {times[high]:g} s, and {low} of {times[low]:g} s; "
            "calibrate their flux, or divide them by the exposure time"
        )
        raise ParameterError(msg)


def _frame(ndd: NDLater) -> str:
    return str(_card(ndd, VELOCITY_FRAME) or "TOPOCENT").strip().upper()


def _card(ndd: NDLater, *keywords: str) -> Any:
    for keyword in keywords:
        for header in (ndd.header_values, ndd.primary_values or {}):
            if (value := header.get(keyword)) is not None:
                return value
    return None


def _combined(
    members: Sequence[tuple[str, NDLater]],
    where: str,
    *,
    grid: str,
    limits: tuple[float | None, float | None],
    step: float | None,
    scale: str,
    clip: float | None,
) -> NDLater:
    """Combine the spectra of one object."""
    first = members[0][1]
    own = [_density(name, ndd) for name, ndd in members]
    wavelengths, is_same = _grid(members, grid, limits, step)
    edges = pixel_edges(wavelengths)
    placed = own if is_same else [_on_grid(one, edges) for one in own]
    values, variance, common = (
        np.array([getattr(one, name) for one in placed])
        for name in ("values", "variance", "common")
    )
    good = np.array([one.good for one in placed])
    levels = _levels(values, variance, good)
    _report_levels(placed, levels, where, scale=scale)
    if scale == "median":
        values, variance = values / levels[:, None], variance / levels[:, None] ** 2
    outlying, doubtful = np.zeros(good.shape, np.bool_), np.zeros(good.shape, np.bool_)
    if clip is not None:
        outlying, doubtful = find_outlying(values, variance, good, clip)
    used = good & ~outlying
    names = [one.sensitivity or f"alone {n}" for n, one in enumerate(placed)]
    groups = [names.index(name) for name in names]
    flats = _shared_flats(placed)
    divisor = levels if scale == "median" else np.ones(len(placed))
    mean = weighted_mean(
        values, variance, used, common=common, groups=groups,
        patterns=[plane / divisor[:, None, None] for _, _, plane in flats],
    )  # fmt: skip
    qc(
        **{
            f"spectra{where}": len(placed),
            f"rejected{where}": int(outlying.sum()),
            f"doubtful{where}": int(doubtful.any(axis=0).sum()),
            f"empty{where}": int((mean.count == 0).sum()),
        }
    )
    made = _product(
        first, placed, mean, used=used, doubtful=np.any(doubtful, axis=0), edges=edges
    )
    made = with_wavelengths(made, wavelengths, wavelengths_of(first).medium)
    if len(set(names)) == 1 and placed[0].sensitivity:
        made.extras[COMMON_ERROR] = NDLater(mean.common)
    elif SENSITIVITY_ID in made.meta:
        del made.meta[SENSITIVITY_ID]
    _write_flats(made, mean, flats)
    if not is_same:
        table = _covariance_table(placed)
        made.tables[COVARIANCE] = table
        qc(**{f"noise_factor_of_5{where}": round(noise_factor(table, 5), 4)})
    _draw(wavelengths, placed, mean, where)
    return made


def _density(name: str, ndd: NDLater) -> _Spectrum:
    """Take a spectrum for each Angstrom, with rising wavelengths."""
    edges = pixel_edges(wavelengths_of(ndd).values)
    order = slice(None) if edges[0] < edges[-1] else slice(None, None, -1)
    edges = edges[order]
    values = np.asarray(ndd.data, np.float64)[order]
    variance = np.asarray(ndd.variance, np.float64)[order]
    common, sensitivity = np.zeros(values.shape), ""
    if COMMON_ERROR in ndd.extras and SENSITIVITY_ID in ndd.meta:
        common = np.nan_to_num(np.asarray(ndd.extras[COMMON_ERROR].data)[order])
        sensitivity = str(ndd.meta[SENSITIVITY_ID])
        own = variance - (values * common) ** 2
        variance = np.maximum(own, _LEAST_OWN * variance)
    flats = [
        replace(one, relative=one.relative[:, order] * np.nan_to_num(values))
        for one in flat_errors_of(ndd)
    ]
    shared = sum((one.relative**2).sum(axis=0) for one in flats)
    variance = np.maximum(variance - shared, _LEAST_OWN * variance)
    if not _is_density(ndd):
        widths = np.diff(edges)
        values, variance = values / widths, variance / widths**2
        flats = [replace(one, relative=one.relative / widths) for one in flats]
    good = good_pixels(ndd)[order] & np.isfinite(values)
    # A variance of zero would have all the weight.
    good &= np.isfinite(variance) & (variance > 0)
    return _Spectrum(
        name=name, edges=edges, values=values, variance=variance, good=good,
        flags=flags_with(ndd)[order], common=common, sensitivity=sensitivity,
        flats=flats, covariances={(0, 0): 1.0},
    )  # fmt: skip


def _shared_flats(placed: Sequence[_Spectrum]) -> list[tuple[FlatError, int, Array]]:
    """List the flats of spectra: one error of each, its first row, and the errors."""
    found = []
    for flat in dict.fromkeys(x.flat for one in placed for x in one.flats):
        ours = [next((x for x in one.flats if x.flat == flat), None) for one in placed]
        first, planes = on_same_rows(ours, placed[0].values.size)
        found.append((next(x for x in ours if x is not None), first, planes))
    return found


def _write_flats(
    made: NDLater, mean: SpectrumMean, flats: Sequence[tuple[FlatError, int, Array]]
) -> None:
    """Keep what flats add to the mean, in place of what they added to a spectrum."""
    for key in [key for key in made.extras if key.startswith(FLAT_ERROR)]:
        del made.extras[key]
    for number, ((one, first, _), shared) in enumerate(
        zip(flats, mean.patterns, strict=True), start=1
    ):
        with np.errstate(invalid="ignore", divide="ignore"):
            relative = np.nan_to_num(shared / mean.values, posinf=0, neginf=0)
        replace(one, first_row=first, relative=relative).write(made, number)


def _is_density(ndd: NDLater) -> bool:
    """Whether values are for each unit of wavelength or frequency, or are ratios."""
    if isinstance(ndd.unit, FunctionUnitBase) or ndd.unit == u.mag:
        msg = (
            f"{called(ndd)} has magnitudes, whose mean is none of fluxes: convert them"
        )
        raise ParameterError(msg)
    return _is_flux_density_or_ratio(ndd) or _power(ndd, "length") % 2 == 1


def _is_flux_density_or_ratio(ndd: NDLater) -> bool:
    """Whether the unit is one of flux for each frequency, or that of a ratio."""
    if ndd.unit is None:
        return False  # counts, as far as is known
    return bool(ndd.unit.is_equivalent(u.Jy) or ndd.unit == u.dimensionless_unscaled)


def _power(ndd: NDLater, kind: str) -> int:
    """Give the power of a physical type in the unit of a spectrum."""
    if ndd.unit is None:
        return 0
    pairs = zip(ndd.unit.bases, ndd.unit.powers, strict=True)
    return int(sum(power for base, power in pairs if base.physical_type == kind))


def _grid(
    members: Sequence[tuple[str, NDLater]],
    kind: str,
    limits: tuple[float | None, float | None],
    step: float | None,
) -> tuple[Array, bool]:
    """Choose the wavelengths of the result, and say whether all spectra have these."""
    axes = [np.sort(wavelengths_of(ndd).values) for _, ndd in members]
    first = axes[0]
    width = float(np.median(np.diff(first)))
    given = any(x is not None for x in (*limits, step))
    if kind == "auto" and not given:
        near = _SAME * width
        if all(x.shape == first.shape and np.allclose(x, first, 0, near) for x in axes):
            return first, True
    low = limits[0] or min(float(x[0]) for x in axes)
    high = limits[1] or max(float(x[-1]) for x in axes)
    if not low < high:
        msg = f"start = {low:g} has to be less than stop = {high:g} [Angstrom]"
        raise ParameterError(msg)
    if kind == "log":
        size = step or _LIGHT * float(np.median(np.diff(np.log(first))))
        count = int(np.log(high / low) / np.log1p(size / _LIGHT) + 1e-6) + 1
        powers = np.arange(max(count, 2), dtype=np.float64)
        return np.asarray(low * (1 + size / _LIGHT) ** powers, np.float64), False
    size = step or width
    count = int((high - low) / size + 1e-6) + 1
    return np.asarray(low + size * np.arange(max(count, 2)), np.float64), False


def _on_grid(one: _Spectrum, edges: Array) -> _Spectrum:
    """Rebin a spectrum; values are means over what good pixels cover."""
    good = one.good
    values = np.where(good, one.values, 0.0)
    variance = np.where(good, one.variance, 0.0)
    flags = one.flags
    # The second spectrum is 1 where pixels are good: the part that they cover.
    made = rebin(
        np.array([values, good.astype(float)]),
        np.array([variance, np.zeros(values.shape)]),
        np.array([one.edges, one.edges]),
        edges,
        np.array([np.where(good, flags, 0), flags]),
        density=True,
    )
    covered = np.where(made.known[0], made.values[1], 0.0)
    is_good = covered >= _COVERED
    divisor = np.where(is_good, covered, 1.0)
    assert made.flags is not None
    old = (one.edges[1:] + one.edges[:-1]) / 2
    new = (edges[1:] + edges[:-1]) / 2
    return _Spectrum(
        name=one.name,
        edges=edges,
        values=np.where(is_good, made.values[0] / divisor, np.nan),
        variance=np.where(is_good, made.variance[0] / divisor**2, np.nan),
        good=is_good,
        flags=np.where(is_good, made.flags[0], made.flags[1]),
        common=np.interp(new, old, one.common),
        sensitivity=one.sensitivity,
        flats=[
            replace(x, relative=_rebinned_errors(x, one, edges) / divisor)
            for x in one.flats
        ],
        covariances=made.covariances,
    )


def _rebinned_errors(flat: FlatError, one: _Spectrum, edges: Array) -> Array:
    """Rebin the squares of errors of a flat as the variance of the spectrum is."""
    rows = len(flat.relative)
    squares = np.where(one.good, flat.relative**2, 0.0)
    made = rebin(
        np.zeros(squares.shape), squares, np.array([one.edges] * rows), edges,
        density=True,
    )  # fmt: skip
    signs = np.sign(np.median(flat.relative[:, one.good], axis=1, keepdims=True))
    errors = np.sqrt(np.where(made.known, np.nan_to_num(made.variance), 0.0))
    return np.asarray(np.where(signs < 0, -1.0, 1.0) * errors, np.float64)


def _levels(values: Array, variance: Array, good: Mask) -> Array:
    """Give the level of each spectrum relative to the others; 1 where none is known."""
    found = np.ones(len(values))
    some = good.any(axis=0)
    if not some.any():
        return found
    smooth = running_median(np.where(good, values, 0.0), good)
    reference = np.nanmedian(np.where(good, smooth, np.nan)[:, some], axis=0)
    for number, use in enumerate(good[:, some]):
        if not use.any():
            continue
        expected = float(np.median(reference[use]))
        noise = variance[number, some][use]
        error = float(np.sqrt(np.median(noise) / noise.size))
        if expected > _SIGNIFICANT * error:
            found[number] = float(np.median(smooth[number, some][use])) / expected
    found[~(found > 0)] = 1.0
    return found / float(np.exp(np.mean(np.log(found))))


def _report_levels(
    placed: Sequence[_Spectrum], levels: Array, where: str, *, scale: str
) -> None:
    if len(placed) < 2:
        return
    low, high = int(np.argmin(levels)), int(np.argmax(levels))
    spread = float(levels[high] / levels[low])
    qc(**{f"level_ratio{where}": spread})
    if spread > 1 + _LEVELS and scale == "none":
        log.warning(
            "%s has %.2f times the light of %s; scale='median' makes their levels the "
            "same", placed[high].name, spread, placed[low].name,
        )  # fmt: skip


def _product(
    first: NDLater,
    placed: Sequence[_Spectrum],
    mean: SpectrumMean,
    *,
    used: Mask,
    doubtful: Mask,
    edges: Array,
) -> NDLater:
    """Make the combined spectrum, in the unit of the spectra."""
    widths = np.ones(mean.values.shape) if _is_density(first) else np.diff(edges)
    flags: npt.NDArray[Any] = np.array([one.flags for one in placed])
    empty = mean.count == 0
    bits = union_along(np.where(used | empty, flags, 0))
    made = NDLater(
        mean.values * widths,
        variance=mean.variance * widths**2,
        flags=np.asarray(bits, flags.dtype),
        unit=first.unit,
        meta=first.meta.copy(),
    )
    marks = ((empty, Flag.NO_DATA), (doubtful, Flag.COSMIC_RAY))
    made = made.replace(flags=flags_with(made, *marks))
    made.meta["NCOMBINE"] = (len(placed), "number of spectra combined")
    if "VELOSYS" in made.meta:
        del made.meta["VELOSYS"]  # each had its own
    return made


def _covariance_table(placed: Sequence[_Spectrum]) -> Table:
    """Average the covariances of pixels over spectra."""
    lags = sorted({lag for one in placed for lag in one.covariances})
    found = [
        float(np.mean([one.covariances.get(lag, 0.0) for one in placed]))
        for lag in lags
    ]
    return Table(
        {
            "dx": np.array([lag[0] for lag in lags], np.int16),
            "dy": np.array([lag[1] for lag in lags], np.int16),
            "covariance": np.array(found),
        }
    )


def _draw(
    wavelengths: Array, placed: Sequence[_Spectrum], mean: SpectrumMean, where: str
) -> None:
    if (figure := new_figure()) is None:
        return
    figure.set_size_inches(8.9, 3.5)
    axis = figure.subplots()
    for one in placed:
        axis.plot(wavelengths, np.where(one.good, one.values, np.nan), "0.8", lw=0.5)
    axis.plot(wavelengths, mean.values, "k", lw=0.7, label="mean")
    error = np.sqrt(mean.variance)
    axis.plot(wavelengths, error, "r", lw=0.5, label="its error")
    axis.legend(fontsize=7)
    level = mean.values[np.isfinite(mean.values)]
    if level.size:
        low, high = np.percentile(level, [0.5, 99.5])
        margin = 0.15 * (high - low) or 1.0
        axis.set_ylim(min(0.0, low - margin), high + margin)
    axis.set_xlabel("wavelength [Angstrom]")
    axis.set_title(f"{len(placed)} spectra {where}".strip())
    figure.tight_layout()
    qc(figure=figure)
