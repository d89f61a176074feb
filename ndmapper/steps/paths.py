"""Paths as they are compared and recorded."""

import os
from pathlib import Path

__all__ = ["Stamp", "absolute", "stamp_of"]

Stamp = tuple[int, int, int]
"""Size, time and number of a file: another one after every change."""


def absolute(name: str | os.PathLike[str]) -> Path:
    """
    Give the absolute path of a file, without following links.

    Parameters
    ----------
    name : str or path-like
        Its name.

    Returns
    -------
    Path
        The path, with ``..`` taken out.
    """
    return Path(os.path.abspath(name))  # noqa: PTH100  # Path.absolute keeps '..'


def stamp_of(path: Path) -> Stamp | None:
    """
    Note which file lies in a place.

    Parameters
    ----------
    path : Path
        The place.

    Returns
    -------
    tuple of int or None
        Another one after every change of the file; None where there is none.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino
