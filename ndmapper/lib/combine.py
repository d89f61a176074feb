"""Combining frames, extension by extension; a combined bias is nothing else."""

import logging
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from ndmapper.calibrations.copies import distinct_exposures
from ndmapper.data import DataFile, DataFileList, Flag, NDLater
from ndmapper.data.detector import amplifier_card, amplifier_numbers
from ndmapper.engines.quality import qc
from ndmapper.errors import IdentError, ParameterError, ShapeError, UnitError
from ndmapper.io.spool import Spool
from ndmapper.lib.alike import check_alike
from ndmapper.lib.figures import report_master
from ndmapper.lib.frame_factors import (
    Given,
    level_differences,
    offsets,
    scales,
    weights_of,
)
from ndmapper.lib.shared_masters import (
    ImageRows,
    Shared,
    SharedMasters,
    write_names,
)
from ndmapper.numerics.clipping import RejectionKind
from ndmapper.numerics.combine import Combined, CombineMethod
from ndmapper.numerics.combine import combine as combine_arrays
from ndmapper.numerics.formulas import float_type, narrowed
from ndmapper.numerics.shared_noise import SharedNoise
from ndmapper.parallel.cores import count_threads
from ndmapper.steps import Range, run_task

__all__ = [
    "MANY_REJECTED",
    "check_frames",
    "combine",
    "combine_files",
    "combine_ndds",
    "make_bias",
    "warn_of_rejected",
]

log = logging.getLogger(__name__)

MANY_REJECTED = 0.05
"""A frame that loses a larger share of its pixels does not belong to the others."""

_ALL_THE_WEIGHT = 0.9999
"""A frame with a larger share of the weights is not averaged with others."""

_LEVEL_TOLERANCE = 0.5
"""Levels of biases differ by less, in units of the noise of a pixel."""


@run_task(each="list", outputs="combined", suffix="_comb", options={"revision": 4})
def combine(
    files: DataFileList,
    *,
    method: CombineMethod = "sigclip",
    reject: RejectionKind | None = None,
    low: Annotated[float, Range(gt=0)] = 4.0,
    high: Annotated[float, Range(gt=0)] = 4.0,
    nlow: Annotated[int, Range(ge=0)] = 1,
    nhigh: Annotated[int, Range(ge=0)] = 1,
    scale: str | Sequence[float] | None = None,
    zero: str | Sequence[float] | None = None,
    weights: str | Sequence[float] | None = None,
    section: str | None = None,
    mixed: str | Sequence[str] = (),
    shared: Shared = "record",
    maps: bool = False,
) -> list[NDLater]:
    """
    Combine aligned frames: ``combine(files, combined='name of the product.fits')``.

    Parameters
    ----------
    files : DataFileList
        The frames.
    method : {'mean', 'median', 'sum', 'weighted', 'sigclip'}
        How they are combined. ``'sum'`` is that of all frames: where a value was
        rejected, the mean of the others stands for it. ``'weighted'`` is a mean with
        `weights`. ``'sigclip'``, the default, is a mean with the rejection ``'noise'``.
    reject : {'none', 'minmax', 'sigclip', 'avsigclip', 'percentile', 'noise'}, optional
        What is left out at each pixel: the `nlow` lowest and `nhigh` highest values;
        values beyond the limits about the median, in units of the scatter of the pixel
        (``'sigclip'``), of the scatter of its row (``'avsigclip'``), or of half the
        distance of its percentiles 16 and 84; or values that do not agree with the mean
        of all within the noise that is expected at that level (``'noise'``), which
        works from three frames on. By default nothing is left out, but for the method
        ``'sigclip'``.
    low, high : float
        Limits of the clipping, below and above [standard deviations].
    nlow, nhigh : int
        How many values ``'minmax'`` leaves out.
    scale : str or sequence of float, optional
        What each frame is multiplied by: a number for each; ``'mean'`` or ``'median'``,
        which bring all to that of the first; or the name of a keyword, such as
        ``'EXPTIME'``, by whose value they are divided.
    zero : str or sequence of float, optional
        What is added to each frame after it was scaled, likewise: ``'mean'`` and
        ``'median'`` bring each extension to the level of the first frame.
    weights : str or sequence of float, optional
        Weights of the mean: a number for each frame, its ``'mean'`` or ``'median'``, or
        a keyword. The method ``'weighted'`` by itself takes the inverse of the typical
        variance of each frame. They are never made of a pixel's own counts.
    section : str, optional
        Where ``'mean'`` and ``'median'`` are taken, as ``'[x1:x2,y1:y2]'``.
    mixed : str or sequence of str
        In what the frames may differ, by the names of descriptors: ``'binning'``,
        ``'exptime'``, ``'filter'``, ``'filters'``, ``'gain_setting'``, ``'read_mode'``,
        ``'read_speed'``. Otherwise frames whose headers say that they were not taken
        alike are refused; exposure times may differ under `scale`.
    shared : {'record', 'none'} or sequence
        Which masters (bias, dark, flat) the frames were all calibrated by, whose noise
        does not average down: those in their records, none, or these files.
    maps : bool
        Keep how many values were used and rejected at each pixel, as extras COUNT and
        REJECTED of each extension.

    Returns
    -------
    list of NDLater
        The combined extensions. Where a frame has no variance, the noise comes from the
        scatter between the frames, pooled over the pixels of a level. Where at least
        half of the values of a pixel were rejected, or its last two disagree, it is
        flagged BAD, and is the median of all, with the variance of their scatter.
        Masters whose noise the frames share are named by the cards SHARED1, ... of the
        header.
    """
    return combine_files(
        files,
        method=method,
        reject=reject,
        low=low,
        high=high,
        nlow=nlow,
        nhigh=nhigh,
        scale=scale,
        zero=zero,
        weights=weights,
        section=section,
        mixed=mixed,
        shared=shared,
        maps=maps,
    )


