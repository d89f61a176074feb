"""The wavelengths of a spectrum, which are its world coordinates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from astropy import units as u

from ndmapper.data import DataFile, NDLater
from ndmapper.data.spectral_axis import spectral_type, spectral_wcs
from ndmapper.errors import ParameterError, ShapeError
from ndmapper.lib.alike import called, check_shape
from ndmapper.lib.flagging import good_pixels
from ndmapper.lib.spectrograph import Spectrograph

__all__ = [
    "WAVETYPE",
    "Medium",
    "WavelengthAxis",
    "counterpart",
    "medium_of",
    "turned_wavelengths",
    "wavelengths_of",
    "with_wavelengths",
    "word_of",
]

Medium = Literal["vacuum", "air"]

WAVETYPE = "WAVETYPE"
"""Card of an image of wavelengths: WAVE or AWAV, as CTYPE has it of a spectrum."""

_WORDS: Mapping[Medium, str] = {"vacuum": "WAVE", "air": "AWAV"}
_OF_IRAF = ("LINEAR", "LAMBDA")


@dataclass(frozen=True)
class WavelengthAxis:
    """
    Wavelengths of the pixels of a spectrum.

    Parameters
    ----------
    values : ndarray, shape (n,)
        The wavelengths [Angstrom].
    medium : {'vacuum', 'air'}
        What they are the wavelengths in.
    """

    values: npt.NDArray[np.float64]
    medium: Medium


def wavelengths_of(ndd: NDLater) -> WavelengthAxis:
    """
    Give the wavelengths of a spectrum.

    Parameters
    ----------
    ndd : NDLater
        Spectrum of one axis, with world coordinates.

    Returns
    -------
    WavelengthAxis
        The wavelength of each pixel [Angstrom], and whether in vacuum or in air, by
        its CTYPE (WAVE or AWAV).

    Raises
    ------
    ShapeError
        If the data have more axes than one.
    ParameterError
        If it has no coordinates, or none that are wavelengths.
    """
    if ndd.ndim != 1:
        msg = f"a spectrum has one axis, and the shape of this is {ndd.shape}"
        raise ShapeError(msg)
    if (wcs := ndd.wcs) is None:
        msg = (
            f"{called(ndd)} has no wavelengths: its header has no CTYPE1 (WAVE, AWAV); "
            "extract it with wavelengths, or set ndd.wcs"
        )
        raise ParameterError(msg)
    low = wcs.low_level_wcs
    kind = str(low.world_axis_physical_types[0] or "")
    word, text = spectral_type(wcs)
    # The coordinates of IRAF have LINEAR or no CTYPE; their unit says what they are.
    is_wavelength = kind.startswith("em.wl") or word in _OF_IRAF or (not word and text)
    try:
        unit = u.Unit(text or "Angstrom")
    except ValueError as err:
        msg = f"the unit of the axis of {called(ndd)} is not understood: {text!r}"
        raise ParameterError(msg) from err
    if word in _OF_IRAF and ndd.header_values.get("DC-FLAG") == 1:
        what = f"the wavelengths of {called(ndd)} are logarithms"
        msg = f"{what} (DC-FLAG = 1), not read here"
        raise ParameterError(msg)
    if not is_wavelength or unit.physical_type != "length":
        found = f"{kind or word!r} [{unit}]"
        msg = f"the axis of {called(ndd)} has {found}, and no wavelengths"
        raise ParameterError(msg)
    values = low.pixel_to_world_values(np.arange(ndd.shape[0], dtype=float))
    angstrom = np.asarray(values, np.float64) * unit.to(u.AA)
    return WavelengthAxis(angstrom, "air" if word == "AWAV" else "vacuum")


def with_wavelengths(
    ndd: NDLater,
    wavelengths: npt.ArrayLike,
    medium: Medium,
) -> NDLater:
    """
    Give a spectrum other wavelengths.

    Parameters
    ----------
    ndd : NDLater
        Spectrum of one axis.
    wavelengths : array_like
        The wavelength of each pixel [Angstrom].
    medium : {'vacuum', 'air'}
        What they are the wavelengths in.

    Returns
    -------
    NDLater
        A copy. Its header has linear coordinates (CRVAL1, CDELT1) if the wavelengths
        are linear; others are saved as a table of the file (CTYPE1 ends in -TAB).

    Raises
    ------
    ShapeError
        If there are not as many wavelengths as pixels.
    ParameterError
        If wavelengths are not finite, or do not rise or fall all the way.
    """
    values = np.asarray(wavelengths, np.float64)
    if ndd.shape != values.shape or values.ndim != 1:
        msg = f"the wavelengths have shape {values.shape}, and the data {ndd.shape}"
        raise ShapeError(msg)
    steps = np.diff(values)
    if not np.isfinite(values).all() or not (np.all(steps > 0) or np.all(steps < 0)):
        msg = "wavelengths have to be finite, and to rise or fall from pixel to pixel"
        raise ParameterError(msg)
    copied = ndd.copy()
    copied.wcs = spectral_wcs(values, word_of(medium), "Angstrom")
    return copied


def counterpart(wavelengths: DataFile, ndd: NDLater) -> NDLater:
    """
    Find the image of wavelengths of an extension: of the same name, or the only one.

    Raises
    ------
    ParameterError
        If there is none.
    ShapeError
        If it has another shape.
    """
    for one in wavelengths:
        if one.ident == ndd.ident or len(wavelengths) == 1:
            check_shape(ndd, one, "wavelengths")
            found: NDLater = one
            return found
    msg = (
        f"{wavelengths} has no extension {ndd.ident!r}, and its extensions are "
        f"{wavelengths.idents}; give the wavelengths of this frame"
    )
    raise ParameterError(msg)


def turned_wavelengths(
    wavelengths: NDLater, geometry: Spectrograph, ndd: NDLater
) -> npt.NDArray[np.float64]:
    """
    Turn the wavelengths of a frame as steps see spectra; NaN where they are flagged.

    Raises
    ------
    ParameterError
        If wavelengths change along the slit, or fall, so that the geometry is wrong;
        if they have another unit than one of length; or the frame is rectified.
    """
    for keyword in ("CTYPE1", "CTYPE2"):
        word = str(ndd.header_values.get(keyword) or "")
        if word.startswith(("WAVE", "AWAV")):
            msg = (
                f"{called(ndd)} is rectified already ({keyword} = {word!r}), so that "
                f"{called(wavelengths)} are not its wavelengths: call without "
                "wavelengths"
            )
            raise ParameterError(msg)
    unit = u.AA if wavelengths.unit is None else wavelengths.unit
    if unit.physical_type != "length":
        what = f"the unit of the wavelengths {called(wavelengths)}"
        msg = f"{what} is {unit}, and no length"
        raise ParameterError(msg)
    values = np.asarray(wavelengths.data, np.float64) * unit.to(u.AA)
    known = np.where(good_pixels(wavelengths), values, np.nan)
    turned = geometry.turned(known)
    rise, across = (_change(turned, axis) for axis in (1, 0))
    axis = "x" if geometry.axis == 1 else "y"
    if abs(across) > abs(rise):
        other = "y" if axis == "x" else "x"
        msg = (
            f"the wavelengths of {called(wavelengths)} change along {other}, and the "
            f"dispersion is stated, or taken for granted, to be along {axis}: give "
            "spectrograph={'dispersion_axis': ...}, or write it into the instrument's "
            "table"
        )
        raise ParameterError(msg)
    if rise < 0:
        stated, right = ("falls", "rises") if geometry.falls else ("rises", "falls")
        msg = (
            f"the wavelengths of {called(wavelengths)} do the opposite of what is "
            f"stated, or taken for granted (wavelength = {stated!r} in "
            "[spectrograph]): correct the table, or give "
            f"spectrograph={{'wavelength': {right!r}}}"
        )
        raise ParameterError(msg)
    return turned


def _change(values: npt.NDArray[np.float64], axis: int) -> float:
    """Give the typical step of wavelengths along an axis [Angstrom/pixel]."""
    steps = np.diff(values, axis=axis)
    steps = steps[np.isfinite(steps)]
    return float(np.median(steps)) if steps.size else 0.0


def word_of(medium: Medium) -> str:
    """Give the word of FITS for wavelengths in a medium."""
    return _WORDS[medium]


def medium_of(wavelengths: NDLater) -> Medium:
    """Tell whether an image of wavelengths has those in vacuum or in air."""
    word = str(wavelengths.header_values.get(WAVETYPE) or "").upper()
    for medium, known in _WORDS.items():
        if word.startswith(known):
            return medium
    msg = (
        f"the header of {called(wavelengths)} does not tell whether its wavelengths "
        f"are those in vacuum or in air: {WAVETYPE} is {word or 'missing'}, and "
        "should be WAVE or AWAV"
    )
    raise ParameterError(msg)
