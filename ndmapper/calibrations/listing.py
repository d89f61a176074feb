"""List the associations of a calibration document, with source and quality."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ndmapper.calibrations.folders import check_given
from ndmapper.calibrations.names import (
    as_list,
    file_path,
    frame_name,
    known_key,
    original_name,
)
from ndmapper.calibrations.provenance import (
    answer_of,
    good_frames,
    is_locked,
    source_of,
)
from ndmapper.calibrations.schema import ASSOCIATIONS, CALIBRATIONS
from ndmapper.errors import ParameterError, did_you_mean

__all__ = ["Entry", "entries_of", "keys_of", "top_frames"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One association."""

    # The calibrated frame.
    frame: str
    cal_type: str
    # The calibration; None for none.
    label: str | None
    # Raw frames without bad ones; empty for a calibration made elsewhere.
    frames: tuple[str, ...]
    # Frames that are left out, since they are marked bad.
    bad: tuple[str, ...]
    # The service and its rules, or "user".
    source: str
    # Quality of the match, 0 is best.
    quality: int | None
    # Reason given by the look-up.
    why: str
    # Whether it is locked against look-ups.
    locked: bool


def keys_of(cal_dict: Mapping[str, Any], files: Iterable[Any]) -> list[str]:
    """
    Return the names by which a document lists files.

    Raises ParameterError for a file that is not listed, or another of its name.
    """
    files = as_list(files)
    check_given(map(file_path, files), cal_dict)
    associations = cal_dict[ASSOCIATIONS]
    found = []
    for file in files:
        name = original_name(file)
        key = known_key(associations, name)
        if key not in associations:
            raise ParameterError(_unknown(name, cal_dict))
        found.append(key)
    return found


def _unknown(name: str, cal_dict: Mapping[str, Any]) -> str:
    for label, files in cal_dict[CALIBRATIONS].items():
        if frame_name(name) in map(frame_name, files):
            return (
                f"the calibration document says of {name} only that {label} is made "
                "of it, not what calibrates it; look its calibrations up first"
            )
    hint = did_you_mean(name, cal_dict[ASSOCIATIONS])
    return (
        f"the calibration document has no {name}{hint}; look its calibrations up first"
    )


def top_frames(cal_dict: Mapping[str, Any]) -> list[str]:
    """Return the frames that are not part of a calibration."""
    sets = cal_dict[CALIBRATIONS].values()
    parts = {frame_name(name) for files in sets for name in files}
    keys = list(cal_dict[ASSOCIATIONS])
    return [key for key in keys if frame_name(key) not in parts] or keys


def entries_of(cal_dict: Mapping[str, Any], keys: Iterable[str]) -> list[Entry]:
    """Return the associations of frames."""
    found = []
    for key in keys:
        for cal_type, label in cal_dict[ASSOCIATIONS][key].items():
            noted = answer_of(key, cal_type, cal_dict) or {}
            files = cal_dict[CALIBRATIONS].get(label, ())
            good = good_frames(files, cal_dict)
            found.append(
                Entry(
                    frame=key,
                    cal_type=cal_type,
                    label=label,
                    frames=tuple(good),
                    bad=tuple(name for name in files if name not in good),
                    source=source_of(key, cal_type, cal_dict),
                    quality=noted.get("quality"),
                    why=str(noted.get("why") or ""),
                    locked=is_locked(key, cal_type, cal_dict),
                )
            )
    return found
