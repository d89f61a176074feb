"""The order in which the entries of a calibration document are written."""

from collections.abc import Iterable, Mapping
from typing import Any

from ndmapper.calibrations.schema import (
    ANSWERS,
    ASSOCIATIONS,
    BAD_FRAMES,
    LOCKED,
    MAPS,
)

__all__ = ["in_order"]


def in_order(document: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Sort new entries by name, unless the user has put entries in another order."""
    result = dict(document)
    for name in (*MAPS, ANSWERS, LOCKED, BAD_FRAMES):
        if name in result:
            result[name] = _sorted(result[name], known.get(name, {}))
    for name in (ASSOCIATIONS, ANSWERS):
        before = known.get(name, {})
        for frame, types in result.get(name, {}).items():
            result[name][frame] = _sorted(types, before.get(frame, {}))
    return result


def _sorted(entries: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    names = [name for name in known if name in entries]
    if names == sorted(names):
        return {name: entries[name] for name in sorted(entries)}
    added = sorted(name for name in entries if name not in names)
    return {name: entries[name] for name in [*names, *added]}
