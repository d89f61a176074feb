"""Entries of an IRAF database that a step declares as input, calibration or product."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ndmapper.data import DataFile, PlainFile
from ndmapper.engines.base import Job, Output
from ndmapper.engines.iraf.failures import ProductError
from ndmapper.engines.staging import plain_root
from ndmapper.io.filetypes import in_database

__all__ = ["find_made", "given_entries", "iraf_name", "made_entries", "put_entry"]

_KINDS = ("ap", "fc", "id")
"""What the names of files in a database begin with, by the task that writes them."""

_LAST = "aplast"
"""What apextract writes beside every entry of its own."""

_MARK = re.compile(r"^# in ([A-Za-z0-9][\w.+-]*)\n", re.MULTILINE)
"""Precedes each part of a product that IRAF has in other files than its name says."""


def given_entries(job: Job) -> list[PlainFile]:
    """List the database entries among the inputs, parameters and calibrations."""
    values = [*job.roles.values(), *job.parameters.values(), *job.calibrations.values()]
    return list({str(f): f for value in values for f in _entries(value)}.values())


def _entries(value: Any) -> list[PlainFile]:
    listed = value if isinstance(value, list | tuple) else [value]
    return [f for f in listed if isinstance(f, PlainFile) and in_database(f)]


def made_entries(job: Job) -> dict[Output, str]:
    """Return the names of the database entries among the products."""
    return {
        output: Path(job.targets[output]).name
        for output in job.outputs
        if in_database(job.targets.get(output, ""))
    }


def iraf_name(name: str) -> str:
    """Return the name that IRAF has for an entry: after the image, as it is staged."""
    kind = name[:2] if name.startswith(_KINDS) and len(name) > 2 else ""
    return kind + plain_root(f"{name.removeprefix(kind)}.fits")


def put_entry(entry: PlainFile, folder: Path) -> dict[str, str]:
    """Write an entry where IRAF looks for it; return the text of each file."""
    first, *parts = _MARK.split(entry.text())
    texts = dict(zip(parts[::2], parts[1::2], strict=True))
    if not texts:
        texts = {iraf_name(entry.path.name): first}
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return texts


def find_made(
    wanted: Mapping[Output, str], folder: Path, given: Mapping[str, str]
) -> tuple[dict[Output, DataFile], set[str]]:
    """
    Find the entries that a task has written, and the names of their files.

    `given` has the texts of the files that were there before, by name. Raises
    ProductError.
    """
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    new = [p for p in there if p.is_file() and not _is_as_given(p, given)]
    found: dict[Output, DataFile] = {}
    taken: set[str] = set()
    for output, name in wanted.items():
        is_alone = [n[:2] for n in wanted.values()].count(name[:2]) == 1
        paths = _files_of(name, new, alone=is_alone)
        # Or as it was left, where it was given to be looked at.
        paths = paths or _files_of(name, there, alone=False)
        if not paths:
            made = ", ".join(p.name for p in new if p.name != _LAST) or "nothing"
            msg = f"it did not write database/{name}, but {made} in the database"
            raise ProductError(msg)
        found[output] = _product(name, paths)
        taken |= {path.name for path in paths}
    return found, taken


def _is_as_given(path: Path, given: Mapping[str, str]) -> bool:
    text = given.get(path.name)
    return text is not None and text == path.read_text("utf-8", errors="replace")


def _files_of(name: str, new: Iterable[Path], *, alone: bool) -> list[Path]:
    """Find the files of one entry: by its name, else the only ones of its kind."""
    own = iraf_name(name)
    alike = [p for p in new if p.name[:2] == own[:2] and p.name != _LAST]
    exact = [path for path in alike if path.name == own]
    by_extension = [path for path in alike if path.name.startswith(f"{own}_")]
    return exact or by_extension or (alike if alone else [])


def _product(name: str, paths: Sequence[Path]) -> DataFile:
    if [path.name for path in paths] == [iraf_name(name)]:
        return PlainFile(paths[0])
    texts = (f"# in {p.name}\n{p.read_text(errors='replace')}" for p in paths)
    return PlainFile(f"database/{name}", "".join(texts).encode())
