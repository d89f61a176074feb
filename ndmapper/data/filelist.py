"""Text files with names of files."""

import os
from pathlib import Path

from ndmapper.errors import FileAccessError, MissingFileError

__all__ = ["load_file_list"]


def load_file_list(path: str | os.PathLike[str]) -> list[str]:
    """
    Read names of files from a text file.

    Parameters
    ----------
    path : str or path
        The text file, also in the style of IRAF with a leading ``@``. It has a name
        on each line; what follows a ``#`` is a comment.

    Returns
    -------
    list of str
        The names. One without folder that does not exist here, but beside the text
        file, gets the folder of the latter.

    Raises
    ------
    MissingFileError, FileAccessError
        If the text file cannot be read.
    """
    where = Path(os.fspath(path))
    if not where.exists() and str(where).startswith("@"):
        where = Path(str(where)[1:])
    try:
        lines = where.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as err:
        msg = f"the list of files {where} does not exist; check its name and folder"
        raise MissingFileError(msg) from err
    except (OSError, UnicodeDecodeError) as err:
        msg = f"the list of files {where} cannot be read ({err})"
        raise FileAccessError(msg) from err
    names = []
    for line in lines:
        name = line.partition("#")[0].strip()
        if name:
            beside = where.parent / name
            names.append(name if Path(name).exists() or not beside.exists()
                         else str(beside))  # fmt: skip
    return names
