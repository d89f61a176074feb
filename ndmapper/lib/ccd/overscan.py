"""Subtracting the overscan level, and trimming the overscan off."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np

from ndmapper.data import Flag, NDLater
from ndmapper.data.detector import drop_sections, joined_sections
from ndmapper.errors import InstrumentError, ParameterError
from ndmapper.lib.ccd.readout import (
    Readout,
    image_of,
    keep_digitisation_step,
    readouts,
    stamp,
)
from ndmapper.lib.flagging import flags_with
from ndmapper.numerics.overscan import overscan_level
from ndmapper.numerics.sections import offset_section, parse_section
from ndmapper.steps import InstrumentTable, Range, run_task

__all__ = ["subtract_overscan", "trim"]


@run_task(prefix="o")
def subtract_overscan(
    ndd: NDLater,
    *,
    method: Literal["mean", "median", "polynomial"] = "mean",
    degree: Annotated[int, Range(ge=0)] = 3,
    clip: Annotated[float, Range(gt=0)] = 4.0,
    overscan: str | Mapping[str, str] | None = None,
    instrument: InstrumentTable = None,
) -> NDLater:
    """
    Subtract the level of each amplifier's overscan.

    Parameters
    ----------
    ndd : NDLater
        Extension of a raw frame [adu].
    method : {'mean', 'median', 'polynomial'}
        One clipped mean, one median (which integer pixels quantise), or a polynomial
        along the readout for a level that drifts.
    degree : int
        Degree of the polynomial.
    clip : float
        Overscan pixels further than this many standard deviations off are left out.
    overscan : str or mapping of str to str, optional
        Sections as in FITS headers, where neither the header nor the instrument's
        TOML knows them, or to use others: one overscan section for the whole
        image, or a data section and its overscan section for each amplifier.
    instrument : str or path, optional
        Name of the instrument or path of its TOML; by default that of the
        configuration, else the header tells.

    Returns
    -------
    NDLater
        The frame with its overscan region still there, in float32 [adu]. The level
        and its error are in the cards OVSCLEVn and OVSCERRn. Pixels that reach the
        saturation level, which only raw counts show, are flagged SATURATED.
    """
    ndd = image_of(ndd)
    if overscan is None:
        amplifiers = readouts(
            ndd, instead="the sections with overscan=", instrument=instrument
        )
    else:
        amplifiers = _given(ndd, overscan, instrument)
    raw = np.asarray(ndd.data)
    data = raw.astype(np.float32)
    saturated = np.zeros(ndd.shape, np.bool_)
    done = []
    for readout in amplifiers:
        if readout.level is not None:
            msg = (
                f"the overscan of amplifier {readout.name} was subtracted already "
                f"(OVSCLEVn = {readout.level:.2f})"
            )
            raise ParameterError(msg)
        if readout.overscan is None:
            msg = (
                f"amplifier {readout.name} has no overscan section; give overscan=..., "
                "or leave this step out"
            )
            raise InstrumentError(msg)
        rows, _ = readout.data
        strip_rows, _ = readout.overscan
        # Columns beside the data drift with the rows, and rows above with the columns.
        readout_axis = 0 if strip_rows == rows else 1
        if method == "polynomial" and not _beside(readout, readout_axis):
            msg = (
                f"a polynomial along the readout needs an overscan that runs along the "
                f"whole data section of amplifier {readout.name}; use method='mean'"
            )
            raise ParameterError(msg)
        level, variance = overscan_level(
            raw[readout.overscan],
            method,
            degree=degree,
            clip=clip,
            readout_axis=readout_axis,
        )
        for section in (readout.data, readout.overscan):
            data[section] -= level.astype(np.float32)
        if readout.saturation is not None:
            saturated[readout.data] = raw[readout.data] >= readout.saturation
        mean = float(level.mean())
        done.append(
            replace(
                readout,
                level=round(mean, 4),
                level_error=round(float(np.sqrt(variance.mean())), 5),
                saturation=_lower(readout.saturation, mean),
            )
        )
    result = ndd.replace(
        data=data,
        flags=flags_with(ndd, (saturated, Flag.SATURATED)),
        unit=ndd.unit or "adu",
    )
    stamp(result.meta, done)
    keep_digitisation_step(ndd, result)
    return result


@run_task(prefix="t")
def trim(ndd: NDLater, *, instrument: InstrumentTable = None) -> NDLater:
    """
    Cut the overscan off, and join the parts of the amplifiers.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame whose amplifiers are known.
    instrument : str or path, optional
        Name of the instrument or path of its TOML; by default that of the
        configuration, else the header tells.

    Returns
    -------
    NDLater
        The data sections alone, in the places in which they lie to each other.
    """
    ndd = image_of(ndd)
    amplifiers = readouts(ndd, instrument=instrument)
    rows = _places([readout.data[0] for readout in amplifiers], ndd, 0)
    columns = _places([readout.data[1] for readout in amplifiers], ndd, 1)
    if len(rows) * len(columns) != len(amplifiers):
        msg = (
            f"the data sections of {len(amplifiers)} amplifiers do not form a "
            f"rectangle of {len(rows)} x {len(columns)}; check DATASEC"
        )
        raise InstrumentError(msg)
    whole = (_span(rows), _span(columns))
    if _is_solid(rows) and _is_solid(columns):
        result = ndd[whole]
        origin = (whole[0].start, whole[1].start)
        trimmed = [
            replace(r, data=offset_section(r.data, origin), overscan=None)
            for r in amplifiers
        ]
    else:
        result, trimmed = _joined(ndd, amplifiers, rows, columns)
    # These describe the raw array; what holds now is in the cards of the amplifiers.
    drop_sections(result.meta)
    stamp(result.meta, trimmed)
    return result


def _lower(saturation: float | None, level: float) -> float | None:
    return None if saturation is None else round(saturation - level, 2)


def _beside(readout: Readout, readout_axis: int) -> bool:
    assert readout.overscan is not None
    return readout.overscan[readout_axis] == readout.data[readout_axis]


def _given(
    ndd: NDLater, overscan: str | Mapping[str, str], instrument: InstrumentTable
) -> list[Readout]:
    """Make readouts of the sections that a user gave."""
    try:
        if isinstance(overscan, str):
            strip = parse_section(overscan)
            pairs = [(_rest(strip, ndd.shape), strip)]
        else:
            pairs = [
                (parse_section(data), parse_section(strip))
                for data, strip in overscan.items()
            ]
    except ValueError as err:
        msg = f"overscan = {overscan!r}: {err}"
        raise ParameterError(msg) from err
    for section in (s for pair in pairs for s in pair):
        if len(section) != ndd.ndim or any(
            s.stop > n for s, n in zip(section, ndd.shape, strict=True)
        ):
            msg = f"overscan = {overscan!r} is not in an image of shape {ndd.shape}"
            raise ParameterError(msg)
    try:
        known = readouts(ndd, instrument=instrument)
    except InstrumentError:
        # Sections are enough here; gain and read noise are for later steps.
        known = []
    return [
        replace(
            next((r for r in known if r.data == data), Readout(name=str(n), data=data)),
            overscan=strip,
        )
        for n, (data, strip) in enumerate(pairs, start=1)
    ]


def _rest(strip: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Find the image beside an overscan at one of its borders."""
    for axis, (part, n) in enumerate(zip(strip, shape, strict=True)):
        others = [s for a, s in enumerate(strip) if a != axis]
        sizes = [m for a, m in enumerate(shape) if a != axis]
        if all(s == slice(0, m) for s, m in zip(others, sizes, strict=True)) and (
            part.start == 0 or part.stop == n
        ):
            rest = slice(part.stop, n) if part.start == 0 else slice(0, part.start)
            return tuple(
                rest if a == axis else slice(0, m) for a, m in enumerate(shape)
            )
    msg = "one overscan for the whole image must reach along one of its borders"
    raise ValueError(msg)


