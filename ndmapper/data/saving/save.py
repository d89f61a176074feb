"""Writing a DataFile: to any path, or whole and at once onto its name."""

import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ndmapper.data.array import Part, keep_before, walk
from ndmapper.data.content import Content
from ndmapper.data.deferred import WiderVarianceError
from ndmapper.data.groups import flag_no_data, handle_of
from ndmapper.data.saving.computed import computed
from ndmapper.data.saving.plan import Item, changes, is_rearranged, plan_items
from ndmapper.data.saving.unsaved import is_pending, settled
from ndmapper.data.wcs_tables import CoordinateTables
from ndmapper.errors import (
    ChecksumError,
    FileAccessError,
    FileChangedError,
    MissingFileError,
)
from ndmapper.io.checksum import take_sums_out, with_checksums
from ndmapper.io.converted import InverseHandle
from ndmapper.io.digest import Examined, examine
from ndmapper.io.filemap import HduMap, Tail, map_file
from ndmapper.io.filetypes import is_compressed, split_ext
from ndmapper.io.layout import find_layout
from ndmapper.io.record import edited, encode, write_side
from ndmapper.io.source import check_name
from ndmapper.io.temporary import staging_name
from ndmapper.io.write import append_hdu, can_write_together, publish, write_hdus

__all__ = [
    "carries_record",
    "connect",
    "real_target",
    "save_datafile",
    "stage",
    "write_datafile",
]

log = logging.getLogger(__name__)


_PIXEL_TABLE = {"xpos", "ypos", "lambda"}


def carries_record(df: Content) -> bool:
    """
    Say whether a file may have its record within.

    Parameters
    ----------
    df : DataFile
        The file.

    Returns
    -------
    bool
        False for the pixel tables of MUSE, whose readers take every extension for a
        column and fail at one that is none. Their record lies beside them.
    """
    if {str(name).lower() for name in df.extras} >= _PIXEL_TABLE:
        return False
    return not str(df.meta.get("ESO PRO CATG", "")).startswith("PIXTABLE_")


def write_datafile(
    df: Content,
    path: Path,
    rows: Sequence[Mapping[str, Any]] | None = None,
    tables: bytes = b"",
    *,
    more: bool = False,
) -> None:
    """
    Write the content of a DataFile to a new file, which it is not connected with.

    Parameters
    ----------
    df : DataFile
        What is written.
    path : Path
        A file that does not exist.
    rows : sequence of mapping, optional
        The record, in place of the one that the DataFile has; an empty one writes
        none.
    tables : bytes
        Whole HDUs that are written before the record.
    more : bool
        Something will be appended, and that brings all of it to the disk.

    Raises
    ------
    FileAccessError, MissingFileError
        If the file cannot be written.
    FormatError
        If FITS cannot hold something in it.
    """
    df._drop_stale()
    items = plan_items(df, Path(path))
    _warn_of_coordinates(df)
    _write(df, Path(path), Path(path), items, rows, tables, more=more)


def _warn_of_coordinates(df: Content) -> None:
    """Say which coordinates are not in the file, which has cards alone."""
    for ndd in (*df._groups, *df.extras.values()):
        if (held := ndd.content.coordinates) is not None and held.in_memory:
            log.warning(
                "the coordinates (%s) of %r in %s are not saved, or not all of them: "
                "FITS headers cannot hold these", held.kind, ndd, df or "a file",
            )  # fmt: skip


def _write(  # noqa: PLR0917
    df: Content,
    path: Path,
    target: Path,
    items: list[Item],
    rows: Sequence[Mapping[str, Any]] | None,
    tables: bytes = b"",
    *,
    more: bool = False,
) -> None:
    record: list[HduMap | bytes | Tail] = []
    if (rows is None or rows) and not carries_record(df):
        rows = []
    if rows:
        record = [tables + encode(rows)]
    elif rows is None:
        stored = df._stored_record
        if stored is not None:
            record = [stored]
        elif df.record:
            record = [encode(df.record)]
    if df._map is not None and df._map.tail is not None:
        record.append(df._map.tail)
    while True:
        # One after the other, so that what is computed is in memory one at a time.
        outs = [*(i.out for i in items), *record]
        try:
            write_hdus(
                path, computed(outs, at_once=can_write_together(path)), more=more
            )
        except WiderVarianceError as found:
            # The headers promised float32, and it turned out that this is too narrow.
            found.mark()
            items[:] = plan_items(df, target)
        else:
            return


