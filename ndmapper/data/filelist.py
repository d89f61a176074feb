"""Text files with names of files."""

import os
from pathlib import Path

from ndmapper.errors import FileAccessError, FormatError, MissingFileError
from ndmapper.io.source import check_name

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
    FormatError
        If a line cannot be the name of a file.
    """
    check_name(path, MissingFileError)
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
    for number, line in enumerate(lines, 1):
        name = line.partition("#")[0].strip()
        if name:
            beside = where.parent / name
            try:
                is_here = Path(name).exists() or not beside.exists()
            except (OSError, ValueError) as err:
                msg = f"line {number} of {where} is no name of a file ({name[:60]!r})"
                raise FormatError(msg) from err
            names.append(name if is_here else str(beside))
    return names
