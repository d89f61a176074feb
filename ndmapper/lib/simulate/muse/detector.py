"""
The detectors of MUSE, and how they are read out.

A frame has an extension for each IFU, CHAN01 to CHAN24, with four quadrants. Each has
its prescan outside and its overscan towards the middle::

    prescan | data | overscan || overscan | data | prescan

The recipes need all 4096 columns, since they look for 48 slices of 72 to 82 pixels, but
few rows: with 96 rows a frame of one IFU has 1 MB. Then muse_flat needs ``nsum=8`` and
``order=1``.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ndmapper.errors import ParameterError
from ndmapper.io.headers import Header
from ndmapper.lib.simulate.muse.optics import COLUMNS, Image

__all__ = ["MuseDetector"]

# The recipes recognise quadrants by these positions, whatever their size.
_OUTPUTS = ((1, 1), (4096, 1), (4096, 4112), (1, 4112))


@dataclass(frozen=True, kw_only=True)
class MuseDetector:
    """
    The detector of each IFU.

    Parameters
    ----------
    rows : int
        Number of rows with data, an even number.
    prescan, overscan : int
        Width [pixel]; the recipes need more than 3 pixels of overscan.
    gain : float
        Electrons per adu.
    noise : float
        Read-out noise [electron].
    level : float
        Bias level [adu]; the quadrants differ a little.
    dark : float
        Dark current [electron / hour].
    lamp : float
        Light of the lamp in a flat [electron].
    """

    rows: int = 96
    prescan: int = 2
    overscan: int = 8
    gain: float = 1.1
    noise: float = 2.8
    level: float = 1000.0
    dark: float = 3.0
    lamp: float = 30000.0

    def __post_init__(self) -> None:
        if self.rows < 32 or self.rows % 2:
            msg = f"a detector has an even number of rows from 32 on, not {self.rows}"
            raise ParameterError(msg)

    def read_out(
        self, light: Image, rng: np.random.Generator
    ) -> npt.NDArray[np.uint16]:
        """
        Return the raw frame of the detector.

        Parameters
        ----------
        light : ndarray of float, shape (rows, 4096)
            Electrons.
        rng : Generator
            For the noise.

        Returns
        -------
        ndarray of uint16
            The raw frame [adu], with prescans and overscans.
        """
        scans = self.prescan + self.overscan
        half_y, half_x = self.rows // 2 + scans, COLUMNS // 2 + scans
        raw = rng.standard_normal((2 * half_y, 2 * half_x), dtype="f4")
        raw = self.level + self.noise / self.gain * raw
        raw[:half_y, half_x:] += 12.0
        raw[half_y:, half_x:] -= 7.0
        raw[half_y:, :half_x] += 5.0
        rows, columns = (
            np.r_[self.prescan : half - self.overscan, half + self.overscan : full]
            for half, full in (
                (half_y, 2 * half_y - self.prescan),
                (half_x, 2 * half_x - self.prescan),
            )
        )
        if light.any():
            raw[np.ix_(rows, columns)] += rng.poisson(light) / self.gain
        return np.clip(np.rint(raw), 0, 65535).astype(np.uint16)

    def header(self, ifu: int) -> Header:
        """
        Return the header of an extension.

        Parameters
        ----------
        ifu : int
            Number of the IFU.

        Returns
        -------
        Header
            Its header.
        """
        header = Header()
        header["EXTNAME"] = f"CHAN{ifu:02d}"
        chip = {
            "BINX": 1, "BINY": 1, "CHIP DATE": "2012-09-15", "CHIP LIVE": True,
            "CHIP ID": f"sim-{ifu:02d}", "CHIP NAME": f"Simulated CCD {ifu:02d}",
            "CHIP NX": COLUMNS, "CHIP NY": self.rows, "OUTPUTS": 4,
        }  # fmt: skip
        for n, (x, y) in enumerate(_OUTPUTS, 1):
            output = {
                "X": x, "Y": y, "NX": COLUMNS // 2, "NY": self.rows // 2,
                "PRSCX": self.prescan, "PRSCY": self.prescan,
                "OVSCX": self.overscan, "OVSCY": self.overscan,
                "GAIN": self.gain, "CONAD": round(1 / self.gain, 4), "RON": self.noise,
            }  # fmt: skip
            chip |= {f"OUT{n} {key}": value for key, value in output.items()}
        for key, value in chip.items():
            header[f"HIERARCH ESO DET {key}"] = value
        return header
