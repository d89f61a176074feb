"""Remove products that a later run can make again when it needs them."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ndmapper.data.plainfile import open_file
from ndmapper.errors import FileAccessError, FormatError, RecordError
from ndmapper.io.digest import DigestCache
from ndmapper.io.record import cleaned_path, side_path, side_text
from ndmapper.io.sidedata import make_side_folder
from ndmapper.io.temporary import staging_name, sweep_side_data
from ndmapper.steps.record.entry import is_as_recorded
from ndmapper.steps.record.freshness import find_input, references_of

__all__ = ["Candidate", "Keep", "find_removable", "finish_removals", "remove"]

Keep = Literal["final", "calibs", "none"]
"""What is kept: what no other product is made of, calibrations as well, or nothing."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """
    A product, and whether it is removed.

    Parameters
    ----------
    path : Path
        The product.
    size : int
        Its size in bytes.
    kept : str or None
        Why it is kept; None if it is removed.
    """

    path: Path
    size: int
    kept: str | None


def find_removable(folder: Path, keep: Keep = "calibs") -> list[Candidate]:
    """
    Find the products of a folder that may be removed, and why others are kept.

    Raises
    ------
    FileAccessError
        If there is no such folder.
    """
    if not folder.is_dir():
        msg = f"{folder} is no folder; name the one that holds the products"
        raise FileAccessError(msg)
    digests = DigestCache(folder / ".ndmapper")
    products = _products(folder)
    made_of: dict[str, set[str]] = {}
    # Of all entries: what was made of a product may be gone, since an earlier call was
    # interrupted, while what was made of that is here.
    for row in {row["key"]: row for rows in products.values() for row in rows}.values():
        for word, reference in references_of(row):
            key = reference.get("key")
            if key is not None:
                kind = "input" if word == "input" else "calibration"
                made_of.setdefault(key, set()).add(kind)
    found = []
    for path, rows in products.items():
        uses = made_of.get(rows[-1]["key"], set())
        why = None
        if not uses and keep != "none":
            why = "nothing else is made of it"
        elif keep == "calibs" and "calibration" in uses:
            why = "it is a calibration"
        elif rows[-1]["step"] == "edited" or not is_as_recorded(
            open_file(path), digests
        ):
            why = "it was edited"
        elif missing := _missing(path, rows[-1], rows):
            why = f"it could not be made again, for {missing} is missing"
        found.append(Candidate(path=path, size=path.stat().st_size, kept=why))
    digests.save()
    return found


def finish_removals(folder: Path) -> None:
    """Remove the side records that an interrupted clean has left."""
    for place in _places(folder):
        for side in (place / ".ndmapper" / "records").glob("*.json"):
            product = place / side.name.removesuffix(".json")
            if not product.exists() and cleaned_path(product).exists():
                with suppress(OSError):
                    side.unlink()
        sweep_side_data(place / ".ndmapper")


def _places(folder: Path) -> list[Path]:
    """List the folder, and that of the database of IRAF in it."""
    return [place for place in (folder, folder / "database") if place.is_dir()]


def _products(folder: Path) -> dict[Path, Sequence[dict[str, Any]]]:
    found: dict[Path, Sequence[dict[str, Any]]] = {}
    for path in [path for place in _places(folder) for path in sorted(place.iterdir())]:
        if not path.is_file() or path.name.startswith("."):
            continue
        try:
            rows = open_file(path).record
        except (FormatError, RecordError, OSError):
            continue  # what no step makes
        if rows:
            found[path] = rows
    return found


def _missing(
    path: Path, row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> str | None:
    """Name a missing input file without which a product cannot be made again."""
    made_by = {other["key"]: other for other in rows}
    for _, reference in references_of(row):
        if reference.get("memory"):
            return f"{reference['name']}, which was only in memory,"
        if find_input(reference["name"], row, path) is not None:
            continue
        # A chain published only its last product; it would make the others again.
        before = made_by.get(reference.get("key"))
        if before is None or before is row or before["step"] == "edited":
            return str(reference["name"])
        if missing := _missing(path, before, rows):
            return missing
    return None


def remove(path: Path) -> None:
    """
    Remove a product, and leave its record, so that later runs treat it as current.

    Raises
    ------
    FileAccessError
        If it cannot be removed, or nothing can be written beside it.
    """
    rows = open_file(path).record
    left = cleaned_path(path)
    temporary = staging_name(left)
    try:
        make_side_folder(left)
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(side_text(rows))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(left)
        path.unlink()
        side_path(path).unlink(missing_ok=True)
    except OSError as err:
        msg = f"{path} cannot be removed ({err.strerror}: {err.filename})"
        raise FileAccessError(msg) from err
