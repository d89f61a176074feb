"""Bad pixels and cosmic rays."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.data.flags import FLAGS_DTYPE, widened
from ndmapper.errors import MissingPackageError, ParameterError, ShapeError
from ndmapper.lib.alike import check_shape
from ndmapper.lib.ccd.readout import pixel_map, readouts
from ndmapper.lib.figures import report_image
from ndmapper.lib.flagging import flags_with, joined
from ndmapper.lib.spectrograph import SpectrographTable, spectrograph_of
from ndmapper.numerics.cosmicray import (
    CosmicRays,
    count_followers,
    find_cosmic_rays,
    find_in_spectra,
)
from ndmapper.numerics.formulas import narrowed
from ndmapper.numerics.noise import pixel_variance
from ndmapper.numerics.sections import parse_region
from ndmapper.numerics.spectrum_model import has_spectra, spectrum_model
from ndmapper.steps import InstrumentTable, Range, Unit, qc, run_task

__all__ = ["add_bpm", "clean_cosmic_rays", "init_bpm", "lacosmic_spec"]

log = logging.getLogger(__name__)

_MANY = 3.0
"""Hits on traces are doubted from so many times those expected by chance."""


@run_task(each="file", outputs="filename", suffix="_bpm")
def init_bpm(
    reference: DataFile,
    *,
    regions: Sequence[Sequence[str]],
    convention: str = "numpy",
    value: Annotated[int, Range(ge=1, le=0xFFFFFFFF)] = 1,
) -> list[NDLater]:
    """
    Make a bad pixel mask: ``init_bpm(reference, regions=..., filename='bpm.fits')``.

    What is after the reference may be given by position, in the order ``regions``,
    ``convention``, ``value``, ``filename``.

    Parameters
    ----------
    reference : DataFile
        The file whose extensions the mask is for.
    regions : list of list of str
        For each extension a list of regions, such as ``'100:110,50:60'``, ``'100,*'``
        or ``':,99'``.
    convention : str
        ``'numpy'``: rows first, from 0, ends not included; ``'fits'``: columns first,
        from 1, ends included.
    value : int
        Flag bits of the regions; 1 is BAD. From 65536 on the mask has 32 bits.

    Returns
    -------
    list of NDLater
        The flag bits, as the data of each extension.
    """
    if len(regions) != len(reference):
        n, m = len(reference), len(regions)
        msg = (
            f"{reference} has {n} extension{'s' * (n != 1)}, but regions has "
            f"{m} list{'s' * (m != 1)}; give an empty list for one without bad pixels"
        )
        raise ParameterError(msg)
    masks = []
    for ndd, texts in zip(reference, regions, strict=True):
        bits = widened(np.zeros(ndd.shape, FLAGS_DTYPE), value)
        for text in texts:
            bits[_slices(text, convention, ndd)] |= bits.dtype.type(value)
        masks.append(ndd.replace(data=bits, variance=None, flags=None, unit=None))
    return masks


init_bpm.positional = ("regions", "convention", "value", "filename")


@run_task(prefix="k", cals=["bpm"])
def add_bpm(ndd: NDLater, bpm: NDLater | None) -> NDLater:
    """
    Join a bad pixel mask to the flags: ``add_bpm(files, bpm)``.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame.
    bpm : NDLater
        Mask as `init_bpm` makes it: flag bits as data. None changes nothing.

    Returns
    -------
    NDLater
        The frame, whose flags contain the bits of the mask; in the wider type of both.
    """
    if bpm is None:
        return ndd.copy()
    check_shape(ndd, bpm, "bad pixel mask")
    bits = np.asarray(bpm.data)
    if bits.dtype.kind not in "iub":
        msg = f"a bad pixel mask holds integers, not {bits.dtype}"
        raise ParameterError(msg)
    return ndd.replace(flags=joined(ndd.flags, bits))


add_bpm.positional = ("bpm",)


@run_task(prefix="x", options={"revision": 3})
def clean_cosmic_rays(
    ndd: NDLater,
    *,
    x_order: Annotated[int | None, Range(ge=0)] = None,
    y_order: Annotated[int | None, Range(ge=0)] = None,
    sigma: Annotated[float, Range(gt=0)] = 4.5,
    sigfrac: Annotated[float, Range(gt=0, le=1)] = 0.32,
    objlim: Annotated[float | None, Range(gt=0)] = None,
    iterations: Annotated[int, Range(ge=1)] = 5,
    sepmed: bool = False,
    bitmask: Annotated[int | None, Range(ge=0, le=0xFFFFFFFF)] = None,
    fwhm: Annotated[float | None, Range(ge=0), Unit("pixel")] = None,
    dispersion_axis: Literal[0, 1] | None = None,
    spectrograph: SpectrographTable = None,
    instrument: InstrumentTable = None,
) -> NDLater:
    """
    Find cosmic rays, flag them, and replace them by means of the pixels around.

    In frames of spectra, which have traces or sky lines that run across them, a model
    of objects and sky is subtracted for the search. By default it is made of the pixels
    around, follows traces that move and lines that are tilted, and tells itself how
    well it does, so that bright stars are kept. Images of the sky are searched by
    L.A.Cosmic.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame without bias, with variance (or with amplifiers whose
        gain and read noise are known).
    x_order, y_order : int, optional
        Number of Legendre terms of the models of objects along the dispersion and of
        sky along the slit, which L.A.Cosmic is then given (see `lacosmic_spec`), in
        place of the local model; 0 fits none.
    sigma : float
        Limit of detection [standard deviations].
    sigfrac : float
        Neighbours of a hit are taken from this fraction of `sigma` on.
    objlim : float, optional
        Least contrast of L.A.Cosmic against the fine structure of the image; by default
        1 where Legendre models are fitted, and 0.3 where they are not.
    iterations : int
        At most so many rounds.
    sepmed : bool
        Let L.A.Cosmic use separable median filters: quicker, and nearly the same.
    bitmask : int, optional
        Flag bits of pixels that are neither searched nor used; 0 for none. By default
        those that mask a pixel.
    fwhm : float, optional
        Full width at half maximum of stars; what is as smooth as they are is no hit
        [pixel]. By default it is measured in an image, between 1.5 and 3 pixels, and
        1.5 in spectra; 0 protects nothing.
    dispersion_axis : {0, 1}, optional
        The axis of the array along which wavelength changes, for the Legendre models
        (the local model needs none); by default that of the spectrograph.
    spectrograph : mapping, optional
        Keys of ``[spectrograph]`` that replace those of the instrument's table.
    instrument : str or path, optional
        Name of the instrument or path of its TOML, for a frame without variance; by
        default that of the configuration, else the header tells.

    Returns
    -------
    NDLater
        The clean frame; the hits are flagged COSMIC_RAY. Their variance is that of the
        mean of the pixels around, and of the structure that a mean does not follow.

    Notes
    -----
    The number of hits is in the record (``hits``). A warning tells that hits follow
    traces or lines, where they are no cosmic rays but the spectrum itself.
    """
    search = _Search(ndd, bitmask, instrument)
    if x_order is None and y_order is None:
        if has_spectra(search.data, search.variance, search.good):
            return search.cleaned_spectra(
                sigclip=sigma, sigfrac=sigfrac, iterations=iterations, fwhm=fwhm
            )
        x_order = y_order = 0
    models = x_order != 0 or y_order != 0
    return search.cleaned(
        _Orders(x_order, y_order, _axis(dispersion_axis, spectrograph, ndd)),
        sigclip=sigma,
        sigfrac=sigfrac,
        objlim=objlim or (1.0 if models else 0.3),
        iterations=iterations,
        sepmed=sepmed,
        fwhm=fwhm,
    )


def lacosmic_spec(  # noqa: PLR0917  # the published signature
    input_ndd: NDLater,
    x_order: int | None = None,
    y_order: int | None = None,
    sigclip: float = 4.5,
    sigfrac: float = 0.32,
    objlim: float = 1.0,
    niter: int = 5,
    sepmed: bool = True,
    cleantype: str = "meanmask",
    bitmask: int | None = None,
    *,
    fwhm: float | None = None,
    dispersion_axis: Literal[0, 1] | None = None,
    instrument: InstrumentTable = None,
) -> NDLater:
    """
    Clean cosmic rays from a long-slit spectrum.

    A model of the objects and the sky is taken away for the search. By default it is
    made of the pixels around, and hits are what it leaves: see `clean_cosmic_rays`.
    Where orders are given, smooth models of the objects along x and of the sky lines
    along y are fitted, and L.A.Cosmic searches the rest. A hit must then also stand out
    from its neighbours along x by `sigclip`, which keeps the ridge of a bright star.
    Nothing is a hit that is as smooth as a star.

    Parameters
    ----------
    input_ndd : NDLater
        The image, without bias.
    x_order, y_order : int, optional
        Number of Legendre terms of the models of objects and sky. If only one is given,
        the other is 9 for the objects, and for the sky 2, 3 or 5 for images of less
        than 50, less than 80, or more rows. 0 fits none.
    sigclip : float
        Limit of detection [standard deviations].
    sigfrac : float
        Neighbours of a hit are taken from this fraction of `sigclip` on.
    objlim : float
        Least contrast of L.A.Cosmic against the fine structure of the image.
    niter : int
        At most so many rounds.
    sepmed : bool
        Let L.A.Cosmic use separable median filters: quicker, and nearly the same.
    cleantype : str
        How hits are replaced: ``'median'``, ``'medmask'``, ``'meanmask'`` or ``'idw'``.
    bitmask : int, optional
        Flag bits of pixels that are neither searched nor used; 0 for none. By default
        those that mask a pixel.
    fwhm : float, optional
        Full width at half maximum of stars [pixel]; by default 1.5, and measured in the
        image for L.A.Cosmic. 0 protects nothing.
    dispersion_axis : {0, 1}, optional
        The axis of the array along which wavelength changes; by default that of
        DISPAXIS in the header, else 1. Where it is 0, the models of the objects run
        along y and those of the sky along x.
    instrument : str or path, optional
        Name of the instrument or path of its TOML, for an image without variance.

    Returns
    -------
    NDLater
        A clean copy. The hits are flagged COSMIC_RAY, and their variance is that of
        the interpolation, including how far it misses the good pixels around.

    Raises
    ------
    MissingPackageError
        If scipy is not installed, or astroscrappy where orders are given.
    """
    search = _Search(input_ndd, bitmask, instrument)
    options: dict[str, Any] = {
        "sigclip": sigclip,
        "sigfrac": sigfrac,
        "iterations": niter,
        "cleantype": cleantype,
        "fwhm": fwhm,
    }
    if x_order is None and y_order is None:
        return search.cleaned_spectra(**options)
    orders = _Orders(x_order, y_order, _axis(dispersion_axis, None, input_ndd))
    return search.cleaned(orders, objlim=objlim, sepmed=sepmed, **options)


def _axis(axis: int | None, table: Mapping[str, Any] | None, ndd: NDLater) -> int:
    """Give the dispersion axis, by default that of the spectrograph."""
    return spectrograph_of(table, ndd).axis if axis is None else axis


@dataclass(frozen=True)
class _Orders:
    """Terms of the Legendre models of objects and sky; None are those of a spectrum."""

    x: int | None
    y: int | None
    axis: int

    def of(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Orders for a frame of a shape."""
        rows = shape[1 - self.axis]
        objects = 9 if self.x is None else self.x
        sky = (2 if rows < 50 else 3 if rows < 80 else 5) if self.y is None else self.y
        return objects, sky


