"""Removing what a reduction of MUSE can make again: exposures, standards, masters."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ndmapper.data.plainfile import open_file
from ndmapper.steps.clean import find_removable, finish_removals, remove

__all__ = ["CLEANED", "clean_up"]

log = logging.getLogger(__name__)

CLEANED: Mapping[str, Collection[str]] = {
    "exposures": ("scibasic", "scipost"),
    "std": ("scibasic", "standard"),
    "combined": ("exp_align", "exp_combine"),
    "calibrations": (
        "bias", "dark", "flat", "wavecal", "lsf", "twilight", "create_sky",
    ),
}  # fmt: skip
"""Steps whose products are removed, by what is to be cleaned."""


def clean_up(folder: Path, kinds: Collection[str]) -> list[Path]:
    """
    Remove products that can be made again.

    Parameters
    ----------
    folder : Path
        The folder of all products; those in folders within it count, too.
    kinds : collection of str
        What is removed: ``'exposures'``, their pixel tables and cubes; ``'std'``, the
        same of standards and the response; ``'combined'`` cubes and offsets;
        ``'calibrations'``.

    Returns
    -------
    list of Path
        What was removed. Raw frames, files that no step made, and products that were
        edited or whose inputs are gone, stay.
    """
    folders = sorted({path.parent for path in folder.rglob("*.fits")} | {folder})
    folders = [one for one in folders if ".ndmapper" not in one.parts]
    removed = []
    for place in folders:
        for candidate in find_removable(place, "none"):
            row = open_file(candidate.path).record[-1]
            if any(_is_of(kind, row) for kind in kinds):
                if candidate.kept is not None:
                    log.warning("%s stays: %s", candidate.path, candidate.kept)
                    continue
                removed.append(candidate.path)
    for path in removed:
        remove(path)
    for place in folders:
        finish_removals(place)
    log.info("%d products were removed from %s", len(removed), folder)
    return removed


def _is_of(kind: str, row: Mapping[str, Any]) -> bool:
    """Whether a product is of what is to be cleaned."""
    if row["step"] not in CLEANED[kind]:
        return False
    of_star = str(row.get("output") or "").startswith("PIXTABLE_STD")
    return of_star == (kind == "std") or row["step"] != "scibasic"
