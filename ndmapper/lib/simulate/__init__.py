"""
A night of raw frames that were never taken, and the truth about them.

`simulate_night` writes bias frames, flats and dithered science frames of a camera with
several amplifiers, each in an extension of its own with an overscan; the instrument
``simcam`` describes it. They show what real frames show: drifting bias levels, bias
structure, pixels of different sensitivity, dust, vignetting, a bad column, cosmic rays
and a saturated star. The same `Night` gives the same files.

`simulate_hawki_darks`, `simulate_hawki_stars` and `simulate_muse` write raw frames that
the recipes of ESO's pipelines reduce within a second.
"""

from ndmapper.lib.simulate.hawki import simulate_hawki_darks, simulate_hawki_stars
from ndmapper.lib.simulate.muse import MuseDetector, simulate_muse
from ndmapper.lib.simulate.night import Night, Truth, simulate_night

__all__ = [
    "MuseDetector",
    "Night",
    "Truth",
    "simulate_hawki_darks",
    "simulate_hawki_stars",
    "simulate_muse",
    "simulate_night",
]
