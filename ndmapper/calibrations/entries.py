"""Entries of a calibration document: add them, clean them up, list them."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ndmapper.calibrations.folders import note_given
from ndmapper.calibrations.labels import is_looked_up, new_label
from ndmapper.calibrations.matches import (
    Matches,
    given_files,
    known_key,
    matched_files,
)
from ndmapper.calibrations.names import (
    file_name,
    file_path,
    frame_name,
    original_name,
    several,
)
from ndmapper.calibrations.places import find_product, product_folders
from ndmapper.calibrations.provenance import (
    Answer,
    answer_of,
    forget_answer,
    good_frames,
)
from ndmapper.calibrations.schema import (
    ASSOCIATIONS,
    CALIBRATIONS,
    CHECKSUMS,
    MAPS,
    check_document,
)
from ndmapper.errors import CalibrationDocumentError, ParameterError

__all__ = [
    "add_cal_entry",
    "cal_entries",
    "clean_cal_entries_if_unused",
    "note_matches",
    "note_target",
    "types_of",
    "types_of_known",
]


def add_cal_entry(
    filename: Any,
    cal_type: str,
    matches: Matches,
    cal_dict: dict[str, Any],
    clean: bool = True,
) -> None:
    """
    Say which frames calibrate a file, in place of what was said before.

    The calibration is labelled by the first of its sorted frames and its type:
    ``S20120827S0069_flat.fits``. A label that belongs to other frames already, or that
    another file uses although no frames are listed for it, gets a running number. The
    label is the file name of the calibration once it is made.

    Parameters
    ----------
    filename : str, path, FileName or DataFile
        The file to be calibrated; its original name counts.
    cal_type : str
        Type of calibration.
    matches : sequence or None
        Names of the frames, or pairs of name and checksum (text or None). None or
        nothing: there is no such calibration, which is noted as null. The folder of a
        frame is noted, where it is given and there.
    cal_dict : dict
        The calibration document, which is changed.
    clean : bool
        Whether a calibration that this replaces is dropped if nothing else uses it.

    Raises
    ------
    ParameterError
        If `matches` has another form, or the file no name; or if one of the files
        is another frame than the one that the document knows by its name.
    CalibrationDocumentError
        If the document is malformed.
    """
    _check_maps(cal_dict)
    name = original_name(filename)
    given = [file_path(filename)] if file_name(filename) == name else []
    note_given([*given, *given_files(matches)], cal_dict)
    frames = (f for files in cal_dict[CALIBRATIONS].values() for f in files)
    if frame_name(name) not in map(frame_name, frames):
        note_target(name, cal_dict)
    forget_answer(known_key(cal_dict[ASSOCIATIONS], name), cal_type, cal_dict)
    note_matches(name, cal_type, matches, cal_dict, clean=clean)


def note_target(name: str, cal_dict: dict[str, Any]) -> None:
    """
    Remember that a frame is calibrated for its own sake, not for that of another.

    It keeps its calibrations even if it is also a frame of one that is dropped. That
    is remembered as long as the document is in memory.

    Parameters
    ----------
    name : str
        Name of the frame.
    cal_dict : dict
        The calibration document.
    """
    targets = getattr(cal_dict, "targets", None)
    if targets is not None:
        targets.add(frame_name(name))


def note_matches(
    name: str,
    cal_type: str,
    matches: Matches,
    cal_dict: dict[str, Any],
    *,
    clean: bool = True,
) -> None:
    """
    Do what `add_cal_entry` does for a frame whose name is in the document's form.

    Parameters
    ----------
    name : str
        Name of the raw frame, taken as it is; only its compression does not matter.
    cal_type : str
        Type of calibration.
    matches : sequence or None
        Names of the frames, or pairs of name and checksum.
    cal_dict : dict
        The calibration document, which is changed.
    clean : bool
        Whether a calibration that this replaces is dropped if nothing else uses it.

    Raises
    ------
    ParameterError
        If `matches` has another form.
    """
    files = matched_files(matches)
    key = known_key(cal_dict[ASSOCIATIONS], name)
    types = cal_dict[ASSOCIATIONS].setdefault(key, {})
    replaced = types.get(cal_type)
    types[cal_type] = label = None
    if files:
        label = new_label([file for file, _ in files], cal_type, cal_dict)
        cal_dict[CALIBRATIONS].setdefault(label, [file for file, _ in files])
        types[cal_type] = label
    elif isinstance(matches, Answer) and matches.product is not None:
        # A calibration that is made already has no raw frames in the document.
        types[cal_type] = label = matches.product
    for file, checksum in files:
        # A checksum that is there may have been corrected by the user.
        if checksum is not None:
            cal_dict[CHECKSUMS].setdefault(file, checksum)
    if clean and replaced is not None and replaced != label:
        clean_cal_entries_if_unused(replaced, cal_dict)


def clean_cal_entries_if_unused(label: str, cal_dict: dict[str, Any]) -> None:
    """
    Drop a calibration that no file uses, and what only it has needed.

    That is: the checksums of its frames, their own associations, and in turn the
    calibrations which those refer to. Of the associations, those stay that may be the
    wish of the user: of a frame that is itself a file to be calibrated, with null, and
    with a calibration that no look-up would have called so.

    Parameters
    ----------
    label : str
        Label of the calibration.
    cal_dict : dict
        The calibration document, which is changed.

    Raises
    ------
    CalibrationDocumentError
        If the document is malformed.
    """
    _check_maps(cal_dict)
    associations, calibrations = cal_dict[ASSOCIATIONS], cal_dict[CALIBRATIONS]
    pending = [label]
    while pending:
        unused = pending.pop()
        if unused not in calibrations or any(
            unused in types.values() for types in associations.values()
        ):
            continue
        dropped = calibrations.pop(unused)
        needed = {name for files in calibrations.values() for name in files}
        for name in dropped:
            if name not in needed:
                pending += _drop_frame(name, cal_dict)


def _drop_frame(name: str, cal_dict: dict[str, Any]) -> list[str]:
    """Drop what only look-ups noted of a frame; give the labels it referred to."""
    if frame_name(name) in getattr(cal_dict, "targets", ()):
        return []
    types = cal_dict[ASSOCIATIONS].get(name, {})
    found = {
        cal_type: label
        for cal_type, label in types.items()
        if is_looked_up(label, cal_type, cal_dict)
        or answer_of(name, cal_type, cal_dict) is not None
    }
    for cal_type in found:
        del types[cal_type]
        forget_answer(name, cal_type, cal_dict)
    if not types:
        cal_dict[ASSOCIATIONS].pop(name, None)
        cal_dict[CHECKSUMS].pop(name, None)
    return [label for label in found.values() if label is not None]


def cal_entries(
    cal_dict: Mapping[str, Any], cal_type: str, reference: Any = None
) -> list[tuple[str, list[str]]]:
    """
    List the calibrations of a type.

    Parameters
    ----------
    cal_dict : dict
        The calibration document.
    cal_type : str
        Type of calibration.
    reference : str, path, FileName, DataFile or a sequence of them, optional
        Only the calibrations of these files; by default those of all.

    Returns
    -------
    list of (str, list of str)
        Label and names of raw frames, sorted by label, without those that are marked
        bad. A label whose frames are not known (a calibration made elsewhere) has an
        empty list.

    Raises
    ------
    CalibrationDocumentError
        If the document is malformed, or its file has a label that stands for nothing:
        no raw frames, and no file in the folder of products or beside the document;
        or all frames of a calibration are marked bad.
    """
    _check_maps(cal_dict)
    wanted = None
    if reference is not None:
        wanted = {frame_name(original_name(file)) for file in several(reference)}
    labels = {
        types[cal_type]: name
        for name, types in cal_dict[ASSOCIATIONS].items()
        if types.get(cal_type) is not None
        and (wanted is None or frame_name(name) in wanted)
    }
    for label, name in labels.items():
        _check_label(label, name, cal_type, cal_dict)
    return [(x, _raw_frames(x, labels[x], cal_dict)) for x in sorted(labels)]


def _raw_frames(label: str, name: str, cal_dict: Mapping[str, Any]) -> list[str]:
    files = cal_dict[CALIBRATIONS].get(label, ())
    good = good_frames(files, cal_dict)
    if files and not good:
        msg = (
            f"all frames of {label}, which {name} uses, are marked bad: "
            f"{', '.join(files)}; look its calibrations up again, or name others"
        )
        raise CalibrationDocumentError(msg)
    return good


def _check_label(
    label: str, name: str, cal_type: str, cal_dict: Mapping[str, Any]
) -> None:
    """Check that a label in a file, which a person may have typed, means something."""
    source = getattr(cal_dict, "path", None)
    calibrations = cal_dict[CALIBRATIONS]
    if source is None or calibrations.get(label) or find_product(label, cal_dict):
        return
    what = f"which is neither in {CALIBRATIONS!r} nor a file"
    near = difflib.get_close_matches(label, calibrations, n=1)
    if label in calibrations:
        what, near = (
            f"whose list in {CALIBRATIONS!r} is empty, and which is no file",
            [],
        )
    places = " or ".join(str(folder) for folder in product_folders(cal_dict))
    advice = f"list its raw frames there, or put the file into {places}"
    if near:
        advice = f"did you mean {near[0]}?"
    msg = f"{source}: {name} has the {cal_type} {label}, {what}; {advice}"
    raise CalibrationDocumentError(msg)


def types_of_known(
    cal_dict: Mapping[str, Any], names: Iterable[str]
) -> Mapping[str, str | None]:
    """
    Find the calibrations of a file that may go by several names.

    Parameters
    ----------
    cal_dict : dict
        The calibration document.
    names : iterable of str
        Names of the file, the likeliest first; their compression does not matter.

    Returns
    -------
    mapping of str to str or None
        Type to label, of the first name that is in the document; empty where none is.
    """
    associations = cal_dict[ASSOCIATIONS]
    keys = (known_key(associations, name) for name in names)
    known: Iterable[Mapping[str, str | None]]
    known = (associations[key] for key in keys if key in associations)
    return next(iter(known), {})


def types_of(cal_dict: Mapping[str, Any], name: str) -> Mapping[str, str | None]:
    """
    Find the calibrations of a frame.

    Parameters
    ----------
    cal_dict : dict
        The calibration document.
    name : str
        Name of the frame; its compression does not matter.

    Returns
    -------
    mapping of str to str or None
        Type to label; empty where the frame is not in the document.
    """
    associations: Mapping[str, dict[str, str | None]] = cal_dict[ASSOCIATIONS]
    return associations.get(known_key(associations, name), {})


def _check_maps(cal_dict: Mapping[str, Any]) -> None:
    if not isinstance(cal_dict, dict) or not all(
        isinstance(cal_dict.get(name), dict) for name in MAPS
    ):
        check_document(cal_dict)
        msg = (
            f"the calibration document must have the maps {', '.join(MAPS)}; "
            "begin one with init_cal_dict()"
        )
        raise ParameterError(msg)
