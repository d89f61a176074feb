"""Matching positions of the same stars in two images."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

__all__ = ["Match", "Similarity", "fit_similarity", "match_points"]

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]
Indices = npt.NDArray[np.intp]

_BRIGHTEST = 60
"""Triangles are made of so many points of each list, and pairs of ten times as many."""

_NEIGHBOURS = 6
"""A point makes triangles with pairs of so many of its neighbours."""

_ALIKE = 0.02
"""Largest difference of the ratios of sides of triangles that are taken as the same."""

_CHANCE = 1e-4
"""Largest chance that other points agree as well as those of a match."""

_CHANCE_NEARBY = 0.01
"""The same, where it is known about where points are."""

_TRIED = 2000
"""Hypotheses that are tried at most, the most alike triangles first."""


@dataclass(frozen=True)
class Similarity:
    """
    A shift, rotation and scale of the plane: z -> turn z + shift, with z = x + i y.

    Parameters
    ----------
    turn : complex
        The scale, times the exponential of i times the angle of rotation.
    shift : complex
        The shift in x and, as imaginary part, in y [pixel].
    """

    turn: complex
    shift: complex

    def __call__(self, points: Array) -> Array:
        """Transform points of shape (n, 2)."""
        return _plane(self.turn * _complex(points) + self.shift)

    @property
    def scale(self) -> float:
        """The scale."""
        return abs(self.turn)

    @property
    def angle(self) -> float:
        """The angle of rotation [degree], from x towards y."""
        return float(np.degrees(np.angle(self.turn)))


@dataclass(frozen=True)
class Match:
    """
    Which points of two lists are the same.

    Parameters
    ----------
    first, second : ndarray of int, shape (n,)
        Their places in the two lists.
    transform : Similarity
        What takes the first to the second.
    rms : float
        Standard deviation of the residuals along an axis, of the degrees of freedom
        that are left [pixel]; NaN where none are.
    """

    first: Indices
    second: Indices
    transform: Similarity
    rms: float


def match_points(
    first: Array,
    second: Array,
    *,
    near: float | None = None,
    tolerance: float = 1.5,
) -> Match | None:
    """
    Find out which points of two lists are the same, and how the lists lie.

    Parameters
    ----------
    first, second : ndarray of float, shape (n, 2) and (m, 2)
        Positions x, y, the brightest first [pixel].
    near : float, optional
        Points of the first list lie so close to those of the second, and are not
        rotated by much: shifts within it are looked for. By default, any shift,
        rotation and scale is.
    tolerance : float
        Largest distance of points that are the same, once transformed [pixel].

    Returns
    -------
    Match or None
        None where too few points agree to tell: with `near` at least a third of the
        shorter list; else at least four; and so many that chance hardly makes them.

    Notes
    -----
    With `near`, the shift is that at which most pairs of points agree. Without it,
    triangles of neighbours whose sides have the same ratios are hypotheses [1]_, and
    the one with which most points agree is taken. Either is then fitted to all points
    that agree, by least squares: a shift to one or two, a similarity to more.

    References
    ----------
    .. [1] E. J. Groth, 1986, Astronomical Journal 91, 1244.
    """
    first, second = (np.asarray(p, np.float64).reshape(-1, 2) for p in (first, second))
    if not len(first) or not len(second):
        return None
    if near is not None:
        start = _nearby(first, second, near, tolerance)
        least = max(
            -(-min(len(first), len(second)) // 3),
            _least_nearby(first, second, tolerance, near),
        )
        return _settled(first, second, start, tolerance, least=least)
    start, tried = _by_triangles(first, second, tolerance)
    least = _least_anywhere(first, second, tolerance, tried)
    return _settled(first, second, start, tolerance, least=least)


def _complex(points: Array) -> Complex:
    return np.asarray(points[:, 0] + 1j * points[:, 1])


def _plane(points: Complex) -> Array:
    return np.column_stack([points.real, points.imag])


def _least_anywhere(first: Array, second: Array, tolerance: float, tried: int) -> int:
    """Give how many points must agree, so that hardly any chance makes them."""
    from scipy.stats import poisson

    area = float(np.prod(np.ptp(second, axis=0) + tolerance))
    share = min(1.0, len(second) * np.pi * tolerance**2 / area)
    # The three corners of a hypothesis agree anyway.
    expected = max(0, len(first) - 3) * share
    more = np.arange(1, len(first) + 2)
    chances = tried * poisson.sf(more - 1, expected)
    return 3 + int(more[np.argmax(chances < _CHANCE)])


def _least_nearby(first: Array, second: Array, tolerance: float, near: float) -> int:
    """Give how many points must agree, so that chance does not bring them there."""
    from scipy.stats import poisson

    if len(first) == len(second) == 1:
        return 1  # there is no other that it could be
    both = np.concatenate([first, second])
    area = float(np.prod(np.ptp(both, axis=0) + 2 * near))
    # So many pairs are near to each other by chance; each is a shift that is tried.
    tried = min(1.0, len(second) * np.pi * near**2 / area) * len(first)
    share = min(1.0, len(second) * np.pi * tolerance**2 / area)
    more = np.arange(len(first) + 1)
    chances = tried * poisson.sf(more - 1, max(0, len(first) - 1) * share)
    return 1 + int(more[np.argmax(chances < _CHANCE_NEARBY)])


def _nearby(
    first: Array, second: Array, near: float, tolerance: float
) -> Similarity | None:
    """Find the shift at which most pairs of points agree."""
    from scipy.spatial import KDTree

    ours, theirs = (p[: 10 * _BRIGHTEST] for p in (first, second))
    tree = KDTree(theirs)
    shifts = [
        theirs[j] - point
        for point, found in zip(ours, tree.query_ball_point(ours, near), strict=True)
        for j in found
    ]
    if not shifts:
        return None
    cloud = np.array(shifts)
    close = KDTree(cloud).query_ball_point(cloud, tolerance)
    most = max(close, key=len)
    shift = np.median(cloud[most], axis=0)
    return Similarity(1 + 0j, complex(*shift))


def _triangles(points: Array) -> tuple[Indices, Array]:
    """List triangles of neighbours: their corners in order of sides, and ratios."""
    from scipy.spatial import KDTree

    count = min(len(points), _NEIGHBOURS + 1)
    _, near = KDTree(points).query(points, count)
    corners = {
        tuple(sorted(three))
        for row in np.atleast_2d(near)
        for three in combinations(row.tolist(), 3)
    }
    if not corners:
        return np.empty((0, 3), np.intp), np.empty((0, 2))
    index = np.array(sorted(corners))
    sides = np.stack(
        [np.hypot(*(points[index[:, i]] - points[index[:, j]]).T)
         for i, j in ((1, 2), (0, 2), (0, 1))], axis=1,
    )  # fmt: skip
    order = np.argsort(sides, axis=1)  # each side lies opposite to its corner
    index = np.take_along_axis(index, order, axis=1)
    sides = np.take_along_axis(sides, order, axis=1)
    ratios = sides[:, :2] / np.maximum(sides[:, 2:], 1e-300)
    # Of nearly equal sides the order is not known.
    is_clear = (np.diff(sides, axis=1) > 0.03 * sides[:, 2:]).all(axis=1)
    return index[is_clear], ratios[is_clear]


def _by_triangles(
    first: Array, second: Array, tolerance: float
) -> tuple[Similarity | None, int]:
    """
    Find the similarity of two alike triangles with which most points agree.

    The number of those that were tried is given as well.
    """
    from scipy.spatial import KDTree

    ours, our_ratios = _triangles(first[:_BRIGHTEST])
    theirs, their_ratios = _triangles(second[:_BRIGHTEST])
    if not len(ours) or not len(theirs):
        return None, 0
    near, places = KDTree(their_ratios).query(
        our_ratios, k=min(5, len(theirs)), distance_upper_bound=_ALIKE
    )
    near, places = near.reshape(len(ours), -1), places.reshape(len(ours), -1)
    pairs = np.argwhere(np.isfinite(near))
    pairs = pairs[np.argsort(near[pairs[:, 0], pairs[:, 1]], kind="stable")][:_TRIED]
    tree = KDTree(second)
    best, most = None, 0
    for row, column in pairs:
        one, other = first[ours[row]], second[theirs[places[row, column]]]
        found = fit_similarity(one, other)
        # The corners of a mirror image cannot agree.
        if np.hypot(*(found(one) - other).T).max() > tolerance:
            continue
        distance, _ = tree.query(found(first), distance_upper_bound=tolerance)
        if (count := int(np.isfinite(distance).sum())) > most:
            best, most = found, count
            if count > max(6, min(len(first), len(second)) / 2):
                break
    return best, len(pairs)


def fit_similarity(
    first: Array,
    second: Array,
    weights: Array | None = None,
    *,
    turns: bool = True,
) -> Similarity:
    """
    Fit what takes points to others, by weighted least squares.

    Parameters
    ----------
    first, second : ndarray of float, shape (n, 2)
        The points, and where they are to come.
    weights : ndarray of float, shape (n,), optional
        Their weights, such as the inverse of the sum of both variances.
    turns : bool
        Whether rotation and scale are fitted as well, of three and more points.

    Returns
    -------
    Similarity
        The transform.
    """
    ours, theirs = _complex(first), _complex(second)
    weights = np.ones(len(ours)) if weights is None else weights
    middle = np.average(ours, weights=weights)
    target = np.average(theirs, weights=weights)
    if len(ours) < 3 or not turns:
        return Similarity(1 + 0j, complex(target - middle))
    spread = np.sum(weights * np.abs(ours - middle) ** 2)
    product = np.sum(weights * (ours - middle).conj() * (theirs - target))
    turn = product / max(spread, 1e-300)
    return Similarity(complex(turn), complex(target - turn * middle))


def _settled(
    first: Array,
    second: Array,
    start: Similarity | None,
    tolerance: float,
    *,
    least: int,
) -> Match | None:
    """Fit to all points that agree, until these are always the same."""
    if start is None:
        return None
    transform, before = start, None
    # The rough one may be off by more across the whole image.
    for reach in (3 * tolerance, 2 * tolerance, *[tolerance] * 20):
        ours, theirs = _partners(transform(first), second, reach)
        if len(ours) < least:
            return None
        transform = fit_similarity(first[ours], second[theirs])
        if reach == tolerance and before == (now := (ours.tolist(), theirs.tolist())):
            break
        before = now if reach == tolerance else None
    off = np.hypot(*(transform(first[ours]) - second[theirs]).T)
    free = 2 * len(ours) - (4 if len(ours) > 2 else 2)
    rms = float(np.sqrt(np.sum(off**2) / free)) if free > 0 else np.nan
    return Match(ours, theirs, transform, rms)


def _partners(first: Array, second: Array, reach: float) -> tuple[Indices, Indices]:
    """Pair points that are nearest to each other."""
    from scipy.spatial import KDTree

    distance, there = KDTree(second).query(first, distance_upper_bound=reach)
    _, back = KDTree(first).query(second)
    ours = np.flatnonzero(np.isfinite(distance))
    ours = ours[back[there[ours]] == ours]
    return ours, there[ours]
