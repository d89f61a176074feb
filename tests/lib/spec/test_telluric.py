"""Telluric absorption, of known depth."""

import numpy as np
import pytest
from lib_spectra import LICK, exposure, spectrum

from ndmapper import config
from ndmapper.data import DataFile
from ndmapper.errors import ParameterError
from ndmapper.lib.spec.pointing import airmass_at_middle
from ndmapper.lib.spec.telluric import correct_telluric, make_telluric

WAVELENGTHS = 6500 + 1.5 * np.arange(1000)
HIGH, LOW = {"OBJECT": "star"}, {"OBJECT": "target", "DEC": "5:00:00"}


@pytest.fixture(autouse=True)
def quiet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with config.using(reprocess=None, logfile=None):
        yield


def airmass(header):
    df = exposure(spectrum(WAVELENGTHS, WAVELENGTHS), **header)
    return airmass_at_middle(df, LICK)[0]


def transmission(header, power):
    """Give bands as of oxygen, which are 1 outside of their range."""
    depth = 0.4 * np.exp(-0.5 * ((WAVELENGTHS - 6910) / 10) ** 2)
    depth += 1.0 * np.exp(-0.5 * ((WAVELENGTHS - 7650) / 13) ** 2)
    return np.exp(-depth * airmass(header) ** power)


def observed(level, header, power, seed=None):
    clean = level * (WAVELENGTHS / 7000) ** -2 * transmission(header, power)
    data = clean
    if seed is not None:
        data = np.random.default_rng(seed).poisson(clean).astype(float)
    return exposure(spectrum(WAVELENGTHS, data, clean), **header)


def corrected(df, made, **words):
    return correct_telluric.func(df, DataFile(data=[made]), spectrograph=LICK, **words)


@pytest.mark.parametrize("power", [0.55, 1.0])
def test_absorption_of_another_airmass_is_taken_out(power):
    made = make_telluric.func(observed(1e4, HIGH, power), spectrograph=LICK)
    expected = transmission(HIGH, power)
    assert made.data == pytest.approx(expected, abs=0.01)
    assert made.meta["TELLAIRM"] == pytest.approx(airmass(HIGH))
    assert airmass(LOW) > airmass(HIGH) + 0.1
    found = corrected(observed(1e4, LOW, power), made, power=power)[0]
    assert found.data == pytest.approx(1e4 * (WAVELENGTHS / 7000) ** -2, rel=0.015)


def test_noise_of_the_standard_is_in_the_variance():
    """Of 30 pairs, in the deep band: 3 percent, of some 2000 pixels."""
    band = (WAVELENGTHS > 7600) & (WAVELENGTHS < 7700)
    pulls = []
    for seed in range(30):
        star = observed(3000, HIGH, 1.0, seed)
        made = make_telluric.func(star, spectrograph=LICK)
        df = observed(3000, LOW, 1.0, 100 + seed)
        found = corrected(df, made, power=1.0)[0]
        rest = found.data - 3000 * (WAVELENGTHS / 7000) ** -2
        pulls.append((rest / np.sqrt(found.variance))[band])
    assert np.std(pulls) == pytest.approx(1, abs=0.07)


def test_opaque_pixels_are_flagged():
    df = observed(1e4, HIGH, 1.0)
    df[0].data[(WAVELENGTHS > 7630) & (WAVELENGTHS < 7640)] = 100.0
    made = make_telluric.func(df, spectrograph=LICK)
    found = corrected(observed(1e4, LOW, 1.0), made)[0]
    wrong = (WAVELENGTHS > 7630) & (WAVELENGTHS < 7640)
    assert np.asarray(found.mask)[wrong].all()
    assert np.isnan(found.data[wrong]).all()
    assert np.asarray(found.mask).sum() == wrong.sum()


def test_steps_on_files():
    observed(1e4, HIGH, 0.55).save("star.fits")
    observed(1e4, LOW, 0.55).save("x.fits")
    made = make_telluric("star.fits", spectrograph=LICK)
    assert made.record[-1]["qc"]["bands"] == "6860-6970, 7160-7350, 7585-7720"
    found = correct_telluric("x.fits", telluric=made, spectrograph=LICK)
    expected = 1e4 * (WAVELENGTHS / 7000) ** -2
    assert DataFile(found.filename)[0].meta["TELLURIC"] > 0
    assert DataFile(found.filename)[0].data == pytest.approx(expected, rel=0.015)


def test_what_does_not_fit_is_refused():
    df = observed(1e4, HIGH, 0.55)
    with pytest.raises(ParameterError, match="bands="):
        make_telluric.func(df, spectrograph=LICK, bands=[(3000, 4000)])
    with pytest.raises(ParameterError, match="make_telluric"):
        correct_telluric.func(df, df)
    made = make_telluric.func(df, spectrograph=LICK)
    once = df.copy()
    once[0].meta["TELLURIC"] = 1.0
    with pytest.raises(ParameterError, match="absorption already"):
        corrected(once, made)
    df[0].meta["SPECSYS"] = "BARYCENT"
    with pytest.raises(ParameterError, match="BARYCENT"):
        corrected(df, made)
