"""Gain and read noise, measured from pairs of frames."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.table import Table

from ndmapper.data import DataFile, DataFileList, FileName, NDLater
from ndmapper.data.fold_names import list_names
from ndmapper.errors import ParameterError, UnitError
from ndmapper.lib.ccd.readout import (
    Readout,
    digitisation_step,
    readouts,
    saturated_pixels,
)
from ndmapper.lib.combine import check_frames
from ndmapper.numerics.noise import gain_from_pairs, noise_of_pair, read_noise_of
from ndmapper.steps import InstrumentTable

__all__ = ["measure_gain", "measure_read_noise"]

log = logging.getLogger(__name__)

_LINEAR = 0.9
"""Up to this part of the saturation level, the light counts as measured right."""
_ODD_CHI2 = 3.0
_QUALITY = ("chi2", "count", "rejected")

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
        neither does), digitisation [adu], chi2, count, rejected. All pairs are used;
        the error is that of the independent ones.

    Raises
    ------
    ParameterError
        If there are fewer than two frames, or too few good pixels.

    Notes
    -----
    Differences of integer frames have the noise of their digitisation, too, which
    `add_variance` adds to the read noise. It is taken out of `read_noise` in
    quadrature, and stands beside it in `digitisation`: 0.289 adu, or 0 where the frames
    are not known to have been integers, so that nothing was taken out.

    Pixels that are flagged, saturated, not finite or hit by a cosmic ray are left out;
    `count` is the number of those that were used, of all pairs, and `rejected` that of
    the others. `chi2`, per degree of freedom, is that of the means of rows and columns
    of the differences: far above 1 where the level drifts or the pixels of a row share
    noise, which then counts as read noise.
    """
    rows = []
    for ident, readout, frames in _by_amplifier(biases, None, instrument):
        section = readout.data
        try:
            pairs = [
                noise_of_pair(
                    a.data[section], b.data[section], mask=(a.bad | b.bad)[section]
                )
                for a, b in combinations(frames, 2)
            ]
        except ValueError as err:
            raise _named(err, readout, ident, biases) from err
        step = frames[0].step
        # Of n frames, n - 1 differences are independent.
        used = sum(pair.used for pair in pairs) * 2 / len(frames)
        variance = float(np.mean([pair.variance for pair in pairs]))
        noise, error = read_noise_of(variance, round(used), step)
        declared = (
            readout.read_noise and readout.gain and (readout.read_noise / readout.gain)
        )
        chi2 = float(np.mean([pair.chi2_dof for pair in pairs]))
        rejected = sum(pair.rejected for pair in pairs)
        rows.append(
            (ident, readout.name, noise, error, declared, step / np.sqrt(12), chi2,
             sum(pair.used for pair in pairs), rejected)
        )  # fmt: skip
    return _table(rows, ["read_noise", "error", "declared", "digitisation"], "adu")


