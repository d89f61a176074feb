"""Processed calibrations on disk: where they are, and which contain bad frames."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ndmapper.calibrations.folders import noted_folder
from ndmapper.calibrations.names import frame_name, product_name
from ndmapper.calibrations.patterns import files_of, is_there
from ndmapper.calibrations.provenance import bad_frames
from ndmapper.calibrations.schema import ASSOCIATIONS, CALIBRATIONS
from ndmapper.config import config
from ndmapper.errors import NdmapperError
from ndmapper.io.record import read_records

__all__ = [
    "bad_with_products",
    "find_product",
    "made_from_bad_frames",
    "product_folders",
    "product_label",
]


def product_folders(cal_dict: Mapping[str, Any]) -> list[Path]:
    """Return the folders that are searched for processed calibrations."""
    folders = [Path(config["outdir"])]
    document = getattr(cal_dict, "path", None)
    if document is not None and document.parent.resolve() != folders[0].resolve():
        folders.append(document.parent)
    return folders


def find_product(label: str, cal_dict: Mapping[str, Any]) -> Path | None:
    """
    Return the path of a processed calibration; None if it does not exist.

    That of a set is its pattern; it exists if one of its files does.
    """
    # A step appends the file type if a label has none.
    names = dict.fromkeys((product_name(label), label))
    folders = product_folders(cal_dict)
    if label not in cal_dict.get(CALIBRATIONS, {}):
        # A look-up may have found it beside the raw frames.
        noted = noted_folder(Path(label).name, cal_dict)
        folders += [_base(cal_dict), *getattr(cal_dict, "folders", [])]
        folders += [] if noted is None else [noted]
    paths = (d / name for d in dict.fromkeys(folders) for name in names)
    return next((path for path in paths if is_there(path)), None)


def _base(cal_dict: Mapping[str, Any]) -> Path:
    """Return the folder that names in a document are relative to."""
    document = getattr(cal_dict, "path", None)
    return Path() if document is None else Path(document).parent


def product_label(path: Path, cal_dict: Mapping[str, Any]) -> str:
    """
    Name a processed calibration that was found, relative to the document.

    One in a folder that is not below the document is named without folder.
    """
    base = _base(cal_dict).absolute()
    found = Path(os.path.relpath(path.absolute(), base))
    return path.name if ".." in found.parts else found.as_posix()


def made_from_bad_frames(
    paths: Iterable[Path], bad: Mapping[str, str]
) -> dict[str, str]:
    """Return the products made with bad frames, even indirectly, and the reasons."""
    found = {}
    for path in paths if bad else ():
        files = files_of(path)
        made_of = [name for file in files for name in _made_of(file)]
        parts = [file.name for file in files if file != path]
        used = (frame_name(name) for name in [*parts, *made_of])
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
