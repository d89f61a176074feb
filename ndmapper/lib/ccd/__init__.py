"""
Steps for the frames of any CCD.

In the order in which a raw frame meets them: `subtract_overscan`, `trim`,
`flag_saturated`, `flag_edges`, `subtract_bias` (from `make_bias`), `correct_crosstalk`,
`correct_nonlinearity`, `add_variance`, `subtract_dark` (from `make_dark`),
`correct_gain`, `apply_flat` (from `make_flat`), `interpolate_flagged`. What is known of
the amplifiers travels in the header of each extension (see
`ndmapper.lib.ccd.readout`), so a step knows them after the frame was trimmed.
`make_bad_pixel_mask` finds bad pixels and columns in flats.
"""

from ndmapper.lib.ccd.bias import subtract_bias
from ndmapper.lib.ccd.crosstalk import correct_crosstalk
from ndmapper.lib.ccd.dark import make_dark, subtract_dark
from ndmapper.lib.ccd.defects import interpolate_flagged, make_bad_pixel_mask
from ndmapper.lib.ccd.flat import apply_flat, make_flat
from ndmapper.lib.ccd.linearity import correct_nonlinearity
from ndmapper.lib.ccd.measure import measure_gain, measure_read_noise
from ndmapper.lib.ccd.noise import add_variance, correct_gain
from ndmapper.lib.ccd.overscan import subtract_overscan, trim
from ndmapper.lib.ccd.readout import Readout, readouts, stamp
from ndmapper.lib.ccd.saturation import flag_edges, flag_saturated
from ndmapper.lib.combine import make_bias

__all__ = [
    "Readout",
    "add_variance",
    "apply_flat",
    "correct_crosstalk",
    "correct_gain",
    "correct_nonlinearity",
    "flag_edges",
    "flag_saturated",
    "interpolate_flagged",
    "make_bad_pixel_mask",
    "make_bias",
    "make_dark",
    "make_flat",
    "measure_gain",
    "measure_read_noise",
    "readouts",
    "stamp",
    "subtract_bias",
    "subtract_dark",
    "subtract_overscan",
    "trim",
]
