"""The IFUs of MUSE: how they are named, and where their files are."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from ndmapper.errors import (
    FileAccessError,
    FormatError,
    MissingFileError,
    MissingMemberError,
    did_you_mean,
)
from ndmapper.io.filetypes import is_fits, split_ext

__all__ = ["IFUS", "find_files", "ifu_name", "ifu_number", "ifu_of"]

IFUS = range(1, 25)
"""Their numbers."""

_NAME = re.compile(r"CHAN(\d\d)", re.ASCII)
_NUMBERED = re.compile(r"(.+)[-_](\d\d)", re.ASCII)


def ifu_name(ifu: int) -> str:
    """Name an IFU as the pipeline does: ``"CHAN07"``."""
    return f"CHAN{ifu:02d}"


def ifu_of(name: Any) -> int | None:
    """Read the number from the name of an IFU; None for anything else."""
    found = _NAME.fullmatch(str(name).strip().upper())
    number = 0 if found is None else int(found[1])
    return number if number in IFUS else None


def ifu_number(key: Any) -> int:
    """Return the number of an IFU, given as a number or as ``"CHAN07"``; check it."""
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        number = int(key) if int(key) in IFUS else None
    elif isinstance(key, str):
        number = ifu_of(key)
    else:
        msg = f"an IFU is given by its number from 1 to 24, not by {key!r}"
        raise TypeError(msg)
    if number is None:
        msg = f"MUSE has the IFUs 1 to 24 (CHAN01 to CHAN24), and no {key!r}"
        raise MissingMemberError(msg)
    return number


def find_files(kind: str, where: str | os.PathLike[str]) -> dict[Path, int | None]:
    """Find the files of one type, with the IFU that their names tell, if they do."""
    where = Path(where)
    if where.is_file():
        return {where: None}
    found: dict[Path, int | None] = {}
    others = set()
    for name in _names_in(where):
        stem, ext = split_ext(name)
        if not is_fits(ext):
            continue
        numbered = _NUMBERED.fullmatch(stem)
        if stem == kind:
            found[where / name] = None
        elif numbered and int(numbered[2]) in IFUS:
            if numbered[1] == kind:
                found[where / name] = int(numbered[2])
            others.add(numbered[1])
        else:
            others.add(stem)
    if not found:
        msg = (
            f"{where} has no {kind}-NN.fits, {kind}_NN.fits or {kind}.fits"
            f"{did_you_mean(kind, others)}"
        )
        raise MissingFileError(msg)
    return dict(sorted(found.items(), key=lambda item: (item[1] or 0, item[0])))


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    except FileNotFoundError as err:
        msg = f"the folder {folder} does not exist; check its name"
        raise MissingFileError(msg) from err
    except NotADirectoryError as err:
        msg = f"{folder} is neither a folder nor a file"
        raise FormatError(msg) from err
    except OSError as err:
        msg = f"the folder {folder} cannot be read ({err.strerror or err})"
        raise FileAccessError(msg) from err
