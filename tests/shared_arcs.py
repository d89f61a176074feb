"""Simulated arcs, of which the wavelengths are known; nothing here is the package's."""

from types import SimpleNamespace

import numpy as np
from scipy.special import erf


def gaussians(length, places, peaks, fwhm):
    """Give a spectrum of Gaussian lines, integrated over pixels."""
    sigma = fwhm / 2.3548200450309493
    spectrum = np.zeros(length)
    for place, peak in zip(places, peaks, strict=True):
        first = max(0, int(place - 6 * sigma) - 1)
        last = min(length, int(place + 6 * sigma) + 2)
        if last <= first:
            continue
        edges = (np.arange(first, last + 1) - 0.5 - place) / sigma / np.sqrt(2)
        spectrum[first:last] += peak * sigma * np.sqrt(np.pi / 2) * np.diff(erf(edges))
    return spectrum


def noisy(clean, rng, read_noise=4.0):
    """Add the noise of photons and of reading; give the data and their variance."""
    data = rng.poisson(np.maximum(clean, 0)) + rng.normal(0, read_noise, clean.shape)
    return data, np.maximum(data, 0) + read_noise**2


def wavelengths_at(x, curve):
    """Give the wavelengths of pixels, through a grating or by a polynomial."""
    half = curve.length / 2
    u = (np.asarray(x) - (curve.length - 1) / 2) / half
    if curve.spacing:
        at = curve.angle + np.arctan(u * half * (1 + curve.cubic * u**2) / curve.camera)
        return curve.centre + curve.spacing * (np.sin(at) - np.sin(curve.angle))
    bent = u + curve.bent * u**2 + curve.cubic * u**3
    return curve.centre + curve.dispersion * half * bent


def make_arc(
    seed, wavelengths, *, dispersion, length=2048, fwhm=3.0, spurious=0.0, missing=0.0,
    falls=False, least=14, brightest=4e4,
):  # fmt: skip
    """
    Draw an arc through a grating at an unknown angle, or with a bent polynomial.

    Strengths of lines are random. Some lines of the list are missing, and some lines
    are in no list. A first guess is wrong by up to 200 Angstrom and 15 percent.
    """
    rng = np.random.default_rng(seed)
    while True:
        centre = rng.uniform(wavelengths[0], wavelengths[-1])
        if rng.random() < 0.5:
            camera = rng.uniform(3, 12) * length  # its focal length, in pixels
            angle = np.deg2rad(rng.uniform(-25, 25))
            spacing = dispersion * camera / np.cos(angle)
            bent, cubic = 0.0, rng.normal(0, 0.002)
        else:
            camera, angle, spacing = np.inf, 0.0, 0.0
            bent, cubic = rng.uniform(-0.06, 0.06), rng.normal(0, 0.004)

        curve = SimpleNamespace(
            centre=centre, camera=camera, angle=angle, spacing=spacing, bent=bent,
            cubic=cubic, dispersion=dispersion, length=length,
        )  # fmt: skip

        def truth(x, curve=curve):
            return wavelengths_at(x, curve)

        low, high = truth(0), truth(length - 1)
        within = wavelengths[(wavelengths > low) & (wavelengths < high)]
        if len(within) >= least:
            break
    grid = np.linspace(-0.1 * length, 1.1 * length, 20001)
    places = np.interp(within, truth(grid), grid)
    places = places[rng.random(len(places)) >= missing]
    more = round(len(places) * spurious / (1 - spurious))
    places = np.concatenate([places, rng.uniform(0, length - 1, more)])
    peaks = np.exp(rng.normal(0, 1.2, len(places)))
    clean = gaussians(length, places, brightest * peaks / peaks.max(), fwhm) + 20
    known = truth(np.arange(length))
    if falls:
        clean, known = clean[::-1], known[::-1]
    data, variance = noisy(clean, rng)
    sign = rng.choice([-1, 1], 2)
    return SimpleNamespace(
        data=data, variance=variance, truth=known, length=length,
        dispersion=dispersion,
        guess=float(known[length // 2] + sign[0] * rng.uniform(100, 200)),
        guessed_dispersion=float(dispersion * (1 + sign[1] * rng.uniform(0.05, 0.15))),
    )  # fmt: skip
