"""Make input files available to external programs, under safe names."""

import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy.typing as npt

from ndmapper.data import DataFile, PlainFile
from ndmapper.data.plainfile import write_file
from ndmapper.data.saving.save import write_datafile
from ndmapper.errors import MissingFileError, StepError
from ndmapper.io.filemap import map_file, padded
from ndmapper.io.filetypes import FITS_TYPES, split_ext
from ndmapper.io.hdu import array_header, encoded, stored_form
from ndmapper.io.headers import Header

__all__ = [
    "InputLinks",
    "PlainNames",
    "is_plain_file",
    "is_safe",
    "plain_root",
    "safe_name",
    "stage_file",
    "write_image",
]


_LONGEST = 80
"""Maximum length of a name."""


def plain_root(name: str) -> str:
    """
    Return a file name stem of letters, digits, ``_+-``, for the most restrictive
    programs.
    """
    stem, _ = split_ext(Path(name).name)
    plain = re.sub(r"[^A-Za-z0-9_+-]+", "_", stem).strip("_")[:_LONGEST]
    if len(plain) < 2 or not plain[0].isalpha():
        plain = f"f_{plain}".rstrip("_")
    return plain if len(plain) > 1 else "file"


class PlainNames:
    """Unique plain file names in one folder."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, name: str, tail: str = "", ext: str = ".fits") -> str:
        """Return a name that is unique even without its file type."""
        root = plain_root(name) + re.sub(r"[^A-Za-z0-9_+-]+", "_", tail)
        found, count = root, 1
        # Some file systems are case-insensitive.
        while found.lower() in self._taken:
            count += 1
            found = f"{root}_n{count}"
        self._taken.add(found.lower())
        return found + ext


def is_plain_file(df: DataFile) -> bool:
    """Whether any program can read the file on disk as it is."""
    if df.filename is None or (df.filename.ext or "").lower() not in FITS_TYPES:
        return False
    return df.unloaded and not any(hdu.is_tiled for hdu in map_file(df.filename).hdus)


def stage_file(df: DataFile, path: Path, *, link: bool) -> None:
    """Link, copy or write a whole file under another name."""
    if is_plain_file(df):
        source = Path(os.path.abspath(df))  # noqa: PTH100  # links are followed once
        if link:
            path.symlink_to(source)
        else:
            shutil.copyfile(source, path)
        return
    write_datafile(_uncompressed(df), path)


def _uncompressed(df: DataFile) -> DataFile:
    """Decompress tile-compressed images, which a copy would keep."""
    if df.filename is None or not Path(df.filename).exists():
        return df
    if not any(hdu.is_tiled for hdu in map_file(df.filename).hdus):
        return df
    plain = DataFile(data=df)
    for index, ndd in enumerate(df):
        read = ndd.copy()
        plain[index] = ndd.replace(
            data=read.data, variance=read.variance, flags=read.flags
        )
    for name, extra in df.extras.items():
        plain.extras[name] = extra.replace(data=extra.copy().data)
    return plain


def write_image(path: Path, header: Header, array: npt.NDArray[Any]) -> None:
    """Write a FITS file of one image, without fsync."""
    form = stored_form(array)
    with path.open("xb") as stream:
        stream.write(array_header(header, form, primary=True))
        stream.write(encoded(array.reshape(-1), form).data)
        stream.write(b"\0" * (padded(array.nbytes) - array.nbytes))


_SAFE = re.compile(r"/[A-Za-z0-9_./:=,@%~+-]*")
_LONGEST_NAME = 120


def is_safe(path: str | os.PathLike[str]) -> bool:
    """Whether a path has no characters that a program may interpret."""
    return _SAFE.fullmatch(os.fspath(path)) is not None


def safe_name(name: str, taken: Collection[str] = ()) -> str:
    """Return a unique file name without characters that a program may interpret."""
    plain = re.sub(r"[^A-Za-z0-9_.:=,@%~+-]", "_", Path(name).name)[-_LONGEST_NAME:]
    plain = re.sub(r"^(?![A-Za-z0-9_])", "_", plain)
    found, count = plain, 1
    while found in taken:
        count += 1
        found = f"{count}_{plain}"
    return found


class InputLinks:
    """Folder of input files for a program, linked or written under safe names."""

    def __init__(
        self, folder: Path, *, always: bool = False, bare: bool = False
    ) -> None:
        self.folder = folder
        self.always = always
        self.bare = bare
        self._taken: set[str] = set()

    def path(self, df: DataFile) -> Path:
        """Return the path that a file will have, without touching anything."""
        own = _own_path(df)
        if own is not None and not self.always and is_safe(own) and _is_on_disk(df):
            return own
        name = safe_name(str(df.filename or "memory.fits"), self._taken)
        self._taken.add(name)
        return self.folder / name

    def provide(self, df: DataFile) -> Path:
        """Link or write a file; return its path."""
        path = self.path(df)
        own = _own_path(df)
        if _is_on_disk(df) and own is not None and not own.exists():
            msg = f"{own} does not exist any more; make or fetch it again"
            raise MissingFileError(msg)
        if path == own:
            return path
        self.folder.mkdir(exist_ok=True)
        if self.bare and not isinstance(df, PlainFile) and df.record:
            write_datafile(df, path, rows=[])
        elif _is_on_disk(df) and own is not None:
            path.symlink_to(own)
        else:
            write_file(df, path)
        return path

    def link(self, path: Path) -> Path:
        """Link a file that is no DataFile."""
        if is_safe(path):
            return path
        name = safe_name(path.name, self._taken)
        self._taken.add(name)
        self.folder.mkdir(exist_ok=True)
        link = self.folder / name
        try:
            link.symlink_to(path)
        except OSError as err:
            msg = f"{path} cannot be linked to {link}: {err.strerror}"
            raise StepError(msg) from err
        return link


def _own_path(df: DataFile) -> Path | None:
    if df.filename is None:
        return None
    return Path(os.path.abspath(df))  # noqa: PTH100  # links keep their names


def _is_on_disk(df: DataFile) -> bool:
    # A planned file is shown as if it existed.
    return not df.is_made or df.unloaded