def _places(sections: Sequence[slice], ndd: NDLater, axis: int) -> list[slice]:
    """List the different ranges along one axis, in order."""
    unique = sorted({(s.start, s.stop) for s in sections})
    for (_, stop), (start, _) in pairwise(unique):
        if start < stop:
            msg = (
                f"data sections of amplifiers overlap along axis {axis} of an image of "
                f"shape {ndd.shape}; check DATASEC"
            )
            raise InstrumentError(msg)
    return [slice(start, stop) for start, stop in unique]


def _span(ranges: Sequence[slice]) -> slice:
    return slice(ranges[0].start, ranges[-1].stop)


def _is_solid(ranges: Sequence[slice]) -> bool:
    return all(a.stop == b.start for a, b in pairwise(ranges))


def _joined(
    ndd: NDLater,
    amplifiers: Sequence[Readout],
    rows: Sequence[slice],
    columns: Sequence[slice],
) -> tuple[NDLater, list[Readout]]:
    """Put data sections with overscan between them side by side."""
    targets = {}
    for axis, ranges in enumerate((rows, columns)):
        start = 0
        for old in ranges:
            length = old.stop - old.start
            targets[axis, old.start] = slice(start, start + length)
            start += length
    trimmed = [
        replace(
            r,
            data=tuple(targets[axis, s.start] for axis, s in enumerate(r.data)),
            overscan=None,
        )
        for r in amplifiers
    ]
    shape = tuple(sum(s.stop - s.start for s in ranges) for ranges in (rows, columns))

    def join(array: np.ndarray | None) -> np.ndarray | None:
        if array is None:
            return None
        out = np.empty(shape, array.dtype)
        for old, new in zip(amplifiers, trimmed, strict=True):
            out[new.data] = array[old.data]
        return out

    # The coordinates are those of the first amplifier's pixels, as in ndd[section].
    meta = ndd.meta.copy()
    drop_sections(meta, detector=True)
    first = ndd.replace(meta=meta)[rows[0], columns[0]]
    first.meta.update(joined_sections(ndd.meta, shape))
    result = NDLater(
        join(ndd.data),
        variance=join(ndd.variance),
        flags=join(ndd.flags),
        meta=first.meta,
        unit=ndd.unit,
        ident=ndd.ident,
        bad_flags=ndd.bad_flags,
    )
    return result, trimmed
