"""Save a DataFile: write, publish under the final name, connect with the new file."""

import contextlib
import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ndmapper.data.array import load_before_replaced, with_operands
from ndmapper.data.content import (
    HANDED_ON,
    FileContent,
    HasContent,
    flag_no_data,
    handle_of,
)
from ndmapper.data.deferred import WiderVarianceError
from ndmapper.data.ndlater import NDLater
from ndmapper.data.saving.computed import computed
from ndmapper.data.saving.hdus import PlannedHdu
from ndmapper.data.saving.plan import changes, is_rearranged, plan_hdus
from ndmapper.data.tabulated import save_as_table
from ndmapper.errors import (
    ChecksumError,
    FileAccessError,
    FileChangedError,
    MissingFileError,
)
from ndmapper.io.checksum import take_sums_out, with_checksums
from ndmapper.io.converted import stored_kind
from ndmapper.io.digest import Examined, examine
from ndmapper.io.filemap import HduMap, Tail, map_file
from ndmapper.io.filetypes import is_compressed, split_ext
from ndmapper.io.hdu import HduOut
from ndmapper.io.headers import StoredHeader
from ndmapper.io.record import edited, encode, write_side
from ndmapper.io.source import check_name
from ndmapper.io.temporary import staging_name
from ndmapper.io.write import append_hdu, can_write_together, publish, write_hdus

__all__ = [
    "attach_record",
    "carries_record",
    "complete_record",
    "connect",
    "is_unsaved_product",
    "real_target",
    "save_datafile",
    "unsaved_key",
    "write_datafile",
    "write_unpublished",
]


log = logging.getLogger(__name__)


_PIXEL_TABLE = {"xpos", "ypos", "lambda"}


def carries_record(content: FileContent) -> bool:
    """
    Whether a file may have its record within.

    Pixel tables of MUSE may not: their readers take every extension for a column and
    fail at one that is none. Their record lies beside them.
    """
    if {str(name).lower() for name in content.extras} >= _PIXEL_TABLE:
        return False
    return not str(content.primary.header.get("ESO PRO CATG", "")).startswith(
        "PIXTABLE_"
    )


def write_datafile(
    df: HasContent,
    path: Path,
    rows: Sequence[Mapping[str, Any]] | None = None,
    tables: bytes = b"",
    *,
    more: bool = False,
) -> None:
    """
    Write the content of a DataFile to a new file, which it is not connected with.

    The record is `rows` in place of the one that it has, or none if they are empty.
    `tables` are whole HDUs that are written before the record. With `more` something
    will be appended, which brings all of it to the disk.
    """
    df.content.drop_stale(str(df))
    _keep_coordinates(df)
    hdus = plan_hdus(df, Path(path))
    _write(df, Path(path), Path(path), hdus, rows, tables, more=more)


def _keep_coordinates(df: HasContent) -> None:
    """Save coordinates of spectra as tables, and name those that a file cannot hold."""
    images = df.content.images
    for ndd in images:
        held = ndd.content.coordinates
        if held is None or not held.in_memory:
            continue
        if not save_as_table(ndd, images, df.content.tables):
            log.warning(
                "the coordinates (%s) of %r in %s are not saved, or not all of them: "
                "FITS headers cannot hold these", held.kind, ndd, df,
            )  # fmt: skip


def _write(  # noqa: PLR0917
    df: HasContent,
    path: Path,
    target: Path,
    hdus: list[PlannedHdu],
    rows: Sequence[Mapping[str, Any]] | None,
    tables: bytes = b"",
    *,
    more: bool = False,
) -> None:
    record: list[HduMap | bytes | Tail] = []
    if (rows is None or rows) and not carries_record(df.content):
        rows = []
    if rows:
        record = [tables + encode(rows)]
    elif rows is None:
        stored = df.content.stored_record
        if stored is not None:
            record = [stored]
        elif df.content.record:
            record = [encode(df.content.record)]
    if df.content.map is not None and df.content.map.tail is not None:
        record.append(df.content.map.tail)
    while True:
        # One after the other, so that what is computed is in memory one at a time.
        outs = [*(i.out for i in hdus), *record]
        try:
            write_hdus(
                path, computed(outs, at_once=can_write_together(path)), more=more
            )
        except WiderVarianceError as found:
            # The headers promised float32, and it turned out that this is too narrow.
            found.mark()
            hdus[:] = plan_hdus(df, target)
        else:
            return


