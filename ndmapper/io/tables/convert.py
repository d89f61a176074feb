"""Conversion between table HDUs and astropy Tables."""

import contextlib
import io
import warnings
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from astropy.table.column import BaseColumn
from astropy.time import Time
from astropy.units import Quantity

from ndmapper.errors import FormatError
from ndmapper.io.filemap import BLOCK, HduMap
from ndmapper.io.headers import whole_header
from ndmapper.io.tables.fields import Field, fields_of

__all__ = ["encode_table", "read_table"]

_MOST_FIELDS = 999
"""Columns (FITS standard 4.0, section 7.2.1)."""
_MOST_EMPTY = 1_000_000
"""Rows without any bytes."""
_SHARED = 16 << 20
"""Elements that several rows may have in common, beyond what the file holds."""


def read_table(hdu: HduMap) -> Table:
    """Read a table."""
    if hdu.keys.get("ZTABLE") is True or b"ZTABLE  =                    T" in hdu.raw:
        msg = (
            f"the table in HDU {hdu.index} of {hdu.source.path} is compressed "
            "(ZTABLE), which ndmapper copies but does not read; uncompress it with "
            "funpack"
        )
        raise FormatError(msg)
    is_ascii = hdu.keys.get("XTENSION") == "TABLE"
    kind = fits.TableHDU if is_ascii else fits.BinTableHDU
    _check_form(hdu)
    content = hdu.read_bytes()
    with warnings.catch_warnings():
        # Units that are not understood stay as text; nothing is lost by it.
        warnings.simplefilter("ignore")
        try:
            header, scaled = _readable(hdu.header)
            _check_rows(hdu.header)
            _check_arrays(hdu, hdu.header, content)
            raw = whole_header(header.cards)
            content = raw + content[len(hdu.raw) :]
            content, nulls = _without_nulls(content, header, len(raw))
            # astropy (8.0.2) fails where there is nothing behind the header.
            is_empty = is_ascii and header["NAXIS2"] == 0
            if is_empty:
                content = _with_a_row(header)
            # Text is read as bytes first, as astropy does for files: that is how it
            # knows that there is none in a field.
            stored = kind.fromstring(content, character_as_bytes=True, uint=True)
            table = _native(Table.read(stored))
            for name, null in nulls.items():
                mask = null.reshape(table[name].shape)
                table[name] = MaskedColumn(table[name], mask=mask)
            for field in scaled:
                _scale_cells(table[field.name], field)
            if is_empty:
                table = table[:0]
        # Whatever a damaged file makes the parser stumble over.
        except Exception as err:
            msg = (
                f"the table in HDU {hdu.index} of {hdu.source.path} is damaged ({err})"
            )
            raise FormatError(msg) from err
    return table


def _readable(header: fits.Header) -> tuple[fits.Header, list[Field]]:
    """
    Change what Table.read (astropy 8.0.2) fails at, or reads wrongly.

    It needs a name for each column and numbers as TNULLn, and scales only the first
    array of variable-length columns.
    """
    header = header.copy()
    scaled = []
    for field in fields_of(header):
        n = field.number
        if header.get(f"TTYPE{n}") != field.name:
            header[f"TTYPE{n}"] = field.name
        stated = header.get(f"TNULL{n}")
        if not field.is_text and (stated != field.null or isinstance(stated, float)):
            header.remove(f"TNULL{n}", ignore_missing=True)
            if field.null is not None:
                header[f"TNULL{n}"] = field.null
        if field.pointer and (field.is_scaled or field.null is not None):
            scaled.append(field)
            for keyword in (f"TSCAL{n}", f"TZERO{n}", f"TNULL{n}"):
                header.remove(keyword, ignore_missing=True)
    return header, scaled


def _scale_cells(column: Any, field: Field) -> None:
    """Apply TSCALn and TZEROn to variable-length arrays."""
    size = field.dtype.itemsize
    is_unsigned = (
        field.dtype.kind == "i"
        and field.scale == 1
        and field.zero == 1 << (8 * size - 1)
    )
    for row, cell in enumerate(column):
        stored = np.asarray(cell)
        meant: Any
        if not field.is_scaled:
            meant = stored
        elif is_unsigned:
            bits = stored.astype(f"i{size}").view(f"u{size}")
            meant = bits ^ bits.dtype.type(1 << (8 * size - 1))
        elif field.code == "B" and (field.scale, field.zero) == (1, -128):
            meant = (stored.astype("u1") ^ np.uint8(128)).view("i1")
        else:
            wide = "c16" if field.dtype.kind == "c" else "f8"
            meant = stored.astype(wide) * field.scale + field.zero
        if field.null is not None and (stored == field.null).any():
            meant = np.ma.array(meant, mask=stored == field.null)
        column[row] = meant


def _check_form(hdu: HduMap) -> None:
    """Refuse a table whose header asks for more memory than the file has bytes."""
    try:
        fields = hdu.header.get("TFIELDS")
    except fits.VerifyError:
        fields = None
    rows = hdu.shape[0] if len(hdu.shape) == 2 else -1
    if type(fields) is not int or not 0 <= fields <= _MOST_FIELDS or rows < 0:
        problem = f"it has {fields!r} columns and the shape {hdu.shape}"
    elif rows > max(hdu.data_size, _MOST_EMPTY):
        problem = f"it has {rows} rows in {hdu.data_size} bytes"
    else:
        return
    msg = f"the table in HDU {hdu.index} of {hdu.source.path} is damaged ({problem})"
    raise FormatError(msg)


