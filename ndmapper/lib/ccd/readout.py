"""
What is known of the amplifiers of a frame, from the raw frame to the product.

Raw frames say it in keywords of their own, or the instrument's TOML does (see
`ndmapper.instruments.amplifiers`). The first step that needs it writes it to the header
of the extension, one card per amplifier n and fact, and the steps that follow read
those:

======== ========================================================================
AMPNAMn  name of the amplifier
AMPSECn  its pixels in this array, as ``[x1:x2,y1:y2]``, from 1
OVSCSECn its overscan in this array, until the frame is trimmed
GAINn    its gain [electron/adu]; 1 when the frame is in electrons
GAINCORn the gain that the frame was multiplied by [electron/adu]
RDNOISEn its read noise [electron]
SATURn   the level at which it saturates [unit of the frame]
OVSCLEVn the overscan level that was subtracted, its mean along the readout [adu]
OVSCERRn the standard error of that level [unit of the frame]
BIASERRn that of the level of the bias that was subtracted [unit of the frame]
======== ========================================================================

ADCSTEP, without a number, is the step of the digitisation [adu]: 1 where the raw frame
has integers. It is written when these become floating-point numbers.
"""

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.data import NDLater
from ndmapper.data.detector import AMPLIFIER_CARDS, amplifier_card, amplifier_numbers
from ndmapper.errors import InstrumentError, ParameterError, ShapeError
from ndmapper.instruments import LIMITS, Amplifier, why_not
from ndmapper.numerics.sections import format_section, intersect, parse_section
from ndmapper.steps import InstrumentTable, table_facts

__all__ = [
    "Readout",
    "digitisation_step",
    "image_of",
    "keep_digitisation_step",
    "pixel_map",
    "readouts",
    "saturated_pixels",
    "stamp",
]

log = logging.getLogger(__name__)

Section = tuple[slice, ...]


@dataclass(frozen=True, kw_only=True)
class Readout:
    """
    One amplifier and its part of an array.

    Parameters
    ----------
    name : str
        Name of the amplifier.
    data : tuple of slice
        Its pixels in the array as it is now, in array order ``(ny, nx)``.
    overscan : tuple of slice or None
        Its overscan pixels; None where there are none, or no longer.
    gain : float or None
        Gain [electron/adu]; None where it is not known.
    applied_gain : float or None
        Gain that the array was multiplied by [electron/adu].
    read_noise : float or None
        Read noise [electron].
    saturation : float or None
        Level from which pixels are saturated [unit of the array].
    level : float or None
        Mean overscan level that was subtracted [adu].
    level_error : float
        Standard error of that level [unit of the array].
    bias_error : float or None
        That of the level of the bias that was subtracted [unit of the array].
    unknown : mapping of str to str
        Why a value is not known, though it was looked for.
    """

    name: str
    data: Section
    overscan: Section | None = None
    gain: float | None = None
    applied_gain: float | None = None
    read_noise: float | None = None
    saturation: float | None = None
    level: float | None = None
    level_error: float = 0.0
    bias_error: float | None = None
    unknown: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)


_SECTIONS = {"AMPSEC": "data", "OVSCSEC": "overscan"}
_NUMBERS = {"gain", "applied_gain", "read_noise", "level"}
_FACTS = dict(
    zip(
        AMPLIFIER_CARDS,
        (
            ("name", "name of amplifier {n}"),
            ("data", "pixels of amplifier {n}"),
            ("overscan", "overscan of amplifier {n}"),
            ("gain", "[electron/adu] gain of amplifier {n}"),
            ("applied_gain", "[electron/adu] gain that was applied"),
            ("read_noise", "[electron] read noise of amplifier {n}"),
            ("saturation", "saturation level of amplifier {n}"),
            ("level", "[adu] overscan level of amplifier {n}"),
            ("level_error", "error of that level"),
            ("bias_error", "error of the level of the bias"),
        ),
        strict=True,
    )
)


def image_of(ndd: NDLater) -> NDLater:
    """
    Give an image its two axes, where further ones have one pixel (NAXIS3 = 1).

    Parameters
    ----------
    ndd : NDLater
        The extension of a frame.

    Returns
    -------
    NDLater
        The same, or the only plane of it.

    Raises
    ------
    ShapeError
        If the array is no image.
    """
    if ndd.ndim > 2 and set(ndd.shape[:-2]) == {1}:
        return ndd[(0,) * (ndd.ndim - 2)]
    if ndd.ndim != 2:
        msg = (
            f"amplifiers are parts of an image, which has 2 axes, but this array has "
            f"{ndd.ndim} (shape {ndd.shape}); take an image out of it first"
        )
        raise ShapeError(msg)
    return ndd


