"""The sky of dithered frames, measured in frames taken before and after."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from ndmapper.data import DataFile, DataFileList, FileName, Flag, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.alike import check_alike
from ndmapper.lib.figures import image_panel, report_panels
from ndmapper.lib.flagging import flags_with
from ndmapper.lib.image.alignment import align_images
from ndmapper.lib.image.blank import (
    DOUBTFUL,
    NO_SKY,
    BlankFrame,
    check_masks,
    combine_blank,
    counterpart,
)
from ndmapper.lib.image.nearest import nearest_frames, shift_between
from ndmapper.lib.image.objects import (
    make_object_mask,
    object_pixels,
    transfer_object_mask,
)
from ndmapper.lib.image.stacking import stack_images
from ndmapper.lib.shared_masters import SKY_CARD, SharedMasters
from ndmapper.numerics.formulas import narrowed
from ndmapper.numerics.patterns import Matching, relative_level
from ndmapper.steps import Range, Unit, qc, run_task

__all__ = ["subtract_sky", "two_pass_sky"]

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_UNDITHERED = 1.0
"""Frames that are shifted by less [pixel] have their stars on the same pixels."""


@run_task(each="file", prefix="y", options={"revision": 2})
def subtract_sky(
    df: DataFile,
    *,
    sky: Sequence[DataFile],
    masks: Sequence[DataFile] | None = None,
    neighbours: Annotated[int, Range(ge=1)] = 6,
    fewest: Annotated[int, Range(ge=1)] = 3,
    window: Annotated[float | None, Range(gt=0), Unit("min")] = None,
    apart: Annotated[float | None, Range(ge=0), Unit("pixel")] = None,
    nearest: Literal["time", "list"] = "time",
    scale: Matching = "multiply",
    method: Literal["mean", "median", "sigclip"] = "sigclip",
    low: Annotated[float, Range(gt=0)] = 4.0,
    high: Annotated[float, Range(gt=0)] = 4.0,
) -> list[NDLater]:
    """
    Subtract a running sky: ``subtract_sky(frames, sky=frames)``.

    The sky of a frame is the mean of other frames, those that are nearest in time, in
    which its stars fall on other pixels.

    Parameters
    ----------
    df : DataFile
        Dithered frames without dark, best divided by a flat and with variance.
    sky : sequence of DataFile
        The frames to take the sky from: the same ones, or frames of a field beside.
        A frame is never part of its own sky.
    masks : sequence of DataFile, optional
        The mask of the objects of each file of `sky`, in the same order (see
        `transfer_object_mask`): pixels that are not 0 say nothing of the sky.
    neighbours : int
        So many frames are used.
    fewest : int
        Fewer usable frames are an error.
    window : float, optional
        Frames taken further apart are not used [minute].
    apart : float, optional
        Frames are not used whose coordinates say that they are shifted by less
        [pixel], since the same stars lie on the same pixels.
    nearest : {'time', 'list'}
        Whether frames are near by the time in their headers, or in the list `sky`.
    scale : {'multiply', 'add', 'none'}
        How the frames are brought to the level of the frame: by a factor, an offset, or
        not at all.
    method : {'mean', 'median', 'sigclip'}
        How they are combined.
    low, high : float
        Limits of the clipping [standard deviations].

    Returns
    -------
    list of NDLater
        The frames without sky. The variance of the sky, that of n frames divided by n,
        is added to theirs; noise of masters (bias, dark, flat) that all of them share,
        by their records, is in the difference as far as it does not cancel, and SKYCOMn
        name these masters. Pixels of which no frame tells the sky, or of which these
        disagree, are flagged BAD. Headers have the number of frames (SKYFRAMS), the
        level of the sky (SKYLEVEL), and its error, which all pixels share (SKYERR).

    Raises
    ------
    ParameterError
        If too few frames can be used, or a header says no time.
    """
    check_masks(sky, masks)
    found = nearest_frames(
        df, sky, count=neighbours, fewest=fewest, window=window, apart=apart,
        by=nearest,
    )  # fmt: skip
    chosen = [sky[position] for position in found.others]
    check_alike([df, *chosen], is_scaled=scale != "none")
    qc(sky_frames=", ".join(str(other.filename or "?") for other in chosen))
    _warn_undithered(df, chosen)
    options = {"method": method, "low": low, "high": high}
    results = []
    for ndd in df:
        frame = BlankFrame(df, ndd, _mask_of(masks, found.own, ndd))
        others = [
            BlankFrame(sky[n], counterpart(sky[n], ndd, df), _mask_of(masks, n, ndd))
            for n in found.others
        ]
        found_sky = _measure(frame, others, scale, options)
        common = _common_noise(frame, others, found_sky)
        results.append(_without_sky(frame, found_sky, common))
    return results


def two_pass_sky(
    files: DataFileList | Sequence[DataFile | str],
    *,
    align: bool = True,
    mask_options: dict[str, Any] | None = None,
    call: dict[str, Any] | None = None,
    **options: Any,
) -> DataFileList:
    """
    Subtract a running sky in two passes, the second with all objects masked.

    The frames of the first pass are aligned and stacked, the objects of the stack are
    masked in each frame, and the sky is measured again without them.

    Parameters
    ----------
    files : DataFileList or sequence of str
        Dithered frames.
    align : bool
        Correct the coordinates of the frames by their stars for the stack; else they
        have to be right.
    mask_options : dict, optional
        Parameters of `make_object_mask`.
    call : dict, optional
        Framework keywords of all steps, such as ``{'reprocess': 'auto'}``.
    **options : object
        Parameters of `subtract_sky`.

    Returns
    -------
    DataFileList
        The frames without sky, as `subtract_sky` makes them. The first pass, its stack
        and the masks are kept beside them, with names that end in ``_pass1``,
        ``_pass1_stack``, ``_pass1_stack_objects`` and ``_mask``.
    """
    frames = files if isinstance(files, DataFileList) else DataFileList(files)
    call = call or {}
    names = [
        str(FileName(df.filename, prefix="y", suffix="_pass1", dirname=""))
        for df in frames
    ]
    first = subtract_sky(frames, sky=frames, out_names=names, **options, **call)
    if align:
        first = align_images(first, reference=first[0], **call)
    # Only to find objects: frames of other exposure times show them as well.
    deep = stack_images(first, mixed=["exptime"], **call)
    objects = make_object_mask(deep, **(mask_options or {}), **call)
    masks = transfer_object_mask(first, mask=objects, **call)
    made: DataFileList = subtract_sky(
        frames, sky=frames, masks=masks, **options, **call
    )
    return made


@dataclass(frozen=True, kw_only=True)
class _Sky:
    """The sky of an image."""

    data: Array
    variance: Array
    missing: Mask  # of which no frame tells the sky
    doubtful: Mask  # of which frames disagree
    rejected: float
    factors: Sequence[float]
    offsets: Sequence[float]


def _measure(
    frame: BlankFrame,
    others: Sequence[BlankFrame],
    scale: Matching,
    options: dict[str, Any],
) -> _Sky:
    """Combine other frames, brought to the level of a frame."""
    own = frame.values()
    images, factors, offsets = [], [], []
    for other in others:
        image = other.values()
        try:
            factor, offset = relative_level(own, image, scale)
        except ValueError as err:
            msg = (
                f"{other.name} cannot be brought to the level of {frame.name}: {err}; "
                "leave it out, or give scale='add'"
            )
            raise ParameterError(msg) from err
        images.append(image)
        factors.append(factor)
        offsets.append(offset)
    found = combine_blank(others, images, scale=factors, zero=offsets, **options)
    return _Sky(
        data=np.asarray(found.data, np.float64),
        variance=np.asarray(found.variance, np.float64),
        missing=(found.flags & NO_SKY) != 0,
        doubtful=(found.flags & DOUBTFUL) != 0,
        rejected=float(found.rejected_share.mean()),
        factors=factors,
        offsets=offsets,
    )


@dataclass(frozen=True)
class _Common:
    """The noise that frame and sky share: what of their variances cancels."""

    excess: Array | float = 0.0
    masters: Sequence[str] = ()


def _common_noise(
    frame: BlankFrame, others: Sequence[BlankFrame], sky: _Sky
) -> _Common:
    """Find what of the noise of masters is in a frame and in all frames of its sky."""
    images = [one.image for one in (frame, *others)]
    if not all(image.has("uncertainty") for image in images):
        return _Common()
    masters = SharedMasters([one.file for one in (frame, *others)], quiet=True)
    noises = masters.noises(images)
    if any(which != 0 for noise in noises for which in noise.plane):
        return _Common()  # some have other masters
    squares = np.square(sky.factors)
    whole = sum(
        square * np.asarray(image.variance, np.float64)
        for square, image in zip(squares, images[1:], strict=True)
    )
    excess: Array | float = 0.0
    for noise in noises:
        plane = noise.planes[0][slice(0, images[0].shape[0])]
        values: list[Array | float] = [1.0] * len(images)
        of_sky: Array | float = 1.0
        share = np.mean(np.multiply(sky.factors, noise.factor[1:]))
        if noise.is_relative:
            values = [
                np.asarray(image.data, np.float64) + level
                for image, level in zip(images, noise.level, strict=True)
            ]
            of_sky, share = sky.data, np.mean(noise.factor[1:])
        in_frame, *in_sky = (
            noise.part_of_variance(i) * (plane * value) ** 2
            for i, value in enumerate(values)
        )
        part = sum(s * one for s, one in zip(squares, in_sky, strict=True)) / whole
        left = plane * (noise.factor[0] * values[0] - share * of_sky)
        excess = excess + in_frame + part * sky.variance - left**2
    return _Common(excess, masters.names)


def _without_sky(frame: BlankFrame, sky: _Sky, common: _Common) -> NDLater:
    """Subtract a sky, with its variance, and say how good it is."""
    ndd = frame.image
    usable = ~sky.missing
    if not usable.any():
        msg = f"no frame tells the sky of any pixel of {frame.name}; are all masked?"
        raise ParameterError(msg)
    level = float(np.median(sky.data[usable]))
    data = np.asarray(ndd.data, np.float64) - np.where(usable, sky.data, level)
    kind = np.result_type(ndd.dtype, np.float32)
    variance = None
    if ndd.variance is not None:
        # One frame without variance has no scatter either.
        of_sky = np.where(np.isfinite(sky.variance), sky.variance, 0.0)
        whole = np.asarray(ndd.variance, np.float64) + of_sky
        less = np.where(np.isfinite(common.excess) & usable, common.excess, 0.0)
        variance = narrowed(np.maximum(whole - less, 0.0), np.dtype("f4"))
    bad = sky.missing | sky.doubtful
    result = ndd.replace(
        data=data.astype(kind),
        variance=variance,
        flags=flags_with(ndd, (bad, Flag.BAD)),
    )
    blank = data[np.isfinite(frame.values()) & ~bad]
    rms = _scatter(blank)
    error = rms / np.sqrt(max(blank.size, 1))
    result.meta["SKYFRAMS"] = (len(sky.factors), "frames that the sky was made of")
    result.meta["SKYLEVEL"] = (level, "median of the sky that was subtracted")
    result.meta["SKYERR"] = (error, "error of its level, shared by all pixels")
    for number, name in enumerate(common.masters, start=1):
        result.meta[f"{SKY_CARD}{number}"] = (name, "its noise went with the sky")
    where = f"[{ndd.ident}]"
    numbers = {
        "sky_level": level, "sky_level_error": error, "rms": rms,
        "scale_least": min(sky.factors), "scale_most": max(sky.factors),
        "offset_most": max(sky.offsets, key=abs), "rejected": sky.rejected,
        "without_sky": float(bad.mean()),
    }  # fmt: skip
    qc(**{f"{name}{where}": value for name, value in numbers.items()})
    marks = {} if frame.objects is None else {"object": frame.objects}
    report_panels(
        [
            image_panel(ndd.data, "frame", marks),
            image_panel(sky.data, "sky", {"none": bad}),
            image_panel(data, "difference", {"no sky": bad}),
        ]
    )
    return result


def _scatter(values: Array) -> float:
    if not values.size:
        return 0.0
    low, high = np.percentile(values, (15.87, 84.13))
    return float(high - low) / 2


def _mask_of(
    masks: Sequence[DataFile] | None, position: int | None, ndd: NDLater
) -> Mask | None:
    if masks is None or position is None:
        return None
    return object_pixels(masks[position], ndd)


def _warn_undithered(df: DataFile, others: Sequence[DataFile]) -> None:
    shifts = [shift_between(df, other) for other in others]
    known = [shift for shift in shifts if shift is not None]
    if known and max(known) < _UNDITHERED:
        log.warning(
            "%s: by the coordinates in the headers no frame of its sky is shifted by "
            "more than %.2g pixel, so that its stars are subtracted from themselves; "
            "give frames of other positions (apart=)",
            df, max(known),
        )  # fmt: skip
