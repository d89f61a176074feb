"""
Steps for any long-slit spectrograph.

axis
    The wavelengths of a spectrum, which are its world coordinates.
output
    Spectra for other programs: as a table, and for specutils.
rectify
    The same wavelengths for all rows.
sky
    The sky, fitted where the detector has it.
"""

from ndmapper.lib.spec.axis import WavelengthAxis, wavelengths_of, with_wavelengths
from ndmapper.lib.spec.output import tabulate_spectrum, to_spectrum
from ndmapper.lib.spec.rectify import rectify_wavelength
from ndmapper.lib.spec.sky import measure_sky, subtract_sky

__all__ = [
    "WavelengthAxis",
    "measure_sky",
    "rectify_wavelength",
    "subtract_sky",
    "tabulate_spectrum",
    "to_spectrum",
    "wavelengths_of",
    "with_wavelengths",
]
