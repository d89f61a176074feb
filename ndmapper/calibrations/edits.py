"""Edits of the calibration document by the user: bad frames, locks, replacements."""

import getpass
from collections.abc import Iterable, Mapping
from typing import Any

from ndmapper.calibrations.entries import add_cal_entry, clean_cal_entries_if_unused
from ndmapper.calibrations.folders import check_given, find_frame
from ndmapper.calibrations.frames import read_frame
from ndmapper.calibrations.lookup_result import Answer
from ndmapper.calibrations.names import (
    as_list,
    file_name,
    file_path,
    frame_name,
    known_key,
    original_name,
)
from ndmapper.calibrations.provenance import forget_answer
from ndmapper.calibrations.schema import (
    ASSOCIATIONS,
    BAD_FRAMES,
    LOCKED,
    check_document,
)
from ndmapper.errors import ParameterError

__all__ = ["lock_cals", "mark_bad", "replace_cals", "unmark_bad"]


def mark_bad(
    files: Any, cal_dict: dict[str, Any], why: str, who: str | None = None
) -> None:
    """
    Mark frames as bad, so that no calibration uses them.

    They are left out of look-ups and of the sets returned by `cal_entries`; the lists
    in the document are not changed.

    Parameters
    ----------
    files : str, path, DataFile or a sequence of them
        The frames.
    cal_dict : dict
        The calibration document, which is changed.
    why : str
        What is wrong with them.
    who : str, optional
        Who marked them; by default the user of this machine.

    Raises
    ------
    ParameterError
        If no reason is given, a file has no name, or one is another frame than the
        one that the document knows by its name.
    """
    if not why.strip():
        msg = "say why a frame is bad, for those who ask themselves later"
        raise ParameterError(msg)
    check_document(cal_dict)
    files = as_list(files)
    check_given(map(file_path, files), cal_dict)
    said = {"who": who or _user(), "why": why.strip()}
    bad = cal_dict.setdefault(BAD_FRAMES, {})
    for file in files:
        bad[known_key(bad, file_name(file))] = dict(said)


def unmark_bad(files: Any, cal_dict: dict[str, Any]) -> None:
    """
    Undo `mark_bad`.

    Parameters
    ----------
    files : str, path, DataFile or a sequence of them
        The frames.
    cal_dict : dict
        The calibration document, which is changed.

    Raises
    ------
    ParameterError
        If a file is not marked bad.
    """
    files = as_list(files)
    check_given(map(file_path, files), cal_dict)
    bad = cal_dict.get(BAD_FRAMES, {})
    keys = {frame_name(key): key for key in bad}
    for file in files:
        name = file_name(file)
        if frame_name(name) not in keys:
            msg = f"{name} is not marked bad; there are: {', '.join(bad) or 'none'}"
            raise ParameterError(msg)
        bad.pop(keys[frame_name(name)], None)
    if not bad:
        cal_dict.pop(BAD_FRAMES, None)


def lock_cals(
    filename: Any, cal_type: str, cal_dict: dict[str, Any], *, locked: bool = True
) -> None:
    """
    Lock associations against changes by look-ups, or unlock them.

    Parameters
    ----------
    filename : str, path or DataFile
        The file to be calibrated.
    cal_type : str
        Type of calibration.
    cal_dict : dict
        The calibration document, which is changed.
    locked : bool
        Whether to lock or unlock.
    """
    check_document(cal_dict)
    locks = cal_dict.setdefault(LOCKED, {})
    key = known_key(locks, original_name(filename))
    kinds = [kind for kind in locks.get(key, ()) if kind != cal_type]
    if locked:
        kinds.append(cal_type)
    locks[key] = sorted(kinds)
    if not kinds:
        del locks[key]
    if not locks:
        del cal_dict[LOCKED]


def replace_cals(
    filename: Any,
    cal_type: str,
    cal_dict: dict[str, Any],
    *,
    frames: Iterable[Any] = (),
    product: str | None = None,
) -> None:
    """Set the calibration of a file, replacing the previous association."""
    check_document(cal_dict)
    names = [file_path(frame) for frame in frames]
    if product is None:
        is_raw = len(names) == 1 and _is_used_raw(names[0], cal_type, cal_dict)
        files = tuple((name, None) for name in names)
        answer = Answer(files=files, is_raw=is_raw)
        add_cal_entry(filename, cal_type, answer, cal_dict)
        return
    associations = cal_dict[ASSOCIATIONS]
    key = known_key(associations, original_name(filename))
    types = associations.setdefault(key, {})
    replaced = types.get(cal_type)
    types[cal_type] = product
    forget_answer(key, cal_type, cal_dict)
    check_document(cal_dict)
    if replaced is not None and replaced != product:
        clean_cal_entries_if_unused(replaced, cal_dict)


def _is_used_raw(file: str, cal_type: str, cal_dict: Mapping[str, Any]) -> bool:
    """Whether a raw frame is the calibration itself, by the rules of its instrument."""
    path = find_frame(file, cal_dict)
    instrument = None if path is None else read_frame(path).instrument
    rule = None if instrument is None else instrument.rule(cal_type)
    return rule is not None and rule.raw


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
