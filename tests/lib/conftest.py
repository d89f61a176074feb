"""Frames of a small detector with two amplifiers, of which everything is known."""

from types import SimpleNamespace

import numpy as np
import pytest

from ndmapper.data import NDLater
from ndmapper.lib.ccd import Readout, stamp, subtract_overscan, trim

GAINS, NOISES, LEVELS = (2.0, 1.25), (6.0, 4.0), (1000.0, 700.0)


@pytest.fixture
def detector():
    """
    Make raw frames: two amplifiers side by side, their overscans at the right.

    ``frame(electrons)`` takes the electrons of an image of shape (ny, 2 nx) and gives
    raw counts; ``ndd(counts)`` an NDLater whose header knows the amplifiers;
    ``trimmed(electrons)`` a frame whose overscan was subtracted and trimmed.
    """
    ny, nx, ns = 60, 40, 16
    rng = np.random.default_rng(77)
    data = [(slice(0, ny), slice(k * nx, (k + 1) * nx)) for k in (0, 1)]
    strips = [
        (slice(0, ny), slice(2 * nx + k * ns, 2 * nx + (k + 1) * ns)) for k in (0, 1)
    ]

    def frame(electrons=0.0, structure=0.0, drift=0.0):
        light = np.broadcast_to(electrons, (ny, 2 * nx)).astype(float)
        counts = np.empty((ny, 2 * nx + 2 * ns))
        y = np.linspace(-1, 1, ny)[:, None]
        for k in (0, 1):
            noise = NOISES[k] / GAINS[k]
            base = LEVELS[k] + drift * y
            counts[strips[k]] = base + rng.normal(0, noise, (ny, ns))
            counts[data[k]] = (
                base
                + rng.poisson(light[data[k]]) / GAINS[k]
                + rng.normal(0, noise, (ny, nx))
            )
        counts[:, : 2 * nx] += structure
        return counts

    def ndd(counts, **facts):
        readouts = [
            Readout(
                name="AB"[k], data=data[k], overscan=strips[k],
                **{"gain": GAINS[k], "read_noise": NOISES[k]} | facts,
            )
            for k in (0, 1)
        ]  # fmt: skip
        made = NDLater(np.asarray(counts), ident=1)
        stamp(made.meta, readouts)
        return made

    def trimmed(electrons=0.0, **options):
        return trim(subtract_overscan(ndd(frame(electrons, **options))))

    return SimpleNamespace(
        frame=frame, ndd=ndd, trimmed=trimmed,
        data=data, strips=strips, shape=(ny, 2 * nx),
        gains=GAINS, noises=NOISES, levels=LEVELS,
        gain_map=np.repeat(GAINS, nx)[None, :] * np.ones((ny, 1)),
    )  # fmt: skip