@run_task(each="list", outputs="bias", suffix="_bias", options={"revision": 3})
def make_bias(
    files: DataFileList,
    *,
    method: Literal["mean", "median", "sigclip"] = "sigclip",
    low: Annotated[float, Range(gt=0)] = 4.0,
    high: Annotated[float, Range(gt=0)] = 4.0,
    zero: Literal["mean", "median"] | None = None,
    mixed: str | Sequence[str] = (),
) -> list[NDLater]:
    """
    Combine bias frames: ``make_bias(files, bias='name of the product.fits')``.

    Parameters
    ----------
    files : DataFileList
        Bias frames without overscan, trimmed; with variance, clipping works for few
        frames too.
    method : {'mean', 'median', 'sigclip'}
        How they are combined; clipping takes cosmic rays out.
    low, high : float
        Limits of the clipping [standard deviations].
    zero : {'mean', 'median'}, optional
        Bring all frames to their mean level first, as this statistic tells it. Without
        it, frames whose levels differ by more than half of the noise of a pixel are
        refused.
    mixed : str or sequence of str
        In what the frames may differ, as for `combine`.

    Returns
    -------
    list of NDLater
        The combined bias, with its variance, of which the scatter of the levels is a
        part.
    """
    made = combine_files(
        files, method=method, low=low, high=high, zero=zero, mixed=mixed, one_level=True
    )
    report_master(made, "bias")
    return made


