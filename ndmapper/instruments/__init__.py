"""
Instruments: one TOML each, and what can be asked of it.

To add an instrument, write ``<name>.toml`` in this folder: how its files are
recognised and named, which header keywords give the descriptors, how frames are
classified, which calibrations they need and which frames can serve. ``kast.toml`` is
a complete example.
"""

from ndmapper.instruments.loader import filename_regexes, load, names, recognise
from ndmapper.instruments.model import Amplifier, Instrument, Rule

__all__ = [
    "Amplifier",
    "Instrument",
    "Rule",
    "filename_regexes",
    "load",
    "names",
    "recognise",
]
