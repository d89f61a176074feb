"""Calibration files of MUSE: one file, and the files of all IFUs."""

from ndmapper.lib.muse.calibdir import CalibDir
from ndmapper.lib.muse.calibfile import CalibFile

__all__ = ["CalibDir", "CalibFile"]
