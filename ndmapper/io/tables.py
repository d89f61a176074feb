"""Tables: between HDUs and astropy Tables."""

import contextlib
import io
import re
import warnings
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from ndmapper.errors import FormatError
from ndmapper.io.filemap import HduMap

__all__ = ["encode_table", "read_table"]


def read_table(hdu: HduMap) -> Table:
    """
    Read a table.

    Parameters
    ----------
    hdu : HduMap
        An HDU that holds a table.

    Returns
    -------
    Table
        Its columns, with the cards of its header in ``meta``.

    Raises
    ------
    FormatError
        If the table is damaged.
    """
    is_ascii = hdu.keys.get("XTENSION") == "TABLE"
    kind = fits.TableHDU if is_ascii else fits.BinTableHDU
    content = hdu.read_bytes()
    nulls: dict[str, Any] = {}
    with warnings.catch_warnings():
        # Units that are not understood stay as text; nothing is lost by it.
        warnings.simplefilter("ignore")
        try:
            if is_ascii:
                content, nulls = _without_nulls(content, len(hdu.raw))
            # Text is read as bytes first, as astropy does for files: that is how it
            # knows that there is none in a field.
            stored = kind.fromstring(content, character_as_bytes=True)
            table = _native(Table.read(stored))
            for name, null in nulls.items():
                table[name] = MaskedColumn(table[name], mask=null)
        # Whatever a damaged file makes the parser stumble over.
        except Exception as err:
            msg = (
                f"the table in HDU {hdu.index} of {hdu.source.path} is damaged ({err})"
            )
            raise FormatError(msg) from err
    return table


def _without_nulls(content: bytes, size: int) -> tuple[bytes, dict[str, Any]]:
    """
    Take the texts for undefined numbers (TNULLn) out of a text table.

    Table.read (astropy 8.0.2) takes such a text for a number, and fails.
    """
    header = fits.Header.fromstring(content[:size])
    width, rows = header["NAXIS1"], header["NAXIS2"]
    cells = np.frombuffer(content[size : size + width * rows], "u1").copy()
    cells = cells.reshape(rows, width)
    nulls = {}
    for i in range(1, header["TFIELDS"] + 1):
        form = re.match(r"\s*[IFED](\d+)", str(header.get(f"TFORM{i}")))
        if f"TNULL{i}" not in header or form is None:
            continue
        start = header[f"TBCOL{i}"] - 1
        column = np.ascontiguousarray(cells[:, start : start + int(form[1])])
        texts = np.char.strip(column.view(f"S{column.shape[1]}")[:, 0])
        null = texts == str(header[f"TNULL{i}"]).strip().encode()
        cells[null, start : start + int(form[1])] = ord(" ")
        if null.any():
            nulls[str(header.get(f"TTYPE{i}", f"col{i}")).strip()] = null
        del header[f"TNULL{i}"]
    made = header.tostring(padding=True).encode("latin-1")
    return made + cells.tobytes() + content[size + width * rows :], nulls


def _native(table: Table) -> Table:
    """Copy into memory that can be written, in the byte order of this machine."""
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
    """
    Write a table as a whole HDU.

    Parameters
    ----------
    table : Table
        The table; the items of its ``meta`` become cards.
    name : str
        EXTNAME.
    version : int, optional
        EXTVER.

    Returns
    -------
    bytes
        Header and table, padded to whole blocks.

    Raises
    ------
    FormatError
        If FITS cannot hold the table.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            hdu: Any = fits.table_to_hdu(table)
            hdu.name = name
            # With the comment of a new one, so that the same table is the same bytes.
            hdu.header.comments["EXTNAME"] = "extension name"
            if version is not None:
                hdu.ver = version
            fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(
                buffer, output_verify="silentfix"
            )
        except (ValueError, TypeError, AttributeError) as err:
            msg = f"the table {name!r} cannot be written to FITS ({err})"
            raise FormatError(msg) from err
    return buffer.getvalue()[2880:]
