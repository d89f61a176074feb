"""
The calibration document: an editable JSON file, and its dict in memory.

It has three maps, besides those described in `calibrations.provenance`.
``associations`` maps each frame and type to a calibration; null means that a look-up
found none, or that the user wants none. ``calibrations`` lists the raw frames of each
calibration. ``checksums`` has the known checksums of raw frames. Other keys are kept.

The user may edit the file at any time. Saving is therefore a three-way merge, in which
changes made on disk since the file was read win. A malformed file is never overwritten.
"""

import contextlib
import copy
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from ndmapper.calibrations.folders import moved_folders
from ndmapper.calibrations.json_text import JsonError, parse_json
from ndmapper.calibrations.merge import in_order, merged_document
from ndmapper.calibrations.schema import FOLDERS, MAPS, check_document, document_error
from ndmapper.errors import FileAccessError
from ndmapper.io.sidedata import make_side_folder
from ndmapper.io.source import check_name
from ndmapper.io.temporary import staging_name, sweep

__all__ = [
    "CalibrationDict",
    "init_cal_dict",
    "save_cal_dict",
]

_BYTES = re.compile("[\ud800-\udfff]")


class CalibrationDict(dict[str, Any]):
    """A calibration document in memory, which remembers the file it was read from."""

    path: Path | None
    base: dict[str, Any] | None
    targets: set[str]
    folders: list[Path]

    def __init__(self, content: Mapping[str, Any], path: Path | None = None) -> None:
        super().__init__(content)
        self.path = path
        # Base of the three-way merge: what differs from it on disk at the next save was
        # changed by another program or the user.
        self.base = copy.deepcopy(dict(content)) if path is not None else None
        # Science targets of this run, which are calibrated for their own sake.
        self.targets = set()
        # Folders of the frames of this run, where processed calibrations may be as
        # well.
        self.folders = []

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self.path, self.base, set(self.targets), list(self.folders))
        return _restored, (dict(self), *state)


def _restored(
    content: dict[str, Any],
    path: Path | None,
    base: dict[str, Any] | None,
    targets: set[str],
    folders: list[Path],
) -> CalibrationDict:
    cal_dict = CalibrationDict(content, path)
    cal_dict.base, cal_dict.targets, cal_dict.folders = base, targets, folders
    return cal_dict


