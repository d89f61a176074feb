"""Finding the bad pixels of a detector, and interpolating over flagged ones."""

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from ndmapper.data import DataFile, DataFileList, Flag, NDLater
from ndmapper.data.flags import FLAGS_DTYPE
from ndmapper.errors import InstrumentError, ParameterError, ShapeError
from ndmapper.lib.ccd.readout import image_of, readouts
from ndmapper.lib.figures import image_panel, report_panels
from ndmapper.lib.flagging import good_pixels, with_interpolated
from ndmapper.numerics.bad_pixels import find_bad_pixels
from ndmapper.numerics.formulas import narrowed
from ndmapper.numerics.line_interpolation import Along, interpolate_lines
from ndmapper.steps import InstrumentTable, OfInstrument, Range, qc, run_task

__all__ = ["interpolate_flagged", "make_bad_pixel_mask"]

_MUCH = 0.1
"""A mask that has more of the pixels than this is of no detector that is in use."""


@run_task(each="list", outputs="bpm", suffix="_bpm")
def make_bad_pixel_mask(
    files: DataFileList,
    *,
    low: Annotated[float, Range(ge=3)] = 6.0,
    high: Annotated[float, Range(ge=3)] = 6.0,
    width: Annotated[int, Range(ge=3, le=1001)] = 7,
    gap: Annotated[int, Range(ge=0)] = 5,
    columns_along: Annotated[Literal["x", "y"] | None, OfInstrument()] = None,
    instrument: InstrumentTable = None,
) -> list[NDLater]:
    """
    Find bad pixels and columns in flats: ``make_bad_pixel_mask(files, bpm='name')``.

    Parameters
    ----------
    files : DataFileList
        A flat, or two of different levels, without overscan and bias, of which the
        ratio is taken. What all flats have in common is not in the ratio, so that only
        those pixels are found that flat fields do not correct, such as traps. Combine
        several flats of each level before.
    low, high : float
        Limits below and above the pixels around [standard deviations].
    width : int
        Columns of the running median from which deviations are measured; at least
        twice as wide as the widest defect.
    gap : int
        Fewer good pixels than this between two bad ones of a column are bad, too.
    columns_along : {'x', 'y'}, optional
        Axis of the image along which charge is moved at readout, and bad columns run;
        by default what the TOML of the instrument says under
        ``[steps.make_bad_pixel_mask]``, else ``'y'``.
    instrument : str or path, optional
        Name of the instrument or path of its TOML; by default that of the
        configuration, else the header tells.

    Returns
    -------
    list of NDLater
        The flag bits, 1 (BAD) or 0, as the data of each extension, for `add_bpm`.
        Pixels that are flagged in a flat are left out of the search, and 0.

    Raises
    ------
    ParameterError
        If there are not one or two flats, or they have no light.
    ShapeError
        If two flats differ in their extensions.

    Notes
    -----
    The method is that of IRAF's ccdmask, amplifier by amplifier: residuals from a
    running median, by their local robust standard deviation, of pixels and of sums
    along the columns. At the default limits less than one pixel in a million is called
    bad that is not.
    """
    if len(files) not in (1, 2):
        msg = (
            f"bad pixels are found in one flat, or in two of different levels, not in "
            f"{len(files)}; combine those of each level before"
        )
        raise ParameterError(msg)
    masks = []
    for index, ndd in enumerate(files[0]):
        first = image_of(ndd)
        images = [first]
        if len(files) == 2:
            images.append(image_of(_partner(files, first, index)))
        flat, good = _flat(images)
        bad = np.zeros(first.shape, np.bool_)
        for part in _parts(first, instrument):
            try:
                bad[part] = find_bad_pixels(
                    flat[part],
                    left_out=~good[part],
                    low=low,
                    high=high,
                    width=width,
                    gap=gap,
                    axis=1 if columns_along == "x" else 0,
                )
            except ValueError as err:
                msg = f"{files[0]}: {err}"
                raise ParameterError(msg) from err
        _report(first, flat, bad)
        bits = np.where(bad, int(Flag.BAD), 0).astype(FLAGS_DTYPE)
        masks.append(first.replace(data=bits, variance=None, flags=None, unit=None))
    return masks


def _partner(files: DataFileList, first: NDLater, index: int) -> NDLater:
    second: DataFile = files[1]
    known = first.ident in second.idents
    if not known and index >= len(second):
        msg = f"{second} has no extension {first.ident}, which {files[0]} has"
        raise ShapeError(msg)
    found: NDLater = second[second.idents.index(first.ident) if known else index]
    if found.shape != first.shape:
        msg = f"the flats have the shapes {first.shape} and {found.shape}"
        raise ShapeError(msg)
    return found


