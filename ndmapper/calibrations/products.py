"""Processed calibrations on disk: where they are, and which contain bad frames."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ndmapper.calibrations.names import frame_name, product_name
from ndmapper.calibrations.provenance import bad_frames
from ndmapper.calibrations.schema import ASSOCIATIONS, CALIBRATIONS
from ndmapper.config import config
from ndmapper.documents import is_file
from ndmapper.errors import NdmapperError
from ndmapper.io.record import read_records

__all__ = [
    "bad_with_products",
    "find_product",
    "made_from_bad_frames",
    "product_folders",
]


def product_folders(cal_dict: Mapping[str, Any]) -> list[Path]:
    """Return the folders that are searched for processed calibrations."""
    folders = [Path(config["outdir"])]
    document = getattr(cal_dict, "path", None)
    if document is not None and document.parent.resolve() != folders[0].resolve():
        folders.append(document.parent)
    return folders


def find_product(label: str, cal_dict: Mapping[str, Any]) -> Path | None:
    """Return the path of a processed calibration; None if it does not exist."""
    # A step appends the file type if a label has none.
    names = dict.fromkeys((product_name(label), label))
    folders = product_folders(cal_dict)
    if label not in cal_dict.get(CALIBRATIONS, {}):
        # A look-up may have found it beside the raw frames.
        folders += getattr(cal_dict, "folders", [])
    paths = (d / name for d in folders for name in names)
    return next((path for path in paths if is_file(path)), None)


def made_from_bad_frames(
    paths: Iterable[Path], bad: Mapping[str, str]
) -> dict[str, str]:
    """Return the products made with bad frames, even indirectly, and the reasons."""
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
    return made_from_bad_frames((path for path in paths if path is not None), bad) | bad


def _made_of(path: Path) -> list[str]:
    try:
        entries = read_records(path)
    except (NdmapperError, OSError):
        return []
    sources = (source for entry in entries for source in entry.get("inputs") or ())
    return [str(source["name"]) for source in sources if source.get("name")]
