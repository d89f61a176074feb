"""Results of calibration look-ups, in the forms that services return them."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from ndmapper.calibrations.names import frame_name
from ndmapper.errors import ParameterError

__all__ = ["Answer", "Matches", "given_files", "matched_files"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Result of a look-up: matching frames with their quality, source and reason."""

    # Names of raw frames and their checksums; empty if none match.
    files: tuple[tuple[str, str | None], ...] = ()
    # The file of a processed calibration, or the pattern of its files, instead of raw
    # frames.
    product: str | None = None
    # Quality of the match; 0 is best, None if unknown.
    quality: int | None = None
    # Reason for the match, or why there is none.
    why: str = ""
    # The table of matching rules that was used.
    rules: str | None = None
    # The service that was asked.
    source: str = ""
    # Whether it is a processed calibration, whose own ones are not looked up.
    is_made: bool = False
    # Whether the raw frame, if it is one, is the calibration itself.
    is_raw: bool = False
    # Paths of the files, if they are on this machine.
    paths: tuple[Path, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the raw frames."""
        return [name for name, _ in self.files]

    @property
    def is_empty(self) -> bool:
        """Whether there is no match."""
        return not self.files and self.product is None

    def without(self, bad: Mapping[str, str]) -> "Answer":
        """Return the answer without bad frames."""
        kept = tuple(f for f in self.files if frame_name(f[0]) not in bad)
        product = self.product
        if product is not None and frame_name(product) in bad:
            product = None
        return replace(self, files=kept, product=product)


Matches = Sequence[Any] | Answer | None
"""What a service may return: names, (name, checksum) pairs, an Answer, or None."""


def matched_files(matches: Matches) -> list[tuple[str, str | None]]:
    """
    Return the matches of a look-up as sorted (name, checksum) pairs, without folders.

    Of a frame in several compressions the first one is used, with a warning. Raises
    ParameterError if `matches` has another form.
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
    """Return the matches of a look-up as they were given, with their folders."""
    return [path for path, _ in _pairs(matches)]


def _pairs(matches: Matches) -> list[tuple[str, str | None]]:
    """Bring the forms of matches into (path, checksum) pairs."""
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
