"""
Steps for any long-slit spectrograph.

axis
    The wavelengths of a spectrum, which are its world coordinates.
extract
    Spectra of objects, by boxcar or optimal extraction.
output
    Spectra for other programs: as a table, and for specutils.
rectify
    The same wavelengths for all rows.
sky
    The sky, fitted where the detector has it.
trace
    Where the spectra of objects lie.
"""

from ndmapper.lib.spec.axis import WavelengthAxis, wavelengths_of, with_wavelengths
from ndmapper.lib.spec.extract import extract_spectra
from ndmapper.lib.spec.output import tabulate_spectrum, to_spectrum
from ndmapper.lib.spec.rectify import rectify_wavelength
from ndmapper.lib.spec.sky import measure_sky, subtract_sky
from ndmapper.lib.spec.trace import trace_spectra

__all__ = [
    "WavelengthAxis",
    "extract_spectra",
    "measure_sky",
    "rectify_wavelength",
    "subtract_sky",
    "tabulate_spectrum",
    "to_spectrum",
    "trace_spectra",
    "wavelengths_of",
    "with_wavelengths",
]