class _Search:
    """An image in which cosmic rays are searched: its pixels as numbers."""

    def __init__(
        self, ndd: NDLater, bitmask: int | None, instrument: InstrumentTable
    ) -> None:
        if ndd.ndim != 2:
            msg = (
                f"cosmic rays are searched in images, not in an array of {ndd.ndim} "
                "axes"
            )
            raise ShapeError(msg)
        self.ndd = ndd
        self.data = np.asarray(ndd.data, np.float64)
        mask = ndd.flagged(ndd.bad_flags if bitmask is None else bitmask)
        self.mask = np.zeros(ndd.shape, np.bool_) if mask is None else mask
        self.variance = _variance(ndd, self.data, instrument)

    @property
    def good(self) -> np.ndarray:
        """Pixels that are known and not masked."""
        known = np.isfinite(self.data) & np.isfinite(self.variance)
        return np.asarray(known & (self.variance > 0) & ~self.mask)

    def cleaned(self, orders: _Orders, **options: Any) -> NDLater:
        """Search with L.A.Cosmic, flag and replace."""
        objects, sky = orders.of(self.data.shape)
        fits = objects > 0 or sky > 0
        if fits:
            options["background"] = spectrum_model(
                self.data, self.mask, object_order=objects, sky_order=sky,
                dispersion_axis=orders.axis,
            )  # fmt: skip
            options["protect_axis"] = orders.axis
        return self._finished(find_cosmic_rays, options, spectra=fits)

    def cleaned_spectra(self, **options: Any) -> NDLater:
        """Search with a local model of spectra, flag and replace."""
        return self._finished(find_in_spectra, options, spectra=True)

    def _finished(
        self, find: Callable[..., CosmicRays], options: dict[str, Any], spectra: bool
    ) -> NDLater:
        try:
            result = find(self.data, self.variance, self.mask, **options)
        except ImportError as err:
            msg = (
                f"cosmic rays are found with astroscrappy and scipy ({err}); install "
                "them with: pip install 'ndmapper[ccd]'"
            )
            raise MissingPackageError(msg) from err
        ndd = self.ndd
        new: dict[str, Any] = {}
        if ndd.has("uncertainty"):
            new["variance"] = narrowed(result.variance, np.dtype("f4"))
        cleaned = ndd.replace(
            data=result.data.astype(_float_type(ndd)),
            flags=flags_with(ndd, (result.found, Flag.COSMIC_RAY)),
            **new,
        )
        n = int(result.found.sum())
        cleaned.meta["NCOSMIC"] = (n, "pixels hit by cosmic rays")
        qc(hits=n, hits_share=n / max(ndd.size, 1))
        if spectra and n:
            self._warn_of_followers(result.found)
        report_image(ndd, {"cosmic ray": result.found}, "before cleaning")
        return cleaned

    def _warn_of_followers(self, found: np.ndarray) -> None:
        """Warn where hits follow a trace or a sky line, by more than chance does."""
        for axis, along in ((1, "rows"), (0, "columns")):
            on, expected = count_followers(
                found, self.data, self.variance, self.good, axis
            )
            if on > _MANY * expected + 5 * np.sqrt(expected + 1):
                log.warning(
                    "%d of the hits are on bright lines along the %s, where %.1f are "
                    "expected by chance: light of the spectrum is taken for cosmic "
                    "rays; leave x_order and y_order out, or raise sigma or fwhm",
                    on, along, expected,
                )  # fmt: skip


