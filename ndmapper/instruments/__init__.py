"""
Instruments: one TOML each, and what can be asked of it.

To add an instrument, write ``<name>.toml`` in this folder: how its files are
recognised and named, which header keywords give the descriptors, how frames are
classified, which calibrations they need and which frames can serve. ``kast.toml`` is
a complete example.
"""

from ndmapper.instruments.conventions import (
    FlagBit,
    FlagTable,
    flag_conventions,
    load_flags,
    recognise_flags,
)
from ndmapper.instruments.loader import filename_regexes, load, names, recognise
from ndmapper.instruments.model import Amplifier, Instrument
from ndmapper.instruments.rules import Rule

__all__ = [
    "Amplifier",
    "FlagBit",
    "FlagTable",
    "Instrument",
    "Rule",
    "filename_regexes",
    "flag_conventions",
    "load",
    "load_flags",
    "names",
    "recognise",
    "recognise_flags",
]
