"""Wavelengths that are shifted by the lines of the sky."""

import numpy as np
import pytest
from shared_arcs import gaussians, noisy

from ndmapper.data import NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.spec.flexure import correct_flexure
from ndmapper.lib.spec.line_lists import join_lists

NY, NX = 40, 600


def frame(seed, shift, *, axis="x", sky=600.0):
    """Draw a sky with tilted lines, and a star; and the wavelengths of the arc."""
    rng = np.random.default_rng(seed)
    tilt = np.linspace(-1, 1, NY)
    waves = 5400 + 2.0 * (np.arange(NX) - tilt[:, None])
    known = join_lists(["sky"], "air").wavelengths
    known = known[(known > 5450) & (known < 6550)]
    places = (known - 5400) / 2.0
    rows = [
        gaussians(NX, places + t + shift, np.full(len(known), sky), 3.0) + 30
        for t in tilt
    ]
    clean = np.array(rows)
    clean[15:19] += 400
    data, variance = noisy(clean, rng)
    arc = NDLater(waves if axis == "x" else waves.T)
    arc.meta["WAVETYPE"] = "AWAV"
    arrays = [data, variance] if axis == "x" else [data.T, variance.T]
    return NDLater(arrays[0], variance=arrays[1]), arc


@pytest.mark.parametrize("axis", ["x", "y"])
def test_shift_and_its_error(axis):
    pulls = []
    for seed in range(12):
        shift = 0.37 - 0.1 * seed
        ndd, arc = frame(seed, shift, axis=axis)
        done = correct_flexure(
            ndd, wavelengths=arc, spectrograph={"dispersion_axis": axis}
        )
        assert done.meta["FLEXERR"] < 0.02
        # The wavelength falls by what the line has moved up.
        moved = np.median(arc.data - done.data) / 2.0
        assert moved == pytest.approx(done.meta["FLEXURE"], abs=1e-3)
        pulls.append((done.meta["FLEXURE"] - shift) / done.meta["FLEXERR"])
        assert np.all(done.variance > 0)
    # Twelve pulls; rows are interpolated, which the errors do not know of.
    assert np.sqrt(np.mean(np.square(pulls))) < 1.8
    assert done.meta["WAVETYPE"] == "AWAV"


def test_without_sky_lines_it_refuses():
    ndd, arc = frame(1, 0.2, sky=0.0)
    with pytest.raises(ParameterError, match="has no line of the sky"):
        correct_flexure(ndd, wavelengths=arc)
    arc.data[:] = arc.data - 2000
    with pytest.raises(ParameterError, match=r"between 3398 and \d+ Angstrom"):
        correct_flexure(ndd, wavelengths=arc)