def readouts(
    ndd: NDLater, *, instead: str = "", instrument: InstrumentTable = None
) -> list[Readout]:
    """
    List the amplifiers of an extension.

    Parameters
    ----------
    ndd : NDLater
        The extension of a raw frame or of a product.
    instead : str
        What the user may give to the step instead, for the error.
    instrument : str, path or TableFacts, optional
        The name of an instrument or the path of its TOML, or what a step was handed for
        it; by default ``config['instrument']``, else the primary header tells.

    Returns
    -------
    list of Readout
        From the cards that `stamp` wrote, else from the header or the instrument's
        TOML. A raw frame without any section has one amplifier, the whole image.

    Raises
    ------
    InstrumentError
        If neither knows, or a section lies outside the array or in another's.
    ShapeError
        If the array has not two axes.
    """
    ndd = image_of(ndd)
    header = ndd.meta
    found = [_from_cards(header, n) for n in amplifier_numbers(header)]
    if found:
        for readout in found:
            for section in (readout.data, readout.overscan):
                _check_inside(section, ndd.shape, readout.name)
        return _explained(found, ndd, instrument)
    facts = table_facts(ndd, instrument)
    known = facts.of(ndd)
    if not known:
        msg = (
            f"nothing is known of the amplifiers of an image of shape {ndd.shape} "
            f"({facts.why_none(ndd)}); describe them in the TOML of the "
            f"instrument{f', or give {instead}' if instead else ''}"
        )
        raise InstrumentError(msg)
    for remark in dict.fromkeys(r for amplifier in known for r in amplifier.remarks):
        log.warning("%s: %s", facts.filename or "this frame", remark)
    found = [_from_instrument(amplifier) for amplifier in known]
    for readout in found:
        for section in (readout.data, readout.overscan):
            _check_inside(section, ndd.shape, readout.name)
    _check_apart(found)
    return found


def stamp(header: Any, amplifiers: Sequence[Readout]) -> None:
    """
    Write what is known of the amplifiers to a header.

    Parameters
    ----------
    header : Header
        Header of the extension; cards of other amplifiers that are there go.
    amplifiers : sequence of Readout
        The amplifiers.
    """
    for n in amplifier_numbers(header):
        for stem in _FACTS:
            header.remove(amplifier_card(stem, n), ignore_missing=True)
    for n, readout in enumerate(amplifiers, start=1):
        for stem, (field, comment) in _FACTS.items():
            value = getattr(readout, field)
            if stem in _SECTIONS and value is not None:
                value = format_section(value)
            if value is not None and (stem != "OVSCERR" or readout.level is not None):
                header[amplifier_card(stem, n)] = (value, comment.format(n=n))


_STEP = "ADCSTEP"


def digitisation_step(ndd: NDLater) -> float:
    """Give the step of the digitisation [adu]; 0 where it is not known to have one."""
    header = ndd.meta
    if np.issubdtype(ndd.dtype, np.integer):
        return 1.0
    if _STEP not in header and header.get("BITPIX", 0) > 0 and "BSCALE" in header:
        return abs(float(header["BSCALE"]))  # integers that were scaled when read
    step = header.get(_STEP, 0.0)
    if isinstance(step, bool) or not isinstance(step, int | float) or step < 0:
        msg = f"{_STEP} = {step!r} is no step of a digitisation: expected a number >= 0"
        raise InstrumentError(msg)
    return float(step)


def keep_digitisation_step(ndd: NDLater, result: NDLater) -> None:
    """Note in the header of a result that its numbers were integers once."""
    step = digitisation_step(ndd)
    if step and np.issubdtype(result.dtype, np.inexact):
        result.meta[_STEP] = (step, "[adu] step of the digitisation")


def _from_cards(header: Mapping[str, Any], n: int) -> Readout:
    facts = {
        field: header[amplifier_card(stem, n)]
        for stem, (field, _) in _FACTS.items()
        if amplifier_card(stem, n) in header
    }
    for stem, field in _SECTIONS.items():
        if field in facts:
            facts[field] = _section(facts[field], amplifier_card(stem, n))
    for stem, (field, _) in _FACTS.items():
        if field in _NUMBERS and field in facts:
            _check_number(field, amplifier_card(stem, n), facts[field])
    return Readout(**{"name": str(n), **facts})


