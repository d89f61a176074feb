"""Where the extensions of a file lie on a mosaic of them, and laying them there."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.data.detector import Place, place_on_detector
from ndmapper.data.flags import FLAGS_DTYPE, widened
from ndmapper.errors import ParameterError, ShapeError, UnitError
from ndmapper.numerics.resample import resample
from ndmapper.numerics.sections import format_section, intersect

__all__ = ["Laid", "Tile", "lay_out", "mosaic_shape", "tiles_of"]

Array = npt.NDArray[Any]

_EMPTY = 20
"""A mosaic of so many times the pixels of all extensions is a mistake."""


@dataclass(frozen=True)
class Tile:
    """An extension, the way it lies on a mosaic."""

    name: str
    ndd: NDLater
    place: Place
    # Its pixels on the mosaic, in array order.
    section: tuple[slice, slice]
    # Further shift in x and y [pixel], and rotation [degree], about its centre.
    move: tuple[float, float, float]


@dataclass(frozen=True)
class Laid:
    """The pixels of a mosaic; gaps have no data (NaN), and the flag NO_DATA."""

    data: Array
    variance: Array | None
    flags: Array


def tiles_of(
    df: DataFile,
    keyword: str,
    places: Mapping[str, str] | None,
    moves: Mapping[str, Sequence[float]] | None,
) -> list[Tile]:
    """
    Find the place of each extension of a file on the mosaic, as `make_mosaic` has it.

    Raises
    ------
    ParameterError
        If an extension does not say where it lies, two lie at one place, or nearly all
        of the mosaic would be gaps.
    ShapeError
        If extensions are binned differently.
    UnitError
        If units differ.
    """
    given, moves = places or {}, moves or {}
    if not len(df):
        msg = f"{df} has no image, of which a mosaic could be made"
        raise ParameterError(msg)
    names = [f"{df}[{ndd.ident}]" for ndd in df]
    known = {str(ndd.ident) for ndd in df}
    for what, names_given in (("placed", given), ("moved", moves)):
        if unknown := [name for name in names_given if str(name) not in known]:
            msg = (
                f"{df} has no extension {unknown[0]!r} to be {what}, but "
                f"{sorted(known)}"
            )
            raise ParameterError(msg)
    found = [
        _place(ndd, name, keyword, given) for ndd, name in zip(df, names, strict=True)
    ]
    for place, name, ndd in zip(found, names, df, strict=True):
        if place.binning != found[0].binning:
            msg = (
                f"{name} is binned {place.binning[0]} x {place.binning[1]}, but "
                f"{names[0]} {found[0].binning[0]} x {found[0].binning[1]}"
            )
            raise ShapeError(msg)
        if ndd.unit != df[0].unit:
            msg = f"{name} is in {ndd.unit}, but {names[0]} in {df[0].unit}"
            raise UnitError(msg)
    origin = [min(place.low[axis] for place in found) for axis in (0, 1)]
    tiles: list[Tile] = []
    for ndd, name, place in zip(df, names, found, strict=True):
        section = _section(ndd, name, place, origin)
        for other in tiles:
            if (shared := intersect(section, other.section)) is not None:
                msg = (
                    f"{name} and {other.name} both lie at {format_section(shared)} of "
                    f"the mosaic by their {keyword}; trim the overscan first, or name "
                    "another card with keyword"
                )
                raise ParameterError(msg)
        move = _move(moves.get(str(ndd.ident), (0, 0)), name)
        tiles.append(Tile(name, ndd, place, section, move))
    shape = mosaic_shape(tiles)
    if math.prod(shape) > _EMPTY * sum(math.prod(t.ndd.shape) for t in tiles):
        msg = (
            f"by their {keyword} the extensions of {df} would make an image of "
            f"{shape[1]} x {shape[0]} pixels, nearly all of them gaps; one of these "
            "cards must be wrong"
        )
        raise ParameterError(msg)
    return tiles


def mosaic_shape(tiles: Sequence[Tile]) -> tuple[int, int]:
    """Give the shape of the mosaic of some tiles."""
    ny, nx = (max(tile.section[axis].stop for tile in tiles) for axis in (0, 1))
    return ny, nx


def lay_out(tiles: Sequence[Tile]) -> Laid:
    """Lay tiles on their mosaic, those that are moved by linear interpolation."""
    shape = mosaic_shape(tiles)
    first = tiles[0].ndd
    kind = np.result_type(np.float32, *(t.ndd.dtype for t in tiles))
    has_variance = all(t.ndd.has("uncertainty") for t in tiles)
    no_data = first.flag_table.like_own(Flag.NO_DATA) or int(Flag.NO_DATA)
    data = np.full(shape, np.nan, kind)
    variance = np.full(shape, np.nan, np.float32) if has_variance else None
    flags = widened(np.zeros(shape, FLAGS_DTYPE), no_data)
    flags |= flags.dtype.type(no_data)
    for tile in tiles:
        rows, values, noise, bits = _laid(tile, shape, no_data)
        if flags.dtype < bits.dtype:
            flags = flags.astype(bits.dtype)
        # Beside a tile that was turned there may be another one.
        there = (bits & bits.dtype.type(no_data)) == 0
        there |= np.isfinite(values)
        data[rows][there] = values[there]
        flags[rows][there] = bits[there]
        if variance is not None and noise is not None:
            variance[rows][there] = noise[there]
    return Laid(data, variance, flags)


def _place(ndd: NDLater, name: str, keyword: str, places: Mapping[str, str]) -> Place:
    """Find where an extension lies, by what is given for it or else by its card."""
    if len(ndd.shape) != 2:
        msg = f"{name} has {len(ndd.shape)} axes, and a mosaic is made of images"
        raise ShapeError(msg)
    header = ndd.meta
    section = places.get(str(ndd.ident))
    if section is not None:
        header = header.copy()
        header[keyword] = section
    place = place_on_detector(header, keyword, ndd.shape)
    if place is None:
        said = header.get(keyword, "not there")
        msg = (
            f"{name} is an image of {ndd.shape[1]} x {ndd.shape[0]} pixels, and "
            f"{keyword} is {said}, by which its place is not known; trim its overscan "
            "first, name another card with keyword, or give the section of each "
            "extension as places"
        )
        raise ParameterError(msg)
    return place


def _section(
    ndd: NDLater, name: str, place: Place, origin: Sequence[int]
) -> tuple[slice, slice]:
    """Give the pixels of an extension on the mosaic."""
    starts = []
    for axis, low in enumerate(place.low):
        start, rest = divmod(low - origin[axis], place.binning[axis])
        if rest:
            msg = (
                f"{name} begins at pixel {low + 1} of the detector, which is no whole "
                f"number of binned pixels from {origin[axis] + 1}"
            )
            raise ParameterError(msg)
        starts.append(start)
    ny, nx = ndd.shape
    x, y = starts
    return slice(y, y + ny), slice(x, x + nx)


def _move(given: Sequence[float], name: str) -> tuple[float, float, float]:
    numbers = [float(one) for one in given]
    if len(numbers) not in (2, 3) or not np.isfinite(numbers).all():
        msg = f"{name} is moved by dx, dy and perhaps an angle, not by {list(given)}"
        raise ParameterError(msg)
    dx, dy, *angle = numbers
    return dx, dy, angle[0] if angle else 0.0


def _upright(array: Any, place: Place) -> Array:
    """Turn an array back."""
    step_x, step_y = (-1 if turned else 1 for turned in place.is_turned)
    return np.asarray(array)[::step_y, ::step_x]


def _laid(
    tile: Tile, shape: tuple[int, ...], no_data: int
) -> tuple[tuple[slice, slice], Array, Array | None, Array]:
    """Give the section of the mosaic that a tile covers, and its values there."""
    ndd, place = tile.ndd, tile.place
    data = _upright(ndd.data, place)
    variance = None if ndd.variance is None else _upright(ndd.variance, place)
    flags = None if ndd.flags is None else _upright(ndd.flags, place)
    if not any(tile.move):
        bits = np.zeros(data.shape, FLAGS_DTYPE) if flags is None else flags
        unsigned = bits.view(f"u{bits.dtype.itemsize}")
        return (
            tile.section,
            data,
            variance,
            unsigned.astype(np.result_type(FLAGS_DTYPE, unsigned)),
        )
    dx, dy, angle = tile.move
    ny, nx = data.shape
    turn = np.exp(1j * np.deg2rad(angle))
    # As far as the corners of a tile that is turned can reach.
    reach = abs(np.sin(np.deg2rad(angle))) * max(nx, ny) / 2 + 2
    section = tuple(
        slice(
            max(0, int(np.floor(part.start + shift - reach))),
            min(n, int(np.ceil(part.stop + shift + reach))),
        )
        for part, shift, n in zip(tile.section, (dy, dx), shape, strict=True)
    )
    rows, columns = section
    y, x = np.mgrid[rows, columns].astype(float)
    middle = complex((nx - 1) / 2, (ny - 1) / 2)
    low = complex(tile.section[1].start + dx, tile.section[0].start + dy)
    there = (x + 1j * y - low - middle) / turn + middle
    found = resample(
        data, there.real, there.imag, variance=variance, flags=flags,
        bad_flags=ndd.bad_flags, no_data_flag=no_data,
    )  # fmt: skip
    return (rows, columns), found.data, found.variance, found.flags