def _slices(text: str, convention: str, ndd: NDLater) -> tuple[slice, ...]:
    try:
        slices = parse_region(text, convention)
    except ValueError as err:
        raise ParameterError(str(err)) from err
    sizes = ndd.shape
    outside = len(slices) != len(sizes) or any(
        (s.stop is not None and s.stop > n) or (s.start or 0) >= n
        for s, n in zip(slices, sizes, strict=False)
    )
    if outside:
        msg = (
            f"the region {text!r} ({convention} convention) is not in an image of "
            f"shape {sizes}"
        )
        raise ParameterError(msg)
    return slices


def _variance(
    ndd: NDLater, data: np.ndarray, instrument: InstrumentTable
) -> np.ndarray:
    if ndd.variance is not None:
        return np.asarray(ndd.variance, np.float64)
    amplifiers = readouts(ndd, instrument=instrument)
    before = "give it to add_variance before"
    gain = pixel_map(amplifiers, ndd.shape, lambda r: r.gain, "gain", before)
    noise = pixel_map(
        amplifiers, ndd.shape, lambda r: r.read_noise, "read noise", before
    )
    return pixel_variance(data, gain, noise)


def _float_type(ndd: NDLater) -> Any:
    return ndd.dtype if ndd.dtype.kind == "f" else np.float32
