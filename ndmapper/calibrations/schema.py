"""Validate the structure of a calibration document."""

import difflib
import json
from collections.abc import Mapping
from typing import Any

from ndmapper.calibrations.json_text import JsonError, JsonPath, line_of, show_path
from ndmapper.calibrations.names import frame_name
from ndmapper.errors import CalibrationDocumentError
from ndmapper.io.filetypes import split_ext

__all__ = [
    "ANSWERS",
    "ASSOCIATIONS",
    "BAD_FRAMES",
    "CALIBRATIONS",
    "CHECKSUMS",
    "FOLDERS",
    "LOCKED",
    "MAPS",
    "check_document",
    "document_error",
]

ASSOCIATIONS = "associations"
CALIBRATIONS = "calibrations"
CHECKSUMS = "checksums"
MAPS = (ASSOCIATIONS, CALIBRATIONS, CHECKSUMS)
"""The maps that every document has."""

ANSWERS = "answers"
LOCKED = "locked"
BAD_FRAMES = "bad_frames"
FOLDERS = "folders"

# Similarity (0 to 1) from which an unknown key counts as a misspelt map.
_MISSPELT = 0.85


def check_document(document: object, text: str = "", source: str = "") -> None:
    """Raise CalibrationDocumentError for a malformed document, with path and line."""
    try:
        _check(document)
    except JsonError as problem:
        line = line_of(text, problem.path) if text else None
        raise document_error(source, problem, line) from None


def _check(document: Any) -> None:
    _expect(isinstance(document, dict), (), "an object", document)
    for key in document:
        _expect_no_slip(key)
    for name in MAPS:
        _expect_names(document.get(name, {}), (name,))
    for name, types in document.get(ASSOCIATIONS, {}).items():
        path: JsonPath = (ASSOCIATIONS, name)
        _expect_keys(types, path, "an object of calibration types")
        for cal_type, label in types.items():
            fits = label is None or isinstance(label, str)
            _expect(fits, (*path, cal_type), "a file name or null", label)
            if isinstance(label, str):
                _expect_name(label, (*path, cal_type))
    for label, files in document.get(CALIBRATIONS, {}).items():
        path = (CALIBRATIONS, label)
        _expect(isinstance(files, list), path, "a list of file names", files)
        for i, name in enumerate(files):
            _expect(isinstance(name, str), (*path, i), "a file name", name)
            _expect_name(name, (*path, i))
    _expect_labels(document)
    for name, checksum in document.get(CHECKSUMS, {}).items():
        fits = checksum is None or isinstance(checksum, str)
        _expect(fits, (CHECKSUMS, name), "a checksum (text) or null", checksum)
    _expect_notes(document)


def _expect_notes(document: Mapping[str, Any]) -> None:
    """Check the optional maps of a document."""
    for name in (ANSWERS, LOCKED, BAD_FRAMES):
        _expect_names(document.get(name, {}), (name,))
    _expect_names(document.get(FOLDERS, {}), (FOLDERS,))
    for name, folder in document.get(FOLDERS, {}).items():
        _expect(isinstance(folder, str), (FOLDERS, name), "a folder", folder)
    for name, types in document.get(ANSWERS, {}).items():
        path: JsonPath = (ANSWERS, name)
        _expect_keys(types, path, "an object of calibration types")
        for cal_type, noted in types.items():
            _expect_keys(noted, (*path, cal_type), "an object")
    for name, kinds in document.get(LOCKED, {}).items():
        is_list = isinstance(kinds, list) and all(isinstance(k, str) for k in kinds)
        _expect(is_list, (LOCKED, name), "a list of calibration types", kinds)
    for name, said in document.get(BAD_FRAMES, {}).items():
        path = (BAD_FRAMES, name)
        fits = isinstance(said, str | dict)
        _expect(fits, path, 'a text, or an object with "who" and "why"', said)
        for key in ("who", "why") if isinstance(said, dict) else ():
            value = said.get(key)
            fits = value is None or isinstance(value, str)
            _expect(fits, (*path, key), "a text", value)


def _expect(fits: bool, path: JsonPath, expected: str, found: object) -> None:
    if not fits:
        shown = json.dumps(found, default=repr)
        shown = shown if len(shown) < 60 else f"{shown[:57]}..."
        raise JsonError(path, f"expected {expected}, found {shown}")


def _expect_keys(value: object, path: JsonPath, expected: str) -> None:
    _expect(isinstance(value, dict), path, expected, value)
    for key in value if isinstance(value, dict) else ():
        _expect(isinstance(key, str) and key != "", path, "keys that are text", key)


def _expect_names(value: object, path: JsonPath) -> None:
    _expect_keys(value, path, "an object")
    for key in value if isinstance(value, dict) else ():
        _expect_name(key, (*path, key))


def _expect_name(name: str, path: JsonPath) -> None:
    # Names are joined to folders, and must not lead out of them.
    parts = name.replace("\\", "/").split("/")
    fits = bool(name) and "\0" not in name and ".." not in parts and parts[0] != ""
    _expect(fits, path, "a file name without a leading '/' and without '..'", name)


def _expect_no_slip(key: object) -> None:
    # Other keys are allowed, but a misspelt map would be silently ignored.
    text = str(key)
    maps = (*MAPS, LOCKED, BAD_FRAMES)  # names that users write
    if text in maps or text.startswith("_"):
        return
    near = difflib.get_close_matches(text.lower(), maps, n=1, cutoff=_MISSPELT)
    if near:
        msg = (
            f"there is no such map; did you mean {near[0]!r}? (A key of your own may "
            f"begin with '_': {f'_{text}'!r})"
        )
        raise JsonError((text,), msg)


def _expect_labels(document: Mapping[str, Any]) -> None:
    """Check that no label has the file name of a raw frame."""
    calibrations = document.get(CALIBRATIONS, {})
    frames = {frame_name(name) for files in calibrations.values() for name in files}
    targets = {frame_name(name) for name in document.get(ASSOCIATIONS, {})}
    for label, files in calibrations.items():
        path: JsonPath = (CALIBRATIONS, label)
        if "/" in label.replace("\\", "/"):
            msg = (
                "a label becomes the name of a product, so it cannot have a folder; "
                "products go to config['outdir']"
            )
            raise JsonError(path, msg)
        if files == [label]:
            continue  # a raw frame that is the calibration itself
        # A product may have associations itself, under its name.
        if frame_name(label) in frames or (
            frame_name(label) in targets and not _derived(label, files)
        ):
            msg = (
                "a label becomes the name of a product, but this is the name of a raw "
                "frame of the document; give it another"
            )
            raise JsonError(path, msg)


def _derived(label: str, files: list[str]) -> bool:
    stems = (split_ext(frame_name(name))[0] for name in files)
    return any(label.startswith(f"{stem}_") for stem in stems)


def document_error(
    source: str, problem: JsonError, line: int | None
) -> CalibrationDocumentError:
    """Build the error for a malformed document."""
    where = f"{source or 'the calibration document'} is malformed"
    where += f" on line {line}," if line is not None else ""
    advice = "mend it, or move it away to begin anew; it was left as it is"
    msg = f"{where} at {show_path(problem.path)}: {problem}"
    return CalibrationDocumentError(f"{msg}; {advice}" if source else msg)
