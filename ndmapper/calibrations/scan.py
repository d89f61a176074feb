"""Scan folders for frames; unchanged files (name, size, mtime) come from a cache."""

import functools
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ndmapper.calibrations.copies import is_lossy, warn_once, without_copies
from ndmapper.calibrations.frames import Frame, read_frame
from ndmapper.calibrations.header_cache import FrameCache
from ndmapper.calibrations.sets import gathered
from ndmapper.errors import FileAccessError, MissingFileError
from ndmapper.instruments import Instrument, chosen, load
from ndmapper.io.filetypes import is_compressed, is_fits, split_ext
from ndmapper.io.source import check_name
from ndmapper.parallel import map_parallel

__all__ = ["find_frames", "fits_files", "without_twins"]

# Below this, starting worker processes takes longer than reading.
_FEW = 400
_CHUNK = 100


def find_frames(
    folder: str | os.PathLike[str],
    instrument: Instrument | str | os.PathLike[str] | None = None,
    workers: int | str | None = None,
) -> list[Frame]:
    """
    Classify all FITS files of a folder; a calibration in several files is one frame.

    Headers are cached until a file or the description of its instrument changes.
    """
    if instrument is None:
        instrument = chosen()
    elif not isinstance(instrument, Instrument):
        instrument = load(instrument)
    place = Path(folder)
    files = fits_files(place)
    memory = FrameCache(place, instrument)
    frames, unknown = memory.recall(files)
    if unknown:
        read = _read([place / name for name in unknown], instrument, workers)
        for frame in read:
            frames[frame.name] = frame
        memory.note(files, frames)
    found = [frames[name] for name in files if name in frames]
    return gathered(without_copies(without_twins(found)))


def fits_files(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the FITS files of a folder with size and mtime."""
    found = []
    check_name(folder, MissingFileError)
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(".") or not (
                    name.endswith(".fits") or is_fits(split_ext(name)[1])
                ):
                    continue
                if entry.is_file():
                    stat = entry.stat()
                    found.append((name, (stat.st_size, stat.st_mtime_ns)))
    except (FileNotFoundError, NotADirectoryError) as err:
        msg = f"there is no folder {folder}; name the one that the raw frames are in"
        raise MissingFileError(msg) from err
    except OSError as err:
        msg = f"the folder {folder} cannot be read ({err.strerror})"
        raise FileAccessError(msg) from err
    return dict(sorted(found))


def _read(
    paths: Sequence[Path], instrument: Instrument | None, workers: int | str | None
) -> list[Frame]:
    if workers is None:
        workers = 1 if len(paths) < _FEW else "all"
    chunks = [paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK)]
    # Workers get the path of the TOML, and load each instrument once.
    source = None if instrument is None else (instrument.source, instrument.digest)
    title = "headers" if len(paths) >= _FEW else None
    work = functools.partial(_read_chunk, source=source)
    found = map_parallel(work, chunks, workers, title)
    known = {} if instrument is None else {instrument.name: instrument}
    frames = []
    for row in (row for rows in found for row in rows):
        name = row.pop("instrument")
        if name is not None and name not in known:
            known[name] = load(name)
        frames.append(Frame(**row, instrument=None if name is None else known[name]))
    return frames


def _read_chunk(
    paths: Sequence[Path], source: tuple[str, str] | None
) -> list[dict[str, Any]]:
    instrument = None if source is None else _loaded(*source)
    rows = []
    for path in paths:
        try:
            frame = read_frame(path, instrument)
        except MissingFileError:
            continue  # removed meanwhile
        row = dict(vars(frame))
        row["instrument"] = None if frame.instrument is None else frame.instrument.name
        rows.append(row)
    return rows


@functools.lru_cache(maxsize=16)
def _loaded(source: str, digest: str) -> Instrument:
    return load(source)


def without_twins(frames: Sequence[Frame]) -> list[Frame]:
    """
    Declassify all but one of the files of a frame (such as a compressed copy).

    Duplicates in one set would count twice.
    """
    compressed = [f for f in frames if not f.name.endswith(".fits") and _is_packed(f)]
    doubtful = {_shared_name(frame) for frame in compressed}
    if not doubtful:
        return list(frames)
    best: dict[str, Frame] = {}
    for frame in sorted(frames, key=lambda f: (not f.readable, _is_packed(f))):
        if (name := _shared_name(frame)) in doubtful:
            best.setdefault(name, frame)
    result = []
    for frame in frames:
        twin = best.get(_shared_name(frame), frame)
        if twin is frame:
            result.append(frame)
        elif twin.readable and not frame.readable:
            warn_once(f"{twin.path} is used, since {frame.name} {frame.why}")
            result.append(frame)
        else:
            if is_lossy(frame.path):
                warn_once(f"{frame.path} is a lossy copy of {twin.name}, and not used")
            why = f"the same frame as {twin.name}"
            result.append(replace(frame, frame_class=None, why=why))
    return result


def _shared_name(frame: Frame) -> str:
    # Calibrations have the same names in every folder.
    return f"{frame.folder / frame.plain}" if frame.is_processed else frame.plain


def _is_packed(frame: Frame) -> bool:
    return is_compressed(split_ext(frame.name)[1])
