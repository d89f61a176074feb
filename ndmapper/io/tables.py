"""Tables: between HDUs and astropy Tables."""

import io
import warnings
from typing import Any

from astropy.io import fits
from astropy.table import Table

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
    kind = fits.TableHDU if hdu.keys.get("XTENSION") == "TABLE" else fits.BinTableHDU
    with warnings.catch_warnings():
        # Units that are not understood stay as text; nothing is lost by it.
        warnings.simplefilter("ignore")
        try:
            return _native(Table.read(kind.fromstring(hdu.read_bytes())))
        except (ValueError, TypeError, KeyError, IndexError) as err:
            msg = (
                f"the table in HDU {hdu.index} of {hdu.source.path} is damaged ({err})"
            )
            raise FormatError(msg) from err


def _native(table: Table) -> Table:
    """Copy into memory that can be written, in the byte order of this machine."""
    table = table.copy()
    for name in table.colnames:
        column = table[name]
        dtype = getattr(column, "dtype", None)
        if dtype is not None and dtype.byteorder == ">":
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
            if version is not None:
                hdu.ver = version
            fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(
                buffer, output_verify="silentfix"
            )
        except (ValueError, TypeError, AttributeError) as err:
            msg = f"the table {name!r} cannot be written to FITS ({err})"
            raise FormatError(msg) from err
    return buffer.getvalue()[2880:]
