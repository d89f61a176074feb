"""Check that the files of a calibration document exist and are intact."""

import logging
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ndmapper.calibrations.folders import noted_folder
from ndmapper.calibrations.names import frame_name, known_key, name_variants
from ndmapper.calibrations.patterns import files_of
from ndmapper.calibrations.products import find_product, product_folders
from ndmapper.calibrations.provenance import bad_frames, good_frames
from ndmapper.calibrations.schema import ASSOCIATIONS, CALIBRATIONS, CHECKSUMS
from ndmapper.documents import can_be_name, is_file
from ndmapper.errors import (
    ChecksumError,
    FileAccessError,
    FormatError,
    MissingFileError,
    ParameterError,
)
from ndmapper.io.digest import examine, name_damage
from ndmapper.io.filemap import map_file
from ndmapper.io.filetypes import is_fits, split_ext
from ndmapper.io.source import Source
from ndmapper.services.transfer.checksum import has_checksum

__all__ = ["FileState", "check_cal_files"]


log = logging.getLogger(__name__)

_PIECE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class FileState:
    """State of one file that a document lists."""

    name: str
    # 'ok' (checksum verified), 'there' (no checksum to verify), 'missing' or 'damaged'
    # (checksum differs).
    state: str
    # None if missing.
    path: Path | None = None
    # Explanation.
    why: str = ""


def check_cal_files(
    cal_dict: Mapping[str, Any],
    keys: Iterable[str],
    folders: Sequence[Path],
    *,
    noted: bool = False,
) -> list[FileState]:
    """Check the files of all calibrations of frames, and of theirs in turn."""
    found: dict[str, FileState] = {}
    associations = cal_dict[ASSOCIATIONS]
    # (name, whether it is a label), as a stack.
    pending: list[tuple[str, bool]] = [(key, False) for key in keys][::-1]
    done = set()
    while pending:
        name, is_label = one = pending.pop()
        if one in done:
            continue
        done.add(one)
        files = good_frames(cal_dict[CALIBRATIONS].get(name, ()), cal_dict)
        if is_label and files:
            pending += [(file, False) for file in reversed(files)]
            continue
        if name not in found:
            places = _Places(cal_dict, folders, noted=noted)
            found[name] = _state(name, cal_dict, places, is_made=is_label)
        if not is_label:
            types = associations.get(known_key(associations, name), {})
            labels = [label for label in types.values() if label is not None]
            pending += [(label, True) for label in reversed(labels)]
    return list(found.values())


class _Places:
    """The folders in which frames are looked for."""

    def __init__(
        self, cal_dict: Mapping[str, Any], folders: Sequence[Path], *, noted: bool
    ) -> None:
        self.cal_dict = cal_dict
        self.folders = folders
        self.noted = noted

    def of(self, name: str) -> list[Path]:
        """Return the folders for a frame, the likeliest first."""
        noted = noted_folder(name, self.cal_dict) if self.noted else None
        first = [] if noted is None else [noted]
        return list(dict.fromkeys((*first, *self.folders)))

    def find(self, name: str) -> Path | None:
        """Return the path of a frame; None if there is none."""
        places = (d / variant for d in self.of(name) for variant in name_variants(name))
        return next((place for place in places if is_file(place)), None)

    def why_not(self, name: str, folders: Sequence[Path]) -> str:
        """Say where a frame was looked for, and what was found instead."""
        if not can_be_name(name) or len(os.fsencode(name)) > _LONGEST_NAME:
            return "no file can have this name"
        folders = list(dict.fromkeys(folders))
        where = ", ".join(map(str, folders))
        names = name_variants(name)
        said = [why for d in folders for n in names if (why := _obstacle(d / n))]
        said += [why for d in folders if (why := _no_folder(d))]
        return "; ".join([f"not in {where}", *dict.fromkeys(said)])


_LONGEST_NAME = 255
"""Maximum length of names in common file systems [bytes]."""