def combine_files(
    files: Sequence[DataFile],
    *,
    scale: Given = None,
    zero: Given = None,
    weights: Given = None,
    section: str | None = None,
    mixed: str | Sequence[str] = (),
    shared: Shared = "record",
    one_level: bool = False,
    **options: Any,
) -> list[NDLater]:
    """
    Combine files extension by extension, paired by ident.

    Parameters
    ----------
    files : sequence of DataFile
        The files.
    scale, zero, weights : str or sequence of float, optional
        As for `combine`.
    section : str, optional
        Where statistics are taken.
    mixed : str or sequence of str
        In what the files may differ.
    shared : {'record', 'none'} or sequence
        As for `combine`.
    one_level : bool
        Whether all frames are of one level, as biases are: if not, they are refused
        or brought to their mean level by `zero`.
    **options : object
        As for `combine_ndds`.

    Returns
    -------
    list of NDLater
        One for each extension.

    Raises
    ------
    IdentError
        If the files do not have the same extensions.
    ParameterError
        If there are none, or their headers say that they were not taken alike.
    """
    if not files:
        msg = "there are no files to combine"
        raise ParameterError(msg)
    kept = distinct_exposures(files)
    scale, zero, weights = (
        given
        if given is None or isinstance(given, str) or len(given) != len(files)
        else [given[position] for position in kept]
        for given in (scale, zero, weights)
    )
    files = [files[position] for position in kept]
    mixed = (mixed,) if isinstance(mixed, str) else mixed
    check_alike(files, mixed=mixed, is_scaled=scale is not None)
    check_frames(files)
    names = [str(df.filename or f"file {n + 1}") for n, df in enumerate(files)]
    factors = scales(files, scale, section)
    numbers = weights_of(files, weights, section)
    masters = SharedMasters(files, shared)
    combined = []
    for ident in files[0].idents:
        ndds = [df[df.idents.index(ident)] for df in files]
        added = offsets(files, ndds, zero, section, factors)
        error = 0.0
        if one_level:
            added, error = _to_one_level(ndds, names, added)
        made = combine_ndds(
            ndds,
            names=names,
            scale=factors,
            zero=added,
            weights=numbers,
            shared=masters.noises(ndds),
            **options,
        )
        write_names(made.meta, masters.names)
        _combine_level_errors(made, ndds, factors, numbers)
        if made.variance is not None and error:
            made.variance = made.variance + error
        combined.append(made)
    return combined


def _combine_level_errors(
    made: NDLater,
    ndds: Sequence[NDLater],
    scale: Sequence[float] | None,
    weights: Sequence[float] | None,
) -> None:
    """Write the errors of the mean levels of some frames, and of their biases."""
    factors = np.ones(len(ndds)) if scale is None else np.asarray(scale)
    share = np.ones(len(ndds)) if weights is None else np.asarray(weights)
    # Frames have one bias, the error of which is the same in all of them.
    for stem, power in (("OVSCERR", 2), ("BIASERR", 1)):
        for number in amplifier_numbers(made.meta):
            card = amplifier_card(stem, number)
            errors = [ndd.meta.get(card) for ndd in ndds]
            if all(isinstance(error, int | float) for error in errors):
                parts = share / share.sum() * factors * np.array(errors, float)
                mean = float(np.sum(parts**power)) ** (1 / power)
                made.meta[card] = round(mean, 5)


def combine_ndds(
    ndds: Sequence[NDLater],
    *,
    method: str = "sigclip",
    reject: RejectionKind | None = None,
    low: float = 4.0,
    high: float = 4.0,
    nlow: int = 1,
    nhigh: int = 1,
    scale: Sequence[float] | None = None,
    zero: Sequence[float] | None = None,
    weights: Sequence[float] | None = None,
    shared: Sequence[SharedNoise] = (),
    maps: bool = False,
    names: Sequence[str] | None = None,
) -> NDLater:
    """
    Combine images, a few rows of each in memory at a time.

    Parameters
    ----------
    ndds : sequence of NDLater
        The images.
    method, reject : str
        As for `combine`.
    low, high : float
        Limits of the clipping [standard deviations].
    nlow, nhigh : int
        How many values ``'minmax'`` leaves out.
    scale, zero, weights : sequence of float, optional
        Each image is multiplied by its scale, then its zero is added; weights are those
        of the mean.
    shared : sequence of SharedNoise
        The noise that the images share, which is part of their variances.
    maps : bool
        Keep how many values were used and rejected, as for `combine`.
    names : sequence of str, optional
        What they are called, for errors.

    Returns
    -------
    NDLater
        The combined image, with the header of the first one, as wide as the widest.
        Where all images have a variance, its variance follows from theirs, else from
        the scatter between them.

    Raises
    ------
    ParameterError
        If there are none, a scale or weight is not positive, a method that rejects by
        itself is given another rejection, 'minmax' would leave nothing, or the variance
        of a frame is so small that a weighted mean would be that frame alone.
    ShapeError, UnitError
        If shapes or units differ.
    """
    names = names or [f"image {n + 1}" for n in range(len(ndds))]
    _check_images(ndds, names)
    _check_words(method, reject, names, scale, weights)
    if reject == "minmax" and nlow + nhigh >= len(ndds):
        msg = (
            f"of {len(ndds)} frames nothing is left without the {nlow} lowest and "
            f"{nhigh} highest values; give smaller nlow and nhigh"
        )
        raise ParameterError(msg)
    _warn_of_short(reject, len(ndds), max(low, high))
    first = ndds[0]
    has_variance = all(ndd.has("uncertainty") for ndd in ndds)
    spool = Spool()
    result = combine_arrays(
        [ImageRows(ndd, "data", spool) for ndd in ndds],
        [ImageRows(ndd, "uncertainty", spool) for ndd in ndds]
        if has_variance
        else None,
        [ImageRows(ndd, "flags", spool) if ndd.has("flags") else None for ndd in ndds],
        method=method,
        reject=reject,
        low=low,
        high=high,
        nlow=nlow,
        nhigh=nhigh,
        scale=scale,
        zero=zero,
        weights=weights,
        shared=shared,
        bad_flags=first.bad_flags,
        no_data_flag=first.flag_table.like_own(Flag.NO_DATA),
        doubtful_flag=first.flag_table.like_own(Flag.BAD),
        threads=count_threads(),
    )
    if method == "weighted" and weights is None:
        _check_weights(result.weights, names)
    _report(result, names, first.ident, is_chosen=reject == "minmax")
    known = has_variance or len(ndds) > 1
    kind = np.result_type(*(float_type(ndd.dtype) for ndd in ndds))
    combined = first.replace(
        data=narrowed(result.data, kind),
        variance=narrowed(result.variance, kind) if known else None,
        flags=result.flags,
    )
    combined.meta["NCOMBINE"] = (len(ndds), "number of frames combined")
    if maps:
        combined.extras["COUNT"] = NDLater(result.count)
        combined.extras["REJECTED"] = NDLater(result.rejected)
    return combined


