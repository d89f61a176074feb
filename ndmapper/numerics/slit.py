"""Where a slit begins and ends on the detector."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["LitSlit", "fit_slit_edges", "likely_dispersion_axis", "lit_slit"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


_MUCH = 0.4
"""Light that changes by less [logarithm] may do so along a slit."""

_SHARP = 0.1
"""Beside a sharp edge, pixels differ by less than this part of the light."""


def fit_slit_edges(
    flat: npt.ArrayLike,
    *,
    level: float = 0.5,
    block: int = 64,
    degree: int = 2,
) -> tuple[Array, Array]:
    """
    Find where a slit begins and ends, for a slit that may be tilted.

    Parameters
    ----------
    flat : array_like, shape (ny, nx)
        A flat with the slit along axis 0 and the dispersion along axis 1; NaN where a
        pixel is bad.
    level : float
        The edge is where the light crosses this fraction of the way from the dark
        level beside the slit to the level within.
    block : int
        So many columns are taken together to find an edge.
    degree : int
        Degree of the polynomial that is fitted to the edges along the dispersion.

    Returns
    -------
    lower, upper : ndarray of float, shape (nx,)
        The edges [pixel]. Where the light reaches the border of the frame: -0.5 and
        ny - 0.5.

    Raises
    ------
    ValueError
        If no part of the flat is lit.
    """
    values = np.asarray(flat, np.float64)
    ny, nx = values.shape
    starts = np.arange(0, nx, block)
    centres = np.array([(s + min(s + block, nx) - 1) / 2 for s in starts])
    found = np.array([_edges_of(values[:, s : s + block], level) for s in starts])
    known = np.isfinite(found).all(axis=1)
    if not known.any():
        msg = "no part of the flat is lit"
        raise ValueError(msg)
    edges = []
    for column, border in ((0, -0.5), (1, ny - 0.5)):
        positions = found[known, column]
        if np.mean(positions == border) > 0.5:
            edges.append(np.full(nx, border))
            continue
        inside = positions != border
        edges.append(
            np.clip(
                _robust_polynomial(
                    centres[known][inside], positions[inside], degree, nx
                ),
                -0.5,
                ny - 0.5,
            )
        )
    return edges[0], edges[1]


@dataclass(frozen=True, kw_only=True)
class LitSlit:
    """
    The part of a frame that a slit lights.

    Parameters
    ----------
    lower, upper : ndarray of float, shape (nx,)
        Edges of the slit [pixel].
    lit : ndarray of bool, shape (ny, nx)
        Pixels that are within, by a margin.
    position : ndarray of float, shape (ny, nx)
        Place between the edges less the margin, from -1 to 1, which follows a tilt.
    """

    lower: Array
    upper: Array
    lit: Mask
    position: Array


def lit_slit(image: Array, margin: float) -> LitSlit:
    """
    Find the pixels that a slit lights.

    Parameters
    ----------
    image : ndarray of float, shape (ny, nx)
        Light with the slit along axis 0; NaN where a pixel is bad.
    margin : float
        Pixels nearer than this to the edge do not count [pixel]; at most a sixth of a
        narrow slit.

    Returns
    -------
    LitSlit
        The pixels; where light reaches the border of the frame there is no margin.

    Raises
    ------
    ValueError
        If no part is lit.
    """
    lower, upper = fit_slit_edges(image)
    # A margin must not leave less than most of a narrow slit.
    margin = min(margin, max(float(np.median(upper - lower)) / 6, 0.5))
    row = np.arange(image.shape[0])[:, None]
    lit = (row - lower > margin - 0.5) & (upper - row > margin - 0.5)
    # Without a dark border the light does not end there, so nothing is cut off.
    reaches = [lower <= -0.5, upper >= image.shape[0] - 0.5]
    lit |= reaches[0] & (row - lower <= margin)
    lit |= reaches[1] & (upper - row <= margin)
    first = np.where(reaches[0], lower, lower + margin - 0.5)
    last = np.where(reaches[1], upper, upper - margin + 0.5)
    return LitSlit(
        lower=lower,
        upper=upper,
        lit=np.asarray(lit),
        position=np.asarray((2 * row - first - last) / (last - first)),
    )


def likely_dispersion_axis(flat: npt.ArrayLike) -> int | None:
    """
    Tell along which axis the spectra of a flat lie, where that is plain to see.

    Parameters
    ----------
    flat : array_like, shape (ny, nx)
        A flat; NaN where a pixel is bad.

    Returns
    -------
    int or None
        The axis of the array across which the light ends sharply, as it does at the
        ends of a slit, if it does so across one only; where there is no such end, the
        axis along which the light changes much more; None where neither tells it.
    """
    values = np.asarray(flat, np.float64)
    sharp = [_has_sharp_edges(values.T), _has_sharp_edges(values)]
    if sharp[0] != sharp[1]:
        return int(sharp[1])
    if sharp[0]:
        return None
    change = [_change_along(values), _change_along(values.T)]
    for axis in (0, 1):
        if change[axis] > max(_MUCH, 3 * change[1 - axis]):
            return axis
    return None


def _has_sharp_edges(values: Array, block: int = 64) -> bool:
    """Whether the light along axis 0 ends within a few pixels, in most blocks."""
    n = len(values)
    found = []
    for start in range(0, values.shape[1], block):
        columns = values[:, start : start + block]
        lower, upper = _edges_of(columns, 0.5)
        if not np.isfinite(lower):
            continue
        profile = _median_of_rows(columns)
        is_sharp = False
        for edge, inwards in ((lower, 1), (upper, -1)):
            out, into = round(edge - 2 * inwards), round(edge + 3 * inwards)
            if 0 <= out < n and 0 <= into < n:
                is_sharp |= bool(profile[out] < 0.2 * profile[into])
        found.append(is_sharp)
    return bool(found) and float(np.mean(found)) > 0.5


def _change_along(values: Array) -> float:
    """By how much the light changes along axis 0 [natural logarithm]."""
    profile = _median_of_rows(values)
    low, high = np.percentile(profile, [5, 95])
    return float(np.log(high / max(low, 1e-3 * high))) if high > 0 else 0.0


def _median_of_rows(columns: Array) -> Array:
    """Median of each row; where all of it is bad, between its neighbours."""
    good = np.isfinite(columns).any(axis=1)
    rows = np.arange(len(columns))
    if not good.any():
        return np.zeros(len(columns))
    known = np.nanmedian(columns[good], axis=1)
    return np.asarray(np.interp(rows, rows[good], known))


def _edges_of(columns: Array, level: float) -> tuple[float, float]:
    """Find the edges in some columns; NaN where nothing is lit."""
    if not np.isfinite(columns).any():
        return np.nan, np.nan
    profile = _median_of_rows(columns)
    # A slit has at least four lit rows, of which single ones may be too bright.
    bright = np.sort(profile)[-4] if len(profile) > 80 else np.percentile(profile, 95)
    dark = float(np.percentile(profile, 2))
    if bright <= 0 or not np.isfinite(bright):
        return np.nan, np.nan
    # A frame that is lit all over has no dark level beside the slit.
    dark = dark if dark < level * bright else 0.0
    limit = dark + level * (bright - dark)
    middle = _longest_run(profile > limit)
    if middle is None:
        return np.nan, np.nan
    first, last = middle
    lower, upper = -0.5, len(profile) - 0.5
    if first > 0:
        lower = _edge(profile, first, dark, limit)
    if last < len(profile) - 1:
        end = len(profile) - 1
        upper = end - _edge(profile[::-1], end - last, dark, limit)
    return lower, upper


def _edge(profile: Array, first: int, dark: float, limit: float) -> float:
    """Find where the light begins that `first` is the first row above the limit of."""
    below, above = profile[first - 1], profile[first]
    edge = float(first - 1 + (limit - below) / (above - below))
    if first < 2 or first + 3 > len(profile):
        return edge
    outside, inside, further = profile[[first - 2, first + 1, first + 2]]
    height = inside - dark
    if abs(further - inside) < _SHARP * height and outside - dark < _SHARP * height:
        # All of a sharp edge is in two pixels, and what these have tells its place.
        edge = float(first + 0.5 - (below + above - 2 * dark) / height)
    return edge


def _longest_run(lit: Mask) -> tuple[int, int] | None:
    steps = np.flatnonzero(np.diff(np.concatenate([[0], lit.astype(np.int8), [0]])))
    if steps.size == 0:
        return None
    starts, stops = steps[::2], steps[1::2]
    longest = int(np.argmax(stops - starts))
    return int(starts[longest]), int(stops[longest]) - 1


def _robust_polynomial(x: Array, y: Array, degree: int, n: int) -> Array:
    """Fit a polynomial through positions, without outliers; evaluate it on range(n)."""
    domain = [0, max(n - 1, 1)]
    terms = min(degree, x.size - 1)
    # Least absolute deviations, by reweighting: a few blocks that are wrong by many
    # pixels must not tilt the edge. An edge is good to a few hundredths of a pixel.
    weight = np.ones(x.size)
    for _ in range(30):
        fit = np.polynomial.Polynomial.fit(x, y, terms, domain=domain, w=weight)
        weight = 1 / np.sqrt(np.maximum(np.abs(y - fit(x)), 0.02))
    residual = np.abs(y - fit(x))
    good = residual <= max(5 * 1.4826 * float(np.median(residual)), 0.1)
    if np.count_nonzero(good) > terms:
        fit = np.polynomial.Polynomial.fit(x[good], y[good], terms, domain=domain)
    return np.asarray(fit(np.arange(n)), np.float64)
