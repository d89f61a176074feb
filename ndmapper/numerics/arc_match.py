"""Matching the lines of an arc with a list, where the dispersion is hardly known."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Match", "SearchRange", "match_lines"]

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_LINES = 20
"""The search takes so many of the brightest lines, near the middle."""

_CHANCE = 0.12
"""Chance that any line agrees with the list, at the tolerance of the search."""

_TOLERANCES = (0.5, 3.0)
"""The tolerance of the search is within this range [pixel]."""

_CANDIDATES = 60
"""So many places of the search are tried in full."""

_SPURIOUS = 0.35
"""Lines that are in no list, as a part of all, for the evidence."""

_TERMS = 5
"""Solutions are followed as polynomials of so many coefficients."""

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
    tried : float
        Logarithm of the number of solutions that were compared.
    """

    arc: Indices
    listed: Indices
    wavelengths: Array
    scatter: float
    evidence: float
    rival: float
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


def match_lines(
    pixel: Array,
    strength: Array,
    wavelengths: Array,
    length: int,
    search: SearchRange,
    *,
    error: Array | None = None,
) -> Match | None:
    """
    Find out which lines of a list the lines of an arc are.

    All dispersions, quadratic and, where they matter, cubic terms within the range are
    tried for some bright lines near the middle, at all shifts; the best are then
    followed to the ends and fitted. That with the largest evidence is taken.

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
    listed = _List(near, span / 8)
    found: list[_Trial] = []
    tried = 0.0
    for direction in search.directions:
        starts, count = _search(direction * u, strength, listed, scale, search)
        tried += count
        trials = (
            _judged(values, direction * u, error, listed, scale)
            for values in _followed(starts, direction * u, listed, scale)
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
        tried=float(np.log(max(tried, 1.0))),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """A solution that was followed to the ends of the spectrum."""

    arc: Indices
    listed: Indices
    predicted: Array
    scatter: float
    evidence: float


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
    cell = tolerance / 2
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
        total = windows[places[:, 0]].astype(np.int16)
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
    within = order[: 2 * _LINES]
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
) -> npt.NDArray[np.int16]:
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
    score[(centres < ends[0]) | (centres > ends[1])] = np.log(_SPURIOUS) / 2
    return np.round(20 * score).astype(np.int16)


def _followed(starts: Array, u: Array, listed: _List, scale: _Scale) -> Array:
    """
    Follow solutions from the middle to the ends, all at once, and fit them.

    They are polynomials, one in each row; what comes out are Legendre coefficients.
    """
    values = np.zeros((len(starts), _TERMS))
    for row, start in zip(values, starts, strict=True):
        converted = np.polynomial.legendre.poly2leg(start)
        row[: len(converted)] = converted
    dispersion = np.abs(starts[:, 1]) / scale.half
    terms = np.asarray(np.polynomial.legendre.legvander(u, _TERMS - 1), np.float64)
    reach = float(np.sort(np.abs(u))[min(len(u), _LINES) - 1])
    tolerance = 3.0 * dispersion
    for _ in range(24):
        inside = np.abs(u) <= reach + 1e-9
        count = int(inside.sum())
        degree = 2 if count < 10 else 3 if count < 16 or reach < 0.7 else 4
        predicted = values @ terms.T
        wavelength = listed.wavelengths[listed.nearest(predicted)]
        off = np.abs(wavelength - predicted)
        kept = inside & (off < tolerance[:, None])
        weight = np.where(kept, 1 - (off / tolerance[:, None]) ** 2, 0.0)
        values = _fits(values, terms[:, : degree + 1], wavelength, weight, scale)
        residual = np.where(kept, np.abs(wavelength - values @ terms.T), np.nan)
        is_alive = np.any(kept, axis=1)[:, None]
        width = 1.4826 * np.nanmedian(np.where(is_alive, residual, 0.0), axis=1)
        if reach < 1:
            tolerance = np.minimum(tolerance, np.maximum(1.2 * dispersion, 4 * width))
            reach = min(1.0, reach * 1.15 + 0.02)
        else:
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
    values: Array, u: Array, error: Array, listed: _List, scale: _Scale
) -> _Trial | None:
    """Match for the last time, and find the evidence."""
    predicted = _value(values, u)
    there = listed.nearest(predicted)
    derivative = np.asarray(np.polynomial.legendre.legder(values), np.float64)
    slope = _value(derivative, u) / scale.half
    if (slope <= 0).any():
        return None
    off = listed.wavelengths[there] - predicted
    tolerance = np.hypot(1.0, 3 * error) * slope
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
    scatter = max(0.03, 1.4826 * float(np.median(np.abs(missed))))
    width2 = scatter**2 + error[arc] ** 2
    gauss = np.exp(-0.5 * missed**2 / width2) / np.sqrt(2 * np.pi * width2)
    density = listed.density(predicted) * slope
    within = (predicted > listed.wavelengths[0]) & (predicted < listed.wavelengths[-1])
    factor = np.full(len(u), _SPURIOUS)
    factor[~within] = np.sqrt(_SPURIOUS)
    factor[arc] = _SPURIOUS + (1 - _SPURIOUS) * gauss / density[arc]
    good = np.abs(missed) < max(0.5, 4 * scatter)
    return _Trial(
        arc=arc[good], listed=there[arc][good], predicted=predicted,
        scatter=scatter, evidence=float(np.log(factor).sum()),
    )  # fmt: skip
