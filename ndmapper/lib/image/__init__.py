"""
Steps for images of the sky: mosaics, alignment, stacking, background, photometry.

In the order in which images meet them: `make_mosaic`, `align_images`, `stack_images`,
`subtract_background`, `find_sources`, `aperture_photometry` or `psf_photometry`,
`calibrate_photometry`. Catalogues are tables, in files of type ecsv.

mosaic
    Amplifiers and chips put together by where they lie on the detector.
alignment
    World coordinates from the stars of a reference image or a catalogue.
grid, stacking
    Stacking images on a common grid, with variance, flags and covariance.
background, sources
    Measuring and subtracting the background; finding sources.
aperture, psf, zeropoint
    Fluxes in apertures, and by fits of the PSF; the zero point.
catalogue, placing
    Columns and flags of catalogues, sky positions; measuring sources row by row.
"""

from ndmapper.lib.image.alignment import align_images
from ndmapper.lib.image.aperture import aperture_photometry
from ndmapper.lib.image.background import measure_background, subtract_background
from ndmapper.lib.image.catalogue import SourceFlag
from ndmapper.lib.image.mosaic import make_mosaic
from ndmapper.lib.image.psf import psf_photometry
from ndmapper.lib.image.sources import find_sources
from ndmapper.lib.image.stacking import noise_factor, stack_images
from ndmapper.lib.image.zeropoint import calibrate_photometry

__all__ = [
    "SourceFlag",
    "align_images",
    "aperture_photometry",
    "calibrate_photometry",
    "find_sources",
    "make_mosaic",
    "measure_background",
    "noise_factor",
    "psf_photometry",
    "stack_images",
    "subtract_background",
]
