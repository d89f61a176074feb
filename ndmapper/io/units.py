"""
The units of headers: those of the FITS standard, and common other spellings.

Astropy parses what it or the standard knows. Any other text is translated word by word
by a table of spellings, and not understood if one of its words is not in the table. The
case of letters is never changed to get a unit: DU is no atomic mass.
"""

import functools
import logging
import re
import warnings
from collections.abc import Mapping
from typing import Any

from astropy import units as u

from ndmapper.io.cards import UnreadableCardError

__all__ = ["says_nothing", "unit_from_text", "unit_of", "unit_to_text", "unit_words"]

log = logging.getLogger(__name__)

_WORDS = {
    "electron": "E E- ELECTRON ELECTRONS EL ELECS",
    "ct": "CT CTS COUNT COUNTS CNT CNTS",
    "adu": "ADU ADUS",
    "DN": "DN DNS",
    "ph": "PH PHOTON PHOTONS",
    "pix": "PIX PIXEL PIXELS PIXS",
    "beam": "BEAM BEAMS BM",
    "s": "S SEC SECS SECOND SECONDS",
    "min": "MIN MINUTE MINUTES",
    "h": "HR HRS HOUR HOURS",
    "K": "K KELVIN KELVINS",
    "Jy": "JY JANSKY JANSKYS",
    "sr": "SR STERADIAN STERADIANS",
    "erg": "ERG ERGS",
    "W": "W WATT WATTS",
    "J": "JOULE JOULES",
    "Hz": "HZ HERTZ",
    "cm": "CM",
    "m": "M METER METERS METRE METRES",
    "km": "KM",
    "um": "UM MICRON MICRONS MICROMETER MICROMETERS",
    "nm": "NM NANOMETER NANOMETERS",
    "Angstrom": "ANG ANGS ANGSTROM ANGSTROMS ANGSTROEM AA",
    "arcsec": "ARCSEC ARCSECS ASEC ARCSECOND ARCSECONDS",
    "arcmin": "ARCMIN ARCMINS ARCMINUTE ARCMINUTES",
    "deg": "DEG DEGREE DEGREES",
    "mag": "MAG MAGS MAGNITUDE MAGNITUDES",
    "mgy": "MGY MAGGY MAGGIES",
    "nmgy": "NMGY NANOMAGGY NANOMAGGIES",
}
_WORD_OF = {word: unit for unit, words in _WORDS.items() for word in words.split()}

_WHOLE = {
    "CPS": "ct / s",
    # Of the infrared sky; elsewhere MJY may be a thousandth, and is not understood.
    "MJY/SR": "MJy / sr",
    "MJY SR-1": "MJy / sr",
    "DIMENSIONLESS": "",
    "UNITLESS": "",
    "PERCENT": "%",
    "FLAM": "erg / (s cm2 Angstrom)",
    "FLAM16": "1e-16 erg / (s cm2 Angstrom)",
    "FNU": "erg / (s cm2 Hz)",
}

_NOTHING = {"NONE", "N/A", "NA", "UNKNOWN", "UNDEFINED", "NULL", "-", "--", "?"}
"""Texts that say that there is no unit."""

_LEADING = re.compile(
    r"\s*(?:10\s*(?:\*\*|\^)\s*(?:\(\s*([-+]?\d+)\s*\)|([-+]?\d+))"
    r"|10([-+]\d+)|(\d*\.?\d+(?:[eE][-+]?\d+)?))(?=[\s*.a-zA-Z(])\s*[*.]?\s*"
)
"""A factor before the unit, as 10**(-20)* or 1E-17."""

# A word, with the sign of "e-" unless that is the sign of an exponent.
_WORD = re.compile(r"[eE]-(?!\s*\d)|[^\W\d_]+_?[^\W\d_]*|%")

_POWER = re.compile(
    r"(?:\((?P<inside>.*)\)\s*(?:\*\*|\^)?|(?P<word>\w+)\s*(?:\*\*|\^))"
    r"\s*\(?(?P<power>-?\d+)\)?"
)
"""A power of all that stands before it."""

