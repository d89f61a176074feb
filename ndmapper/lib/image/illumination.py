"""The illumination of the sky that a pixel flat leaves: measuring and correcting it."""

import logging
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from ndmapper.calibrations.copies import distinct_exposures
from ndmapper.data import DataFile, DataFileList, Flag, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.alike import check_alike
from ndmapper.lib.ccd.applied import mark_none, times_applied
from ndmapper.lib.ccd.flat import divide_by_flat, kind_of_flat
from ndmapper.lib.figures import image_panel, report_panels
from ndmapper.lib.flagging import flags_with
from ndmapper.lib.image.background import photutils_needed
from ndmapper.lib.image.blank import (
    DOUBTFUL,
    NO_SKY,
    BlankFrame,
    blank_frames,
    combine_blank,
)
from ndmapper.numerics.background import Background, estimate_background
from ndmapper.numerics.formulas import narrowed
from ndmapper.numerics.patterns import relative_level
from ndmapper.steps import Range, qc, run_task

__all__ = ["apply_illumination", "make_illumination"]

log = logging.getLogger(__name__)

Image = npt.NDArray[np.floating]


@run_task(each="list", outputs="illumination", suffix="_illumination")
def make_illumination(
    files: DataFileList,
    *,
    masks: Sequence[DataFile] | None = None,
    box_size: Annotated[int, Range(ge=4)] = 64,
    filter_size: Annotated[int, Range(ge=1)] = 1,
    method: Literal["mean", "median", "sigclip"] = "sigclip",
    low: Annotated[float, Range(gt=0)] = 4.0,
    high: Annotated[float, Range(gt=0)] = 4.0,
) -> list[NDLater]:
    """
    Measure the illumination by frames of sky or twilight that were divided by the flat.

    ``make_illumination(files, illumination='illumination_r.fits')``. Objects are
    masked, the frames are brought to one level and combined, and what is left is
    smoothed: clipped means of boxes, interpolated by cubic splines, as by
    `measure_background`.

    Parameters
    ----------
    files : DataFileList
        Frames of the sky or of twilight, divided by the pixel flat, best dithered and
        with variance.
    masks : sequence of DataFile, optional
        The mask of the objects of each file (see `transfer_object_mask`); by default
        they are found in the frames.
    box_size : int
        Size of the boxes [pixel]: structure that is smaller is not corrected.
    filter_size : int
        The values of the boxes are filtered by a median of so many boxes along each
        axis, an odd number; 1 does not filter.
    method : {'mean', 'median', 'sigclip'}
        How the frames are combined.
    low, high : float
        Limits of the clipping [standard deviations].

    Returns
    -------
    list of NDLater
        The illumination, without unit, divided by the median of all extensions, so that
        their relation stays. Its variance is common to the pixels of a box. FLATKIND =
        'illumination' in its header says what it is.

    Raises
    ------
    ParameterError
        If there is no light, or too few pixels without objects.
    """
    files = DataFileList(data=[files[i] for i in distinct_exposures(files)])
    check_alike(files, is_scaled=True)
    if filter_size % 2 == 0:
        msg = f"filter_size is an odd number, not {filter_size}"
        raise ParameterError(msg)
    for ndd in files[0]:
        if times_applied(ndd.meta, "pixel flat") is None:
            log.warning(
                "%s was not divided by a pixel flat, so that its large structure "
                "becomes part of the illumination; use apply_flat before, with "
                "flat=None if there is none", files[0],
            )  # fmt: skip
            break
    extensions = [
        [frame.with_sources(box_size) for frame in frames]
        for frames in blank_frames(files, masks)
    ]
    images = [[frame.values() for frame in frames] for frames in extensions]
    factors = _factors(files, images)
    options = {"scale": factors, "method": method, "low": low, "high": high}
    found = [
        _smooth(frames, values, box_size, filter_size, options)
        for frames, values in zip(extensions, images, strict=True)
    ]
    level = float(np.median(np.concatenate([one.level.ravel() for one, _ in found])))
    if not level > 0:
        msg = f"the frames have a level of {level:.4g}, so there is no light in them"
        raise ParameterError(msg)
    made = []
    for frames, (smooth, combined) in zip(extensions, found, strict=True):
        made.append(_as_flat(frames[0].image, smooth, level, len(files)))
        _report(made[-1], combined / level)
    return made


