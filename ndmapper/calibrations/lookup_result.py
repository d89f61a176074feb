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
    """
    Result of a look-up: matching frames with their quality, source and reason.

    Parameters
    ----------
    files : tuple of (str, str or None)
        Names of raw frames and their checksums; empty if none match.
    product : str or None
        The file of a processed calibration, instead of raw frames.
    quality : int or None
        Quality of the match; 0 is best, None if unknown.
    why : str
        Reason for the match, or why there is none.
    rules : str or None
        The table of matching rules that was used.
    source : str
        The service that was asked.
    is_made : bool
        Whether the files are a processed calibration in several files, one for each
        part of the instrument. Their own calibrations are not looked up.
    paths : tuple of Path
        Paths of the files, if they are on this machine.
    """

    files: tuple[tuple[str, str | None], ...] = ()
    product: str | None = None
    quality: int | None = None
    why: str = ""
    rules: str | None = None
    source: str = ""
    is_made: bool = False
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

    Of a frame in several compressions the first one counts, with a warning. Raises
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
