"""Identifying the lines of an arc: a dispersion solution that is sure, or an error."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.arc_lines import LineFlag, Lines
from ndmapper.numerics.arc_match import Match, SearchRange, match_lines
from ndmapper.numerics.dispersion import (
    DispersionFit,
    Kind,
    best_order,
    fit_dispersion,
)

__all__ = [
    "DoubtfulSolutionError",
    "Identification",
    "LineList",
    "identify",
    "solve_identified",
]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_LEAST_LINES = 6
_LEAST_PART = 0.35
"""At least such a part of the lines of the arc are in the list."""

_SURE = 6.0
"""How much the evidence is larger than the logarithm of what was tried."""

_PER_LINE = 0.8
"""How large the evidence is at least for each good line; of right ones, 1.2 to 4."""

_PER_LINE_EVERYWHERE = 0.5
_PER_THIRD = 3.0
"""The same, if each third of the lines has such an evidence; dense lists tell less."""

_RIVAL = 10.0
"""How much the evidence is larger than that of any other solution."""

_BLEND = 0.15
"""Lines that others may shift by more are left out [pixel]."""

_TYPICAL_BLEND = 0.3
"""
Others shift a line typically by such a part of what they may, as found in simulated
arcs with lines of random strengths.
"""

_BLEND_MARGIN = 2.0
"""Where most lines are blends, the error has to be smaller by this."""

_SYSTEMATIC = 0.015
"""No centre is better than this, however bright the line [pixel]."""

_FAR = 1.0
"""Those beyond all others are used, with such an error, if it is less than this."""

_UNRESOLVED = 1.3
"""Lines of the list that are nearer than so many FWHM are not resolved."""


class DoubtfulSolutionError(ValueError):
    """
    No solution that is sure.

    Parameters
    ----------
    message : str
        Why it is not.
    found : Identification, optional
        The solution that is doubtful, if there is one.
    """

    def __init__(self, message: str, found: "Identification | None" = None) -> None:
        super().__init__(message)
        self.found = found


@dataclass(frozen=True)
class LineList:
    """Wavelengths of lines in rising order, and their strengths, where known."""

    wavelengths: Array
    strengths: Array | None = None


@dataclass(frozen=True, kw_only=True)
class Identification:
    """
    The lines of an arc, identified, and the solution.

    Parameters
    ----------
    lines : Lines
        All lines that were found.
    wavelengths : ndarray of float, shape (n,)
        Wavelength of each in the list; NaN where it is not identified.
    used : ndarray of bool, shape (n,)
        Which lines the solution has used.
    clear : ndarray of bool, shape (n,)
        Those of them that nothing is known to shift; the others only hold the ends.
    why_not : list of str
        Why a line is not used; an empty text where it is.
    variance : ndarray of float, shape (n,)
        Variances of the centres of lines, as the fit has taken them [pixel^2].
    fit : DispersionFit
        The solution.
    length : int
        Number of pixels of the spectrum.
    evidence : Mapping of str to float
        ``evidence``, ``rival`` and ``tried`` of the `Match`; empty without one.
    """

    lines: Lines
    wavelengths: Array
    used: Mask
    clear: Mask
    why_not: list[str]
    variance: Array
    fit: DispersionFit
    length: int
    evidence: Mapping[str, float]

    @property
    def dispersion(self) -> Array:
        """Dispersion at each line."""
        return np.abs(self.fit.slope(self.lines.pixel))

    @property
    def residuals(self) -> Array:
        """Wavelength of each line in the list minus the fit [pixel]."""
        return (self.wavelengths - self.fit(self.lines.pixel)) / self.dispersion

    @property
    def rms(self) -> float:
        """Root mean square of the residuals of clear lines [pixel]."""
        return float(np.sqrt(np.mean(self.residuals[self._judged] ** 2)))

    @property
    def typical_residual(self) -> float:
        """Standard deviation of the residuals by their median [pixel]."""
        return float(1.4826 * np.median(np.abs(self.residuals[self._judged])))

    @property
    def loo(self) -> float:
        """
        Root mean square of how far a fit without a clear line misses it [pixel].

        The first and the last line do not count: without them, the fit goes on beyond
        all lines.
        """
        missed = np.full(len(self.lines), np.nan)
        missed[self.used] = self.fit.left_out[self.fit.used]
        missed = (missed / self.dispersion)[self._judged][1:-1]
        return float(np.sqrt(np.mean(missed**2)))

    @property
    def _judged(self) -> Mask:
        return self.clear if self.clear.sum() >= _LEAST_LINES else self.used

    @property
    def covered(self) -> tuple[float, float]:
        """
        The part of the spectrum that clear lines hold from both sides [pixel].

        It goes from the second line to the last but one.
        """
        pixel = self.lines.pixel[self._judged]
        return float(pixel[1]), float(pixel[-2])

    def error(self, pixel: Array) -> Array:
        """
        Give the standard error of the solution [pixel].

        It is that of the coefficients, and the difference to a solution of the next
        order, which beyond the lines is the larger one.
        """
        variance = self.fit.variance(pixel)
        use = self.used
        try:
            other = fit_dispersion(
                self.lines.pixel[use], self.wavelengths[use],
                self.variance[use] * float(np.median(self.dispersion)) ** 2,
                domain=self.fit.domain[:2], kind=self.fit.kind,
                order=self.fit.order + 1,
            )  # fmt: skip
            variance = variance + (other(pixel) - self.fit(pixel)) ** 2
        except ValueError:
            variance = variance * 2
        return np.asarray(np.sqrt(variance) / np.abs(self.fit.slope(pixel)))


def identify(
    lines: Lines,
    listed: LineList,
    length: int,
    search: SearchRange,
    *,
    kind: Kind = "polynomial",
    order: int | None = None,
    max_error: float = 0.1,
) -> Identification:
    """
    Identify the lines of an arc, and fit the wavelengths.

    Parameters
    ----------
    lines : Lines
        Lines of the arc.
    listed : LineList
        Lines that its lamps may have.
    length : int
        Number of pixels of the spectrum.
    search : SearchRange
        Where the solution is looked for.
    kind, order : str and int, optional
        Function that is fitted; by default the order that predicts lines best that
        were left out.
    max_error : float
        Largest standard error of the solution, between the lines [pixel].

    Raises
    ------
    DoubtfulSolutionError
        If the solution is not sure.
    """
    good = np.flatnonzero(lines.good)
    if len(good) < _LEAST_LINES:
        msg = (
            f"{len(good)} good lines are too few: {_LEAST_LINES} are needed "
            f"({len(lines) - len(good)} more are saturated or not resolved)"
        )
        raise DoubtfulSolutionError(msg)
    match = match_lines(
        lines.pixel[good], lines.peak[good], listed.wavelengths, length, search,
        error=lines.error[good], fwhm=lines.width,
    )  # fmt: skip
    if match is None or len(match.arc) < _LEAST_LINES:
        msg = (
            f"no solution within the range has {_LEAST_LINES} of the "
            f"{len(good)} lines of the arc in the list"
        )
        raise DoubtfulSolutionError(msg)
    wavelengths = np.full(len(lines), np.nan)
    wavelengths[good[match.arc]] = listed.wavelengths[match.listed]
    found = _completed(lines, wavelengths, listed, length, kind=kind, order=order)
    evidence = {n: getattr(match, n) for n in ("evidence", "rival", "tried")}
    found = replace(found, evidence=evidence)
    _check(found, match, len(good), max_error)
    return found


def solve_identified(
    lines: Lines,
    wavelengths: Array,
    listed: LineList,
    length: int,
    *,
    kind: Kind = "polynomial",
    order: int | None = None,
) -> Identification:
    """
    Fit the wavelengths of lines that are identified, NaN where they are not.

    Raises
    ------
    DoubtfulSolutionError
        If there are too few lines.
    """
    blend = np.hypot(_blend_shifts(lines, wavelengths, listed), lines.shift)
    known = np.isfinite(wavelengths) & lines.usable
    clear = known & lines.good & (blend < _BLEND)
    use = known & lines.good
    if clear.sum() >= max(8, 0.4 * use.sum()):
        # Beyond these lines, one that may be shifted is better than none.
        first, *_, last = lines.pixel[clear]
        beyond = (lines.pixel < first) | (lines.pixel > last)
        use = clear | (known & beyond & (blend < _FAR))
    domain = (0.0, float(length - 1))
    x, w = lines.pixel[use], wavelengths[use]
    if len(x) < 4:
        msg = f"{len(x)} identified lines are too few for a solution"
        raise DoubtfulSolutionError(msg)
    dispersion = abs(w[-1] - w[0]) / max(abs(x[-1] - x[0]), 1e-9)
    sigma2 = lines.error**2 + (_TYPICAL_BLEND * blend) ** 2 + _SYSTEMATIC**2
    variance = dispersion**2 * sigma2[use]
    try:
        if order is None:
            fit = best_order(x, w, variance, domain=domain, kind=kind)
        else:
            fit = fit_dispersion(x, w, variance, domain=domain, kind=kind, order=order)
    except ValueError as err:
        raise DoubtfulSolutionError(str(err)) from err
    used = np.zeros(len(lines), np.bool_)
    used[np.flatnonzero(use)[fit.used]] = True
    why = [
        "" if is_used else _reason(int(flag), wavelength, shift)
        for is_used, flag, wavelength, shift in zip(
            used, lines.flags, wavelengths, blend, strict=True
        )
    ]
    return Identification(
        lines=lines, wavelengths=wavelengths, used=used, clear=used & (blend < _BLEND),
        why_not=why, variance=sigma2, fit=fit, length=length, evidence={},
    )  # fmt: skip


def _reason(flags: int, wavelength: float, blend: float) -> str:
    """Say why a line is not used."""
    if flags:
        names = [str(f.name).lower().replace("_", " ") for f in LineFlag(flags)]
        return ", ".join(names)
    if not np.isfinite(wavelength):
        return "not in the list"
    return "blend" if blend >= _BLEND else "outlier"


def _blend_shifts(lines: Lines, wavelengths: Array, listed: LineList) -> Array:
    """Estimate how far neighbours in the list may shift a line [pixel]."""
    shifts = np.zeros(len(lines))
    known = np.flatnonzero(np.isfinite(wavelengths))
    if len(known) < 2:
        return shifts
    x, w = lines.pixel[known], wavelengths[known]
    disp = float(np.median(np.abs(np.gradient(w, x))))
    reach = _UNRESOLVED * lines.width * disp
    strengths = listed.strengths
    typical = float(np.median(lines.peak[known]))
    for i, wavelength in zip(known, w, strict=True):
        first, last = np.searchsorted(
            listed.wavelengths, [wavelength - reach, wavelength + reach]
        )
        near = listed.wavelengths[first:last]
        other = ~np.isin(near, w)
        if not other.any():
            continue
        off = (near[other] - wavelength) / disp
        # Where strengths are not known, hidden lines are such as others of the arc; one
        # that is brighter than a line would be taken for it.
        weight, own = np.full(len(off), min(typical, lines.peak[i])), lines.peak[i]
        if strengths is not None:
            owns = strengths[first:last][near == wavelength]
            others = strengths[first:last][other]
            if owns.size and np.isfinite(owns).all() and np.isfinite(others).all():
                weight, own = others, float(owns[0])
        total = own + float(weight.sum())
        shifts[i] = float(np.sqrt(np.sum((weight * off) ** 2))) / max(total, 1e-30)
    return shifts


def _completed(
    lines: Lines,
    wavelengths: Array,
    listed: LineList,
    length: int,
    *,
    kind: Kind,
    order: int | None,
) -> Identification:
    """Identify the lines again by the fit, until these are always the same."""
    found = solve_identified(lines, wavelengths, listed, length, kind=kind, order=order)
    for _ in range(8):
        predicted = found.fit(lines.pixel)
        step = found.dispersion
        reach = np.maximum(0.3, 4 * found.typical_residual)
        reach = np.minimum(reach + 5 * found.error(lines.pixel), 1.5)
        reach = np.hypot(reach, np.where(lines.good, 0, np.minimum(lines.shift, _FAR)))
        new = _nearest_once(predicted, step * reach, listed.wavelengths, lines.usable)
        if np.array_equal(new, wavelengths, equal_nan=True):
            break
        if (np.isfinite(new) & lines.good).sum() < _LEAST_LINES:
            break
        wavelengths = new
        found = solve_identified(
            lines, wavelengths, listed, length, kind=kind, order=order
        )
    return found


def _nearest_once(
    predicted: Array, reach: Array, wavelengths: Array, good: Mask
) -> Array:
    """Give the nearest line of the list, each to one line of the arc."""
    place = np.searchsorted(wavelengths, predicted).clip(1, len(wavelengths) - 1)
    left = predicted - wavelengths[place - 1] < wavelengths[place] - predicted
    place = place - left
    off = np.abs(wavelengths[place] - predicted)
    near = (off < reach) & good
    found = np.full(len(predicted), np.nan)
    taken: set[int] = set()
    for i in np.argsort(off, kind="stable").tolist():
        if near[i] and int(place[i]) not in taken:
            taken.add(int(place[i]))
            found[i] = wavelengths[place[i]]
    return found


def _check(found: Identification, match: Match, good: int, max_error: float) -> None:
    """Refuse a solution that is not sure."""
    number = int(found.used.sum())
    known = int((np.isfinite(found.wavelengths) & found.lines.good).sum())
    within = _within_list(found)
    reasons = []
    per_line = _PER_LINE if match.weakest < _PER_THIRD else _PER_LINE_EVERYWHERE
    if match.evidence < max(match.tried + _SURE, per_line * within):
        reasons.append("other lines would agree as well by chance")
    elif match.evidence < match.rival + _RIVAL:
        reasons.append("another solution is nearly as good")
    if number < _LEAST_LINES:
        reasons.append(f"fewer than {_LEAST_LINES} lines agree")
    if known < _LEAST_PART * within:
        reasons.append(f"most of the {within} lines of the arc do not agree")
    slope = found.fit.slope(np.linspace(0, found.length - 1, 50))
    if not ((slope > 0).all() or (slope < 0).all()):
        reasons.append("the wavelengths neither rise nor fall all along")
    first, last = found.covered
    everywhere = found.error(np.linspace(0, found.length - 1.0, 100))
    is_known = float(np.sqrt(np.mean(everywhere**2))) < 3 * max_error
    if last - first < (0.2 if is_known else 0.4) * found.length:
        reasons.append("the lines that agree are on less than half of the spectrum")
    error = found.error(np.linspace(first, last, 100))
    typical = float(np.sqrt(np.mean(error**2)))
    if found.clear.sum() < 0.5 * number:
        # How far hidden lines shift blends is an estimate.
        max_error = max_error / _BLEND_MARGIN
    if not typical <= max_error:
        reasons.append(
            f"its error between the lines is {typical:.2g} pixel, more than "
            f"{max_error:.2g}"
        )
    if found.loo > 3 * max_error:
        reasons.append(f"without a line, it misses it by {found.loo:.2f} pixel")
    if reasons:
        msg = (
            f"the best solution is doubtful: {number} of {good} lines, rms "
            f"{found.rms:.3f} pixel, leave-one-out {found.loo:.3f} pixel; "
            f"{'; '.join(reasons)}"
        )
        raise DoubtfulSolutionError(msg, found)


def _within_list(found: Identification) -> int:
    """Count the good lines of the arc where the list has lines."""
    known = found.wavelengths[np.isfinite(found.wavelengths)]
    at = found.fit(found.lines.pixel)
    near = (at >= np.min(known)) & (at <= np.max(known)) & found.lines.good
    return int(near.sum())
