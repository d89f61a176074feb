"""Where a slit begins and ends on the detector."""

import numpy as np
import numpy.typing as npt

__all__ = ["fit_slit_edges"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


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


def _edges_of(columns: Array, level: float) -> tuple[float, float]:
    """Find the edges in some columns; NaN where nothing is lit."""
    good = np.isfinite(columns).any(axis=1)
    if not good.any():
        return np.nan, np.nan
    profile = np.full(len(columns), np.nan)
    profile[good] = np.nanmedian(columns[good], axis=1)
    rows = np.arange(len(columns))
    profile = np.interp(rows, rows[good], profile[good])
    # A slit has at least four lit rows, of which single ones may be too bright.
    bright = np.sort(profile)[-4] if len(profile) > 80 else np.percentile(profile, 95)
    dark = np.percentile(profile, 2)
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
        below, above = profile[first - 1], profile[first]
        lower = first - 1 + (limit - below) / (above - below)
    if last < len(profile) - 1:
        above, below = profile[last], profile[last + 1]
        upper = last + (above - limit) / (above - below)
    return float(lower), float(upper)


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
