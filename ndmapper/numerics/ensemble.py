"""Differential photometry: magnitudes of stars relative to a mean of others."""

import numpy as np
import numpy.typing as npt

__all__ = ["differential", "scatter_over_error"]

Array = npt.NDArray[np.float64]

_ROUNDS = 200


def differential(
    magnitudes: Array, variances: Array, usable: npt.NDArray[np.bool_]
) -> tuple[Array, Array]:
    """
    Subtract from magnitudes, frame by frame, the mean of comparison stars.

    Parameters
    ----------
    magnitudes, variances : ndarray of float, shape (frames, stars)
        Of all stars; NaN where there are none.
    usable : ndarray of bool, shape (frames, stars)
        Where a star is a comparison star.

    Returns
    -------
    difference, variance : ndarray of float, shape (frames, stars)
        Relative to the weighted mean of the comparison stars, but for the star itself;
        NaN in frames without any.

    Notes
    -----
    The mean of a frame is that of the stars less their mean magnitudes over all frames,
    which are found together with it [1]_. So a star that is missing in some frames does
    not shift these. Weights are those of stars, not of single values, whose variance
    goes with their own noise. The means of stars over frames are taken as known.

    References
    ----------
    .. [1] R. K. Honeycutt, 1992, PASP 104, 435.
    """
    usable = usable & np.isfinite(magnitudes) & (variances > 0)
    members = np.flatnonzero(usable.any(0))
    zero, zero_variance = _zero(magnitudes, variances, usable, members)
    difference, variance = (
        magnitudes - zero[:, None],
        variances + zero_variance[:, None],
    )
    for star in members:
        zero, zero_variance = _zero(
            magnitudes, variances, usable, members[members != star]
        )
        difference[:, star] = magnitudes[:, star] - zero
        variance[:, star] = variances[:, star] + zero_variance
    return difference, variance


def _zero(
    magnitudes: Array,
    variances: Array,
    usable: npt.NDArray[np.bool_],
    members: npt.NDArray[np.int_],
) -> tuple[Array, Array]:
    """Find the mean of comparison stars in each frame, and its variance."""
    missing = np.full(len(magnitudes), np.nan)
    if not members.size:
        return missing, missing
    there = usable[:, members]
    values = np.where(there, magnitudes[:, members], 0.0)
    noise = np.where(there, variances[:, members], 0.0)
    counts = there.sum(0)
    weights = there * (counts / noise.sum(0))
    total = weights.sum(1)
    known = total > 0
    total[~known] = 1.0
    means = values.sum(0) / counts
    first = means @ (weights.sum(0) / weights.sum())
    for _ in range(_ROUNDS):
        zero = (weights * (values - means)).sum(1) / total
        new = (there * (values - zero[:, None])).sum(0) / counts
        moved = np.abs(new - means).max()
        means = new
        if moved < 1e-9:
            break
    zero = (weights * (values - means)).sum(1) / total
    variance = (weights**2 * noise).sum(1) / total**2
    # The mean of the comparison stars is 0 in a typical frame.
    return np.where(known, zero + first, np.nan), np.where(known, variance, np.nan)


def scatter_over_error(values: Array, variances: Array) -> float:
    """Give how many times its errors a constant scatters; NaN of less than three."""
    good = np.isfinite(values) & (variances > 0)
    if good.sum() < 3:
        return float("nan")
    weight = 1 / variances[good]
    mean = (weight * values[good]).sum() / weight.sum()
    chi2 = (weight * (values[good] - mean) ** 2).sum()
    return float(np.sqrt(chi2 / (good.sum() - 1)))
