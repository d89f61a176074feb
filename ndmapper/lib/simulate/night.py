"""A night of the simulated camera, written as raw files."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ndmapper.data import DataFile
from ndmapper.errors import ParameterError
from ndmapper.lib.simulate.camera import (
    Camera,
    cosmic_rays,
    make_camera,
    make_cmos,
    satellite_trail,
)
from ndmapper.lib.simulate.layouts import (
    Layout,
    exposure_time,
    laid_out,
    primary_header,
)
from ndmapper.lib.simulate.sky import Scene, make_scene
from ndmapper.lib.simulate.stars import star_catalogue

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
    biases, darks, flats, science : int
        Number of frames of each kind, in this order.
    layout : {'extensions', 'image', 'cmos'}
        How a frame is laid out: each amplifier with its overscan is an extension (the
        instrument ``simcam``); the amplifiers A, B, ... lie side by side in one image,
        each before its overscan, and keywords end in their letter (``SIMCCD``); or one
        image of a CMOS camera without overscan, of low noise and with dark current,
        with headers as by N.I.N.A. (``nina``).
    amplifiers : int
        Number of amplifiers; a CMOS camera has one.
    shape : (int, int)
        Rows and columns of the image of one amplifier.
    overscan : int
        Overscan columns of each amplifier.
    rays : int
        Cosmic rays in each science frame.
    satellites : int
        Satellites that cross each second science frame, from the first on.
    saturated_star : bool
        Whether one star is too bright.
    pointing : (float, float), optional
        Right ascension and declination of the middle of the mosaic [degree]. With it,
        headers have world coordinates, which know nothing of the dithers, and there is
        a catalogue of the stars, stars.ecsv, with magnitudes of zero point 25.
    """

    seed: int = 2016
    biases: int = 5
    darks: int = 0
    flats: int = 4
    science: int = 3
    layout: Layout = "extensions"
    amplifiers: int = 4
    shape: tuple[int, int] = (256, 128)
    overscan: int = 24
    rays: int = 60
    satellites: int = 0
    saturated_star: bool = True
    pointing: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if min(self.biases, self.flats, self.science, self.amplifiers) < 1:
            msg = "a night needs at least one frame of each kind and one amplifier"
            raise ParameterError(msg)
        if min(self.shape) < 32 or self.overscan < 4:
            msg = "an amplifier has at least 32 x 32 pixels and 4 overscan columns"
            raise ParameterError(msg)
        if self.layout == "cmos" and self.amplifiers != 1:
            msg = f"a CMOS camera has one amplifier here, not {self.amplifiers}"
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
        File names of the classes ``bias``, ``dark``, ``flat`` and ``object``.
    dithers : dict of str to (float, float)
        Shift of the stars along x and y, for each science frame [pixel].
    charge : dict of str to ndarray, shape (ny, nx of the mosaic)
        Charge of cosmic rays, for each science frame [electron].
    trails : dict of str to ndarray, shape (ny, nx of the mosaic)
        Light of satellites, for science frames that have any [electron].
    lamp : dict of str to float
        Light of the lamp, for each flat [electron].
    """

    night: Night
    camera: Camera
    scene: Scene
    files: dict[str, list[str]] = field(default_factory=dict)
    dithers: dict[str, tuple[float, float]] = field(default_factory=dict)
    charge: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    trails: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
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
            if key not in ("response", "structure", "dark")
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


def simulate_night(
    folder: str | PathLike[str],
    night: Night | None = None,
    scene: Scene | None = None,
) -> Truth:
    """
    Write the raw frames of a night, sim0001.fits and so on, and truth.json.

    Parameters
    ----------
    folder : str or Path
        The folder, which is created if missing.
    night : Night, optional
        Parameters; by default 5 biases, 4 flats and 3 science frames with 4 amplifiers.
    scene : Scene, optional
        What the telescope sees; by default a random field, with a galaxy.

    Returns
    -------
    Truth
        The truth of the frames.
    """
    night = Night() if night is None else night
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(night.seed)
    if night.layout == "cmos":
        camera = make_cmos(rng, night.shape)
    else:
        camera = make_camera(rng, night.shape, night.overscan, night.amplifiers)
    if scene is None:
        scene = make_scene(rng, camera.mosaic, night.saturated_star)
    truth = Truth(night=night, camera=camera, scene=scene)
    for number, (kind, electrons) in enumerate(_exposures(rng, truth), start=1):
        name = _name(number)
        raws = camera.read_out(rng, electrons)
        primary = primary_header(night.layout, camera, kind, number)
        groups = laid_out(night.layout, camera, raws, night.pointing)
        labels = {"data": "PRIMARY"} if night.layout == "cmos" else None
        DataFile(
            target / name, data=groups, meta=primary, mode="new", labels=labels
        ).save()
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
    kinds = ["bias"] * night.biases + ["dark"] * night.darks
    kinds += ["flat"] * night.flats + ["object"] * night.science
    for number, kind in enumerate(kinds, start=1):
        name = _name(number)
        truth.files.setdefault(kind, []).append(name)
        if kind == "bias":
            yield kind, np.zeros(shape)
            continue
        dark = camera.dark * exposure_time(kind)
        if kind == "dark":
            yield kind, rng.poisson(dark).astype(np.float64)
            continue
        if kind == "flat":
            lamp = round(_LAMP * (1 + 0.01 * rng.normal()), 1)
            truth.lamp[name] = lamp
            yield kind, rng.poisson(lamp * camera.response + dark).astype(np.float64)
            continue
        n = len(truth.dithers)
        dither = (
            round(6 * math.cos(2.1 * n) - 6, 2) if n else 0.0,
            round(6 * math.sin(2.1 * n), 2) if n else 0.0,
        )
        truth.dithers[name] = dither
        truth.charge[name] = cosmic_rays(rng, shape, night.rays)
        light = truth.image(name)
        if night.satellites and n % 2 == 0:
            # Of their own, so that a night is the same with them and without.
            chance = np.random.default_rng([night.seed, number])
            trails = [satellite_trail(chance, shape) for _ in range(night.satellites)]
            truth.trails[name] = sum(trails, np.zeros(shape))
            light = light + truth.trails[name]
        electrons = rng.poisson(light * camera.response + dark)
        yield kind, electrons + truth.charge[name]
