"""Combining frames, extension by extension; a combined bias is nothing else."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from ndmapper.calibrations.copies import distinct_exposures
from ndmapper.data import DataFile, DataFileList, Flag, NDLater
from ndmapper.errors import IdentError, ParameterError, ShapeError, UnitError
from ndmapper.lib.alike import check_alike
from ndmapper.numerics.combine import combine as combine_arrays
from ndmapper.numerics.formulas import float_type, narrowed
from ndmapper.steps import Range, run_task

__all__ = ["combine", "combine_files", "combine_ndds", "make_bias"]


@run_task(each="list", outputs="combined", suffix="_comb")
def combine(
    files: DataFileList,
    *,
    method: Literal["mean", "median", "sigclip"] = "sigclip",
    low: Annotated[float, Range(gt=0)] = 4.0,
    high: Annotated[float, Range(gt=0)] = 4.0,
    scale: Sequence[float] | None = None,
    mixed: str | Sequence[str] = (),
) -> list[NDLater]:
    """
    Combine aligned frames: ``combine(files, combined='name of the product.fits')``.

    Parameters
    ----------
    files : DataFileList
        The frames.
    method : {'mean', 'median', 'sigclip'}
        How they are combined.
    low, high : float
        Limits of the clipping [standard deviations].
    scale : sequence of float, optional
        Each frame is multiplied by its number first, which is positive.
    mixed : str or sequence of str
        In what the frames may differ, by the names of `ndmapper.lib.alike.SETUP`:
        ``'filter'``, ``'exptime'`` and so on. Otherwise frames whose headers say that
        they were not taken alike are refused; exposure times may differ under `scale`.

    Returns
    -------
    list of NDLater
        The combined extensions.
    """
    return combine_files(
        files, method=method, low=low, high=high, scale=scale, mixed=mixed
    )


@run_task(each="list", outputs="bias", suffix="_bias")
def make_bias(
    files: DataFileList,
    *,
    method: Literal["mean", "median", "sigclip"] = "sigclip",
    low: Annotated[float, Range(gt=0)] = 4.0,
    high: Annotated[float, Range(gt=0)] = 4.0,
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

    Returns
    -------
    list of NDLater
        The combined bias, with its variance.
    """
    return combine_files(files, method=method, low=low, high=high)


def combine_files(
    files: Sequence[DataFile], *, mixed: str | Sequence[str] = (), **options: Any
) -> list[NDLater]:
    """
    Combine files extension by extension, paired by ident.

    Parameters
    ----------
    files : sequence of DataFile
        The files.
    mixed : str or sequence of str
        In what they may differ, as for `combine`.
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
    scale = options.get("scale")
    if scale is not None and len(scale) == len(files):
        options["scale"] = [scale[position] for position in kept]
    files = [files[position] for position in kept]
    first = files[0]
    mixed = (mixed,) if isinstance(mixed, str) else mixed
    check_alike(files, mixed=mixed, is_scaled=scale is not None)
    for df in files[1:]:
        if sorted(map(str, df.idents)) != sorted(map(str, first.idents)):
            msg = (
                f"{df} has the extensions {list(df.idents)}, but {first} has "
                f"{list(first.idents)}; combine files with the same extensions"
            )
            raise IdentError(msg)
    names = [str(df.filename or f"file {n + 1}") for n, df in enumerate(files)]
    return [
        combine_ndds(
            [df[df.idents.index(ident)] for df in files], names=names, **options
        )
        for ident in first.idents
    ]


def combine_ndds(
    ndds: Sequence[NDLater],
    *,
    method: str = "sigclip",
    low: float = 4.0,
    high: float = 4.0,
    scale: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
) -> NDLater:
    """
    Combine images, a few rows of each in memory at a time.

    Parameters
    ----------
    ndds : sequence of NDLater
        The images.
    method : str
        ``'mean'``, ``'median'`` or ``'sigclip'``.
    low, high : float
        Limits of the clipping [standard deviations].
    scale : sequence of float, optional
        Each image is multiplied by its number first.
    names : sequence of str, optional
        What they are called, for errors.

    Returns
    -------
    NDLater
        The combined image, with the header of the first one. Where all images have a
        variance, its variance follows from theirs, else from their scatter.

    Raises
    ------
    ParameterError
        If there are none, or a scale is not positive.
    ShapeError, UnitError
        If shapes or units differ.
    """
    if not ndds:
        msg = "there are no images to combine"
        raise ParameterError(msg)
    first = ndds[0]
    names = names or [f"image {n + 1}" for n in range(len(ndds))]
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
    for name, factor in zip(names, scale or (), strict=False):
        if not 0 < factor < math.inf:
            msg = f"{name} has the scale {factor}, which must be positive and finite"
            raise ParameterError(msg)
    has_variance = all(ndd.has("uncertainty") for ndd in ndds)
    result = combine_arrays(
        [_Rows(ndd, "data") for ndd in ndds],
        [_Rows(ndd, "variance") for ndd in ndds] if has_variance else None,
        [_Rows(ndd, "flags") if ndd.has("flags") else None for ndd in ndds],
        method=method,
        scale=scale,
        low=low,
        high=high,
        bad_flags=first.bad_flags,
        no_data_flag=first.flag_table.like_own(Flag.NO_DATA),
    )
    known = has_variance or len(ndds) > 1
    kind = np.result_type(*(float_type(ndd.dtype) for ndd in ndds))
    combined = first.replace(
        data=result.data.astype(kind),
        variance=narrowed(result.variance, kind) if known else None,
        flags=result.flags,
    )
    combined.meta["NCOMBINE"] = (len(ndds), "number of frames combined")
    return combined


class _Rows:
    """One part of an image, read by rows."""

    def __init__(self, ndd: NDLater, part: str) -> None:
        self._ndd, self._part = ndd, part
        self.shape = ndd.shape

    def __getitem__(self, rows: slice) -> npt.NDArray[Any]:
        return np.asarray(getattr(self._ndd[rows], self._part))
