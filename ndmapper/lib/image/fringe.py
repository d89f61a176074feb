"""Fringes of the sky: making a frame of them, and subtracting it."""

import logging
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from ndmapper.calibrations.copies import distinct_exposures
from ndmapper.data import DataFile, DataFileList, Flag, NDLater
from ndmapper.errors import ParameterError, ShapeError, UnitError
from ndmapper.lib.alike import check_alike
from ndmapper.lib.ccd.applied import applied_card, mark_none
from ndmapper.lib.figures import image_panel, report_panels
from ndmapper.lib.flagging import flags_with, good_pixels
from ndmapper.lib.image.background import photutils_needed, require_image
from ndmapper.lib.image.blank import (
    DOUBTFUL,
    NO_SKY,
    BlankFrame,
    blank_frames,
    combine_blank,
)
from ndmapper.lib.shared_masters import FRINGE_FACTOR
from ndmapper.numerics.background import Background, estimate_background
from ndmapper.numerics.formulas import narrowed
from ndmapper.numerics.patterns import PatternFit, fit_pattern
from ndmapper.steps import Range, qc, run_task

__all__ = ["make_fringe", "subtract_fringe"]

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
BoxSize = Annotated[int, Range(ge=4)]

_FAINT = 3.0
"""A scale that is smaller than this times its error is no detection of fringes."""


@run_task(each="list", outputs="fringe", suffix="_fringe")
def make_fringe(
    files: DataFileList,
    *,
    masks: Sequence[DataFile] | None = None,
    box_size: BoxSize = 128,
    scale: Literal["level", "none"] = "level",
    method: Literal["mean", "median", "sigclip"] = "sigclip",
    low: Annotated[float, Range(gt=0)] = 4.0,
    high: Annotated[float, Range(gt=0)] = 4.0,
) -> list[NDLater]:
    """
    Combine dithered frames to one of fringes: ``make_fringe(files, fringe='f.fits')``.

    The smooth background of each frame is subtracted, and its objects are masked.

    Parameters
    ----------
    files : DataFileList
        Dithered frames of one filter, divided by the flat, best with variance.
    masks : sequence of DataFile, optional
        The mask of the objects of each file (see `transfer_object_mask`); by default
        they are found in the frames, once the fringes of a first round are subtracted.
    box_size : int
        Size of the boxes in which the background is measured [pixel], larger than the
        distance of fringes.
    scale : {'level', 'none'}
        Whether the fringes of each frame are scaled by the level of its sky to those of
        the first one.
    method : {'mean', 'median', 'sigclip'}
        How they are combined.
    low, high : float
        Limits of the clipping [standard deviations].

    Returns
    -------
    list of NDLater
        The fringes, with a mean of about 0, and their variance. FRNLEVEL in the header
        is the level of the sky that they belong to.

    Raises
    ------
    ParameterError
        If there are less than three frames, or a level is not positive.
    """
    files = DataFileList(data=[files[i] for i in distinct_exposures(files)])
    if len(files) < 3:
        msg = (
            f"fringes are made of three or more dithered frames, not of {len(files)}, "
            "which could not tell them from objects"
        )
        raise ParameterError(msg)
    check_alike(files, is_scaled=scale == "level")
    options = {"method": method, "low": low, "high": high}
    made = []
    for frames in blank_frames(files, masks):
        images = [frame.values() for frame in frames]
        flat, levels = _flattened(frames, images, box_size)
        factors = _factors(frames, levels) if scale == "level" else [1.0] * len(frames)
        found = combine_blank(frames, flat, scale=factors, **options)
        if masks is None:
            for image, plain, factor in zip(images, flat, factors, strict=True):
                image[_objects(plain - _filled(found.data) / factor, box_size)] = np.nan
            flat, levels = _flattened(frames, images, box_size)
            found = combine_blank(frames, flat, scale=factors, **options)
        first = frames[0].image
        bad = (found.flags & (NO_SKY | DOUBTFUL)) != 0
        variance = np.where(np.isfinite(found.variance), found.variance, 0.0)
        fringe = first.replace(
            data=_filled(found.data).astype(np.float32),
            variance=narrowed(variance.astype(np.float64), np.dtype("f4")),
            flags=flags_with(first.replace(flags=None), (bad, Flag.BAD)),
        )
        fringe.meta["FRNLEVEL"] = (levels[0], "level of the sky of these fringes")
        fringe.meta["NCOMBINE"] = (len(frames), "number of frames combined")
        where = f"[{first.ident}]"
        numbers = {
            "amplitude": float(np.std(found.data[~bad])) if not bad.all() else 0.0,
            "noise": float(np.sqrt(np.median(variance))),
            "rejected": float(found.rejected_share.mean()),
            "missing": float(bad.mean()),
        }
        qc(**{f"{name}{where}": value for name, value in numbers.items()})
        report_panels([image_panel(fringe.data, "fringes", {"missing": bad})])
        made.append(fringe)
    return made


