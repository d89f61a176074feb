"""Three-way merge of a calibration document with its file, and the order of entries."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from ndmapper.calibrations.labels import numbered_labels
from ndmapper.calibrations.schema import (
    ANSWERS,
    ASSOCIATIONS,
    BAD_FRAMES,
    CALIBRATIONS,
    CHECKSUMS,
    FOLDERS,
    LOCKED,
    MAPS,
)

__all__ = [
    "in_order",
    "merged_document",
]


_ABSENT = object()


def merged_document(
    base: Mapping[str, Any], mine: Mapping[str, Any], theirs: Mapping[str, Any]
) -> dict[str, Any]:
    """Merge the document of a script with the file, given their common ancestor."""
    mine = _told_apart(base, mine, theirs)
    result: dict[str, Any] = _merged(base, mine, theirs, ())
    _restore(result, theirs)
    return result


def _is_map(path: tuple[str, ...]) -> bool:
    """Whether an object is merged key by key, or as a whole."""
    if len(path) <= 1:
        return path == () or path[0] in {*MAPS, ANSWERS, LOCKED, BAD_FRAMES, FOLDERS}
    return len(path) == 2 and path[0] in {ASSOCIATIONS, ANSWERS}


def _merged(base: Any, mine: Any, theirs: Any, path: tuple[str, ...]) -> Any:
    if not (_is_map(path) and isinstance(mine, dict) and isinstance(theirs, dict)):
        return copy.deepcopy(mine if theirs == base else theirs)
    base = base if isinstance(base, dict) else {}
    result = {}
    # Keep the order of the file, which the user may have chosen.
    for key in [*theirs, *(k for k in mine if k not in theirs)]:
        if key not in theirs:
            if key not in base:  # else deleted in the file
                result[key] = copy.deepcopy(mine[key])
        elif key not in mine:
            if (
                key not in base or theirs[key] != base[key]
            ):  # else deleted by the script
                result[key] = copy.deepcopy(theirs[key])
        else:
            values = (base.get(key, _ABSENT), mine[key], theirs[key])
            result[key] = _merged(*values, (*path, key))
    return result


def _told_apart(
    base: Mapping[str, Any], mine: Mapping[str, Any], theirs: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Rename new calibrations whose label was given to other frames in the file."""
    ours, others = mine[CALIBRATIONS], theirs[CALIBRATIONS]
    clashing = [
        label
        for label, files in ours.items()
        if label not in base[CALIBRATIONS] and others.get(label, files) != files
    ]
    if not clashing:
        return mine
    taken = {
        label
        for document in (mine, theirs)
        for types in document[ASSOCIATIONS].values()
        for label in types.values()
    }
    result = copy.deepcopy(dict(mine))
    for label in clashing:
        files = result[CALIBRATIONS].pop(label)
        for new in numbered_labels(label):
            used = others.get(new, result[CALIBRATIONS].get(new))
            if used == files or (used is None and new not in taken):
                break
        result[CALIBRATIONS][new] = files
        for types in result[ASSOCIATIONS].values():
            types.update({kind: new for kind, old in types.items() if old == label})
        for noted in (n for t in result.get(ANSWERS, {}).values() for n in t.values()):
            if noted.get("label") == label:
                noted["label"] = new
    return result


def _restore(result: dict[str, Any], theirs: Mapping[str, Any]) -> None:
    """Restore calibrations that are still referred to, recursively."""
    pending = {
        label
        for types in result[ASSOCIATIONS].values()
        for label in types.values()
        if label is not None
    }
    done = set()
    while pending:
        label = pending.pop()
        done.add(label)
        if label in result[CALIBRATIONS] or label not in theirs[CALIBRATIONS]:
            continue
        files = result[CALIBRATIONS][label] = list(theirs[CALIBRATIONS][label])
        for name in files:
            if name in theirs[CHECKSUMS]:
                result[CHECKSUMS].setdefault(name, theirs[CHECKSUMS][name])
            if name in theirs[ASSOCIATIONS] and name not in result[ASSOCIATIONS]:
                types = dict(theirs[ASSOCIATIONS][name])
                result[ASSOCIATIONS][name] = types
                pending |= {t for t in types.values() if t is not None} - done


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
