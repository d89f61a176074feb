"""A table of the frames in a folder, with classes that the user can correct."""

import difflib
import logging
import math
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import MaskedColumn, Table

from ndmapper.calibrations.frames import Frame, read_frame
from ndmapper.calibrations.names import frame_name, name_variants
from ndmapper.calibrations.patterns import is_there
from ndmapper.calibrations.scan import find_frames
from ndmapper.calibrations.sets import gathered, joined
from ndmapper.data.fold_names import fold_names
from ndmapper.data.name_pattern import parse_pattern
from ndmapper.documents import check_length
from ndmapper.errors import (
    FileAccessError,
    FormatError,
    InstrumentError,
    MissingFileError,
    NdmapperError,
    ParameterError,
    did_you_mean,
)
from ndmapper.instruments import Instrument, load, names
from ndmapper.instruments.conditions import Value

__all__ = ["UNCLASSIFIED", "frames_of_survey", "survey"]

log = logging.getLogger(__name__)

UNCLASSIFIED = "?"
"""Class of a frame that is not recognised."""

# numpy truncates text assigned to a narrower column.
_CLASS_TYPE = "U32"
# Number of rows from which whole folders are scanned instead of single files.
_MANY = 50
# Number of frames named in a warning.
_SHOWN = 5
# How like a descriptor a column must be (0 to 1) to be taken for a slip.
_MISSPELT = 0.85
_OWN = ("file", "class", "why", "instrument")


def survey(
    folder: str | os.PathLike[str],
    instrument: Instrument | str | os.PathLike[str] | None = None,
    known: Table | str | os.PathLike[str] | None = None,
) -> Table:
    """
    List the frames of a folder with their classes, and the reasons for them.

    Classes can be corrected and rows removed, in the table or in an ECSV file it is
    saved to (``table.write('night.ecsv')``). The table or file is then passed to
    `ndmapper.services.look_up_cals` as ``survey=``, or to this function as ``known=``
    when there are new frames.

    Parameters
    ----------
    folder : str or path
        The folder. Only headers are read.
    instrument : str or path, optional
        Name of the instrument, or path of its TOML; by default recognised by header.
    known : Table, str or path, optional
        An earlier survey of the folder, or its ECSV file: its rows are kept, rows that
        were removed stay removed, and new frames are added.

    Returns
    -------
    astropy.table.Table
        One row for each FITS file: ``file``, ``class`` (``?`` if not recognised),
        ``why``, ``instrument``, and the keywords that matter for the instrument.

    Raises
    ------
    MissingFileError
        If there is no such folder.
    InstrumentError
        If there is no such instrument.
    """
    frames = find_frames(folder, instrument)
    unknown = [frame.name for frame in frames if frame.frame_class is None]
    if unknown:
        listed = _in_columns(fold_names(unknown))
        log.info("%d of %d frames in %s without a class:\n%s",
                 len(unknown), len(frames), folder, listed)  # fmt: skip
    _warn_of_times(frames)
    table = _table(frames, folder)
    if known is None:
        return table
    before = known if isinstance(known, Table) else _read(Path(known))
    return _with_new(before, table)