@run_task(prefix="i", cals=["illumination"])
def apply_illumination(
    ndd: NDLater, illumination: NDLater | None, *, again: bool = False
) -> NDLater:
    """
    Divide by the associated illumination, after the pixel flat.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame that was divided by the pixel flat.
    illumination : NDLater
        The illumination, as `make_illumination` makes it; None divides by nothing.
    again : bool
        Divide also a frame that was divided by an illumination before.

    Returns
    -------
    NDLater
        The frame. Its variance contains that of the illumination, which is common to
        the pixels of a box.

    Raises
    ------
    ParameterError
        If it is a flat of another kind, or an illumination was divided by already.
    UnitError
        If it was made of frames of another unit.
    """
    if illumination is None:
        return mark_none(ndd, "illumination")
    if (kind := kind_of_flat(illumination)) != "illumination":
        msg = (
            f"this is a {kind} and no illumination (FLATKIND in its header); use "
            "apply_flat, or make_illumination"
        )
        raise ParameterError(msg)
    return divide_by_flat(ndd, illumination, again=again)


def _factors(
    files: Sequence[DataFile], images: Sequence[Sequence[Image]]
) -> list[float]:
    """Bring frames to the level of the first, by all their extensions together."""
    first = np.concatenate([values[0].ravel() for values in images])
    factors = [1.0]
    for number, df in enumerate(files[1:], start=1):
        other = np.concatenate([values[number].ravel() for values in images])
        try:
            factors.append(relative_level(first, other, "multiply")[0])
        except ValueError as err:
            msg = f"{df} cannot be brought to the level of {files[0]}: {err}"
            raise ParameterError(msg) from err
    return factors


def _smooth(
    frames: Sequence[BlankFrame],
    images: Sequence[Image],
    box_size: int,
    filter_size: int,
    options: dict[str, Any],
) -> tuple[Background, Image]:
    """Combine images of one extension, and smooth the result."""
    found = combine_blank(frames, images, **options)
    bad = (found.flags & (NO_SKY | DOUBTFUL)) != 0
    try:
        with photutils_needed():
            smooth = estimate_background(
                found.data, bad, box_size=box_size, filter_size=filter_size,
                mask_sources=False,
            )  # fmt: skip
    except ValueError as err:
        msg = f"{frames[0].name}: {err}"
        raise ParameterError(msg) from err
    return smooth, found.data


def _as_flat(ndd: NDLater, smooth: Background, level: float, count: int) -> NDLater:
    values = smooth.level / level
    dark = ~(values > 0)
    flat = ndd.replace(
        data=np.where(dark, 1.0, values).astype(np.float32),
        variance=narrowed(smooth.variance / level**2, np.dtype("f4")),
        flags=flags_with(ndd.replace(flags=None), (dark, Flag.BAD)),
        unit=None,
    )
    if ndd.unit is not None:
        flat.meta["FLATUNIT"] = (ndd.unit.to_string(), "unit of the frames")
    flat.meta["FLATKIND"] = ("illumination", "what it corrects")
    flat.meta["FLATNORM"] = ("plain", "what the flat was divided by")
    flat.meta["NCOMBINE"] = (count, "number of frames combined")
    return flat


def _report(flat: NDLater, combined: Image) -> None:
    where = f"[{flat.ident}]"
    values = np.asarray(flat.data)
    numbers = {
        "least": float(values.min()),
        "most": float(values.max()),
        "error": float(np.sqrt(np.median(np.asarray(flat.variance)))),
    }
    qc(**{f"{name}{where}": value for name, value in numbers.items()})
    report_panels(
        [
            image_panel(combined, "frames combined", {}),
            image_panel(values, "illumination", {}),
            image_panel(combined / values, "ratio", {}),
        ]
    )
