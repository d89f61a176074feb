"""
Arithmetic of pixels with variance and flags.

Operands are independent: variances are propagated to first order without a
correlation term, so ``x - x`` gets twice the variance of ``x``. Flags are combined
with OR. Values of ``float32`` stay ``float32``; integers become floating point
first, so that nothing wraps around. Variances are as wide as the data, or as one that
goes in; where float32 cannot hold the variance of some pixel, though the data are
``float32``, those of all become ``float64``.

NumPy works in blocks that stay in the cache. Where numba is installed (the extra
``fast``) and there is much to do, the four rules are compiled loops over data, variance
and flags together, which go through memory once. Both give the same numbers to the
last bit; only of two NaN that meet, either may be the one whose payload is kept.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.formulas import (
    BITWISE,
    FORMULAS,
    as_float,
    flag_type,
    float_type,
    result_type,
    variance_type,
)

__all__ = ["FUSED_FROM", "LOADED_AFTER", "OPERATIONS", "Pixels", "combine"]

Array = npt.NDArray[Any]

FUSED_FROM = 1 << 20
"""Operations on at least so many pixels are done by the compiled loops."""

LOADED_AFTER = 1 << 28
"""So many pixels of such operations are done by NumPy before the loops are loaded: it
takes as long for them, 1 s, as loading does (``benchmarks/bench_arith.py``)."""

THREADS_FROM = 1 << 22
"""From so many pixels on several threads are worth their start."""

_BLOCK = 1 << 16
"""Pixels that are worked on at a time; a dozen arrays of them fit into a cache."""

_STRETCH = 1 << 18
"""Pixels that one call of a compiled loop works on; the threads share such pieces."""


class Pixels(NamedTuple):
    """
    An array with what is known about it.

    Parameters
    ----------
    data : ndarray or float
        The values; a plain number never widens an array.
    variance : ndarray of float or None
        Their variance [unit of data squared]; None where it is not known.
    flags : ndarray of int or None
        Their flag bits; None where there are none.
    """

    data: Array
    variance: Array | None = None
    flags: Array | None = None


def combine(
    name: str,
    left: Pixels,
    right: Pixels,
    *,
    out: Pixels | None = None,
    threads: int = 1,
    total: int | None = None,
) -> Pixels:
    """
    Combine two operands.

    Parameters
    ----------
    name : str
        One of `FORMULAS` or `BITWISE`.
    left, right : Pixels
        The operands, of shapes that broadcast, in any byte order; at least one of
        them an array.
    out : Pixels, optional
        Arrays of the shape of the result to be filled, in any byte order; they may be
        those of an operand. A missing one is made, and so is one for variances that do
        not fit there.
    threads : int
        At most so many, where the arrays are large.
    total : int, optional
        How many pixels there are in all, where these are a part of them.

    Returns
    -------
    Pixels
        The result, in memory that no operand has but for `out`. Where a divisor is
        zero it is infinite or NaN.
    """
    arrays = [None if _is_number(p.data) else np.asarray(p.data) for p in (left, right)]
    if all(a is None for a in arrays):
        # One of them gives the type: an array without axes, if there is one.
        first = 0 if isinstance(left.data, np.ndarray) else 1
        arrays[first] = np.asarray((left, right)[first].data)
    shape = np.broadcast_shapes(*(a.shape for a in arrays if a is not None))
    dtype = result_type(name, *(None if a is None else a.dtype for a in arrays))
    left, right = (
        Pixels(_number(p.data, dtype) if a is None else a, p.variance, p.flags)
        for p, a in zip((left, right), arrays, strict=True)
    )
    made = _made(name, left, right, shape, dtype, out)
    if made.data.size:
        is_large = (total or made.data.size) >= FUSED_FROM
        wide = _Wide(name, made.variance)
        work = _fused(name, left, right, made, wide) if is_large else None
        work = work or _plain(name, left, right, made, wide)
        _run(work, threads if made.data.size >= THREADS_FROM else 1)
        made = made._replace(variance=wide.joined())
    return made


OPERATIONS: dict[str, Callable[[Pixels, Pixels], Pixels]] = {
    name: partial(combine, name) for name in (*FORMULAS, *BITWISE)
}
"""All operations by name."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or np.ndim(value) == 0 == np.size(value) - 1


def _number(value: Any, dtype: np.dtype[Any]) -> Any:
    with np.errstate(over="ignore"):
        return dtype.type(value)


