"""The bits of ndmapper's own flags."""

from enum import IntFlag

import numpy as np

__all__ = ["FLAGS_DTYPE", "Flag"]

FLAGS_DTYPE = np.dtype("uint16")
"""Type of new arrays of flags."""


class Flag(IntFlag):
    """Why a pixel is not to be trusted: the bits of Gemini's DQ arrays."""

    BAD = 1
    NONLINEAR = 2
    SATURATED = 4
    COSMIC_RAY = 8
    NO_DATA = 16
    OVERLAP = 32
    UNILLUMINATED = 64
