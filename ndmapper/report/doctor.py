"""Examine the installation: what is missing, for what, and how to install it."""

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from ndmapper._version import __version__
from ndmapper.config import KEYS, config
from ndmapper.errors import NdmapperError
from ndmapper.parallel import count_cores
from ndmapper.report.doctor_tools import find_tools

__all__ = ["Finding", "State", "examine"]

State = Literal["ok", "missing", "wrong"]
"""'missing' affects optional parts only, 'wrong' everything."""

_EXTRAS = {
    "fast": "arithmetic of large images in half the time",
    "ccd": "cosmic rays, sources, reprojection",
    "plot": "pictures: plot, preview, show",
    "spec": "tracing and extraction of spectra",
    "distributed": "runs on a cluster",
}


@dataclass(frozen=True)
class Finding:
    """Result of one check."""

    # Group of checks.
    topic: str
    # What was checked.
    name: str
    # 'ok', 'missing' or 'wrong'.
    state: State
    # Version or path, or what is wrong.
    found: str
    # What needs it.
    used_for: str = ""
    # How to install or repair it; empty if nothing needs to be done.
    advice: str = ""


def examine() -> list[Finding]:
    """Check all that ndmapper may need; nothing is installed or contacted."""
    found = [*_python(), *_configuration()]
    if any(f.state == "wrong" for f in found if f.topic == "configuration"):
        return found  # without configuration, tools and folders are unknown
    for tool in find_tools(config):
        state: State = "ok" if tool.found else "missing"
        words = tool.found or tool.problem
        advice = "" if tool.found else tool.advice
        found.append(Finding("tools", tool.name, state, words, tool.used_for, advice))
    return [*found, *_folders(), *_machine()]


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding("packages", "python", "ok", f"{version} ({sys.executable})")
    yield Finding("packages", "ndmapper", "ok", __version__)
    for extra, name, least in _requirements():
        used_for = _EXTRAS[extra] if extra else "everything"
        what = f"'ndmapper[{extra}]'" if extra else "ndmapper"
        advice = f"python -m pip install --upgrade {what}"
        try:
            there = metadata.version(name)
        except metadata.PackageNotFoundError:
            state: State = "missing" if extra else "wrong"
            yield Finding("packages", name, state, "not installed", used_for, advice)
            continue
        if _parts(there) < _parts(least):
            state = "missing" if extra else "wrong"
            words = f"{there}, but it must be {least} at least"
            yield Finding("packages", name, state, words, used_for, advice)
        else:
            yield Finding("packages", name, "ok", there, used_for)


def _requirements() -> list[tuple[str, str, str]]:
    """Return extra (empty for the core), package and minimum version."""
    found = []
    try:
        lines = metadata.requires("ndmapper") or []
    except metadata.PackageNotFoundError:
        return []  # runs from a source folder
    for line in lines:
        match = re.match(r"([\w.-]+)(?:>=([\d.]+))?(?:.*extra == [\"'](\w+))?", line)
        if match is None:
            continue
        name, least, extra = match[1], match[2] or "0", match[3] or ""
        if name != "ndmapper" and (not extra or extra in _EXTRAS):
            found.append((extra, name, least))
    return found


def _parts(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


def _configuration() -> Iterator[Finding]:
    wrong = False
    for key in KEYS:
        try:
            config[key]
        except NdmapperError as err:
            wrong = True
            advice = "mend the value; 'ndmapper config' shows where each comes from"
            yield Finding("configuration", key, "wrong", str(err), "all", advice)
    if not wrong:
        changed = [key for key in KEYS if config.source(key) != "default"]
        words = f"set: {', '.join(changed)}" if changed else "all defaults"
        yield Finding("configuration", "keys", "ok", words)


def _folders() -> Iterator[Finding]:
    places = [
        ("outdir", Path(config["outdir"]), "products, the log, records", True),
        ("scratch", Path(tempfile.gettempdir()), "work of external tools", True),
    ]
    cache = os.environ.get("NUMBA_CACHE_DIR")
    if cache:
        places.append(("NUMBA_CACHE_DIR", Path(cache), "compiled code", False))
    else:
        import ndmapper.numerics as compiled

        own = Path(str(compiled.__file__)).parent
        # If this is read-only, numba uses the user's cache folder.
        if os.access(own, os.W_OK):
            yield Finding("folders", "compiled code", "ok", str(own))
        else:
            home = Path.home() / ".cache"
            places.append(("compiled code", home, "compiled code, kept", False))
    for name, folder, used_for, needed in places:
        problem = _cannot_write(folder)
        if problem is None:
            free = shutil.disk_usage(_existing(folder)).free / 1e9
            words = f"{folder.absolute()}, {free:.0f} GB free"
            yield Finding("folders", name, "ok", words, used_for)
            continue
        state: State = "wrong" if needed else "missing"
        advice = "choose another folder, or ask who owns this one"
        words = f"{folder.absolute()} cannot be written ({problem})"
        yield Finding("folders", name, state, words, used_for, advice)


def _existing(folder: Path) -> Path:
    """Return the folder, or its nearest existing parent."""
    return next(
        p for p in (folder.absolute(), *folder.absolute().parents) if p.exists()
    )


def _cannot_write(folder: Path) -> str | None:
    """Try to write a file; return why that failed, or None."""
    try:
        with tempfile.TemporaryFile(dir=_existing(folder), prefix=".ndmapper-"):
            return None
    except OSError as err:
        return err.strerror or str(err)


def _machine() -> Iterator[Finding]:
    cores, there = count_cores(), os.cpu_count() or 1
    words = f"{cores}" if cores == there else f"{cores} of {there} are granted to us"
    yield Finding("machine", "cores", "ok", words, "workers='all'")
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (ValueError, OSError):
        size = 0.0
    if size > 0:
        yield Finding("machine", "memory", "ok", f"{size:.0f} GB")
    encoding = sys.getfilesystemencoding()
    if encoding.lower() == "utf-8":
        yield Finding("machine", "names of files", "ok", encoding)
    else:
        yield Finding(
            "machine", "names of files", "wrong", encoding,
            "names with other letters than ASCII", "set LANG=C.UTF-8",
        )  # fmt: skip
