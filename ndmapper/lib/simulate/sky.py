"""The sky of the simulated telescope."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Scene", "Star", "make_scene"]

Image = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Star:
    """A point source."""

    # Position on the mosaic of the first frame [pixel], from 0.
    x: float
    y: float
    # Total flux in one exposure, in electrons of an average pixel.
    flux: float


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Sky, stars and a galaxy."""

    # Level of the sky [electron/pixel].
    sky: float
    # Relative gradient of the sky from left to right.
    gradient: float
    # FWHM of the stars [pixel].
    fwhm: float
    stars: tuple[Star, ...]
    # Centre and flux of an exponential disk.
    galaxy: Star
    # Scale length of the disk [pixel].
    disk: float

    def image(self, shape: tuple[int, int], dither: tuple[float, float]) -> Image:
        """Return the noiseless image, as ideal pixels would see it."""
        ny, nx = shape
        x, y = np.arange(nx, dtype=np.float64), np.arange(ny, dtype=np.float64)
        image = np.full(shape, self.sky) * (1 + self.gradient * (x / (nx - 1) - 0.5))
        sigma = self.fwhm / math.sqrt(8 * math.log(2))
        for star in self.stars:
            across = _integrated(x - star.x - dither[0], sigma)
            along = _integrated(y - star.y - dither[1], sigma)
            image += star.flux * along[:, None] * across[None, :]
        dx = x - self.galaxy.x - dither[0]
        dy = (y - self.galaxy.y - dither[1]) / 0.6
        radius = np.hypot(dy[:, None], dx[None, :])
        area = 2 * math.pi * self.disk**2 * 0.6
        image += self.galaxy.flux / area * np.exp(-radius / self.disk)
        return np.asarray(image, np.float64)


def _integrated(offset: npt.NDArray[np.floating], sigma: float) -> Image:
    """Fraction of a Gaussian in each pixel of a line."""
    scale = sigma * math.sqrt(2)
    edges = np.append(offset - 0.5, offset[-1] + 0.5) / scale
    cumulative = np.array([math.erf(e) for e in edges]) / 2
    return np.asarray(np.diff(cumulative), np.float64)


def make_scene(
    rng: np.random.Generator, shape: tuple[int, int], saturated_star: bool
) -> Scene:
    """Draw a random field of stars."""
    ny, nx = shape
    n = 40
    xs, ys = rng.uniform(8, nx - 8, n), rng.uniform(8, ny - 8, n)
    # Few bright stars and many faint ones, as in real counts.
    fluxes = 2000 * rng.uniform(0.004, 1, n) ** -1.0
    stars = [
        Star(x=round(float(x), 2), y=round(float(y), 2), flux=round(float(f)))
        for x, y, f in zip(xs, ys, fluxes, strict=True)
    ]
    if saturated_star:
        stars.append(Star(x=round(0.72 * nx, 2), y=round(0.3 * ny, 2), flux=6_000_000))
    return Scene(
        sky=220.0,
        gradient=0.04,
        fwhm=3.2,
        stars=tuple(stars),
        galaxy=Star(x=round(0.37 * nx, 2), y=round(0.6 * ny, 2), flux=400_000),
        disk=9.0,
    )
