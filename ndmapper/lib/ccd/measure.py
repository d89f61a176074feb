"""Gain and read noise, measured from pairs of frames."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from os import PathLike
from typing import Any

import numpy as np
from astropy.table import Table

from ndmapper.data import DataFile, DataFileList, FileName, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.ccd.readout import Readout, readouts
from ndmapper.numerics.noise import gain_from_pairs, read_noise_from_pair
from ndmapper.steps import InstrumentTable

__all__ = ["measure_gain", "measure_read_noise"]

Files = DataFileList | Sequence[str | PathLike[str] | FileName | DataFile]


def measure_read_noise(biases: Files, *, instrument: InstrumentTable = None) -> Table:
    """
    Measure the read noise of each amplifier from pairs of bias frames.

    Parameters
    ----------
    biases : DataFileList or list of files
        Two or more bias frames; without overscan where their level drifts, since a
        drift counts as noise.
    instrument : str or path, optional
        Name of the instrument or path of its TOML; by default that of the
        configuration, else the header tells.

    Returns
    -------
    Table
        One row per amplifier: ident, amplifier, read_noise [adu], error [adu],
        declared [adu] (what header or instrument say, in the same unit; masked where
        neither does). All pairs are used; the error is that of the independent ones.

    Raises
    ------
    ParameterError
        If there are fewer than two frames.
    """
    rows = []
    for ident, readout, frames in _by_amplifier(biases, None, instrument):
        pairs = [
            read_noise_from_pair(a[readout.data], b[readout.data])
            for a, b in combinations(frames, 2)
        ]
        noise = float(np.sqrt(np.mean([value**2 for value, _ in pairs])))
        # Of n frames, n - 1 differences are independent.
        error = float(np.mean([e for _, e in pairs]) / np.sqrt(len(frames) - 1))
        declared = (
            readout.read_noise and readout.gain and (readout.read_noise / readout.gain)
        )
        rows.append((ident, readout.name, noise, error, declared))
    return _table(rows, ["read_noise", "error", "declared"], "adu")


def measure_gain(
    flats: Files,
    bias: DataFile | str | None = None,
    *,
    read_noise: float | None = None,
    region: tuple[slice, slice] = (slice(None), slice(None)),
    max_level: float = np.inf,
    instrument: InstrumentTable = None,
) -> Table:
    """
    Measure the gain of each amplifier from pairs of flats.

    Parameters
    ----------
    flats : DataFileList or list of files
        Two or more flats [adu] without overscan, trimmed.
    bias : DataFile or str, optional
        Combined bias, if it was not subtracted yet.
    read_noise : float, optional
        Read noise [adu], if it is known; else it is fitted too.
    region : (slice, slice)
        The lit rows and columns of the array.
    max_level : float
        Levels above this are not used [adu].
    instrument : str or path, optional
        Name of the instrument or path of its TOML; by default that of the
        configuration, else the header tells.

    Returns
    -------
    Table
        One row per amplifier: ident, amplifier, gain, error, declared
        [electron/adu].

    Raises
    ------
    ParameterError
        If there are fewer than two frames, or the light is not enough.
    """
    master = None if bias is None else DataFile(bias) if isinstance(bias, str) else bias
    rows = []
    for ident, readout, frames in _by_amplifier(flats, master, instrument):
        section = tuple(
            _within(part, wanted, n)
            for part, wanted, n in zip(
                readout.data, region, frames[0].shape, strict=True
            )
        )
        cut = [frame[section] for frame in frames]
        try:
            result = gain_from_pairs(
                list(combinations(cut, 2)), read_noise=read_noise, max_level=max_level
            )
        except ValueError as err:
            msg = f"amplifier {readout.name} of extension {ident}: {err}"
            raise ParameterError(msg) from err
        error = result.gain_error * np.sqrt(len(frames) / 2)
        rows.append((ident, readout.name, result.gain, error, readout.gain))
    return _table(rows, ["gain", "error", "declared"], "electron/adu")


def _by_amplifier(
    files: Files, bias: DataFile | None, instrument: InstrumentTable
) -> Iterator[tuple[Any, Readout, list[np.ndarray]]]:
    frames = files if isinstance(files, DataFileList) else DataFileList(list(files))
    if len(frames) < 2:
        msg = f"a pair of frames is needed, not {len(frames)}"
        raise ParameterError(msg)
    for index, first in enumerate(frames[0]):
        images = []
        for df in frames:
            ndd = df[df.idents.index(first.ident)]
            if bias is not None:
                ndd = ndd - _of(bias, first, index)
            images.append(np.asarray(ndd.data, np.float64))
        for readout in readouts(first, instrument=instrument):
            yield first.ident, readout, images


def _of(bias: DataFile, ndd: NDLater, index: int) -> NDLater:
    known = ndd.ident in bias.idents
    found: NDLater = bias[bias.idents.index(ndd.ident) if known else index]
    return found


def _within(part: slice, wanted: slice, n: int) -> slice:
    start, stop, _ = wanted.indices(n)
    return slice(max(part.start, start), min(part.stop, stop))


def _table(rows: list[tuple[Any, ...]], names: list[str], unit: str) -> Table:
    columns = ["ident", "amplifier", *names]
    table = Table()
    for number, name in enumerate(columns):
        values = [row[number] for row in rows]
        if name in names:
            filled = [np.nan if v is None else v for v in values]
            table[name] = np.ma.masked_invalid(filled)
            table[name].unit = unit
        else:
            table[name] = values
    return table
