"""The simulated cameras: response and readout."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

__all__ = ["Camera", "cosmic_rays", "make_camera", "make_cmos", "satellite_trail"]

Image = npt.NDArray[np.float64]

FULL_SCALE = 65535
"""Saturation of the A/D converter [adu]."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Mosaic of amplifiers side by side, each with overscan columns on the right."""

    # Rows and columns of one amplifier's image.
    shape: tuple[int, int]
    # Overscan columns of each amplifier.
    overscan: int
    # Gain of each amplifier [electron/adu].
    gains: tuple[float, ...]
    # Read noise of each amplifier [electron].
    read_noises: tuple[float, ...]
    # Bias level of each amplifier [adu].
    levels: tuple[float, ...]
    # Relative sensitivity (pixels, dust, vignetting), with median 1.
    response: Image
    # Structure of the bias beyond its level [adu].
    structure: Image
    # Column of the mosaic that adds counts to every frame.
    bad_column: int
    # Dark current [electron/s].
    dark: Image
    # Whether the level drifts between frames, and during readout.
    drifts: bool = True

    @property
    def mosaic(self) -> tuple[int, int]:
        """Rows and columns of all amplifiers together."""
        return self.shape[0], self.shape[1] * len(self.gains)

    def columns(self, amplifier: int) -> slice:
        """Return the columns of an amplifier on the mosaic."""
        nx = self.shape[1]
        return slice(amplifier * nx, (amplifier + 1) * nx)

    def read_out(
        self, rng: np.random.Generator, electrons: Image
    ) -> list[npt.NDArray[np.uint16]]:
        """Return the raw frames of all amplifiers, from electrons."""
        ny, nx = self.shape
        y = np.arange(ny) / ny
        raws = []
        for number, (gain, noise, level) in enumerate(
            zip(self.gains, self.read_noises, self.levels, strict=True)
        ):
            base = np.full(ny, level)
            if self.drifts:
                # The level drifts between frames, and settles during readout.
                base += rng.normal(0, 3) + rng.uniform(2, 6) * np.exp(-4 * y)
            frame = np.repeat(base[:, None], nx + self.overscan, axis=1)
            columns = self.columns(number)
            frame[:, :nx] += self.structure[:, columns] + electrons[:, columns] / gain
            frame += rng.normal(0, noise / gain, frame.shape)
            raws.append(np.clip(np.rint(frame), 0, FULL_SCALE).astype(np.uint16))
        return raws


def make_camera(
    rng: np.random.Generator, shape: tuple[int, int], overscan: int, amplifiers: int
) -> Camera:
    """Draw a random camera."""
    ny, nx = shape[0], shape[1] * amplifiers
    y, x = np.mgrid[:ny, :nx]
    radius2 = ((x - nx / 2) / (nx / 2)) ** 2 + ((y - ny / 2) / (ny / 2)) ** 2
    response = rng.normal(1, 0.012, (ny, nx)) * (1 - 0.14 * radius2)
    for _ in range(6):
        # Dust out of focus is a ring.
        cx, cy, size = rng.uniform(0, nx), rng.uniform(0, ny), rng.uniform(8, 14)
        distance = np.hypot(x - cx, y - cy)
        response *= 1 - 0.12 * np.exp(-0.5 * ((distance - size) / 2.5) ** 2)
    ripple = rng.uniform(0, 2 * np.pi, amplifiers)
    structure = np.empty((ny, nx))
    for number in range(amplifiers):
        columns = slice(number * shape[1], (number + 1) * shape[1])
        local = x[:, columns] - columns.start
        structure[:, columns] = (
            1.5 * np.sin(local / 7 + ripple[number])
            + 4 * np.exp(-local / 10)
            + 2 * y[:, columns] / ny
        )
    structure += rng.normal(0, 0.8, (ny, nx))
    bad_column = int(0.31 * nx)
    structure[:, bad_column] += rng.uniform(200, 900, ny)
    return Camera(
        shape=shape,
        overscan=overscan,
        gains=tuple(round(float(g), 3) for g in rng.uniform(1.6, 2.4, amplifiers)),
        read_noises=tuple(round(float(r), 2) for r in rng.uniform(4, 6, amplifiers)),
        levels=tuple(round(float(v), 1) for v in rng.uniform(900, 1300, amplifiers)),
        response=response / np.median(response),
        structure=structure,
        bad_column=bad_column,
        dark=np.zeros((ny, nx)),
    )


def make_cmos(rng: np.random.Generator, shape: tuple[int, int]) -> Camera:
    """Draw a CMOS camera: low noise, no overscan, and dark current with hot pixels."""
    camera = make_camera(rng, shape, 0, 1)
    dark = 0.004 * np.exp(rng.normal(0, 0.5, shape))
    hot = rng.random(shape) < 0.01
    dark[hot] = np.exp(rng.uniform(np.log(0.05), np.log(5), hot.sum()))
    return replace(
        camera,
        gains=(0.8,),
        read_noises=(1.6,),
        levels=(480.0,),
        structure=rng.normal(0, 0.8, shape) + rng.normal(0, 0.5, shape[1]),
        dark=dark,
        drifts=False,
    )


def cosmic_rays(rng: np.random.Generator, shape: tuple[int, int], number: int) -> Image:
    """Draw the charge of cosmic rays."""
    charge = np.zeros(shape)
    for _ in range(number):
        x, y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
        angle, length = rng.uniform(0, np.pi), rng.exponential(4) + 1
        steps = np.arange(0, length, 0.2)
        columns = np.floor(x + steps * np.cos(angle)).astype(int)
        rows = np.floor(y + steps * np.sin(angle)).astype(int)
        inside = (columns >= 0) & (columns < shape[1]) & (rows >= 0) & (rows < shape[0])
        per_step = rng.uniform(600, 4000) * 0.2
        np.add.at(charge, (rows[inside], columns[inside]), per_step)
    return charge


def satellite_trail(rng: np.random.Generator, shape: tuple[int, int]) -> Image:
    """Draw the light of a satellite that crosses the image [electron]."""
    ny, nx = shape
    y, x = np.mgrid[:ny, :nx]
    angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.25, 0.25) * min(shape)
    across = (x - nx / 2) * np.sin(angle) - (y - ny / 2) * np.cos(angle) - offset
    peak, sigma = rng.uniform(500, 2000), 1.6
    return np.asarray(peak * np.exp(-0.5 * (across / sigma) ** 2), np.float64)
