"""
The columns of a stored table: where each lies in a row, and how its values are stored.

FITS standard 4.0, sections 7.2 (text tables) and 7.3 (binary tables).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.io.headers import Header

__all__ = [
    "DoesNotFitError",
    "Field",
    "ascii_bytes",
    "encode_values",
    "fields_of",
]

_TYPES = {
    "B": ">u1", "I": ">i2", "J": ">i4", "K": ">i8",
    "E": ">f4", "D": ">f8", "C": ">c8", "M": ">c16",
    "L": "u1", "A": "u1", "X": "u1",
}  # fmt: skip
_BINARY = re.compile(r"\s*(\d*)([PQ]?)([LXBIJKAEDCM])")
_TEXT = re.compile(r"\s*([AIFED])(\d+)(?:\.(\d+))?")

Bytes = npt.NDArray[np.uint8]


class DoesNotFitError(ValueError):
    """A value cannot be stored in the form of its column."""


@dataclass(frozen=True)
class Field:
    """A column as it is stored."""

    number: int  # its number in the header, from 1
    name: str  # TTYPEn
    # The letter of its TFORMn, or that of its elements if their number varies.
    code: str
    # Its place in a row, in bytes.
    start: int
    width: int
    count: int = 1  # number of elements in a row
    pointer: str = ""  # P or Q where the elements are in the heap, else empty
    # TSCALn and TZEROn.
    scale: float = 1
    zero: float = 0
    null: Any = None  # TNULLn
    is_text: bool = False  # whether it is in a text table
    digits: int = 0  # of a number in a text table, those behind the point

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of an element, as stored."""
        return np.dtype(_TYPES[self.code])

    @property
    def is_scaled(self) -> bool:
        """Whether the values differ from the stored numbers."""
        return self.code in "BIJKEDCM" and (self.scale, self.zero) != (1, 0)


def _column_names(header: Header) -> list[str]:
    """Give each column a unique name."""
    found: list[str] = []
    given = [
        str(header.get(f"TTYPE{n}", "")).strip()
        for n in range(1, header["TFIELDS"] + 1)
    ]
    for n, name in enumerate(given, start=1):
        wanted = made = name or f"col{n}"
        if made in found or (not name and made in given):
            made = f"{wanted}_{n}"
        while made in found or (made != wanted and made in given):
            made += "_"
        found.append(made)
    return found


