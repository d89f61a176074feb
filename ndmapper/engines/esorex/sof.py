"""Sets of frames (SOF): files with their tags, and their text form."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ndmapper.data import DataFile
from ndmapper.engines.base import Job
from ndmapper.engines.esorex.parameters import is_frames
from ndmapper.engines.staging import InputLinks, is_safe
from ndmapper.errors import (
    DeclarationError,
    FormatError,
    MissingFileError,
    OutputExistsError,
    ParameterError,
)

__all__ = [
    "Frame",
    "check_sof",
    "frames_of",
    "keep_sof",
    "link_frames",
    "read_sof",
    "sof_text",
]

_TAG = re.compile(r"[A-Za-z0-9_.+-]+")
_FIRST_LINE = re.compile(
    r"# Set of frames of .*, written by ndmapper \(([0-9a-f]{16})\)"
)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A file of a set of frames."""

    # Path that the recipe reads.
    path: str
    # Tag (DO category).
    tag: str
    # Group; empty if not given, since recipes know it.
    group: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.path, self.tag, self.group)))


def frames_of(job: Job) -> list[tuple[str, DataFile]]:
    """Return the frames of a job; DeclarationError for an invalid tag."""
    frames = [(tag, df) for tag, files in job.roles.items() for df in files]
    for tag, value in job.parameters.items():
        if is_frames(value):
            files = [value] if isinstance(value, DataFile) else value
            frames += [(tag, df) for df in files]
    for tag, df in frames:
        if _TAG.fullmatch(tag or "") is None:
            msg = (
                f"{job.step}: {tag!r} is no frame tag; name the inputs of "
                f"{job.task.name} by their tags, such as {{'BIAS': {str(df)!r}}}"
            )
            raise DeclarationError(msg)
    return frames


def sof_text(frames: Sequence[Frame]) -> str:
    """Format a set of frames."""
    return "".join(f"{frame}\n" for frame in frames)


def link_frames(job: Job, links: InputLinks, *, really: bool = True) -> list[Frame]:
    """Make the frames of a job available under safe paths."""
    if not job.task.words["create_sof"]:
        return [
            Frame(path=str(links.link(path) if really else path), tag=tag, group=group)
            for path, tag, group in read_sof(_sof_path(job))
        ]
    provide = links.provide if really else links.path
    return [Frame(path=str(provide(df)), tag=tag) for tag, df in frames_of(job)]


def check_sof(job: Job) -> None:
    """
    Check the options create_sof and sof.

    Raises OutputExistsError if an edited SOF file would be overwritten.
    """
    words = job.task.words
    if not words["create_sof"]:
        read_sof(_sof_path(job))
        return
    if words["sof"] is None:
        return
    path = Path(words["sof"])
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    found = _FIRST_LINE.fullmatch(lines[0]) if lines else None
    if lines and (found is None or found[1] != _mark(lines[1:])):
        msg = (
            f"{path} was edited, or written by something else; use it with "
            "create_sof=False, or remove it to have it written anew"
        )
        raise OutputExistsError(msg)


def keep_sof(job: Job) -> None:
    """Write the set of frames to the SOF file of the user."""
    words = job.task.words
    if words["sof"] is None or not words["create_sof"]:
        return
    check_sof(job)
    lines = []
    for tag, df in frames_of(job):
        path = os.path.abspath(df) if df.filename else ""  # noqa: PTH100
        if path and (not df.is_made or df.unloaded) and is_safe(path):
            lines.append(f"{path} {tag}")
        else:
            name = ascii(path or "a file without a name")
            lines.append(
                f"# {tag}: {name} cannot be named here (odd characters, or changed in "
                "memory); ndmapper gives esorex a link or a copy"
            )
    first = f"# Set of frames of {job.task.name}, written by ndmapper ({_mark(lines)})"
    Path(words["sof"]).write_text("\n".join([first, *lines, ""]), encoding="utf-8")


def _mark(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _sof_path(job: Job) -> Path:
    sof = job.task.words["sof"]
    if sof is None:
        msg = (
            f"{job.step}: create_sof=False uses a set of frames that you have written; "
            "name its file with sof='...'"
        )
        raise ParameterError(msg)
    return Path(sof)


def read_sof(sof: Path) -> list[tuple[Path, str, str]]:
    """Parse a SOF file; MissingFileError if one of its files does not exist."""
    try:
        text = sof.read_text(encoding="utf-8")
    except FileNotFoundError:
        msg = f"the set of frames {sof} does not exist; create_sof=True writes one"
        raise MissingFileError(msg) from None
    except (OSError, UnicodeDecodeError) as err:
        msg = f"the set of frames {sof} cannot be read: {err}"
        raise FormatError(msg) from err
    frames = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        # As esorex does: relative to the current folder, variables expanded.
        path = Path(os.path.abspath(os.path.expandvars(words[0])))  # noqa: PTH100
        if len(words) < 2:
            msg = f"line {number} of {sof} gives no tag to {words[0]}"
            raise FormatError(msg)
        if not path.exists():
            msg = f"{path} does not exist, which line {number} of {sof} names"
            raise MissingFileError(msg)
        frames.append((path, words[1], words[2] if len(words) > 2 else ""))
    return frames
