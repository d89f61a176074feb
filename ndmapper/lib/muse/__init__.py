"""
MUSE at the VLT: from raw frames to combined cubes, by the recipes of ESO's pipeline.

recipes
    A step for each recipe.
night, exposures, statics
    Raw frames: sorted, named, and given their calibrations; static calibrations.
reduction, settings, status
    Whole nights as a configuration says, and how far they are.
calib, calibdir, calibfile
    Calibration files of all IFUs, in the spellings of mpdaf.
"""

from ndmapper.lib.muse.calib import CalibDir, CalibFile
from ndmapper.lib.muse.night import MuseNight
from ndmapper.lib.muse.reduction import reduce_muse
from ndmapper.lib.muse.settings import MuseConfig
from ndmapper.lib.muse.status import muse_status

__all__ = [
    "CalibDir",
    "CalibFile",
    "MuseConfig",
    "MuseNight",
    "muse_status",
    "reduce_muse",
]
