"""What look-ups give, brought into one form."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from ndmapper.calibrations.names import frame_name, name_variants
from ndmapper.calibrations.provenance import Answer
from ndmapper.errors import ParameterError

__all__ = ["Matches", "given_files", "known_key", "matched_files"]

log = logging.getLogger(__name__)

Matches = Sequence[Any] | Answer | None
"""What a look-up gives: names, pairs of name and checksum, or more; None for none."""


def matched_files(matches: Matches) -> list[tuple[str, str | None]]:
    """
    Bring what a look-up gives into one form.

    Parameters
    ----------
    matches : sequence or None
        Names, or pairs of name and checksum.

    Returns
    -------
    list of (str, str or None)
        Name, without folder, and checksum; sorted, none twice. Of a frame that is
        there in several compressions the first one counts, with a warning.

    Raises
    ------
    ParameterError
        If `matches` has another form.
    """
    found: dict[str, str | None] = {}
    known: dict[str, str] = {}
    for path, checksum in _pairs(matches):
        name = PurePath(path).name
        first = known.setdefault(frame_name(name), name)
        if first != name:
            log.warning("%s and %s are one frame, which counts once", first, name)
            continue
        found[name] = found.get(name) or checksum
    return sorted(found.items())


def given_files(matches: Matches) -> list[str]:
    """
    Give the files of a look-up as they were named, with their folders.

    Parameters
    ----------
    matches : sequence or None
        Names, or pairs of name and checksum.

    Returns
    -------
    list of str
        Their paths, or bare names.
    """
    return [path for path, _ in _pairs(matches)]


def _pairs(matches: Matches) -> list[tuple[str, str | None]]:
    if matches is None:
        return []
    if isinstance(matches, Answer):
        matches = matches.files
    if isinstance(matches, str | os.PathLike):
        matches = [matches]
    found: list[tuple[str, str | None]] = []
    for match in matches:
        pair = match if isinstance(match, tuple | list) else (match, None)
        if (
            len(pair) != 2
            or not isinstance(pair[0], str | os.PathLike)
            or not isinstance(pair[1], str | None)
        ):
            msg = (
                "matches must be names of files, or pairs (name, checksum), but one "
                f"of them is {match!r}"
            )
            raise ParameterError(msg)
        found.append((os.fspath(pair[0]), pair[1]))
    return found


def known_key(associations: Mapping[str, Any], name: str) -> str:
    """
    Give the key of a frame that may be listed with another compression.

    Parameters
    ----------
    associations : mapping
        A map of the document whose keys are names of frames.
    name : str
        Name of the frame.

    Returns
    -------
    str
        Its key; the name itself where there is none.
    """
    if name in associations:
        return name
    return next((v for v in name_variants(name) if v in associations), name)
