"""Stacking images on a common grid of the sky."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from ndmapper.calibrations.copies import distinct_exposures
from ndmapper.data import DataFileList, Flag, NDLater
from ndmapper.data.flags import FLAGS_DTYPE, widened
from ndmapper.errors import ParameterError, UnitError
from ndmapper.lib.alike import check_alike
from ndmapper.lib.combine import MANY_REJECTED, warn_of_rejected
from ndmapper.lib.flagging import good_pixels
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
from ndmapper.numerics.combine import combine
from ndmapper.numerics.formulas import float_type, narrowed
from ndmapper.numerics.resample import resample, sum_variance_factor
from ndmapper.numerics.shared_noise import SharedNoise
from ndmapper.numerics.statistics import clip_scatter
from ndmapper.steps import Range, qc, run_task

__all__ = ["COVARIANCE", "noise_factor", "stack_images"]

Array = npt.NDArray[np.float64]

COVARIANCE = "COVARIANCE"
"""Name of the table of covariances of neighbours."""

_CHUNK = 1 << 26
"""Rows are stacked together up to about so many bytes."""

_BYTES = 200
"""Bytes that a pixel of an image takes while it is resampled."""

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
        How they are combined, after they were put onto the grid.
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
    _report(sources, names, rejected)
    table = _covariance_table(sources, noises, grid)
    stack.tables[COVARIANCE] = table
    write_names(stack.meta, masters.names)
    stack.meta["NCOMBINE"] = (len(images), "number of images stacked")
    qc(images=len(images), noise_factor_of_5x5=round(noise_factor(table, 5), 4))
    return stack


def noise_factor(table: Table, size: int) -> float:
    """
    Compute how much larger the variance of a sum is than the sum of variances.

    Parameters
    ----------
    table : Table
        The table COVARIANCE of a stack.
    size : int
        The sum is over so many pixels along each side of a square.

    Returns
    -------
    float
        What the sum of the variances of its pixels is to be multiplied by.
    """
    found = {
        (int(row["dx"]), int(row["dy"])): float(row["covariance"]) for row in table
    }
    return sum_variance_factor(found, size)


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
        if not self.noises:
            return {}
        rows = middle_rows(self.image)
        whole = np.asarray(ImageRows(self.image, "uncertainty")[rows], np.float64)
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
        found = resample(data, x, at_y, variance=part.variance, **how)
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
        deviation = noise.planes[0][rows] * noise.factor[0]
        if noise.is_relative:
            deviation = deviation * (
                np.asarray(ImageRows(self.image, "data")[rows], np.float64)
                + noise.level[0]
            )
        variance: Array = deviation**2
        return variance


def _combined(
    sources: Sequence[_Source], grid: Grid, *, method: str, low: float, high: float
) -> tuple[NDLater, Array]:
    """Combine images on the grid, some rows at a time; say what share each lost."""
    first = sources[0].image
    no_data = first.flag_table.like_own(Flag.NO_DATA) or int(Flag.NO_DATA)
    has_variance = all(source.image.has("uncertainty") for source in sources)
    ny, nx = grid.shape
    kind = np.result_type(*(float_type(source.image.dtype) for source in sources))
    data = np.full(grid.shape, np.nan, kind)
    variance: npt.NDArray[Any] = np.full(grid.shape, np.nan, np.float32)
    flags = widened(np.zeros(grid.shape, FLAGS_DTYPE), no_data)
    flags |= flags.dtype.type(no_data)
    lost, covered = np.zeros((2, len(sources)))
    step = max(1, _CHUNK // (_BYTES * nx * len(sources)))
    for start in range(0, ny, step):
        stop = min(ny, start + step)
        placed = [source.on_grid(start, stop, no_data) for source in sources]
        found = [part for part in placed if part is not None]
        if not found:
            continue
        result = combine(
            [part.data for part in found],
            [part.variance for part in found] if has_variance else None,
            [part.flags for part in found],
            method=method,
            low=low,
            high=high,
            bad_flags=first.bad_flags,
            no_data_flag=no_data,
            # No flag where images disagree, as cores of bright stars may, once they
            # are interpolated: the variance is that of the scatter.
        )
        rows = slice(start, stop)
        data[rows] = result.data
        which = [n for n, part in enumerate(placed) if part is not None]
        pixels = np.array([np.isfinite(part.data).sum() for part in found])
        covered[which] += pixels
        lost[which] += pixels * result.rejected_share
        noise = result.variance
        if any(part.deviations for part in found):
            noise = noise + variance_in_common(found, result.count)
        noise = narrowed(noise, variance.dtype)
        variance = variance.astype(np.result_type(variance, noise), copy=False)
        variance[rows] = noise
        if flags.dtype < result.flags.dtype:
            flags = flags.astype(result.flags.dtype)
        flags[rows] = result.flags
    known = has_variance or len(sources) > 1
    meta = first.meta.copy()
    stack = NDLater(
        data,
        variance=variance if known else None,
        flags=flags,
        unit=first.unit,
        meta=meta,
    )
    stack.wcs = grid.wcs
    return stack, lost / np.maximum(covered, 1)


def _report(sources: Sequence[_Source], names: Sequence[str], rejected: Array) -> None:
    """Say what was rejected, and name images that lost much."""
    qc(rejected=float(rejected.mean()))
    if (rejected > MANY_REJECTED).any():
        warn_of_rejected(
            names, rejected, [source.median + source.offset for source in sources],
            "scale= or level='median'",
        )  # fmt: skip


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
