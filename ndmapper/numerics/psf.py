"""Photometry by fits of a point spread function: its profile, and fluxes of sources."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.correlated_noise import Covariances, variance_of_sum
from ndmapper.numerics.detection import FWHM_OF_SIGMA

__all__ = ["FittedSources", "Profile", "fit_profile", "fit_sources", "smooth_variance"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_NODES = np.array([-0.5, 0.0, 0.5]) * math.sqrt(0.6)
_SHARES = np.array([5.0, 8.0, 5.0]) / 18
"""Where a pixel is sampled along an axis, and with which weight (Gauss-Legendre)."""

_STEP = 0.02
"""Step of numerical derivatives [pixel]."""

_REFINED_SNR = 5.0
"""Positions of fainter sources are not fitted."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """An elliptical Moffat or Gaussian profile of flux 1, integrated over pixels."""

    # Squares of the widths and their mixed term: the covariance of a Gaussian.
    xx: float
    yy: float
    xy: float
    # Exponent of a Moffat profile; infinite for a Gaussian.
    beta: float = math.inf

    def at(self, dx: Array, dy: Array) -> Array:
        """Give the light of pixels, by their distance from the centre."""
        area = self.xx * self.yy - self.xy**2
        total: Array = np.zeros(np.broadcast(dx, dy).shape)
        for node_y, share_y in zip(_NODES, _SHARES, strict=True):
            for node_x, share_x in zip(_NODES, _SHARES, strict=True):
                x, y = dx + node_x, dy + node_y
                radius2 = (
                    self.yy * x * x - 2 * self.xy * x * y + self.xx * y * y
                ) / area
                light = (
                    np.exp(-0.5 * radius2) / 2
                    if math.isinf(self.beta)
                    else (self.beta - 1) * (1 + radius2) ** -self.beta
                )
                total += share_x * share_y * light
        return total / (math.pi * math.sqrt(area))

    @property
    def fwhm(self) -> float:
        """Geometric mean of the FWHM along the axes, without pixels."""
        width = math.sqrt(math.sqrt(self.xx * self.yy - self.xy**2))
        if math.isinf(self.beta):
            return FWHM_OF_SIGMA * width
        return 2 * width * math.sqrt(2 ** (1 / self.beta) - 1)


@dataclass(frozen=True, kw_only=True)
class FittedSources:
    """What fits of a profile have found; NaN where there was nothing to fit."""

    x: Array
    y: Array
    x_error: Array
    y_error: Array
    flux: Array
    variance: Array
    # Chi square of the pixels around, by their number less the parameters.
    chi2: Array


def smooth_variance(variance: Array, good: Mask, fwhm: float) -> Array:
    """
    Smooth variances for weights, which must not follow the noise of their own pixels.

    Otherwise pixels that are low by chance count more, and fluxes are too low.
    """
    from scipy.ndimage import gaussian_filter

    width = fwhm / FWHM_OF_SIGMA
    total = gaussian_filter(np.where(good, variance, 0.0), width)
    share = gaussian_filter(good.astype(np.float64), width)
    smooth: Array = np.full(variance.shape, np.inf)
    np.divide(total, share, out=smooth, where=share > 1e-3)
    return smooth


def fit_profile(
    data: Array,
    weights: Array,
    good: Mask,
    *,
    x: Array,
    y: Array,
    fwhm: float,
    radius: float,
    is_moffat: bool = True,
) -> Profile:
    """
    Fit one profile to all of some stars, each with its own flux and background.

    Raises
    ------
    ValueError
        If the fit fails.
    """
    from scipy.optimize import least_squares

    around = [_around(good, a, b, radius) for a, b in zip(x, y, strict=True)]
    enough = [n for n, (rows, _) in enumerate(around) if rows.size > 20]
    stamps = [around[n] for n in enough]
    if not stamps:
        msg = "no star has enough good pixels for a fit of its profile"
        raise ValueError(msg)
    offsets = [(around[n][1] - x[n], around[n][0] - y[n]) for n in enough]
    values = [data[place] for place in stamps]
    inverse = [1 / weights[place] for place in stamps]

    def made(theta: Array) -> Profile:
        a, b = math.exp(theta[0]), math.exp(theta[1])
        mixed = math.tanh(theta[2]) * math.sqrt(a * b)
        beta = 1.1 + math.exp(theta[3]) if is_moffat else math.inf
        return Profile(xx=a, yy=b, xy=mixed, beta=beta)

    def residuals(theta: Array) -> Array:
        profile, parts = made(theta), []
        for (dx, dy), value, weight in zip(offsets, values, inverse, strict=True):
            light = profile.at(dx, dy)
            # Flux and background of the star, by the normal equations.
            one, p, pp = weight.sum(), weight @ light, weight @ light**2
            d, pd = weight @ value, (weight * light) @ value
            flux = (one * pd - p * d) / (one * pp - p * p)
            level = (d - flux * p) / one
            parts.append((value - flux * light - level) * np.sqrt(weight))
        return np.concatenate(parts)

    start = (fwhm / FWHM_OF_SIGMA) ** 2
    if is_moffat:
        start = (fwhm / 2) ** 2 / (2 ** (1 / 3.5) - 1)
    first = [math.log(start), math.log(start), 0.0, *([math.log(2.4)] * is_moffat)]
    limits = [(-4, 6), (-4, 6), (-1, 1), *([(-2, 5)] * is_moffat)]
    fit = least_squares(
        residuals, first, bounds=tuple(zip(*limits, strict=True)), x_scale=0.1
    )
    return made(fit.x)


def fit_sources(
    data: Array,
    variance: Array,
    weights: Array,
    good: Mask,
    profile: Profile,
    *,
    x: Array,
    y: Array,
    radius: float,
    refine: bool = True,
    common_variance: Array | None = None,
    covariances: Covariances | None = None,
) -> FittedSources:
    """
    Fit fluxes, and positions of brighter sources, of all that overlap together.

    `weights` are variances of `smooth_variance`; the errors are those that the
    variances of the pixels give with such weights. `common_variance`, of each source,
    is that of a background that was subtracted, and `covariances` are those of the
    pixels of a stack.
    """
    count = len(x)
    found = {
        name: np.full(count, np.nan)
        for name in ("x_error", "y_error", "flux", "variance", "chi2")
    }
    px, py = x.astype(np.float64), y.astype(np.float64)
    for members in _groups(px, py, 2 * radius):
        rows, columns = _union(good, px[members], py[members], radius)
        if rows.size <= members.size:
            continue
        group = _Group(profile, rows, columns, data[rows, columns], covariances)
        group.fit(px[members], py[members], weights[rows, columns],
                  variance[rows, columns], refine=refine, limit=radius)  # fmt: skip
        px[members], py[members] = group.x, group.y
        found["flux"][members] = group.flux
        extra = 0.0 if common_variance is None else common_variance[members]
        found["variance"][members] = group.variance + group.response**2 * extra
        found["x_error"][members], found["y_error"][members] = group.errors
        for n, member in enumerate(members):
            near = np.hypot(columns - group.x[n], rows - group.y[n]) <= radius
            freedom = max(1, near.sum() - 1 - 2 * refine)
            found["chi2"][member] = group.chi2[near].sum() / freedom
    return FittedSources(x=px, y=py, **found)


class _Group:
    """Sources that overlap, and their pixels."""

    x: Array
    y: Array
    flux: Array
    variance: Array
    # How fluxes answer to a background of 1.
    response: Array
    errors: tuple[Array, Array]
    chi2: Array

    def __init__(
        self,
        profile: Profile,
        rows: npt.NDArray[np.int_],
        columns: npt.NDArray[np.int_],
        values: Array,
        covariances: Covariances | None = None,
    ) -> None:
        self.profile, self.rows, self.columns = profile, rows, columns
        self.values, self.covariances = values, covariances

    def fit(
        self, x: Array, y: Array, weights: Array, variance: Array,
        *, refine: bool, limit: float,
    ) -> None:  # fmt: skip
        """Fit fluxes first, then positions as well, by Newton steps."""
        self.x, self.y = x.copy(), y.copy()
        n = x.size
        self._solve(self._light(), weights, variance)
        moved = np.flatnonzero(self.flux > _REFINED_SNR * np.sqrt(self.variance))
        self.errors = (np.full(n, np.nan), np.full(n, np.nan))
        if refine and moved.size:
            for _ in range(6):
                terms = np.concatenate([self._light(), self._slopes(moved)])
                if self.values.size <= len(terms):
                    break
                solution, errors = self._solve(terms, weights, variance)
                shift = np.clip(solution[n:].reshape(2, -1), -0.5, 0.5)
                self.x[moved] += shift[0]
                self.y[moved] += shift[1]
                self.errors[0][moved], self.errors[1][moved] = errors[n:].reshape(2, -1)
                if np.abs(shift).max() < 1e-3:
                    break
            lost = np.hypot(self.x - x, self.y - y) > limit
            self.x[lost], self.y[lost] = x[lost], y[lost]
        self.chi2 = (self.values - self.flux @ self._light()) ** 2 / weights

    def _light(self, dx: float = 0.0, dy: float = 0.0) -> Array:
        return self.profile.at(
            self.columns - self.x[:, None] - dx, self.rows - self.y[:, None] - dy
        )

    def _slopes(self, moved: npt.NDArray[np.int_]) -> Array:
        parts = []
        for dx, dy in ((_STEP, 0.0), (0.0, _STEP)):
            slope = (self._light(dx, dy) - self._light(-dx, -dy)) / (2 * _STEP)
            parts.append(self.flux[moved, None] * slope[moved])
        return np.concatenate(parts)

    def _solve(
        self, terms: Array, weights: Array, variance: Array
    ) -> tuple[Array, Array]:
        weighted = terms / weights
        filters = np.linalg.pinv(weighted @ terms.T) @ weighted
        solution = filters @ self.values
        variances = self._variances(filters * np.sqrt(np.maximum(variance, 0.0)))
        n = self.x.size
        self.flux, self.variance = solution[:n], variances[:n]
        self.response = filters[:n].sum(1)
        return solution, np.sqrt(variances)

    def _variances(self, deviations: Array) -> Array:
        """Compute the variances of sums over the pixels, of which each row is one."""
        if self.covariances is None:
            return np.asarray((deviations**2).sum(1))
        corner = int(np.min(self.rows)), int(np.min(self.columns))
        shape = (
            int(np.max(self.rows)) - corner[0] + 1,
            int(np.max(self.columns)) - corner[1] + 1,
        )
        found = []
        for row in deviations:
            plane = np.zeros(shape)
            plane[self.rows - corner[0], self.columns - corner[1]] = row
            found.append(variance_of_sum(plane, self.covariances))
        return np.array(found)


def _groups(x: Array, y: Array, distance: float) -> Iterator[npt.NDArray[np.int_]]:
    """Divide sources into those that are chained by overlaps."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if known.size == 0:
        return
    pairs = cKDTree(np.stack([x[known], y[known]], 1)).query_pairs(
        distance, output_type="ndarray"
    )
    links = coo_matrix(
        (np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (known.size, known.size)
    )
    count, numbers = connected_components(links, directed=False)
    order = np.argsort(numbers, kind="stable")
    for part in np.split(order, np.searchsorted(numbers[order], np.arange(1, count))):
        yield known[part]


def _around(
    good: Mask, x: float, y: float, radius: float
) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    """Give rows and columns of the good pixels near a position."""
    ny, nx = good.shape
    rows = np.arange(max(0, math.ceil(y - radius)), min(ny, int(y + radius) + 1))
    columns = np.arange(max(0, math.ceil(x - radius)), min(nx, int(x + radius) + 1))
    near = np.hypot(rows[:, None] - y, columns[None, :] - x) <= radius
    near &= good[np.ix_(rows, columns)]
    r, c = np.nonzero(near)
    return rows[r], columns[c]


def _union(
    good: Mask, x: Array, y: Array, radius: float
) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    places = [_around(good, a, b, radius) for a, b in zip(x, y, strict=True)]
    nx = good.shape[1]
    flat = np.unique(np.concatenate([r * nx + c for r, c in places]))
    return flat // nx, flat % nx