def _check_rows(header: fits.Header) -> None:
    """Refuse rows of another size than their columns."""
    if header["XTENSION"].strip() == "TABLE" or not header["NAXIS2"]:
        return
    width = sum(field.width for field in fields_of(header))
    if width != header["NAXIS1"]:
        msg = f"its columns take {width} bytes, and its rows have {header['NAXIS1']}"
        raise ValueError(msg)


def _check_arrays(hdu: HduMap, header: fits.Header, content: bytes) -> None:
    """Refuse variable-length arrays that share one place a million times."""
    if hdu.keys.get("XTENSION") == "TABLE" or not hdu.keys.get("PCOUNT"):
        return
    rows, width = hdu.shape
    start = len(hdu.raw)
    stored = content[start : start + rows * width]
    cells = np.frombuffer(stored, "u1").reshape(rows, width)
    total = 0
    for field in fields_of(header):
        if field.pointer and field.width:
            kind = ">i4" if field.pointer == "P" else ">i8"
            place = cells[:, field.start : field.start + field.width]
            pointers = np.ascontiguousarray(place).view(kind)
            total += int(pointers[:, 0].clip(0).sum(dtype=np.float64))
            if (pointers < 0).any():
                msg = f"an array of the column {field.name} begins before the heap"
                raise ValueError(msg)
    if total > hdu.data_size + _SHARED:
        msg = f"its arrays have {total} elements in {hdu.data_size} bytes"
        raise ValueError(msg)


def _with_a_row(header: fits.Header) -> bytes:
    """Add a blank row to a text table without rows."""
    header = header.copy()
    header["NAXIS2"] = 1
    for keyword in list(header["TNULL*"]):
        del header[keyword]
    return whole_header(header.cards) + b" " * int(header["NAXIS1"])


def _without_nulls(
    content: bytes, header: fits.Header, size: int
) -> tuple[bytes, dict[str, Any]]:
    """
    Remove the undefined numbers (TNULLn) at which Table.read fails.

    astropy 8.0.2 takes the string for one in a text table for a number, and compares
    numbers that it has scaled, or made unsigned, with a stored one.
    """
    if not any(keyword.startswith("TNULL") for keyword in header):
        return content, {}
    is_text = header["XTENSION"].strip() == "TABLE"
    header = header.copy()
    width, rows = header["NAXIS1"], header["NAXIS2"]
    stored = content[size : size + width * rows]
    cells = np.frombuffer(stored, "u1").copy().reshape(rows, width)
    nulls = {}
    for field in fields_of(header):
        if field.null is None or field.code == "A" or field.pointer:
            continue
        place = slice(field.start, field.start + field.width)
        column = np.ascontiguousarray(cells[:, place])
        if is_text:
            texts = np.char.strip(column.view(f"S{field.width}")[:, 0])
            null = texts == str(field.null).strip().encode()
            cells[null, place] = ord(" ")
        elif field.is_scaled and field.width:
            null = column.view(field.dtype) == field.null
        else:
            continue
        if null.any():
            nulls[field.name] = null
        del header[f"TNULL{field.number}"]
    made = whole_header(header.cards)
    return made + cells.tobytes() + content[size + width * rows :], nulls


def _native(table: Table) -> Table:
    """Copy into writable memory, in the native byte order."""
    table = table.copy()
    for name in table.colnames:
        column = table[name]
        dtype = getattr(column, "dtype", None)
        if dtype is not None and dtype.kind == "S":
            text = Table([column])
            with contextlib.suppress(UnicodeDecodeError):  # or it stays bytes
                text.convert_bytestring_to_unicode()
            table[name] = text[name]
        elif dtype is not None and dtype.byteorder == ">":
            table[name] = column.astype(dtype.newbyteorder("="))
    return table


def encode_table(table: Table, name: str, version: int | None = None) -> bytes:
    """Encode a table as an HDU."""
    try:
        return _encoded(table, name, version)
    except _IMPOSSIBLE as err:
        which = _impossible_column(table)
        what = f"the table {name!r}" if name else "a table"
        if which is not None:
            what = f"the column {which!r} of {what}"
        msg = f"{what} cannot be written to FITS ({' '.join(str(err).split())})"
        raise FormatError(msg) from err


_IMPOSSIBLE = (ValueError, TypeError, AttributeError, KeyError, fits.VerifyError)


def _encoded(table: Table, name: str, version: int | None = None) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hdu: Any = _as_hdu(table)
        # Not by its attribute, which makes the letters large.
        if name:
            hdu.header["EXTNAME"] = (name, "extension name")
        else:
            hdu.header.remove("EXTNAME", ignore_missing=True)
        if version is not None:
            hdu.ver = version
        # They are of the bytes that the table was read from.
        for keyword in ("CHECKSUM", "DATASUM"):
            hdu.header.remove(keyword, ignore_missing=True)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(
            buffer, output_verify="silentfix"
        )
    return buffer.getvalue()[BLOCK:]


def _as_hdu(table: Table) -> Any:
    if not table.columns.not_isinstance((BaseColumn, Quantity, Time)):
        return fits.table_to_hdu(table)
    # Only its writer takes columns such as coordinates apart; it says so in comments.
    buffer = io.BytesIO()
    table.write(buffer, format="fits")
    buffer.seek(0)
    with fits.open(buffer, character_as_bytes=True, uint=True) as hdus:
        return hdus[1].copy()


def _impossible_column(table: Table) -> str | None:
    """Return the first column that cannot be written by itself either."""
    for name in table.colnames:
        try:
            _encoded(table[[name]], "")
        except _IMPOSSIBLE:
            return str(name)
    return None
