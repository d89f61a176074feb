"""Dispersion solutions: the wavelength as a function of the pixel, fitted to lines."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.robust import fit_linear

__all__ = ["DispersionFit", "Kind", "best_order", "fit_dispersion", "fit_surface"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Kind = Literal["polynomial", "spline"]

_CLIP = 4.0
"""Lines further from the fit than so many standard deviations are left out."""

_FAR_CLIP = 6.0
"""The same, where the fit itself may be wrong, by its own error."""

_SPARE = 3
"""A fit has at least so many lines more than coefficients."""


@dataclass(frozen=True, kw_only=True)
class DispersionFit:
    """
    The wavelength of each pixel, and its error.

    Parameters
    ----------
    kind : {'polynomial', 'spline'}
        Function along the dispersion: a polynomial, or a cubic spline with equally
        spaced knots.
    order : int
        Degree of the polynomial, or number of pieces of the spline.
    slit_order : int
        Degree of the polynomial along the slit; 0 for a spectrum.
    domain : tuple of float
        First and last pixel along the dispersion, and along the slit.
    values, covariance : ndarray of float, shape (n,) and (n, n)
        Coefficients of the terms, and their covariance: that of the errors, or that of
        fits without one line each (jackknife), where this is larger.
    residuals, left_out : ndarray of float, shape (m,)
        Wavelength of each line minus the fit, and minus the fit to all other lines.
    used : ndarray of bool, shape (m,)
        Which lines the fit has used.
    scatter : float
        Standard deviation of the lines beyond their errors.
    """

    kind: Kind
    order: int
    slit_order: int
    domain: tuple[float, float, float, float]
    values: Array
    covariance: Array
    residuals: Array
    left_out: Array
    used: Mask
    scatter: float

    def __call__(self, x: npt.ArrayLike, y: npt.ArrayLike = 0.0) -> Array:
        """Give the wavelengths at pixels; y is the place along the slit."""
        return self._on(x, y, lambda terms: terms @ self.values)

    def variance(self, x: npt.ArrayLike, y: npt.ArrayLike = 0.0) -> Array:
        """Give the variances of the wavelengths at pixels, as the lines tell them."""
        return self._on(
            x, y, lambda terms: np.sum((terms @ self.covariance) * terms, axis=1)
        )

    def on_image(self, ny: int, nx: int) -> tuple[Array, Array]:
        """
        Give the wavelengths of all pixels of an image, and their variances.

        It is what calls with all pixels would give, sooner: row by row the solution is
        one along the dispersion.
        """
        x, y = np.arange(nx, dtype=np.float64), np.arange(ny, dtype=np.float64)
        along = _along(x, self.kind, self.order, self.domain)
        across = _across(y, self.slit_order, self.domain)
        pairs = _pairs(self.kind, along.shape[1], self.slit_order)
        wavelengths, variances = np.empty((ny, nx)), np.empty((ny, nx))
        for row in range(ny):
            turn = np.zeros((along.shape[1], len(pairs)))
            for term, (i, j) in enumerate(pairs):
                turn[i, term] = across[row, j]
            wavelengths[row] = along @ (turn @ self.values)
            covariance = turn @ self.covariance @ turn.T
            variances[row] = np.sum((along @ covariance) * along, axis=1)
        return wavelengths, variances

    def slope(self, x: npt.ArrayLike, y: npt.ArrayLike = 0.0) -> Array:
        """Give the dispersion at pixels, as the difference across a pixel."""
        x = np.asarray(x, np.float64)
        return self(x + 0.5, y) - self(x - 0.5, y)

    @property
    def rms(self) -> float:
        """Root mean square of the residuals of the lines that were used."""
        return float(np.sqrt(np.mean(self.residuals[self.used] ** 2)))

    @property
    def loo(self) -> float:
        """Root mean square of the differences to fits that leave a line out."""
        return float(np.sqrt(np.mean(self.left_out[self.used] ** 2)))

    def _on(
        self, x: npt.ArrayLike, y: npt.ArrayLike, function: Callable[[Array], Array]
    ) -> Array:
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        terms = _terms(
            x.ravel(), y.ravel(), kind=self.kind, order=self.order,
            slit_order=self.slit_order, domain=self.domain,
        )  # fmt: skip
        return np.asarray(function(terms).reshape(x.shape), np.float64)


def fit_dispersion(
    pixel: Array,
    wavelength: Array,
    variance: Array,
    *,
    domain: tuple[float, float],
    kind: Kind = "polynomial",
    order: int = 4,
) -> DispersionFit:
    """
    Fit the wavelengths of lines, without outliers.

    The variances are those of the wavelengths; a scatter beyond them, common to all
    lines, is found as well.

    Raises
    ------
    ValueError
        If there are too few lines.
    """
    return fit_surface(
        pixel, np.zeros(len(pixel)), wavelength, variance,
        domain=(*domain, 0.0, 0.0), kind=kind, order=order, slit_order=0,
    )  # fmt: skip


def fit_surface(
    pixel: Array,
    row: Array,
    wavelength: Array,
    variance: Array,
    *,
    domain: tuple[float, float, float, float],
    kind: Kind = "polynomial",
    order: int = 4,
    slit_order: int = 2,
) -> DispersionFit:
    """
    Fit the wavelengths of lines that were measured in several places along the slit.

    Each coefficient along the dispersion changes as a polynomial along the slit, the
    higher ones by one of a lower degree.

    Raises
    ------
    ValueError
        If there are too few lines.
    """
    terms = _terms(
        pixel, row, kind=kind, order=order, slit_order=slit_order, domain=domain
    )
    count = terms.shape[1]
    if len(pixel) < count + _SPARE:
        msg = (
            f"{len(pixel)} lines are too few for a {kind} of order {order}, which "
            f"needs {count + _SPARE}"
        )
        raise ValueError(msg)
    found = _solved(terms, wavelength, variance, np.ones(len(pixel), np.bool_), _CLIP)
    # What lies beyond all others is not predicted well enough to be left out.
    spread = np.sum((terms @ found.covariance) * terms, axis=1)
    spread += variance + found.scatter**2
    kept = found.kept | (found.residuals**2 < _FAR_CLIP**2 * spread)
    if kept.sum() > found.kept.sum():
        found = _solved(terms, wavelength, variance, kept, np.inf)
    return DispersionFit(
        kind=kind, order=order, slit_order=slit_order, domain=domain,
        values=found.values, covariance=found.covariance, residuals=found.residuals,
        left_out=found.left_out, used=found.kept, scatter=found.scatter,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Solution:
    """Coefficients with their covariance, and what they say of each line."""

    values: Array
    covariance: Array
    residuals: Array
    left_out: Array
    kept: Mask
    scatter: float


def _solved(
    terms: Array, data: Array, variance: Array, use: Mask, clip: float
) -> _Solution:
    """Fit some of the lines, without outliers, and see what each changes."""
    fit = fit_linear(terms[use], data[use], variance[use], clip=clip)
    kept = use.copy()
    kept[use] = fit.kept
    residuals = data - terms @ fit.values
    weight = np.where(kept, 1 / (variance + fit.scatter**2), 0.0)
    pull = (terms * weight[:, None]) @ fit.covariance
    leverage = np.einsum("ij,ij->i", pull, terms)
    left_out = residuals / np.maximum(1 - leverage, 1e-7)
    # How the coefficients change without each line. A line that decides alone about
    # an end shows in it, but hardly in the residuals.
    changes = pull * left_out[:, None]
    return _Solution(
        values=fit.values, covariance=_larger(fit.covariance, changes.T @ changes),
        residuals=residuals, left_out=left_out, kept=kept, scatter=fit.scatter,
    )  # fmt: skip


def _larger(one: Array, other: Array) -> Array:
    """Give a covariance that is in no direction less than either."""
    values, vectors = np.linalg.eigh(other - one)
    return np.asarray(one + (vectors * np.maximum(values, 0)) @ vectors.T)


def best_order(
    pixel: Array,
    wavelength: Array,
    variance: Array,
    *,
    domain: tuple[float, float],
    kind: Kind = "polynomial",
    orders: range = range(2, 6),
) -> DispersionFit:
    """
    Fit with the order that predicts lines best that were left out.

    A higher order is taken where it predicts them better by a tenth. The worst quarter
    counts for little, so that outliers do not decide; so the error on the whole domain
    counts as well, of which a high order knows little where there are few lines.

    Raises
    ------
    ValueError
        If there are too few lines for the lowest order.
    """
    best, least = None, np.inf
    everywhere = np.linspace(*domain, 100)
    for order in orders:
        if best is not None and order > 3 and len(pixel) < 2 * order + 3:
            break
        try:
            fit = fit_dispersion(
                pixel, wavelength, variance, domain=domain, kind=kind, order=order
            )
        except ValueError:
            if best is None:
                raise
            break
        missed = fit.left_out**2
        most = 9 * float(np.quantile(missed, 0.75))
        missed = np.minimum(missed, most)
        measure = float(np.sqrt(np.mean(missed) + np.mean(fit.variance(everywhere))))
        if measure < 0.9 * least:
            best, least = fit, measure
    assert best is not None
    return best


def _terms(
    x: Array,
    y: Array,
    *,
    kind: Kind,
    order: int,
    slit_order: int,
    domain: tuple[float, float, float, float],
) -> Array:
    """Give the terms of the fit, one in each column, at pixels."""
    along, across = _along(x, kind, order, domain), _across(y, slit_order, domain)
    pairs = _pairs(kind, along.shape[1], slit_order)
    return np.stack([along[:, i] * across[:, j] for i, j in pairs], axis=1)


def _along(
    x: Array, kind: Kind, order: int, domain: tuple[float, float, float, float]
) -> Array:
    first, last = domain[:2]
    u = (2 * x - first - last) / max(last - first, 1e-9)
    return _spline(u, order) if kind == "spline" else _legendre(u, order)


def _across(
    y: Array, slit_order: int, domain: tuple[float, float, float, float]
) -> Array:
    lower, upper = domain[2:]
    return _legendre((2 * y - lower - upper) / max(upper - lower, 1.0), slit_order)


def _pairs(kind: Kind, along: int, slit_order: int) -> list[tuple[int, int]]:
    """Give which terms along the dispersion go with which along the slit."""
    return [
        (i, j)
        for j in range(slit_order + 1)
        for i in range(along)
        # A tilt may change along the dispersion, a curvature by little.
        if kind == "spline" or j == 0 or i + j <= max(slit_order, 2) + 1
    ]


def _legendre(u: Array, degree: int) -> Array:
    return np.asarray(np.polynomial.legendre.legvander(u, degree), np.float64)


def _spline(u: Array, pieces: int) -> Array:
    """Give cubic B-splines on equal pieces of -1 to 1, which go on beyond its ends."""
    from scipy.interpolate import BSpline

    inner = np.linspace(-1, 1, pieces + 1)
    knots = np.concatenate([[-1.0] * 3, inner, [1.0] * 3])
    basis = BSpline(knots, np.eye(pieces + 3), 3, extrapolate=True)
    return np.asarray(basis(u), np.float64)