def _in_columns(names: Sequence[str], width: int = 88) -> str:
    """Format names in columns that fit into a line."""
    wide = max(map(len, names)) + 2
    count = max(1, (width - 2) // wide)
    rows = [names[i : i + count] for i in range(0, len(names), count)]
    return "\n".join(
        "  " + "".join(name.ljust(wide) for name in row).rstrip() for row in rows
    )


def _table(frames: Sequence[Frame], folder: str | os.PathLike[str]) -> Table:
    marks = " ".join(_mark(frame.name) for frame in frames)
    table = Table(meta={"folder": os.fspath(folder), "seen": marks})
    table["file"] = _texts(frame.name for frame in frames)
    table["class"] = np.array(
        [frame.frame_class or UNCLASSIFIED for frame in frames], dtype=_CLASS_TYPE
    )
    table["why"] = _texts(frame.why for frame in frames)
    table["instrument"] = _texts(_instrument_name(frame) for frame in frames)
    for name in _shown(frames):
        table[name] = _column([frame.values.get(name) for frame in frames])
    return table


def _with_new(before: Table, now: Table) -> Table:
    """Append the frames that are not in an earlier survey."""
    from astropy.table import vstack

    _check_columns(before, "the survey")
    rows = {str(name) for name in before["file"]}
    seen = set(str(before.meta.get("seen", "")).split())
    new = [n not in rows and _mark(n) not in seen for n in map(str, now["file"])]
    if not any(new):
        return before
    # Text columns may need to be wider, and new instruments need new columns.
    meta = {**before.meta, "seen": now.meta["seen"]}
    result = vstack([before, now[new]], metadata_conflicts="silent")
    result.meta = meta
    result["class"] = result["class"].astype(_CLASS_TYPE)
    return result


def _mark(name: str) -> str:
    """Short digest of a name, to remember rows that the user removed."""
    return f"{zlib.crc32(name.encode('utf-8', 'surrogateescape')):08x}"


def _check_columns(table: Table, source: str) -> None:
    for name in ("file", "class"):
        if name not in table.colnames:
            hint = did_you_mean(name, table.colnames)
            msg = f"{source} has no column {name!r}{hint}; it needs file and class"
            raise ParameterError(msg)


def frames_of_survey(
    table: Table | str | os.PathLike[str], folders: Sequence[Path] = ()
) -> list[Frame]:
    """Return the frames of a survey, with the classes that the user corrected."""
    source = "the survey"
    if not isinstance(table, Table):
        source = f"the survey {os.fspath(table)}"
        table = _read(Path(table))
    _check_columns(table, source)
    places = [*folders, Path(str(table.meta.get("folder", ".")))]
    # Large folders are cached.
    scanned = _Scanned(len(table))
    frames = []
    for number in _once(table, source):
        row = table[number]
        name = _text(row, "file")
        names = [p / variant for p in places for variant in name_variants(name)]
        path = next((p for p in names if is_there(p)), None)
        if path is None:
            where = ", ".join(str(place) for place in places)
            log.warning("%s of %s is not in %s and is left out", name, source, where)
        else:
            try:
                frames.append(_corrected(row, path, scanned))
            except InstrumentError as err:
                msg = f"{source}, row of {name}: {err}"
                raise InstrumentError(msg) from err
            except NdmapperError:
                raise
            except (ValueError, TypeError, ArithmeticError) as err:
                msg = f"{source}: the row of {name} cannot be understood ({err})"
                raise FormatError(msg) from err
    _warn_of_classes(frames, source)
    _warn_of_columns(table, frames, source)
    # An earlier survey has a row for each file of a set.
    return list({frame.path: frame for frame in gathered(frames)}.values())


def _once(table: Table, source: str) -> Iterator[int]:
    """Return the rows to be used: one for each frame, with one class."""
    classes: dict[str, str] = {}
    files: dict[str, str] = {}
    for number, row in enumerate(table):
        name, given = _text(row, "file"), _text(row, "class") or UNCLASSIFIED
        if not name:
            log.warning("row %d of %s names no file and is left out", number, source)
            continue
        # Of two forms of a frame one may be damaged, and so without a class.
        plain = frame_name(name)
        before = files.get(name)
        if before is None and given != UNCLASSIFIED:
            before = classes.get(plain)
        files[name] = given
        if given != UNCLASSIFIED:
            classes[plain] = given
        if before not in (None, given):
            msg = (
                f"{source} has {name} twice, as {before} and as {given}; take one of "
                "the rows out"
            )
            raise ParameterError(msg)
        if before is None:
            yield number


def _read(path: Path) -> Table:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as err:
        msg = f"there is no survey {path}; make one with survey(folder)"
        raise MissingFileError(msg) from err
    except OSError as err:
        msg = f"the survey {path} cannot be read ({err.strerror})"
        raise FileAccessError(msg) from err
    except UnicodeDecodeError as err:
        msg = f"the survey {path} is not a table in ECSV form: it is no UTF-8 ({err})"
        raise FormatError(msg) from err
    if not text.strip():
        msg = f"the survey {path} is empty; make it again with survey(folder)"
        raise FormatError(msg)
    try:
        check_length(text)
        return Table.read(text.splitlines(), format="ascii.ecsv")
    except Exception as err:  # astropy's reader raises whatever its parsers raise
        msg = f"the survey {path} is not a table in ECSV form: {err}"
        raise FormatError(msg) from err


class _Scanned:
    """Frames of folders, scanned as a whole if the survey has many rows."""

    def __init__(self, count: int) -> None:
        self.is_many = count > _MANY
        self.folders: dict[Path, dict[str, Frame]] = {}

    def frame(self, path: Path, named: str) -> Frame:
        """Describe a frame by an instrument, or by what its header tells."""
        instrument = load(named) if named else None
        if self.is_many:
            if path.parent not in self.folders:
                found = find_frames(path.parent)
                self.folders[path.parent] = {frame.name: frame for frame in found}
            frame = self.folders[path.parent].get(path.name)
            if frame is not None and instrument in (None, frame.instrument):
                return frame
        pattern = parse_pattern(path)
        if pattern is None:
            return read_frame(path, instrument)
        files = [
            (key, read_frame(Path(name), instrument)) for key, name in pattern.files()
        ]
        return joined(path.name, files)[0]


def _corrected(row: Any, path: Path, scanned: _Scanned) -> Frame:
    frame = scanned.frame(path, _text(row, "instrument"))
    given = _text(row, "class")
    frame_class = None if given in {"", UNCLASSIFIED} else given
    why = frame.why
    if frame_class != frame.frame_class:
        why = f"the survey says so (the headers: {frame.frame_class or UNCLASSIFIED})"
    values = dict(frame.values)
    for name in row.colnames:
        if name in values and name not in _OWN:
            values[name] = _as_before(name, _cell(row[name]), values[name])
    return replace(frame, frame_class=frame_class, why=why, values=values)


def _as_before(name: str, value: Value, before: Value) -> Value:
    """Convert text to a number if the header has one (text columns have only text)."""
    if value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(before, int | float) or not isinstance(value, str):
        return value
    if isinstance(before, bool):
        return {"true": True, "false": False}.get(value.casefold(), value)
    try:
        number = float(value)
    except ValueError:
        msg = f"{name} = {value!r} is no number, as {before!r} of the header is"
        raise ValueError(msg) from None
    return None if math.isnan(number) else number


def _warn_of_columns(table: Table, frames: Sequence[Frame], source: str) -> None:
    """Warn of columns that may be meant for others, and of units: neither counts."""
    known = {name for frame in frames for name in frame.values} | {*_OWN}
    for column in table.itercols():
        if column.name not in known:
            near = difflib.get_close_matches(column.name, known, n=1, cutoff=_MISSPELT)
            if near:
                log.warning(
                    "%s has a column %r, which does not count; did you mean %r?",
                    source, column.name, near[0],
                )  # fmt: skip
        elif column.unit is not None:
            log.warning(
                "%s has a unit, %s, for %r, which does not count: values are taken "
                "as headers have them", source, column.unit, column.name,
            )  # fmt: skip


def _warn_of_times(frames: Sequence[Frame]) -> None:
    """Warn of raw frames without a time, naming the cards that should have it."""
    unknown = [
        f for f in frames
        if f.frame_class is not None and not f.is_processed and f.days is None
        and f.instrument is not None and "time" in f.instrument.descriptors
    ]  # fmt: skip
    if unknown:
        shown = "; ".join(f"{f.name}: {f.why_no_time}" for f in unknown[:_SHOWN])
        more = f"; and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        log.warning("the time of %d frames is not known: %s%s",
                    len(unknown), shown, more)  # fmt: skip


