"""
Instruments: one TOML each, and what can be asked of it.

To add an instrument, write ``<name>.toml`` in this folder: how its files are
recognised and named, which header keywords give the descriptors, how frames are
classified, which calibrations they need and which frames can serve. ``kast.toml`` is
a complete example, and ``nina.toml`` a short one that extends another.

model, rules, conditions, members
    An instrument as frozen data, its rules of calibration, their conditions, and what
    tells the members of a set apart.
descriptors, functions, options, moments
    Values from headers, the functions that make them, and dates and times.
amplifiers, spectrograph, conventions
    Amplifiers of a raw frame; how spectra lie on it; conventions of flags
    (``flags/*.toml``).
loader, from_toml, parse_rules, toml_checks
    Finding the TOML of a file, and parsing it with errors that name the key.
draft, draft_spectrograph, header_sample, toml_text
    A first TOML, drafted from the headers of some frames.
"""

from ndmapper.instruments.amplifiers import LIMITS, Amplifier, why_not
from ndmapper.instruments.conventions import (
    FlagBit,
    FlagTable,
    flag_conventions,
    load_flags,
)
from ndmapper.instruments.loader import (
    chosen,
    filename_regexes,
    has_fixed_amplifiers,
    has_own_tables,
    load,
    names,
    origin_of,
    recognise,
    recognise_flags,
)
from ndmapper.instruments.model import Instrument
from ndmapper.instruments.rules import Rule

__all__ = [
    "LIMITS",
    "Amplifier",
    "FlagBit",
    "FlagTable",
    "Instrument",
    "Rule",
    "chosen",
    "filename_regexes",
    "flag_conventions",
    "has_fixed_amplifiers",
    "has_own_tables",
    "load",
    "load_flags",
    "names",
    "origin_of",
    "recognise",
    "recognise_flags",
    "why_not",
]