def check_frames(files: Sequence[DataFile]) -> None:
    """
    Refuse files that do not have the same extensions, of one shape and unit.

    Parameters
    ----------
    files : sequence of DataFile
        The files, at least one.

    Raises
    ------
    IdentError, ShapeError, UnitError
        If extensions, shapes or units differ.
    ParameterError
        If there are no images.
    """
    first = files[0]
    for df in files[1:]:
        if sorted(map(str, df.idents)) != sorted(map(str, first.idents)):
            msg = (
                f"{df} has the extensions {list(df.idents)}, but {first} has "
                f"{list(first.idents)}; combine files with the same extensions"
            )
            raise IdentError(msg)
    names = [str(df.filename or f"file {n}") for n, df in enumerate(files, start=1)]
    if not len(first):
        msg = f"{names[0]} holds no image, but only a header; leave it out"
        raise ParameterError(msg)
    for ident in first.idents:
        _check_images([df[df.idents.index(ident)] for df in files], names)


def _check_images(ndds: Sequence[NDLater], names: Sequence[str]) -> None:
    if not ndds:
        msg = "there are no images to combine"
        raise ParameterError(msg)
    first = ndds[0]
    for name, ndd in zip(names, ndds, strict=True):
        if ndd.shape != first.shape:
            msg = (
                f"{name} has shape {ndd.shape}, but {names[0]} has {first.shape}; "
                "leave it out, or bring the images to one shape first"
            )
            raise ShapeError(msg)
        if ndd.unit != first.unit:
            msg = f"{name} is in {ndd.unit}, but {names[0]} in {first.unit}"
            raise UnitError(msg)


def _check_words(
    method: str,
    reject: str | None,
    names: Sequence[str],
    scale: Sequence[float] | None,
    weights: Sequence[float] | None,
) -> None:
    if method == "sigclip" and reject not in (None, "noise"):
        msg = (
            f"method 'sigclip' rejects by the noise, not by reject={reject!r}; give "
            "method='mean' with it"
        )
        raise ParameterError(msg)
    if weights is not None and method == "median":
        msg = "a median has no weights; give method='weighted', or no weights"
        raise ParameterError(msg)
    for what, given in (("scale", scale), ("weight", weights)):
        for name, number in zip(names, given or (), strict=False):
            if not 0 < number < np.inf:
                msg = (
                    f"{name} has the {what} {number}, which must be positive and finite"
                )
                raise ParameterError(msg)


