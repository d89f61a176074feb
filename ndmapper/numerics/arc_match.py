"""Matching the lines of an arc with a list, where the dispersion is hardly known."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

__all__ = ["Match", "SearchRange", "match_lines"]

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_LINES = 20
"""The search takes so many of the brightest lines, near the middle."""

_NEAREST = 30
"""They are of so many that are nearest to the middle."""

_CHANCE = 0.12
"""Chance that any line agrees with the list, at the tolerance of the search."""

_TOLERANCES = (0.35, 3.0)
"""The tolerance of the search is within this range [pixel]."""

_CANDIDATES = 300
"""So many places of the search are tried in full."""

_SPURIOUS = 0.35
"""Lines that are in no list, as a part of all, for the evidence."""

_TERMS = 5
"""Solutions are followed as polynomials of so many coefficients."""

_UNRESOLVED = 0.8
"""Lines of the list that are nearer than so many FWHM are one line of the arc."""

_SHIFTED = 0.15
"""Lines that hidden ones shift by more count for less in the search [pixel]."""

_SCATTERS = (0.03, 0.06, 0.12, 0.24)
_HIDING = (0.0, 0.2, 0.4, 0.8)
"""
Scatters of lines beyond their errors [pixel], and by hidden lines as a part of what
they may shift them; those of the largest evidence are taken.
"""

_BENT = (0.08, 0.015, 0.004)
"""Sizes of the terms from the quadratic one on, as parts of the linear one."""

_BEAM = 60
"""So many solutions are followed from the middle to the ends."""

_CUBIC = 0.01
"""The cubic term, by half the length of the spectrum, that is searched for."""


@dataclass(frozen=True, kw_only=True)
class SearchRange:
    """
    Where the solution is looked for.

    Parameters
    ----------
    centre : (float, float)
        Lowest and highest wavelength of the middle pixel.
    dispersion : (float, float)
        Lowest and highest dispersion there, without sign [wavelength/pixel].
    directions : tuple of int
        1 if wavelengths rise with the pixel, -1 if they fall, or both.
    curvature : float
        Largest quadratic term, as a part of the linear one, at the ends.
    """

    centre: tuple[float, float]
    dispersion: tuple[float, float]
    directions: tuple[int, ...] = (1,)
    curvature: float = 0.08


@dataclass(frozen=True, kw_only=True)
class Match:
    """
    Lines of an arc, and which lines of the list they are.

    Parameters
    ----------
    arc, listed : ndarray of int, shape (n,)
        Places in the two lists.
    wavelengths : ndarray of float, shape (m,)
        Wavelengths of all lines of the arc, by the polynomial that has matched them.
    scatter : float
        Standard deviation of the lines that agree [pixel].
    evidence : float
        Logarithm of how much better the solution predicts each line, without that line,
        than chance.
    rival : float
        The same, of the best solution that is another one; 0 without any.
    weakest : float
        The evidence of that third of the lines, along the spectrum, which has least.
    tried : float
        Logarithm of the number of solutions that were compared.
    """

    arc: Indices
    listed: Indices
    wavelengths: Array
    scatter: float
    evidence: float
    rival: float
    weakest: float
    tried: float


@dataclass(frozen=True)
class _Scale:
    """Pixels as numbers between -1 and 1, and half of the length of the spectrum."""

    length: int

    @property
    def half(self) -> float:
        return self.length / 2

    def __call__(self, pixel: Array) -> Array:
        return np.asarray((pixel - (self.length - 1) / 2) / self.half, np.float64)


@dataclass(frozen=True)
class _List:
    """A line list, in order, and how dense it is at each of its lines."""

    wavelengths: Array
    # Wavelengths within which the density is counted, either way.
    reach: float
    # How far others, which are not resolved from a line, are from it: root of the sum
    # of squares.
    spread: Array

    @classmethod
    def of(cls, wavelengths: Array, reach: float, unresolved: float) -> "_List":
        """Take a list, of which lines nearer than some wavelength are not resolved."""
        square = np.zeros(len(wavelengths))
        for step in range(1, len(wavelengths)):
            away = wavelengths[step:] - wavelengths[:-step]
            near = np.where(away < unresolved, away**2, 0.0)
            if not near.any():
                break
            square[step:] += near
            square[:-step] += near
        return cls(wavelengths, reach, np.sqrt(square))

    def density(self, at: Array) -> Array:
        """Give the number of lines of the list per unit of wavelength."""
        low = np.searchsorted(self.wavelengths, at - self.reach)
        high = np.searchsorted(self.wavelengths, at + self.reach)
        return np.asarray(np.maximum(high - low, 1) / (2 * self.reach), np.float64)

    def nearest(self, at: Array) -> Indices:
        """Find the line of the list that is nearest to each wavelength."""
        place = np.searchsorted(self.wavelengths, at).clip(1, len(self.wavelengths) - 1)
        left = at - self.wavelengths[place - 1] < self.wavelengths[place] - at
        return np.asarray(place - left, np.intp)


@dataclass(frozen=True)
class _Measured:
    """Lines of the arc: where they are, their errors, and what hidden ones may be."""

    u: Array
    # Standard error of each [pixel].
    error: Array
    # Part of the light that a hidden line may have.
    share: Array


def match_lines(
    pixel: Array,
    strength: Array,
    wavelengths: Array,
    length: int,
    search: SearchRange,
    *,
    error: Array | None = None,
    fwhm: float = 0.0,
) -> Match | None:
    """
    Find out which lines of a list the lines of an arc are.

    All dispersions, quadratic and, where they matter, cubic terms within the range are
    tried for some bright lines near the middle, at all shifts; the best are then
    followed to the ends, by changes that make the lines agree better, and fitted. That
    with the largest evidence is taken.

    Parameters
    ----------
    pixel, strength : ndarray of float, shape (m,)
        Centres of the lines of the arc, and how bright they are.
    wavelengths : ndarray of float, shape (k,)
        The list, in rising order.
    length : int
        Number of pixels of the spectrum.
    search : SearchRange
        Where the solution is looked for.
    error : ndarray of float, shape (m,), optional
        Errors of the centres [pixel].
    fwhm : float, optional
        FWHM of a line [pixel]: what is nearer in the list is one line in the arc, and
        the fainter of the arc's lines are shifted more by what they hide.

    Returns
    -------
    Match or None
        None where nothing comes near to a solution.
    """
    scale = _Scale(length)
    u = scale(pixel)
    error = np.zeros(len(pixel)) if error is None else error
    typical = float(np.sqrt(np.prod(search.dispersion)))
    span = typical * length
    low = search.centre[0] - 0.75 * search.dispersion[1] * length
    high = search.centre[1] + 0.75 * search.dispersion[1] * length
    near = wavelengths[(wavelengths > low) & (wavelengths < high)]
    if len(near) < 4 or len(pixel) < 4:
        return None
    listed = _List.of(near, span / 8, _UNRESOLVED * fwhm * typical)
    share = _share_of_others(strength)
    found: list[_Trial] = []
    tried = 0.0
    for direction in search.directions:
        lines = _Measured(direction * u, error, share)
        starts, count = _search(lines.u, strength, listed, scale, search)
        tried += count
        trials = (
            _judged(values, lines, listed, scale)
            for values in _followed(starts, lines, listed, scale)
        )
        found += [trial for trial in trials if trial is not None]
    if not found:
        return None
    found.sort(key=lambda trial: -trial.evidence)
    best = found[0]
    rival = next((t.evidence for t in found[1:] if _differ(t, best, typical)), 0.0)
    first = int(np.searchsorted(wavelengths, near[0]))
    return Match(
        arc=best.arc, listed=best.listed + first, wavelengths=best.predicted,
        scatter=best.scatter, evidence=best.evidence, rival=max(rival, 0.0),
        weakest=best.weakest, tried=float(np.log(max(tried, 1.0))),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """A solution that was followed to the ends of the spectrum."""

    arc: Indices
    listed: Indices
    predicted: Array
    scatter: float
    evidence: float
    weakest: float


def _share_of_others(strength: Array) -> Array:
    """Give the part of the light of each line that one hidden by it may have."""
    part = strength / (strength + strength[:, None])
    return np.asarray(np.median(part, axis=1), np.float64)


def _differ(one: _Trial, other: _Trial, dispersion: float) -> bool:
    """Tell whether two solutions are not the same, but for the ends."""
    off = np.abs(one.predicted - other.predicted) / dispersion
    return float(np.median(off)) > 1.0


def _search(
    u: Array, strength: Array, listed: _List, scale: _Scale, search: SearchRange
) -> tuple[Array, float]:
    """
    Find where lines near the middle agree best, as polynomials of three coefficients.

    The number of places that were compared is given as well.
    """
    lines = _middle(u, strength)
    typical = float(np.sqrt(np.prod(search.dispersion)))
    density = float(np.median(listed.density(listed.wavelengths)))
    tolerance = (
        float(np.clip(_CHANCE / (2 * density * typical), *_TOLERANCES)) * typical
    )
    cell = tolerance / 1.5
    cut = float(np.max(np.abs(lines)))
    v = lines / cut
    half = scale.half * cut
    spread = 1.6 * search.dispersion[1] * half
    origin = search.centre[0] - spread
    size = int(np.ceil((search.centre[1] - search.centre[0] + 2 * spread) / cell)) + 2
    score = _score_of_cells(origin, cell, size, tolerance, listed)
    shifts = int(np.ceil((search.centre[1] - search.centre[0]) / cell)) + 1
    windows = np.lib.stride_tricks.sliding_window_view(score, shifts)
    best: list[tuple[int, float, float, float, float]] = []
    step = 1.25 * tolerance
    linear = np.arange(
        search.dispersion[0] * half, search.dispersion[1] * half + step, step
    )
    count = 0.0
    for square, cube in _bends(typical * half, cut, tolerance, search.curvature):
        w = linear[:, None] * v + square * (v**2) + cube * (v**3 - 0.75 * v)
        places = np.round((w + spread) / cell).astype(np.intp)
        places = places.clip(0, len(windows) - 1)
        total = windows[places[:, 0]]
        for column in places.T[1:]:
            total += windows[column]
        at = np.argmax(total, axis=1)
        tops = total[np.arange(len(linear)), at]
        count += total.size
        for k in np.argsort(-tops, kind="stable")[:4].tolist():
            c0 = search.centre[0] + at[k] * cell
            best.append((int(tops[k]), c0, linear[k], square, cube))
    best.sort(key=lambda b: -b[0])
    polynomials = [
        (c0, (a - 0.75 * e) / cut, b / cut**2, e / cut**3)
        for _, c0, a, b, e in best[:_CANDIDATES]
    ]
    return np.array(polynomials), count


def _middle(u: Array, strength: Array) -> Array:
    """Choose bright lines in the smallest part around the middle that has enough."""
    order = np.argsort(np.abs(u), kind="stable")
    within = order[:_NEAREST]
    brightest = within[np.argsort(-strength[within], kind="stable")][:_LINES]
    return u[np.sort(brightest)]


def _bends(
    width: float, cut: float, tolerance: float, curvature: float
) -> Iterator[tuple[float, float]]:
    """
    Give the quadratic and cubic terms that are tried, at the edge of the middle.

    The width is that of half of the middle, the cut its part of half of the spectrum.
    """
    most = curvature * width * cut
    steps = int(np.ceil(most / (2.5 * tolerance)))
    cubic = _CUBIC * width * cut**2
    cubes = int(np.ceil(max(0.0, cubic / (4 * tolerance) - 0.5)))
    for j in range(-cubes, cubes + 1):
        for i in range(-steps, steps + 1):
            yield (
                i * most / steps if steps else 0.0,
                j * cubic / cubes if cubes else 0.0,
            )


def _score_of_cells(
    origin: float, cell: float, size: int, tolerance: float, listed: _List
) -> npt.NDArray[np.uint8]:
    """Give how much a line in each cell of wavelength speaks for a solution."""
    centres = np.asarray(origin + cell * np.arange(size), np.float64)
    near = np.abs(listed.wavelengths[listed.nearest(centres)] - centres)
    chance = np.clip(2 * tolerance * listed.density(centres), 1e-3, 0.9)
    score = np.where(
        near <= tolerance,
        np.log(_SPURIOUS + (1 - _SPURIOUS) / chance),
        np.log(_SPURIOUS),
    )
    # Beyond the list, lines say nothing.
    ends = listed.wavelengths[[0, -1]] + np.array([-1, 1]) * 4 * tolerance
    score[(centres < ends[0]) | (centres > ends[1])] = 0.0
    # Sums of all lines stay below 256, so that they are small and soon added.
    score = np.minimum(score, 3.0) - np.log(_SPURIOUS)
    steps = np.rint(score * (255 // _LINES / np.max(score)))
    return np.asarray(steps, np.uint8)


def _followed(starts: Array, lines: _Measured, listed: _List, scale: _Scale) -> Array:
    """
    Follow solutions from the middle to the ends, all at once, and fit them.

    They are polynomials, one in each row; what comes out are Legendre coefficients.
    """
    values = np.zeros((len(starts), _TERMS))
    values[:, : starts.shape[1]] = starts
    u = lines.u
    score = _Score.of(lines, listed, float(np.median(starts[:, 1])) / scale.half)
    order = np.sort(np.abs(u))
    reach = float(order[min(len(u), _LINES) - 1])
    while True:
        for _ in range(2):
            values = _better(values, reach, u, score)
        values = values[: max(_BEAM, int(0.85 * len(values)))]
        if reach >= 1:
            break
        reach = min(1.0, reach * 1.12 + 0.01)
    legendre = np.stack([_legendre_of(row) for row in values])
    return _fitted(legendre, lines, listed, scale)


@dataclass(frozen=True)
class _Score:
    """How much lines at any wavelength speak for a solution: a table of cells."""

    origin: float
    cell: float
    # One table for each third of the lines, from those that hidden ones shift least.
    tables: Array
    third: Indices
    scatter: float

    @classmethod
    def of(cls, lines: _Measured, listed: _List, dispersion: float) -> "_Score":
        """Make the tables for some lines and a list."""
        density = listed.density(listed.wavelengths)
        scatter = float(np.clip(0.1 / (np.median(density) * dispersion), 0.2, 1.0))
        scatter *= dispersion
        cell = scatter / 4
        low, high = listed.wavelengths[[0, -1]] + np.array([-4, 4]) * scatter
        at = np.arange(low - cell, high + 2 * cell, cell)
        near = listed.nearest(at)
        off = listed.wavelengths[near] - at
        share = lines.share
        third = np.searchsorted(np.quantile(share, [1 / 3, 2 / 3]), share)
        tables = np.zeros((3, len(at)))
        for n in range(3):
            typical = float(np.median(share[third == n])) if (third == n).any() else 0.5
            hidden = 0.4 * typical * listed.spread[near]
            width = np.hypot(scatter, hidden)
            ratio = np.exp(-0.5 * (off / width) ** 2) / (2.5066 * width * density[near])
            tables[n] = np.log(_SPURIOUS + (1 - _SPURIOUS) * ratio)
        # Beyond the list, lines say nothing.
        tables[:, 0] = tables[:, -1] = 0.0
        return cls(at[0], cell, tables, np.asarray(third, np.intp), scatter)

    def __call__(self, wavelengths: Array, inside: npt.NDArray[np.bool_]) -> Array:
        """Give the sum for each row of wavelengths of the lines that are inside."""
        place = np.rint((wavelengths[..., inside] - self.origin) / self.cell)
        place = place.clip(0, self.tables.shape[1] - 1).astype(np.intp)
        return np.asarray(self.tables[self.third[inside], place].sum(axis=-1))


def _better(values: Array, reach: float, u: Array, score: _Score) -> Array:
    """Change polynomials so that lines within reach agree better, and keep the best."""
    inside = np.abs(u) <= reach + 1e-9
    powers = u[:, None] ** np.arange(_TERMS)
    degree = 2 if reach < 0.2 else 3 if reach < 0.45 else 4
    steps = score.scatter * np.array([0.0, -3, -1.5, -0.6, 0.6, 1.5, 3])
    total = np.zeros(len(values))
    for term in range(degree + 1):
        # A change that is at most 1 within reach, as a polynomial of u.
        change = np.zeros(_TERMS)
        change[: term + 1] = np.polynomial.legendre.leg2poly([0.0] * term + [1.0])
        change /= reach ** np.arange(_TERMS)
        trials = values[:, None, :] + steps[:, None] * change
        relative = trials[..., 2:] / trials[..., 1:2]
        unlikely = 0.5 * np.sum((relative / np.array(_BENT)) ** 2, axis=-1)
        scores = score(trials @ powers.T, inside) - unlikely
        scores[trials[..., 1] <= 0] = -np.inf
        best = np.argmax(scores, axis=1)
        here = np.arange(len(values))
        values, total = trials[here, best], scores[here, best]
    # Of those that are nearly the same, the best.
    values = values[np.argsort(-total, kind="stable")]
    ends = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])[:, None] * reach
    near = values @ (ends ** np.arange(_TERMS)).T / (0.8 * score.scatter)
    _, first = np.unique(np.rint(near).astype(np.int64), axis=0, return_index=True)
    return values[np.sort(first)]


def _legendre_of(power: Array) -> Array:
    found = np.zeros(_TERMS)
    converted = np.polynomial.legendre.poly2leg(power)
    found[: len(converted)] = converted
    return found


def _fitted(values: Array, lines: _Measured, listed: _List, scale: _Scale) -> Array:
    """Fit polynomials to the lines of the list that are nearest, with less and less."""
    dispersion = np.abs(values[:, 1]) / scale.half
    terms = np.asarray(
        np.polynomial.legendre.legvander(lines.u, _TERMS - 1), np.float64
    )
    density = float(np.median(listed.density(listed.wavelengths)))
    tolerance = np.clip(0.35 / (density * dispersion), 0.7, 1.5) * dispersion
    for _ in range(8):
        predicted = values @ terms.T
        place = listed.nearest(predicted)
        off = listed.wavelengths[place] - predicted
        kept = np.abs(off) < tolerance[:, None]
        weight = np.where(kept, 1 - (off / tolerance[:, None]) ** 2, 0.0)
        hidden = listed.spread[place] * lines.share / (_SHIFTED * dispersion[:, None])
        weight /= 1 + hidden**2
        values = _fits(values, terms, listed.wavelengths[place], weight, scale)
        residual = np.abs(listed.wavelengths[place] - values @ terms.T)
        residual = np.where(kept, residual, np.nan)
        is_alive = np.any(kept, axis=1)[:, None]
        width = 1.4826 * np.nanmedian(np.where(is_alive, residual, 0.0), axis=1)
        narrow = np.maximum(0.7 * tolerance, 3 * width)
        tolerance = np.minimum(tolerance, np.maximum(0.35 * dispersion, narrow))
    return values


def _fits(
    values: Array, terms: Array, wavelength: Array, weight: Array, scale: _Scale
) -> Array:
    """Fit a polynomial in each row, where it has lines enough; high terms are small."""
    degree = terms.shape[1] - 1
    # Terms are as large as optics make them, unless lines say otherwise.
    prior = np.array([1e6, 1e6, 0.2, 0.02, 0.005])[: degree + 1]
    normal = np.einsum("kn,ni,nj->kij", weight, terms, terms, optimize=True)
    normal += np.diag((0.3 / (prior * scale.half)) ** 2)
    target = (weight * wavelength) @ terms
    enough = (weight > 0).sum(axis=1) >= 4
    found = values.copy()
    found[enough] = 0.0
    solved = np.linalg.solve(normal[enough], target[enough][..., None])
    found[enough, : degree + 1] = solved[..., 0]
    return found


def _value(values: Array, u: Array) -> Array:
    return np.asarray(np.polynomial.legendre.legval(u, values), np.float64)


def _judged(
    values: Array, lines: _Measured, listed: _List, scale: _Scale
) -> _Trial | None:
    """Match for the last time, and find the evidence."""
    u, error = lines.u, lines.error
    predicted = _value(values, u)
    there = listed.nearest(predicted)
    derivative = np.asarray(np.polynomial.legendre.legder(values), np.float64)
    slope = _value(derivative, u) / scale.half
    if (slope <= 0).any():
        return None
    off = listed.wavelengths[there] - predicted
    hidden = listed.spread[there] * lines.share / slope
    tolerance = np.minimum(np.hypot(1.0, 3 * np.hypot(error, hidden)), 2.0) * slope
    # Of two lines that are taken for the same one, the nearer is it.
    kept = np.abs(off) < tolerance
    order = np.argsort(np.abs(off), kind="stable")
    first: dict[int, int] = {}
    for i in order[kept[order]].tolist():
        first.setdefault(int(there[i]), i)
    arc = np.array(sorted(first.values()), np.intp)
    degree = int(np.flatnonzero(values)[-1])
    if len(arc) < degree + 2:
        return None
    terms = np.polynomial.legendre.legvander(u[arc], degree)
    leverage = np.einsum("ij,ji->i", terms, np.linalg.pinv(terms))
    missed = off[arc] / slope[arc] / np.maximum(1 - leverage, 0.05)
    density = listed.density(predicted) * slope
    within = (predicted > listed.wavelengths[0]) & (predicted < listed.wavelengths[-1])
    # Beyond the list, lines say nothing.
    chance = np.where(within, np.log(_SPURIOUS), 0.0)
    best, scatter = np.full(len(u), -np.inf), 0.0
    for trial, hiding in product(_SCATTERS, _HIDING):
        width2 = trial**2 + error[arc] ** 2 + (hiding * hidden[arc]) ** 2
        gauss = np.exp(-0.5 * missed**2 / width2) / np.sqrt(2 * np.pi * width2)
        # Where lines of the list are nearer than that, any place agrees.
        any_place = width2 * density[arc] ** 2 > 0.16
        ratio = np.where(any_place, 1.0, gauss / density[arc])
        each = chance.copy()
        each[arc] = np.log(_SPURIOUS + (1 - _SPURIOUS) * ratio)
        if each.sum() > best.sum():
            best, scatter = each, trial
    along = np.array_split(best[within][np.argsort(u[within], kind="stable")], 3)
    good = np.abs(missed) < max(0.5, 4 * scatter)
    return _Trial(
        arc=arc[good], listed=there[arc][good], predicted=predicted,
        scatter=scatter, evidence=float(best.sum()),
        weakest=min(float(part.sum()) for part in along),
    )  # fmt: skip
