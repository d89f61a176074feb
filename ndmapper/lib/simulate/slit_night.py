"""A night of a simulated slit spectrograph, written as raw files."""

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from ndmapper.data import DataFile
from ndmapper.lib.simulate.camera import cosmic_rays
from ndmapper.lib.simulate.slit import SlitScene, SlitSource, SlitSpectrograph

__all__ = ["SlitNight", "simulate_slit_night"]

Array = npt.NDArray[np.float64]

_PHOTON = 1.98644586e-8
"""Energy of a photon times its wavelength [erg Angstrom]."""
_AB = 48.6
_LIGHT = 2.99792458e18
"""[Angstrom/s]"""

# Lines of helium, mercury, cadmium and neon [Angstrom in air], and their strengths.
_LAMPS = [
    (4026.191, 2.0), (4046.565, 9.0), (4077.837, 0.9), (4358.335, 30.0),
    (4387.929, 1.5), (4471.479, 9.0), (4678.149, 6.0), (4713.145, 2.5),
    (4799.912, 10.0), (4921.931, 4.0), (5015.678, 12.0), (5085.822, 14.0),
    (5400.562, 3.0), (5460.75, 25.0), (5769.61, 5.0), (5790.67, 5.5),
    (5852.488, 11.0), (5875.621, 30.0), (5944.834, 7.0), (5975.534, 2.5),
    (6029.997, 3.0), (6074.337, 8.0), (6096.163, 10.0), (6143.063, 14.0),
    (6217.281, 6.0), (6266.495, 9.0), (6334.427, 10.0), (6402.248, 28.0),
    (6438.469, 8.0), (6506.528, 16.0), (6532.882, 8.0),
]  # fmt: skip
_SKY_LINES = [(4358.335, 150.0), (5460.75, 200.0), (5577.339, 900.0), (5891.0, 250.0),
              (6300.304, 350.0), (6363.78, 120.0)]  # fmt: skip
_SECONDS = {"bias": 0.0, "flat": 5.0, "arc": 10.0, "standard": 60.0, "object": 1200.0}
_PLACES = {
    "standard": ("12:37:23.5", "25:03:59.9"),
    "object": ("12:17:36.7", "39:00:40.0"),
}
_RAYS = 60
_SHIFT = 0.997
"""Of the lines of the galaxy, which comes nearer."""


