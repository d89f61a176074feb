"""What the TOML of an instrument states of a slit spectrograph."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from ndmapper.instruments.functions import HeaderPair

__all__ = ["SPECTROGRAPH_KEYS", "check_spectrograph", "read_keywords"]


def check_spectrograph(given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Check the keys of ``[spectrograph]``; ValueError names the key.

    Also what a call of a step gives as ``spectrograph=`` is checked here.
    """
    checked = {}
    for key, value in given.items():
        if key not in _CHECKS:
            known = ", ".join(_CHECKS)
            msg = f"there is no key {key!r}; known are {known}"
            raise ValueError(msg)
        is_right, expected = _CHECKS[key]
        if not is_right(value):
            msg = f"{key} has to be {expected}, found {value!r}"
            raise ValueError(msg)
        checked[key] = value
    return checked


def read_keywords(given: Mapping[str, Any], headers: HeaderPair) -> dict[str, Any]:
    """Replace the keywords that ``[spectrograph]`` names by the values of a header."""
    found = dict(given)
    for key in _OF_HEADER:
        given_as = found.get(key)
        if isinstance(given_as, str | Mapping):
            named = {"key": given_as} if isinstance(given_as, str) else given_as
            value = _number(headers.get(named["key"]))
            if value is not None:
                value *= _IN_ANGSTROM[named.get("unit", "Angstrom")]
            # A card of no use, such as a width of 0, says nothing.
            if value is None or not _CHECKS[key][0](value):
                del found[key]
            else:
                found[key] = value
    if "binning" in found and (binning := _binning(found.pop("binning"), headers)):
        found["binning"] = binning
    return found


def _binning(keys: Any, headers: HeaderPair) -> list[int] | None:
    """Read the binning along x and y; a card may hold both, such as '2 1' or '2x1'."""
    if all(isinstance(key, int) for key in keys):
        return list(keys)
    texts = [str(headers.get(key) or "") for key in keys]
    words = " ".join(texts).replace("x", " ").replace("X", " ").replace(",", " ")
    numbers = [_number(word) for word in words.split()]
    if not numbers or not all(n is not None and n >= 1 for n in numbers):
        return None
    counts = [int(n) for n in numbers if n is not None]
    return (counts * 2)[:2]


def _number(value: Any) -> float | None:
    """Read a number, or the only one in a text such as '2.0 arcsec' or 'slit#1.5'."""
    if isinstance(value, str):
        numbers = _NUMBER.findall(value)
        value = numbers[0] if len(numbers) == 1 else None
    return None if value is None else float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(map(_is_number, value))
        and value[0] < value[1]
    )


def _is_section(value: Any) -> bool:
    return _is_pair(value) and value[0] >= 1 and value[1] < 1e6


def _one_of(*words: str) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: value in words), " or ".join(map(repr, words))


def _is_binning(value: Any) -> bool:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= 2:
        return False
    return all(isinstance(v, str) and v for v in value) or (
        len(value) == 2 and all(type(v) is int and v >= 1 for v in value)
    )


def _is_card_of_wavelength(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value)
    return (
        isinstance(value, Mapping)
        and set(value) == {"key", "unit"}
        and isinstance(value["key"], str)
        and value["unit"] in _IN_ANGSTROM
    )


def _is_site(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and {"longitude", "latitude", "height"} <= set(value)
        and all(_is_number(value[k]) for k in ("longitude", "latitude", "height"))
    )


# Names of slits have a sign before the number that is none: 'Slit-1.0'.
_NUMBER = re.compile(r"(?:(?<![\w)])[-+])?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_IN_ANGSTROM = {"Angstrom": 1.0, "nm": 10.0, "um": 1e4}
_SECTION = "two numbers [first, last], the first less than the last"
_NUMBER_OR_KEY = "a positive number, or the header keyword that has it"
_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "dispersion_axis": _one_of("x", "y"),
    "wavelength": _one_of("rises", "falls"),
    "wavelength_range": (_is_pair, f"{_SECTION} [Angstrom]"),
    "central_wavelength": (
        lambda v: _is_positive(v) or _is_card_of_wavelength(v),
        f"{_NUMBER_OR_KEY} [Angstrom], or a table of its key and its unit, which is "
        f"one of {', '.join(_IN_ANGSTROM)}",
    ),
    "dispersion": (_is_positive, "Angstrom for each unbinned pixel"),
    "lines": (
        lambda v: (
            isinstance(v, list | tuple) and all(isinstance(t, str) and t for t in v)
        ),
        "a list of names of line lists",
    ),
    "slit": (_is_section, f"{_SECTION} [unbinned pixel, from 1]"),
    "gaps": (
        lambda v: isinstance(v, list | tuple) and all(map(_is_section, v)),
        f"a list of {_SECTION} [unbinned pixel, from 1]",
    ),
    "binning": (
        _is_binning,
        "header keywords: of both axes, or of x and of y; or two whole numbers",
    ),
    "pixel_scale": (_is_positive, "arcsec for each unbinned pixel along the slit"),
    "slit_width": (
        lambda v: _is_positive(v) or (isinstance(v, str) and bool(v)),
        f"{_NUMBER_OR_KEY} [arcsec]",
    ),
    "slit_angle": (
        lambda v: _is_number(v) or (isinstance(v, str) and bool(v)),
        "degrees from north to east, or the header keyword that has them",
    ),
    "site": (
        _is_site,
        "a table of longitude and latitude [degree, east positive] and height [m]",
    ),
    "extinction": (
        lambda v: isinstance(v, str) and bool(v),
        "the name of an extinction curve",
    ),
}
SPECTROGRAPH_KEYS = frozenset(_CHECKS)
_OF_HEADER = ("slit_width", "slit_angle", "central_wavelength")
