"""What a calibration document says, entry by entry."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ndmapper.calibrations.lookup_result import known_key
from ndmapper.calibrations.names import frame_name, original_name
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

    # The frame that is calibrated.
    frame: str
    # Type of calibration.
    cal_type: str
    # The calibration; None for none.
    label: str | None
    # The raw frames that it is made of, without bad ones; empty where it is made
    # elsewhere.
    frames: tuple[str, ...]
    # The frames that are left out, since they are marked bad.
    bad: tuple[str, ...]
    # Who says so: a server, with its table of rules, or ``"user"``.
    source: str
    # How good the match is, where that is known; 0 is the best.
    quality: int | None
    # What the look-up had to say.
    why: str
    # Whether no look-up may change it.
    locked: bool


def keys_of(cal_dict: Mapping[str, Any], files: Iterable[Any]) -> list[str]:
    """
    Find the names under which a document knows files.

    Raises ParameterError if the document has nothing of one of them.
    """
    associations = cal_dict[ASSOCIATIONS]
    found = []
    for file in files:
        name = original_name(file)
        key = known_key(associations, name)
        if key not in associations:
            msg = (
                f"the calibration document has no {name}"
                f"{did_you_mean(name, associations)}; look its calibrations up first"
            )
            raise ParameterError(msg)
        found.append(key)
    return found


def top_frames(cal_dict: Mapping[str, Any]) -> list[str]:
    """List the frames that are not themselves part of a calibration."""
    sets = cal_dict[CALIBRATIONS].values()
    parts = {frame_name(name) for files in sets for name in files}
    keys = list(cal_dict[ASSOCIATIONS])
    return [key for key in keys if frame_name(key) not in parts] or keys


def entries_of(cal_dict: Mapping[str, Any], keys: Iterable[str]) -> list[Entry]:
    """List the associations of frames."""
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
