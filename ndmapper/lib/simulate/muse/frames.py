"""Raw frames of MUSE, from biases to exposures of a field of stars."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from astropy.time import Time

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import ParameterError
from ndmapper.io.headers import Header
from ndmapper.lib.simulate.eso import NIGHT, eso_header
from ndmapper.lib.simulate.muse.detector import MuseDetector
from ndmapper.lib.simulate.muse.scene import DITHERS, Scene

__all__ = ["MODE", "simulate_muse", "write_frames"]

MODE = {
    "INS MODE": "WFM-NOAO-N", "INS OPTI1 NAME": "Blue", "INS OPTI2 NAME": "WFM",
    "DET READ CURID": 1, "DET READ CURNAME": "SCI1.0", "DET BINX": 1, "DET BINY": 1,
}  # fmt: skip
"""What the headers of frames and masters say of the mode."""


class _Kind(NamedTuple):
    """A kind of exposure."""

    category: str
    type: str
    template: str
    exptime: float


_KINDS = {
    "bias": _Kind("CALIB", "BIAS", "MUSE_cal_bias", 0.0),
    "dark": _Kind("CALIB", "DARK", "MUSE_cal_dark", 1800.0),
    "flat": _Kind("CALIB", "FLAT,LAMP", "MUSE_wfm_cal_specflat", 2.0),
    "illum": _Kind("CALIB", "FLAT,LAMP,ILLUM", "MUSE_wfm_cal_illum", 1.0),
    "skyflat": _Kind("CALIB", "FLAT,SKY", "MUSE_wfm_cal_skyflat", 3.0),
    "std": _Kind("CALIB", "STD", "MUSE_wfm_cal_specphot", 30.0),
    "sky": _Kind("SCIENCE", "SKY", "MUSE_wfm-noao_obs_genericoffset", 100.0),
    "object": _Kind("SCIENCE", "OBJECT", "MUSE_wfm-noao_obs_genericoffset", 100.0),
}

# Errors of the positions in the headers of the field [arcsec].
_POINTING_ERRORS = ((0.0, 0.0), (0.6, 0.4))


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
    Write raw frames of MUSE, all of a kind as one template.

    Parameters
    ----------
    folder : str or path
        The folder, which is created if missing.
    kinds : sequence of str
        Any of bias, dark, flat, illum, skyflat, std, sky and object, in order of time.
    number : int
        Number of frames of each kind; the recipes need three biases, darks, flats and
        skyflats. Exposures of the object are dithered.
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
    return write_frames(
        folder, dict.fromkeys(kinds, number), Scene(ifus, detector, seed)
    )


def write_frames(
    folder: str | PathLike[str], numbers: Mapping[str, int], scene: Scene
) -> dict[str, list[Path]]:
    """Write so many raw frames of each kind, one after the other."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    files: dict[str, list[Path]] = {}
    end = NIGHT
    for kind, number in numbers.items():
        if kind not in _KINDS:
            msg = f"kinds are {', '.join(_KINDS)}, not {kind!r}"
            raise ParameterError(msg)
        each = (_KINDS[kind].exptime + 120.0) / 86400.0
        for n in range(number):
            if n == 0 or kind == "object":
                exptime = _KINDS[kind].exptime
                lights = {ifu: scene.light(kind, n, ifu, exptime) for ifu in scene.ifus}
            groups = []
            for ifu, light in lights.items():
                rng = np.random.default_rng([scene.seed, ifu, n + 1, *kind.encode()])
                raw = scene.detector.read_out(light, rng)
                header = scene.detector.header(ifu)
                groups.append(NDLater(raw, meta=header, ident=f"CHAN{ifu:02d}"))
            path = target / f"MUSE.SIM_{kind.upper()}{n + 1:02d}.fits"
            meta = _primary(kind, n, number, end + each, end + (n + 1) * each)
            DataFile(path, data=groups, meta=meta, mode="overwrite").save()
            files.setdefault(kind, []).append(path)
        end += number * each
    return files


def _primary(kind: str, n: int, number: int, start: float, mjd: float) -> Header:
    category, dtype, template, exptime = _KINDS[kind]
    begin = Time(start, format="mjd", scale="utc").isot[:19]
    eso: dict[str, Any] = {
        "DPR CATG": category, "DPR TYPE": dtype, "DPR TECH": "IFU",
        "TPL ID": template, "TPL EXPNO": n + 1, "TPL NEXP": number,
        "TPL START": begin, "OBS START": begin, **MODE,
        "INS DROT MODE": "SKY", "INS DROT POSANG": 0.0,
        "INS DROT START": 0.0, "INS DROT END": 0.0,
        "INS TEMP11 VAL": 12.3, "INS TEMP7 VAL": 12.1,
        "TEL GEOELEV": 2648.0, "TEL GEOLAT": -24.627, "TEL GEOLON": -70.404,
        "TEL ALT": 78.5, "TEL AZ": 100.0, "TEL AIRM START": 1.02, "TEL AIRM END": 1.03,
        "TEL PARANG START": -10.0, "TEL PARANG END": -8.0,
        "TEL AMBI TEMP": 12.5, "TEL AMBI RHUM": 10.0,
        "TEL AMBI PRES START": 743.5, "TEL AMBI PRES END": 743.5,
        "TEL AMBI FWHM START": 0.8, "TEL AMBI FWHM END": 0.8, "TEL IA FWHM": 0.8,
        "TEL FOCU SCALE": 0.582, "INS LAMPNUM": 6,
    }  # fmt: skip
    for lamp in range(1, 7):
        lit = kind in ("flat", "illum") and lamp == 1
        eso |= {
            f"INS LAMP{lamp} NAME": f"CU-LAMP{lamp}", f"INS LAMP{lamp} ST": lit,
            f"INS SHUT{lamp} NAME": f"CU-SHUT{lamp}", f"INS SHUT{lamp} ST": lit,
        }  # fmt: skip
    header = eso_header("MUSE", mjd, exptime, eso)
    header["LST"] = round((1.00274 * (mjd - NIGHT) + 0.08) % 1 * 86400, 3)
    if kind == "object":
        turn = n % len(DITHERS)
        (east, north), (ra, dec) = DITHERS[turn], _POINTING_ERRORS[turn]
        header["RA"] += (east + ra) / 3600.0 / np.cos(np.radians(header["DEC"]))
        header["DEC"] += (north + dec) / 3600.0
    return header
