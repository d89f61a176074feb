"""Combining aligned frames, with variance and flags, a few rows at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.clipping import clip_stack, mean_of_used, median_of_used
from ndmapper.numerics.combined_variance import clipped_variance, median_variance
from ndmapper.numerics.statistics import median_variance_factor

__all__ = ["CombineMethod", "Combined", "Rows", "combine"]

CombineMethod = Literal["mean", "median", "sigclip"]
"""How frames are combined; 'sigclip' is a mean of what clipping leaves."""

_CHUNK_BYTES = 2**26


class Rows(Protocol):
    """What can be read a few rows at a time: an array, or a file mapped lazily."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole, (ny, ...)."""

    def __getitem__(self, rows: slice, /) -> npt.NDArray[np.generic]:
        """Read some rows."""


@dataclass(frozen=True, kw_only=True)
class Combined:
    """
    Combined frames.

    Parameters
    ----------
    data : ndarray of float, shape (ny, ...)
        The combined values; NaN where no frame has a finite one.
    variance : ndarray of float, shape (ny, ...)
        Their variance.
    flags : ndarray of unsigned int, shape (ny, ...)
        The flags of the pixels that were used, joined by OR; uint16, or
        the widest type of the frames where that is wider.
    count : ndarray of uint16 or uint32, shape (ny, ...)
        How many frames were used.
    """

    data: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]
    flags: npt.NDArray[np.unsignedinteger]
    count: npt.NDArray[np.unsignedinteger]


def combine(
    data: Sequence[Rows],
    variance: Sequence[Rows | None] | None = None,
    flags: Sequence[Rows | None] | None = None,
    *,
    method: str = "mean",
    scale: Sequence[float] | None = None,
    low: float = 4.0,
    high: float = 4.0,
    max_iterations: int = 10,
    bad_flags: int = 0xFFFFFFFF,
    no_data_flag: int = 16,
    clipped_flag: int = 0,
    chunk_bytes: int = _CHUNK_BYTES,
) -> Combined:
    """
    Combine frames pixel by pixel.

    Parameters
    ----------
    data : sequence of n arrays of shape (ny, ...)
        The frames; anything that has a shape and can be sliced by rows.
    variance : sequence of arrays or None, optional
        Their variances. Where any frame has none, the variance of the result comes
        from the scatter between the frames.
    flags : sequence of arrays or None, optional
        Their flags.
    method : str
        ``'mean'``, ``'median'``, or ``'sigclip'``: the mean of the values that lie
        within the limits about the median.
    scale : sequence of float, optional
        Each frame is multiplied by its number first, its variance by the square.
    low, high : float
        Limits of the clipping, in standard deviations below and above the median.
    max_iterations : int
        At most so many rounds of clipping.
    bad_flags : int
        Pixels with any of these bits are used only where all frames have them.
    no_data_flag : int
        Bit set where no frame has a finite value.
    clipped_flag : int
        Bit set where every value was clipped and the median was taken.
    chunk_bytes : int
        Rows are taken together up to about this much memory.

    Returns
    -------
    Combined
        Data, variance, flags and number of frames used.

    Raises
    ------
    ValueError
        If there are no frames, shapes differ, numbers of arrays do not match, or the
        method is unknown.

    Notes
    -----
    The standard deviation that clipping uses is, with variances, the root of the
    median of the frames' variances, because an outlier's own Poisson variance is as
    wrong as its value; without them, the scatter of the values kept so far, for which
    at least four frames are needed before anything is clipped.

    Values are taken as normal. The variance of a median is that of `median_variance`,
    and without variances the scatter times `median_variance_factor`, which holds for
    frames of equal noise. That of a clipped mean is larger than the values that are
    left tell, by 5 per cent for limits of three standard deviations and by 30 for two
    (see `clipped_variance`). Limits below two standard deviations of a scatter that is
    made anew in each round take nearly everything away, and a lot of the precision.
    """
    # Every bit that has a name: then those above, which have none, count as well.
    bad = (1 << 64) - 1 if bad_flags == 0xFFFFFFFF else bad_flags
    n = _check(data, variance, flags, scale, method)
    shape = tuple(data[0].shape)
    out = Combined(
        data=np.empty(shape),
        variance=np.empty(shape),
        flags=np.zeros(shape, np.uint16),
        count=np.zeros(shape, np.result_type(np.uint16, np.min_scalar_type(n))),
    )
    has_variance = variance is not None and all(v is not None for v in variance)
    own_bits = np.min_scalar_type(no_data_flag | clipped_flag)
    limits = (low, high)
    factors = np.ones(n) if scale is None else np.asarray(scale, np.float64)
    for rows in _row_chunks(shape, n, chunk_bytes):
        stack = _stack(data, rows, factors)
        var = _stack(variance, rows, factors**2) if has_variance and variance else None
        dq = _flag_stack(flags, rows, stack.shape, own_bits)
        usable = np.isfinite(stack)
        if var is not None:
            usable &= np.isfinite(var)
        good = usable & ((dq & dq.dtype.type(bad & np.iinfo(dq.dtype).max)) == 0)
        # A pixel that is bad in every frame keeps its best guess, and its flags.
        good = np.where(good.any(axis=0), good, usable)
        used = good
        if method == "median":
            value, result_variance = _median(stack, var, good)
        elif method == "mean":
            value, result_variance = mean_of_used(stack, var, good)
        else:
            sigma = None if var is None else np.sqrt(median_of_used(var, good))
            used = clip_stack(stack, sigma, good, limits, max_iterations)
            value, of_mean = mean_of_used(stack, var, used)
            result_variance = clipped_variance(
                variance=var,
                of_mean=of_mean,
                sigma=sigma,
                good=good,
                used=used,
                limits=limits,
                max_iterations=max_iterations,
            )
        clipped_out = good.any(axis=0) & ~used.any(axis=0)
        if clipped_out.any():
            middle, middle_variance = _median(stack, var, good)
            value = np.where(clipped_out, middle, value)
            result_variance = np.where(clipped_out, middle_variance, result_variance)
            used = np.where(clipped_out, good, used)
        bits = reduce(np.bitwise_or, np.where(used, dq, 0))
        bits = bits | np.where(clipped_out, dq.dtype.type(clipped_flag), 0)
        empty = ~used.any(axis=0)
        # Nothing was used: what all frames say about the pixel still holds.
        lost = reduce(np.bitwise_or, dq) | dq.dtype.type(no_data_flag)
        out.data[rows], out.variance[rows] = value, result_variance
        if out.flags.dtype < dq.dtype:
            out = replace(out, flags=out.flags.astype(dq.dtype))
        out.flags[rows] = np.where(empty, lost, bits)
        out.count[rows] = used.sum(axis=0)
    return out


