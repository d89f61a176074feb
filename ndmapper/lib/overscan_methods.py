"""
Ways to correct an image for the level of its overscan areas.

The steps that use them are in `ndmapper.lib.ccd.overscan`, the fits in
`ndmapper.numerics.overscan`.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.errors import ParameterError, ShapeError
from ndmapper.numerics.overscan import OverscanLevel, measure_overscan
from ndmapper.numerics.statistics import clipped_mean

__all__ = [
    "OverscanMethods",
    "area_section",
    "as_method",
    "level_by_function",
    "level_of",
    "scatter_of",
]

Area = Mapping[str, int]
Method = Callable[[npt.NDArray[Any], Area], Any]


class OverscanMethods(Enum):
    """
    Ways to correct an image for the level of its overscan.

    Each can be called like a method of a user's own: with the image and the area of the
    overscan, and gives the corrected image. `ndmapper.lib.ccd.subtract_overscan` says
    what they do.
    """

    median = "median"
    mean = "mean"
    row = "row"
    polynomial = "polynomial"
    chebyshev = "chebyshev"
    spline = "spline"

    def __call__(self, image: npt.ArrayLike, overscan: Area) -> npt.NDArray[np.float64]:
        """
        Subtract the level of the overscan.

        Parameters
        ----------
        image : array_like, shape (ny, nx)
            The raw image.
        overscan : mapping of str to int
            The area: xmin, xmax, ymin, ymax.

        Returns
        -------
        ndarray of float, shape (ny, nx)
            The corrected image.
        """
        values = np.asarray(image, np.float64)
        return values - self.level(values, overscan)[0]

    def level(
        self, image: npt.NDArray[np.float64], overscan: Area
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """
        Measure the level of the overscan.

        Parameters
        ----------
        image : ndarray of float, shape (ny, nx)
            The raw image.
        overscan : mapping of str to int
            The area.

        Returns
        -------
        level, variance : ndarray of float
            Level and its variance, of a shape that broadcasts against the image.
        """
        found = self.measure(image, overscan)
        return found.level, found.variance

    def measure(self, image: npt.NDArray[np.float64], overscan: Area) -> OverscanLevel:
        """
        Measure the level of the overscan, and how certain it is.

        Parameters
        ----------
        image : ndarray of float, shape (ny, nx)
            The raw image.
        overscan : mapping of str to int
            The area.

        Returns
        -------
        OverscanLevel
            Level, variance, and lines whose level is doubtful.
        """
        section = area_section(overscan, image.shape, "overscan area")
        # A level follows the longer side, along which the strip was read.
        rows, columns = (s.stop - s.start for s in section)
        axis = 0 if rows >= columns else 1
        is_along = section[axis] == slice(0, image.shape[axis])
        is_constant = self in (OverscanMethods.mean, OverscanMethods.median)
        if not is_along and not is_constant:
            msg = (
                f"a {self.value} needs an overscan that reaches along the whole image, "
                f"and {dict(overscan)} does not in an image of shape {image.shape}"
            )
            raise ParameterError(msg)
        try:
            return measure_overscan(
                image[section], self.value, readout_axis=axis, follow=is_along
            )
        except ValueError as err:
            msg = f"overscan area {dict(overscan)}: {err}"
            raise ParameterError(msg) from err


def as_method(given: Any) -> OverscanMethods | Method:
    """
    Find the method that a user means.

    Parameters
    ----------
    given : OverscanMethods, str or callable
        A method, its name, or a function.

    Returns
    -------
    OverscanMethods or callable
        The method.

    Raises
    ------
    ParameterError
        If there is none of that name.
    """
    if isinstance(given, OverscanMethods) or callable(given):
        return given  # type: ignore[no-any-return]  # what it gives is checked
    try:
        return OverscanMethods(given)
    except ValueError:
        known = ", ".join(repr(m.value) for m in OverscanMethods)
        msg = f"overscan_method = {given!r} must be one of {known}, or a function"
        raise ParameterError(msg) from None


def area_section(area: Area, shape: tuple[int, ...], what: str) -> tuple[slice, slice]:
    """
    Turn an area into slices.

    Parameters
    ----------
    area : mapping of str to int
        xmin, xmax, ymin, ymax; from 0, ends not included.
    shape : tuple of int
        Shape of the image.
    what : str
        What the area is, for the error.

    Returns
    -------
    tuple of slice
        Rows and columns.

    Raises
    ------
    ParameterError
        If the area is incomplete, empty or outside the image.
    """
    if set(area) != {"xmin", "xmax", "ymin", "ymax"}:
        msg = f"{what} {dict(area)} must have xmin, xmax, ymin and ymax"
        raise ParameterError(msg)
    x = slice(int(area["xmin"]), int(area["xmax"]))
    y = slice(int(area["ymin"]), int(area["ymax"]))
    if not (0 <= x.start < x.stop <= shape[1] and 0 <= y.start < y.stop <= shape[0]):
        msg = f"{what} {dict(area)} is empty or outside an image of shape {shape}"
        raise ParameterError(msg)
    return y, x


def level_of(
    image: npt.NDArray[np.float64],
    areas: Sequence[Area],
    method: OverscanMethods | Method,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """
    Find what is subtracted for the overscan areas of an image.

    Parameters
    ----------
    image : ndarray of float, shape (ny, nx)
        The raw image.
    areas : sequence of mapping
        The areas; the mean of their levels, weighted by size, is taken.
    method : OverscanMethods or callable
        How each is used.

    Returns
    -------
    level, variance : ndarray of float
        Level and its variance, of a shape that broadcasts against the image.

    Raises
    ------
    ParameterError
        If no overscan pixel is a finite number.
    ShapeError
        If a method of a user's own changes the shape of the image.
    """
    level, variance = np.zeros((1, 1)), np.zeros((1, 1))
    left = image.astype(np.float64, copy=True)
    parts = []
    for area in areas:
        # A pixel of several areas counts in the first one.
        section = area_section(area, image.shape, "overscan area")
        size = int(np.count_nonzero(~np.isnan(left[section])))
        if size == 0:
            continue
        if isinstance(method, OverscanMethods):
            parts.append((size, *method.level(left, area)))
        else:
            parts.append((size, *level_by_function(method, image, area)))
        left[section] = np.nan
    total = sum(size for size, _, _ in parts)
    if areas and not total:
        shown = ", ".join(str(dict(area)) for area in areas)
        msg = f"no pixel of the overscan areas {shown} is a finite number"
        raise ParameterError(msg)
    for size, one, one_variance in parts:
        level = level + size / total * one
        variance = variance + (size / total) ** 2 * one_variance
    return level, variance


def level_by_function(
    method: Method, image: npt.NDArray[np.float64], area: Area
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """
    Find what a function of a user subtracts, and its variance if it gives that, too.

    Raises
    ------
    ShapeError
        If the function changes the shape of the image.
    """
    given = method(image.copy(), dict(area))
    corrected, variance = given if isinstance(given, tuple) else (given, 0.0)
    corrected = np.asarray(corrected, np.float64)
    if corrected.shape != image.shape:
        msg = (
            f"the overscan method returned an image of shape "
            f"{corrected.shape}, not {image.shape}"
        )
        raise ShapeError(msg)
    return image - corrected, np.broadcast_to(np.float64(variance), image.shape)


def scatter_of(image: npt.NDArray[np.float64], areas: Sequence[Area]) -> float:
    """
    Measure the scatter of overscan pixels about the level of each of their lines.

    Parameters
    ----------
    image : ndarray of float, shape (ny, nx)
        The raw image.
    areas : sequence of mapping
        The overscan areas.

    Returns
    -------
    float
        Standard deviation [unit of the image]; 0 where there are no areas.
    """
    squares, count = 0.0, 0
    for area in areas:
        strip = image[area_section(area, image.shape, "overscan area")]
        axis = 1 if strip.shape[0] >= strip.shape[1] else 0
        n = strip.shape[axis]
        # The mean of a line takes one of its n degrees of freedom.
        residual = (strip - strip.mean(axis=axis, keepdims=True)) if n > 1 else strip
        sigma = clipped_mean(residual)[1] * (np.sqrt(n / (n - 1)) if n > 1 else 1)
        squares += sigma**2 * strip.size
        count += strip.size
    return float(np.sqrt(squares / count)) if count else 0.0
