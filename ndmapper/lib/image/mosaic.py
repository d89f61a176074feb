"""Mosaics of amplifiers and chips, by where they lie on the detector."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from astropy.wcs import WCS

from ndmapper.data import DataFile, NDLater
from ndmapper.data.detector import amplifier_card, amplifier_numbers, drop_sections
from ndmapper.lib.ccd.readout import readouts, stamp
from ndmapper.lib.detector_tiles import Laid, Tile, lay_out, tiles_of
from ndmapper.lib.image.grid import transformed
from ndmapper.lib.shared_masters import BACKGROUND_LEVEL, DARK_FACTOR, FRINGE_FACTOR
from ndmapper.numerics.sections import format_section
from ndmapper.steps import OfInstrument, run_task

__all__ = ["make_mosaic"]


@run_task(each="file", prefix="m")
def make_mosaic(
    df: DataFile,
    *,
    keyword: str = "DETSEC",
    places: Annotated[Mapping[str, str] | None, OfInstrument()] = None,
    moves: Mapping[str, Sequence[float]] | None = None,
) -> NDLater:
    """
    Put the extensions of a file together, by where they lie on the detector.

    Parameters
    ----------
    df : DataFile
        A file whose extensions are amplifiers or chips, without overscan.
    keyword : str
        The card that says where an extension lies, in pixels without binning: DETSEC,
        or CCDSEC for the amplifiers of one chip. Extensions that it has turned round
        are turned back.
    places : mapping of str to str, optional
        The sections of the detector instead of the card, by the name or number of the
        extension, as in {'CHIP1': '[1:800,1:700]'}; by default those of the
        instrument's table, if it has any.
    moves : mapping of str to (float, float[, float]), optional
        For extensions, by name or number, how far they lie from there: dx and dy
        [pixel of the mosaic], and a rotation about their centre [degree, from x to y].
        These are interpolated linearly, in their errors and flags as well.

    Returns
    -------
    NDLater
        The mosaic, with variance and flags. Gaps have no data (NaN), and the flag
        NO_DATA. Amplifiers are described in the header at their new places, but for
        those that were moved. Where DARKFACT, FRNSCALE or BKGLEVEL, which earlier steps
        wrote, differ between extensions, those of extension n are in DARKFACn, FRNSCALn
        and BKGLEVEn, and its pixels in TILESECn.

    Raises
    ------
    ParameterError
        If an extension does not say where it lies, or two lie at one place.
    ShapeError
        If extensions are binned differently.
    UnitError
        If units differ.
    """
    tiles = tiles_of(df, keyword, places, moves)
    return _described(tiles, lay_out(tiles), keyword)


def _described(tiles: Sequence[Tile], laid: Laid, keyword: str) -> NDLater:
    """Make the mosaic, with a header that describes it."""
    first = tiles[0]
    made = NDLater(
        laid.data, variance=laid.variance, flags=laid.flags, unit=first.ndd.unit,
        meta=first.ndd.meta.copy(),
    )  # fmt: skip
    header = made.meta
    described = _readouts(tiles)
    drop_sections(header, detector=True)
    stamp(header, described)
    _write_of_tiles(header, tiles)
    low = [min(t.place.low[axis] for t in tiles) for axis in (0, 1)]
    high = [
        low[axis] + laid.data.shape[1 - axis] * first.place.binning[axis]
        for axis in (0, 1)
    ]
    ends = ",".join(f"{a + 1}:{b}" for a, b in zip(low, high, strict=True))
    header[keyword] = (f"[{ends}]", "the detector, without binning")
    for tile in tiles:
        if isinstance(tile.ndd.wcs, WCS) and not any(tile.move):
            made.wcs = _on_mosaic(tile)
            break
    return made


def _write_of_tiles(header: Any, tiles: Sequence[Tile]) -> None:
    """Write numbers of earlier steps that are not the same for all extensions."""
    for card in (DARK_FACTOR, FRINGE_FACTOR, BACKGROUND_LEVEL):
        values = [tile.ndd.meta.get(card) for tile in tiles]
        if all(value == values[0] for value in values):
            continue
        header.remove(card, ignore_missing=True)
        for number, (tile, value) in enumerate(zip(tiles, values, strict=True), 1):
            header[amplifier_card("TILESEC", number)] = (
                format_section(tile.section), f"pixels of extension {number}"
            )  # fmt: skip
            if value is not None:
                header[amplifier_card(card, number)] = (value, f"{card} of it")


def _on_mosaic(tile: Tile) -> WCS:
    """Give the coordinates of a tile for the pixels of the mosaic."""
    matrix = np.diag([-1.0 if turned else 1.0 for turned in tile.place.is_turned])
    shift = [
        part.stop - 1 if turned else -part.start
        for part, turned in zip(tile.section[::-1], tile.place.is_turned, strict=True)
    ]
    return transformed(tile.ndd.wcs, matrix, np.array(shift, float))


def _readouts(tiles: Sequence[Tile]) -> list[Any]:
    """Describe the amplifiers that earlier steps described, at their new places."""
    found = []
    for tile in tiles:
        if any(tile.move) or not amplifier_numbers(tile.ndd.meta):
            continue
        for readout in readouts(tile.ndd):
            data = tuple(
                slice(
                    whole.start + (n - part.stop if turned else part.start),
                    whole.start + (n - part.start if turned else part.stop),
                )
                for part, whole, n, turned in zip(
                    readout.data, tile.section, tile.ndd.shape,
                    tile.place.is_turned[::-1], strict=True,
                )
            )  # fmt: skip
            found.append(replace(readout, data=data, overscan=None))
    return found
