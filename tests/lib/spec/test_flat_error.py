"""Noise of a flat that spectra share counts once in what is combined of them."""

import numpy as np
import pytest

from ndmapper import config
from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.lib.ccd import apply_flat
from ndmapper.lib.simulate import SlitSource, SlitSpectrograph
from ndmapper.lib.spec import (
    combine_spectra,
    extract_spectra,
    rectify_wavelength,
    wavelengths_of,
)
from ndmapper.lib.spec.flat_error import FLAT_ERROR, flat_errors_of

ROWS = (15, 35)
NX = 600


@pytest.fixture(autouse=True)
def quiet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with config.using(reprocess="auto", logfile=None):
        yield


def make_night(*, flat_error, flux, sky=0.0, dithers=(0, 0, 0, 0), flats=1, **words):
    """Write frames divided by flats whose pixels are wrong; give frames and truth."""
    rng = np.random.default_rng(3)
    slit = SlitSpectrograph(
        shape=(110, NX), trace_shift=5, tilt=2, nonlinearity=15, **words
    )
    image = NDLater(slit.wavelengths(), unit="Angstrom")
    image.meta["WAVETYPE"] = "AWAV"
    DataFile("w.fits", data=[image], mode="new").save()
    for number in range(flats):
        pixels = 1 + rng.normal(0, flat_error, slit.wavelengths().shape)
        flat = NDLater(pixels, variance=np.full(pixels.shape, flat_error**2))
        flat.meta["FLATNORM"] = "plain"
        DataFile(f"flat{number}.fits", data=[flat], mode="new").save()
    frames = []
    for n, dither in enumerate(dithers):
        scene = slit.science(
            [SlitSource(row=row + dither, flux=flux) for row in ROWS],
            fwhm=(4, 4), sky=sky,
        )  # fmt: skip
        ndd = slit.observe(scene.light, seed=10 + n)
        DataFile(f"f{n}.fits", data=[ndd], mode="new").save()
        frames += [apply_flat(f"f{n}.fits", flat=f"flat{n % flats}.fits")]
    return DataFileList([str(f.filename) for f in frames]), slit, scene


def to_spectra(frames, slit, method, background="none"):
    """Extract the objects of all frames, without figures."""
    waves, found = DataFile("w.fits"), []
    for frame in frames:
        spectra = extract_spectra.func(
            frame, None, waves, method=method, background=background,
            spectrograph=slit.table,
        )  # fmt: skip
        found.append(spectra)
    return found


def combined(spectra, **words):
    return combine_spectra.func(DataFileList(data=list(spectra)), **words)


def pulls_of(made, scene):
    """Give the pulls of all objects, without the ends of the spectrum."""
    pulls = []
    for ndd, truth, waves in zip(made, scene.spectra, scene.wavelengths, strict=True):
        # Counts of a pixel as wide as those of the product.
        ours = wavelengths_of(ndd).values
        order = np.argsort(waves)
        density = (truth / np.abs(np.gradient(waves)))[order]
        expected = np.interp(ours, waves[order], density) * np.gradient(ours)
        pulls += [((ndd.data - expected) / np.sqrt(ndd.variance))[8:-8]]
    return np.concatenate(pulls)


@pytest.mark.parametrize(
    ("words", "method", "naive"),
    [
        ({}, "boxcar", 1.4),
        ({"dispersion_axis": "y", "wavelength": "falls"}, "optimal", 1.15),
        ({"dithers": (0, 20, 40, 60)}, "optimal", 0.9),
        ({"dithers": (0, 0, 20, 20)}, "boxcar", 1.1),
        ({"flats": 2}, "boxcar", 1.1),
        ({"sky": 1e5}, "boxcar", 1.5),
    ],
)
def test_noise_of_one_flat_counts_once(words, method, naive):
    frames, slit, scene = make_night(**({"flat_error": 0.006, "flux": 5e5} | words))
    background = "constant" if "sky" in words else "none"
    spectra = to_spectra(frames, slit, method, background)
    made = combined(spectra)
    pulls = pulls_of(made, scene)
    # 1150 columns: the width is known to 2 percent. (That of a single spectrum is .96:
    # the model of its variance grows in proportion to light.) Where a sky is fitted
    # beside the object, its noise, a quarter of that in the aperture, is not followed.
    assert np.std(pulls) == pytest.approx(0.98, abs=0.1 if "sky" in words else 0.08)
    for df in spectra:
        for ndd in df:
            for key in [key for key in ndd.extras if key.startswith(FLAT_ERROR)]:
                del ndd.extras[key]
    # What it is where the noise of the flat counts as that of each.
    assert np.std(pulls_of(combined(spectra), scene)) > naive


def test_what_is_combined_again_counts_once_too():
    frames, slit, scene = make_night(flat_error=0.01, flux=5e5)
    spectra = to_spectra(frames, slit, "boxcar")
    halves = [
        DataFile(data=combined(spectra[part])) for part in (slice(0, 2), slice(2, 4))
    ]
    halves[0].save("half.fits")
    made = combined([DataFile("half.fits"), halves[1]])
    whole = combined(spectra)
    for one, other in zip(made, whole, strict=True):
        # Weights are medians, which differ a little.
        np.testing.assert_allclose(one.variance[8:-8], other.variance[8:-8], rtol=0.02)
        found = flat_errors_of(one)
        assert [x.name for x in found] == ["flat0.fits"]
        part = (found[0].relative ** 2).sum(axis=0) * np.asarray(one.data) ** 2
        assert np.nanmedian(part / one.variance) > 0.9
    # On wider pixels, and at levels of one, the shared part is as large.
    for words in ({"step": 6.0}, {"scale": "median"}):
        other = combined(spectra, **words)
        assert np.std(pulls_of(other, scene)) == pytest.approx(0.98, abs=0.12)


def test_flats_that_cannot_be_followed_are_told(caplog):
    frames, slit, _ = make_night(flat_error=0.01, flux=2e5, dithers=(0,))
    rectified = rectify_wavelength(
        frames[0], wavelengths="w.fits", spectrograph=slit.table
    )
    made = extract_spectra.func(rectified, None, spectrograph=slit.table)
    assert "averaged down too far" in caplog.text
    assert "rectified" in caplog.text
    assert not flat_errors_of(made[0])
