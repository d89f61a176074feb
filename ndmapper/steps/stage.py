"""Sixth hop: a folder where products are written before anybody sees them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ndmapper.errors import FileAccessError
from ndmapper.io.sidedata import make_side_folder
from ndmapper.io.temporary import staging_mark, sweep

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
    folder = home / staging_mark()
    try:
        make_side_folder(folder)
        folder.mkdir()
    except OSError as err:
        msg = (
            f"products cannot be written to {outdir.absolute()} ({err.strerror}: "
            f"{err.filename}); choose another folder with outdir, or run in one that "
            "you can write to"
        )
        raise FileAccessError(msg) from err
    sweep(home)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
