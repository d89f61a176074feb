"""Making and subtracting darks."""

import logging
from typing import Annotated, Literal

import numpy as np

from ndmapper.calibrations.copies import distinct_exposures
from ndmapper.data import DataFileList, NDLater
from ndmapper.errors import ParameterError
from ndmapper.instruments import load, recognise
from ndmapper.lib.alike import check_shape
from ndmapper.lib.ccd.applied import applied_card, mark_none, times_applied
from ndmapper.lib.ccd.readout import keep_digitisation_step
from ndmapper.lib.combine import check_frames, combine_files
from ndmapper.lib.figures import report_master
from ndmapper.lib.shared_masters import DARK_FACTOR
from ndmapper.steps import Range, Unit, run_task

__all__ = ["exposure_time", "make_dark", "subtract_dark"]

log = logging.getLogger(__name__)

_EXPOSURE = "DARKEXP"
_SAME = 0.005
"""Exposure times that differ by less than this part are the same."""

Exposure = Annotated[float | None, Range(gt=0), Unit("s")]


@run_task(each="list", outputs="dark", suffix="_dark", options={"revision": 3})
def make_dark(
    files: DataFileList,
    *,
    method: Literal["mean", "median", "sigclip"] = "sigclip",
    low: Annotated[float, Range(gt=0)] = 4.0,
    high: Annotated[float, Range(gt=0)] = 4.0,
    exposure: Exposure = None,
) -> list[NDLater]:
    """
    Combine darks of one exposure time: ``make_dark(files, dark='name.fits')``.

    Parameters
    ----------
    files : DataFileList
        Darks with variance. Without bias, they can be scaled to the exposure times of
        other frames.
    method : {'mean', 'median', 'sigclip'}
        How they are combined; clipping takes cosmic rays out.
    low, high : float
        Limits of the clipping [standard deviations].
    exposure : float, optional
        Exposure time of the darks [s], instead of what their headers say.

    Returns
    -------
    list of NDLater
        The dark, with its variance; DARKEXP in its header is the exposure time.

    Raises
    ------
    ParameterError
        If a header says no exposure time, or they differ.
    """
    files = DataFileList(data=[files[i] for i in distinct_exposures(files)])
    check_frames(files)
    times = [exposure_time(df[0], exposure, "exposure", str(df)) for df in files]
    for df, time in zip(files, times, strict=True):
        if abs(time - times[0]) > _SAME * times[0]:
            msg = (
                f"{df} is exposed for {time:g} s, but {files[0]} for {times[0]:g} s; "
                "make one dark for each exposure time, or give exposure= if the "
                "headers are wrong"
            )
            raise ParameterError(msg)
    combined = combine_files(files, method=method, low=low, high=high, mixed="exptime")
    for ndd in combined:
        ndd.meta[_EXPOSURE] = (float(np.mean(times)), "[s] exposure time of the dark")
    report_master(combined, f"dark of {float(np.mean(times)):g} s")
    return combined


@run_task(prefix="d", cals=["dark"])
def subtract_dark(
    ndd: NDLater,
    dark: NDLater | None,
    *,
    scale: bool = True,
    exposure: Exposure = None,
    dark_exposure: Exposure = None,
    again: bool = False,
) -> NDLater:
    """
    Subtract the associated dark, scaled to the exposure time.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame with variance, since the dark current has photon noise.
    dark : NDLater
        The combined dark; None subtracts nothing.
    scale : bool
        Multiply the dark by the ratio of the exposure times, and its variance by the
        square of that; else they have to be the same.
    exposure : float, optional
        Exposure time of the frame [s], instead of what its header says.
    dark_exposure : float, optional
        Exposure time of the dark [s], instead of what its header says.
    again : bool
        Subtract a dark also from a frame from which one was subtracted before.

    Returns
    -------
    NDLater
        The frame without dark current. A dark that has its bias takes that of the
        frame, too.

    Raises
    ------
    ParameterError
        If an exposure time is not known or zero; if they differ and the dark is not
        to be scaled, or cannot be, since it has its bias; if only one of frame and
        dark has its bias; or if a dark was subtracted already.
    """
    if dark is None:
        return mark_none(ndd, "dark")
    key, card = applied_card(ndd, "dark", again=again)
    check_shape(ndd, dark, "dark")
    ratio = _ratio(ndd, dark, exposure, dark_exposure)
    is_same = abs(ratio - 1) < _SAME
    with_bias = times_applied(dark.meta, "bias") is None
    if not scale and not is_same:
        msg = (
            f"the exposure time of the frame is {ratio:.4g} times that of the dark; "
            "use a dark of the same exposure time, or scale=True"
        )
        raise ParameterError(msg)
    if with_bias and not is_same:
        msg = (
            f"the dark would have to be multiplied by {ratio:.4g}, but its bias was "
            "not subtracted, which does not grow with time; subtract_bias from the "
            "darks, or use a dark of the same exposure time"
        )
        raise ParameterError(msg)
    if with_bias and times_applied(ndd.meta, "bias"):
        msg = (
            "the bias was subtracted from this frame, but not from the dark, so that "
            "it would be subtracted twice; subtract_bias from the darks"
        )
        raise ParameterError(msg)
    if ratio > 1 + _SAME:
        log.warning(
            "the dark is shorter than the frame: its noise is multiplied by %.3g", ratio
        )
    result: NDLater = ndd - (dark if is_same else dark * ratio)
    result.meta[key] = card
    result.meta[DARK_FACTOR] = (1.0 if is_same else ratio, "the dark was multiplied by")
    if with_bias and times_applied(ndd.meta, "bias") is None:
        bias_key, bias_card = applied_card(ndd, "bias")
        result.meta[bias_key] = bias_card
    keep_digitisation_step(ndd, result)
    return result


def _ratio(
    ndd: NDLater, dark: NDLater, exposure: float | None, dark_exposure: float | None
) -> float:
    """Give the exposure time of a frame over that of a dark."""
    if dark_exposure is None:
        found = dark.meta.get(_EXPOSURE)
        if isinstance(found, int | float) and found > 0:
            dark_exposure = float(found)
    time = exposure_time(ndd, exposure, "exposure", "the frame")
    return time / exposure_time(dark, dark_exposure, "dark_exposure", "the dark")


def exposure_time(ndd: NDLater, given: float | None, option: str, what: str) -> float:
    """Find an exposure time [s]: what is given, else by the instrument's descriptor."""
    if given is not None:
        return given
    primary, header = ndd.primary_values or ndd.header_values, ndd.header_values
    instrument = recognise(primary)
    if instrument is None or "exptime" not in instrument.descriptors:
        instrument = load("ccd")
    descriptor = instrument.descriptors["exptime"]
    value = descriptor.find(primary, header)
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    shown = f"an exposure time {value!r} ({' or '.join(descriptor.keys)})"
    if value is None:
        shown = f"no {' or '.join(descriptor.keys)}"
    msg = (
        f"{what} has {shown} in its header, and an exposure time above 0 s is needed; "
        f"give {option}= [s]"
    )
    raise ParameterError(msg)
