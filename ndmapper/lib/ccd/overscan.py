"""Subtracting the overscan level, and trimming the overscan off."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from ndmapper.data import Flag, NDLater
from ndmapper.data.detector import drop_sections, joined_sections
from ndmapper.errors import InstrumentError, ParameterError
from ndmapper.lib.ccd.readout import (
    Readout,
    image_of,
    keep_digitisation_step,
    readouts,
    saturated_pixels,
    stamp,
)
from ndmapper.lib.flagging import flags_with
from ndmapper.lib.overscan_methods import level_by_function
from ndmapper.numerics.overscan import OverscanLevel, OverscanMethod, measure_overscan
from ndmapper.numerics.sections import format_section, offset_section, parse_section
from ndmapper.steps import InstrumentTable, Range, qc, run_task

__all__ = ["subtract_overscan", "trim"]

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
Section = tuple[slice, ...]

_MUCH = 0.3
"""Noise of lines that is told, as a part of the noise of a pixel."""


@run_task(prefix="o", options={"revision": 2})
def subtract_overscan(
    ndd: NDLater,
    *,
    method: OverscanMethod | Callable[..., Any] = "mean",
    degree: Annotated[int, Range(ge=0)] = 3,
    knots: Annotated[int, Range(ge=1)] = 10,
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
    method : {'mean', 'median', 'row', 'polynomial', 'chebyshev', 'spline'} or callable
        One clipped mean; one median (which integer pixels quantise); the mean of each
        line; or a polynomial or cubic spline along the readout, for a level that
        drifts. A function takes the image and one overscan area (a mapping with xmin,
        xmax, ymin and ymax, from 0 and without the ends) and gives the corrected
        image, or that and the variance of what it subtracted.
    degree : int
        Degree of the polynomial.
    knots : int
        Inner knots of the spline.
    clip : float
        Overscan pixels further than this many standard deviations off their line are
        left out.
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
        saturation level, which only raw counts show, are flagged SATURATED, and lines
        of which the level is doubtful BAD.

    Notes
    -----
    By any method but a function, lines into which a star bleeds are left out, and jumps
    of the level and an exponential at the begin or end of the readout are followed,
    where they are significant. Noise that the pixels of a line share is part of the
    error, a drift that the method does not follow is not; there is a warning where
    they matter.
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
    saturated = saturated_pixels(raw, amplifiers)
    doubtful = np.zeros(ndd.shape, np.bool_)
    done = []
    noises = []
    for readout in amplifiers:
        strip = _strip_of(readout)
        if callable(method):
            found = _by_function(method, raw, strip)
        else:
            options = {"degree": degree, "knots": knots, "clip": clip}
            found = _measured(raw, readout, method, options)
            _tell(readout, method, found)
        for section in (readout.data, strip):
            level = found.level
            level = level[section] if level.shape == ndd.shape else level
            # Before they are rounded to single precision, which long integers are.
            wide = raw.dtype.itemsize > 2
            data[section] = (raw if wide else data)[section] - level.astype(
                np.float64 if wide else np.float32
            )
        doubtful[readout.data] |= _of(found.doubtful, readout, ndd.shape)
        noises.append(np.nan if callable(method) else found.scatter)
        mean = float(np.nanmean(_of(found.level, readout, ndd.shape)))
        error = float(np.sqrt(np.nanmean(_of(found.variance, readout, ndd.shape))))
        done.append(
            replace(
                readout,
                level=round(mean, 4),
                level_error=round(error, 5),
                saturation=_lower(readout.saturation, mean),
            )
        )
    result = ndd.replace(
        data=data,
        flags=flags_with(ndd, (saturated, Flag.SATURATED), (doubtful, Flag.BAD)),
        unit=ndd.unit or "adu",
    )
    stamp(result.meta, done)
    keep_digitisation_step(ndd, result)
    _report(done, noises)
    return result


def _report(amplifiers: Sequence[Readout], noises: Sequence[float]) -> None:
    """Tell the levels of the amplifiers, and the scatter of their overscan pixels."""
    names = [f"_{r.name}" for r in amplifiers] if len(amplifiers) > 1 else [""]
    for name, readout, noise in zip(names, amplifiers, noises, strict=True):
        qc(**{f"overscan{name}": readout.level})
        if np.isfinite(noise):
            qc(**{f"overscan_scatter{name}": round(noise, 4)})


def _strip_of(readout: Readout) -> Section:
    """Give the overscan of an amplifier, which must not have been subtracted yet."""
    if readout.level is not None:
        msg = (
            f"the overscan of amplifier {readout.name} was subtracted already "
            f"(OVSCLEVn = {readout.level:.2f})"
        )
        raise ParameterError(msg)
    if readout.overscan is None:
        why = readout.unknown.get("overscan")
        msg = (
            f"amplifier {readout.name} has no overscan section"
            f"{f' ({why})' if why else ''}; give overscan=..., or leave this step out"
        )
        raise InstrumentError(msg)
    return readout.overscan


def _measured(
    raw: Array, readout: Readout, method: str, options: Mapping[str, Any]
) -> OverscanLevel:
    assert readout.overscan is not None
    # Columns beside the data drift with the rows, and rows above with the columns.
    readout_axis = 0 if readout.overscan[0] == readout.data[0] else 1
    is_beside = _beside(readout, readout_axis)
    if method not in ("mean", "median") and not is_beside:
        what = "polynomial" if method in ("polynomial", "chebyshev") else method
        msg = (
            f"a {what} along the readout needs an overscan that runs along the "
            f"whole data section of amplifier {readout.name}; use method='mean'"
        )
        raise ParameterError(msg)
    try:
        return measure_overscan(
            raw[readout.overscan],
            method,
            readout_axis=readout_axis,
            follow=is_beside,
            **options,
        )
    except ValueError as err:
        where = format_section(readout.overscan)
        msg = (
            f"overscan {where} of amplifier {readout.name}: {err}; leave the frame "
            "out, or give other sections by overscan="
        )
        raise ParameterError(msg) from err


def _by_function(
    method: Callable[..., Any], raw: Array, strip: Section
) -> OverscanLevel:
    """Take the level that a function of a user subtracts."""
    rows, columns = strip
    area = {
        "xmin": columns.start,
        "xmax": columns.stop,
        "ymin": rows.start,
        "ymax": rows.stop,
    }
    level, variance = level_by_function(method, raw.astype(np.float64), area)
    return OverscanLevel(
        level=level,
        variance=variance,
        doubtful=~np.isfinite(level) | ~np.isfinite(variance),
    )


def _of(values: Array, readout: Readout, shape: tuple[int, ...]) -> Array:
    """Give the part of a level that belongs to the data of an amplifier."""
    return values[readout.data] if values.shape == shape else values


def _tell(readout: Readout, method: str, found: OverscanLevel) -> None:
    """Warn of what is odd about an overscan."""
    if found.left_out:
        log.info(
            "overscan of amplifier %s: %d lines into which light bleeds are left out",
            readout.name, found.left_out,
        )  # fmt: skip
    if found.jumps:
        log.warning(
            "overscan of amplifier %s: its level jumps, %d times, which is followed",
            readout.name, found.jumps,
        )  # fmt: skip
    if found.shared > _MUCH * found.scatter:
        log.warning(
            "overscan of amplifier %s: its level changes from line to line by %.2g adu "
            "(rms), which method=%r does not follow and which is part of its error; "
            "'row' follows each line",
            readout.name, found.shared, method,
        )  # fmt: skip
    if found.drift > _MUCH * found.scatter:
        log.warning(
            "overscan of amplifier %s: its level drifts by %.2g adu (rms), which "
            "method=%r does not follow; 'polynomial' or 'spline' do, and a bias takes "
            "away what drifts in the same way in every frame",
            readout.name, found.drift, method,
        )  # fmt: skip


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
