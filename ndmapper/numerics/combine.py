"""Combining aligned frames, with variance and flags, a few rows at a time."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.clipping import Rejection, RejectionKind
from ndmapper.numerics.combined_variance import median_table, rejected_variance_factor
from ndmapper.numerics.formulas import float_type, narrowed
from ndmapper.numerics.pooled_noise import (
    expected_inner,
    frame_ratios,
    pool_noise,
    scatter_limit,
)
from ndmapper.numerics.shared_noise import (
    Planes,
    SharedNoise,
    own_variance,
    shared_variance,
)
from ndmapper.numerics.stack import Recipe, Stack, Tile, combine_stack, prepared

__all__ = ["CombineMethod", "Combined", "Rows", "combine"]

CombineMethod = Literal["mean", "median", "sum", "weighted", "sigclip"]
"""How frames are combined; 'sigclip' is a mean of what clipping leaves."""

Array = npt.NDArray[np.float64]

COMPILED_FROM = 2**23
"""Stacks of at least so many values are combined by compiled loops, which take as long
to load as NumPy takes for them."""

_CHUNK_BYTES = 2**25, 2**28
"""Least and most memory that is in work at a time."""

_FRAME_BYTES = 2**19
"""Between these, so much for each frame: a file is not opened for a few pixels."""

_SAMPLE = 2**17
"""So many pixels of each frame tell the noise and level of all."""

_SAMPLED_VALUES = 2**22
"""At most so many values are taken for that."""

_RATIO_PIXELS = 2**15
"""So many pixels tell which frames are noisier than others."""

_PLACES = 32
"""They are rows from so many places."""


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

    `data` is NaN where no frame has a finite value, and as wide as the widest frame;
    `variance` is that of `data`, NaN where it is not known. `flags` are those of the
    pixels that were used, joined by OR: uint16, or the widest type of the frames where
    that is wider. `count` and `rejected` say how many values were used and rejected at
    each pixel, `rejected_share` which share of the good values of each frame, `levels`
    the median of each frame, scaled, in a sample of the pixels, and `weights` the
    weight of each frame, which add up to 1.
    """

    data: npt.NDArray[np.floating]
    variance: npt.NDArray[np.floating]
    flags: npt.NDArray[np.unsignedinteger]
    count: npt.NDArray[np.unsignedinteger]
    rejected: npt.NDArray[np.unsignedinteger]
    rejected_share: Array
    levels: Array
    weights: Array