def _check(
    data: Sequence[Rows],
    variance: Sequence[Rows | None] | None,
    flags: Sequence[Rows | None] | None,
    scale: Sequence[float] | None,
    method: str,
) -> int:
    if method not in get_args(CombineMethod):
        msg = f"combining method {method!r} is not one of {get_args(CombineMethod)}"
        raise ValueError(msg)
    if not data:
        msg = "there are no frames to combine"
        raise ValueError(msg)
    shape = tuple(data[0].shape)
    for what, arrays in (("data", data), ("variance", variance), ("flags", flags)):
        if arrays is not None and len(arrays) != len(data):
            msg = f"{len(data)} frames come with {len(arrays)} arrays of {what}"
            raise ValueError(msg)
        for number, array in enumerate(arrays or ()):
            if array is not None and tuple(array.shape) != shape:
                msg = (
                    f"{what} of frame {number + 1} has shape {tuple(array.shape)}, "
                    f"the first frame {shape}"
                )
                raise ValueError(msg)
    if scale is not None and (
        len(scale) != len(data)
        or not np.all(np.isfinite(scale))
        or not np.all(np.asarray(scale) > 0)
    ):
        msg = (
            f"{len(data)} frames need as many positive and finite scale factors, not "
            f"{scale}"
        )
        raise ValueError(msg)
    return len(data)


def _row_chunks(shape: tuple[int, ...], n: int, chunk_bytes: int) -> Iterator[slice]:
    ny = shape[0] if shape else 0
    # Data, variance, sorted copy and masks: about 32 bytes a pixel and frame.
    row_bytes = 32 * n * max(int(np.prod(shape[1:])), 1)
    step = max(1, chunk_bytes // row_bytes)
    for start in range(0, ny, step):
        yield slice(start, min(start + step, ny))


def _stack(
    arrays: Sequence[Rows | None], rows: slice, factors: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    return np.stack(
        [
            np.asarray(array[rows], np.float64) * factor
            for array, factor in zip(arrays, factors, strict=True)
            if array is not None
        ]
    )


def _flag_stack(
    flags: Sequence[Rows | None] | None,
    rows: slice,
    shape: tuple[int, ...],
    own_bits: np.dtype[np.unsignedinteger],
) -> npt.NDArray[np.unsignedinteger]:
    """Stack the flags of some rows, in the widest type of any."""
    bits = [None if f is None else _unsigned(np.asarray(f[rows])) for f in flags or ()]
    kinds = [f.dtype for f in bits if f is not None]
    out = np.zeros(shape, np.result_type(np.uint16, own_bits, *kinds))
    for number, one in enumerate(bits):
        if one is not None:
            out[number] = one
    return out


def _unsigned(flags: npt.NDArray[np.generic]) -> npt.NDArray[np.unsignedinteger]:
    native = flags.astype(flags.dtype.newbyteorder("="), copy=False)
    # A view: signed flags keep their sign bit as one bit of them, and no others.
    bits: npt.NDArray[np.unsignedinteger] = native.view(f"u{native.dtype.itemsize}")
    return bits


def _median(
    stack: npt.NDArray[np.float64],
    variance: npt.NDArray[np.float64] | None,
    used: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Median of the used values, and its variance; NaN where there are none."""
    middle = median_of_used(stack, used)
    if variance is not None:
        return middle, median_variance(variance, used)
    _, of_mean = mean_of_used(stack, None, used)
    factor = np.array([1.0] + [median_variance_factor(k + 1) for k in range(len(used))])
    return middle, of_mean * factor[used.sum(axis=0)]
