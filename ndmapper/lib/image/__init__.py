"""
Steps for images of the sky: mosaics, sky, alignment, stacking, photometry.

In the order in which images meet them: `apply_illumination`, `subtract_fringe`,
`make_mosaic`, `subtract_sky`, `align_images`, `stack_images`, `subtract_background`,
`find_sources`, `aperture_photometry` or `psf_photometry`,
`calibrate_photometry`; or `make_light_curves` of many frames. Catalogues are tables, in
files of type ecsv.

mosaic
    Amplifiers and chips put together by where they lie on the detector.
illumination, fringe
    What a pixel flat leaves of the illumination; fringes of the sky.
sky, nearest, objects, blank
    A running sky of dithered frames; which frames it is taken from; masks of objects;
    frames of which only the sky between these counts.
alignment
    World coordinates from the stars of a reference image or a catalogue.
grid, stacking, shared_pixels, correlation
    Stacking images on a common grid, with variance, flags and covariance; the noise of
    masters in these.
background, sources
    Measuring and subtracting the background; finding sources.
aperture, psf, zeropoint
    Fluxes in apertures, and by fits of the PSF; the zero point.
lightcurves
    Fluxes of given stars in many frames, by time at the barycentre.
catalogue, placing
    Columns and flags of catalogues, sky positions; measuring sources row by row.
"""

from ndmapper.lib.image.alignment import align_images
from ndmapper.lib.image.aperture import aperture_photometry
from ndmapper.lib.image.background import measure_background, subtract_background
from ndmapper.lib.image.catalogue import SourceFlag
from ndmapper.lib.image.correlation import noise_factor
from ndmapper.lib.image.fringe import make_fringe, subtract_fringe
from ndmapper.lib.image.illumination import apply_illumination, make_illumination
from ndmapper.lib.image.lightcurves import make_light_curves
from ndmapper.lib.image.mosaic import make_mosaic
from ndmapper.lib.image.objects import make_object_mask, transfer_object_mask
from ndmapper.lib.image.psf import psf_photometry
from ndmapper.lib.image.sky import subtract_sky, two_pass_sky
from ndmapper.lib.image.sources import find_sources
from ndmapper.lib.image.stacking import stack_images
from ndmapper.lib.image.zeropoint import calibrate_photometry

__all__ = [
    "SourceFlag",
    "align_images",
    "aperture_photometry",
    "apply_illumination",
    "calibrate_photometry",
    "find_sources",
    "make_fringe",
    "make_illumination",
    "make_light_curves",
    "make_mosaic",
    "make_object_mask",
    "measure_background",
    "noise_factor",
    "psf_photometry",
    "stack_images",
    "subtract_background",
    "subtract_fringe",
    "subtract_sky",
    "transfer_object_mask",
    "two_pass_sky",
]
