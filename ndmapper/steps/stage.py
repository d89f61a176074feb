"""Sixth hop: a folder where products are written before anybody sees them."""

import os
import platform
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ndmapper.errors import FileAccessError

__all__ = ["stage"]


@contextmanager
def stage(outdir: Path) -> Iterator[Path]:
    """
    Make a folder for unfinished products, and remove it in the end.

    Parameters
    ----------
    outdir : Path
        The folder of the products; made where it is missing.

    Yields
    ------
    Path
        A new folder in ``outdir/.ndmapper/stage``, so that publishing is a rename
        within one file system.

    Raises
    ------
    FileAccessError
        If the folder cannot be written.
    """
    home = outdir / ".ndmapper" / "stage"
    folder = home / f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir(parents=True)
    except OSError as err:
        msg = (
            f"products cannot be written to {outdir.absolute()} ({err.strerror}); "
            "choose another folder with outdir, or run in one that you can write to"
        )
        raise FileAccessError(msg) from err
    _sweep(home)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for empty in (home, home.parent):
            try:
                empty.rmdir()
            except OSError:
                break  # others are at work, or there is side data


def _sweep(home: Path) -> None:
    """Remove what processes of this host left when they were killed."""
    for folder in home.glob(f"{platform.node()}-*-*"):
        pid = folder.name.rsplit("-", 2)[1]
        if pid.isdigit() and int(pid) != os.getpid() and not _alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's process
    return True
