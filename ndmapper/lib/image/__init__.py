"""
Steps for calibrated images: background, sources, photometry, alignment, stacking.

In the order in which an image meets them: `align_images` and `stack_images`,
`subtract_background`, `find_sources`, then photometry. Catalogues are tables, in files
of type ecsv.

mosaic
    Amplifiers and chips put together by where they lie on the detector.
alignment
    World coordinates from the stars of a reference image or a catalogue.
grid, stacking
    Stacking images on a common grid, with variance, flags and covariance.
background, sources
    Measuring and subtracting the background; finding sources.
catalogue
    Columns and flags of catalogues, and sky positions.
figures
    Figures of what was measured.
"""

from ndmapper.lib.image.alignment import align_images
from ndmapper.lib.image.background import measure_background, subtract_background
from ndmapper.lib.image.catalogue import SourceFlag
from ndmapper.lib.image.mosaic import make_mosaic
from ndmapper.lib.image.sources import find_sources
from ndmapper.lib.image.stacking import noise_factor, stack_images

__all__ = [
    "SourceFlag",
    "align_images",
    "find_sources",
    "make_mosaic",
    "measure_background",
    "noise_factor",
    "stack_images",
    "subtract_background",
]
