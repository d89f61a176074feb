"""
Steps for any long-slit spectrograph.

axis
    The wavelengths of a spectrum, which are its world coordinates.
combine
    Spectra of exposures and orders on one grid.
extinction, standards, table_files
    Tables of the atmosphere and of standard stars; reading their files.
extract
    Spectra of objects, by boxcar or optimal extraction.
flat
    How evenly the slit is lit, which a flat does not say; scattered light.
flexure
    Wavelengths of a frame, shifted by the lines of its own sky.
flux, sensitivity, count_rate
    Flux calibration, and the sensitivity that it needs; spectra as count rates.
output
    Spectra for other programs: as a table, and for specutils.
pointing, refraction
    Airmass and parallactic angle, without network; differential refraction.
rectify
    The same wavelengths for all rows.
sky
    The sky, fitted where the detector has it.
telluric
    Absorption by oxygen and water vapour of the air.
trace
    Where the spectra of objects lie.
velocity
    Wavelengths relative to the barycentre, or to the Sun.
wavelengths, line_lists, template, identifying
    The wavelength of each pixel, by the lines of an arc: their lists, arcs that were
    identified before, and lines that the user identifies.
"""

from ndmapper.lib.image.illumination import apply_illumination
from ndmapper.lib.spec.axis import WavelengthAxis, wavelengths_of, with_wavelengths
from ndmapper.lib.spec.combine import combine_spectra
from ndmapper.lib.spec.extinction import (
    ExtinctionCurve,
    find_extinction,
    read_extinction,
)
from ndmapper.lib.spec.extract import extract_spectra
from ndmapper.lib.spec.flat import make_slit_illumination, subtract_scattered_light
from ndmapper.lib.spec.flexure import correct_flexure
from ndmapper.lib.spec.flux import apply_sensitivity
from ndmapper.lib.spec.line_lists import find_line_list
from ndmapper.lib.spec.output import tabulate_spectrum, to_spectrum
from ndmapper.lib.spec.rectify import rectify_wavelength
from ndmapper.lib.spec.refraction import (
    DifferentialRefraction,
    differential_refraction,
)
from ndmapper.lib.spec.sensitivity import make_sensitivity
from ndmapper.lib.spec.sky import measure_sky, subtract_sky
from ndmapper.lib.spec.standards import (
    StandardStar,
    find_standard,
    list_standards,
    read_standard,
)
from ndmapper.lib.spec.telluric import correct_telluric, make_telluric
from ndmapper.lib.spec.trace import trace_spectra
from ndmapper.lib.spec.velocity import correct_velocity
from ndmapper.lib.spec.wavelengths import make_wavelengths

__all__ = [
    "DifferentialRefraction",
    "ExtinctionCurve",
    "StandardStar",
    "WavelengthAxis",
    "apply_illumination",
    "apply_sensitivity",
    "combine_spectra",
    "correct_flexure",
    "correct_telluric",
    "correct_velocity",
    "differential_refraction",
    "extract_spectra",
    "find_extinction",
    "find_line_list",
    "find_standard",
    "list_standards",
    "make_sensitivity",
    "make_slit_illumination",
    "make_telluric",
    "make_wavelengths",
    "measure_sky",
    "read_extinction",
    "read_standard",
    "rectify_wavelength",
    "subtract_scattered_light",
    "subtract_sky",
    "tabulate_spectrum",
    "to_spectrum",
    "trace_spectra",
    "wavelengths_of",
    "with_wavelengths",
]
