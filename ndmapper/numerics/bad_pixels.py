"""Pixels and parts of columns of a flat that deviate from what is around them."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["find_bad_pixels"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_BLOCK = 32
"""Noise and large-scale structure are measured in blocks of so many pixels."""
_DEGREE = 4
_ROWS = 64
_ENOUGH = 50
"""The scatter of sums is measured where there are so many."""
_MOST = 200
"""At most so many parts of one column are looked for."""
_MAD = 1.4826
_ROUNDS = 4
_PART = 0.35
"""Bad pixels less deep than this part of one beside them may seem bad by it only."""


def find_bad_pixels(
    image: npt.ArrayLike,
    *,
    left_out: Mask | None = None,
    low: float = 6.0,
    high: float = 6.0,
    width: int = 7,
    gap: int = 5,
    axis: int = 0,
) -> Mask:
    """
    Find pixels, and parts of columns, that deviate from the pixels beside them.

    Notes
    -----
    This follows the method of IRAF's ccdmask: residuals from a running median, in units
    of a local robust standard deviation, are compared to a limit, first of each pixel,
    and then of sums of the rest along the columns. Here the median runs across the
    columns only, so that columns are found that are bad in all rows; the scatter of the
    sums is measured, so that slight differences that all columns have do not count; and
    the ends of a bad part are where its likelihood is highest.

    Parameters
    ----------
    image : array_like
        A flat, or the ratio of two; pixels that are no numbers are bad.
    left_out : ndarray of bool, optional
        Pixels that are neither used nor found.
    low, high : float
        Limits below and above [standard deviations].
    width : int
        Columns of the running median; defects are found of less than half of it.
    gap : int
        Fewer good pixels than this between two bad ones of a column are bad, too.
    axis : int
        Axis of the array along which the columns run.
    """
    values = np.asarray(image, np.float64)
    unused = np.zeros(values.shape, np.bool_) if left_out is None else left_out
    if axis == 1:
        values, unused = values.T, unused.T
    broken = ~np.isfinite(values) & ~unused
    known = np.isfinite(values) & ~unused
    bad = broken.copy()
    if known.any():
        bad |= _Search(values, known, width).found(low, high)
    _fill_gaps(bad, gap)
    bad &= ~unused
    return bad if axis == 0 else bad.T


class _Search:
    """The deviations of pixels from a running median of those that are not bad."""

    def __init__(self, values: Array, known: Mask, width: int) -> None:
        self.known = known
        self.half = min(width // 2, values.shape[1] - 1)
        self.smooth = np.where(known, values / _surface(values, known), 1.0)
        self.residual = self.smooth - 1
        self.measure(np.arange(values.shape[1]), known)

    def measure(self, columns: npt.NDArray[np.intp], usable: Mask) -> None:
        """Take the residuals of some columns from the median of usable pixels."""
        half = self.half
        if half == 0:
            return
        index = np.arange(self.smooth.shape[1])
        index = np.pad(index, half, mode="reflect")
        # The pixel itself is no measure of what is beside it.
        steps = np.delete(np.arange(2 * half + 1), half)
        beside = [index[columns + step] for step in steps]
        for start in range(0, len(self.smooth), _ROWS):
            rows = slice(start, start + _ROWS)
            values = np.where(usable[rows], self.smooth[rows], np.inf)
            level = _medians([values[:, others] for others in beside])
            # Where all are bad, they are compared to the large-scale structure.
            level = np.where(np.isfinite(level), level, 1.0)
            self.residual[rows, columns] = self.smooth[rows][:, columns] - level

    def deviation(self, usable: Mask) -> Array:
        """Give the residuals in local standard deviations."""
        size = np.abs(self.residual)
        scatter = _of_blocks(np.where(usable, size, np.nan)) * _MAD
        overall = float(np.median(size[usable])) * _MAD if usable.any() else 0.0
        # Of a frame without noise everything that differs is bad.
        scatter = np.maximum(np.nan_to_num(scatter, nan=overall), 1e-9)
        rows, columns = (np.arange(n) // _BLOCK for n in size.shape)
        return np.asarray(self.residual / scatter[rows[:, None], columns])

    def found(self, low: float, high: float) -> Mask:
        """Find bad pixels, and leave them out of the medians of the others."""
        usable = self.known
        for _ in range(_ROUNDS):
            deviation = self.deviation(usable)
            depth = np.where(self.known, np.abs(deviation), 0.0)
            bad = self.known & ((deviation < -low) | (deviation > high))
            depth[~bad] = 0.0
            for rows, column in _bad_parts(deviation, self.known & ~bad, low, high):
                part = (rows, column)
                mean = abs(float(np.mean(deviation[part][self.known[part]])))
                depth[part] = np.where(bad[part], depth[part], mean)
                bad[part] |= self.known[part]
            # A bad pixel moves the medians of its neighbours, which seem bad, too.
            before, usable = usable, self.known & ~(bad & (depth > self._most(depth)))
            changed = (before != usable).any(axis=0)
            if not changed.any():
                break
            near = np.convolve(changed, np.ones(2 * self.half + 1), "same") > 0
            self.measure(np.nonzero(near)[0], usable)
        return np.asarray(bad)

    def _most(self, depth: Array) -> Array:
        """Give a part of the depth of the worst pixel within reach of each."""
        padded = np.pad(depth, ((0, 0), (self.half, self.half)))
        n = depth.shape[1]
        worst = depth
        for shift in range(2 * self.half + 1):
            worst = np.maximum(worst, padded[:, shift : shift + n])
        return _PART * worst


def _medians(values: list[Array]) -> Array:
    """Give the medians of some arrays without what is infinite; of nothing infinity."""
    for last in range(len(values) - 1, 0, -1):
        for n in range(last):
            lower = np.minimum(values[n], values[n + 1])
            values[n + 1] = np.maximum(values[n], values[n + 1])
            values[n] = lower
    if np.isfinite(values[-1]).all():
        return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
    ordered = np.stack(values)
    count = np.isfinite(ordered).sum(axis=0)[None]
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, axis=0)
    high = np.take_along_axis(ordered, np.minimum(count // 2, len(values) - 1), axis=0)
    return np.asarray((low + high)[0] / 2)


def _of_blocks(values: Array) -> Array:
    """Give the medians of blocks; NaN where there is no number."""
    ny, nx = values.shape
    padding = ((0, -ny % _BLOCK), (0, -nx % _BLOCK))
    padded = np.pad(values, padding, constant_values=np.nan)
    blocks = padded.reshape(len(padded) // _BLOCK, _BLOCK, -1, _BLOCK)
    flat = blocks.transpose(0, 2, 1, 3).reshape(*blocks.shape[::2], _BLOCK**2)
    count = np.isfinite(flat).sum(axis=-1)
    ordered = np.sort(flat, axis=-1)
    middle = np.maximum(count - 1, 0) // 2
    found = np.take_along_axis(ordered, middle[..., None], axis=-1)[..., 0]
    return np.asarray(np.where(count > 0, found, np.nan))


def _surface(values: Array, known: Mask) -> Array:
    """Fit the large-scale structure by a polynomial through the medians of blocks."""
    medians = _of_blocks(np.where(known, values, np.nan))
    terms = []
    for n, blocks in zip(values.shape, medians.shape, strict=True):
        starts = np.arange(blocks) * _BLOCK
        middles = (starts + np.minimum(starts + _BLOCK, n) - 1) / 2
        degree = min(_DEGREE, (blocks - 1) // 2)
        scale = max(n - 1, 1) / 2
        terms.append(
            [np.polynomial.legendre.legvander(x / scale - 1, degree)
             for x in (middles, np.arange(n))]
        )  # fmt: skip
    design = np.einsum("ia,jb->ijab", terms[0][0], terms[1][0])
    usable = np.isfinite(medians)
    flat = design[usable].reshape(int(usable.sum()), -1)
    weight = np.linalg.lstsq(flat, medians[usable], rcond=None)[0]
    shape = (terms[0][1].shape[1], terms[1][1].shape[1])
    surface = terms[0][1] @ weight.reshape(shape) @ terms[1][1].T
    level = float(np.median(medians[usable]))
    if not level > 0:
        msg = f"a flat has light, but the median of this one is {level:.4g}"
        raise ValueError(msg)
    return np.asarray(np.maximum(surface, 0.01 * level))


def _bad_parts(
    deviation: Array, usable: Mask, low: float, high: float
) -> Iterator[tuple[slice, int]]:
    """Find parts of columns whose sums deviate, the most significant ones first."""
    lengths = _lengths(len(deviation))
    values = np.where(usable, deviation, 0.0)
    scatter: list[float] = []
    candidates = np.zeros(deviation.shape[1], np.bool_)
    total = _cumulative(values, usable)
    for length in lengths:
        sums = _sums(*total, length)[0]
        known = sums[np.isfinite(sums)]
        width = scatter[-1] if scatter else 1.0
        if known.size >= _ENOUGH:
            width = max(1.0, float(np.median(np.abs(known))) * _MAD)
        scatter.append(width)
        significance = np.nan_to_num(sums / width)
        candidates |= ((significance < -low) | (significance > high)).any(axis=0)
    for column in np.nonzero(candidates)[0]:
        one, where = values[:, [column]].copy(), usable[:, [column]].copy()
        for _ in range(_MOST):
            rows = _most_significant(
                one, where, lengths=lengths, scatter=scatter, low=low, high=high
            )
            if rows is None:
                break
            yield rows, int(column)
            one[rows], where[rows] = 0.0, False


def _lengths(n: int) -> list[int]:
    powers = [2**k for k in range(1, n.bit_length()) if 2**k < n]
    return [*powers, n] if n > 1 else []


def _cumulative(values: Array, usable: Mask) -> tuple[Array, Array]:
    """Sum values and their number along the columns, from 0 on."""
    zero = np.zeros((1, values.shape[1]))
    total = np.concatenate([zero, np.cumsum(values, axis=0)])
    return total, np.concatenate([zero, np.cumsum(usable, axis=0)])


def _sums(
    total: Array, count: Array, length: int
) -> tuple[Array, npt.NDArray[np.intp]]:
    """Sum parts of columns that overlap by half, by their standard deviation."""
    rows = len(total) - 1
    starts = np.arange(0, rows - length + 1, max(1, length // 2))
    if starts[-1] + length < rows:
        starts = np.append(starts, rows - length)
    n = count[starts + length] - count[starts]
    sums = total[starts + length] - total[starts]
    enough = n >= max(2, length / 2)
    sums = np.where(enough, sums / np.sqrt(np.maximum(n, 1)), np.nan)
    return sums, starts


def _most_significant(
    values: Array,
    usable: Mask,
    *,
    lengths: list[int],
    scatter: list[float],
    low: float,
    high: float,
) -> slice | None:
    """Find the part of a column that deviates most, from its first to its last row."""
    best, rows = 1.0, None
    total = _cumulative(values, usable)
    for length, width in zip(lengths, scatter, strict=True):
        sums, starts = _sums(*total, length)
        ratio = np.nan_to_num(sums[:, 0] / width)
        ratio = np.where(ratio < 0, -ratio / low, ratio / high)
        at = int(np.argmax(ratio))
        if ratio[at] > best:
            best, rows = float(ratio[at]), slice(starts[at], starts[at] + length)
    if rows is None:
        return None
    for _ in range(3):
        rows = _with_ends(values[:, 0], usable[:, 0], rows)
    return rows


def _with_ends(values: Array, usable: Mask, rows: slice) -> slice:
    """Move the ends of a part to where it is most likely that it begins and ends."""
    depth = float(np.sum(values[rows])) / max(int(usable[rows].sum()), 1)
    gain = np.where(usable, depth * values - depth**2 / 2, 0.0)
    total = np.concatenate([[0.0], np.cumsum(gain)])
    middle = rows.start + int(np.argmax(np.abs(_smoothed(values[rows]))))
    start = int(np.argmin(total[: middle + 1]))
    stop = middle + 1 + int(np.argmax(total[middle + 1 :]))
    return slice(start, stop)


def _smoothed(values: Array) -> Array:
    n = min(9, len(values))
    return np.convolve(values, np.ones(n), "same")


def _fill_gaps(bad: Mask, gap: int) -> None:
    """Call short runs of good pixels between bad ones of a column bad."""
    for column in np.flatnonzero(bad.sum(axis=0) > 1):
        rows = np.flatnonzero(bad[:, column])
        between = np.diff(rows) - 1
        for n in np.flatnonzero((between > 0) & (between < gap)).tolist():
            bad[rows[n] : rows[n + 1], column] = True