def _flat(
    images: list[NDLater],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Give a flat, or the ratio of two, and which pixels are not flagged."""
    values = [np.asarray(image.data, np.float64) for image in images]
    masks = [image.mask for image in images]
    good = np.ones(values[0].shape, np.bool_)
    for mask in masks:
        if mask is not None:
            good &= ~np.asarray(mask)
    if len(values) == 1:
        return values[0], good
    light = values[1] > 0
    ratio = np.divide(values[0], values[1], out=np.full_like(values[0], np.nan),
                      where=light)  # fmt: skip
    return ratio, good


def _parts(ndd: NDLater, instrument: InstrumentTable) -> list[tuple[slice, ...]]:
    """List the parts of an image that are searched by themselves."""
    try:
        return [readout.data for readout in readouts(ndd, instrument=instrument)]
    except InstrumentError:
        if instrument is not None:
            raise
        return [(slice(None), slice(None))]


def _report(
    ndd: NDLater, flat: npt.NDArray[np.float64], bad: npt.NDArray[np.bool_]
) -> None:
    where = "" if ndd.ident is None else f"[{ndd.ident}]"
    share = float(bad.mean())
    qc(**{f"bad_pixels{where}": int(bad.sum()), f"bad_share{where}": share})
    report_panels([image_panel(flat, "flat, bad pixels marked", {"bad": bad})])
    if share > _MUCH:
        msg = (
            f"{100 * share:.0f} % of the pixels would be bad: the flat has structure "
            "that is no defect, such as spectra or the edge of a slit; divide it by "
            "that (make_flat), take the ratio of two flats, or raise low= and high="
        )
        raise ParameterError(msg)


@run_task(prefix="i")
def interpolate_flagged(
    ndd: NDLater,
    *,
    flags: str | None = None,
    along: Along = "shorter",
    widest: Annotated[int | None, Range(ge=1)] = 10,
) -> NDLater:
    """
    Replace flagged pixels by straight lines between the good ones around.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame with flags.
    flags : str, optional
        Names of the flags whose pixels are replaced, such as ``'BAD|COSMIC_RAY'``; by
        default all that mask a pixel. Pixels that are no numbers are replaced, too.
        What is masked by others is not used.
    along : {'x', 'y', 'shorter'}
        Whether lines run along rows or columns, or on the way on which good pixels are
        nearer (rows, where both are), as in IRAF's fixpix. Spectra are interpolated
        along the wavelength.
    widest : int, optional
        Where more pixels in a row than this are bad, they stay. None replaces all.

    Returns
    -------
    NDLater
        The frame. Replaced pixels keep the flags that say why, and are flagged
        INTERPOLATED. Their variance is that of the pixels from which they are taken,
        and what such lines miss good pixels around by. NINTERP in its header is their
        number, and NHOLES that of pixels that stay.

    Notes
    -----
    Neighbouring pixels of a hole are taken from the same good ones, so that their
    errors are not independent.
    """
    ndd = image_of(ndd)
    data = np.asarray(ndd.data, np.float64)
    good = good_pixels(ndd)
    variance = None if ndd.variance is None else np.asarray(ndd.variance, np.float64)
    known = good if variance is None else good & np.isfinite(variance)
    wanted = ~known
    if flags is not None:
        named = ndd.flagged(flags)
        wanted = ~np.isfinite(data)
        wanted = wanted if named is None else wanted | named
    values, spread, replaced = interpolate_lines(
        data, variance, ~known | wanted, along=along, widest=widest
    )
    replaced &= wanted
    result = ndd.replace(
        data=np.where(replaced, values, ndd.data).astype(
            np.result_type(ndd.dtype, np.float32)
        )
    )
    if variance is not None and spread is not None:
        # What stays keeps its own.
        result = result.replace(
            variance=narrowed(np.where(replaced, spread, variance), np.dtype("f4"))
        )
    result = with_interpolated(result, replaced)
    stay = int((wanted & ~replaced).sum())
    result.meta["NINTERP"] = (int(replaced.sum()), "pixels that were interpolated")
    result.meta["NHOLES"] = (stay, "bad pixels in holes that are too wide")
    where = "" if ndd.ident is None else f"[{ndd.ident}]"
    qc(**{f"interpolated{where}": int(replaced.sum()), f"holes{where}": stay})
    report_panels([
        image_panel(data, "before", {"replaced": replaced}),
        image_panel(values, "after", {}),
    ])  # fmt: skip
    return result