def real_target(target: str | os.PathLike[str]) -> Path:
    """
    Find which file a save replaces: that to which a link points.

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


def save_datafile(df: HasContent, target: Path, *, checksum: bool = False) -> None:
    """
    Write a DataFile onto a name, and connect it with the new file.

    The file that is there is replaced in one moment, or stays as it is.

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
        hdus = write_unpublished(df, target, temp, checksum=checksum)
        load_before_replaced(target, with_operands(df.content.made_arrays))
        publish(temp, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temp.unlink(missing_ok=True)
        raise
    connect(df, target, hdus)


def write_unpublished(
    df: HasContent, target: Path, temp: Path, *, checksum: bool = False
) -> list[PlannedHdu]:
    """
    Write a DataFile under another name (`temp`) than it will have (`target`).

    Returns the HDUs that were written. If it fails, something of the file may be left.
    """
    df.content.drop_stale(str(df))
    _keep_coordinates(df)
    hdus = plan_hdus(df, target)
    what = list(dict.fromkeys(changes(hdus)))
    if not what and is_rearranged(df.content, hdus):
        what = ["extensions"]
    made = staging_name(target) if checksum else temp
    try:
        _write_with_record(df, made, target, hdus, what)
        if checksum:
            write_hdus(temp, with_checksums(map_file(made), target))
    finally:
        if checksum:
            with contextlib.suppress(OSError):
                made.unlink(missing_ok=True)
    return hdus


def _write_with_record(
    df: HasContent, made: Path, target: Path, hdus: list[PlannedHdu], what: list[str]
) -> None:
    """Write a file with its record; one that tells `what` was edited has its digest."""
    content = df.content
    has_record, is_known = _find_record(df)
    is_kept = not is_unsaved_product(content) and (
        content.has_new_record or not has_record or not what
    )
    is_within = carries_record(content)
    if is_within and is_kept:
        _write(df, made, target, hdus, None if is_known else [])
        return
    _write(df, made, target, hdus, [])
    found = None if is_kept else _examine(df, made)
    if found is None:
        rows = content.record if is_known else []
    else:
        rows = _new_rows(df, target.name, what, found.digest)
    if not is_within:
        # After a kill before the file has its name, the record does not fit to what
        # is there, and is not trusted.
        write_side(target, rows)
    elif is_compressed(split_ext(target.name)[1]):
        # Whole, since a second member behind the first hides from readers.
        made.unlink()
        _write(df, made, target, hdus, rows)
        if found is not None and found.damaged:
            take_sums_out(made, found.damaged)
    else:
        append_hdu(made, encode(rows))


def _new_rows(
    df: HasContent, name: str, what: list[str], digest: str
) -> list[dict[str, Any]]:
    """Make the record of a product that was in memory, or was edited."""
    if is_unsaved_product(df.content):
        return complete_record(df, name, digest)
    return edited(df.content.record, product=name, what=what, digest=digest)


def _examine(df: HasContent, made: Path) -> Examined:
    """Compute the digest of a product, and remove checksums that do not fit."""
    found = examine(made)
    if found.damaged and not is_unsaved_product(df.content):
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


def _find_record(df: HasContent) -> tuple[bool, bool]:
    """Return whether there is a record, and whether that is known."""
    try:
        return bool(df.content.record), True
    except (MissingFileError, FileChangedError):
        if df.content.stored_record is not None:
            log.warning(
                "the record of %s, which was not looked at before its file was "
                "replaced or deleted, is lost: it is saved without one", df,
            )  # fmt: skip
        return False, False


def connect(df: HasContent, target: Path, hdus: list[PlannedHdu]) -> None:
    """Connect everything in memory with the file that was written."""
    content = df.content
    fmap = map_file(target)
    fmap.keep_headers()
    content.tables.places.clear()
    written = [*zip(hdus, fmap.hdus, strict=False)]
    data = {id(planned.ndd): hdu for planned, hdu in written if planned.part == "data"}
    for planned, hdu in written:
        if planned.ndd is not None and planned.part is not None:
            owner = data[id(planned.ndd)]
            _connect_array(planned.ndd, planned.part, hdu, owner, content)
        if planned.table is not None:
            content.tables.connect(planned.table, hdu)
    for ndd in content.groups:
        _connect_implied_flags(ndd)
    content.connect(fmap)


def _connect_implied_flags(ndd: NDLater) -> None:
    """Connect flags that inverse variances tell with those that were written."""
    arrays = ndd.content.arrays
    variance, flags = arrays.get("uncertainty"), arrays.get("flags")
    is_inverse = variance is not None and stored_kind(variance.handle) == "ivar"
    if is_inverse and (flags is None or flags.handle is not None):
        flag_no_data(ndd)


def _connect_array(
    ndd: NDLater, name: str, hdu: HduMap, data: HduMap, content: FileContent
) -> None:
    image, labels = ndd.content, content.labels
    part = image.arrays[name]
    handle = handle_of(hdu, name, labels, data)
    if not part.shape and handle.shape:
        handle = handle.take(0)  # a single number, which is an axis of one pixel there
    if name != "data":
        part.rebase(handle, hdu.image_raw)
        if part.header is not None:
            part.header.kind = stored_kind(handle)
        return
    part.rebase(handle, None)
    image.origin = (hdu.source, hdu.index)
    if hdu.index == 0:
        image.stored = content.primary
    elif image.stored is content.primary:
        # It was in the primary HDU, and is an extension now.
        image.stored = StoredHeader(hdu.image_raw)
    else:
        image.stored.rebase(hdu.image_raw)
    image.forget_unit()


def attach_record(
    df: HasContent, rows: Sequence[Mapping[str, Any]], *, is_handed_on: bool = False
) -> None:
    """
    Give a product in memory the record of what made it.

    The last entry has no ``content`` yet. A product that is only handed on to the next
    step of a chain cannot be changed in between, so it needs no fingerprint.
    """
    df.content.record = rows
    df.content.fingerprint = HANDED_ON if is_handed_on else _fingerprint(df)


def unsaved_key(df: HasContent) -> str | None:
    """Return the key of a product in memory that was not changed since it was made."""
    content = df.content
    if content.fingerprint is None or (
        not content.is_handed_on and _fingerprint(df) != content.fingerprint
    ):
        return None
    return str(content.record[-1]["key"])


def is_unsaved_product(content: FileContent) -> bool:
    """Whether it is that of a product in memory, changed or not."""
    return content.fingerprint is not None


def complete_record(df: HasContent, product: str, digest: str) -> list[dict[str, Any]]:
    """
    Complete the record of a product in memory that is being saved.

    `product` is the name of the file, and `digest` that of it without its record. The
    record says if the product was edited since it was made.
    """
    *before, last = df.content.record
    if _fingerprint(df) == df.content.fingerprint:
        return [*before, {**last, "product": product, "content": digest}]
    made = {**last, "content": None}
    return edited([*before, made], product=product, what=["memory"], digest=digest)


def _fingerprint(df: HasContent) -> str:
    total = hashlib.blake2b(digest_size=16)
    outs = (hdu.out for hdu in plan_hdus(df))
    for out in computed(outs, at_once=False):
        if isinstance(out, bytes):
            total.update(out)
        elif isinstance(out, HduMap):
            total.update(_where(out))
        elif isinstance(out, HduOut):
            total.update(out.header)
            if isinstance(out.data, np.ndarray):
                total.update(np.ascontiguousarray(out.data).data.cast("B"))
            elif out.data is not None:
                total.update(_where(out.data))
    return total.hexdigest()


def _where(stored: Any) -> bytes:
    """Identify pixels that are still in a file."""
    source = stored.source
    section = getattr(stored, "section", None)
    place = (str(source.path), source.size, source.mtime_ns, stored.index, section)
    return repr(place).encode()
