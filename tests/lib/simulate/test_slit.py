"""Simulated frames of a slit spectrograph are what their truth says."""

import numpy as np
import pytest

from ndmapper.lib.simulate import SlitSource, SlitSpectrograph
from ndmapper.lib.spectrograph import spectrograph_of

LINE = 4300.0


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("wavelength", ["rises", "falls"])
def test_light_lies_where_the_truth_says(axis, wavelength):
    slit = SlitSpectrograph(
        shape=(60, 200),
        dispersion_axis=axis,
        wavelength=wavelength,
        nonlinearity=20,
        tilt=2,
        bend=0.5,
        twist=0.3,
        trace_shift=8,
        gap=(50, 60),
        slit=(4, 57),
    )
    scene = slit.science([SlitSource(row=28)], fwhm=(3, 5))
    geometry = spectrograph_of(slit.table, slit.observe(scene.light, seed=1))
    light = geometry.turned(scene.light)
    assert light.shape == slit.shape
    assert np.flatnonzero(~light.any(axis=0)).tolist() == list(range(50, 60))
    assert np.array_equal(geometry.in_gap(200), ~light.any(axis=0))
    assert geometry.rows(60) == slice(4, 57)
    lit = light.any(axis=0)
    np.testing.assert_allclose(light.sum(axis=0), scene.spectra[0], rtol=1e-4)
    centres = (np.arange(60) @ light)[lit] / light.sum(axis=0)[lit]
    np.testing.assert_allclose(centres, scene.traces[0][lit], atol=1e-3)
    waves = geometry.turned(slit.wavelengths())
    assert (np.diff(waves, axis=1) > 0).all()
    rows = np.arange(60)
    columns = zip(centres, waves.T[lit], strict=True)
    expected = [np.interp(centre, rows, wave) for centre, wave in columns]
    np.testing.assert_allclose(scene.wavelengths[0][lit], expected, atol=0.01)
    arc = geometry.turned(slit.arc([(LINE, 1000.0)]))
    for row in (4, 30, 56):
        centre = arc[row] @ np.arange(200) / arc[row].sum()
        found = np.interp(centre, np.arange(200), waves[row])
        # Pixels of 4 Angstrom; the line is not quite symmetric in them.
        assert found == pytest.approx(LINE, abs=0.01)


def test_moffat_profiles_have_all_light_and_their_width():
    slit = SlitSpectrograph(shape=(400, 3))
    scene = slit.science([SlitSource(row=200, flux=1.0)], fwhm=8, beta=2.5)
    profile = scene.light[:, 1]
    # What lies beyond 200 pixels: (5/200)^3 or so.
    assert profile.sum() == pytest.approx(1, abs=1e-4)
    # Pixels widen it by 1 part in 1000.
    assert profile[204] / profile[200] == pytest.approx(0.5, abs=0.01)


def test_noise_is_that_of_the_variance_and_raw_frames_have_bias():
    slit = SlitSpectrograph(gain=2.0, pixel_scatter=0.02, illumination=0.1)
    light = slit.flat(1000.0)
    ndd = slit.observe(light, seed=2)
    expected = light * slit.response
    pulls = (ndd.data - expected) / np.sqrt(ndd.variance)
    # 40000 pixels: four standard errors of a width.
    assert np.std(pulls) == pytest.approx(1, abs=0.015)
    charge = np.zeros(light.shape)
    charge[5, 6] = 5000
    raw = slit.observe_raw(light, seed=2, charge=charge)
    assert raw.dtype == np.uint16
    electrons = (raw.data - 1000.0) * 2 - ndd.data
    assert electrons[5, 6] == pytest.approx(5000, abs=1.1)
    electrons[5, 6] = 0
    assert np.abs(electrons).max() <= 1.1
