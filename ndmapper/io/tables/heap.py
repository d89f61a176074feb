"""The heap of a table: the arrays of columns of varying length, behind the rows."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.io.tables.fields import DoesNotFitError, Field, ascii_bytes, encode_values

__all__ = ["encode_cells", "packed_heap"]

Bytes = npt.NDArray[np.uint8]


def encode_cells(field: Field, cells: npt.NDArray[Any], heap: bytearray) -> Bytes:
    """Encode the arrays of a variable-length column."""
    pointers = np.zeros((len(cells), 2), ">i4" if field.pointer == "P" else ">i8")
    for row, cell in enumerate(cells):
        stored, count = _elements(field, cell)
        if not field.width and count:
            msg = "there is no place for arrays"
            raise DoesNotFitError(msg)
        pointers[row] = count, len(heap)
        heap += stored
    return pointers.view("u1").reshape(len(cells), -1)[:, : field.width]


def packed_heap(columns: list[tuple[Field, Bytes]], heap: bytearray) -> bytearray:
    """Drop what no array refers to."""
    made = bytearray()
    moved = []
    for field, rows in columns:
        pointers = np.ascontiguousarray(rows).view(
            ">i4" if field.pointer == "P" else ">i8"
        )
        for pointer in pointers:
            count, start = pointer.tolist()
            size = count * field.dtype.itemsize if field.code != "X" else -(-count // 8)
            if not 0 <= start <= start + size <= len(heap):
                return heap
            pointer[1] = len(made)
            made += heap[start : start + size]
        moved.append(pointers.view("u1"))
    for (_, rows), changed in zip(columns, moved, strict=True):
        rows[:] = changed
    return made


def _elements(field: Field, cell: Any) -> tuple[bytes, int]:
    """Return the elements of a cell as stored, and their number."""
    if field.code == "A":
        text = cell if isinstance(cell, str | bytes) else _joined(cell)
        stored = text if isinstance(text, bytes) else ascii_bytes(text)
        return stored, len(stored)
    mask = np.ma.getmaskarray(np.ma.asanyarray(cell)).reshape(-1)
    values = np.asarray(cell).reshape(-1)
    if field.code == "X":
        return np.packbits(values.astype(bool)).tobytes(), len(values)
    if not field.is_scaled and field.code != "L":
        wanted = field.dtype.newbyteorder("=")
        if values.dtype != wanted:
            cast = values.astype(wanted)
            if not np.array_equal(cast, values, equal_nan=wanted.kind in "fc"):
                msg = f"{cell!r} is not of type {wanted}"
                raise DoesNotFitError(msg)
            values = cast
    width = field.dtype.itemsize
    one = Field(
        field.number, field.name, field.code, 0, width,
        scale=field.scale, zero=field.zero, null=field.null,
    )  # fmt: skip
    return encode_values(one, values, mask).tobytes(), len(values)


def _joined(cell: Any) -> str | bytes:
    """Join the letters into which a variable-length string is read."""
    letters = np.asarray(cell).reshape(-1)
    if letters.dtype.kind == "S":
        return b"".join(letters.tolist())
    # numpy takes blanks at the end away.
    return "".join(str(letter) or " " for letter in letters)
