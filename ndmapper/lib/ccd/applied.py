"""
Which corrections a frame has had, so that none is applied twice by mistake.

Each is counted in a card of the extension: APPBIAS, APPXTALK (crosstalk), APPLIN
(non-linearity), APPDARK, APPFLAT (pixel flat), APPILLUM (illumination) and APPFRNG
(fringes). 0 means that there was none to apply.
"""

import logging
from collections.abc import Sequence
from typing import Any

from astropy import units as u

from ndmapper.data import NDLater
from ndmapper.errors import InstrumentError, ParameterError, UnitError

__all__ = [
    "applied_card",
    "mark_none",
    "require_counts",
    "times_applied",
    "warn_without_bias",
]

log = logging.getLogger(__name__)

_CARDS = {
    "bias": ("APPBIAS", "biases subtracted"),
    "crosstalk table": ("APPXTALK", "crosstalk tables subtracted by"),
    "linearity curve": ("APPLIN", "linearity curves corrected by"),
    "dark": ("APPDARK", "darks subtracted"),
    "pixel flat": ("APPFLAT", "pixel flats divided by"),
    "illumination": ("APPILLUM", "illumination corrections divided by"),
    "fringes": ("APPFRNG", "fringe frames subtracted"),
}


def times_applied(header: Any, kind: str) -> int | None:
    """Tell how often a correction was applied; None where no step had to do with it."""
    key, _ = _CARDS[kind]
    found = header.get(key)
    if found is not None and (type(found) is not int or found < 0):
        msg = f"{key} = {found!r} is no number of corrections: expected 0, 1, ..."
        raise InstrumentError(msg)
    return found


def applied_card(ndd: NDLater, kind: str, *, again: bool = False) -> tuple[str, Any]:
    """
    Give the card that counts a correction which is about to be applied to a frame.

    Raises
    ------
    ParameterError
        If it was applied before, unless it is to be applied again.
    """
    key, comment = _CARDS[kind]
    before = times_applied(ndd.meta, kind) or 0
    if before and not again:
        msg = (
            f"this frame was corrected by a {kind} already ({key} = {before}); "
            "again=True does it again"
        )
        raise ParameterError(msg)
    return key, (before + 1, comment)


def mark_none(ndd: NDLater, kind: str) -> NDLater:
    """Copy a frame, noting that there was nothing of a kind to correct it by."""
    result: NDLater = ndd.copy()
    key, comment = _CARDS[kind]
    result.meta[key] = (times_applied(ndd.meta, kind) or 0, comment)
    return result


def warn_without_bias(ndd: NDLater, so_that: str) -> None:
    """Warn that no step has subtracted a bias, nor was told that there is none."""
    if times_applied(ndd.meta, "bias") is None:
        log.warning(
            "no bias was subtracted from this frame, so that %s; use subtract_bias "
            "before, with bias=None if there is none",
            so_that,
        )


def require_counts(
    ndd: NDLater, step: str, because: str, *, before: Sequence[str]
) -> None:
    """
    Refuse a frame whose numbers are not yet, or no longer, counts above the bias.

    Raises
    ------
    ParameterError
        If no bias was subtracted, nor told that there is none, or a correction was
        applied that the step comes before.
    UnitError
        If the frame is not in adu.
    """
    if ndd.unit is not None and ndd.unit != u.adu:
        msg = (
            f"{because}, in adu, but the frame is in {ndd.unit}; use {step} before "
            "correct_gain"
        )
        raise UnitError(msg)
    if times_applied(ndd.meta, "bias") is None:
        msg = (
            f"no bias was subtracted from this frame, but {because}; use subtract_bias "
            "before, with bias=None if there is none"
        )
        raise ParameterError(msg)
    for kind in before:
        if times_applied(ndd.meta, kind):
            msg = (
                f"this frame was corrected by a {kind} already, so that its counts are "
                f"not those that were measured; use {step} before, for the frames of "
                "which calibrations are made, too"
            )
            raise ParameterError(msg)
