"""
Side data, in the folder ``.ndmapper``, written without following links.

A folder with data may come from any source. A link in the place of ``.ndmapper``, or of
anything in it, would let a run write wherever the link leads.
"""

import errno
import os
import stat
from pathlib import Path

from ndmapper.errors import FileAccessError
from ndmapper.io.source import open_nonblocking

__all__ = ["SIDE", "linked_part", "make_side_folder", "read_side_data"]

SIDE = ".ndmapper"


def make_side_folder(path: Path) -> None:
    """
    Make the folder of a side-data file that is about to be written.

    A link, pipe or device in its place is an error.
    """
    if (link := linked_part(path)) is not None:
        err = FileAccessError(f"{link} is not written to: {_WHY}")
        err.strerror, err.filename = _WHY, str(link)
        raise err
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _check_is_file(path, path.stat().st_mode)
    except FileNotFoundError:
        return


def read_side_data(path: Path) -> bytes:
    """Read a side-data file; a pipe or device in its place is an error."""
    with open(path, "rb", opener=open_nonblocking) as stream:
        _check_is_file(path, os.fstat(stream.fileno()).st_mode)
        return stream.read()


def _check_is_file(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "it is a pipe or device, and no file", str(path))


_WHY = "it is a link, which is not followed to write; put a folder in its place"


def linked_part(path: Path) -> Path | None:
    """Return the first link from ``.ndmapper`` on in a path; None if there is none."""
    parts = [path, *path.parents]
    names = [part.name for part in parts]
    if SIDE not in names:
        return None
    inside = parts[: names.index(SIDE) + 1]
    return next((part for part in reversed(inside) if part.is_symlink()), None)