def _warn_of_classes(frames: Sequence[Frame], source: str) -> None:
    """Warn of unknown classes, which may be misspelt or truncated."""
    for frame in frames:
        if frame.instrument is None or frame.frame_class is None:
            continue
        known = {c.name for c in frame.instrument.classes}
        known |= {name for rule in frame.instrument.rules for name in rule.select}
        if frame.frame_class not in known:
            log.warning(
                "%s calls %s %r, a class that %s does not know%s",
                source, frame.name, frame.frame_class, frame.instrument.name,
                did_you_mean(frame.frame_class, known),
            )  # fmt: skip


def _instrument_name(frame: Frame) -> str:
    if frame.instrument is None:
        return ""
    # A user's instrument is found by its file.
    name, source = frame.instrument.name, frame.instrument.source
    return name if name in names() and load(name).source == source else source


def _shown(frames: Sequence[Frame]) -> list[str]:
    shown: dict[str, None] = {}
    for frame in frames:
        if frame.instrument is not None:
            shown |= dict.fromkeys(frame.instrument.survey)
    return [name for name in shown if name not in _OWN]


def _texts(values: Iterable[str]) -> np.ndarray[Any, np.dtype[np.str_]]:
    return np.array(list(values), dtype=str)


def _column(values: list[Value]) -> MaskedColumn:
    """Make a column of one type, with missing values masked."""
    present = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in present) or not present:
        filled: list[Value] = ["" if v is None else str(v) for v in values]
    else:
        filled = [0 if v is None else v for v in values]
    return MaskedColumn(filled, mask=[value is None for value in values])


def _text(row: Any, name: str) -> str:
    """Return the text of a cell; empty if masked or missing."""
    value = _cell(row[name]) if name in row.colnames else None
    return "" if value is None else str(value).strip()


def _cell(value: Any) -> Value:
    if value is np.ma.masked:
        return None
    plain: Value = value.item() if isinstance(value, np.generic) else value
    return plain