_COUNTED = re.compile(
    r"(?i:\b(?:erg|ergs|photons?|phot|ph|counts?|cts?|adus?|dn|electrons?|e-"
    r"|maggies|nanomaggies)(?![a-z]))|\b[WJ]\b"
)
_ONE_LETTER = re.compile(r"(?<![A-Za-z])[AS](?![A-Za-z])")
# Never divided by currents or conductances.
_LETTERS = {"A": "Angstrom", "S": "s"}


def unit_words(header: Mapping[str, Any]) -> str:
    """Return BUNIT as text; empty where there is none."""
    try:
        text = str(header.get("BUNIT") or "").strip()
    except UnreadableCardError:
        return ""
    return "" if says_nothing(text) else text


def unit_of(header: Mapping[str, Any]) -> u.UnitBase | None:
    """Parse BUNIT."""
    text = unit_words(header)
    unit = unit_from_text(text) if text else None
    if text and unit is None:
        log.debug("the unit %r is not understood; it stays in the header", text)
    return unit


@functools.lru_cache(maxsize=1024)
def unit_from_text(text: str) -> Any:
    """Parse a unit as headers spell it; None if it is not understood."""
    text = " ".join(text.split())
    if len(text) > 1 and text[0] + text[-1] in ("[]", "()"):
        text = text[1:-1].strip()
    if not text or text.upper() in _NOTHING:
        return None
    # In small letters MJY is a millijansky as well.
    whole = _WHOLE.get(text if text.upper().startswith("MJY") else text.upper())
    if whole is not None:
        return u.Unit(whole)
    if text.upper() in _WORD_OF and not _parsed(text):
        return u.Unit(_WORD_OF[text.upper()])
    # In these the standard's ampere is an Angstrom, and its siemens a second.
    is_counted = bool(_COUNTED.search(text))
    if not (is_counted and _ONE_LETTER.search(text)):
        # What is all in capitals is taken word by word, since K KM/S is not in siemens.
        known = _parsed(text, "fits") if _is_capital(text) else _parsed(text)
        if known is not None:
            return known
    return _spelt(text, is_counted) or _power(text)


def says_nothing(text: str) -> bool:
    """Whether a text stands for no unit."""
    return not text.strip() or text.strip().upper() in _NOTHING


def unit_to_text(unit: Any) -> str:
    """Format a unit by the FITS standard, or else as astropy does."""
    # Units that are equal may be written in different ways.
    return _formatted(unit, str(unit))


@functools.lru_cache(maxsize=64)
def _formatted(unit: Any, _text: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return str(unit.to_string("fits"))
        except ValueError:
            return str(unit.to_string())


def _power(text: str) -> Any:
    """Parse a power of something in brackets, at which the other ways fail."""
    match = _POWER.fullmatch(text)
    if match is None:
        return None
    base = unit_from_text(match["inside"] or match["word"])
    return None if base is None else base ** int(match["power"])


def _is_capital(text: str) -> bool:
    words = _WORD.findall(text)
    return len(words) > 1 and all(word.isupper() for word in words)


def _parsed(text: str, *forms: str) -> Any:
    """Parse by astropy; None if that fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for form in forms or ("fits", "generic"):
            try:
                return u.Unit(text, format=form)
            # Some texts make its parser stumble.
            except (ValueError, TypeError, AttributeError, ZeroDivisionError):
                continue
    return None


def _spelt(text: str, is_counted: bool) -> Any:
    """Parse word by word."""
    factor = 1.0
    if match := _LEADING.match(text):
        powers, number = match.groups()[:3], match[4]
        power = next((p for p in powers if p is not None), None)
        factor = float(f"1e{power}") if power is not None else float(number)
        text = text[match.end() :]
    capital = _is_capital(text)
    unknown = []

    def named(match: re.Match[str]) -> str:
        word = match[0]
        if word.lower() == "per":
            return "/"
        if is_counted and word in _LETTERS:
            return _LETTERS[word]
        found = _WORD_OF.get(word.upper())
        if not capital and _parsed(word) is not None:
            return word  # where both are understood astropy is right
        if found is None:
            unknown.append(word)
        return found or word

    made = _WORD.sub(named, text)
    if unknown:
        return None
    unit = _parsed(made, "generic")
    if unit is None or factor == 1:
        return unit
    try:
        return u.Unit(factor * unit)
    except (ValueError, TypeError):  # logarithmic ones take no factor
        return None
