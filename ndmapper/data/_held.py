"""What still lies in a file that is about to be replaced, and somebody may want."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakValueDictionary

from ndmapper.errors import NdmapperError
from ndmapper.io.source import Source

__all__ = ["Keeper", "keep_before", "note", "walk"]

_MANY = 1000
"""From so many files on, those are forgotten of which nobody holds anything."""


class Keeper(Protocol):
    """Something with pixels that lie in a file."""

    def keep(self) -> None:
        """Read them into memory, as they are about to go."""


# By the number that the file has on its disk, since a file has many names.
_keepers: dict[int, "WeakValueDictionary[int, Any]"] = {}


def note(source: Source, keeper: Keeper) -> None:
    """
    Note that a copy or section refers to a file.

    Parameters
    ----------
    source : Source
        The file.
    keeper : Keeper
        What is read before this program replaces the file.
    """
    number = source.inode
    if len(_keepers) > _MANY and number not in _keepers:
        for gone in [n for n, found in list(_keepers.items()) if not found]:
            _keepers.pop(gone, None)
    _keepers.setdefault(number, WeakValueDictionary())[id(keeper)] = keeper


def keep_before(path: Path, own: Iterable[Any] = ()) -> None:
    """
    Read what copies and sections have in a file, before it is replaced.

    Parameters
    ----------
    path : Path
        The file.
    own : iterable of Part
        Parts that need not be read, since the new file is made of them.
    """
    try:
        found = _keepers.pop(path.stat().st_ino, None)
    except OSError:  # there is none
        return
    if not found:
        return
    mine = {id(part) for part in own}
    for keeper in list(found.values()):
        if id(keeper) in mine:
            continue
        # Where it cannot be read any more, that is said when somebody looks.
        with contextlib.suppress(NdmapperError):
            keeper.keep()


def walk(parts: Iterable[Any]) -> Iterator[Any]:
    """
    Go through parts, and those that they are computed from.

    Parameters
    ----------
    parts : iterable of Part
        Where to begin.

    Yields
    ------
    Part
        Each part that is in a file or in memory, or waits for others.
    """
    left, seen = list(parts), set()
    while left:
        part = left.pop()
        yield part
        pending: Any = None if part.is_loaded else part.pending
        while hasattr(pending, "whole"):
            pending = pending.whole
        node = getattr(pending, "node", None)
        if node is not None and id(node) not in seen:
            seen.add(id(node))
            for side in (node.first, node.second):
                left += side.parts.values()
