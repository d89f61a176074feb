"""Detect copies: one exposure in several files (linked, compressed or renamed)."""

import filecmp
import functools
import logging
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ndmapper.calibrations.frames import Frame
from ndmapper.data import DataFile
from ndmapper.errors import NdmapperError
from ndmapper.io.filemap import map_file
from ndmapper.io.quickheader import QuickHeader

__all__ = [
    "distinct_exposures",
    "holds_same_pixels",
    "is_lossy",
    "warn_once",
    "without_copies",
]

log = logging.getLogger(__name__)

_TIMES = ("DATE-OBS", "TIME-OBS", "UT", "UTSTART", "MJD-OBS", "JD")

_ROWS = 64
"""Rows in the middle of an image that are compared first."""


def without_copies(frames: Sequence[Frame]) -> list[Frame]:
    """
    Declassify all but one of the files that hold the same exposure.

    Duplicates in one set would count twice. Pixels are compared only for calibration
    frames of one class with the same time.
    """
    groups: dict[Hashable, list[Frame]] = {}
    for frame in frames:
        kind, time = frame.frame_class, frame.values.get("time")
        if not kind or not time or not frame.instrument or frame.is_processed:
            continue  # a product may have the time of its first raw frame
        if frame.instrument.serves(kind):
            key = frame.instrument.name, kind, time, frame.values.get("shape")
            groups.setdefault(key, []).append(frame)
    originals: dict[int, Frame] = {}
    for group in groups.values():
        if len(group) > 1:
            originals |= {id(copy): kept for copy, kept in _copies(group)}
    return [
        replace(
            f, frame_class=None, why=f"the same exposure as {originals[id(f)].name}"
        )
        if id(f) in originals
        else f
        for f in frames
    ]


def _copies(group: Sequence[Frame]) -> Iterator[tuple[Frame, Frame]]:
    """Yield (copy, original) pairs among frames with the same time."""
    kept: list[Frame] = []
    for frame in sorted(group, key=lambda f: (is_lossy(f.path), f.name)):
        for original in kept:
            if holds_same_pixels(frame.path, original.path):
                yield frame, original
                break
            if is_lossy(frame.path) and _differ_by_noise(frame.path, original.path):
                warn_once(
                    f"{frame.path} is a lossy copy of {original.name}, and not used"
                )
                yield frame, original
                break
        else:
            kept.append(frame)


def holds_same_pixels(one: Path, other: Path) -> bool:
    """Whether two files hold the same images, regardless of compression or scaling."""
    try:
        return filecmp.cmp(one, other, shallow=False) or _same_pixels(
            DataFile(one), DataFile(other)
        )
    except (NdmapperError, OSError):
        return False


def _same_pixels(first: DataFile, second: DataFile) -> bool:
    if [ndd.shape for ndd in first] != [ndd.shape for ndd in second] or not len(first):
        return False
    middle = _middle(first[0].shape)
    if not _equal(first[0][middle].data, second[0][middle].data):
        return False
    return all(_equal(a.data, b.data) for a, b in zip(first, second, strict=True))


def distinct_exposures(files: Sequence[DataFile]) -> list[int]:
    """Return the indices of files, each exposure once."""
    kept: list[int] = []
    for position, df in enumerate(files):
        time = _time_cards(df)
        for other in (files[i] for i in kept):
            if time and time == _time_cards(other) and _same_pixels(df, other):
                log.warning("%s is the exposure of %s, and counts once", df, other)
                break
        else:
            kept.append(position)
    return kept


def _time_cards(df: DataFile) -> tuple[object, ...]:
    """Return the time keywords of the primary header; empty if there are none."""
    found = tuple(df.meta.get(key) for key in _TIMES)
    return found if any(found) else ()


def is_lossy(path: Path) -> bool:
    """Whether a file has an image with lossy compression."""
    try:
        headers = [QuickHeader(hdu.raw) for hdu in map_file(path, keep=True).hdus]
    except (NdmapperError, OSError):
        return False
    for header in headers:
        if header.get("ZIMAGE") is not True:
            continue
        kind = str(header.get("ZCMPTYPE"))
        quantised = str(header.get("ZQUANTIZ") or "NO_DITHER").strip() != "NONE"
        if int(header.get("ZBITPIX") or 8) < 0 and quantised and "GZIP" not in kind:
            return True
        if kind.startswith("HCOMPRESS") and any(
            header.get(f"ZNAME{n}") == "SCALE" and float(header.get(f"ZVAL{n}") or 0)
            for n in range(1, 10)
        ):
            return True
    return False


def _differ_by_noise(one: Path, other: Path) -> bool:
    """Whether two images differ by much less than the noise of their pixels."""
    try:
        first, second = DataFile(one)[0], DataFile(other)[0]
        if first.shape != second.shape:
            return False
        middle = _middle(first.shape)
        a = np.asarray(first[middle].data, np.float64)
        b = np.asarray(second[middle].data, np.float64)
    except (NdmapperError, OSError, IndexError):
        return False
    # Two exposures differ by sqrt(2) times the noise, estimated here from neighbouring
    # pixels; quantisation by less than half the noise.
    steps = np.abs(np.diff(b, axis=-1))
    return bool(np.nanstd(a - b) < 0.5 * np.nanmedian(steps))


def _middle(shape: tuple[int, ...]) -> slice:
    start = max(0, shape[0] // 2 - _ROWS // 2)
    return slice(start, start + _ROWS)


def _equal(one: npt.NDArray[np.generic], other: npt.NDArray[np.generic]) -> bool:
    inexact = one.dtype.kind == "f" and other.dtype.kind == "f"
    return np.array_equal(one, other, equal_nan=inexact)


@functools.cache
def warn_once(message: str) -> None:
    """Warn of a file once, though the survey and the look-up scan a folder each."""
    log.warning(message)
