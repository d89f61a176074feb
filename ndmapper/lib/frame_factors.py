"""The scale, offset and weight of each frame of a stack, as they are asked for."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ndmapper.data import DataFile, NDLater
from ndmapper.data.header_query import look_up
from ndmapper.errors import ParameterError
from ndmapper.numerics.sections import parse_section
from ndmapper.numerics.statistics import clipped_mean

__all__ = ["Given", "level_differences", "offsets", "scales", "weights_of"]

Given = str | Sequence[float] | None
"""One number for each frame; 'mean' or 'median' of the pixels; or a keyword."""

_STATISTICS: dict[str, Callable[[npt.NDArray[np.float64]], float]] = {
    "mean": lambda values: clipped_mean(values)[0],
    "median": lambda values: float(np.median(values)),
}

_SAMPLE = 2**18
"""Statistics are of about so many pixels, in rows from all over the frame."""


def scales(
    files: Sequence[DataFile], given: Given, section: str | None
) -> list[float] | None:
    """Find the factors that bring all frames to the level of the first."""
    found = _found(files, given, section, "scale")
    if not isinstance(given, str) or found is None:
        return found
    return [found[0] / value for value in found]


def weights_of(
    files: Sequence[DataFile], given: Given, section: str | None
) -> list[float] | None:
    """Find the weights of frames; their levels, or values of a keyword, are weights."""
    return _found(files, given, section, "weights")


def offsets(
    files: Sequence[DataFile],
    images: Sequence[NDLater],
    given: Given,
    section: str | None,
    scale: Sequence[float] | None,
) -> list[float] | None:
    """Find what is added to images, once scaled, to have the level of the first."""
    if given is None or not isinstance(given, str):
        return _numbers(given, len(images), "zero")
    if given in _STATISTICS:
        levels = [
            _level([image], given, section, str(df))
            for image, df in zip(images, files, strict=True)
        ]
    else:
        levels = [_keyword(df, given, "zero") for df in files]
    factors = [1.0] * len(levels) if scale is None else scale
    scaled = [f * level for f, level in zip(factors, levels, strict=True)]
    return [scaled[0] - level for level in scaled]


def level_differences(
    images: Sequence[NDLater],
) -> tuple[npt.NDArray[np.float64], float]:
    """Measure the levels of images over that of the first, and the noise of a pixel."""
    first = _sample(images[0], None)
    differences, widths = [0.0], []
    for image in images[1:]:
        pixels = _sample(image, None) - first
        pixels = pixels[np.isfinite(pixels)]
        mean, sigma, _ = clipped_mean(pixels) if pixels.size else (0.0, 0.0, 0.0)
        differences.append(mean)
        widths.append(sigma / np.sqrt(2))
    return np.array(differences), float(np.median(widths)) if widths else 0.0


def _found(
    files: Sequence[DataFile], given: Given, section: str | None, what: str
) -> list[float] | None:
    if given is None or not isinstance(given, str):
        found = _numbers(given, len(files), what)
    elif given in _STATISTICS:
        found = [_level(list(df), given, section, str(df)) for df in files]
    else:
        found = [_keyword(df, given, what) for df in files]
    for df, value in zip(files, found or (), strict=False):
        if not 0 < value < np.inf:
            msg = (
                f"{df} has the {what} {value}, which must be positive and finite; give "
                f"{what}= as one number for each frame, or leave the frame out"
            )
            raise ParameterError(msg)
    return found


def _numbers(given: Sequence[float] | None, n: int, what: str) -> list[float] | None:
    if given is None:
        return None
    if len(given) != n or not np.all(np.isfinite(np.asarray(given, np.float64))):
        msg = f"{n} frames need as many finite numbers as {what}, not {given}"
        raise ParameterError(msg)
    return [float(value) for value in given]


def _keyword(df: DataFile, keyword: str, what: str) -> float:
    value = look_up(df, keyword)
    if isinstance(value, bool | str | complex) or value is None:
        found = "is missing" if value is None else f"is {value!r}, which is no number"
        msg = (
            f"{df}: {keyword}, which {what}={keyword!r} asks for, {found}; give "
            f"{what}= as one number for each frame, 'mean' or 'median'"
        )
        raise ParameterError(msg)
    return float(value)


def _level(
    images: Sequence[NDLater], statistic: str, section: str | None, name: str
) -> float:
    """Give a statistic of the good pixels of images, or of a section of each."""
    values = np.concatenate([_sample(image, section) for image in images])
    values = values[np.isfinite(values)]
    if not values.size:
        where = f" in {section}" if section else ""
        msg = f"{name} has no good pixel{where} of which to take the {statistic}"
        raise ParameterError(msg)
    return _STATISTICS[statistic](values)


def _sample(image: NDLater, section: str | None) -> npt.NDArray[np.float64]:
    """Read rows from all over an image, NaN where the pixel is masked."""
    if section is not None:
        image = image[_slices(section, image)]
    rows = image.shape[0]
    step = max(1, image.size // _SAMPLE)
    parts = []
    for start in range(0, rows, step * 8):
        some = image[start : min(start + 8, rows)]
        values = np.array(some.data, np.float64).ravel()
        if some.has("flags"):
            values[np.asarray(some.mask).ravel()] = np.nan
        parts.append(values)
    return np.concatenate(parts)


def _slices(section: str, image: NDLater) -> tuple[slice, ...]:
    try:
        slices = parse_section(section)
    except ValueError as err:
        raise ParameterError(str(err)) from err
    fits = len(slices) == image.ndim and all(
        part.stop <= size for part, size in zip(slices, image.shape, strict=True)
    )
    if not fits:
        msg = (
            f"section {section} is not within an image of shape {image.shape} (ny, nx)"
        )
        raise ParameterError(msg)
    return slices
