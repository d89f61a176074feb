"""Names of frames and products, as calibration documents use them."""

import functools
import os
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from ndmapper.data.filename import FileName
from ndmapper.data.fileset import FileSet
from ndmapper.data.name_pattern import parse_pattern
from ndmapper.errors import ParameterError
from ndmapper.io.filetypes import plain_ext, split_ext

__all__ = [
    "as_list",
    "file_name",
    "file_path",
    "frame_name",
    "known_key",
    "name_variants",
    "original_name",
    "plain_name",
    "product_name",
]

_COMPRESSIONS = ("gz", "bz2", "fz", "Z")


def file_path(file: Any) -> str:
    """Return the path of a file as it was given; ParameterError if it has none."""
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
    """Return the name of a file, without folder."""
    return PurePath(file_path(file)).name


def as_list(files: Any) -> list[Any]:
    """Return a list of one or several files; of a set, all that are in it."""
    # A DataFile is iterable too, but one file.
    is_one = isinstance(files, str | os.PathLike) or hasattr(files, "filename")
    every = [files] if is_one or not isinstance(files, Iterable) else files
    return [part for file in every for part in _parts(file)]


def _parts(file: Any) -> list[Any]:
    """List the files of a set, or of the pattern that names one."""
    if isinstance(file, FileSet):
        return list(file.members) if file.is_made else [file]
    is_path = isinstance(file, str | os.PathLike) and not hasattr(file, "filename")
    pattern = parse_pattern(file) if is_path else None
    names = [] if pattern is None else [name for _, name in pattern.files()]
    return names or [file]


def original_name(file: Any) -> str:
    """Return the name of the raw frame from which a file was made."""
    path = file_path(file)
    named = getattr(file, "filename", file)
    # A FileName knows its prefix, which a plain path does not.
    return str(FileName(named if isinstance(named, FileName) else path).orig)


def plain_name(name: str) -> str:
    """Return a file name without compression suffix."""
    stem, ext = split_ext(name)
    return stem if ext is None else f"{stem}.{plain_ext(ext)}"


def product_name(label: str) -> str:
    """Return the file name of the product with a label."""
    return label if split_ext(label)[1] is not None else f"{label}.fits"


@functools.lru_cache(maxsize=65536)
def frame_name(name: str) -> str:
    """Return the name that all copies of a frame share: no folder, no compression."""
    return plain_name(PurePath(name).name)


def name_variants(name: str) -> list[str]:
    """Return the names that a frame may have on disk or in a document."""
    plain = plain_name(name)
    return [name, plain, *(f"{plain}.{c}" for c in _COMPRESSIONS)]


def known_key(associations: Mapping[str, Any], name: str) -> str:
    """Return the key of a frame, which may be listed with another compression."""
    if name in associations:
        return name
    return next((v for v in name_variants(name) if v in associations), name)
