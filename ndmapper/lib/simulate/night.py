"""A night of the simulated camera, written as raw files."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import ParameterError
from ndmapper.io.headers import Header
from ndmapper.lib.simulate.camera import (
    FULL_SCALE,
    Camera,
    cosmic_rays,
    make_camera,
)
from ndmapper.lib.simulate.sky import Scene, make_scene
from ndmapper.lib.simulate.stars import mosaic_wcs, star_catalogue

__all__ = ["Night", "Truth", "simulate_night"]

_LAMP = 30000.0


@dataclass(frozen=True, kw_only=True)
class Night:
    """
    Parameters of a simulated night.

    Parameters
    ----------
    seed : int
        The same seed gives the same night.
    biases, flats, science : int
        Number of frames of each kind, in this order.
    amplifiers : int
        Number of amplifiers, an extension each.
    shape : (int, int)
        Rows and columns of the image of one amplifier.
    overscan : int
        Overscan columns of each amplifier.
    rays : int
        Cosmic rays in each science frame.
    saturated_star : bool
        Whether one star is too bright.
    pointing : (float, float), optional
        Right ascension and declination of the middle of the mosaic [degree]. With it,
        headers have world coordinates, which know nothing of the dithers, and there is
        a catalogue of the stars, stars.ecsv, with magnitudes of zero point 25.
    """

    seed: int = 2016
    biases: int = 5
    flats: int = 4
    science: int = 3
    amplifiers: int = 4
    shape: tuple[int, int] = (256, 128)
    overscan: int = 24
    rays: int = 60
    saturated_star: bool = True
    pointing: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if min(self.biases, self.flats, self.science, self.amplifiers) < 1:
            msg = "a night needs at least one frame of each kind and one amplifier"
            raise ParameterError(msg)
        if min(self.shape) < 32 or self.overscan < 4:
            msg = "an amplifier has at least 32 x 32 pixels and 4 overscan columns"
            raise ParameterError(msg)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """
    The truth of a simulated night, which is never known of a real one.

    Parameters
    ----------
    night : Night
        The parameters of the night.
    camera : Camera
        The camera, with its response and bias structure.
    scene : Scene
        Sky, stars and galaxy.
    files : dict of str to list of str
        File names of the classes ``bias``, ``flat`` and ``object``.
    dithers : dict of str to (float, float)
        Shift of the stars along x and y, for each science frame [pixel].
    charge : dict of str to ndarray, shape (ny, nx of the mosaic)
        Charge of cosmic rays, for each science frame [electron].
    lamp : dict of str to float
        Light of the lamp, for each flat [electron].
    """

    night: Night
    camera: Camera
    scene: Scene
    files: dict[str, list[str]] = field(default_factory=dict)
    dithers: dict[str, tuple[float, float]] = field(default_factory=dict)
    charge: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    lamp: dict[str, float] = field(default_factory=dict)

    def image(self, name: str) -> npt.NDArray[np.float64]:
        """
        Return the image that a perfect reduction of a science frame gives.

        Parameters
        ----------
        name : str
            Name of the raw file.

        Returns
        -------
        ndarray of float, shape (ny, nx of the mosaic)
            Electrons in pixels of average sensitivity.
        """
        return self.scene.image(self.camera.mosaic, self.dithers[name])

    def part(
        self, image: npt.NDArray[np.generic], amplifier: int
    ) -> npt.NDArray[np.generic]:
        """
        Return the part of a mosaic image that belongs to one amplifier.

        Parameters
        ----------
        image : ndarray, shape (ny, nx of the mosaic)
            The image.
        amplifier : int
            Number of the amplifier, from 0.

        Returns
        -------
        ndarray, shape (ny, nx)
            Its part.
        """
        return image[:, self.camera.columns(amplifier)]

    def as_json(self) -> str:
        """
        Return all that is no image as JSON.

        Returns
        -------
        str
            The text of truth.json.
        """
        camera = {
            key: value
            for key, value in asdict(self.camera).items()
            if key not in ("response", "structure")
        }
        document = {
            "night": asdict(self.night),
            "camera": camera,
            "scene": asdict(self.scene),
            "files": self.files,
            "dithers": self.dithers,
            "lamp": self.lamp,
            "pixels_hit": {n: int(np.sum(c > 0)) for n, c in self.charge.items()},
        }
        return json.dumps(document, indent=1) + "\n"


def simulate_night(folder: str | PathLike[str], night: Night | None = None) -> Truth:
    """
    Write the raw frames of a night, sim0001.fits and so on, and truth.json.

    Parameters
    ----------
    folder : str or Path
        The folder, which is created if missing.
    night : Night, optional
        Parameters; by default 5 biases, 4 flats and 3 science frames with 4 amplifiers.

    Returns
    -------
    Truth
        The truth of the frames.
    """
    night = Night() if night is None else night
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(night.seed)
    camera = make_camera(rng, night.shape, night.overscan, night.amplifiers)
    scene = make_scene(rng, camera.mosaic, night.saturated_star)
    truth = Truth(night=night, camera=camera, scene=scene)
    for number, (kind, electrons) in enumerate(_exposures(rng, truth), start=1):
        name = _name(number)
        raws = camera.read_out(rng, electrons)
        primary = _primary_header(kind, number)
        groups = [
            NDLater(
                raw, meta=_header(camera, amplifier, night.pointing),
                ident=amplifier + 1,
            )
            for amplifier, raw in enumerate(raws)
        ]  # fmt: skip
        DataFile(target / name, data=groups, meta=primary, mode="new").save()
    (target / "truth.json").write_text(truth.as_json(), encoding="utf-8")
    if night.pointing is not None:
        catalogue = star_catalogue(scene, camera, night.pointing)
        catalogue.write(target / "stars.ecsv", overwrite=True)
    return truth


def _name(number: int) -> str:
    return f"sim{number:04d}.fits"


def _exposures(
    rng: np.random.Generator, truth: Truth
) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """Yield the frames one by one, and note their truth."""
    night, camera = truth.night, truth.camera
    shape = camera.mosaic
    kinds = ["bias"] * night.biases + ["flat"] * night.flats
    kinds += ["object"] * night.science
    for number, kind in enumerate(kinds, start=1):
        name = _name(number)
        truth.files.setdefault(kind, []).append(name)
        if kind == "bias":
            yield kind, np.zeros(shape)
            continue
        if kind == "flat":
            lamp = round(_LAMP * (1 + 0.01 * rng.normal()), 1)
            truth.lamp[name] = lamp
            yield kind, rng.poisson(lamp * camera.response).astype(np.float64)
            continue
        n = len(truth.dithers)
        dither = (
            round(6 * math.cos(2.1 * n) - 6, 2) if n else 0.0,
            round(6 * math.sin(2.1 * n), 2) if n else 0.0,
        )
        truth.dithers[name] = dither
        truth.charge[name] = cosmic_rays(rng, shape, night.rays)
        light = rng.poisson(truth.image(name) * camera.response)
        yield kind, light + truth.charge[name]


def _primary_header(kind: str, number: int) -> Header:
    minutes = 7 * (number - 1)
    header = Header()
    for key, value, comment in (
        ("INSTRUME", "SIMCAM", "this frame was never taken"),
        ("OBJECT", {"bias": "bias", "flat": "dome", "object": "field"}[kind], ""),
        ("OBSTYPE", kind.upper(), "kind of frame"),
        ("EXPTIME", {"bias": 0.0, "flat": 8.0, "object": 300.0}[kind], "[s]"),
        ("FILTER", "r", "filter"),
        (
            "DATE-OBS",
            f"2016-01-12T{18 + minutes // 60:02d}:{minutes % 60:02d}:00",
            "start of the exposure (UTC)",
        ),
    ):
        header[key] = (value, comment)
    return header


def _header(
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