def _warn_of_short(reject: str | None, n: int, limit: float) -> None:
    """Say where a rejection by the scatter of so few values can reject nothing."""
    furthest = np.inf  # of one value, in the widths that limits are in units of
    if reject == "sigclip":
        furthest = np.sqrt(n - 1)
    elif reject == "percentile":
        # Percentile 84 lies so far between the second largest value and the largest.
        part = 1 - 0.1587 * (n - 1)
        furthest = 2 / part if part > 0 else np.inf
    if n > 1 and furthest <= limit:
        log.warning(
            "reject=%r leaves nothing out of %d frames: no value can be further than "
            "%.3g widths from the others, and the limit is %g; give reject='noise', or "
            "smaller limits",
            reject, n, furthest, limit,
        )  # fmt: skip


def _check_weights(weights: npt.NDArray[np.float64], names: Sequence[str]) -> None:
    """Refuse a mean of one frame, whose variance says that it has hardly any noise."""
    heaviest = int(np.argmax(weights))
    if len(names) > 1 and weights[heaviest] > _ALL_THE_WEIGHT:
        msg = (
            f"the variance of {names[heaviest]} is so small, or zero, that its weight "
            f"would be {weights[heaviest]:.6f} of all: a weighted mean would be that "
            "frame alone. Give it its noise (add_variance), give weights= as one "
            "number for each frame, or leave it out"
        )
        raise ParameterError(msg)


def _to_one_level(
    ndds: Sequence[NDLater], names: Sequence[str], added: list[float] | None
) -> tuple[list[float] | None, float]:
    """Bring biases to their mean level, or refuse them; give its variance."""
    if len(ndds) < 2:
        return None, 0.0
    if added is not None:
        mean = float(np.mean(added))
        return [number - mean for number in added], float(np.var(added, ddof=1)) / len(
            added
        )
    levels, noise = level_differences(ndds)
    deviation = levels - np.median(levels)
    worst = int(np.argmax(np.abs(deviation)))
    # Frames without any noise are made up, and say nothing of a camera.
    if noise > 0 and abs(deviation[worst]) > _LEVEL_TOLERANCE * noise:
        msg = (
            f"the level of {names[worst]} differs by {deviation[worst]:.4g} from that "
            f"of the other frames, more than {_LEVEL_TOLERANCE:g} times the noise of a "
            f"pixel ({noise:.3g}), so that its pixels would be rejected; subtract the "
            "overscan first, leave it out, or give zero='median'"
        )
        raise ParameterError(msg)
    return None, float(np.var(levels, ddof=1)) / len(levels)


def _report(
    result: Combined, names: Sequence[str], ident: Any, *, is_chosen: bool
) -> None:
    """Say what was rejected, and name frames that lost much."""
    share = float(result.rejected_share.mean())
    where = "" if ident is None else f"[{ident}]"
    qc(**{f"rejected{where}": share})
    log.info(
        "extension %s: %.3g %% of the values of %d frames were rejected",
        ident, 100 * share, len(names),
    )  # fmt: skip
    if not is_chosen:
        warn_of_rejected(
            [f"{name}{where}" for name in names], result.rejected_share, result.levels,
            "scale= or zero=",
        )  # fmt: skip


def warn_of_rejected(
    names: Sequence[str], shares: npt.ArrayLike, levels: npt.ArrayLike, options: str
) -> None:
    """
    Name frames that lost many of their pixels, their levels, and what would help.

    Parameters
    ----------
    names : sequence of str
        The frames.
    shares : array_like, shape (n,)
        Which share of its pixels each has lost.
    levels : array_like, shape (n,)
        The level of each.
    options : str
        The parameters that bring frames to one level.
    """
    found = np.asarray(levels, np.float64)
    known = found[np.isfinite(found)]
    typical = float(np.median(known)) if known.size else np.nan
    for name, lost, level in zip(names, np.asarray(shares), found, strict=True):
        if lost > MANY_REJECTED:
            log.warning(
                "%s: %.0f %% of the pixels were rejected; its level is %.5g, that of "
                "the others about %.5g: leave it out, or bring the frames to one level "
                "by %s",
                name, 100 * lost, level, typical, options,
            )  # fmt: skip