def real_target(target: str | os.PathLike[str]) -> Path:
    """
    Find which file a save replaces.

    Parameters
    ----------
    target : str or path
        The name that was given.

    Returns
    -------
    Path
        Its absolute path; a link keeps pointing at the file that is saved.

    Raises
    ------
    FileAccessError
        If a link leads nowhere but to itself, or no file can have the name.
    """
    path = Path(os.path.abspath(target))  # noqa: PTH100
    check_name(path)
    if not os.path.islink(path):  # noqa: PTH114  # also false of too long a name
        return path
    real = Path(os.path.realpath(path))
    if real.is_symlink():
        msg = f"{path} is a link that leads to itself, not to a file; delete it"
        raise FileAccessError(msg)
    return real


def save_datafile(df: Content, target: Path, *, checksum: bool = False) -> None:
    """
    Write a DataFile onto a name, and connect it with the new file.

    Parameters
    ----------
    df : DataFile
        What is saved.
    target : Path
        Its name. The file that is there is replaced in one moment, or stays as it is.
    checksum : bool
        Write CHECKSUM and DATASUM into every header.

    Raises
    ------
    FileAccessError, MissingFileError
        If the file cannot be written.
    FileChangedError
        If what was not read yet is no longer there to be copied.
    FormatError
        If FITS cannot hold something in it.
    """
    target = real_target(target)
    temp = staging_name(target)
    try:
        items = stage(df, target, temp, checksum=checksum)
        keep_before(target, walk(df.parts()))
        publish(temp, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temp.unlink(missing_ok=True)
        raise
    connect(df, target, items)


def stage(
    df: Content, target: Path, temp: Path, *, checksum: bool = False
) -> list[Item]:
    """
    Write a DataFile under another name than it will have.

    Parameters
    ----------
    df : DataFile
        What is saved.
    target : Path
        The name it will have, which the record states.
    temp : Path
        The file to be written; if that fails something of it may be left.
    checksum : bool
        Write CHECKSUM and DATASUM into every header.

    Returns
    -------
    list of Item
        The HDUs that were written.

    Raises
    ------
    FileAccessError, MissingFileError, FileChangedError, FormatError
        As for `save_datafile`.
    """
    df._drop_stale()
    items = plan_items(df, target)
    _warn_of_coordinates(df)
    what = list(dict.fromkeys(changes(items)))
    if not what and is_rearranged(df, items):
        what = ["extensions"]
    is_made, is_known = _is_made(df)
    made = staging_name(target) if checksum else temp
    try:
        pending = is_pending(df)
        if not carries_record(df):
            _write(df, made, target, items, [])
            # Where a kill comes before the file has its name, the record does not fit
            # to what is there, and nobody trusts it.
            write_side(target, _rows_of(df, target.name, made, what, known=is_known))
        elif not pending and (df._has_new_record or not is_made or not what):
            _write(df, made, target, items, None if is_known else [])
        else:
            _write(df, made, target, items, [])
            found = _examine(df, made)
            content = found.digest
            if pending:
                rows = settled(df, target.name, content)
            else:
                rows = edited(df.record, product=target.name, what=what, digest=content)
            if is_compressed(split_ext(target.name)[1]):
                # Whole, since a second member behind the first hides from readers.
                made.unlink()
                _write(df, made, target, items, rows)
                if found.damaged:
                    take_sums_out(made, found.damaged)
            else:
                append_hdu(made, encode(rows))
        if checksum:
            write_hdus(temp, with_checksums(map_file(made), target))
    finally:
        if checksum:
            with contextlib.suppress(OSError):
                made.unlink(missing_ok=True)
    return items


def _rows_of(
    df: Content, name: str, made: Path, what: Sequence[str], *, known: bool
) -> Sequence[Mapping[str, Any]]:
    """Give the record of a file that was written without."""
    if not known:
        return []
    if is_pending(df):
        return settled(df, name, _examine(df, made).digest)
    if what and df.record and not df._has_new_record:
        found = _examine(df, made)
        return edited(df.record, product=name, what=what, digest=found.digest)
    return df.record


def _examine(df: Content, made: Path) -> Examined:
    """Compute the digest of a product, and leave no sums there that do not fit."""
    found = examine(made)
    if found.damaged and not is_pending(df):
        wrong = "; ".join(damage.what for damage in found.damaged)
        msg = (
            f"{df} is not saved: pixels that nobody changed are damaged, or were "
            f"changed by a program that left their checksums as they were: {wrong}. It "
            "is a product, so make it again"
        )
        raise ChecksumError(msg)
    if found.damaged:
        take_sums_out(made, found.damaged)
    return found


def _is_made(df: Content) -> tuple[bool, bool]:
    """Say whether there is a record, and whether that is known."""
    try:
        return bool(df.record), True
    except (MissingFileError, FileChangedError):
        if df._stored_record is not None:
            log.warning(
                "the record of %s, which was not looked at before its file was "
                "replaced or deleted, is lost: it is saved without one", df,
            )  # fmt: skip
        return False, False


def connect(df: Content, target: Path, items: list[Item]) -> None:
    """
    Point everything in memory at the file that was written.

    Parameters
    ----------
    df : DataFile
        What was saved.
    target : Path
        Where it was saved.
    items : list of Item
        The HDUs that were written.
    """
    fmap = map_file(target)
    fmap.keep_headers()
    before = df._primary
    df.tables.places.clear()
    written = [*zip(items, fmap.hdus, strict=False)]
    data = {id(item.ndd): hdu for item, hdu in written if item.part == "data"}
    for item, hdu in written:
        if item.ndd is not None and item.part is not None:
            _connect_part(item.ndd, item.part, hdu, data[id(item.ndd)], df)
        if item.table is not None:
            df.tables.connect(item.table, hdu)
    for ndd in df._groups:
        _connect_told_flags(ndd)
    before.rebase(fmap.primary.image_raw)
    df.extras.connect()
    df._map = fmap
    df._layout = find_layout(fmap, df._labels, warn=False)
    tables = CoordinateTables.of(fmap)
    found = {group.data: group for group in df._layout.groups}
    for ndd in df._groups:
        ndd.content.coordinate_tables = tables
        group = None if ndd.content.origin is None else found.get(ndd.content.origin[1])
        if group is None:
            continue
        if isinstance(ndd.ident, str) and isinstance(group.ident, str):
            # Of several that have one name, fewer may be left.
            ndd.ident = group.ident
        df._own(ndd, group)
    df._has_new_record = False
    df._fingerprint = None
    df._record = None


def _connect_told_flags(ndd: Any) -> None:
    """Point flags that inverse variances tell at those that were written."""
    arrays = ndd.content.arrays
    variance, flags = arrays.get("uncertainty"), arrays.get("flags")
    is_inverse = variance is not None and isinstance(variance.handle, InverseHandle)
    if is_inverse and (flags is None or flags.handle is not None):
        flag_no_data(ndd)


def _connect_part(ndd: Any, name: str, hdu: HduMap, data: HduMap, df: Content) -> None:
    part: Part = ndd.content.arrays[name]
    if name == "uncertainty":
        part.is_std = df._labels.uncertainty_is == "std"
    handle = handle_of(hdu, name, df._labels, data)
    if not part.shape and handle.shape:
        handle = handle.take(0)  # a single number, which is an axis of one pixel there
    if name != "data":
        part.rebase(handle, hdu.image_raw)
        return
    part.rebase(handle, None)
    ndd.content.origin = (hdu.source, hdu.index)
    if hdu.index == 0:
        ndd.content.stored = df._primary
    elif ndd.content.stored is df._primary:
        # It was in the primary HDU, and is an extension now.
        ndd.content.stored = type(df._primary)(hdu.image_raw)
    else:
        ndd.content.stored.rebase(hdu.image_raw)
    ndd.content.forget_unit()
