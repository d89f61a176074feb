"""Stacking images on a common grid of the sky."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from ndmapper.calibrations.copies import distinct_exposures
from ndmapper.data import DataFileList, Flag, NDLater
from ndmapper.data.detector import pixel_keywords
from ndmapper.data.flags import FLAGS_DTYPE, widened
from ndmapper.errors import ParameterError, UnitError
from ndmapper.lib.alike import check_alike
from ndmapper.lib.combine import warn_of_rejected
from ndmapper.lib.flagging import good_pixels, union_along
from ndmapper.lib.image.correlation import COVARIANCE, noise_factor
from ndmapper.lib.image.grid import Grid, PixelMap, common_grid
from ndmapper.lib.image.shared_pixels import (
    Placed,
    covariances,
    variance_in_common,
)
from ndmapper.lib.shared_masters import (
    ImageRows,
    Shared,
    SharedMasters,
    middle_rows,
    parts_of,
    write_names,
)
from ndmapper.numerics.clipping import Rejection
from ndmapper.numerics.combine import Combined, combine
from ndmapper.numerics.combined_variance import rejected_variance_factor
from ndmapper.numerics.formulas import float_type, narrowed
from ndmapper.numerics.outliers import REACH, find_outliers, mean_of_used
from ndmapper.numerics.pooled_noise import frame_ratios
from ndmapper.numerics.resample import resample
from ndmapper.numerics.shared_noise import SharedNoise
from ndmapper.numerics.statistics import clip_scatter
from ndmapper.steps import Range, qc, run_task

__all__ = ["stack_images"]

Array = npt.NDArray[np.float64]

_CHUNK = 1 << 26
"""Rows are stacked together up to about so many bytes."""

_BYTES = 200
"""Bytes that a pixel of an image takes while it is resampled."""

_KEPT = 40
"""And so many while the images are combined."""

_RATIO_PIXELS = 2**15
"""So many pixels tell which images are noisier."""

_SAMPLE = 256
"""Covariances are averaged over at most so many rows and columns."""


@run_task(each="list", outputs="stack", suffix="_stack", options={"revision": 3})
def stack_images(
    files: DataFileList,
    *,
    method: Literal["mean", "median", "sigclip"] = "sigclip",
    low: Annotated[float, Range(gt=0)] = 4.0,
    high: Annotated[float, Range(gt=0)] = 4.0,
    scale: Sequence[float] | None = None,
    level: Literal["none", "median"] = "none",
    covers: Literal["all", "first"] = "all",
    mixed: str | Sequence[str] = (),
    shared: Shared = "record",
) -> NDLater:
    """
    Stack images on a common grid: ``stack_images(files, stack='deep.fits')``.

    Parameters
    ----------
    files : DataFileList
        Images with world coordinates, and best with variance. All extensions go onto
        one grid, that of the first image without its distortions.
    method : {'mean', 'median', 'sigclip'}
        How they are combined, after they were put onto the grid. ``'sigclip'`` is a
        mean without the values that do not agree with the others within their noise,
        and without the neighbours of these. Where stars make the image steep, values
        may differ by more: interpolation and seeing change them.
    low, high : float
        Limits of the clipping [standard deviations].
    scale : sequence of float, optional
        The images of each file are multiplied by its number first, such as the
        transparency relative to the first one.
    level : {'none', 'median'}
        Whether the median of each image, without stars and other outliers, is brought
        to that of the first one, so that a sky that varies is not taken for outliers.
    covers : {'all', 'first'}
        Whether the grid covers all images, or the first one.
    mixed : str or sequence of str
        In what the files may differ, such as ``'filter'``, as for `combine`; exposure
        times may differ under `scale`. A file that holds the exposure of another one
        counts once.
    shared : {'record', 'none'} or sequence
        Which masters (bias, dark, flat) the images were all calibrated by, whose noise
        is the same where they have the same pixels of the detector: those in their
        records, none, or these files.

    Returns
    -------
    NDLater
        The stack, with variance and flags. Values are interpolated linearly, and
        multiplied by the area of pixels, so that flux is conserved. The variance is
        that of each pixel by itself. Neighbours share noise, so that the sum of many
        pixels has a larger variance than the sum of their variances: by how much is in
        the table COVARIANCE (see `noise_factor`).

    Raises
    ------
    ParameterError
        If an image has no world coordinates, the numbers of ``scale`` do not fit, or
        the headers say that the files were not taken alike.
    UnitError
        If units differ.
    """
    kept = distinct_exposures(files)
    if scale is not None and len(scale) == len(files):
        scale = [scale[position] for position in kept]
    files = DataFileList(data=[files[position] for position in kept])
    images = [ndd for df in files for ndd in df]
    names = [f"{df.filename or 'an image'}[{ndd.ident}]" for df in files for ndd in df]
    for df in files:
        if not len(df):
            msg = f"{df} has no image that could be stacked; leave it out"
            raise ParameterError(msg)
    mixed = (mixed,) if isinstance(mixed, str) else mixed
    check_alike(files, mixed=mixed, is_scaled=scale is not None)
    factors = _factors(files, scale)
    for image, name in zip(images, names, strict=True):
        if image.unit != images[0].unit:
            msg = f"{name} is in {image.unit}, but {names[0]} in {images[0].unit}"
            raise UnitError(msg)
    grid = common_grid(images, names, covers=covers)
    masters = SharedMasters(files, shared)
    owners = [number for number, df in enumerate(files) for _ in df]
    noises = masters.noises(images, owners)
    sources = [
        _Source(image, PixelMap(grid, image.wcs), factor, parts_of(noises, number))
        for number, (image, factor) in enumerate(zip(images, factors, strict=True))
    ]
    if level == "median":
        for source in sources:
            source.offset = sources[0].median - source.median
    stack, rejected = _combined(sources, grid, method=method, low=low, high=high)
    if method == "sigclip":
        rejected.report(names, [source.median + source.offset for source in sources])
    table = _covariance_table(sources, noises, grid)
    stack.tables[COVARIANCE] = table
    write_names(stack.meta, masters.names)
    stack.meta["NCOMBINE"] = (len(images), "number of images stacked")
    qc(images=len(images), noise_factor_of_5x5=round(noise_factor(table, 5), 4))
    return stack


def _factors(files: DataFileList, scale: Sequence[float] | None) -> list[float]:
    """Give the factor of each image."""
    given = [1.0] * len(files) if scale is None else [float(one) for one in scale]
    if len(given) != len(files) or not all(0 < one < np.inf for one in given):
        msg = (
            f"{len(files)} files need as many positive factors in scale, not "
            f"{list(given)}"
        )
        raise ParameterError(msg)
    return [factor for df, factor in zip(files, given, strict=True) for _ in df]


class _Source:
    """An image that is put onto the grid some rows at a time."""

    def __init__(
        self,
        image: NDLater,
        places: PixelMap,
        factor: float,
        noises: Mapping[int, SharedNoise],
    ) -> None:
        self.image = image
        self.map = places
        self.factor = factor
        self.noises = noises
        self.offset = 0.0

    @property
    def median(self) -> float:
        """The median of the good pixels but for outliers, times the factor."""
        values = np.asarray(self.image.data, np.float64)
        values = values[good_pixels(self.image)]
        # A trail or many stars would move it, and with it all other images.
        values = clip_scatter(values) if values.size else values
        return self.factor * float(np.median(values)) if values.size else 0.0

    def shares(self) -> dict[int, float]:
        """Find which part of the variance of the image each noise is."""
        if not self.noises or not self.image.has("uncertainty"):
            return {}
        rows = middle_rows(self.image)
        read = self._corrected(ImageRows(self.image, "uncertainty")[rows], rows)
        whole = np.asarray(read, np.float64)
        found = {}
        for number, noise in self.noises.items():
            part = self._from_master(rows, noise)
            known = np.isfinite(whole) & (whole > 0)
            share = np.median(part[known] / whole[known]) if known.any() else 0.0
            found[number] = float(np.clip(share, 0, 1))
        return found

    def on_grid(self, start: int, stop: int, no_data: int) -> Placed | None:
        """Resample what lies in some rows of the grid; None if nothing does."""
        x, y = self.map.rows(start, stop)
        ny, nx = self.image.shape
        inside = (x >= 0) & (x <= nx - 1) & (y >= 0) & (y <= ny - 1)
        if not inside.any():
            return None
        rows = slice(int(np.min(y[inside])), min(int(np.max(y[inside])) + 2, ny))
        part = self.image[rows]
        how: dict[str, Any] = {
            "flags": part.flags,
            "area": self.map.area(start, stop),
            "bad_flags": self.image.bad_flags,
            "no_data_flag": no_data,
        }
        data, at_y = np.asarray(part.data), y - rows.start
        found = resample(
            data, x, at_y, variance=self._corrected(part.variance, rows), **how
        )
        deviations = {}
        for number, noise in self.noises.items():
            own = resample(
                data, x, at_y, variance=self._from_master(rows, noise), **how
            )
            assert own.variance is not None
            deviations[number] = np.sqrt(np.nan_to_num(own.variance)) * self.factor
        return Placed(
            x=x,
            y=y,
            data=found.data * self.factor + self.offset,
            variance=None
            if found.variance is None
            else found.variance * self.factor**2,
            flags=found.flags,
            deviations=deviations,
        )

    def _from_master(self, rows: slice, noise: SharedNoise) -> Array:
        """Compute the variance that is from a master in some rows of the image."""
        return self._squared(rows, noise) * float(noise.factor[0]) ** 2

    def _corrected(
        self, variance: npt.NDArray[Any] | None, rows: slice
    ) -> npt.NDArray[Any] | None:
        """Correct variances of some rows, in which a master is more than once."""
        for noise in self.noises.values():
            more = noise.part_of_variance(0) - float(noise.factor[0]) ** 2
            if more and variance is not None:
                left = variance - more * self._squared(rows, noise)
                # What is no variance stays so.
                variance = np.where(variance > 0, np.maximum(left, 0), variance)
        return variance

    def _squared(self, rows: slice, noise: SharedNoise) -> Array:
        """Compute the square of the deviation that a master makes in some rows."""
        deviation = noise.planes[0][rows]
        if noise.is_relative:
            deviation = deviation * (
                np.asarray(ImageRows(self.image, "data")[rows], np.float64)
                + noise.level[0]
            )
        squared: Array = deviation**2
        return squared


@dataclass(frozen=True, kw_only=True)
class _Method:
    """How images are combined once they are on the grid."""

    name: str
    low: float
    high: float
    bad_flags: int
    no_data: int
    doubtful: int

    def combine(self, parts: "_Parts") -> Combined:
        """Combine some rows."""
        return combine(
            parts.data,
            parts.variance,
            parts.flags,
            method=self.name,
            low=self.low,
            high=self.high,
            bad_flags=self.bad_flags,
            no_data_flag=self.no_data,
            doubtful_flag=self.doubtful,
        )


@dataclass(frozen=True)
class _Parts:
    """Some rows of the images that have a part in them."""

    numbers: Sequence[int]
    placed: Sequence[Placed]
    has_variance: bool

    @property
    def data(self) -> list[Array]:
        """The values of each image."""
        return [part.data for part in self.placed]

    @property
    def variance(self) -> list[Any] | None:
        """The variances of each image, if all have one."""
        return [part.variance for part in self.placed] if self.has_variance else None

    @property
    def flags(self) -> list[npt.NDArray[Any]]:
        """The flags of each image."""
        return [part.flags for part in self.placed]


@dataclass
class _Rejected:
    """How many values of each image were good, and how many of these were rejected."""

    good: Array
    lost: Array

    def report(self, names: Sequence[str], levels: Sequence[float]) -> None:
        """Say which share was rejected, and name images that lost much."""
        share = self.lost / np.maximum(self.good, 1)
        worst = int(np.argmax(share))
        qc(
            rejected=float(self.lost.sum() / max(self.good.sum(), 1)),
            most_rejected=float(share[worst]),
            most_rejected_in=names[worst],
        )
        warn_of_rejected(names, share, levels, "scale= or level='median'")


def _combined(
    sources: Sequence[_Source], grid: Grid, *, method: str, low: float, high: float
) -> tuple[NDLater, _Rejected]:
    """Combine images on the grid, some rows at a time."""
    first = sources[0].image
    no_data = first.flag_table.like_own(Flag.NO_DATA) or int(Flag.NO_DATA)
    how = _Method(
        name=method, low=low, high=high, bad_flags=first.bad_flags, no_data=no_data,
        doubtful=first.flag_table.like_own(Flag.BAD),
    )  # fmt: skip
    has_variance = all(source.image.has("uncertainty") for source in sources)
    ny, nx = grid.shape
    kind = np.result_type(*(float_type(source.image.dtype) for source in sources))
    data = np.full(grid.shape, np.nan, kind)
    variance: npt.NDArray[Any] = np.full(grid.shape, np.nan, np.float32)
    flags = widened(np.zeros(grid.shape, FLAGS_DTYPE), no_data)
    flags |= flags.dtype.type(no_data)
    rejected = _Rejected(np.zeros(len(sources)), np.zeros(len(sources)))
    margin = REACH if method == "sigclip" else 0
    step = max(1, _CHUNK // ((_BYTES + _KEPT * len(sources)) * nx))
    for start in range(0, ny, step):
        rows = slice(start, min(ny, start + step))
        around = slice(max(0, start - margin), min(ny, rows.stop + margin))
        parts = _on_grid(sources, around, no_data, has_variance=has_variance)
        if parts is None:
            continue
        inner = slice(start - around.start, rows.stop - around.start)
        result = how.combine(parts)
        if method == "sigclip":
            result = _look_again(result, parts, how, inner, rejected)
        data[rows] = result.data[inner]
        noise = result.variance
        if any(part.deviations for part in parts.placed):
            noise = noise + variance_in_common(parts.placed, result.count)
        noise = narrowed(noise[inner], variance.dtype)
        variance = variance.astype(np.result_type(variance, noise), copy=False)
        variance[rows] = noise
        if flags.dtype < result.flags.dtype:
            flags = flags.astype(result.flags.dtype)
        flags[rows] = result.flags[inner]
    known = has_variance or len(sources) > 1
    stack = NDLater(
        data,
        variance=variance if known else None,
        flags=flags,
        unit=first.unit,
        meta=first.meta.copy(),
    )
    # Pixels of the grid are none of an amplifier.
    for keyword in pixel_keywords(stack.meta):
        stack.meta.remove(keyword, ignore_missing=True, remove_all=True)
    stack.wcs = grid.wcs
    return stack, rejected


def _on_grid(
    sources: Sequence[_Source], rows: slice, no_data: int, *, has_variance: bool
) -> _Parts | None:
    """Resample what lies in some rows of the grid; None if nothing does."""
    found = {
        number: part
        for number, source in enumerate(sources)
        if (part := source.on_grid(rows.start, rows.stop, no_data)) is not None
    }
    if not found:
        return None
    return _Parts([*found], [*found.values()], has_variance)


def _look_again(
    result: Combined, parts: _Parts, how: _Method, inner: slice, rejected: _Rejected
) -> Combined:
    """Reject hits with what surrounds them, and leave the cores of stars alone."""
    data = np.stack(parts.data)
    flags = np.stack([part.astype(result.flags.dtype) for part in parts.flags])
    usable = np.isfinite(data)
    given = None if parts.variance is None else np.stack(parts.variance)
    if given is not None:
        usable &= np.isfinite(given)
    bad = flags.dtype.type(how.bad_flags & int(np.iinfo(flags.dtype).max))
    good = usable & ((flags & bad) == 0)
    good = np.where(good.any(axis=0), good, usable)
    ratio = _ratios(data, given, good)
    # Without variances, what the noise of a value was taken for.
    noise = np.asarray(result.variance, np.float64) * np.maximum(result.count, 1)
    variance = noise * ratio[:, None, None] if given is None else given
    rule = Rejection(kind="noise", low=how.low, high=how.high)
    mean = np.asarray(result.data, np.float64)
    suspect = (result.rejected > 0) | ((result.flags & how.doubtful) != 0)
    found = find_outliers(
        data, variance, good, rule, mean=mean, suspect=suspect, ratio=ratio
    )
    at = found.changed & ~found.doubtful
    used = found.used[:, at]
    level, of_level = mean_of_used(data[:, at], variance[:, at], used)
    factors = [1.0] * 3 + [
        rejected_variance_factor(n, rule, parts.variance is not None)
        for n in range(3, len(data) + 1)
    ]
    result = replace(result, variance=np.asarray(result.variance, np.float64))
    result.data[at] = level
    result.count[at] = used.sum(axis=0)
    result.variance[at] = of_level * np.array(factors)[good[:, at].sum(axis=0)]
    result.flags[at] = union_along(np.where(used, flags[:, at], 0))
    for number, keeps, has in zip(parts.numbers, found.used, good, strict=True):
        rejected.good[number] += has[inner].sum()
        rejected.lost[number] += (has & ~keeps)[inner].sum()
    return result


def _ratios(data: Array, variance: Array | None, good: npt.NDArray[np.bool_]) -> Array:
    """Tell from some of the pixels which images are noisier than others."""
    n = len(data)
    step = max(1, good[0].size // _RATIO_PIXELS)
    of_some = None if variance is None else variance.reshape(n, -1)[:, ::step]
    are_good = good.reshape(n, -1)[:, ::step]
    return frame_ratios(data.reshape(n, -1)[:, ::step], of_some, are_good)


def _covariance_table(
    sources: Sequence[_Source], noises: Sequence[SharedNoise], grid: Grid
) -> Table:
    """Average the covariances of pixels over images, in the middle of the grid."""
    ny, nx = grid.shape
    start = max(0, (ny - _SAMPLE) // 2)
    left = max(0, (nx - _SAMPLE) // 2)
    columns = slice(left, left + _SAMPLE)
    places = []
    for source in sources:
        x, y = source.map.rows(start, min(ny, start + _SAMPLE))
        places.append((x[:, columns], y[:, columns]))
    total = covariances(places, noises, [source.shares() for source in sources])
    lags = sorted(total, key=lambda lag: (lag[1], lag[0]))
    return Table(
        {
            "dx": np.array([lag[0] for lag in lags], np.int16),
            "dy": np.array([lag[1] for lag in lags], np.int16),
            "covariance": np.array([total[lag] for lag in lags]),
        }
    )
