"""Walk the calibrations that a frame needs, and those which they need in turn."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ndmapper.calibrations.entries import (
    Matches,
    note_matches,
    note_target,
    types_of,
)
from ndmapper.calibrations.schema import CALIBRATIONS
from ndmapper.errors import ParameterError

__all__ = ["Dependencies", "LookUp", "check_dependencies", "walk_dependencies"]

Dependencies = Mapping[str, Sequence[str]]
"""What each kind of frame needs: type to types of calibration."""

LookUp = Callable[[str, str], Matches]
"""Takes the name of a frame and a type of calibration, and gives the matches."""


def check_dependencies(dependencies: object) -> None:
    """
    Check that dependencies have the form they should have.

    Parameters
    ----------
    dependencies : object
        What a user gave.

    Raises
    ------
    ParameterError
        If it is not a mapping of types to lists of types.
    """
    if not isinstance(dependencies, Mapping):
        msg = (
            "dependencies must be a mapping such as {'target': ['bias', 'flat'], "
            f"'flat': ['bias']}}, not {dependencies!r}"
        )
        raise ParameterError(msg)
    for kind, types in dependencies.items():
        if isinstance(types, str) or not all(isinstance(name, str) for name in types):
            msg = f"dependencies[{kind!r}] must be a list of types, not {types!r}"
            raise ParameterError(msg)


def walk_dependencies(
    frames: Iterable[tuple[str, str]],
    dependencies: Dependencies,
    look_up: LookUp,
    cal_dict: dict[str, Any],
    *,
    refresh: bool = False,
) -> None:
    """
    Note the calibrations of frames, and theirs in turn.

    An association that the document has is never touched, whoever made it; one that
    is null is asked for again only with `refresh`.

    Parameters
    ----------
    frames : iterable of (str, str)
        Names of frames, and the keys of `dependencies` that hold for them.
    dependencies : mapping
        What each kind of frame needs. A type that is no key needs nothing.
    look_up : callable
        Takes the name of a frame and a type, and gives the matches.
    cal_dict : dict
        The calibration document, which is changed.
    refresh : bool
        Whether to ask again where the document has null.
    """
    pending = list(frames)[::-1]
    for name, _ in pending:
        note_target(name, cal_dict)
    done = set()
    while pending:
        name, kind = pending.pop()
        if (name, kind) in done:
            continue
        done.add((name, kind))
        for cal_type in dependencies.get(kind, ()):
            types = types_of(cal_dict, name)
            if cal_type not in types or (refresh and types[cal_type] is None):
                note_matches(name, cal_type, look_up(name, cal_type), cal_dict)
            label = types_of(cal_dict, name)[cal_type]
            files = cal_dict[CALIBRATIONS].get(label, ())
            pending += [(file, cal_type) for file in reversed(files)]
