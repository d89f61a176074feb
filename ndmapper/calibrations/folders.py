"""
Folders of the frames of a calibration document, which are known by name only.

The map ``folders`` has the folder of each local frame, relative to the document, so
that a second frame of the same name is refused: it would get the calibrations of the
first.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ndmapper.calibrations.copies import holds_same_pixels
from ndmapper.calibrations.frames import read_frame
from ndmapper.calibrations.names import frame_name, name_variants
from ndmapper.calibrations.schema import FOLDERS
from ndmapper.documents import is_file
from ndmapper.errors import MissingFileError, ParameterError

__all__ = [
    "check_names",
    "is_same_frame",
    "note_folders",
    "noted_file",
    "noted_folder",
]


def is_same_frame(one: Path, other: Path) -> bool:
    """Whether two files hold the same exposure."""
    try:
        if one.samefile(other):
            return True
        times = [read_frame(path).values.get("time") for path in (one, other)]
    except (MissingFileError, OSError):
        return False
    return times[0] == times[1] and holds_same_pixels(one, other)


def check_names(paths: Iterable[Path]) -> None:
    """Raise ParameterError if two different exposures have the same name."""
    seen: dict[str, Path] = {}
    for path in paths:
        known = seen.setdefault(frame_name(path.name), path)
        if known != path and known.parent != path.parent:
            _refuse_others(known, path, "")


def note_folders(paths: Iterable[Path], cal_dict: dict[str, Any]) -> None:
    """Note the folders of frames."""
    document = getattr(cal_dict, "path", None)
    base = Path.cwd() if document is None else Path(document).absolute().parent
    for path in paths:
        if not is_file(path):
            continue
        folders = cal_dict.setdefault(FOLDERS, {})
        name = frame_name(path.name)
        found = os.path.relpath(path.absolute().parent, base)
        if (known := folders.get(name)) == found:
            continue
        for other in _files(base / known, path.name) if known else ():
            where = "" if document is None else f" (known to {document})"
            _refuse_others(other, path, where)
        folders[name] = Path(found).as_posix()


def noted_folder(name: str, cal_dict: Mapping[str, Any]) -> Path | None:
    """Give the folder in which a frame lay, as the document says."""
    folder = cal_dict.get(FOLDERS, {}).get(frame_name(name))
    if folder is None:
        return None
    document = getattr(cal_dict, "path", None)
    base = Path() if document is None else Path(document).parent
    return base / str(folder)


def noted_file(file: Path, cal_dict: dict[str, Any]) -> Path:
    """Give the file of a frame, which may lie where the document says that it lay."""
    folder = noted_folder(file.name, cal_dict)
    if folder is None or is_file(file):
        return file
    return next(iter(_files(folder, file.name)), file)


def _files(folder: Path, name: str) -> list[Path]:
    places = [folder / variant for variant in name_variants(name)]
    return [path for path in places if is_file(path)][:1]


def _refuse_others(known: Path, path: Path, where: str) -> None:
    if is_same_frame(known, path):
        return
    msg = (
        f"{known}{where} and {path} are two frames of one name, and calibrations are "
        "told by names; rename one, or look up each folder by itself, with a "
        "cache= of its own"
    )
    raise ParameterError(msg)
