"""Add, remove and list the entries of a calibration document."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ndmapper.calibrations.folders import note_given
from ndmapper.calibrations.labels import is_default_label, new_label
from ndmapper.calibrations.lookup_result import (
    Answer,
    Matches,
    given_files,
    matched_files,
)
from ndmapper.calibrations.names import (
    as_list,
    file_name,
    file_path,
    frame_name,
    known_key,
    original_name,
)
from ndmapper.calibrations.products import find_product, product_folders
from ndmapper.calibrations.provenance import answer_of, forget_answer, good_frames
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
    Set the frames that calibrate a file, replacing earlier ones.

    The calibration is labelled with the name of the first of its sorted frames and its
    type: ``S20120827S0069_flat.fits``. If the label is taken by other frames, or used
    by another file without a list of frames, a number is appended. The label is the
    file name of the processed calibration.

    Parameters
    ----------
    filename : str, path, FileName or DataFile
        The file to be calibrated, known by its original name.
    cal_type : str
        Type of calibration.
    matches : sequence or None
        Names of the frames, or pairs of name and checksum (str or None). None or an
        empty sequence: there is no calibration, which is noted as null. The folders of
        frames given by path are noted.
    cal_dict : dict
        The calibration document, which is changed.
    clean : bool
        Whether a replaced calibration is removed if no other file uses it.

    Raises
    ------
    ParameterError
        If `matches` has another form, the file has no name, or the document lists
        another frame under the name of one of the files.
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
    Mark a frame as a target, for as long as the document is in memory.

    A target keeps its calibrations even if it is also a frame of a calibration that is
    dropped.
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
    """Set the calibration of a frame, given by its name in the document."""
    files = matched_files(matches)
    key = known_key(cal_dict[ASSOCIATIONS], name)
    types = cal_dict[ASSOCIATIONS].setdefault(key, {})
    replaced = types.get(cal_type)
    types[cal_type] = label = None
    if files:
        names = [file for file, _ in files]
        is_raw = isinstance(matches, Answer) and matches.is_raw and len(names) == 1
        label = names[0] if is_raw else new_label(names, cal_type, cal_dict)
        cal_dict[CALIBRATIONS].setdefault(label, names)
        types[cal_type] = label
    elif isinstance(matches, Answer) and matches.product is not None:
        # A processed calibration has no raw frames in the document.
        types[cal_type] = label = matches.product
    for file, checksum in files:
        # The user may have corrected an existing checksum.
        if checksum is not None:
            cal_dict[CHECKSUMS].setdefault(file, checksum)
    if clean and replaced is not None and replaced != label:
        clean_cal_entries_if_unused(replaced, cal_dict)


def clean_cal_entries_if_unused(label: str, cal_dict: dict[str, Any]) -> None:
    """
    Remove a calibration that no file uses, and recursively what only it needed.

    That is: the checksums of its frames, their associations, and the calibrations to
    which those refer. Associations that the user may have made are kept: those of a
    target, null, and those with a label that no look-up would give.

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
    """Drop the looked-up associations of a frame; return their labels."""
    if frame_name(name) in getattr(cal_dict, "targets", ()):
        return []
    types = cal_dict[ASSOCIATIONS].get(name, {})
    found = {
        cal_type: label
        for cal_type, label in types.items()
        if is_default_label(label, cal_type, cal_dict)
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
        Only the calibrations of these files; by default all.

    Returns
    -------
    list of (str, list of str)
        Label and names of raw frames, sorted by label, without frames marked bad. A
        label without known frames (a calibration made elsewhere) has an empty list.

    Raises
    ------
    CalibrationDocumentError
        If the document is malformed; if a label has neither raw frames nor a file in
        the folder of products or beside the document; or if all frames of a calibration
        are marked bad.
    """
    _check_maps(cal_dict)
    wanted = None
    if reference is not None:
        wanted = {frame_name(original_name(file)) for file in as_list(reference)}
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
    """Raise an error if a label refers to no frames and no file."""
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
    """Return the calibrations of a file that may be listed by one of several names."""
    associations = cal_dict[ASSOCIATIONS]
    keys = (known_key(associations, name) for name in names)
    known: Iterable[Mapping[str, str | None]]
    known = (associations[key] for key in keys if key in associations)
    return next(iter(known), {})


def types_of(cal_dict: Mapping[str, Any], name: str) -> Mapping[str, str | None]:
    """Return the calibrations of a frame, by type."""
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
