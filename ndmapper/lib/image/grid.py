"""The common grid of images, and where its pixels lie in each of them."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from ndmapper.data import NDLater
from ndmapper.errors import ParameterError

__all__ = ["Grid", "PixelMap", "common_grid", "transformed"]

Array = npt.NDArray[np.float64]

_STEP = 64
"""The coordinates are computed for every so many pixels at first."""

_EMPTY = 20
"""A grid of so many times the pixels of all images is a mistake."""

_GOOD = 1e-3
"""Largest error of positions between these [pixel]."""


@dataclass(frozen=True)
class Grid:
    """A grid of pixels: its coordinates, and its shape (ny, nx)."""

    wcs: WCS
    shape: tuple[int, int]


def common_grid(
    images: Sequence[NDLater], names: Sequence[str], *, covers: str = "all"
) -> Grid:
    """
    Make the grid of the first image, without its distortions.

    Parameters
    ----------
    images : sequence of NDLater
        The images, with world coordinates.
    names : sequence of str
        What they are called, for errors.
    covers : {'all', 'first'}
        Whether it covers all images, or the first one.

    Returns
    -------
    Grid
        The grid.

    Raises
    ------
    ParameterError
        If an image is not two-dimensional, or has no world coordinates, or other
        kinds of them than the first.
    """
    for image, name in zip(images, names, strict=True):
        if len(image.shape) != 2:
            msg = f"{name} has {len(image.shape)} axes; images with two are stacked"
            raise ParameterError(msg)
        if not isinstance(image.wcs, WCS):
            msg = (
                f"{name} has no world coordinates by which it could be put onto a "
                "common grid; give it some, for instance with align_images"
            )
            raise ParameterError(msg)
    first = images[0]
    for image, name in zip(images, names, strict=True):
        kinds = image.wcs.has_celestial, first.wcs.has_celestial
        if kinds[0] != kinds[1]:
            one, other = (name, names[0]) if kinds[1] else (names[0], name)
            msg = (
                f"{one} has no celestial coordinates, but {other} has, so that they "
                "cannot be put onto a common grid; give it some, for instance with "
                "align_images"
            )
            raise ParameterError(msg)
    wcs = _plain(first.wcs)
    if covers == "first":
        ny, nx = first.shape
        return Grid(wcs, (ny, nx))
    edges = [_edge_on(wcs, image) for image in images]
    for (x, y), name in zip(edges, names, strict=True):
        if not np.isfinite(x + y).all():
            msg = f"{name} lies on another part of the sky than {names[0]}"
            raise ParameterError(msg)
    # A rounding error is not worth a row of pixels.
    lows = [min(math.floor(np.min(e[axis]) + _GOOD) for e in edges) for axis in (0, 1)]
    highs = [max(math.ceil(np.max(e[axis]) - _GOOD) for e in edges) for axis in (0, 1)]
    size = math.prod(high - low + 1 for low, high in zip(lows, highs, strict=True))
    if size > _EMPTY * sum(math.prod(image.shape) for image in images):
        far = max(range(len(edges)), key=lambda n: float(np.max(np.abs(edges[n]))))
        msg = (
            f"a grid that covers all images would have {size / 1e6:.0f} megapixels, "
            f"most of them empty, for {names[far]} lies far from {names[0]}; leave it "
            "out, or stack with covers='first'"
        )
        raise ParameterError(msg)
    wcs.wcs.crpix = np.asarray(wcs.wcs.crpix) - lows
    nx, ny = (high - low + 1 for low, high in zip(lows, highs, strict=True))
    wcs.array_shape = (ny, nx)
    return Grid(wcs, (ny, nx))


def transformed(wcs: WCS, matrix: Array, shift: Array) -> WCS:
    """
    Make the coordinates of an image whose pixels are those of another, transformed.

    Parameters
    ----------
    wcs : WCS
        The coordinates of the other image.
    matrix : ndarray of float, shape (2, 2)
        What takes a pixel of the image to one of the other, from 0, x first, with the
        shift.
    shift : ndarray of float, shape (2,)
        The shift [pixel].

    Returns
    -------
    WCS
        The coordinates.
    """
    new = copy.deepcopy(wcs)
    # Where the transform takes it to the reference pixel, which counts from 1.
    reference = np.asarray(wcs.wcs.crpix, float) - 1 - shift
    crpix = np.linalg.solve(matrix, reference) + 1
    if new.wcs.has_cd():
        new.wcs.cd = np.asarray(wcs.wcs.cd) @ matrix
    else:
        new.wcs.pc = np.asarray(wcs.wcs.get_pc()) @ matrix
    if (sip := new.sip) is not None:
        # The distortion stays where it is on the detector.
        moved = np.asarray(sip.crpix) - wcs.wcs.crpix + crpix
        new.sip = type(sip)(sip.a, sip.b, sip.ap, sip.bp, moved)
    new.wcs.crpix = crpix
    new.wcs.set()
    return new


def _plain(wcs: WCS) -> WCS:
    """Copy coordinates without distortions."""
    plain = copy.deepcopy(wcs)
    plain.sip = plain.cpdis1 = plain.cpdis2 = plain.det2im1 = plain.det2im2 = None
    plain.wcs.ctype = [str(kind).removesuffix("-SIP") for kind in plain.wcs.ctype]
    plain.wcs.set()
    return plain


def _edge_on(wcs: WCS, image: NDLater) -> tuple[Array, Array]:
    """Give the pixels along the edge of an image on a grid."""
    ny, nx = image.shape
    x = np.linspace(0, nx - 1, 33)
    y = np.linspace(0, ny - 1, 33)
    around = [(x, 0 * x), (x, 0 * x + ny - 1), (0 * y, y), (0 * y + nx - 1, y)]
    at_x, at_y = (np.concatenate(parts) for parts in zip(*around, strict=True))
    found: Any = wcs.all_world2pix(*image.wcs.all_pix2world(at_x, at_y, 0), 0)
    return found[0], found[1]


class PixelMap:
    """
    Where the pixels of a grid lie in an image.

    Parameters
    ----------
    grid : Grid
        The grid.
    wcs : WCS
        The coordinates of the image.

    Notes
    -----
    They are computed for every 64th pixel, and for more until what lies between is good
    to a thousandth of a pixel.
    """

    def __init__(self, grid: Grid, wcs: WCS) -> None:
        self._grid, self._wcs = grid, wcs
        self._x, self._y = self._splines()

    def _exact(self, x: Array, y: Array) -> tuple[Array, Array]:
        world = self._grid.wcs.all_pix2world(x, y, 0)
        found = self._wcs.all_world2pix(*world, 0, quiet=True)
        return np.asarray(found[0]), np.asarray(found[1])

    def _splines(self) -> tuple[Any, Any]:
        from scipy.interpolate import RectBivariateSpline

        ny, nx = self._grid.shape
        step = _STEP
        while True:
            # At least four nodes for a cubic.
            rows, columns = (
                np.linspace(0, max(n - 1, 1), max(4, n // step + 2)) for n in (ny, nx)
            )
            x, y = self._exact(*np.meshgrid(columns, rows))
            splines = tuple(RectBivariateSpline(rows, columns, v) for v in (x, y))
            middle = [(nodes[1:] + nodes[:-1]) / 2 for nodes in (rows, columns)]
            true = self._exact(*np.meshgrid(middle[1], middle[0]))
            error = max(
                np.abs(spline(*middle) - value).max()
                for spline, value in zip(splines, true, strict=True)
            )
            if error < _GOOD or step == 1:
                return splines[0], splines[1]
            step //= 4

    def rows(self, start: int, stop: int) -> tuple[Array, Array]:
        """
        Compute the positions of the pixels of some rows.

        Parameters
        ----------
        start, stop : int
            The rows of the grid.

        Returns
        -------
        x, y : ndarray of float, shape (stop - start, nx)
            Where their centres lie in the image [pixel], from 0.
        """
        at = np.arange(start, stop), np.arange(self._grid.shape[1])
        return self._x(*at), self._y(*at)

    def area(self, start: int, stop: int) -> Array:
        """
        Compute the area of the pixels of some rows.

        Parameters
        ----------
        start, stop : int
            The rows of the grid.

        Returns
        -------
        ndarray of float, shape (stop - start, nx)
            Their area [pixel of the image].
        """
        at = np.arange(start, stop), np.arange(self._grid.shape[1])
        along = [spline(*at, dx=0, dy=1) for spline in (self._x, self._y)]
        across = [spline(*at, dx=1, dy=0) for spline in (self._x, self._y)]
        area: Array = np.abs(along[0] * across[1] - along[1] * across[0])
        return area