def combine(
    data: Sequence[Rows],
    variance: Sequence[Rows | None] | None = None,
    flags: Sequence[Rows | None] | None = None,
    *,
    method: str = "mean",
    reject: RejectionKind | None = None,
    low: float = 4.0,
    high: float = 4.0,
    nlow: int = 1,
    nhigh: int = 1,
    scale: Sequence[float] | None = None,
    zero: Sequence[float] | None = None,
    weights: Sequence[float] | None = None,
    shared: Sequence[SharedNoise] = (),
    bad_flags: int = 0xFFFFFFFF,
    no_data_flag: int = 16,
    doubtful_flag: int = 0,
    chunk_bytes: int | None = None,
    threads: int = 1,
) -> Combined:
    """
    Combine frames pixel by pixel.

    `method` is 'mean', 'median', 'sum' (of what was used, times what is missing),
    'weighted' or 'sigclip', which is a mean with the rejection 'noise'. Each frame is
    multiplied by `scale`, its variance by the square, and `zero` is added. Weights are
    one number for each frame, by default the inverse of its typical variance.

    Where any frame has no variance, the noise of a value is pooled over the pixels of
    about its level (`pool_noise`), and where a pixel scatters more than that, its own
    scatter takes its place. Pixels with any of `bad_flags` are used only where all
    frames have them. `doubtful_flag` is set where at least half of the values were
    rejected, or the last two that are left disagree: there the variance is that of the
    scatter of all. Values are taken as normal; what rejection does to the variance is
    in `rejected_variance_factor`.

    `shared` is noise of masters, which is part of the variances of frames, but the same
    in several: values are rejected and weighted by the rest, and it is added to the
    variance of the result.

    Raises
    ------
    ValueError
        If there are no frames, shapes differ, numbers of arrays do not match, a scale
        is not positive, or the method is unknown.
    """
    n = _check(data, variance, flags, method)
    known = variance is not None and all(v is not None for v in variance)
    # Without variances, nothing says that the noise of masters is in the frames.
    frames = _Frames(data, variance if known else None, flags, shared if known else ())
    # Every bit that has a name: then those above, which have none, count as well.
    bad = (1 << 64) - 1 if bad_flags == 0xFFFFFFFF else bad_flags
    kind = reject or ("noise" if method == "sigclip" else "none")
    recipe = Recipe(
        is_median=method == "median",
        rejection=Rejection(kind=kind, low=low, high=high, nlow=nlow, nhigh=nhigh),
        factor=_numbers(scale, n, 1.0, "scale", positive=True),
        offset=_numbers(zero, n, 0.0, "zero"),
        weights=_numbers(weights, n, 1.0, "weight", positive=True),
        ratio=np.ones(n),
        curve=None,
        clipped=np.ones(n + 1),
        median=median_table(n),
        scatter=np.array([scatter_limit(max(k - 1, 1)) for k in range(n + 1)]),
        inner=np.array([expected_inner(max(k, 1)) for k in range(n + 1)]),
        bad=bad,
        no_data_flag=no_data_flag,
        doubtful_flag=doubtful_flag,
    )
    recipe, levels = _with_noise(frames, recipe, known)
    if method == "weighted" and weights is None:
        recipe = replace(recipe, weights=1 / recipe.ratio)
    if chunk_bytes is None:
        least, most = _CHUNK_BYTES
        chunk_bytes = min(max(least, n * _FRAME_BYTES), most)
    out = _Output(frames, n if method == "sum" else 1)
    combine_tile = _worker(recipe, frames.pixels * n, has_variance=known)

    def work(rows: slice) -> tuple[slice, Tile]:
        planes = frames.planes(rows)
        tile = combine_tile(frames.read(rows, planes), recipe)
        return rows, _with_shared(tile, frames.shared, planes, recipe)

    for rows, tile in _mapped(work, frames.tiles(chunk_bytes, threads), threads):
        out.put(rows, tile)
    return out.combined(levels, recipe.weights)


def _with_shared(
    tile: Tile, shared: Sequence[SharedNoise], planes: Planes, recipe: Recipe
) -> Tile:
    """Add the variance that is from masters."""
    if not shared:
        return tile
    more = shared_variance(
        tile.data,
        shared,
        planes,
        weights=recipe.weights,
        scale=recipe.factor,
        offset=recipe.offset,
    )
    return tile._replace(variance=tile.variance + more)


