"""The variance of pixels, and the step from adu to electrons."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from astropy import units as u

from ndmapper.data import NDLater
from ndmapper.errors import ParameterError, UnitError
from ndmapper.lib.ccd.readout import (
    image_of,
    pixel_map,
    readouts,
    stamp,
    with_values,
)
from ndmapper.numerics.formulas import narrowed
from ndmapper.numerics.noise import pixel_variance
from ndmapper.steps import InstrumentTable, Range, Unit, run_task

__all__ = ["add_variance", "correct_gain"]

_DONE = "VARMODEL"


@run_task(prefix="v")
def add_variance(
    ndd: NDLater,
    *,
    poisson: bool = True,
    gain: Annotated[float | None, Range(ge=1e-4, le=1e12), Unit("electron/adu")] = None,
    read_noise: Annotated[float | None, Range(ge=0, le=1e5), Unit("electron")] = None,
    instrument: InstrumentTable = None,
) -> NDLater:
    """
    Add the variance of photons, read noise and overscan level to what there is.

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
        Read noise [electron], likewise.
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
    variance = pixel_variance(ndd.data, factor, noise, poisson=poisson) + level**2
    if ndd.variance is not None:
        variance += ndd.variance
    result = ndd.replace(variance=narrowed(variance, np.dtype("f4")))
    stamp(result.meta, amplifiers)
    model = "photons + read noise" if poisson else "read noise"
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
    stamp(
        result.meta,
        [
            replace(
                r,
                gain=1.0,
                saturation=r.saturation and round(r.saturation * (r.gain or 1), 2),
                level_error=round(r.level_error * (r.gain or 1), 5),
            )
            for r in amplifiers
        ],
    )
    # A plain GAIN card would make another program apply it a second time.
    if result.meta.get("GAIN") in {r.gain for r in amplifiers}:
        result.meta["GAIN"] = 1.0
    return result
