"""Absolute paths, and the stamp that tells if a file was changed."""

import errno
import os
from pathlib import Path

from ndmapper.errors import FileAccessError

__all__ = ["Stamp", "absolute", "stamp_of"]

Stamp = tuple[int, int, int]
"""Size, time and number of a file: another one after every change."""


def absolute(name: str | os.PathLike[str]) -> Path:
    """Give the absolute path of a file, without following links."""
    return Path(os.path.abspath(name))  # noqa: PTH100  # Path.absolute keeps '..'


def stamp_of(path: Path) -> Stamp | None:
    """
    Give size, time of change and inode of a file; None where there is none.

    Raises
    ------
    FileAccessError
        If no file can have that name.
    """
    try:
        found = path.stat()
    except ValueError as err:  # a NUL, or what the file system cannot encode
        msg = f"no file can be called {str(path)!r} ({err}); give another name"
        raise FileAccessError(msg) from err
    except OSError as err:
        if err.errno == errno.ENAMETOOLONG:
            msg = f"the name {path} is too long for a file here; give a shorter one"
            raise FileAccessError(msg) from err
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino
