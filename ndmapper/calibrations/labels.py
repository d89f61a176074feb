"""Labels of calibrations: the file names of the processed calibrations."""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ndmapper.calibrations.names import plain_name
from ndmapper.calibrations.schema import ASSOCIATIONS, CALIBRATIONS
from ndmapper.io.filetypes import split_ext

__all__ = ["is_default_label", "is_raw_label", "new_label", "numbered_labels"]


def new_label(files: list[str], cal_type: str, cal_dict: Mapping[str, Any]) -> str:
    """Return an unused label for a set of frames."""
    stem, ending = _parts(files[0], cal_type)
    label = f"{stem}{ending}"
    if not _is_taken(label, files, cal_dict):
        return label
    return next(x for x in numbered_labels(label) if not _is_taken(x, files, cal_dict))


def numbered_labels(label: str) -> Iterator[str]:
    """Yield a label with numbers appended, to avoid a label that is taken."""
    stem, ext = split_ext(label)
    for n in itertools.count(1):
        yield f"{stem}_{n}" if ext is None else f"{stem}_{n}.{ext}"


def is_default_label(
    label: str | None, cal_type: str, cal_dict: Mapping[str, Any]
) -> bool:
    """Whether a label has the form that `new_label` gives to its frames."""
    files = None if label is None else cal_dict[CALIBRATIONS].get(label)
    if label is None or not files:
        return False
    if is_raw_label(label, cal_dict):
        return True
    stem, ending = _parts(files[0], cal_type)
    numbered_labels = rf"{re.escape(stem)}(_\d+)?{re.escape(ending)}"
    return re.fullmatch(numbered_labels, label) is not None


def is_raw_label(label: str, cal_dict: Mapping[str, Any]) -> bool:
    """Whether a label is a raw frame that is the calibration itself, as it is."""
    return bool(cal_dict.get(CALIBRATIONS, {}).get(label) == [label])


def _is_taken(label: str, files: list[str], cal_dict: Mapping[str, Any]) -> bool:
    if label in cal_dict[CALIBRATIONS]:
        return bool(cal_dict[CALIBRATIONS][label] != files)
    # A label without frames is a calibration made elsewhere.
    return any(label in types.values() for types in cal_dict[ASSOCIATIONS].values())


def _parts(first: str, cal_type: str) -> tuple[str, str]:
    # A product is not compressed, even if its raw frames are.
    stem, ext = split_ext(plain_name(first))
    return f"{stem}_{cal_type}", "" if ext is None else f".{ext}"