@run_task(prefix="r", cals=["fringe"], options={"revision": 2})
def subtract_fringe(
    ndd: NDLater,
    fringe: NDLater | None,
    *,
    scale: float | None = None,
    box_size: BoxSize = 128,
    clip: Annotated[float, Range(gt=0)] = 4.0,
    again: bool = False,
) -> NDLater:
    """
    Subtract the associated fringes, scaled to those of the frame.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame that was divided by the flat, with variance.
    fringe : NDLater
        The fringes, with or without a level; None subtracts nothing.
    scale : float, optional
        What they are multiplied by. By default it is fitted to the pixels outside the
        objects, without the smooth background of both.
    box_size : int
        Size of the boxes in which the background is measured [pixel], larger than the
        distance of fringes.
    clip : float
        Pixels further from the fit are left out [standard deviations].
    again : bool
        Subtract fringes also from a frame from which some were subtracted before.

    Returns
    -------
    NDLater
        The frame without fringes; its background stays. The variance has a term of the
        error of the scale, and one of the noise of the fringes. FRNSCALE and FRNERR in
        the header are the scale and its error.

    Raises
    ------
    ParameterError
        If the fringes do not stand out of their noise, or were subtracted already.
    """
    if fringe is None:
        return mark_none(ndd, "fringes")
    key, card = applied_card(ndd, "fringes", again=again)
    _check_fringe(ndd, fringe)
    pattern = np.asarray(fringe.data, np.float64)
    unknown = ~good_pixels(fringe)
    pattern = _background(pattern, unknown, box_size)[0]
    noise = None
    if fringe.variance is not None:
        noise = np.where(unknown, 0.0, np.asarray(fringe.variance, np.float64))
    if scale is None:
        fit, objects = _fitted(
            ndd, pattern, noise, unknown, box_size=box_size, clip=clip
        )
    else:
        fit, objects = _given(ndd, pattern, unknown, scale, box_size)
    used, error = fit.scale, fit.error
    if scale is None and abs(used) < _FAINT * error:
        log.warning(
            "the fringes are %.2g +- %.2g times those of the fringe frame, which is no "
            "detection; fringe=None subtracts none", used, error,
        )  # fmt: skip
    elif used < 0:
        log.warning("the fringes are subtracted with a negative scale of %.3g", used)
    pattern[unknown] = 0.0
    data = np.asarray(ndd.data, np.float64) - used * pattern
    variance = None
    if ndd.variance is not None:
        variance = np.asarray(ndd.variance, np.float64) + (error * pattern) ** 2
        if noise is not None:
            variance += used**2 * noise
        variance = narrowed(variance, np.dtype("f4"))
    result = ndd.replace(
        data=data.astype(np.result_type(ndd.dtype, np.float32)),
        variance=variance,
        flags=flags_with(ndd, (unknown, Flag.BAD)),
    )
    result.meta[key] = card
    result.meta[FRINGE_FACTOR] = (used, "what the fringes were multiplied by")
    result.meta["FRNERR"] = (error, "error of FRNSCALE")
    qc(scale=used, scale_error=error, used_share=fit.used)
    qc(rms_before=fit.rms_before, rms_after=fit.rms_after)
    report_panels(
        [
            image_panel(ndd.data, "frame, objects marked", {"object": objects}),
            image_panel(used * pattern, "fringes", {"missing": unknown}),
            image_panel(data, "difference", {}),
        ]
    )
    return result


