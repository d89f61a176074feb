"""Correcting the non-linearity of a detector."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from astropy import units as u

from ndmapper.data import Flag, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.ccd.applied import applied_card, require_counts
from ndmapper.lib.ccd.noise import has_photon_noise
from ndmapper.lib.ccd.readout import (
    Readout,
    image_of,
    keep_digitisation_step,
    readouts,
    stamp,
    with_scaled_errors,
)
from ndmapper.lib.flagging import flags_with
from ndmapper.numerics.formulas import narrowed
from ndmapper.numerics.linearity import Curve, curve_of_points, curve_of_polynomial
from ndmapper.steps import InstrumentTable, OfInstrument, Range, qc, run_task

__all__ = ["correct_nonlinearity"]

T = TypeVar("T")

Polynomials = Sequence[float] | Mapping[str, Sequence[float]]
Points = Sequence[Sequence[float]] | Mapping[str, Sequence[Sequence[float]]]
Limits = float | Mapping[str, float]


@run_task(prefix="l")
def correct_nonlinearity(
    ndd: NDLater,
    *,
    coefficients: Annotated[Polynomials | None, OfInstrument()] = None,
    scale: Annotated[float | None, Range(gt=0), OfInstrument()] = None,
    gives: Annotated[Literal["true", "measured"] | None, OfInstrument()] = None,
    points: Annotated[Points | None, OfInstrument()] = None,
    limit: Annotated[Limits | None, OfInstrument()] = None,
    again: bool = False,
    instrument: InstrumentTable = None,
) -> NDLater:
    """
    Correct the counts for the non-linearity of each amplifier.

    All parameters but `again` and `instrument` are by default what the TOML of the
    instrument says under ``[steps.correct_nonlinearity]``.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame without overscan and bias [adu], before dark and flat.
    coefficients : list of float, or mapping of str to list of float, optional
        Coefficients c0, c1, ... of ``m * (c0 + c1 * (m / scale) + ...)`` of the counts
        m above the bias [adu]; of all amplifiers, or of each by its name.
    scale : float, optional
        What the counts are divided by before they are raised to a power; 1 by default.
    gives : {'true', 'measured'}, optional
        What the polynomial gives: the true counts from the measured ones (the
        default), or the measured from the true ones, of which the inverse is taken.
    points : list of pairs, or mapping of str to list of pairs, optional
        Instead of a polynomial: measured and true counts [adu] in rising order,
        between which straight lines are drawn, from (0, 0) on.
    limit : float, or mapping of str to float, optional
        Measured counts [adu] up to which the correction holds, if it ends before the
        last point, or before the polynomial stops rising.
    again : bool
        Correct also a frame that was corrected before.
    instrument : str or path, optional
        Name of the instrument or path of its TOML; by default that of the
        configuration, else the header tells.

    Returns
    -------
    NDLater
        The frame with true counts [adu]. Pixels above the range are corrected by the
        tangent at its end and flagged NONLINEAR, as are those below zero corrected by
        the tangent there, without a flag. The saturation level is corrected, too.

    Raises
    ------
    ParameterError
        If nothing says how to correct, or an amplifier has no curve; if no bias was
        subtracted, or a dark or flat applied already; if the frame was corrected
        before, unless it is to be done again.
    UnitError
        If the frame is not in adu.

    Notes
    -----
    The variance is multiplied by the square of the slope of the correction. What of it
    `add_variance` made of the counts, as that of photons, is made of the true counts
    instead, since that is what photons there were.
    """
    given = _Given(coefficients, scale or 1.0, gives == "measured", points, limit)
    key, card = applied_card(ndd, "linearity curve", again=again)
    require_counts(
        ndd,
        "correct_nonlinearity",
        "non-linearity depends on the counts above the bias",
        before=("dark", "pixel flat", "illumination"),
    )
    ndd = image_of(ndd)
    amplifiers = readouts(ndd, instrument=instrument)
    data = np.array(ndd.data, np.float64)
    slope = np.ones(ndd.shape)
    covered = np.zeros(ndd.shape, np.bool_)
    photons = np.zeros(ndd.shape) if has_photon_noise(ndd) else None
    beyond = np.zeros(ndd.shape, np.bool_)
    done = []
    for readout in amplifiers:
        curve = given.curve(readout)
        covered[readout.data] = True
        measured = data[readout.data]
        true, slope[readout.data] = curve.correct(measured)
        beyond[readout.data] = measured > curve.limit
        if photons is not None:
            photons[readout.data] = _photons(readout, true, measured, curve)
        data[readout.data] = true
        done.append(_corrected(readout, curve))
    if not covered.all():
        msg = "not all pixels belong to an amplifier; trim the frame first"
        raise ParameterError(msg)
    variance = None
    if ndd.variance is not None:
        variance = np.asarray(ndd.variance, np.float64) * slope**2
        variance = variance if photons is None else variance + photons
        variance = narrowed(variance, np.dtype("f4"))
    result = ndd.replace(
        data=data.astype(np.result_type(ndd.dtype, np.float32), copy=False),
        variance=variance,
        flags=flags_with(ndd, (beyond, Flag.NONLINEAR)),
        unit=ndd.unit or u.adu,
    )
    keep_digitisation_step(ndd, result)
    stamp(result.meta, done)
    result.meta[key] = card
    where = "" if ndd.ident is None else f"[{ndd.ident}]"
    change = np.nanmax(np.abs(data - np.asarray(ndd.data))) if data.size else 0.0
    qc(**{
        f"beyond_linear_range{where}": int(beyond.sum()),
        f"largest_correction{where}": float(change) * u.adu,
    })  # fmt: skip
    return result


@dataclass(frozen=True)
class _Given:
    """How the amplifiers of a frame are corrected, as the call or the TOML says."""

    coefficients: Polynomials | None
    scale: float
    is_inverse: bool
    points: Points | None
    limit: Limits | None

    def __post_init__(self) -> None:
        if (self.coefficients is None) == (self.points is None):
            both = "both coefficients= and points= say"
            msg = (
                f"{both if self.points is not None else 'nothing says'} how the "
                "non-linearity is corrected: give one of coefficients= and points=, or "
                "write one into the TOML of the instrument under "
                "[steps.correct_nonlinearity]"
            )
            raise ParameterError(msg)

    def curve(self, readout: Readout) -> Curve:
        """Make the curve of an amplifier."""
        end = None
        if self.limit is not None:
            end = _of_amplifier(self.limit, readout, "limit")
        try:
            if self.points is not None:
                points = _of_amplifier(self.points, readout, "points")
                return curve_of_points(points, limit=end)
            assert self.coefficients is not None
            return curve_of_polynomial(
                _of_amplifier(self.coefficients, readout, "coefficients"),
                scale=self.scale,
                is_inverse=self.is_inverse,
                limit=end,
            )
        except ValueError as err:
            msg = f"amplifier {readout.name}: {err}"
            raise ParameterError(msg) from err


def _of_amplifier(given: T | Mapping[str, T], readout: Readout, what: str) -> T:
    """Take the value of an amplifier, from one for all or from a mapping by name."""
    if not isinstance(given, Mapping):
        return given
    if readout.name not in given:
        msg = (
            f"{what} has {', '.join(given)}, but not the amplifier {readout.name} of "
            "this frame"
        )
        raise ParameterError(msg)
    return given[readout.name]


def _photons(
    readout: Readout,
    true: npt.NDArray[np.float64],
    measured: npt.NDArray[np.float64],
    curve: Curve,
) -> Any:
    """Give the variance of photons that is missing once it was scaled by the slope."""
    if not readout.gain:
        msg = (
            f"the gain of amplifier {readout.name}, by which the variance of this "
            "frame was made, is not known; use add_variance after correct_nonlinearity"
        )
        raise ParameterError(msg)
    slope = curve.slope(np.clip(measured, 0.0, curve.limit))
    counted = np.maximum(measured, 0) * slope**2
    return (np.maximum(true, 0) - counted) / readout.gain


def _corrected(readout: Readout, curve: Curve) -> Readout:
    """Correct what is known of an amplifier in the counts of the frame."""
    saturation = readout.saturation
    if saturation is not None:
        saturation = round(float(curve.correct(saturation)[0]), 2)
    slope = float(curve.slope(np.zeros(1))[0])
    return replace(with_scaled_errors(readout, slope), saturation=saturation)
