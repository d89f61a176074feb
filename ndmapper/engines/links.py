"""Files that a program may read, under names that cannot be anything but names."""

import os
import re
from collections.abc import Collection
from pathlib import Path

from ndmapper.data import DataFile
from ndmapper.data.saving.save import write_datafile
from ndmapper.errors import MissingFileError, StepError

__all__ = ["Hand", "is_safe", "safe_name"]

_SAFE = re.compile(r"/[A-Za-z0-9_./:=,@%~+-]*")
_LONGEST = 120


def is_safe(path: str | os.PathLike[str]) -> bool:
    """Say whether a path can be mistaken for nothing else by any program."""
    return _SAFE.fullmatch(os.fspath(path)) is not None


def safe_name(name: str, taken: Collection[str] = ()) -> str:
    """Make a file name that no program can mistake for something else."""
    plain = re.sub(r"[^A-Za-z0-9_.:=,@%~+-]", "_", Path(name).name)[-_LONGEST:]
    plain = re.sub(r"^(?![A-Za-z0-9_])", "_", plain)
    found, count = plain, 1
    while found in taken:
        count += 1
        found = f"{count}_{plain}"
    return found


class Hand:
    """Hands files to a program that runs in a folder of its own."""

    def __init__(
        self, folder: Path, *, always: bool = False, bare: bool = False
    ) -> None:
        self.folder = folder
        self.always = always
        self.bare = bare
        self._taken: set[str] = set()

    def path(self, df: DataFile) -> Path:
        """Say under which path a file will be found, without touching anything."""
        own = _own_path(df)
        if own is not None and not self.always and is_safe(own) and _is_on_disk(df):
            return own
        name = safe_name(str(df.filename or "memory.fits"), self._taken)
        self._taken.add(name)
        return self.folder / name

    def give(self, df: DataFile) -> Path:
        """
        Make a file available.

        Raises MissingFileError if it is not there any more.
        """
        path = self.path(df)
        own = _own_path(df)
        if _is_on_disk(df) and own is not None and not own.exists():
            msg = f"{own} does not exist any more; make or fetch it again"
            raise MissingFileError(msg)
        if path == own:
            return path
        self.folder.mkdir(exist_ok=True)
        if self.bare and df.record:
            write_datafile(df, path, rows=[])
        elif _is_on_disk(df) and own is not None:
            path.symlink_to(own)
        else:
            write_datafile(df, path)
        return path

    def link(self, path: Path) -> Path:
        """Make a file available that is no DataFile."""
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
    # A file that is only planned is shown as if it were there.
    return not df.is_made or df.unloaded