def _made(  # noqa: PLR0917
    name: str,
    left: Pixels,
    right: Pixels,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    out: Pixels | None,
) -> Pixels:
    """Provide the arrays of the result."""
    has_variance = name not in BITWISE and not (
        left.variance is None and right.variance is None
    )
    flags = [p.flags.dtype for p in (left, right) if p.flags is not None]
    types = (
        dtype,
        variance_type(dtype, *(p.variance for p in (left, right)))
        if has_variance
        else None,
        flag_type(*flags) if flags else None,
    )
    given = (None, None, None) if out is None else out
    arrays: list[Any] = []
    for array, kind in zip(given, types, strict=True):
        # What is wide enough for variances that float32 does not hold is for others.
        kinds = (kind, np.dtype("f8")) if len(arrays) == 1 else (kind,)
        if kind is None:
            arrays.append(None)
        elif (
            array is not None
            and array.dtype.newbyteorder("=") in kinds
            and array.shape == shape
        ):
            arrays.append(array)
        else:
            arrays.append(np.empty(shape, kind))
    return Pixels(*arrays)


class _Wide:
    """Variances that float32 does not hold, which are kept until all are known."""

    def __init__(self, name: str, target: Array | None) -> None:
        self._name = name
        self._target = target
        self._found: list[tuple[Any, Array, Array]] = []
        self.is_flat = False

    def look(self, place: Any, left: Pixels, right: Pixels, made: Array) -> None:
        """
        Compute some variances again, and keep those that were lost.

        Parameters
        ----------
        place : index
            Where they are in the result, or in one row of all its pixels.
        left, right : Pixels
            The operands.
        made : ndarray
            The variances that were computed with them.
        """
        sides = (left.data, left.variance, right.data, right.variance)
        doubles = (None if x is None else np.asarray(x, np.float64) for x in sides)
        with np.errstate(all="ignore"):
            exact = np.asarray(FORMULAS[self._name](*doubles)[1])
            kept = np.abs(exact - made) <= 1e-5 * np.abs(exact)
            lost = ~(kept | (exact == made) | np.isnan(exact))
        if lost.any():
            self._found.append((place, lost, exact[lost]))

    def joined(self) -> Array | None:
        """
        Give all variances, of a type that holds them.

        Returns
        -------
        ndarray or None
            The target, unless some do not fit there.
        """
        target = self._target
        if target is None or not self._found:
            return target
        if target.dtype.itemsize < 8:
            target = target.astype(np.float64)
        row = target.reshape(-1) if self.is_flat else target
        for place, lost, exact in self._found:
            row[place][lost] = exact
        return target


Work = tuple[Callable[[int, int], None], int, int]
"""A function of the start and end of a block, how many there are, and at a time."""


def _run(work: Work, threads: int) -> None:
    func, count, step = work

    def some(span: tuple[int, int]) -> None:
        with np.errstate(all="ignore"):  # it holds for one thread
            for start in range(*span, step):
                func(start, min(start + step, span[1]))

    spans = list(_spans(count, threads, step))
    if len(spans) == 1:
        some(spans[0])
        return
    with ThreadPoolExecutor(len(spans)) as pool:
        for _ in pool.map(some, spans):
            pass


def _spans(count: int, parts: int, step: int) -> Iterator[tuple[int, int]]:
    size = max(1, math.ceil(math.ceil(count / step) / parts)) * step
    for start in range(0, count, size):
        yield start, min(start + size, count)


class _Loader:
    """Loads the compiled loops once that is worth its time in this process."""

    def __init__(self) -> None:
        self._pixels = 0

    def loops(self, pixels: int) -> ModuleType | None:
        """Give the compiled loops for so many pixels; None where NumPy is to do it."""
        self._pixels += pixels
        return import_loops() if self._pixels > LOADED_AFTER else None


_loader = _Loader()


@functools.cache
def import_loops() -> ModuleType | None:
    """Import the compiled loops; None where numba is missing, or does not fit NumPy."""
    try:
        from ndmapper.numerics import fused
    except ImportError:
        return None
    return fused


def _fused(
    name: str, left: Pixels, right: Pixels, made: Pixels, wide: _Wide
) -> Work | None:
    """Find the compiled loop for operands that can be walked through in step."""
    flat = _flattened(left, right, made)
    if name not in ("add", "subtract", "multiply", "divide") or flat is None:
        return None
    loops = _loader.loops(made.data.size)
    if loops is None:
        return None
    kernel = loops.KERNELS[name]
    flat = [loops.bits(v) if isinstance(v, np.ndarray) else v for v in flat]
    x, vx, fx, y, vy, fy, *outs = flat
    in_place = any(
        np.may_share_memory(out, v)
        for out in outs
        for v in flat[:6]
        if isinstance(out, np.ndarray) and isinstance(v, np.ndarray)
    )

    wide.is_flat = True
    narrow = _is_narrow(left, right, made)
    # To the last bit as they are where nothing needs the room.
    rounds = narrow and made.variance is not None and made.variance.itemsize == 8

    def block(start: int, stop: int) -> None:
        values: list[Any] = [
            v if v is None or isinstance(v, np.generic) else v[start:stop]
            for v in (x, vx, fx, y, vy, fy, *outs)
        ]
        for i, kind in ((0, left.data.dtype), (3, right.data.dtype)):
            if kind.kind != "f":
                values[i] = values[i].astype(float_type(kind))
        targets = values[6:]
        if in_place:
            # Loops that write what they read are not vectorised, which costs more than
            # this copy from the cache.
            values[6:] = [None if v is None else np.empty_like(v) for v in targets]
        if rounds:
            values[7] = np.empty(stop - start, np.float32)
        if kernel(stop - start, *values) and narrow:
            one, two = (Pixels(*_numbers(values[i : i + 3])) for i in (0, 3))
            wide.look(slice(start, stop), one, two, _numbers(values[7:8])[0])
        for i, (target, array) in enumerate(zip(targets, values[6:], strict=True)):
            if rounds and i == 1:
                assert made.variance is not None
                made.variance.reshape(-1)[start:stop] = array
            elif target is not None and target is not array:
                target[...] = array

    # One pass needs no blocks, unless numbers of another type are converted for it.
    same = all(p.data.dtype.kind == "f" for p in (left, right))
    return block, made.data.size, _STRETCH if same and not in_place else _BLOCK


