"""Where the file of a calibration is, which the document knows by its label."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ndmapper.calibrations.names import product_name
from ndmapper.calibrations.schema import CALIBRATIONS
from ndmapper.config import config
from ndmapper.documents import is_file

__all__ = ["find_product", "product_folders"]


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
