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
from ndmapper.calibrations.patterns import is_there
from ndmapper.calibrations.schema import FOLDERS
from ndmapper.documents import is_file
from ndmapper.errors import MissingFileError, NdmapperError, ParameterError
from ndmapper.io.filemap import map_file
from ndmapper.io.record import is_record

__all__ = [
    "check_given",
    "check_names",
    "find_frame",
    "is_same_frame",
    "moved_folders",
    "note_folders",
    "note_given",
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
        if not is_there(path):
            continue
        folders = cal_dict.setdefault(FOLDERS, {})
        name = frame_name(path.name)
        found = os.path.relpath(path.absolute().parent, base)
        known = folders.get(name)
        if known != found and (known is None or _is_known(path, cal_dict)):
            folders[name] = Path(found).as_posix()


def note_given(files: Iterable[str], cal_dict: dict[str, Any]) -> None:
    """Note the folders of frames that the user gives as paths."""
    paths = [path for path in map(Path, files) if is_file(path)]
    known = cal_dict.get(FOLDERS, {})
    paths = [p for p in paths if p.parts[:-1] or frame_name(p.name) not in known]
    note_folders((p for p in paths if not _is_product(p)), cal_dict)


def check_given(files: Iterable[str], cal_dict: Mapping[str, Any]) -> None:
    """
    Refuse files that are not the frames which the document knows by their names.

    Raises ParameterError if the document has another frame of the same name, which is
    still there.
    """
    for path in map(Path, files):
        if path.parts[:-1] and is_file(path):
            _is_known(path, cal_dict)


def _is_known(path: Path, cal_dict: Mapping[str, Any]) -> bool:
    """Refuse another frame of a known name; a product of that name is not the frame."""
    folder = noted_folder(path.name, cal_dict)
    if folder is None:
        return False
    document = getattr(cal_dict, "path", None)
    for other in _files(folder, path.name):
        if other.parent.absolute() == path.parent.absolute():
            return True
        if _is_product(path) != _is_product(other):
            return False
        where = "" if document is None else f" (known to {document})"
        _refuse_others(other, path, where)
    return True


def _is_product(path: Path) -> bool:
    try:
        return any(map(is_record, map_file(path, keep=True).hdus))
    except (NdmapperError, OSError):
        return False


def find_frame(file: str, cal_dict: Mapping[str, Any]) -> Path | None:
    """Return the path of a frame that the user names; None if it is not found."""
    path = Path(file)
    if path.parts[:-1]:
        return path if is_file(path) else None
    noted = noted_folder(path.name, cal_dict)
    document = getattr(cal_dict, "path", None)
    base = Path() if document is None else Path(document).parent
    others = [base / str(folder) for folder in cal_dict.get(FOLDERS, {}).values()]
    first = [] if noted is None else [noted]
    for folder in dict.fromkeys([*first, Path(), base, *others]):
        for found in _files(folder, path.name):
            return found
    return None


def moved_folders(cal_dict: Mapping[str, Any], path: Path) -> dict[str, str]:
    """Return the folders of frames relative to another folder of the document."""
    document = getattr(cal_dict, "path", None)
    old = Path.cwd() if document is None else Path(document).absolute().parent
    new = path.absolute().parent
    folders: dict[str, str] = dict(cal_dict.get(FOLDERS, {}))
    if old.resolve() != new.resolve():
        for name, folder in folders.items():
            if not Path(folder).is_absolute():
                moved = os.path.relpath(old / folder, new)
                folders[name] = Path(moved).as_posix()
    return folders


def noted_folder(name: str, cal_dict: Mapping[str, Any]) -> Path | None:
    """Return the folder of a frame that the document has."""
    folder = cal_dict.get(FOLDERS, {}).get(frame_name(name))
    if folder is None:
        return None
    document = getattr(cal_dict, "path", None)
    base = Path() if document is None else Path(document).parent
    return base / str(folder)


def noted_file(file: Path, cal_dict: dict[str, Any]) -> Path:
    """Return the path of a frame, or else its path in the noted folder."""
    folder = noted_folder(file.name, cal_dict)
    if folder is None or is_file(file):
        return file
    return next(iter(_files(folder, file.name)), file)


def _files(folder: Path, name: str) -> list[Path]:
    places = [folder / variant for variant in name_variants(name)]
    return [path for path in places if is_there(path)][:1]


def _refuse_others(known: Path, path: Path, where: str) -> None:
    if is_same_frame(known, path):
        return
    msg = (
        f"{known}{where} and {path} are two frames of one name, and calibrations are "
        "told by names; rename one, or look up each folder by itself, with a "
        "cache= of its own"
    )
    raise ParameterError(msg)
