"""
Simulated raw frames, with the truth known.

`simulate_night` writes bias frames, darks, flats and dithered science frames of a
camera with several amplifiers, each in its own extension with an overscan (described by
the instrument ``simcam``), or all in one image; or of a CMOS camera. The frames have
drifting bias levels, bias structure, dark current, pixel-to-pixel sensitivity, dust,
vignetting, a bad column, cosmic rays, satellite trails and a saturated star. The same
`Night` gives the same files.

`simulate_hawki_darks`, `simulate_hawki_stars` and `simulate_muse` write raw frames that
the recipes of ESO's pipelines reduce within a second; `simulate_muse_night` writes a
whole night of MUSE, from biases to two exposures, with the tables that it needs.

`SlitSpectrograph` gives frames of a slit spectrograph: sources and sky, arcs, flats;
`simulate_slit_night` writes those of a night (described by ``simslit``).

night, camera, layouts, sky, stars
    The night, its camera and the form of its files, and what the telescope sees.
slit, slit_night
    A slit spectrograph, whose geometry is known, and a night of it.
hawki, muse, eso
    Frames of ESO instruments, and their primary header.
"""

from ndmapper.lib.simulate.hawki import simulate_hawki_darks, simulate_hawki_stars
from ndmapper.lib.simulate.muse import (
    MuseDetector,
    simulate_muse,
    simulate_muse_night,
)
from ndmapper.lib.simulate.night import Night, Truth, simulate_night
from ndmapper.lib.simulate.slit import SlitScene, SlitSource, SlitSpectrograph
from ndmapper.lib.simulate.slit_night import SlitNight, simulate_slit_night

__all__ = [
    "MuseDetector",
    "Night",
    "SlitNight",
    "SlitScene",
    "SlitSource",
    "SlitSpectrograph",
    "Truth",
    "simulate_hawki_darks",
    "simulate_hawki_stars",
    "simulate_muse",
    "simulate_muse_night",
    "simulate_night",
    "simulate_slit_night",
]
