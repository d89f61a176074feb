"""What look-ups give, brought into one form."""

import os
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from ndmapper.calibrations.names import name_variants
from ndmapper.calibrations.provenance import Answer
from ndmapper.errors import ParameterError

__all__ = ["Matches", "known_key", "matched_files"]

Matches = Sequence[Any] | Answer | None
"""What a look-up gives: names, pairs of name and checksum, or more; None for none."""


def matched_files(matches: Matches) -> list[tuple[str, str | None]]:
    """
    Bring what a look-up gives into one form.

    Raises ParameterError if `matches` has another form.
    """
    if matches is None:
        return []
    if isinstance(matches, Answer):
        matches = matches.files
    if isinstance(matches, str | os.PathLike):
        matches = [matches]
    found: dict[str, str | None] = {}
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
        name = PurePath(os.fspath(pair[0])).name
        found[name] = found.get(name) or pair[1]
    return sorted(found.items())


def known_key(associations: Mapping[str, Any], name: str) -> str:
    """Give the key of a frame that may be listed with another compression."""
    if name in associations:
        return name
    return next((v for v in name_variants(name) if v in associations), name)
