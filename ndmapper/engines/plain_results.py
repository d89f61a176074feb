"""Results of a function that become files other than FITS: text, tables, figures."""

import io
from pathlib import Path
from typing import Any

from astropy.table import Table

from ndmapper.data import PlainFile
from ndmapper.data.plainfile import TABLE_FORMATS
from ndmapper.errors import StepError
from ndmapper.io.filetypes import split_ext

__all__ = ["plain_result"]

_UNDATED = {"pdf": {"CreationDate": None}, "ps": {}, "svg": {"Date": None}}
"""Metadata that keep the time out of figures, so that equal ones are equal files."""


def plain_result(value: Any, name: str, step: str) -> PlainFile:
    """
    Hold what a function returned as the content of a file, not saved yet.

    Raises
    ------
    StepError
        If a file of that type cannot hold it.
    """
    ext = (split_ext(name)[1] or "").lower()
    try:
        return PlainFile(name, _content(value, ext))
    except _CannotHoldError as err:
        msg = (
            f"{step} must return text, bytes, the path of a file, a Table or a Figure "
            f"for {name}, and returned {err}"
        )
        raise StepError(msg) from err
    except OSError as err:
        msg = f"{step} returned {value} for {name}, which cannot be read ({err})"
        raise StepError(msg) from err


class _CannotHoldError(Exception):
    """A value that is no content of a file of some type."""


def _content(value: Any, ext: str) -> bytes:
    if isinstance(value, PlainFile):
        return value.read_bytes()
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    if isinstance(value, Path):
        return value.read_bytes()
    if isinstance(value, Table):
        if ext not in TABLE_FORMATS:
            msg = f"a Table, which goes to a file of type {', '.join(TABLE_FORMATS)}"
            raise _CannotHoldError(msg)
        return _table(value, TABLE_FORMATS[ext])
    if hasattr(value, "savefig"):
        drawn = io.BytesIO()
        value.savefig(drawn, format=ext, metadata=_UNDATED.get(ext))
        return drawn.getvalue()
    msg = f"a {type(value).__name__}"
    raise _CannotHoldError(msg)


def _table(table: Table, form: str) -> bytes:
    if form.startswith("ascii"):
        text = io.StringIO()
        table.write(text, format=form)
        return text.getvalue().encode()
    written = io.BytesIO()
    table.write(written, format=form)
    return written.getvalue()
