"""A slit spectrograph, and noiseless or noisy frames of it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ndmapper.data import NDLater
from ndmapper.lib.spectrograph import Spectrograph

__all__ = ["SlitScene", "SlitSource", "SlitSpectrograph"]

Array = npt.NDArray[np.float64]

Curve: TypeAlias = float | Callable[[Array], Array]
"""A number, or a function of the wavelength [Angstrom]."""

Lines: TypeAlias = Sequence[tuple[float, float]]
"""Wavelength [Angstrom] of each line, and its light in each row [electron]."""

_FULL_SCALE = 65535
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)
_FWHM = float(np.sqrt(8 * np.log(2)))


@dataclass(frozen=True, kw_only=True)
class SlitSource:
    """
    A point source in the slit.

    Parameters
    ----------
    row : float
        Where its trace is in the middle column [pixel along the slit, from 0].
    flux : float or callable
        Its light in a column [electron], as a number or a function of the wavelength
        [Angstrom].
    """

    row: float
    flux: Curve = 10000.0


@dataclass(frozen=True, kw_only=True)
class SlitScene:
    """
    Light of an exposure, and the truth about it; columns have rising wavelengths.

    Parameters
    ----------
    light : ndarray of float, shape (ny, nx) of the detector
        All light, as the image lies [electron].
    sky : ndarray of float, shape (ny, nx) of the detector
        The part of the sky [electron].
    spectra : ndarray of float, shape (sources, columns)
        Light of each source in each column [electron].
    traces : ndarray of float, shape (sources, columns)
        Centre of each source along the slit [pixel, from 0].
    wavelengths : ndarray of float, shape (sources, columns)
        Wavelengths at the traces [Angstrom].
    fwhm : ndarray of float, shape (columns,)
        FWHM of the sources along the slit [pixel].
    """

    light: Array
    sky: Array
    spectra: Array
    traces: Array
    wavelengths: Array
    fwhm: Array


@dataclass(frozen=True, kw_only=True)
class SlitSpectrograph:
    """
    A slit spectrograph whose geometry is known.

    In what follows, rows are pixels along the slit, columns pixels along the
    dispersion in the order of rising wavelength, v runs from -1 to 1 over the rows,
    and u from -1 to 1 over the columns. Images are made as they lie on the detector.

    Parameters
    ----------
    shape : (int, int)
        Number of rows and of columns.
    dispersion_axis : {'x', 'y'}
        Axis of the image along which the wavelength changes.
    wavelength : {'rises', 'falls'}
        Whether the wavelength rises or falls along this axis.
    wavelength_range : (float, float)
        Wavelengths at the centres of the first and the last column [Angstrom], in the
        middle of the slit.
    nonlinearity : float
        Wavelengths have the term nonlinearity (u^2 - 1) besides [Angstrom].
    tilt, bend, twist : float
        A line lies at the column of the middle row less tilt v / 2 + bend v^2 +
        twist u v / 2 [pixel].
    trace_shift, trace_bend : float
        Traces lie at the row of the source plus trace_shift u / 2 + trace_bend u^2
        [pixel].
    line_fwhm : float
        FWHM of the lines along the dispersion [pixel].
    slit : (int, int), optional
        First row that is lit and the first after it that is not; by default all are.
    gap : (int, int), optional
        First column of a gap between chips, and the first column after it.
    illumination : float or callable
        The slit is lit by 1 + illumination v, or by a function of v.
    pixel_scatter : float
        Standard deviation of the sensitivity of pixels, relative to their mean.
    gain : float
        Gain of raw frames [electron/adu].
    read_noise : float
        Read noise [electron].
    bias : float
        Bias level of raw frames [adu].
    """

    shape: tuple[int, int] = (100, 400)
    dispersion_axis: Literal["x", "y"] = "x"
    wavelength: Literal["rises", "falls"] = "rises"
    wavelength_range: tuple[float, float] = (4000.0, 4800.0)
    nonlinearity: float = 0.0
    tilt: float = 0.0
    bend: float = 0.0
    twist: float = 0.0
    trace_shift: float = 0.0
    trace_bend: float = 0.0
    line_fwhm: float = 3.0
    slit: tuple[int, int] | None = None
    gap: tuple[int, int] | None = None
    illumination: float | Callable[[Array], Array] = 0.0
    pixel_scatter: float = 0.0
    gain: float = 1.0
    read_noise: float = 4.0
    bias: float = 1000.0

    @property
    def table(self) -> Mapping[str, Any]:
        """What a step takes as its parameter ``spectrograph``."""
        nx = self.shape[1]
        first, last = self.wavelength_range
        table: dict[str, Any] = {
            "dispersion_axis": self.dispersion_axis,
            "wavelength": self.wavelength,
            "wavelength_range": [first, last],
            "dispersion": (last - first) / (nx - 1),
        }
        if self.slit is not None:
            table["slit"] = [self.slit[0] + 1, self.slit[1]]
        if self.gap is not None:
            start, stop = self.gap
            falls = self.wavelength == "falls"
            gap = [nx - stop + 1, nx - start] if falls else [start + 1, stop]
            table["gaps"] = [gap]
        return table

    @property
    def response(self) -> Array:
        """Sensitivity of the pixels and illumination of the slit, as the image lies."""
        scatter = np.random.default_rng(20).normal(0, self.pixel_scatter, self.shape)
        v = self._v(np.arange(self.shape[0]))
        given = self.illumination
        slit = given(v) if callable(given) else 1 + given * v
        return self._image((1 + scatter) * slit[:, None])

    def wavelengths(self) -> Array:
        """
        Give the wavelength at the centre of each pixel.

        Returns
        -------
        ndarray of float, shape (ny, nx) of the detector
            As the image lies [Angstrom].
        """
        rows, columns = np.indices(self.shape, np.float64)
        return self._image(self._wavelength(rows, columns))

    def science(
        self,
        sources: Sequence[SlitSource],
        *,
        fwhm: float | tuple[float, float] = 4.0,
        beta: float | None = None,
        sky: Curve = 0.0,
        sky_lines: Lines = (),
    ) -> SlitScene:
        """
        Give the light of sources and sky.

        Parameters
        ----------
        sources : sequence of SlitSource
            The sources.
        fwhm : float or (float, float)
            FWHM of the sources along the slit, or those in the first and in the last
            column [pixel].
        beta : float, optional
            Exponent of Moffat profiles; by default the profiles are Gaussian.
        sky : float or callable
            Light of the sky in a pixel [electron].
        sky_lines : sequence of (float, float)
            Wavelengths [Angstrom] of emission lines of the sky, and their light in each
            row [electron].

        Returns
        -------
        SlitScene
            The light and its truth.
        """
        rows, columns = np.indices(self.shape, np.float64)
        x = np.arange(self.shape[1], dtype=np.float64)
        wave = self._wavelength(rows, columns)
        background = _evaluated(sky, wave) + self._lines(sky_lines)
        traces = np.array([s.row + self._trace_shift(x) for s in sources])
        traces = traces.reshape(len(sources), x.size)
        width = np.linspace(
            *(fwhm if isinstance(fwhm, tuple) else (fwhm, fwhm)), x.size
        )
        light = background.copy()
        waves = np.empty_like(traces)
        spectra = np.empty_like(traces)
        for n, source in enumerate(sources):
            profile = _profile(rows - traces[n], width, beta)
            light += profile * _evaluated(source.flux, wave)
            waves[n] = self._wavelength(traces[n], x)
            spectra[n] = _evaluated(source.flux, waves[n])
        if self.gap is not None:
            spectra[:, slice(*self.gap)] = 0
        return SlitScene(
            light=self._lit(light),
            sky=self._lit(background),
            spectra=spectra,
            traces=traces,
            wavelengths=waves,
            fwhm=width,
        )

    def arc(self, lines: Lines, *, background: float = 0.0) -> Array:
        """
        Give the light of an arc lamp.

        Parameters
        ----------
        lines : sequence of (float, float)
            Wavelength of each line [Angstrom], and its light in each row [electron].
        background : float
            Continuum [electron/pixel].

        Returns
        -------
        ndarray of float, shape (ny, nx) of the detector
            The light [electron].
        """
        return self._lit(self._lines(lines) + background)

    def flat(self, level: Curve = 30000.0) -> Array:
        """
        Give the light of a lamp with a continuous spectrum.

        Parameters
        ----------
        level : float or callable
            The light in a pixel [electron].

        Returns
        -------
        ndarray of float, shape (ny, nx) of the detector
            The light [electron].
        """
        rows, columns = np.indices(self.shape, np.float64)
        return self._lit(_evaluated(level, self._wavelength(rows, columns)))

    def observe(self, light: Array, seed: int, charge: Array | None = None) -> NDLater:
        """
        Give a frame without bias, in electrons, with the variance that it truly has.

        Parameters
        ----------
        light : ndarray of float, shape (ny, nx) of the detector
            The light [electron].
        seed : int
            Seed of the noise.
        charge : ndarray of float, shape (ny, nx) of the detector, optional
            Charge of cosmic rays [electron].

        Returns
        -------
        NDLater
            The frame.
        """
        ndd = NDLater(self._electrons(light, seed, charge), unit="electron")
        ndd.variance = light * self.response + self.read_noise**2
        self._describe(ndd)
        return ndd

    def observe_raw(
        self, light: Array, seed: int, charge: Array | None = None
    ) -> NDLater:
        """
        Give a raw frame: whole numbers with bias, without variance.

        Parameters
        ----------
        light : ndarray of float, shape (ny, nx) of the detector
            The light [electron].
        seed : int
            Seed of the noise.
        charge : ndarray of float, shape (ny, nx) of the detector, optional
            Charge of cosmic rays [electron].

        Returns
        -------
        NDLater
            The frame, with GAIN and RDNOISE in its header.
        """
        adu = self._electrons(light, seed, charge) / self.gain + self.bias
        counts = np.clip(np.rint(adu), 0, _FULL_SCALE).astype(np.uint16)
        ndd = NDLater(counts, unit="adu")
        ndd.meta["GAIN"] = (self.gain, "[electron/adu]")
        ndd.meta["SATURATE"] = (_FULL_SCALE, "[adu]")
        self._describe(ndd)
        return ndd

    # ---- geometry, with the slit along axis 0 and rising wavelengths

    def _u(self, columns: Array) -> Array:
        return 2 * columns / (self.shape[1] - 1) - 1

    def _v(self, rows: npt.ArrayLike) -> Array:
        return 2 * np.asarray(rows, np.float64) / (self.shape[0] - 1) - 1

    def _trace_shift(self, columns: Array) -> Array:
        u = self._u(columns)
        return self.trace_shift * u / 2 + self.trace_bend * u**2

    def _line_shift(self, rows: Array, columns: Array) -> Array:
        v = self._v(rows)
        return (self.tilt + self.twist * self._u(columns)) * v / 2 + self.bend * v**2

    def _wavelength(self, rows: Array, columns: Array) -> Array:
        u = self._u(columns + self._line_shift(rows, columns))
        first, last = self.wavelength_range
        middle, half = (first + last) / 2, (last - first) / 2
        return np.asarray(middle + half * u + self.nonlinearity * (u**2 - 1))

    def _image(self, turned: Array) -> Array:
        axis = 1 if self.dispersion_axis == "x" else 0
        falls = self.wavelength == "falls"
        geometry = Spectrograph(axis=axis, falls=falls, binning=(1, 1), values={})
        return np.ascontiguousarray(geometry.back(turned))

    def _lit(self, turned: Array) -> Array:
        lit = np.zeros_like(turned)
        rows = slice(*(self.slit or (0, self.shape[0])))
        lit[rows] = turned[rows]
        if self.gap is not None:
            lit[:, slice(*self.gap)] = 0
        return self._image(lit)

    def _lines(self, lines: Lines) -> Array:
        """Draw lines, the light of which is integrated over each pixel."""
        rows, columns = np.indices(self.shape, np.float64)
        light = np.zeros(self.shape)
        # Where a wavelength is in the middle of the slit, also outside of the image.
        dense = np.arange(-20.0, self.shape[1] + 20.0, 0.1)
        known = self._wavelength(np.full(dense.shape, (self.shape[0] - 1) / 2), dense)
        for wavelength, electrons in lines:
            middle = np.interp(wavelength, known, dense, left=np.nan, right=np.nan)
            if np.isfinite(middle):
                centre = np.full(self.shape[0], middle)
                for _ in range(20):
                    wrong = wavelength - self._wavelength(rows[:, 0], centre)
                    centre += wrong / np.mean(np.diff(known)) * 0.1
                width = np.full(1, self.line_fwhm)
                light += electrons * _profile(columns - centre[:, None], width, None)
        return light

    # ---- noise

    def _electrons(self, light: Array, seed: int, charge: Array | None) -> Array:
        rng = np.random.default_rng(seed)
        electrons = rng.poisson(light * self.response).astype(np.float64)
        if charge is not None:
            electrons += charge
        return np.asarray(electrons + rng.normal(0, self.read_noise, light.shape))

    def _describe(self, ndd: NDLater) -> None:
        ndd.meta["RDNOISE"] = (self.read_noise, "[electron]")
        ndd.meta["DISPAXIS"] = (1 if self.dispersion_axis == "x" else 2, "dispersion")


def _evaluated(curve: Curve, wavelengths: Array) -> Array:
    if callable(curve):
        return np.asarray(curve(wavelengths), np.float64)
    return np.full(wavelengths.shape, float(curve))


def _profile(offset: Array, fwhm: Array, beta: float | None) -> Array:
    """Give the fraction of the light in pixels that lie `offset` from the centre."""
    result = np.zeros(offset.shape)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        distance = offset + node / 2
        if beta is None:
            sigma = fwhm / _FWHM
            density = np.exp(-0.5 * (distance / sigma) ** 2) / sigma
            result += weight / 2 * density / np.sqrt(2 * np.pi)
        else:
            core = fwhm / 2 / np.sqrt(2 ** (1 / beta) - 1)
            density = (1 + (distance / core) ** 2) ** -beta / core
            result += weight / 2 * density
    if beta is not None:
        result /= math.sqrt(math.pi) * math.gamma(beta - 0.5) / math.gamma(beta)
    return result
