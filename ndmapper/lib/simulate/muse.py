"""
Calibration frames of MUSE for its recipes: biases, darks and lamp flats.

A frame has an extension for each IFU, CHAN01 to CHAN24, with four quadrants. Each has
its prescan outside and its overscan towards the middle::

    prescan | data | overscan || overscan | data | prescan

The recipes need all 4096 columns, since they look for 48 slices of 72 to 82 pixels, but
few rows: with 96 rows a frame of one IFU has 1 MB. Then muse_flat needs ``nsum=8`` and
``order=1``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import ParameterError
from ndmapper.io.headers import Header
from ndmapper.lib.simulate.eso import NIGHT, eso_header

__all__ = ["MuseDetector", "simulate_muse"]

_SLICES = 48
_COLUMNS = 4096
# The recipes recognise quadrants by these positions, whatever their size.
_OUTPUTS = ((1, 1), (4096, 1), (4096, 4112), (1, 4112))

_KINDS = {
    "bias": ("BIAS", "MUSE_cal_bias", 0.0),
    "dark": ("DARK", "MUSE_cal_dark", 1800.0),
    "flat": ("FLAT,LAMP", "MUSE_wfm_cal_specflat", 2.0),
}

Image = npt.NDArray[np.float64]


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

    def light(self, kind: str, exptime: float, rng: np.random.Generator) -> Image:
        """
        Return the exposed light [electron].

        Parameters
        ----------
        kind : str
            bias, dark or flat.
        exptime : float
            Exposure time [s].
        rng : Generator
            For the pattern that all exposures of an IFU share.

        Returns
        -------
        ndarray of float, shape (rows, 4096)
            Electrons, without noise.
        """
        image = np.zeros((self.rows, _COLUMNS))
        hot = rng.integers(0, image.size, image.size // 50000)
        sensitivity = rng.normal(1.0, 0.01, image.shape)
        if kind == "dark":
            image += self.dark * exptime / 3600.0
            image.flat[hot] += 2000.0 * exptime / 3600.0
        if kind == "flat":
            image += self.lamp * self._slices() * sensitivity
        return image

    def _slices(self) -> Image:
        """Make the image of the 48 slices, with slightly blurred borders."""
        y = np.arange(1.0, self.rows + 1)[:, None] - self.rows / 2
        x = np.arange(1.0, _COLUMNS + 1)[None, :]
        image = np.zeros((self.rows, _COLUMNS))
        for n in range(_SLICES):
            centre = 62.0 + 84.4 * n + 8e-4 * y + 1.5e-7 * y**2
            near = slice(max(int(62 + 84.4 * n) - 50, 0), int(62 + 84.4 * n) + 50)
            away = np.abs(x[:, near] - centre) - 38.3
            tilt = 1.0 + 0.05 * (x[:, near] - centre) / 38.3
            image[:, near] += tilt / (1.0 + np.exp(2.1 * away))
        return image

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
        half_y, half_x = self.rows // 2 + scans, _COLUMNS // 2 + scans
        raw = rng.normal(self.level, self.noise / self.gain, (2 * half_y, 2 * half_x))
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
            "CHIP NX": _COLUMNS, "CHIP NY": self.rows, "OUTPUTS": 4,
        }  # fmt: skip
        for n, (x, y) in enumerate(_OUTPUTS, 1):
            output = {
                "X": x, "Y": y, "NX": _COLUMNS // 2, "NY": self.rows // 2,
                "PRSCX": self.prescan, "PRSCY": self.prescan,
                "OVSCX": self.overscan, "OVSCY": self.overscan,
                "GAIN": self.gain, "CONAD": round(1 / self.gain, 4), "RON": self.noise,
            }  # fmt: skip
            chip |= {f"OUT{n} {key}": value for key, value in output.items()}
        for key, value in chip.items():
            header[f"HIERARCH ESO DET {key}"] = value
        return header


def simulate_muse(
    folder: str | PathLike[str],
    kinds: Sequence[str] = ("bias", "dark", "flat"),
    number: int = 3,
    *,
    ifus: Sequence[int] = (1,),
    detector: MuseDetector | None = None,
    seed: int = 1,
) -> dict[str, list[Path]]:
    """
    Write raw calibration frames.

    Parameters
    ----------
    folder : str or path
        The folder, which is created if missing.
    kinds : sequence of str
        Any of bias, dark and flat.
    number : int
        Number of frames of each kind; the recipes need three.
    ifus : sequence of int
        Numbers of the IFUs, from 1 to 24.
    detector : MuseDetector, optional
        Size and properties of the detectors.
    seed : int
        The same seed gives the same frames.

    Returns
    -------
    dict of str to list of Path
        The files of each kind.

    Raises
    ------
    ParameterError
        If there is no such kind.
    """
    detector = MuseDetector() if detector is None else detector
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    files: dict[str, list[Path]] = {}
    for order, kind in enumerate(kinds):
        if kind not in _KINDS:
            msg = f"kinds are {', '.join(_KINDS)}, not {kind!r}"
            raise ParameterError(msg)
        exptime = _KINDS[kind][2]
        lights = {
            ifu: detector.light(kind, exptime, np.random.default_rng([seed, ifu]))
            for ifu in ifus
        }
        for n in range(1, number + 1):
            groups = []
            for ifu, light in lights.items():
                rng = np.random.default_rng([seed, ifu, n, *kind.encode()])
                raw = detector.read_out(light, rng)
                name = f"CHAN{ifu:02d}"
                groups.append(NDLater(raw, meta=detector.header(ifu), ident=name))
            mjd = NIGHT + (order * number + n) * (exptime + 120.0) / 86400.0
            path = target / f"MUSE.SIM_{kind.upper()}{n:02d}.fits"
            meta = _primary(kind, n, number, mjd)
            DataFile(path, data=groups, meta=meta, mode="overwrite").save()
            files.setdefault(kind, []).append(path)
    return files


def _primary(kind: str, number: int, count: int, mjd: float) -> Header:
    dtype, template, exptime = _KINDS[kind]
    eso = {
        "DPR CATG": "CALIB", "DPR TYPE": dtype, "DPR TECH": "IFU",
        "TPL ID": template, "TPL EXPNO": number, "TPL NEXP": count,
        "INS MODE": "WFM-NOAO-N", "INS OPTI1 NAME": "Blue", "INS OPTI2 NAME": "WFM",
        "INS DROT MODE": "SKY", "INS DROT POSANG": 0.0,
        "INS TEMP11 VAL": 12.3, "INS TEMP7 VAL": 12.1,
        "DET READ CURID": 1, "DET READ CURNAME": "SCI1.0", "DET BINX": 1, "DET BINY": 1,
        "TEL AMBI TEMP": 12.5, "TEL AMBI RHUM": 10.0, "INS LAMPNUM": 6,
    }  # fmt: skip
    for n in range(1, 7):
        eso |= {
            f"INS LAMP{n} NAME": f"CU-LAMP{n}", f"INS SHUT{n} NAME": f"CU-SHUT{n}",
            f"INS LAMP{n} ST": kind == "flat" and n == 1,
            f"INS SHUT{n} ST": kind == "flat" and n == 1,
        }  # fmt: skip
    return eso_header("MUSE", mjd, exptime, eso)
