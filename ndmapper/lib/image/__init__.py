"""
Steps for calibrated images: background, sources, photometry.

In the order in which an image meets them: `subtract_background`, `find_sources`,
`aperture_photometry` or `psf_photometry`, `calibrate_photometry`. Catalogues are
tables, in files of type ecsv.

background, sources
    Measuring and subtracting the background; finding sources.
aperture, psf, zeropoint
    Fluxes in apertures, and by fits of the PSF; the zero point.
catalogue, placing
    Columns and flags of catalogues, sky positions; measuring sources row by row.
figures
    Figures of what was measured.
"""

from ndmapper.lib.image.aperture import aperture_photometry
from ndmapper.lib.image.background import measure_background, subtract_background
from ndmapper.lib.image.catalogue import SourceFlag
from ndmapper.lib.image.psf import psf_photometry
from ndmapper.lib.image.sources import find_sources
from ndmapper.lib.image.zeropoint import calibrate_photometry

__all__ = [
    "SourceFlag",
    "aperture_photometry",
    "calibrate_photometry",
    "find_sources",
    "measure_background",
    "psf_photometry",
    "subtract_background",
]