def _flattened(left: Pixels, right: Pixels, made: Pixels) -> list[Any] | None:
    """Give all arrays as one row each; None where the loops cannot take one of them."""
    flat: list[Any] = []
    for pixels, kinds in ((left, "biuf"), (right, "biuf"), (made, "f")):
        parts: tuple[Any, ...] = pixels
        for array, wanted in zip(parts, (kinds, "f", "iu"), strict=True):
            if array is None or isinstance(array, np.generic):
                flat.append(array)
                continue
            if not (
                array.shape == made.data.shape
                and array.flags.c_contiguous
                and array.dtype.kind in wanted
                and (array.dtype.itemsize in (4, 8) if array.dtype.kind == "f"
                     else array.dtype.isnative)
            ):  # fmt: skip
                return None
            flat.append(array.reshape(-1))
    return flat


def _numbers(values: Iterable[Any]) -> list[Any]:
    """Give floating point in the other byte order, which the loops have as bits."""
    return [
        v.view(np.dtype(f"f{v.itemsize}").newbyteorder())
        if isinstance(v, np.ndarray) and v.dtype.kind == "u" and v.itemsize >= 4
        else v
        for v in values
    ]


def _is_narrow(left: Pixels, right: Pixels, made: Pixels) -> bool:
    """Whether variances are computed in float32."""
    if made.variance is None:
        return False
    kind = variance_type(made.data.dtype, left.variance, right.variance)
    return kind.itemsize == 4


def _plain(name: str, left: Pixels, right: Pixels, made: Pixels, wide: _Wide) -> Work:
    """Work with NumPy, in blocks along the first axis."""
    shape = made.data.shape
    narrow = _is_narrow(left, right, made)
    # Variances in double precision are made of data in double precision.
    apart = (
        made.variance is not None
        and not narrow
        and any(float_type(side.data.dtype).itemsize == 4 for side in (left, right))
    )

    def rows(array: Any, start: int, stop: int) -> Any:
        whole = array is None or isinstance(array, np.generic) or not shape
        if whole or array.ndim < len(shape) or array.shape[0] == 1 != shape[0]:
            return array
        return array[start:stop]

    def block(start: int, stop: int) -> None:
        one, two, target = (
            Pixels(*(rows(array, start, stop) for array in pixels))
            for pixels in (left, right, made)
        )
        variance = None
        if name in BITWISE:
            data = BITWISE[name](*(_bits(x, made.data.dtype) for x in (one, two)))
        elif apart:
            doubles = (np.asarray(side.data, np.float64) for side in (one, two))
            variance = FORMULAS[name](
                next(doubles), one.variance, next(doubles), two.variance
            )[1]
            data = FORMULAS[name](as_float(one.data), None, as_float(two.data), None)[0]
        else:
            sides = as_float(one.data), one.variance, as_float(two.data), two.variance
            # The processor notices what float32 cannot hold.
            noted: list[int] = []
            how: Any = "call" if narrow else "ignore"
            with np.errstate(under=how, over=how, call=lambda _, n: noted.append(n)):
                data, variance = FORMULAS[name](*sides)
            if noted and variance is not None:
                place = slice(start, stop) if shape else ...
                wide.look(place, one, two, np.asarray(variance))
        flags = [p.flags for p in (one, two) if p.flags is not None]
        # Everything is computed before anything is written: the target may be an
        # operand.
        if target.flags is not None:
            target.flags[...] = (
                np.bitwise_or(*(f.astype(target.flags.dtype) for f in flags))
                if len(flags) == 2
                else flags[0]
            )
        target.data[...] = data
        if target.variance is not None:
            target.variance[...] = variance

    def _bits(side: Pixels, dtype: np.dtype[Any]) -> Any:
        # Of a signed and an unsigned type of 64 bits, NumPy would make floats.
        return np.asarray(side.data).astype(dtype, copy=False)

    count = shape[0] if shape else 1
    return block, count, max(1, _BLOCK * count // made.data.size)
