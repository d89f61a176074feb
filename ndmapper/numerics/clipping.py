"""Mean and median of stacked frames, and clipping what lies outside of limits."""

import numpy as np
import numpy.typing as npt

__all__ = ["clip_stack", "mean_of_used", "median_of_used"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def mean_of_used(
    stack: Array, variance: Array | None, used: Mask
) -> tuple[Array, Array]:
    """
    Mean along the first axis, and its variance.

    Parameters
    ----------
    stack : ndarray of float, shape (n, ...)
        The values.
    variance : ndarray of float, shape (n, ...), or None
        Their variances; None where the scatter has to tell.
    used : ndarray of bool, shape (n, ...)
        Which of them are used.

    Returns
    -------
    mean : ndarray of float, shape (...)
        The mean; NaN where nothing is used.
    variance : ndarray of float, shape (...)
        Its variance, if nothing was chosen by its value.
    """
    count = used.sum(axis=0)
    n = np.where(count, count, np.nan)
    mean = np.where(used, stack, 0).sum(axis=0) / n
    if variance is not None:
        return mean, np.where(used, variance, 0).sum(axis=0) / n**2
    squares = np.where(used, (stack - mean) ** 2, 0).sum(axis=0)
    # One value has no scatter: its variance is unknown, not zero.
    return mean, squares / np.where(count > 1, n - 1, np.nan) / n


def median_of_used(stack: Array, used: Mask) -> Array:
    """
    Median along the first axis.

    Parameters
    ----------
    stack : ndarray of float, shape (n, ...)
        The values.
    used : ndarray of bool, shape (n, ...)
        Which of them are used.

    Returns
    -------
    ndarray of float, shape (...)
        The median; NaN where nothing is used.
    """
    # np.nanmedian is much slower along a short axis.
    count = used.sum(axis=0)
    ordered = np.sort(np.where(used, stack, np.inf), axis=0)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
    high = np.take_along_axis(
        ordered, np.minimum(count // 2, len(stack) - 1)[None], axis=0
    )[0]
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, (low + high) / 2, np.nan)


def clip_stack(
    stack: Array,
    sigma: Array | None,
    good: Mask,
    limits: tuple[float, float],
    max_iterations: int,
) -> Mask:
    """
    Find which values lie within limits about the median of those that do.

    Parameters
    ----------
    stack : ndarray of float, shape (n, ...)
        The values.
    sigma : ndarray of float, shape (...), or None
        Standard deviation of a value; None takes the scatter of the values kept so
        far, for which there must be four.
    good : ndarray of bool, shape (n, ...)
        Which values are there to be used.
    limits : (float, float)
        Limits below and above the median [standard deviations].
    max_iterations : int
        At most so many rounds.

    Returns
    -------
    ndarray of bool, shape (n, ...)
        Which values are kept. What one round takes out does not come back.
    """
    low, high = limits
    used = good
    for _ in range(max_iterations):
        count = used.sum(axis=0)
        centre = median_of_used(stack, used)
        if sigma is not None:
            width, may_clip = sigma, count > 2
        else:
            squares = np.where(used, (stack - centre) ** 2, 0).sum(axis=0)
            width = np.sqrt(squares / np.maximum(count - 1, 1))
            may_clip = count > 3
        with np.errstate(invalid="ignore"):
            outside = (stack < centre - low * width) | (stack > centre + high * width)
        new = used & ~(outside & may_clip)
        if np.array_equal(new, used):
            break
        used = new
    return used
