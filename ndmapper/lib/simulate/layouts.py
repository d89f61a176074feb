"""How raw frames of the simulated cameras are laid out, and what their headers say."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ndmapper.data import NDLater
from ndmapper.io.headers import Header
from ndmapper.lib.simulate.camera import FULL_SCALE, Camera
from ndmapper.lib.simulate.stars import mosaic_wcs

__all__ = ["Layout", "exposure_time", "laid_out", "primary_header"]

Layout = Literal["extensions", "image", "cmos"]

Raw = npt.NDArray[np.uint16]

_EXPOSURES = {"bias": 0.0, "dark": 300.0, "flat": 8.0, "object": 300.0}
_OBJECTS = {"bias": "bias", "dark": "dark", "flat": "dome", "object": "field"}
_IMAGE_TYPES = {"bias": "BIAS", "dark": "DARK", "flat": "FLAT", "object": "LIGHT"}


def laid_out(
    layout: Layout,
    camera: Camera,
    raws: Sequence[Raw],
    pointing: tuple[float, float] | None,
) -> list[NDLater]:
    """Put the raw images of all amplifiers into the extensions of a file."""
    if layout == "extensions":
        return [
            NDLater(raw, meta=_extension(camera, number, pointing), ident=number + 1)
            for number, raw in enumerate(raws)
        ]
    header = Header()
    if layout == "image":
        header = _several(camera)
    if pointing is not None:
        header.update(mosaic_wcs(camera, pointing).to_header())
    return [NDLater(np.hstack(raws), meta=header, ident=1)]


def primary_header(layout: Layout, camera: Camera, kind: str, number: int) -> Header:
    """Make the primary header of a frame of a kind; frames are numbered from 1."""
    minutes = 7 * (number - 1)
    date = f"2016-01-12T{18 + minutes // 60:02d}:{minutes % 60:02d}:00"
    cards: list[tuple[str, Any, str]]
    if layout == "cmos":
        cards = [
            ("INSTRUME", "Simulated CMOS", "this frame was never taken"),
            ("SWCREATE", "N.I.N.A. 3.0", "as if by this program"),
            ("IMAGETYP", _IMAGE_TYPES[kind], "kind of frame"),
            ("GAIN", 100, "setting of the camera"),
            ("OFFSET", 50, "setting of the camera"),
            ("EGAIN", camera.gains[0], "[electron/adu]"),
            ("XBINNING", 1, ""),
            ("YBINNING", 1, ""),
            ("CCD-TEMP", -10.0, "[C]"),
        ]
    else:
        name = "SIMCAM" if layout == "extensions" else "SIMCCD"
        cards = [
            ("INSTRUME", name, "this frame was never taken"),
            ("OBJECT", _OBJECTS[kind], ""),
            ("OBSTYPE", kind.upper(), "kind of frame"),
        ]
    cards += [
        ("EXPTIME", _EXPOSURES[kind], "[s]"),
        ("FILTER", "r", "filter"),
        ("DATE-OBS", date, "start of the exposure (UTC)"),
    ]
    header = Header()
    for key, value, comment in cards:
        header[key] = (value, comment)
    return header


def exposure_time(kind: str) -> float:
    """Give the exposure time of frames of a kind [s]."""
    return _EXPOSURES[kind]


def _extension(
    camera: Camera, amplifier: int, pointing: tuple[float, float] | None
) -> Header:
    ny, nx = camera.shape
    columns = camera.columns(amplifier)
    header = Header()
    for key, value, comment in (
        ("BUNIT", "adu", "unit of the pixels"),
        ("AMPNAME", f"A{amplifier + 1}", "name of the amplifier"),
        ("DATASEC", f"[1:{nx},1:{ny}]", "pixels that were exposed"),
        ("BIASSEC", f"[{nx + 1}:{nx + camera.overscan},1:{ny}]", "overscan"),
        ("DETSEC", f"[{columns.start + 1}:{columns.stop},1:{ny}]", "place on mosaic"),
        ("GAIN", camera.gains[amplifier], "[electron/adu]"),
        ("RDNOISE", camera.read_noises[amplifier], "[electron]"),
        ("SATURATE", FULL_SCALE, "[adu]"),
    ):
        header[key] = (value, comment)
    if pointing is not None:
        wcs = mosaic_wcs(camera, pointing)
        wcs.wcs.crpix -= [columns.start, 0]
        header.update(wcs.to_header())
    return header


def _several(camera: Camera) -> Header:
    """Describe amplifiers A, B, .. that lie side by side, each before its overscan."""
    ny, nx = camera.shape
    header = Header()
    header["BUNIT"] = ("adu", "unit of the pixels")
    for number, (gain, noise) in enumerate(
        zip(camera.gains, camera.read_noises, strict=True)
    ):
        name = chr(ord("A") + number)
        first = number * (nx + camera.overscan)
        header[f"DATASEC{name}"] = f"[{first + 1}:{first + nx},1:{ny}]"
        last = first + nx + camera.overscan
        header[f"BIASSEC{name}"] = f"[{first + nx + 1}:{last},1:{ny}]"
        header[f"GAIN{name}"] = (gain, "[electron/adu]")
        header[f"RDNOIS{name}"] = (noise, "[electron]")
    header["SATURATE"] = (FULL_SCALE, "[adu]")
    return header
