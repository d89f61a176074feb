"""Correcting counts for the non-linearity of a detector, with the slope of that."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Curve", "curve_of_points", "curve_of_polynomial"]

Array = npt.NDArray[np.float64]

_ROUNDS = 60
_LEAST_SLOPE = 0.1
"""A curve ends where its slope is less than this part of that at zero."""


@dataclass(frozen=True, eq=False)
class Curve:
    """True counts as a function of the measured ones, up to a limit."""

    function: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    # Measured counts up to which it holds; beyond, it goes on as a straight line.
    limit: float

    def __post_init__(self) -> None:
        if not self.limit > 0:
            msg = (
                f"a curve of counts begins at 0, so that it cannot end at {self.limit}"
            )
            raise ValueError(msg)

    def correct(self, measured: npt.ArrayLike) -> tuple[Array, Array]:
        """
        Give the true counts, and the derivative by the measured ones.

        Below zero and above the limit the curve goes on as its tangent.
        """
        values = np.asarray(measured, np.float64)
        inside = np.clip(values, 0.0, self.limit)
        slope = self.slope(inside)
        return self.function(inside) + (values - inside) * slope, slope


def curve_of_polynomial(
    coefficients: Sequence[float],
    *,
    scale: float = 1.0,
    is_inverse: bool = False,
    limit: float | None = None,
) -> Curve:
    """
    Make a curve of a polynomial: ``m * (c[0] + c[1] * (m / scale) + ...)``.

    Parameters
    ----------
    coefficients : sequence of float
        c[0], c[1], ...
    scale : float
        What counts are divided by within the parentheses.
    is_inverse : bool
        The polynomial gives the measured counts from the true ones.
    limit : float, optional
        Measured counts up to which it holds. The curve ends also where the polynomial
        hardly rises any more.
    """
    powers = np.arange(1, len(coefficients) + 1)
    terms = np.asarray(coefficients, np.float64) / scale ** (powers - 1.0)
    polynomial = np.polynomial.Polynomial(np.concatenate([[0.0], terms]))
    rises = polynomial.deriv()
    if not np.all(np.isfinite(terms)) or not len(coefficients) or rises(0.0) <= 0:
        msg = f"the polynomial {list(coefficients)} does not rise at zero counts"
        raise ValueError(msg)
    turns = _first_zero(rises - _LEAST_SLOPE * rises(0.0))
    if not is_inverse:
        end = min(turns, np.inf if limit is None else limit)
        return Curve(polynomial, rises, end)
    # By the true counts, of which the measured ones are the polynomial.
    end = polynomial(turns) if np.isfinite(turns) else np.inf
    end = min(end, np.inf if limit is None else limit)

    def inverse(measured: Array) -> Array:
        return _inverted(polynomial, rises, measured, turns)

    def slope(measured: Array) -> Array:
        return np.asarray(1 / rises(inverse(measured)))

    return Curve(inverse, slope, float(end))


def _first_zero(polynomial: np.polynomial.Polynomial) -> float:
    """Find the lowest positive zero of a polynomial."""
    roots = polynomial.roots()
    real = roots[np.abs(roots.imag) <= 1e-9 * np.abs(roots)].real
    positive = real[real > 0]
    return float(positive.min()) if positive.size else np.inf


def _inverted(
    polynomial: np.polynomial.Polynomial,
    rises: np.polynomial.Polynomial,
    measured: Array,
    turns: float,
) -> Array:
    """Solve polynomial(x) = measured by Newton's method, kept within a bracket."""
    low = np.zeros_like(measured)
    high = np.full_like(measured, turns)
    if not np.isfinite(turns):
        high = np.maximum(measured, 1.0)
        while np.any(short := polynomial(high) < measured):
            high = np.where(short, 2 * high, high)
    x = np.clip(measured / rises(0.0), low, high)
    for _ in range(_ROUNDS):
        off = polynomial(x) - measured
        high, low = np.where(off > 0, x, high), np.where(off <= 0, x, low)
        with np.errstate(divide="ignore", invalid="ignore"):
            better = x - off / rises(x)
        outside = ~((better >= low) & (better <= high))
        better = np.where(outside, (low + high) / 2, better)
        done = np.all(np.abs(better - x) <= 1e-12 * np.maximum(np.abs(x), 1.0))
        x = better
        if done:
            break
    return np.asarray(x)


def curve_of_points(
    points: Sequence[Sequence[float]], *, limit: float | None = None
) -> Curve:
    """
    Make a curve of straight lines between points, each of measured and true counts.

    It begins at zero counts, and ends at the last point or the limit.
    """
    pairs = np.asarray(points, np.float64)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs):
        msg = f"the points of a curve are pairs of measured and true counts: {points}"
        raise ValueError(msg)
    if pairs[0, 0] > 0:
        pairs = np.vstack([[0.0, 0.0], pairs])
    steps = np.diff(pairs, axis=0)
    if not np.all(np.isfinite(pairs)) or np.any(pairs < 0) or np.any(steps <= 0):
        msg = "both counts of the points of a curve rise from 0 on, and are finite"
        raise ValueError(msg)
    if len(pairs) < 2:
        msg = "a curve needs at least one point above zero counts"
        raise ValueError(msg)
    slopes = steps[:, 1] / steps[:, 0]
    end = pairs[-1, 0] if limit is None else min(limit, pairs[-1, 0])

    def function(measured: Array) -> Array:
        return np.asarray(np.interp(measured, pairs[:, 0], pairs[:, 1]))

    def slope(measured: Array) -> Array:
        at = np.searchsorted(pairs[:, 0], measured, side="right") - 1
        return np.asarray(slopes[np.clip(at, 0, len(slopes) - 1)])

    return Curve(function, slope, float(end))
