"""Names of frames, as calibration documents speak of them."""

import functools
import os
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from ndmapper.data.filename import FileName
from ndmapper.errors import ParameterError
from ndmapper.io.filetypes import plain_ext, split_ext

__all__ = [
    "file_name",
    "file_path",
    "frame_name",
    "name_variants",
    "original_name",
    "plain_name",
    "product_name",
    "several",
]

_COMPRESSIONS = ("gz", "bz2", "fz", "Z")


def file_path(file: Any) -> str:
    """
    Give the path of a file, as it was named.

    Raises ParameterError if it has no name, or is no file at all.
    """
    try:
        path = os.fspath(getattr(file, "filename", file) or "")
    except TypeError:
        path = None
    if not isinstance(path, str):
        msg = f"expected the name of a file, or a DataFile, but found {file!r}"
        raise ParameterError(msg)
    if not path:
        msg = (
            f"{file!r} has no file name, by which calibrations are told; save it "
            "under one first"
        )
        raise ParameterError(msg)
    return path


def file_name(file: Any) -> str:
    """
    Give the name of a file, without its folder.

    Raises ParameterError if it has no name.
    """
    return PurePath(file_path(file)).name


def several(files: Any) -> list[Any]:
    """Bring one file, or several, into one form."""
    # A DataFile is a list too, but of extensions.
    is_one = isinstance(files, str | os.PathLike) or hasattr(files, "filename")
    return [files] if is_one or not isinstance(files, Iterable) else list(files)


def original_name(file: Any) -> str:
    """
    Give the name of the raw frame that a file was made from.

    Raises ParameterError if it has no name.
    """
    path = file_path(file)
    named = getattr(file, "filename", file)
    # A FileName remembers what is a prefix, which the bare path has lost.
    return str(FileName(named if isinstance(named, FileName) else path).orig)


def plain_name(name: str) -> str:
    """Give a file name without its compression."""
    stem, ext = split_ext(name)
    return stem if ext is None else f"{stem}.{plain_ext(ext)}"


def product_name(label: str) -> str:
    """Give the file name of the product that a label stands for."""
    return label if split_ext(label)[1] is not None else f"{label}.fits"


@functools.lru_cache(maxsize=65536)
def frame_name(name: str) -> str:
    """Give what two names of one frame have in common."""
    return plain_name(PurePath(name).name)


def name_variants(name: str) -> list[str]:
    """List the names that a frame may have on disk or in a document."""
    plain = plain_name(name)
    return [name, plain, *(f"{plain}.{c}" for c in _COMPRESSIONS)]