def init_cal_dict(filename: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """
    Read a calibration document, or begin a new one.

    Parameters
    ----------
    filename : str or path, optional
        The JSON file, which need not exist.

    Returns
    -------
    dict
        Its ``associations``, ``calibrations`` and ``checksums`` (empty if the file does
        not exist), and other content of the file.

    Raises
    ------
    CalibrationDocumentError
        If the file is malformed, with JSON path and line.
    FileAccessError
        If the file cannot be read.
    """
    if filename is None:
        return CalibrationDict(_completed({}))
    path = Path(filename)
    found = _read(path)
    return CalibrationDict(_completed(found or {}), path)


def save_cal_dict(cal_dict: dict[str, Any], filename: str | os.PathLike[str]) -> None:
    """
    Save a calibration document.

    Changes made in the file since the document was read are merged into the document
    first. If nothing has changed, the file is not touched. If the document was not read
    from this file, the old content is kept as a backup with ``.bak`` (``.bak1``, ...)
    appended to the name. The folders of frames, which are relative to that of the
    document, are adapted to its new folder.

    New entries are sorted by name; if the file has another order, they are appended.

    Parameters
    ----------
    cal_dict : dict
        The document.
    filename : str or path
        The JSON file; its folder must exist.

    Raises
    ------
    CalibrationDocumentError
        If the document or the file is malformed. The file is not changed.
    FileAccessError
        If the file cannot be written. The old file is kept.
    """
    path = Path(filename)
    check_document(cal_dict)
    if isinstance(cal_dict, CalibrationDict) and cal_dict.get(FOLDERS):
        moved = moved_folders(cal_dict, path)
        if moved != cal_dict[FOLDERS]:
            cal_dict[FOLDERS] = moved
    on_disk = _read(path)
    if on_disk is not None and _same(on_disk, cal_dict):
        _remember(cal_dict, path, on_disk)
        return
    with _locked(path):
        on_disk = _read(path)
        base = ordered = getattr(cal_dict, "base", None)
        if not _is_same_file(getattr(cal_dict, "path", None), path):
            base = None
        if on_disk is not None and base is not None:
            result = merged_document(base, cal_dict, _completed(on_disk))
            ordered = on_disk
        else:
            result = dict(cal_dict)
        result = in_order(result, ordered or {})
        if not _same(on_disk, result):
            if on_disk is not None and base is None:
                _back_up(path)
            _write(path, _text(result).encode())
    if result != cal_dict:
        cal_dict.clear()
        cal_dict.update(copy.deepcopy(result))
    _remember(cal_dict, path, result)


def _read(path: Path) -> dict[str, Any] | None:
    """Read and validate a file; None if it does not exist."""
    check_name(path)
    try:
        # Some editors add a byte order mark.
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except OSError as err:
        msg = f"the calibration document {path} cannot be read ({err.strerror})"
        raise FileAccessError(msg) from err
    except UnicodeDecodeError as err:
        problem = JsonError((), f"expected UTF-8 text, but byte {err.start} is not")
        raise document_error(str(path), problem, None) from err
    try:
        document = parse_json(text)
    except JsonError as problem:
        raise document_error(str(path), problem, problem.line) from None
    check_document(document, text, str(path))
    return dict(document)


def _completed(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {} for name in MAPS if name not in document} | dict(document)


def _same(a: Mapping[str, Any] | None, b: Mapping[str, Any]) -> bool:
    """Compare as JSON: 1 and true differ, the order of keys does not matter."""
    if a is None:
        return False
    texts = (json.dumps(_completed(x), sort_keys=True) for x in (a, b))
    return next(texts) == next(texts)


def _text(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, indent=4, ensure_ascii=False) + "\n"
    # Bytes of file names that are no text are written as JSON itself can.
    return _BYTES.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _remember(cal_dict: dict[str, Any], path: Path, content: dict[str, Any]) -> None:
    if isinstance(cal_dict, CalibrationDict):
        cal_dict.path = path
        # Not the document in memory, which may have another order.
        cal_dict.base = copy.deepcopy(_completed(content))


def _is_same_file(a: Path | None, b: Path) -> bool:
    return a is not None and a.absolute() == b.absolute()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a file lock between reading a file and replacing it."""
    folder = path.parent / ".ndmapper"
    try:
        path.parent.stat()  # an error if missing: the name may be mistyped
        make_side_folder(folder / f"{path.name}.lock")
        lock = FileLock(folder / f"{path.name}.lock")
        lock.acquire()
    except OSError as err:
        raise _cannot_write(path, err) from err
    try:
        yield
    finally:
        lock.release()


def _back_up(path: Path) -> None:
    """Copy a file beside it, unless an identical backup exists."""
    content = path.read_bytes()
    for number in itertools.count():
        backup = path.with_name(f"{path.name}.bak{number or ''}")
        try:
            if backup.read_bytes() == content:
                return
        except FileNotFoundError:
            _write(backup, content)
            return
        except (IsADirectoryError, PermissionError):
            continue  # not comparable; try the next number
        except OSError as err:
            raise _cannot_write(backup, err) from err


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically; a symbolic link is followed."""
    target = Path(os.path.realpath(path))
    temporary = staging_name(target)
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileNotFoundError):
            temporary.chmod(target.stat().st_mode & 0o7777)
        temporary.replace(target)
        sweep(target.parent)
    except OSError as err:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise _cannot_write(path, err) from err


def _cannot_write(path: Path, err: OSError) -> FileAccessError:
    msg = (
        f"the calibration document {path} cannot be written ({err.strerror}); "
        "is its folder there and writable? The file is as it was"
    )
    return FileAccessError(msg)
