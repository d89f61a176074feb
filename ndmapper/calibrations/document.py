"""
The calibration document: an editable JSON file, and the dict that a script holds.

It has three maps, beside which there may be those that `calibrations.provenance`
describes. ``associations`` says which calibration a frame uses, by type;
null means that it was looked up and none was found, or that the user wants none.
``calibrations`` says of which raw frames a calibration is made. ``checksums`` has the
checksums of raw frames, where they are known. Other keys are kept.

The user may edit the file at any time, so a save never simply writes what is in
memory: what changed on disk since it was read wins. A malformed file is never
replaced.
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
from ndmapper.calibrations.merge import merged_document
from ndmapper.calibrations.order import in_order
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
    """
    A calibration document in memory: a dict that knows which file it came from.

    Parameters
    ----------
    content : mapping
        The three maps, and whatever else the file has.
    path : Path or None
        The file that it was read from or last saved to.
    """

    path: Path | None
    base: dict[str, Any] | None
    targets: set[str]
    folders: list[Path]

    def __init__(self, content: Mapping[str, Any], path: Path | None = None) -> None:
        super().__init__(content)
        self.path = path
        # What was in the file when it was last seen: what differs from it there at
        # the next save was done by somebody else.
        self.base = copy.deepcopy(dict(content)) if path is not None else None
        # Frames that are calibrated for their own sake, as far as this run knows.
        self.targets = set()
        # Where the frames of this run are: calibrations that are made already may lie
        # beside them.
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
        The JSON file. It need not exist yet.

    Returns
    -------
    dict
        Its ``associations``, ``calibrations`` and ``checksums`` (empty where the
        file is missing), and whatever else it holds.

    Raises
    ------
    CalibrationDocumentError
        If the file is malformed; says at which JSON path and line.
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

    Whatever somebody changed in the file since the document was read from it is kept,
    and goes into the document as well. If there is nothing to change, the file is not
    touched. A document that did not come from this file replaces it; what it held is
    then kept beside it, with ``.bak`` added to the name, or ``.bak1`` and so on where
    there is such a file. The folders of frames, which a document has relative to its
    own, follow it into another folder.

    New entries are sorted by name, unless the file has another order: that is kept,
    and they come at the end.

    Parameters
    ----------
    cal_dict : dict
        The document.
    filename : str or path
        The JSON file; its folder must exist.

    Raises
    ------
    CalibrationDocumentError
        If the document, or what is in the file, is malformed. The file stays as it
        is.
    FileAccessError
        If the file cannot be written; the old one stays.
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
    """Read and check a file; None where there is none."""
    check_name(path)
    try:
        # A byte order mark, which some editors add, is no part of the text.
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
    """Compare as JSON, in which 1 and true differ but the order of keys is nothing."""
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
        # Not what is in memory, since that may be in another order.
        cal_dict.base = copy.deepcopy(_completed(content))


def _is_same_file(a: Path | None, b: Path) -> bool:
    return a is not None and a.absolute() == b.absolute()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other runs out between reading a file and replacing it."""
    folder = path.parent / ".ndmapper"
    try:
        path.parent.stat()  # which is not made here: its name may be a slip
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
    """Keep what a file holds, beside it, unless a backup has that already."""
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
            continue  # nothing that may be compared or replaced
        except OSError as err:
            raise _cannot_write(backup, err) from err


def _write(path: Path, content: bytes) -> None:
    """Write a file whole, or not at all; a link stays a link."""
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
