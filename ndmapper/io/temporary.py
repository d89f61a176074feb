"""
Unfinished files and folders: their names, and what killed processes left of them.

A name contains the process and the host that made it, so that a later process can tell
what was abandoned.
"""

import contextlib
import functools
import hashlib
import logging
import os
import platform
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ndmapper.io.sidedata import linked_part

__all__ = [
    "final_name",
    "make_scratch_folder",
    "scratch_folder",
    "staging_mark",
    "staging_name",
    "sweep",
    "sweep_side_data",
]

log = logging.getLogger(__name__)

_NAME = re.compile(r"\.?ndm-(\d+)-([0-9a-f]{8})-[0-9a-f]{8}(-.*)?")
_PAUSE = 60.0
"""Seconds until the same process sweeps a folder again."""

_swept: dict[tuple[int, Path], float] = {}


def staging_mark() -> str:
    """Return a mark that is unique to this process and call."""
    return f".ndm-{os.getpid()}-{_host()}-{secrets.token_hex(4)}"


def staging_name(target: Path) -> Path:
    """Return the hidden name under which a file is written before it is renamed."""
    # Names have a limit of 255 bytes in most file systems; the type must stay.
    kept = target.name.encode()[-180:].decode("utf-8", "ignore")
    return target.with_name(f"{staging_mark()}-{kept}")


def make_scratch_folder(parent: Path | None = None) -> Path:
    """Make a private temporary folder that a later process can sweep."""
    parent = parent or Path(tempfile.gettempdir())
    sweep(parent)
    folder = parent / staging_mark().removeprefix(".")  # some tools skip hidden names
    folder.mkdir(mode=0o700)
    return folder.resolve()


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a private temporary folder for as long as the context lasts."""
    folder = make_scratch_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def final_name(path: Path) -> Path:
    """Return the name that an unfinished file will have, for messages."""
    *_, side, stage, mark = ("", "", "", *path.parent.parts)
    if (side, stage) == (".ndmapper", "stage") and _NAME.fullmatch(mark):
        return path.parents[3] / path.name
    found = _NAME.fullmatch(path.name)
    kept = found[3] if found else None
    return path.with_name(kept[1:]) if kept and kept != "-" else path


def sweep(folder: Path) -> None:
    """
    Remove what killed processes of this host left in a folder, once a minute at most.

    Files of living processes and of other hosts stay.
    """
    key, now = (os.getpid(), folder), time.monotonic()
    if now - _swept.get(key, -_PAUSE) < _PAUSE:
        return
    _swept[key] = now
    if linked_part(folder) is not None:
        return
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _NAME.fullmatch(entry.name)
            if found is None or found[2] != _host() or _is_alive(int(found[1])):
                continue
            log.debug("removed %s, which a killed process left", entry.path)
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()


def sweep_side_data(folder: Path) -> None:
    """Remove what killed processes left in a side-data folder and its subfolders."""
    sweep(folder)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                sweep(Path(entry.path))


@functools.cache
def _host() -> str:
    """Identify the host, and the container with process numbers of its own."""
    try:
        numbers = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        numbers = ""
    return hashlib.sha256(f"{platform.node()} {numbers}".encode()).hexdigest()[:8]


def _is_alive(pid: int) -> bool:
    if os.name == "nt":
        return True  # a signal would end it there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # a process of another user
    return True
