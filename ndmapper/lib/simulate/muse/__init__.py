"""
Frames of MUSE for its recipes: a few rows of the detectors of any of the 24 IFUs.

frames, night
    Raw frames, and a night with all that its reduction needs.
scene, optics, detector
    What is exposed, where it falls on the detectors, and how they are read out.
statics
    Static tables, and masters of wavelengths and line profiles.
"""

from ndmapper.lib.simulate.muse.detector import MuseDetector
from ndmapper.lib.simulate.muse.frames import simulate_muse
from ndmapper.lib.simulate.muse.night import simulate_muse_night

__all__ = ["MuseDetector", "simulate_muse", "simulate_muse_night"]