def _check_number(field: str, card: str, value: Any) -> None:
    """Check that a card of our own has a number, since users may edit it."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    why = "expected a number"
    if is_number:
        why = why_not(field, value) or "" if field in LIMITS else ""
    if why:
        msg = f"{card} = {value!r} is no {field.replace('_', ' ')}: {why}"
        raise InstrumentError(msg)


def _explained(
    found: list[Readout], ndd: NDLater, instrument: InstrumentTable
) -> list[Readout]:
    """Say why a value that is needed now is not known."""
    if all(None not in (r.gain, r.read_noise) for r in found):
        return found
    try:
        known = table_facts(ndd, instrument).of(ndd)
    except InstrumentError:
        return found
    unknown = known[0].unknown if known else {}
    return [replace(readout, unknown=unknown) for readout in found]


def _from_instrument(amplifier: Amplifier) -> Readout:
    overscan = amplifier.overscan
    return Readout(
        name=amplifier.name,
        data=_section(amplifier.data, f"data section of amplifier {amplifier.name}"),
        overscan=None
        if overscan is None
        else _section(overscan, f"overscan section of amplifier {amplifier.name}"),
        gain=amplifier.gain,
        read_noise=amplifier.read_noise,
        saturation=amplifier.saturation,
        unknown=amplifier.unknown,
    )


def _section(text: str, where: str) -> Section:
    try:
        return parse_section(text)
    except ValueError as err:
        msg = f"{where}: {err}"
        raise InstrumentError(msg) from err


def _check_inside(section: Section | None, shape: tuple[int, ...], name: str) -> None:
    if section is None:
        return
    if len(section) != len(shape) or any(
        s.stop > n for s, n in zip(section, shape, strict=True)
    ):
        msg = (
            f"the section {format_section(section)} of amplifier {name} is not in an "
            f"image of shape {shape}; the description is for another readout geometry"
        )
        raise InstrumentError(msg)


def _check_apart(amplifiers: Sequence[Readout]) -> None:
    """Refuse data sections that overlap an overscan, or one another."""
    parts = [(r, "data", r.data) for r in amplifiers]
    parts += [(r, "overscan", r.overscan) for r in amplifiers if r.overscan is not None]
    for (one, what, first), (other, which, second) in combinations(parts, 2):
        # Several amplifiers may share an overscan.
        if "data" in (what, which) and intersect(first, second) is not None:
            msg = (
                f"the {what} section {format_section(first)} of amplifier {one.name} "
                f"overlaps the {which} section {format_section(second)} of amplifier "
                f"{other.name}; correct the cards or the TOML that say so"
            )
            raise InstrumentError(msg)


def with_scaled_errors(readout: Readout, factor: float) -> Readout:
    """Multiply the errors of the levels of an amplifier, as its counts are."""
    bias = readout.bias_error
    return replace(
        readout,
        level_error=round(readout.level_error * factor, 5),
        bias_error=None if bias is None else round(bias * factor, 5),
    )


def with_values(amplifiers: Sequence[Readout], **values: float | None) -> list[Readout]:
    """
    Let values that a user gave replace those that are known.

    Parameters
    ----------
    amplifiers : sequence of Readout
        The amplifiers.
    **values : float or None
        Field to value; None changes nothing.

    Returns
    -------
    list of Readout
        The amplifiers with these values.
    """
    given: dict[str, Any] = {
        field: value for field, value in values.items() if value is not None
    }
    return [replace(readout, **given) for readout in amplifiers]


def saturated_pixels(
    values: npt.NDArray[Any], amplifiers: Sequence[Readout]
) -> npt.NDArray[np.bool_]:
    """Find pixels that reach the saturation level of their amplifier."""
    found = np.zeros(values.shape, np.bool_)
    for readout in amplifiers:
        if readout.saturation is not None:
            found[readout.data] = values[readout.data] >= readout.saturation
    return found


def pixel_map(
    amplifiers: Sequence[Readout],
    shape: tuple[int, ...],
    value: Callable[[Readout], float | None],
    what: str,
    instead: str = "",
) -> npt.NDArray[np.float32]:
    """
    Spread a fact about the amplifiers over the pixels.

    Parameters
    ----------
    amplifiers : sequence of Readout
        The amplifiers.
    shape : tuple of int
        Shape of the array.
    value : callable
        Takes a readout, returns the number.
    what : str
        What it is, for the error.
    instead : str
        What the user may do, for the error; by default, give the parameter of the step
        that is called so.

    Returns
    -------
    ndarray of float32
        The number of each pixel's amplifier; of one shape with the array, or of shape
        ``(1, 1)`` where all pixels have the same.

    Raises
    ------
    ParameterError
        If an amplifier has no such number, or pixels belong to no amplifier.
    """
    numbers = [value(readout) for readout in amplifiers]
    for readout, number in zip(amplifiers, numbers, strict=True):
        if number is None:
            name = what.replace(" ", "_")
            why = readout.unknown.get(name)
            msg = (
                f"the {what} of amplifier {readout.name} is not known"
                f"{f': {why}' if why else ''}; {instead or f'give {name}='}, or "
                "describe it in the TOML of the instrument"
            )
            raise ParameterError(msg)
    whole = tuple(slice(0, n) for n in shape)
    is_one = [readout.data for readout in amplifiers] == [whole]
    out = np.full((1,) * len(shape) if is_one else shape, np.nan, np.float32)
    for readout, number in zip(amplifiers, numbers, strict=True):
        out[readout.data] = number
    if np.isnan(out).any():
        msg = (
            f"not all pixels of an image of shape {shape} belong to an amplifier with "
            f"a known {what}; trim the frame first"
        )
        raise ParameterError(msg)
    same = out.flat[0]
    return out[(slice(1),) * len(shape)] if (out == same).all() else out
