"""Where the file of a calibration is, which the document knows by its label."""

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
    "product_folders",
    "tainted",
]


def product_folders(cal_dict: Mapping[str, Any]) -> list[Path]:
    """List the folders in which processed calibrations are looked for."""
    folders = [Path(config["outdir"])]
    document = getattr(cal_dict, "path", None)
    if document is not None and document.parent.resolve() != folders[0].resolve():
        folders.append(document.parent)
    return folders


def find_product(label: str, cal_dict: Mapping[str, Any]) -> Path | None:
    """Find the file of a calibration."""
    # A step adds the type where a label has none, so the file may have either name.
    names = dict.fromkeys((product_name(label), label))
    folders = product_folders(cal_dict)
    if label not in cal_dict.get(CALIBRATIONS, {}):
        # Found by a look-up, beside raw frames; what is yet to be made is not there.
        folders += getattr(cal_dict, "folders", [])
    paths = (d / name for d in folders for name in names)
    return next((path for path in paths if is_file(path)), None)


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
