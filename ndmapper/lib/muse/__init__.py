"""MUSE at the VLT: its calibration files, and folders of them."""

from ndmapper.lib.muse.calib import CalibDir, CalibFile

__all__ = ["CalibDir", "CalibFile"]
