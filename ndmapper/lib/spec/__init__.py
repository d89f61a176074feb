"""
Steps for any long-slit spectrograph.

axis
    The wavelengths of a spectrum, which are its world coordinates.
output
    Spectra for other programs: as a table, and for specutils.
sky
    The sky, fitted where the detector has it.
wavelengths, line_lists, template, identifying
    The wavelength of each pixel, by the lines of an arc: their lists, arcs that were
    identified before, and lines that the user identifies.
"""

from ndmapper.lib.spec.axis import WavelengthAxis, wavelengths_of, with_wavelengths
from ndmapper.lib.spec.output import tabulate_spectrum, to_spectrum
from ndmapper.lib.spec.sky import measure_sky, subtract_sky
from ndmapper.lib.spec.wavelengths import make_wavelengths

__all__ = [
    "WavelengthAxis",
    "make_wavelengths",
    "measure_sky",
    "subtract_sky",
    "tabulate_spectrum",
    "to_spectrum",
    "wavelengths_of",
    "with_wavelengths",
]
