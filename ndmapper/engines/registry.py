"""
Engines by name: built in, and from other packages.

Another package provides an engine through the entry point group ``ndmapper.engines``:
the name of the entry is the scheme (``scheme:task``), its object a callable without
arguments that returns an `~ndmapper.engines.base.Engine`.
"""

from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from ndmapper.engines.base import Engine
from ndmapper.engines.command import CommandEngine
from ndmapper.engines.esorex import EsorexEngine
from ndmapper.engines.iraf import IrafEngine
from ndmapper.engines.python import PythonEngine
from ndmapper.errors import DeclarationError, did_you_mean

__all__ = ["engine_names", "get_engine"]

GROUP = "ndmapper.engines"

_OURS: dict[str, Callable[[], Engine]] = {
    "python": PythonEngine,
    "iraf": IrafEngine,
    "esorex": EsorexEngine,
    "command": CommandEngine,
}


@cache
def _others() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def engine_names() -> list[str]:
    """Return the names of all engines."""
    return sorted({*_OURS, *_others()})


def get_engine(name: str) -> Engine:
    """Return an engine by name; raises DeclarationError."""
    if name in _OURS:
        return _OURS[name]()
    if name in _others():
        make: Callable[[], Engine] = _others()[name].load()
        return make()
    msg = f"there is no engine {name!r}{did_you_mean(name, engine_names())}"
    raise DeclarationError(msg)
