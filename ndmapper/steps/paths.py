"""Paths as they are compared and recorded."""

import os
from pathlib import Path

__all__ = ["absolute"]


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
