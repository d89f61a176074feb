"""Cache of the classified frames of a folder, between runs."""

import contextlib
import gc
import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ndmapper.calibrations.frames import Frame
from ndmapper.config import config
from ndmapper.documents import load_json
from ndmapper.errors import InstrumentError
from ndmapper.instruments import Instrument, load, names
from ndmapper.io.sidedata import make_side_folder, read_side_data
from ndmapper.io.temporary import staging_name

__all__ = ["FrameCache"]

log = logging.getLogger(__name__)

_VERSION = 3
# Resolution of file system time stamps [ns], at worst.
_TICK = 50_000_000
# Reading a smaller folder takes no longer than the cache.
_SMALL = 20

Files = Mapping[str, tuple[int, int]]


class FrameCache:
    """
    Cache of the frames of one folder; safe to delete, optional to write.

    Frames share most of their values: each value is written once, and a frame is a row
    of indices, so a folder of 10000 frames loads in some ten milliseconds.
    """

    def __init__(self, folder: Path, instrument: Instrument | None) -> None:
        self.folder = folder
        self.instrument = instrument
        given = "" if instrument is None else instrument.source
        place = f"{os.path.abspath(folder)}\0{given}"  # noqa: PTH100  (links stay)
        name = hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.path = Path(config["outdir"]) / ".ndmapper" / f"frames-{name}.json"

    def recall(self, files: Files) -> tuple[dict[str, Frame], list[str]]:
        """Return the cached frames of unchanged files, and the names of the others."""
        content = self._read() if len(files) >= _SMALL else None
        if content is None:
            return {}, list(files)
        # Without garbage collection: many objects are made, none is garbage.
        was_on = gc.isenabled()
        gc.disable()
        try:
            return self._frames(files, content)
        except (ValueError, TypeError, KeyError, IndexError, InstrumentError) as err:
            # The cache file was damaged or written by another program.
            log.debug("no frames of %s are remembered: %s", self.folder, err)
            return {}, list(files)
        finally:
            if was_on:
                gc.enable()

    def _frames(
        self, files: Files, content: Mapping[str, Any]
    ) -> tuple[dict[str, Frame], list[str]]:
        value_of = content["values"].__getitem__
        instruments = self._instruments(content["instruments"])
        columns = content["columns"]
        rows = content["files"]
        frames: dict[str, Frame] = {}
        unknown = []
        for name, now in files.items():
            row = rows.get(name)
            if row is None or (row[0], row[1]) != now:
                unknown.append(name)
                continue
            number = row[2]
            found = map(value_of, row[7:])
            frames[name] = Frame(
                name=name,
                folder=self.folder,
                instrument=instruments[number],
                frame_class=value_of(row[3]),
                why=value_of(row[4]),
                values=dict(zip(columns[number], found, strict=True)),
                readable=bool(row[5]),
                parts={name: tuple(keys) for name, keys in value_of(row[6])},
            )
        return frames, unknown

    def note(self, files: Files, frames: Mapping[str, Frame]) -> None:
        """Write the cache, if the folder for side data is writable."""
        if len(files) < _SMALL:
            return
        numbers: dict[tuple[type, Any], int] = {}
        values: list[Any] = []

        def number(value: Any) -> int:
            key = (type(value), value)  # 1, 1.0 and True are equal as keys
            if key not in numbers:
                numbers[key] = len(values)
                values.append(value)
            return numbers[key]

        known: dict[str | None, int] = {}
        columns: list[list[str]] = []
        rows = {}
        settled = time.time_ns() - _TICK
        for name, (size, mtime) in files.items():
            frame = frames.get(name)
            # A file written just now may change again with the same time stamp.
            if frame is None or mtime > settled:
                continue
            which = None if frame.instrument is None else frame.instrument.name
            if which not in known:
                known[which] = len(columns)
                columns.append(list(frame.values))
            rows[name] = [
                size, mtime, known[which], number(frame.frame_class),
                number(frame.why), int(frame.readable),
                number(tuple(frame.parts.items())),
                *(number(frame.values.get(n)) for n in columns[known[which]]),
            ]  # fmt: skip
        self._write(
            {
                "version": _VERSION,
                "digest": self._digest(),
                "instruments": list(known),
                "columns": columns,
                "values": values,
                "files": rows,
            }
        )

    def _digest(self) -> str:
        """Digest of the instrument descriptions by which headers were classified."""
        if self.instrument is not None:
            return self.instrument.digest
        found = []
        for name in names():
            with contextlib.suppress(InstrumentError, OSError):
                found.append(f"{name}:{load(name).digest}")
        return hashlib.sha256(" ".join(found).encode()).hexdigest()[:16]

    def _instruments(self, named: list[str | None]) -> list[Instrument | None]:
        if self.instrument is not None:
            return [None if name is None else self.instrument for name in named]
        return [None if name is None else load(name) for name in named]

    def _read(self) -> dict[str, Any] | None:
        try:
            content = load_json(read_side_data(self.path))
            if content["version"] != _VERSION or content["digest"] != self._digest():
                return None
        except (OSError, ValueError, TypeError, KeyError) as err:
            log.debug("no frames of %s are remembered: %s", self.folder, err)
            return None
        return dict(content)

    def _write(self, content: Mapping[str, Any]) -> None:
        temporary = staging_name(self.path)
        try:
            make_side_folder(self.path)
            text = json.dumps(content, separators=(",", ":"), allow_nan=False)
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self.path)
        except (OSError, ValueError) as err:
            log.debug("the frames of %s are not remembered: %s", self.folder, err)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