def _check(
    data: Sequence[Rows],
    variance: Sequence[Rows | None] | None,
    flags: Sequence[Rows | None] | None,
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
    return len(data)


def _numbers(
    given: Sequence[float] | None,
    n: int,
    default: float,
    what: str,
    *,
    positive: bool = False,
) -> Array:
    if given is None:
        return np.full(n, default)
    numbers = np.asarray(given, np.float64)
    is_right = numbers.shape == (n,) and np.all(np.isfinite(numbers))
    if not is_right or (positive and not np.all(numbers > 0)):
        kind = "positive and finite" if positive else "finite"
        msg = f"{n} frames need as many {kind} {what} factors, not {given}"
        raise ValueError(msg)
    return numbers


class _Frames:
    """The arrays of all frames, read some rows at a time."""

    def __init__(
        self,
        data: Sequence[Rows],
        variance: Sequence[Rows | None] | None,
        flags: Sequence[Rows | None] | None,
        shared: Sequence[SharedNoise],
    ) -> None:
        self._data, self._variance = data, variance
        self.n = n = len(data)
        self._flags = [None] * n if flags is None else flags
        self.shared = shared
        self.shape = tuple(data[0].shape)
        self.row = math.prod(self.shape[1:])
        self.rows = self.shape[0] if self.shape else 0
        self.pixels = math.prod(self.shape)
        self.kind: np.dtype[Any] = np.dtype(np.float64)

    def planes(self, rows: slice) -> Planes:
        """Read some rows of the masters."""
        return [
            [np.asarray(plane[rows], np.float64).reshape(-1) for plane in noise.planes]
            for noise in self.shared
        ]

    def read(self, rows: slice, planes: Planes | None = None) -> Stack:
        """Read rows of all frames with their own noise; in float32 if none is wider."""
        data = _stacked([array[rows] for array in self._data])
        self.kind = data.dtype
        variance = None
        if self._variance is not None:
            variance = _stacked([a[rows] for a in self._variance if a is not None])
            if self.shared:
                planes = self.planes(rows) if planes is None else planes
                own_variance(data, variance, self.shared, planes)
        return Stack(data, variance, self._read_flags(rows), max(self.row, 1))

    def _read_flags(self, rows: slice) -> npt.NDArray[np.unsignedinteger] | None:
        bits = [
            None if f is None else _unsigned(np.asarray(f[rows])) for f in self._flags
        ]
        kinds = {f.dtype for f in bits if f is not None}
        if not kinds:
            return None
        size = (rows.stop - rows.start) * self.row
        out = np.zeros((self.n, size), np.result_type(np.uint16, *kinds))
        for one, target in zip(bits, out, strict=True):
            if one is not None:
                target[:] = one.reshape(-1)
        return out

    def tiles(self, chunk_bytes: int, threads: int) -> list[slice]:
        """Divide the rows, so that those in work take about so much memory."""
        # Data and variance as they are read and as they are used, and masks.
        pixel_bytes = (16 if self._variance is None else 24) * self.n
        # A plane, and what it is made of and used for.
        pixel_bytes += 32 * sum(len(noise.planes) for noise in self.shared)
        row_bytes = pixel_bytes * max(self.row, 1)
        step = max(1, chunk_bytes // max(threads, 1) // row_bytes)
        starts = range(0, self.rows, step)
        return [slice(start, min(start + step, self.rows)) for start in starts]

    def sample(self) -> Stack | None:
        """Read rows from all over the frames."""
        wanted = min(_SAMPLE, _SAMPLED_VALUES // self.n)
        height = max(1, wanted // max(self.row, 1) // _PLACES)
        if not self.pixels:
            return None
        if height * _PLACES >= self.rows or self.pixels <= wanted:
            return self.read(slice(0, self.rows))
        places = _PLACES
        starts = np.linspace(0, self.rows - height, places).astype(int)
        stacks = [self.read(slice(int(s), int(s) + height)) for s in starts]
        data, variance, flags, row = zip(*stacks, strict=True)
        return Stack(
            np.concatenate(data, axis=1),
            None if variance[0] is None else np.concatenate(variance, axis=1),
            None if flags[0] is None else np.concatenate(flags, axis=1),
            row[0],
        )


def _stacked(arrays: list[npt.NDArray[np.generic]]) -> npt.NDArray[np.floating]:
    kinds = {float_type(a.dtype).newbyteorder("=") for a in arrays}
    kind = np.result_type(*kinds)
    out = np.empty((len(arrays), math.prod(arrays[0].shape)), kind)
    for array, target in zip(arrays, out, strict=True):
        target[:] = np.asarray(array).reshape(-1)
    return out


def _unsigned(flags: npt.NDArray[np.generic]) -> npt.NDArray[np.unsignedinteger]:
    native = flags.astype(flags.dtype.newbyteorder("="), copy=False)
    # A view: signed flags keep their sign bit as one bit of them, and no others.
    bits: npt.NDArray[np.unsignedinteger] = native.view(f"u{native.dtype.itemsize}")
    return bits


def _with_noise(frames: _Frames, recipe: Recipe, known: bool) -> tuple[Recipe, Array]:
    """Add to a recipe what many pixels tell of the noise; give the levels of frames."""
    n = frames.n
    sample = frames.sample()
    if sample is None:
        return recipe, np.full(n, np.nan)
    data, variance, good = prepared(sample, recipe)
    levels = np.array(
        [
            float(np.median(d[g])) if g.any() else np.nan
            for d, g in zip(data, good, strict=True)
        ]
    )
    curve = None if known else pool_noise(data, good)
    # Ratios need fewer pixels than a curve.
    step = max(1, data.shape[1] // _RATIO_PIXELS)
    some = None if variance is None else variance[:, ::step]
    recipe = replace(
        recipe,
        ratio=frame_ratios(data[:, ::step], some, good[:, ::step]),
        curve=curve,
        clipped=_clipped_table(n, recipe.rejection, known),
    )
    return recipe, levels


def _clipped_table(n: int, how: Rejection, known: bool) -> Array:
    """Give the factor of each number of values, which changes slowly from 12 on."""
    nodes = sorted({*range(3, min(n, 6)), 8, 12, 20, 40, 100, n})
    nodes = [k for k in nodes if 3 <= k <= n]
    table = np.ones(n + 1)
    if nodes:
        found = [rejected_variance_factor(k, how, known) for k in nodes]
        table[3:] = np.interp(np.arange(3, n + 1), nodes, found)
    return table


@functools.cache
def import_loops() -> ModuleType | None:
    """Import the compiled loops; None where numba is missing, or does not fit NumPy."""
    try:
        from ndmapper.numerics import stack_loops
    except ImportError:
        return None
    return stack_loops


def _worker(
    recipe: Recipe, values: int, *, has_variance: bool
) -> Callable[[Stack, Recipe], Tile]:
    """Give what combines so many values: compiled loops, or NumPy."""
    loops = import_loops() if values >= COMPILED_FROM else None
    if loops is None or not loops.can_combine(recipe):
        return combine_stack
    found: Callable[[Stack, Recipe], Tile] = loops.combine_stack
    return found


def _mapped(
    work: Callable[[slice], tuple[slice, Tile]], tiles: list[slice], threads: int
) -> Iterator[tuple[slice, Tile]]:
    if threads <= 1 or len(tiles) < 2:
        yield from map(work, tiles)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, tiles)


class _Output:
    """The arrays of the result, which become wider when a tile needs it."""

    def __init__(self, frames: _Frames, factor: int) -> None:
        self._shape, self._factor = frames.shape, factor
        size = (frames.rows, frames.row)
        number = np.min_scalar_type(frames.n)
        self._data: npt.NDArray[Any] = np.empty(size, frames.kind)
        self._variance: npt.NDArray[Any] = np.empty(size, frames.kind)
        self._flags: npt.NDArray[Any] = np.zeros(size, np.uint16)
        self._count = np.zeros(size, number)
        self._rejected = np.zeros(size, number)
        self._good_of_frame = np.zeros(frames.n)
        self._rejected_of_frame = np.zeros(frames.n)

    def put(self, rows: slice, tile: Tile) -> None:
        """Store a tile."""
        data, variance = tile.data, tile.variance
        if self._factor != 1:
            variance = variance * self._factor**2
        variance = narrowed(variance, self._variance.dtype)
        if variance.dtype > self._variance.dtype:
            self._variance = self._variance.astype(variance.dtype)
        if tile.flags.dtype > self._flags.dtype:
            self._flags = self._flags.astype(tile.flags.dtype)
        if self._factor != 1:  # a sum may be too large
            data = narrowed(data * self._factor, self._data.dtype)
            kind = np.result_type(self._data, data)
            self._data = self._data.astype(kind, copy=False)
        for whole, part in (
            (self._data, data),
            (self._variance, variance),
            (self._flags, tile.flags),
            (self._count, tile.kept),
            (self._rejected, tile.rejected),
        ):
            whole[rows] = part.reshape(whole[rows].shape)
        self._good_of_frame += tile.good_of_frame
        self._rejected_of_frame += tile.rejected_of_frame

    def combined(self, levels: Array, weights: Array) -> Combined:
        """Give the whole."""
        return Combined(
            data=self._data.reshape(self._shape),
            variance=self._variance.reshape(self._shape),
            flags=self._flags.reshape(self._shape),
            count=self._count.reshape(self._shape),
            rejected=self._rejected.reshape(self._shape),
            rejected_share=self._rejected_of_frame / np.maximum(self._good_of_frame, 1),
            levels=levels,
            weights=weights / weights.sum(),
        )
