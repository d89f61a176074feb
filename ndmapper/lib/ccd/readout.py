"""
What is known of the amplifiers of a frame, from the raw frame to the product.

Raw frames say it in keywords of their own, or the instrument's TOML does. The first
step that needs it writes it to the header of the extension, one card per amplifier n
and fact, and the steps that follow read those:

======== ========================================================================
AMPNAMn  name of the amplifier
AMPSECn  its pixels in this array, as ``[x1:x2,y1:y2]``, from 1
OVSCSECn its overscan in this array, until the frame is trimmed
GAINn    its gain [electron/adu]; 1 when the frame is in electrons
RDNOISEn its read noise [electron]
SATURn   the level at which it saturates [unit of the frame]
OVSCLEVn the overscan level that was subtracted, its mean along the readout [adu]
OVSCERRn the standard error of that level [unit of the frame]
======== ========================================================================
"""

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.data import NDLater
from ndmapper.data.detector import AMPLIFIER_CARDS, amplifier_card, amplifier_numbers
from ndmapper.errors import InstrumentError, ParameterError, ShapeError
from ndmapper.instruments import Amplifier, load, recognise
from ndmapper.numerics.sections import format_section, parse_section

__all__ = ["Readout", "pixel_map", "readouts", "stamp"]

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
        Gain [electron/adu]; None where nobody knows it.
    read_noise : float or None
        Read noise [electron].
    saturation : float or None
        Level from which pixels are saturated [unit of the array].
    level : float or None
        Mean overscan level that was subtracted [adu].
    level_error : float
        Standard error of that level [unit of the array].
    """

    name: str
    data: Section
    overscan: Section | None = None
    gain: float | None = None
    read_noise: float | None = None
    saturation: float | None = None
    level: float | None = None
    level_error: float = 0.0


_SECTIONS = {"AMPSEC": "data", "OVSCSEC": "overscan"}
_FACTS = dict(
    zip(
        AMPLIFIER_CARDS,
        (
            ("name", "name of amplifier {n}"),
            ("data", "pixels of amplifier {n}"),
            ("overscan", "overscan of amplifier {n}"),
            ("gain", "[electron/adu] gain of amplifier {n}"),
            ("read_noise", "[electron] read noise of amplifier {n}"),
            ("saturation", "saturation level of amplifier {n}"),
            ("level", "[adu] overscan level of amplifier {n}"),
            ("level_error", "error of that level"),
        ),
        strict=True,
    )
)


def readouts(ndd: NDLater, *, instead: str = "") -> list[Readout]:
    """
    List the amplifiers of an extension.

    Parameters
    ----------
    ndd : NDLater
        The extension of a raw frame or of a product.
    instead : str
        What the user may give to the step instead, for the error.

    Returns
    -------
    list of Readout
        From the cards that `stamp` wrote, else from the instrument that the primary
        header names.

    Raises
    ------
    InstrumentError
        If neither knows, or a section lies outside the array.
    ShapeError
        If the array has not two axes.
    """
    if ndd.ndim != 2:
        msg = (
            f"amplifiers are parts of an image, which has 2 axes, but this array has "
            f"{ndd.ndim} (shape {ndd.shape}); take an image out of it first"
        )
        raise ShapeError(msg)
    header = ndd.meta
    found = [_from_cards(header, n) for n in amplifier_numbers(header)]
    if not found:
        primary = header if ndd.primary_meta is None else ndd.primary_meta
        # Of a camera that nobody described, the usual keywords may say enough.
        instrument = recognise(primary) or load("ccd")
        # An image that was not read from a file has no NAXISn in its header.
        axes = {f"NAXIS{n}": size for n, size in enumerate(reversed(ndd.shape), 1)}
        described = ChainMap(axes, header)
        known = instrument.amplifiers(primary, described)
        if not known:
            msg = (
                f"nothing is known of the amplifiers of an image of shape {ndd.shape} "
                f"(instrument {instrument.name}); describe them in the TOML of the "
                f"instrument{f', or give {instead}' if instead else ''}"
            )
            raise InstrumentError(msg)
        found = [_from_instrument(amplifier) for amplifier in known]
    for readout in found:
        for section in (readout.data, readout.overscan):
            _check_inside(section, ndd.shape, readout.name)
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


def _from_cards(header: Mapping[str, Any], n: int) -> Readout:
    facts = {
        field: header[amplifier_card(stem, n)]
        for stem, (field, _) in _FACTS.items()
        if amplifier_card(stem, n) in header
    }
    for stem, field in _SECTIONS.items():
        if field in facts:
            facts[field] = _section(facts[field], amplifier_card(stem, n))
    return Readout(**{"name": str(n), **facts})


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


def pixel_map(
    amplifiers: Sequence[Readout],
    shape: tuple[int, ...],
    value: Callable[[Readout], float | None],
    what: str,
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
            msg = (
                f"the {what} of amplifier {readout.name} is not known; give it to the "
                "step or describe it in the TOML of the instrument"
            )
            raise ParameterError(msg)
    out = np.full(shape, np.nan, np.float32)
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
