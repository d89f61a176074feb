"""The variance of pixels, and the step from adu to electrons."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from astropy import units as u

from ndmapper.data import NDLater
from ndmapper.errors import ParameterError, UnitError
from ndmapper.lib.ccd.applied import times_applied, warn_without_bias
from ndmapper.lib.ccd.readout import (
    Readout,
    digitisation_step,
    image_of,
    keep_digitisation_step,
    pixel_map,
    readouts,
    stamp,
    with_scaled_errors,
    with_values,
)
from ndmapper.numerics.formulas import narrowed
from ndmapper.numerics.noise import pixel_variance
from ndmapper.steps import InstrumentTable, Range, Unit, run_task

__all__ = ["add_variance", "correct_gain", "has_photon_noise"]

log = logging.getLogger(__name__)

_DONE = "VARMODEL"
_PHOTONS = "photons + read noise"
_LEAST_NOISE = 0.3
"""With less noise than so many steps, rounding is no independent noise."""


@run_task(prefix="v", options={"revision": 2})
def add_variance(
    ndd: NDLater,
    *,
    poisson: bool = True,
    gain: Annotated[float | None, Range(ge=1e-4, le=1e12), Unit("electron/adu")] = None,
    read_noise: Annotated[float | None, Range(ge=0, le=1e5), Unit("electron")] = None,
    adc_step: Annotated[float | None, Range(ge=0, le=1e5), Unit("adu")] = None,
    instrument: InstrumentTable = None,
) -> NDLater:
    """
    Add the variance of photons, read noise, digitisation and overscan level.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame without overscan level and, for one with light, without
        bias [adu or electron].
    poisson : bool
        Whether the counts are photons; those of a bias are not.
    gain : float, optional
        Gain [electron/adu], instead of what header or instrument say.
    read_noise : float, optional
        Read noise [electron], likewise; without the noise of the digitisation, as
        `measure_read_noise` gives it.
    adc_step : float, optional
        Step of the digitisation [adu], which adds a twelfth of its square; by default 1
        where the raw frame had integers, else 0. Of a sum of n integers it is the root
        of n, and of a camera that shifts 12 bits to 16 it is 16.
    instrument : str or path, optional
        Name of the instrument or path of its TOML; by default that of the
        configuration, else the header tells.

    Returns
    -------
    NDLater
        The frame with variance. The variance that it had (of the bias that was
        subtracted, for instance) is part of it.
    """
    if _DONE in ndd.meta:
        msg = f"the frame has its variance already ({_DONE} = {ndd.meta[_DONE]!r})"
        raise ParameterError(msg)
    ndd = image_of(ndd)
    known = readouts(ndd, instrument=instrument)
    amplifiers = with_values(known, gain=gain, read_noise=read_noise)
    noise = pixel_map(amplifiers, ndd.shape, lambda r: r.read_noise, "read noise")
    factor = pixel_map(amplifiers, ndd.shape, lambda r: r.gain, "gain")
    level = pixel_map(amplifiers, ndd.shape, lambda r: r.level_error, "overscan error")
    width = digitisation_step(ndd) if adc_step is None else adc_step
    _warn_of_coarse_steps(amplifiers, width)
    step = pixel_map(
        amplifiers, ndd.shape, lambda r: width * (r.applied_gain or 1), "step"
    )
    if poisson:
        warn_without_bias(ndd, "all that is above zero counts as photons")
    if poisson and times_applied(ndd.meta, "dark"):
        log.warning(
            "a dark was subtracted from this frame already, so that its variance is "
            "without the photon noise of the dark current; use add_variance before"
        )
    variance = pixel_variance(ndd.data, factor, noise, poisson=poisson, step=step)
    variance += level**2
    if ndd.variance is not None:
        variance += ndd.variance
    result = ndd.replace(variance=narrowed(variance, np.dtype("f4")))
    stamp(result.meta, amplifiers)
    model = _PHOTONS if poisson else "read noise"
    result.meta[_DONE] = (model, "what the variance was made from")
    return result


@run_task(prefix="g")
def correct_gain(
    ndd: NDLater,
    *,
    gain: Annotated[float | None, Range(ge=1e-4, le=1e12), Unit("electron/adu")] = None,
    instrument: InstrumentTable = None,
) -> NDLater:
    """
    Multiply by the gain, from adu to electrons.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame without bias [adu].
    gain : float, optional
        Gain [electron/adu], instead of what header or instrument say.
    instrument : str or path, optional
        Name of the instrument or path of its TOML; by default that of the
        configuration, else the header tells.

    Returns
    -------
    NDLater
        The frame [electron]; its gain is 1 from now on.
    """
    if ndd.unit is not None and ndd.unit != u.adu:
        msg = f"the gain turns adu into electrons, but the frame is in {ndd.unit}"
        raise UnitError(msg)
    ndd = image_of(ndd)
    amplifiers = with_values(readouts(ndd, instrument=instrument), gain=gain)
    factor = pixel_map(amplifiers, ndd.shape, lambda r: r.gain, "gain")
    variance = None if ndd.variance is None else ndd.variance * factor**2
    result = ndd.replace(
        data=np.asarray(ndd.data) * factor, variance=variance, unit=u.electron
    )
    keep_digitisation_step(ndd, result)
    stamp(
        result.meta,
        [
            replace(
                with_scaled_errors(r, r.gain or 1),
                gain=1.0,
                applied_gain=r.gain,
                saturation=r.saturation and round(r.saturation * (r.gain or 1), 2),
            )
            for r in amplifiers
        ],
    )
    # A plain GAIN card would make another program apply it a second time.
    if result.meta.get("GAIN") in {r.gain for r in amplifiers}:
        result.meta["GAIN"] = 1.0
    return result


def has_photon_noise(ndd: NDLater) -> bool:
    """Whether `add_variance` counted the counts of a frame as photons."""
    return ndd.variance is not None and ndd.meta.get(_DONE) == _PHOTONS


def _warn_of_coarse_steps(amplifiers: Sequence[Readout], width: float) -> None:
    """Warn where rounding to whole steps is no independent noise."""
    for readout in amplifiers:
        noise = (readout.read_noise or 0) / (readout.gain or 1)
        step = width * (readout.applied_gain or 1)
        if noise < _LEAST_NOISE * step:
            log.warning(
                "the read noise of amplifier %s is %.2g of a step of its digitisation; "
                "below %g, rounding is no independent noise, and the variance of "
                "pixels without light is not right",
                readout.name, noise / step, _LEAST_NOISE,
            )  # fmt: skip