def fields_of(header: Header) -> list[Field]:
    """Find the columns of a table."""
    is_text = header["XTENSION"].strip() == "TABLE"
    found = []
    names = _column_names(header)
    start = 0
    for n in range(1, header["TFIELDS"] + 1):
        form = str(header[f"TFORM{n}"])
        match = (_TEXT if is_text else _BINARY).match(form)
        if match is None:
            msg = f"TFORM{n} is {form!r}"
            raise ValueError(msg)
        given: dict[str, Any] = {
            "number": n,
            "name": names[n - 1],
            "scale": header.get(f"TSCAL{n}", 1),
            "zero": header.get(f"TZERO{n}", 0),
            "null": header.get(f"TNULL{n}"),
        }
        if is_text:
            code, width, digits = match.groups()
            start = header[f"TBCOL{n}"] - 1
            given |= {"digits": int(digits or 0), "is_text": True}
            found.append(Field(code=code, start=start, width=int(width), **given))
            continue
        repeat, pointer, code = match.groups()
        count = int(repeat or 1)
        if pointer:
            width = min(count, 1) * (8 if pointer == "P" else 16)
        elif code == "X":
            width = -(-count // 8)
        else:
            width = count * np.dtype(_TYPES[code]).itemsize
        given |= {"count": count, "pointer": pointer}
        given["null"] = _stored_null(given["null"], code)
        found.append(Field(code=code, start=start, width=width, **given))
        start += width
    return found


def _stored_null(null: Any, code: str) -> int | None:
    """Return TNULLn of a binary table, if its type can hold it."""
    if code not in "BIJK" or null is None or isinstance(null, bool):
        return None  # undefined floats are NaN, and undefined texts empty
    try:
        number = float(null)
        limits = np.iinfo(_TYPES[code])
        value = int(null) if number.is_integer() else None
    except (TypeError, ValueError, OverflowError):
        return None
    return value if value is not None and limits.min <= value <= limits.max else None


def encode_values(
    field: Field, values: npt.NDArray[Any], mask: npt.NDArray[np.bool_]
) -> Bytes:
    """Encode values in the form of a column."""
    rows = len(values)
    if values.size == 0:
        return np.zeros((rows, field.width), "u1")
    if field.is_text:
        made = _texts(field, values, mask)
    elif field.code == "X":
        return np.packbits((values & ~mask).reshape(rows, -1), axis=1)
    elif field.code == "L":
        made = np.where(mask, 0, np.where(values, ord("T"), ord("F"))).astype("u1")
    elif field.code == "A":
        made = _strings(values, mask, field.width * rows // values.size)
    else:
        made = _numbers(field, values, mask)
    return np.ascontiguousarray(made).view("u1").reshape(rows, field.width)


def ascii_bytes(text: str) -> bytes:
    """Encode a text in ASCII."""
    try:
        return text.encode("ascii")
    except UnicodeEncodeError as err:
        msg = f"{text!r} is not ASCII"
        raise DoesNotFitError(msg) from err


def _strings(
    values: npt.NDArray[Any], mask: npt.NDArray[np.bool_], size: int
) -> npt.NDArray[Any]:
    flat = [
        b"" if null else text if isinstance(text, bytes) else ascii_bytes(text)
        for text, null in zip(values.reshape(-1).tolist(), mask.flat, strict=True)
    ]
    if any(len(text) > size for text in flat):
        msg = f"a text is longer than {size}"
        raise DoesNotFitError(msg)
    return np.array(flat, f"S{size}") if size else np.zeros(0, "u1")


def _numbers(
    field: Field, values: npt.NDArray[Any], mask: npt.NDArray[np.bool_]
) -> npt.NDArray[Any]:
    dtype = field.dtype
    raw: npt.NDArray[Any]
    if mask.any() and dtype.kind in "iu" and field.null is None:
        msg = "the column has no TNULL for undefined numbers"
        raise DoesNotFitError(msg)
    if field.is_scaled and values.dtype.kind == "u" and dtype.kind == "i":
        # An unsigned integer is stored with its highest bit turned round.
        size = dtype.itemsize
        turned = values.astype(f"u{size}") ^ np.array(1 << (8 * size - 1), f"u{size}")
        raw = turned.view(f"i{size}").astype(dtype)
    elif field.is_scaled:
        raw = _scaled(field, values, mask)
    else:
        raw = values.astype(dtype)
    if mask.any():
        raw[mask] = field.null if dtype.kind in "iu" else np.nan
    return raw


def _scaled(
    field: Field, values: npt.NDArray[Any], mask: npt.NDArray[np.bool_]
) -> npt.NDArray[Any]:
    """Undo the scaling, if that gives the same values on reading."""
    dtype = field.dtype
    wide = "c16" if dtype.kind == "c" else "f8"
    meant = np.where(mask, field.zero, values).astype(wide)
    raw = (meant - field.zero) / field.scale
    if dtype.kind in "iu":
        raw, limits = np.rint(raw), np.iinfo(dtype)
        if not ((raw >= limits.min) & (raw <= limits.max)).all():
            msg = f"a number is out of the range of TFORM{field.number}"
            raise DoesNotFitError(msg)
    stored: npt.NDArray[Any] = raw.astype(dtype)
    step = np.finfo(dtype if dtype.kind in "fc" else "f8").eps
    back = stored.astype(wide) * field.scale + field.zero
    room = 4 * step * (abs(meant) + abs(field.zero))
    if not (np.isclose(back, meant, rtol=0, atol=0, equal_nan=True)
            | (abs(back - meant) <= room)).all():  # fmt: skip
        msg = f"TSCAL{field.number} and TZERO{field.number} do not give a number"
        raise DoesNotFitError(msg)
    return stored


def _texts(
    field: Field, values: npt.NDArray[Any], mask: npt.NDArray[np.bool_]
) -> npt.NDArray[Any]:
    made = []
    write = _writer(field)
    for value, null in zip(values.tolist(), mask.tolist(), strict=True):
        if null:
            text = "" if field.null is None else str(field.null).strip()
            text = text.ljust(field.width)
        else:
            text = write(value)
        if len(text) > field.width:
            msg = f"{value!r} is longer than {field.width} characters"
            raise DoesNotFitError(msg)
        made.append(ascii_bytes(text))
    return np.array(made, f"S{field.width}")


def _writer(field: Field) -> Callable[[Any], str]:
    """Return the function that writes a value into a field of a text table."""
    width, code = field.width, field.code
    if code == "A":
        return lambda text: (
            text.decode("ascii") if isinstance(text, bytes) else text
        ).ljust(width)
    if code == "I" and not field.is_scaled:
        return lambda number: f"{number:{width}d}"
    kind = "d" if code == "I" else "f" if code == "F" else "E"

    def written(number: float) -> str:
        number = (number - field.zero) / field.scale
        if kind == "d":
            return f"{round(number):{width}d}"
        # As many digits as it takes to read the same number, else as there is room
        # for; where there is a point, it counts more than the form.
        text = f"{number:{width}.{field.digits}{kind}}"
        for digits in range(field.digits, 18):
            longer = f"{number:.{digits}{kind}}"
            if len(longer) > width:
                break
            text = longer.rjust(width)
            if float(longer) == number:
                break
        return text.replace("E", "D") if code == "D" else text

    return written