def _check_fringe(ndd: NDLater, fringe: NDLater) -> None:
    require_image(ndd, "fringes are subtracted")
    if fringe.shape != ndd.shape:
        msg = f"the fringe frame has shape {fringe.shape}, the image {ndd.shape}"
        raise ShapeError(msg)
    if fringe.unit is not None and ndd.unit is not None and fringe.unit != ndd.unit:
        msg = (
            f"the fringes are in {fringe.unit}, but the frame in {ndd.unit}; make them "
            "of frames that went through the same steps"
        )
        raise UnitError(msg)


def _fitted(
    ndd: NDLater,
    pattern: Array,
    noise: Array | None,
    unknown: Mask,
    *,
    box_size: int,
    clip: float,
) -> tuple[PatternFit, Mask]:
    """Fit the fringes twice: objects are seen once the fringes are gone."""
    bad = ~good_pixels(ndd) | unknown
    values = np.asarray(ndd.data, np.float64)
    variance = None if ndd.variance is None else np.asarray(ndd.variance, np.float64)
    objects = np.zeros(ndd.shape, np.bool_)
    for _ in range(3):
        hidden = bad | objects
        try:
            fit = fit_pattern(
                _background(values, hidden, box_size)[0],
                _background(pattern, hidden, box_size)[0],
                ~hidden,
                variance=variance,
                pattern_variance=noise,
                clip=clip,
            )
        except ValueError as err:
            msg = (
                f"{err}; make the fringe frame of more frames, or give scale= to "
                "subtract it all the same"
            )
            raise ParameterError(msg) from err
        objects = _objects(
            np.where(bad, np.nan, values - fit.scale * pattern), box_size
        )
    return fit, objects


def _given(
    ndd: NDLater, pattern: Array, unknown: Mask, scale: float, box_size: int
) -> tuple[PatternFit, Mask]:
    """Look what a given scale does to the pixels outside the objects."""
    values = np.where(good_pixels(ndd) & ~unknown, np.asarray(ndd.data), np.nan)
    objects = _objects(values - scale * pattern, box_size)
    good = np.isfinite(values) & ~objects
    before, after = (
        float(np.std(_background(image, ~good, box_size)[0][good]))
        for image in (values, values - scale * pattern)
    )
    fit = PatternFit(
        scale=scale, error=0.0, rms_before=before, rms_after=after,
        used=float(good.mean()),
    )  # fmt: skip
    return fit, objects


def _flattened(
    frames: Sequence[BlankFrame], images: Sequence[npt.NDArray[np.floating]], box: int
) -> tuple[list[Array], list[float]]:
    """Subtract the smooth background of images; give its levels, too."""
    flat, levels = [], []
    for frame, image in zip(frames, images, strict=True):
        try:
            values, level = _background(image, np.isnan(image), box)
        except ValueError as err:
            msg = f"{frame.name}: {err}"
            raise ParameterError(msg) from err
        flat.append(values)
        levels.append(level)
    return flat, levels


def _factors(frames: Sequence[BlankFrame], levels: Sequence[float]) -> list[float]:
    for frame, level in zip(frames, levels, strict=True):
        if not level > 0:
            msg = (
                f"{frame.name} has a sky of {level:.4g}, by which its fringes cannot "
                "be scaled; leave it out, or give scale='none'"
            )
            raise ParameterError(msg)
    return [levels[0] / level for level in levels]


def _background(
    values: npt.NDArray[np.floating], bad: Mask, box_size: int
) -> tuple[Array, float]:
    """Subtract a background that is linear in the pixels; give its median, too."""
    found = _measured(values, bad, box_size, mask_sources=False)
    flat: Array = np.where(bad, np.nan, values - found.level)
    return flat, float(np.median(found.level))


def _objects(values: npt.NDArray[np.floating], box_size: int) -> Mask:
    return _measured(values, np.isnan(values), box_size, mask_sources=True).sources


def _measured(
    values: npt.NDArray[np.floating], bad: Mask, box_size: int, *, mask_sources: bool
) -> Background:
    # Three along an axis at least, which follow a slope.
    box = max(4, min(box_size, *(n // 3 for n in values.shape)))
    with photutils_needed():
        return estimate_background(
            values, bad, box_size=box, filter_size=1, mask_sources=mask_sources
        )


def _filled(values: npt.NDArray[np.floating]) -> Array:
    return np.where(np.isfinite(values), values, 0.0).astype(np.float64)