def _spectrograph() -> SlitSpectrograph:
    return SlitSpectrograph(
        shape=(120, 800), wavelength_range=(4000.0, 6600.0), nonlinearity=20.0,
        tilt=3.0, bend=0.4, trace_shift=5.0, slit=(6, 114), illumination=0.03,
        pixel_scatter=0.01, gain=1.2, read_noise=4.0,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SlitNight:
    """
    A night, and the truth about it.

    Parameters
    ----------
    spectrograph : SlitSpectrograph
        The spectrograph.
    files : dict of str to list of str
        Names by kind: bias, flat, arc, standard, object.
    scenes : dict of str to SlitScene
        Light of standard and objects, by the name of the file.
    """

    spectrograph: SlitSpectrograph
    files: dict[str, list[str]] = field(default_factory=dict)
    scenes: dict[str, SlitScene] = field(default_factory=dict)

    def area(self, wavelengths: Array) -> Array:
        """
        Give the effective area of telescope and spectrograph.

        Parameters
        ----------
        wavelengths : ndarray of float
            Wavelengths [Angstrom].

        Returns
        -------
        ndarray of float
            The area [cm2].
        """
        bump = np.exp(-0.5 * ((wavelengths - 5200) / 1000) ** 2)
        return np.asarray(400 + 5000 * bump)

    def standard_flux(self, wavelengths: Array) -> Array:
        """
        Give the spectrum of the standard star: a hot star with lines of hydrogen.

        Parameters
        ----------
        wavelengths : ndarray of float
            Wavelengths [Angstrom].

        Returns
        -------
        ndarray of float
            Flux [erg/s/cm2/Angstrom].
        """
        flux = 5e-14 * (wavelengths / 5000) ** -3
        for line in (4101.734, 4340.472, 4861.35, 6562.79):
            flux = flux * (1 - 0.35 * _gauss(wavelengths, line, 12))
        return np.asarray(flux)

    def object_flux(self, wavelengths: Array) -> Array:
        """
        Give the spectrum of the object: a galaxy with emission lines.

        Parameters
        ----------
        wavelengths : ndarray of float
            Wavelengths [Angstrom].

        Returns
        -------
        ndarray of float
            Flux [erg/s/cm2/Angstrom].
        """
        flux = 4e-17 * (wavelengths / 5000) ** 1.5
        lines = ((4861.35, 1.2), (4958.911, 1.5), (5006.843, 4.5), (6562.79, 4.0))
        for line, height in lines:
            flux = flux + height * 1e-16 * _gauss(wavelengths, line * _SHIFT, 5)
        return np.asarray(flux * (1 - 0.3 * _gauss(wavelengths, 5175 * _SHIFT, 15)))


def simulate_slit_night(
    folder: str | PathLike[str],
    spectrograph: SlitSpectrograph | None = None,
    *,
    exposures: int = 3,
    seed: int = 1,
) -> SlitNight:
    """
    Write the raw frames of a long-slit night, slit0001.fits and so on.

    Five bias frames, three flats, an arc of helium, mercury, cadmium and neon, a
    standard star and exposures of a galaxy, which moves along the slit between them.
    The table of the star, simstar.ecsv, is written beside them. Frames are those of
    the instrument ``simslit``, if the spectrograph is the default one.

    Parameters
    ----------
    folder : str or Path
        The folder, which is created if missing.
    spectrograph : SlitSpectrograph, optional
        The spectrograph; it must cover some of the 4000 to 6600 Angstrom in which there
        are lines.
    exposures : int
        Number of exposures of the galaxy.
    seed : int
        Seed of the noise; the same one gives the same frames.

    Returns
    -------
    SlitNight
        The truth of the frames.
    """
    slit = _spectrograph() if spectrograph is None else spectrograph
    night = SlitNight(spectrograph=slit)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    kinds = ["bias"] * 5 + ["flat"] * 3 + ["arc", "standard"] + ["object"] * exposures
    rng = np.random.default_rng(seed)
    for number, kind in enumerate(kinds, start=1):
        name = f"slit{number:04d}.fits"
        files = night.files.setdefault(kind, [])
        files.append(name)
        light, charge = _light(night, kind, name, len(files) - 1), None
        if kind in ("standard", "object"):
            charge = cosmic_rays(rng, light.shape, _RAYS if kind == "object" else 3)
        ndd = slit.observe_raw(light, seed=seed * 1000 + number, charge=charge)
        df = DataFile(target / name, data=[ndd], mode="new")
        for key, value, comment in _cards(kind, number):
            df.meta[key] = (value, comment)
        df.save()
    _table(night).write(target / "simstar.ecsv", overwrite=True)
    return night


def _light(night: SlitNight, kind: str, name: str, nth: int) -> Array:
    """Give the light of a frame, and note its truth."""
    slit = night.spectrograph
    ny, nx = slit.shape
    if kind == "bias":
        return np.zeros_like(slit.wavelengths())
    if kind == "flat":
        return slit.flat(lambda w: 4e4 * np.exp(-0.5 * ((w - 5600) / 900) ** 2) + 300)
    if kind == "arc":
        return slit.arc([(w, 900 * s) for w, s in _LAMPS], background=30.0)
    first, last = slit.wavelength_range
    along = np.linspace(-1, 1, nx)
    known = (first + last) / 2 + (last - first) / 2 * along
    known += slit.nonlinearity * (along**2 - 1)
    step = np.gradient(known)
    of = night.standard_flux if kind == "standard" else night.object_flux

    def electrons(w: Array) -> Array:
        """Give the light of the source in a column."""
        photons = of(w) * night.area(w) * w / _PHOTON
        return np.asarray(photons * np.interp(w, known, step) * _SECONDS[kind])

    bright = kind == "standard"
    source = SlitSource(row=0.5 * ny - 4.3 + 9.7 * nth, flux=electrons)
    sky = 2.0 if bright else 40.0
    lines = [(w, s * sky / 40) for w, s in _SKY_LINES]
    scene = slit.science([source], fwhm=(5.0, 4.4), sky=sky, sky_lines=lines)
    night.scenes[name] = scene
    return scene.light


def _cards(kind: str, number: int) -> list[tuple[str, Any, str]]:
    """Give what the header says of a frame."""
    minutes = 25 * (number - 1)
    names = {"standard": "simstar", "object": "galaxy"}
    cards = [
        ("INSTRUME", "SIMSLIT", "this frame was never taken"),
        ("OBJECT", names.get(kind, kind), ""),
        ("OBSTYPE", kind.upper(), "kind of frame"),
        ("EXPTIME", _SECONDS[kind], "[s]"),
        ("DATE-OBS", f"2016-05-12T{18 + minutes // 60:02d}:{minutes % 60:02d}:00",
         "start of the exposure (UTC)"),
        ("GRISM", "G1", "dispersive element"),
        ("SLIT", 1.5, "[arcsec] width"),
    ]  # fmt: skip
    if kind == "arc":
        cards.append(("LAMPS", "He+Hg+Cd+Ne", "lamps that are on"))
    if kind in _PLACES:
        ra, dec = _PLACES[kind]
        cards += [("RA", ra, "[h]"), ("DEC", dec, "[deg]"), ("AIRMASS", 1.0, "")]
    return cards


def _table(night: SlitNight) -> Table:
    """Make the table of the standard star, with bands of 25 Angstrom."""
    centres = np.arange(3900.0, 6701.0, 25.0)
    grid = centres[:, None] + np.linspace(-12.5, 12.5, 201)
    flux = np.mean(night.standard_flux(grid) * grid**2 / _LIGHT, axis=1)
    magnitudes = np.round(-2.5 * np.log10(flux) - _AB, 4)
    return Table(
        {"wavelength": centres, "magnitude": magnitudes, "width": np.full(113, 25.0)},
        meta={"star": "simstar"},
    )


def _gauss(w: Array, centre: float, sigma: float) -> Array:
    return np.asarray(np.exp(-0.5 * ((w - centre) / sigma) ** 2))