def _obstacle(path: Path) -> str:
    """Say what has the name of a file without being one."""
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        return ""
    if stat.S_ISLNK(mode):
        return f"{path} is a link to what is no file, or not there"
    return f"{path} is a folder" if stat.S_ISDIR(mode) else f"{path} is no plain file"


def _no_folder(folder: Path) -> str:
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            return f"{folder} is no folder"
    except (OSError, ValueError) as err:
        return f"{folder}: {getattr(err, 'strerror', err)}"
    return "" if os.access(folder, os.X_OK) else f"{folder} cannot be looked into"


def _state(
    name: str, cal_dict: Mapping[str, Any], places: _Places, *, is_made: bool
) -> FileState:
    state = _by_document(name, cal_dict, places, is_made=is_made)
    if state.path is None or state.state == "damaged":
        return state
    try:
        # Of a set, all its files.
        wrong = [text for path in files_of(state.path) for text in _by_itself(path)]
    except (FormatError, FileAccessError, MissingFileError) as err:
        return replace(state, state="damaged", why=str(err))
    if not wrong:
        return state
    log.warning("%s may be damaged: %s", state.path, "; ".join(wrong))
    return replace(state, why="; ".join(filter(None, [state.why, *wrong])))


def _by_itself(path: Path) -> list[str]:
    """List the HDUs whose data do not match the DATASUM of their header."""
    try:
        found = map_file(path, keep=True)
        _read_through(found.source)
        if not any(b"DATASUM =" in hdu.raw for hdu in found.hdus):
            return []
        return name_damage(path, examine(path))
    except ChecksumError:
        raise
    except FormatError as err:
        if is_fits(split_ext(path.name)[1]):
            raise
        # What does not say that it is FITS is another's business.
        log.debug("%s has no checksums of its own: %s", path, err)
        return []


def _read_through(source: Source) -> None:
    """Read a compressed file to its end, where its own checksum is."""
    if source.compression is not None:
        with source.open() as stream:
            while stream.read(_PIECE):
                pass


def _by_document(
    name: str, cal_dict: Mapping[str, Any], places: _Places, *, is_made: bool
) -> FileState:
    path = find_product(name, cal_dict) if is_made else None
    if path is None and not (is_made and cal_dict[CALIBRATIONS].get(name)):
        path = places.find(name)
    if path is None:
        why = _why_missing(name, cal_dict, places, is_made=is_made)
        return FileState(name=name, state="missing", why=why)
    checksum = next(_checksums(name, cal_dict), None)
    files = files_of(path)
    if checksum is None or files != [path]:
        why = "the document has no checksum of it"
        why += "" if files == [path] else f"; {len(files)} files"
        return FileState(name=name, state="there", path=path, why=why)
    try:
        if has_checksum(path, checksum):
            return FileState(name=name, state="ok", path=path)
    except (FileAccessError, ParameterError) as err:
        return FileState(name=name, state="damaged", path=path, why=str(err))
    why = f"its checksum is not {checksum}, as the document says"
    return FileState(name=name, state="damaged", path=path, why=why)


def _checksums(name: str, cal_dict: Mapping[str, Any]) -> Iterator[str]:
    checksums = cal_dict[CHECKSUMS]
    keys = (key for key in name_variants(name) if checksums.get(key))
    return (checksums[key] for key in keys)


def _why_missing(
    name: str, cal_dict: Mapping[str, Any], places: _Places, *, is_made: bool
) -> str:
    if not is_made:
        return places.why_not(name, places.of(name))
    frames = cal_dict[CALIBRATIONS].get(name)
    if frames:
        bad = bad_frames(cal_dict)
        said = "; ".join(f"{file}: {bad[frame_name(file)]}" for file in frames)
        return f"all its frames are marked bad ({said})"
    why = places.why_not(name, [*product_folders(cal_dict), *places.of(name)])
    empty = f"its list in {CALIBRATIONS!r} is empty, and it is "
    return why if frames is None else f"{empty}{why}"
