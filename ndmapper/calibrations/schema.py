"""The form of a calibration document, and what is said of one that has another."""

import json
from typing import Any

from ndmapper.calibrations.json_text import JsonError, JsonPath, line_of, show_path
from ndmapper.errors import CalibrationDocumentError

__all__ = [
    "ASSOCIATIONS",
    "CALIBRATIONS",
    "CHECKSUMS",
    "MAPS",
    "check_document",
    "document_error",
]

ASSOCIATIONS = "associations"
CALIBRATIONS = "calibrations"
CHECKSUMS = "checksums"
MAPS = (ASSOCIATIONS, CALIBRATIONS, CHECKSUMS)


def check_document(document: object, text: str = "", source: str = "") -> None:
    """
    Check that a document has the form that `ndmapper.calibrations.document` describes.

    Parameters
    ----------
    document : object
        The document.
    text : str
        The JSON text it was read from, to say on which line a mistake is.
    source : str
        Name of the file, for the message; "" where the document is in memory.

    Raises
    ------
    CalibrationDocumentError
        If it has not; says at which JSON path (and line) and what was expected.
    """
    try:
        _check(document)
    except JsonError as problem:
        line = line_of(text, problem.path) if text else None
        raise document_error(source, problem, line) from None


def _check(document: Any) -> None:
    _expect(isinstance(document, dict), (), "an object", document)
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
    for name, checksum in document.get(CHECKSUMS, {}).items():
        fits = checksum is None or isinstance(checksum, str)
        _expect(fits, (CHECKSUMS, name), "a checksum (text) or null", checksum)


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
    # A name is joined to the folder of raw frames or of products, which a document
    # from elsewhere must not be able to leave.
    parts = name.replace("\\", "/").split("/")
    fits = bool(name) and "\0" not in name and ".." not in parts and parts[0] != ""
    _expect(fits, path, "a file name without a leading '/' and without '..'", name)


def document_error(
    source: str, problem: JsonError, line: int | None
) -> CalibrationDocumentError:
    """
    Make the error that says what is wrong with a document.

    Parameters
    ----------
    source : str
        Name of the file; "" where the document is in memory.
    problem : JsonError
        What is wrong, and where.
    line : int or None
        On which line.

    Returns
    -------
    CalibrationDocumentError
        To be raised.
    """
    where = f"{source or 'the calibration document'} is malformed"
    where += f" on line {line}," if line is not None else ""
    advice = "mend it, or move it away to begin anew; it was left as it is"
    msg = f"{where} at {show_path(problem.path)}: {problem}"
    return CalibrationDocumentError(f"{msg}; {advice}" if source else msg)