def measure_gain(
    flats: Files,
    bias: DataFile | str | None = None,
    *,
    read_noise: float | None = None,
    region: tuple[slice, slice] = (slice(None), slice(None)),
    max_level: float | None = None,
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
        Read noise [adu], if it is known; else it is fitted too. Without the noise of
        the digitisation, as `measure_read_noise` gives it.
    region : (slice, slice)
        The lit rows and columns of the array.
    max_level : float, optional
        Levels above this are not used [adu]; by default 0.9 of the saturation level,
        where that is known.
    instrument : str or path, optional
        Name of the instrument or path of its TOML; by default that of the
        configuration, else the header tells.

    Returns
    -------
    Table
        One row per amplifier: ident, amplifier, gain, error, declared
        [electron/adu], chi2, count, rejected.

    Raises
    ------
    ParameterError
        If there are fewer than two frames, or the light is not enough.

    Notes
    -----
    The lamp may change between the frames, in brightness and in gradient. Pixels that
    are flagged, saturated, not finite or hit by a cosmic ray are left out: `count` is
    the number of those that were used, of all pairs, `rejected` that of the others.
    `chi2`, per degree of freedom, is that of the straight line of variance against
    level; where it is far above 1 the error is too small, and there is a warning.
    """
    master = None if bias is None else DataFile(bias) if isinstance(bias, str) else bias
    rows = []
    for ident, readout, frames in _by_amplifier(flats, master, instrument):
        section = tuple(
            _within(part, wanted, n)
            for part, wanted, n in zip(
                readout.data, region, frames[0].data.shape, strict=True
            )
        )
        limit = max_level
        if limit is None:
            limit = _LINEAR * (readout.saturation or np.inf)
        pairs = list(combinations(frames, 2))
        try:
            result = gain_from_pairs(
                [(a.data[section], b.data[section]) for a, b in pairs],
                masks=[(a.bad | b.bad)[section] for a, b in pairs],
                read_noise=read_noise,
                step=frames[0].step,
                max_level=limit,
            )
        except ValueError as err:
            raise _named(err, readout, ident, flats) from err
        if result.chi2_dof > _ODD_CHI2:
            log.warning(
                "amplifier %s of extension %s: the variance of the flats is no "
                "straight line against their level (chi square %.1f per degree of "
                "freedom); the error of the gain is too small",
                readout.name, ident, result.chi2_dof,
            )  # fmt: skip
        error = result.gain_error * np.sqrt(len(frames) / 2)
        rows.append(
            (ident, readout.name, result.gain, error, readout.gain, result.chi2_dof,
             result.used, result.rejected)
        )  # fmt: skip
    return _table(rows, ["gain", "error", "declared"], "electron/adu")


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """One extension of a frame, and the pixels that say nothing."""

    data: npt.NDArray[np.float64]
    bad: npt.NDArray[np.bool_]
    step: float  # of the digitisation [adu]


def _by_amplifier(
    files: Files, bias: DataFile | None, instrument: InstrumentTable
) -> Iterator[tuple[Any, Readout, list[_Frame]]]:
    frames = files if isinstance(files, DataFileList) else DataFileList(list(files))
    if len(frames) < 2:
        msg = f"a pair of frames is needed, not {len(frames)}"
        raise ParameterError(msg)
    check_frames(frames)
    for index, first in enumerate(frames[0]):
        if first.unit not in (None, u.adu):
            msg = f"{frames[0]} is in {first.unit}, but noise is measured in adu"
            raise UnitError(msg)
        amplifiers = readouts(first, instrument=instrument)
        images = []
        for df in frames:
            ndd = df[df.idents.index(first.ident)]
            bad = saturated_pixels(np.asarray(ndd.data), amplifiers)
            step = digitisation_step(ndd)
            if bias is not None:
                ndd = ndd - _of(bias, first, index)
            if (mask := ndd.mask) is not None:
                bad |= np.asarray(mask)
            data = np.asarray(ndd.data, np.float64)
            images.append(_Frame(data=data, bad=bad, step=step))
        for readout in amplifiers:
            yield first.ident, readout, images


def _named(err: ValueError, readout: Readout, ident: Any, files: Files) -> Exception:
    names = list_names(str(file) for file in files)
    msg = f"{names}: amplifier {readout.name} of extension {ident}: {err}"
    return ParameterError(msg)


def _of(bias: DataFile, ndd: NDLater, index: int) -> NDLater:
    known = ndd.ident in bias.idents
    found: NDLater = bias[bias.idents.index(ndd.ident) if known else index]
    return found


def _within(part: slice, wanted: slice, n: int) -> slice:
    start, stop, _ = wanted.indices(n)
    return slice(max(part.start, start), min(part.stop, stop))


def _table(rows: list[tuple[Any, ...]], names: list[str], unit: str) -> Table:
    columns = ["ident", "amplifier", *names, *_QUALITY]
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
