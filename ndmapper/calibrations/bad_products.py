"""Calibrations that are made already, and of frames that are marked bad by now."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ndmapper.calibrations.names import frame_name
from ndmapper.calibrations.products import find_product
from ndmapper.calibrations.provenance import bad_frames
from ndmapper.calibrations.schema import ASSOCIATIONS, CALIBRATIONS
from ndmapper.errors import NdmapperError
from ndmapper.io.record import read_records

__all__ = ["bad_with_products", "tainted"]


def tainted(paths: Iterable[Path], bad: Mapping[str, str]) -> dict[str, str]:
    """Find the products that bad frames are part of, or part of their calibrations."""
    found = {}
    for path in paths if bad else ():
        used = (frame_name(name) for name in _made_of(path))
        name = next((name for name in used if name in bad), None)
        if name is not None:
            found[frame_name(path.name)] = f"made with {name}: {bad[name]}"
    return found


def bad_with_products(cal_dict: Mapping[str, Any]) -> dict[str, str]:
    """Return the bad frames and the products made from them, each with the reason."""
    bad = bad_frames(cal_dict)
    if not bad:
        return bad
    labels = {
        label
        for types in cal_dict[ASSOCIATIONS].values()
        for label in types.values()
        if label is not None and label not in cal_dict[CALIBRATIONS]
    }
    paths = (find_product(label, cal_dict) for label in sorted(labels))
    return tainted((path for path in paths if path is not None), bad) | bad


def _made_of(path: Path) -> list[str]:
    try:
        entries = read_records(path)
    except (NdmapperError, OSError):
        return []
    sources = (source for entry in entries for source in entry.get("inputs") or ())
    return [str(source["name"]) for source in sources if source.get("name")]
