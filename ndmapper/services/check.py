"""Check that the files of a calibration document exist and are intact."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ndmapper.calibrations.names import name_variants
from ndmapper.calibrations.products import find_product
from ndmapper.calibrations.schema import CHECKSUMS
from ndmapper.calibrations.tree import Branch, cal_tree
from ndmapper.errors import (
    ChecksumError,
    FileAccessError,
    FormatError,
    ParameterError,
)
from ndmapper.io.digest import examine, name_damage
from ndmapper.io.filemap import map_file
from ndmapper.services.transfer.checksum import has_checksum

__all__ = ["FileState", "check_cal_files"]


log = logging.getLogger(__name__)


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
    cal_dict: Mapping[str, Any], keys: Iterable[str], folders: Sequence[Path]
) -> list[FileState]:
    """Check the files of the calibrations of frames, recursively."""
    found: dict[str, FileState] = {}

    def visit(branch: Branch) -> None:
        names = branch.frames or (branch.name,)
        is_made = branch.cal_type is not None and not branch.frames
        for name in names:
            if name not in found and name != "none":
                found[name] = _state(name, cal_dict, folders, is_made=is_made)
        for below in branch.branches:
            visit(below)

    for top in cal_tree(cal_dict, keys):
        visit(top)
    return list(found.values())


def _state(
    name: str, cal_dict: Mapping[str, Any], folders: Sequence[Path], *, is_made: bool
) -> FileState:
    state = _by_document(name, cal_dict, folders, is_made=is_made)
    if state.path is None or state.state == "damaged":
        return state
    try:
        wrong = _by_itself(state.path)
    except (ChecksumError, FileAccessError) as err:
        return replace(state, state="damaged", why=str(err))
    if not wrong:
        return state
    log.warning("%s may be damaged: %s", state.path, "; ".join(wrong))
    return replace(state, why="; ".join(filter(None, [state.why, *wrong])))


def _by_itself(path: Path) -> list[str]:
    """List the HDUs whose data do not match the DATASUM of their header."""
    try:
        if not any(b"DATASUM =" in hdu.raw for hdu in map_file(path, keep=True).hdus):
            return []
        return name_damage(path, examine(path))
    except ChecksumError:
        raise
    except FormatError as err:  # not FITS: nothing to verify
        log.debug("%s has no checksums of its own: %s", path, err)
        return []


def _by_document(
    name: str, cal_dict: Mapping[str, Any], folders: Sequence[Path], *, is_made: bool
) -> FileState:
    path = find_product(name, cal_dict) if is_made else None
    if path is None:
        places = (d / variant for d in folders for variant in name_variants(name))
        path = next((place for place in places if place.is_file()), None)
    if path is None:
        where = ", ".join(str(folder) for folder in folders)
        return FileState(name=name, state="missing", why=f"not in {where}")
    checksums = cal_dict[CHECKSUMS]
    keys = (key for key in name_variants(name) if checksums.get(key))
    checksum = next((checksums[key] for key in keys), None)
    if checksum is None:
        why = "the document has no checksum of it"
        return FileState(name=name, state="there", path=path, why=why)
    try:
        if has_checksum(path, checksum):
            return FileState(name=name, state="ok", path=path)
    except (FileAccessError, ParameterError) as err:
        return FileState(name=name, state="damaged", path=path, why=str(err))
    why = f"its checksum is not {checksum}, as the document says"
    return FileState(name=name, state="damaged", path=path, why=why)
