"""Parsers of the Gemini archive's replies."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ndmapper.calibrations.names import plain_name
from ndmapper.errors import MissingFileError, ServiceError
from ndmapper.services.parsing import parse_json_reply, parse_xml, tag_of
from ndmapper.services.safename import inside, safe_name

__all__ = [
    "FoundCalibrations",
    "ListedFile",
    "calibrations_of_json",
    "calibrations_of_xml",
    "file_row",
]


@dataclass(frozen=True)
class FoundCalibrations:
    """Reply of the archive for one type of calibration of one frame."""

    # Names and checksums of the stored (compressed) files, best first.
    files: tuple[tuple[str, str | None], ...] = ()
    # Calibrations that are known but not in the archive.
    absent: tuple[str, ...] = ()
    # Whether the archive knows the frame.
    is_known: bool = True
    # Whether the search failed.
    has_failed: bool = False


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """Entry of the archive's file list."""

    # Stored name, and folder in the archive.
    filename: str
    folder: str
    # Size as stored (compressed).
    size: int | None
    # MD5 as stored.
    checksum: str | None
    # Size without compression.
    plain_size: int | None
    plain_checksum: str | None
    # Observation mode, if header data were requested.
    mode: str


def calibrations_of_json(
    body: bytes, filename: str, cal_type: str, source: str
) -> FoundCalibrations:
    """Parse a reply of ``jsoncalmgr``."""
    datasets = _rows(parse_json_reply(body, source), source)
    own = [d for d in datasets if _is_name(d.get("filename"), filename)]
    if not own:
        return FoundCalibrations(is_known=False)
    files: dict[str, str | None] = {}
    absent = []
    failed = False
    for dataset in own:
        for info in _rows(dataset.get("cal_info"), source):
            if info.get("type") != cal_type:
                continue
            failed |= bool(info.get("error"))
            for cal in _rows(info.get("cals") or [], source):
                name = _name(cal.get("name"), source)
                if cal.get("url") is None:
                    absent.append(name)
                else:
                    files.setdefault(name, _checksum(cal.get("md5")))
    return FoundCalibrations(tuple(files.items()), tuple(absent), has_failed=failed)


def calibrations_of_xml(
    body: bytes, filename: str, cal_type: str, source: str
) -> FoundCalibrations:
    """Parse a reply of ``xmlcalmgr``."""
    root = parse_xml(body, source)
    if tag_of(root) != "calibration_associations":
        msg = f"{source} answers with <{tag_of(root)}> in place of calibrations"
        raise ServiceError(msg)
    files: dict[str, str | None] = {}
    absent = []
    known = False
    for dataset in root:
        if not _is_name(_texts(dataset).get("filename"), filename):
            continue
        known = True
        for element in dataset:
            cal = _texts(element)
            if tag_of(element) != "calibration" or cal.get("caltype") != cal_type:
                continue
            name = _name(cal.get("filename"), source)
            if cal.get("url"):
                files.setdefault(name, _checksum(cal.get("md5")))
            else:
                absent.append(name)
    failed = f"PROBLEM WHILE SEARCHING FOR caltype {cal_type} ".encode() in body
    return FoundCalibrations(tuple(files.items()), tuple(absent), known, failed)


def file_row(body: bytes, name: str, checksum: str | None, source: str) -> ListedFile:
    """
    Parse a reply of ``jsonfilelist`` for one name.

    Raises MissingFileError if the archive has no such file.
    """
    rows = [
        row
        for row in _rows(parse_json_reply(body, source), source)
        if _is_name(row.get("name") or row.get("filename"), name)
        and row.get("present", True)
    ]
    if not rows:
        msg = "the archive has no such file"
        raise MissingFileError(msg)
    digits = (checksum or "").strip().lower().rpartition(":")[2]

    def rank(row: Mapping[str, Any]) -> tuple[bool, bool, bool, str]:
        meant = digits in (row.get("file_md5"), row.get("data_md5"))
        raw = not row.get("path")
        return meant, bool(row.get("canonical", True)), raw, str(row.get("lastmod"))

    row = max(rows, key=rank)
    filename = safe_name(str(row.get("filename")), source)
    folder = str(row.get("path") or "").strip("/")
    if row.get("path"):
        inside(f"{row['path']}/x", source)
    return ListedFile(
        filename=filename,
        folder=folder,
        size=_count(row.get("file_size")),
        checksum=_checksum(row.get("file_md5")),
        plain_size=_count(row.get("data_size")),
        plain_checksum=_checksum(row.get("data_md5")),
        mode=str(row.get("mode")),
    )


def _rows(value: Any, source: str) -> list[Mapping[str, Any]]:
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return value
    msg = f"{source} answers with something else than a list of objects"
    raise ServiceError(msg)


def _is_name(found: object, asked: str) -> bool:
    return isinstance(found, str) and plain_name(found) == plain_name(asked)


def _name(value: object, source: str) -> str:
    return plain_name(safe_name(str(value or ""), source))


def _checksum(value: object) -> str | None:
    text = str(value or "").strip().lower()
    return text if len(text) == 32 and not set(text) - set("0123456789abcdef") else None


def _texts(elements: Iterable[Any]) -> dict[str, str]:
    return {tag_of(e): (e.text or "").strip() for e in elements if len(e) == 0}


def _count(value: object) -> int | None:
    return value if type(value) is int and value > 0 else None
