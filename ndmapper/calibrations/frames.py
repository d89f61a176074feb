"""Frames: the classified headers of raw files, in the terms of their instrument."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ndmapper.calibrations.names import frame_name
from ndmapper.calibrations.processed import TYPE_KEYS, why_processed
from ndmapper.data.name_pattern import Key
from ndmapper.errors import MissingFileError, NdmapperError
from ndmapper.instruments import Instrument, recognise
from ndmapper.instruments.conditions import Value
from ndmapper.instruments.moments import read_moment
from ndmapper.io import record
from ndmapper.io.filemap import FileMap, HduMap, map_file
from ndmapper.io.filetypes import split_ext
from ndmapper.io.quickheader import QuickHeader

__all__ = ["PROCESSED", "PROCESSED_WHY", "Frame", "moment_of", "read_frame"]

PROCESSED = "processed_"
"""Prefix of the class of a processed calibration; its type follows."""

PROCESSED_WHY = "says that it is combined or processed"
"""Part of `why` for a frame that would be classified as raw otherwise."""


@dataclass(kw_only=True, eq=False)
class Frame:
    """Descriptors and class of a raw frame or processed calibration, without pixels."""

    # File name; of a calibration in several files a pattern with the key in braces.
    name: str
    folder: Path = Path()
    # None if not recognised.
    instrument: Instrument | None
    # Such as "bias"; None if not recognised.
    frame_class: str | None
    # Reason for the class, or why there is none.
    why: str
    # Descriptors.
    values: Mapping[str, Value]
    # Whether the file could be read as FITS.
    readable: bool = True
    # Which members of sets it holds, such as {"ifu": (7,)}.
    parts: Mapping[str, tuple[Key, ...]] = field(default_factory=dict)
    # Names of the files, by key, of a calibration in several files.
    members: Mapping[Key, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Path of the file; of a set its pattern."""
        return self.folder / self.name

    @property
    def paths(self) -> list[Path]:
        """Paths of all its files."""
        names = self.members.values() if self.members else (self.name,)
        return [self.folder / name for name in names]

    @property
    def is_processed(self) -> bool:
        """Whether the frame is a processed calibration."""
        return self.frame_class is not None and self.frame_class.startswith(PROCESSED)

    @functools.cached_property
    def plain(self) -> str:
        """The name without compression suffix."""
        return frame_name(self.name)

    @functools.cached_property
    def days(self) -> float | None:
        """Time of observation in days since 2000-01-01; None if unknown."""
        moment = moment_of(self.values.get("time"))
        if moment is None:
            return None
        return (moment - datetime(2000, 1, 1)).total_seconds() / 86400.0

    @functools.cached_property
    def why_no_time(self) -> str:
        """The header cards that should give the time, with their values."""
        if (given := self.values.get("time")) is not None:
            return f"time = {given!r}"
        if self.instrument is None:
            return "of no known instrument"
        try:
            found = map_file(self.path, keep=True)
            primary = QuickHeader(found.primary.image_raw)
            images = _image_headers(found, self.instrument)
        except NdmapperError as err:
            return f"cannot be read: {err}"
        return self.instrument.why_no_time(primary, images[0] if images else None)


def moment_of(value: Value) -> datetime | None:
    """Parse a time; None if it is invalid."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return read_moment([("time", value)]).time
    return (
        moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    )


def read_frame(path: Path, instrument: Instrument | None = None) -> Frame:
    """Read the headers of a file and classify it."""
    try:
        found = map_file(path, keep=True)
        primary = QuickHeader(found.primary.image_raw, found.primary.place)
        known = instrument or recognise(primary)
        images = [] if known is None else _image_headers(found, known)
    except MissingFileError:
        raise
    except NdmapperError as err:
        return Frame(
            name=path.name,
            folder=path.parent,
            instrument=None,
            frame_class=None,
            why=f"cannot be read: {err}",
            values={},
            readable=False,
        )
    if known is None:
        why = "of no known instrument; name it with instrument="
        return Frame(name=path.name, folder=path.parent, instrument=None,
                     frame_class=None, why=why, values={})  # fmt: skip
    extension = images[0] if images else None
    values = known.describe(primary, extension, images[1:], path.name)
    parts = _parts(found, primary, known, path.name)
    frame_class, why = known.classify_values(values)
    is_made = frame_class is not None and frame_class.startswith(PROCESSED)
    if any(hdu.name == record.EXTNAME for hdu in found.hdus) and not is_made:
        # Its header is still that of its first raw frame.
        frame_class, why = _product_class(path.name, known, parts)
    elif frame_class is not None and not frame_class.startswith(PROCESSED):
        sign = why_processed(primary, path.name)
        if sign is not None and not _is_asked_for(sign, frame_class, known):
            why = f"{sign} {PROCESSED_WHY}: no raw {frame_class}"
            frame_class = None
    return Frame(
        name=path.name,
        folder=path.parent,
        instrument=known,
        frame_class=frame_class,
        why=why,
        values=values,
        parts=parts,
    )


def _parts(
    found: FileMap, primary: QuickHeader, instrument: Instrument, name: str
) -> Mapping[str, tuple[Key, ...]]:
    """List which members of sets a file holds, by the headers of all its HDUs."""
    if not instrument.members:
        return {}
    return instrument.parts([primary, *map(_Header, found.hdus[1:])], name)


class _Header:
    """The header of an extension, which is parsed only if it has a keyword."""

    def __init__(self, hdu: HduMap) -> None:
        self.hdu = hdu

    def get(self, key: str, /) -> Any:
        """Return the value of a keyword; None if it is missing."""
        if key == "EXTNAME":
            return self.hdu.name
        # One word is found faster than all of a HIERARCH keyword.
        if max(key.split(" "), key=len).encode() not in self.hdu.raw:
            return None
        return QuickHeader(self.hdu.image_raw, self.hdu.place).get(key)


def _is_asked_for(sign: str, frame_class: str, instrument: Instrument) -> bool:
    """Whether the class is defined by the very keyword that marks processed frames."""
    key = sign.partition(" = ")[0]
    if key in TYPE_KEYS:
        return False
    found = next(c for c in instrument.classes if c.name == frame_class)
    asked = (instrument.descriptors.get(name) for name in found.where)
    return any(
        d is not None and (key in d.keys or key in str(d.options)) for d in asked
    )


def _image_headers(found: FileMap, instrument: Instrument) -> list[QuickHeader]:
    """Return the headers of image extensions that the descriptors need."""
    hdus = found.hdus
    if hdus[0].shape:
        return []
    # An image extension without pixels has NAXIS = 0.
    wanted = [h for h in hdus[1:] if h.is_image or h.keys.get("NAXIS") == 0]
    if not instrument.needs_all:
        wanted = wanted[:1]
    return [QuickHeader(hdu.image_raw, hdu.place) for hdu in wanted]


def _product_class(
    name: str, instrument: Instrument, parts: Mapping[str, tuple[Key, ...]]
) -> tuple[str | None, str]:
    """Classify a product of ndmapper by its name, which is its label."""
    stem = split_ext(name)[0]
    for keys in parts.values():
        if len(keys) == 1:  # the label of a set, with the key of one file
            stem = re.sub(rf"[-_.]0*{re.escape(str(keys[0]))}$", "", stem)
    for cal_type in dict.fromkeys(rule.type for rule in instrument.rules):
        if re.search(rf"_{re.escape(cal_type)}(_\d+)?$", stem):
            return f"{PROCESSED}{cal_type}", "a product of ndmapper, by its name"
    return None, "a product of ndmapper, not a raw frame"
