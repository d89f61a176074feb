"""Lists of files by exposure, as MUSEreduce writes them, and takes them when edited."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ndmapper.calibrations.schema import ASSOCIATIONS, CALIBRATIONS
from ndmapper.errors import FileAccessError, FormatError, MissingFileError
from ndmapper.lib.muse.night import MuseNight

__all__ = ["read_lists", "write_lists"]

log = logging.getLogger(__name__)

_CLASSES = {
    "OBJECT": "object", "SKY": "sky", "STD": "standard", "BIAS": "bias", "DARK": "dark",
    "FLAT": "flat", "ARC": "arc", "ILLUM": "illum", "SKYFLAT": "twilight",
    "ASTROMETRY": "astrometry",
}  # fmt: skip
"""Classes of raw frames by the types that the lists have."""

_TYPES = {kind: name for name, kind in _CLASSES.items()}
_ENDINGS = ("SCI", "SKY", "DAR", "TWI")


def write_lists(night: MuseNight, folder: Path) -> list[Path]:
    """
    Write which raw frames each exposure of an object is reduced with.

    Parameters
    ----------
    night : MuseNight
        The raw frames.
    folder : Path
        Where lists go: ``ID_SCI.list`` with the exposure and its calibrations,
        ``ID_SKY.list`` with the exposure of the sky, ``ID_DAR.list`` with darks, and
        ``ID_TWI.list`` with twilight flats and what these need; ID is the name of the
        exposure. Each line is a name and a type.

    Returns
    -------
    list of Path
        The lists. One that was there and differs is kept as ``.list.bak``.
    """
    kinds = {str(row["file"]): str(row["class"]) for row in night.table}
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    for row in night.table[night.table["class"] == "object"]:
        files = list(dict.fromkeys(_needed(night, str(row["file"]))))
        parts: dict[str, list[str]] = {ending: [] for ending in _ENDINGS}
        for name in files:
            kind = kinds.get(name, "")
            if kind in _TYPES:
                parts[_ending_of(kind)].append(f"{name}  {_TYPES[kind]}\n")
        for ending, lines in parts.items():
            if lines:
                path = folder / f"{row['exposure']}_{ending}.list"
                _write(path, "".join(lines))
                written.append(path)
    return written


def _ending_of(kind: str) -> str:
    return {"sky": "SKY", "dark": "DAR", "twilight": "TWI"}.get(kind, "SCI")


def _needed(night: MuseNight, name: str) -> Iterator[str]:
    """Yield a frame, and all raw frames that its reduction needs."""
    yield name
    for label in night.cals[ASSOCIATIONS].get(name, {}).values():
        for raw in night.cals[CALIBRATIONS].get(label, ()) if label else ():
            if raw != name:
                yield from _needed(night, str(raw))


def _write(path: Path, text: str) -> None:
    try:
        before = path.read_text(encoding="utf-8") if path.is_file() else text
        if before != text:
            path.with_name(f"{path.name}.bak").write_text(before, encoding="utf-8")
            log.warning("%s is written anew; what it was is %s.bak", path, path.name)
        path.write_text(text, encoding="utf-8")
    except OSError as err:
        msg = f"the list {path} cannot be written: {err.strerror}"
        raise FileAccessError(msg) from err


def read_lists(night: MuseNight, folder: Path) -> None:
    """
    Leave of the raw frames those that lists name, with the types that these have.

    Parameters
    ----------
    night : MuseNight
        The raw frames. Its table is changed.
    folder : Path
        The folder of the lists (see `write_lists`). Frames are given their calibrations
        among those that are listed; a warning tells where lists of exposures differ,
        since a frame that one of them has is there for all.

    Raises
    ------
    MissingFileError
        If there are no lists, or a file of theirs is not among the raw frames.
    FormatError
        If a line is none.
    """
    paths = sorted(p for e in _ENDINGS for p in folder.glob(f"*_{e}.list"))
    if not paths:
        msg = (
            f"there are no lists of files (*_SCI.list) in {folder}; have them written "
            "first (auto_sort_data = true)"
        )
        raise MissingFileError(msg)
    wanted: dict[str, str] = {}
    by_list: dict[Path, set[str]] = {}
    for path in paths:
        for name, kind in _lines(path):
            if wanted.setdefault(name, kind) != kind:
                msg = f"{path}: {name} is {kind}, but another list has {wanted[name]}"
                raise FormatError(msg)
            by_list.setdefault(path, set()).add(name)
    known = [str(name) for name in night.table["file"]]
    if missing := [name for name in wanted if name not in known]:
        msg = f"{missing[0]} is listed in {folder}, but is not in {night.raw}"
        raise MissingFileError(msg)
    _warn_of_differences(by_list, wanted)
    night.refresh = True
    # Masters that lie among the raw frames are in no list.
    raw = np.isin(np.asarray(night.table["class"], dtype=str), list(_TYPES))
    night.table = night.table[np.isin(known, list(wanted)) | ~raw]
    for row in night.table:
        row["class"] = wanted.get(str(row["file"]), row["class"])


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield names and classes of a list."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or words[1] not in _CLASSES:
            msg = (
                f"{path}, line {number}: {line!r} is not the name of a file and its "
                f"type, one of {', '.join(_CLASSES)}"
            )
            raise FormatError(msg)
        yield Path(words[0]).name, _CLASSES[words[1]]


def _warn_of_differences(by_list: dict[Path, set[str]], kinds: dict[str, str]) -> None:
    """Warn of calibration frames that one exposure has, and another has not."""
    for ending in ("SCI", "DAR", "TWI"):
        lists = {p: v for p, v in by_list.items() if p.name.endswith(f"_{ending}.list")}
        shared = _calibrations(set().union(*lists.values()), kinds)
        for path, names in lists.items():
            if lacking := shared - _calibrations(names, kinds):
                log.warning(
                    "%s lacks %s, which other lists have; it may be used nevertheless, "
                    "unless it is in no list", path, ", ".join(sorted(lacking)),
                )  # fmt: skip


def _calibrations(names: Iterable[str], kinds: dict[str, str]) -> set[str]:
    return {name for name in names if kinds[name] not in ("object", "sky")}
