"""What a calibration document says, entry by entry."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ndmapper.calibrations.folders import check_given
from ndmapper.calibrations.matches import known_key
from ndmapper.calibrations.names import file_path, frame_name, original_name
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
    """
    One association.

    Parameters
    ----------
    frame : str
        The frame that is calibrated.
    cal_type : str
        Type of calibration.
    label : str or None
        The calibration; None for none.
    frames : tuple of str
        The raw frames that it is made of, without bad ones; empty where it is made
        elsewhere.
    bad : tuple of str
        The frames that are left out, since they are marked bad.
    source : str
        Who says so: a server, with its table of rules, or ``"user"``.
    quality : int or None
        How good the match is, where that is known; 0 is the best.
    why : str
        What the look-up had to say.
    locked : bool
        Whether no look-up may change it.
    """

    frame: str
    cal_type: str
    label: str | None
    frames: tuple[str, ...]
    bad: tuple[str, ...]
    source: str
    quality: int | None
    why: str
    locked: bool


def keys_of(cal_dict: Mapping[str, Any], files: Iterable[Any]) -> list[str]:
    """
    Find the names under which a document knows files.

    Parameters
    ----------
    cal_dict : dict
        The calibration document.
    files : iterable of str, path or DataFile
        Raw frames, or what was made of them.

    Returns
    -------
    list of str
        Their keys in the associations.

    Raises
    ------
    ParameterError
        If the document has nothing of one of them, or knows another frame by its
        name.
    """
    files = list(files)
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
    """
    List the frames that are not themselves part of a calibration.

    Parameters
    ----------
    cal_dict : dict
        The calibration document.

    Returns
    -------
    list of str
        Their keys in the associations, in the order of the document; all keys where
        each is part of one.
    """
    sets = cal_dict[CALIBRATIONS].values()
    parts = {frame_name(name) for files in sets for name in files}
    keys = list(cal_dict[ASSOCIATIONS])
    return [key for key in keys if frame_name(key) not in parts] or keys


def entries_of(cal_dict: Mapping[str, Any], keys: Iterable[str]) -> list[Entry]:
    """
    List the associations of frames.

    Parameters
    ----------
    cal_dict : dict
        The calibration document.
    keys : iterable of str
        Keys in the associations.

    Returns
    -------
    list of Entry
        In the order of `keys`, and of the document.
    """
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
