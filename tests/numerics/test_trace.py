"""Traces of simulated spectra are those of the truth."""

import numpy as np
import pytest

from ndmapper.lib.simulate import SlitSource, SlitSpectrograph
from ndmapper.numerics.trace import find_traces, slit_profiles

# It moves by 8 of 400 pixels, and is bent.
SLIT = SlitSpectrograph(trace_shift=8, trace_bend=1)


def profiles_of(scene, seed=1, sky=0.0):
    ndd = SLIT.observe(scene.light, seed=seed)
    good = np.ones(ndd.shape, np.bool_)
    return slit_profiles(np.asarray(ndd.data) - sky, np.asarray(ndd.variance), good)


def test_three_traces_that_move_and_widen():
    sources = [
        SlitSource(row=25, flux=6000),
        SlitSource(row=55, flux=lambda w: w),
        SlitSource(row=80.5, flux=900),
    ]
    scene = SLIT.science(sources, fwhm=(3, 5))
    found = find_traces(profiles_of(scene))
    assert len(found) == 3
    for n, one in enumerate(found):  # the brightest first
        difference = one.position(400) - scene.traces[n]
        # Bins are 1/30 of all columns, and a cubic follows the parabola exactly;
        # the faintest has 800 times the noise in all columns.
        assert np.abs(difference).max() < 0.05
        assert np.abs(one.fwhm(400) / scene.fwhm - 1).max() < 0.05
        assert one.rms < 0.1
        assert one.kept.sum() >= 28


def test_positions_pull_as_their_errors_say():
    scene = SLIT.science([SlitSource(row=50, flux=500)], fwhm=4, sky=30.0)
    pulls = []
    for seed in range(25):
        (one,) = find_traces(profiles_of(scene, seed, sky=30.0))
        pulls.append(one.position(400)[200] - scene.traces[0, 200])
    # A Gaussian of this width and noise is known to 1.5 sqrt(sigma^3) noise / flux of a
    # column, or .013 pixel from 100 columns, which the middle of a cubic takes.
    noise = np.sqrt(30 + 16 + 500 / 6)
    sigma = 4 / 2.355
    expected = (
        np.sqrt(2 * np.sqrt(np.pi) * sigma**3) * noise / 500 / np.sqrt(400 / 2.25)
    )
    # 25 trials tell a width to 14 percent, a mean to .2 of it.
    assert np.std(pulls) == pytest.approx(expected, rel=0.5)
    assert abs(np.mean(pulls)) < 0.8 * expected


def test_faint_spectra_have_the_form_of_a_reference():
    bright = SLIT.science([SlitSource(row=30, flux=20000)], fwhm=(3, 5))
    (reference,) = find_traces(profiles_of(bright))
    sources = [SlitSource(row=45.3, flux=60), SlitSource(row=70, flux=40)]
    scene = SLIT.science(sources, fwhm=(3, 5), sky=30.0)
    found = find_traces(profiles_of(scene, sky=30.0), reference=reference)
    assert len(found) == 2
    for n, one in enumerate(found):
        # Signal-to-noise ratios of 35 and 20: FWHM / 2.4 / S/N is .05 to .09 pixel.
        assert np.abs(one.position(400) - scene.traces[n]).max() < 0.3
        assert np.isnan(one.rms)


def test_given_rows_are_kept_in_their_order_and_none_may_be_found():
    scene = SLIT.science([SlitSource(row=30), SlitSource(row=60)])
    profiles = profiles_of(scene)
    rows = [
        float(one.position(400)[200]) for one in find_traces(profiles, rows=[61, 29])
    ]
    assert rows == pytest.approx([60, 30], abs=0.05)
    assert find_traces(profiles_of(SLIT.science([]), seed=3)) == []


def test_cosmic_rays_are_no_spectra_and_masked_pixels_do_not_count():
    scene = SLIT.science([SlitSource(row=30, flux=800)], sky=20.0)
    ndd = SLIT.observe(scene.light, seed=4)
    data = np.asarray(ndd.data) - 20
    data[45:48, 100:103] += 30000  # a cosmic ray
    good = np.ones(data.shape, np.bool_)
    good[28:33, 200:210] = False
    found = find_traces(slit_profiles(data, np.asarray(ndd.variance), good))
    assert len(found) == 1
    assert np.abs(found[0].position(400) - scene.traces[0]).max() < 0.15


@pytest.mark.parametrize("ny", [60, 100])
@pytest.mark.parametrize("fwhm", [2.0, 4.0, 6.0])
def test_spectra_that_fill_the_slit_are_found(ny, fwhm):
    slit = SlitSpectrograph(shape=(ny, 200), trace_shift=4)
    rows = [10, 22, 34, 46]
    scene = slit.science([SlitSource(row=r, flux=6000) for r in rows], fwhm=fwhm)
    ndd = slit.observe(scene.light, seed=1)
    good = np.ones(ndd.shape, np.bool_)
    found = find_traces(
        slit_profiles(np.asarray(ndd.data), np.asarray(ndd.variance), good)
    )
    found.sort(key=lambda one: one.position(200)[100])
    assert len(found) == 4
    for one, truth in zip(found, scene.traces, strict=True):
        # Positions of a bin of 6 columns are known to .01 pixel.
        assert np.abs(one.position(200) - truth).max() < 0.05
        assert one.fwhm(200).mean() == pytest.approx(fwhm, rel=0.02)


@pytest.mark.parametrize(("apart", "ratio"), [(1.5, 1), (1.5, 0.3), (2, 0.3), (2, 0.1)])
def test_two_spectra_that_overlap_are_fitted_together(apart, ratio):
    slit = SlitSpectrograph(shape=(60, 200), trace_shift=4)
    sources = [
        SlitSource(row=26, flux=6000),
        SlitSource(row=26 + 4 * apart, flux=6000 * ratio),
    ]
    scene = slit.science(sources, fwhm=4.0)
    ndd = slit.observe(scene.light, seed=1)
    good = np.ones(ndd.shape, np.bool_)
    found = find_traces(
        slit_profiles(np.asarray(ndd.data), np.asarray(ndd.variance), good)
    )
    assert len(found) == 2
    found.sort(key=lambda one: one.position(200)[100])
    for one, truth in zip(found, scene.traces, strict=True):
        assert np.abs(one.position(200) - truth).max() < 0.08
