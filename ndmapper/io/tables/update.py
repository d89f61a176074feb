"""
Writing a table that was read from a file: unchanged cells stay as they are stored.

Cells that were changed are put into the stored rows, in the form of their columns. Only
columns that are new, or of another type, or have values that the stored form cannot
hold, get a form of their own.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.table import Column, Table
from astropy.table.column import BaseColumn
from astropy.units import Quantity

from ndmapper.io.filemap import HduMap, padded
from ndmapper.io.headers import Header, whole_header
from ndmapper.io.tables.convert import encode_table, read_table
from ndmapper.io.tables.fields import (
    DoesNotFitError,
    Field,
    encode_values,
    fields_of,
)
from ndmapper.io.tables.header import (
    column_cards,
    describe,
    drop_sums,
    is_same_meta,
    put_meta,
    renumbered,
    set_form,
)
from ndmapper.io.tables.heap import encode_cells, packed_heap

__all__ = ["updated_table"]

Bytes = npt.NDArray[np.uint8]


def updated_table(
    table: Table, hdu: HduMap, version: int | None = None, name: str | None = None
) -> bytes | None:
    """Encode a changed table from its stored HDU; None if nothing has changed."""
    stored = read_table(hdu)
    columns = [_plain(table[name]) for name in table.colnames]
    raw = hdu.read_data()
    fields = _stored_fields(stored, hdu.header, raw)
    if fields is None or any(column is None for column in columns):
        return _generally(table, stored, hdu, version, name)
    made = _Update(columns, stored, fields, hdu.header.copy(), raw)
    header = made.header
    put_meta(header, table.meta, stored.meta)
    if version is not None and header.get("EXTVER") != version:
        header["EXTVER"] = version
    if name is not None:
        header["EXTNAME"] = name
    data = made.data
    cards = whole_header(header.cards)
    if data == raw and cards.rstrip() == hdu.raw.rstrip():
        return None
    drop_sums(header)
    cards = whole_header(header.cards)
    filling = b" " if made.is_text else b"\0"
    return cards + data.ljust(padded(len(data)), filling)


def _generally(
    table: Table, stored: Table, hdu: HduMap, version: int | None, name: str | None
) -> bytes | None:
    """Encode a table of other than the stored columns; None if nothing has changed."""
    stays = version in (None, hdu.version) and name is None
    if stays and _is_same(table, stored):
        return None
    name = str(hdu.keys.get("EXTNAME") or "").strip() if name is None else name
    made = encode_table(table, name, hdu.version if version is None else version)
    if stays and any(not isinstance(c, BaseColumn) for c in stored.itercols()):
        # Columns of astropy's own kinds, which only it can compare.
        return None if encode_table(stored, name, hdu.version) == made else made
    return made


def _is_same(table: Table, stored: Table) -> bool:
    """Whether two tables are known to have the same content."""
    return (
        table.colnames == stored.colnames
        and len(table) == len(stored)
        and is_same_meta(table.meta, stored.meta)
        and all(
            isinstance(one, BaseColumn)
            and isinstance(other, BaseColumn)
            and (one.dtype, one.shape) == (other.dtype, other.shape)
            and (one.unit, one.format) == (other.unit, other.format)
            and not _changed(one, other).any()
            for one, other in zip(table.itercols(), stored.itercols(), strict=True)
        )
    )


def _plain(column: Any) -> Any:
    """Return a column that is a plain array; None for anything else."""
    if isinstance(column, Quantity):
        return Column(column.value, column.info.name, unit=column.unit)
    return column if isinstance(column, BaseColumn) else None


def _stored_fields(stored: Table, header: Header, raw: bytes) -> list[Field] | None:
    """Find how each column is stored; None if the header does not tell."""
    try:
        fields = fields_of(header)
        width, rows = int(header["NAXIS1"]), int(header["NAXIS2"])
        start = int(header.get("THEAP", width * rows))
    except (KeyError, ValueError, TypeError, fits.VerifyError):
        return None
    is_right = (
        len(stored.colnames) == len(fields)
        and all(isinstance(column, BaseColumn) for column in stored.itercols())
        and width * rows <= start <= len(raw)
        and rows == len(stored)
        and all(0 <= f.start <= f.start + f.width <= width for f in fields)
    )
    return fields if is_right else None


@dataclass
class _Kept:
    """A column in its stored form: its new number, its field, and its rows."""

    column: Any
    stored: Any
    field: Field
    rows: Bytes


class _Update:
    """State of `updated_table`."""

    def __init__(
        self,
        columns: list[Any],
        stored: Table,
        fields: list[Field],
        header: Header,
        raw: bytes,
    ) -> None:
        self.header = header
        self.is_text = header["XTENSION"].strip() == "TABLE"
        width, rows = header["NAXIS1"], header["NAXIS2"]
        self.before = np.frombuffer(raw[: width * rows], "u1").reshape(rows, width)
        self.n_rows = len(columns[0]) if columns else 0
        start = header.get("THEAP", width * rows)
        self.gap = raw[width * rows : start]
        self.heap = bytearray(raw[start:])
        if rows != self.n_rows:
            # Every array is written anew.
            self.gap, self.heap = b"", bytearray()
        names = stored.colnames
        self.kept: dict[int, _Kept] = {}
        for at, column in enumerate(columns):
            if column.info.name in names:
                n = names.index(column.info.name)
                kept = self._kept(column, stored[names[n]], fields[n])
                if kept is not None:
                    self.kept[at] = kept
        numbers = [kept.field.number for kept in self.kept.values()]
        self.is_same = len(numbers) == len(columns) and numbers == [
            f.number for f in fields
        ]
        if self.is_text and not self.is_same:
            # Text and binary forms cannot be mixed.
            self.kept, self.is_text = {}, False
        if len(self.heap) > len(raw) - start:
            # Arrays that were changed are behind the others, and their old ones unused.
            pointing = [
                (kept.field, kept.rows)
                for kept in self.kept.values()
                if kept.field.pointer and kept.field.width
            ]
            self.heap, self.gap = packed_heap(pointing, self.heap), b""
        self.data = self._same_rows() if self.is_same else self._other_rows(columns)

    def _kept(self, column: Any, stored: Any, field: Field) -> _Kept | None:
        """Encode a column in its stored form; None if that cannot hold it."""
        same_type = column.dtype == stored.dtype or (
            column.dtype.kind in "SU" and field.code == "A" and not field.pointer
        )
        if not same_type or column.shape[1:] != stored.shape[1:]:
            return None
        if self.n_rows == len(stored):
            changed = _changed(column, stored)
            place = slice(field.start, field.start + field.width)
            rows = self.before[:, place].copy()
        else:
            changed = np.ones(self.n_rows, bool)
            rows = np.zeros((self.n_rows, field.width), "u1")
        if changed.any():
            if field.pointer and field.code == "L":
                # Old versions of astropy wrote 0 and 1, and new ones understand that
                # as long as there is no T or F.
                changed[:] = True
            size = len(self.heap)
            try:
                rows[changed] = self._encoded(column[changed], field)
            except DoesNotFitError:
                del self.heap[size:]
                return None
        return _Kept(column, stored, field, rows)

    def _encoded(self, column: Any, field: Field) -> Bytes:
        if field.pointer:
            return encode_cells(field, np.asarray(column), self.heap)
        return encode_values(field, _values(column), np.ma.getmaskarray(column))

    def _same_rows(self) -> bytes:
        """Put columns into the stored rows, keeping what lies between."""
        blank = ord(" ") if self.is_text else 0
        rows = np.full((self.n_rows, self.before.shape[1]), blank, "u1")
        if len(rows) == len(self.before):
            rows[:] = self.before
        for kept in self.kept.values():
            field = kept.field
            rows[:, field.start : field.start + field.width] = kept.rows
        return self._finished(rows, [])

    def _other_rows(self, columns: list[Any]) -> bytes:
        """Assemble rows of stored columns and new ones."""
        self.gap = b""
        if not any(kept.field.pointer for kept in self.kept.values()):
            self.heap = bytearray()
        places = {kept.field.number: at + 1 for at, kept in self.kept.items()}
        self.header = renumbered(self.header, places)
        new = {at: c for at, c in enumerate(columns) if at not in self.kept}
        parts = {at: kept.rows for at, kept in self.kept.items()}
        cards: list[fits.Card] = []
        if new:
            cards = self._add(new, parts)
        made = [parts[at] for at in range(len(columns))]
        rows = np.concatenate(made, axis=1) if made else np.zeros((0, 0), "u1")
        return self._finished(rows, cards)

    def _add(self, new: dict[int, Any], parts: dict[int, Bytes]) -> list[fits.Card]:
        """Encode new columns as astropy does; returns their cards."""
        name = str(self.header.get("EXTNAME") or "").strip()
        made = encode_table(Table(list(new.values())), name)
        header = Header.fromstring(made)
        size = len(header.tostring())
        width, n_rows = header["NAXIS1"], header["NAXIS2"]
        end = size + width * n_rows
        rows = np.frombuffer(made[size:end], "u1").reshape(n_rows, width)
        for at, field in zip(new, fields_of(header), strict=True):
            part = rows[:, field.start : field.start + field.width].copy()
            if field.pointer and part.size:
                kind = ">i4" if field.pointer == "P" else ">i8"
                part.view(kind)[:, 1] += len(self.heap)
            parts[at] = part
        self.heap += made[end : end + header["PCOUNT"]]
        numbers = dict(enumerate((at + 1 for at in new), start=1))
        return column_cards(renumbered(header, numbers))

    def _finished(self, rows: Bytes, cards: list[fits.Card]) -> bytes:
        data = rows.tobytes()
        form = {
            "XTENSION": self.header["XTENSION"] if self.is_text else "BINTABLE",
            "NAXIS1": rows.shape[1],
            "NAXIS2": rows.shape[0],
            "PCOUNT": len(self.gap) + len(self.heap),
            "TFIELDS": len(self.kept) if self.is_same else self._count(cards),
        }
        if len(data) != self.before.size or not self.gap:
            form["THEAP"] = None
        set_form(self.header, form, cards)
        for at, kept in self.kept.items():
            describe(self.header, at + 1, kept.column, kept.stored)
            if kept.field.pointer:
                self._set_longest(at + 1, kept)
        return data + self.gap + bytes(self.heap)

    def _count(self, cards: list[fits.Card]) -> int:
        new = [card for card in cards if card.keyword.startswith("TFORM")]
        return len(self.kept) + len(new)

    def _set_longest(self, number: int, kept: _Kept) -> None:
        """Raise the stated maximum length of arrays where it is exceeded."""
        if not kept.rows.size:
            return
        counts = np.ascontiguousarray(kept.rows).view(
            ">i4" if kept.field.pointer == "P" else ">i8"
        )[:, 0]
        form = str(self.header[f"TFORM{number}"])
        start, _, rest = form.partition("(")
        given = rest.partition(")")[0]
        if given.isdigit() and int(counts.max()) > int(given):
            after = rest.partition(")")[2]
            self.header[f"TFORM{number}"] = f"{start}({counts.max()}){after}"


def _values(column: Any) -> npt.NDArray[Any]:
    """Return the values of a column without its mask."""
    values = np.ma.getdata(column)
    return np.asarray(values)


def _changed(column: Any, stored: Any) -> npt.NDArray[np.bool_]:
    """Find the rows that differ."""
    one, other = _values(column), _values(stored)
    rows = len(one)
    if one.dtype.kind == "O":
        pairs = zip(one, other, strict=True)
        return np.array([not _same_cell(*pair) for pair in pairs], bool).reshape(rows)
    masks = np.ma.getmaskarray(column), np.ma.getmaskarray(stored)
    if one.dtype.kind in "SU":
        if one.dtype.kind != other.dtype.kind:
            return np.ones(rows, bool)
        differ = one != other
    else:
        differ = (_bits(one) != _bits(other)).any(axis=-1)
    differ = (masks[0] != masks[1]) | (differ & ~masks[0])
    return np.asarray(differ.any(axis=tuple(range(1, differ.ndim))), bool)


def _bits(values: npt.NDArray[Any]) -> Bytes:
    """Return values as bits, so that -0 and 0 differ, and NaN and NaN do not."""
    size = values.dtype.itemsize
    return np.ascontiguousarray(values).view("u1").reshape(*values.shape, size)


def _same_cell(one: Any, other: Any) -> bool:
    if isinstance(one, str | bytes) or isinstance(other, str | bytes):
        return type(one) is type(other) and bool(one == other)
    one, other = np.ma.asanyarray(one), np.ma.asanyarray(other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not np.array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other)):
        return False
    return np.ma.getdata(one).tobytes() == np.ma.getdata(other).tobytes()
