"""Names of frames, as calibration documents speak of them."""

import os
from pathlib import PurePath
from typing import Any

from ndmapper.data.filename import FileName
from ndmapper.io.filetypes import plain_ext, split_ext

__all__ = ["file_name", "frame_name", "name_variants", "original_name", "plain_name"]

_COMPRESSIONS = ("gz", "bz2", "fz", "Z")


def file_name(file: Any) -> str:
    """
    Give the name of a file, without its folder.

    Parameters
    ----------
    file : str, path, FileName or DataFile
        The file.

    Returns
    -------
    str
        Its name, as written.
    """
    named = getattr(file, "filename", file)
    return PurePath(os.fspath(named)).name


def original_name(file: Any) -> str:
    """
    Give the name of the raw frame that a file was made from.

    Parameters
    ----------
    file : str, path, FileName or DataFile
        The file.

    Returns
    -------
    str
        Its name without folder, prefix and suffixes (`FileName.orig`).
    """
    return str(FileName(getattr(file, "filename", None) or file).orig)


def plain_name(name: str) -> str:
    """
    Give a file name without its compression.

    Parameters
    ----------
    name : str
        For instance ``"b27.fits.gz"``.

    Returns
    -------
    str
        For instance ``"b27.fits"``.
    """
    stem, ext = split_ext(name)
    return stem if ext is None else f"{stem}.{plain_ext(ext)}"


def frame_name(name: str) -> str:
    """
    Give what two names of one frame have in common.

    Parameters
    ----------
    name : str
        Name of a file, with or without folder and compression.

    Returns
    -------
    str
        The name without either.
    """
    return plain_name(PurePath(name).name)


def name_variants(name: str) -> list[str]:
    """
    List the names that a frame may have on disk or in a document.

    Parameters
    ----------
    name : str
        Name of a file.

    Returns
    -------
    list of str
        The name itself, then without compression, then with others.
    """
    plain = plain_name(name)
    return [name, plain, *(f"{plain}.{c}" for c in _COMPRESSIONS)]
