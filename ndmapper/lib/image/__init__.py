"""
Steps for calibrated images: background, sources, photometry.

In the order in which an image meets them: `subtract_background`, `find_sources`,
then photometry. Catalogues are tables, in files of type ecsv.

background, sources
    Measuring and subtracting the background; finding sources.
catalogue
    Columns and flags of catalogues, and sky positions.
figures
    Figures of what was measured.
"""

from ndmapper.lib.image.background import measure_background, subtract_background
from ndmapper.lib.image.catalogue import SourceFlag
from ndmapper.lib.image.sources import find_sources

__all__ = [
    "SourceFlag",
    "find_sources",
    "measure_background",
    "subtract_background",
]
