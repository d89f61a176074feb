"""
Steps for any long-slit spectrograph.

axis
    The wavelengths of a spectrum, which are its world coordinates.
sky
    The sky, fitted where the detector has it.
"""

from ndmapper.lib.spec.axis import WavelengthAxis, wavelengths_of, with_wavelengths
from ndmapper.lib.spec.sky import measure_sky, subtract_sky

__all__ = [
    "WavelengthAxis",
    "measure_sky",
    "subtract_sky",
    "wavelengths_of",
    "with_wavelengths",
]
