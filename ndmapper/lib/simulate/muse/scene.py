"""What MUSE is exposed to: darkness, lamps, twilight, a standard star and a field."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ndmapper.lib.simulate.muse.detector import MuseDetector
from ndmapper.lib.simulate.muse.optics import (
    COLUMNS,
    PIXEL,
    Image,
    paint,
    strip_centre,
)

__all__ = ["DITHERS", "LINE_WIDTH", "SKY_LINES", "Scene"]

SKY_LINES = (
    (5577.339, 900.0), (5889.951, 120.0), (6300.304, 500.0), (6363.776, 160.0),
    (6863.955, 180.0), (7276.405, 200.0), (7340.885, 230.0), (7750.640, 260.0),
    (7964.650, 250.0), (8344.602, 200.0), (8399.170, 350.0), (8885.850, 420.0),
)  # fmt: skip
"""Emission lines of the sky: wavelength [Angstrom], electrons per pixel in 100 s."""

LINE_WIDTH = 2.5 / 2.3548
"""Standard deviation of a line that is not resolved [Angstrom]."""

DITHERS = ((0.0, 0.0), (1.2, -0.4))
"""Where exposures of the field point [arcsec to the east and north]."""

_CONTINUUM = 15.0
_SEEING = 0.8 / 2.3548
_LAMPS = {"flat": 1.0, "illum": 0.3, "skyflat": 0.5}

# Position [arcsec to the east and north], and electrons in 100 s at 7000 Angstrom.
_Star = tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """What some of the IFUs see, with all stars in their part of the field."""

    ifus: Sequence[int]
    detector: MuseDetector
    seed: int

    def light(self, kind: str, number: int, ifu: int, exptime: float) -> Image:
        """Return the light of an exposure with an IFU [electron], without noise."""
        # The pattern that all exposures of an IFU share.
        rng = np.random.default_rng([self.seed, ifu])
        rows = self.detector.rows
        image = np.zeros((rows, COLUMNS))
        hot = rng.integers(0, image.size, image.size // 50000)
        sensitivity = rng.normal(1.0, 0.01, image.shape)
        if kind == "dark":
            image += self.detector.dark * exptime / 3600.0
            image.flat[hot] += 2000.0 * exptime / 3600.0
        elif kind in _LAMPS:
            level = self.detector.lamp * _LAMPS[kind]
            image += sensitivity * paint(
                rows, ifu, lambda wave, x, _: level * (1 + x / 15000) * wave / 7300
            )
        elif kind != "bias":
            stars = self._stars(kind, number)
            image += exptime / 100.0 * sensitivity * paint(
                rows, ifu, lambda wave, x, y: _sky(wave) + _starlight(stars, wave, x, y)
            )  # fmt: skip
        return image

    def _stars(self, kind: str, number: int) -> list[_Star]:
        """Return the stars of an exposure; those of the field are amid the IFUs."""
        if kind == "std":
            return [(0.0, strip_centre(self.ifus), 4e6)]
        if kind != "object":
            return []
        rng = np.random.default_rng(5)
        east, north = DITHERS[number % len(DITHERS)]
        stars = []
        for n, x in enumerate(np.linspace(24.0, -24.0, 15)):
            y = strip_centre([self.ifus[7 * n % len(self.ifus)]])
            dx, dy = rng.uniform(-1.0, 1.0) - east, rng.uniform(-0.3, 0.3) - north
            stars.append((float(x) + dx, y + dy, 10 ** rng.uniform(3.7, 4.5)))
        return stars


def _sky(wave: Image) -> Image:
    light = np.full_like(wave, _CONTINUUM)
    first, last = float(np.min(wave)), float(np.max(wave))
    for line, peak in SKY_LINES:
        if first - 8.0 < line < last + 8.0:
            light += peak * np.exp(-0.5 * ((wave - line) / LINE_WIDTH) ** 2)
    return light


def _starlight(stars: Sequence[_Star], wave: Image, x: Image, y: float) -> Image:
    light = np.zeros_like(wave)
    sigma = _SEEING / PIXEL
    for east, north, flux in stars:
        # East is at the left.
        right, above = x + east / PIXEL, y - north / PIXEL
        if abs(above) < 6 * sigma and np.abs(right).min() < 6 * sigma:
            distance = right**2 + above**2
            peak = flux / (2 * np.pi * sigma**2)
            light += peak * np.exp(-0.5 * distance / sigma**2) * wave / 7000.0
    return light
