"""The bits of flags: our own, those of headers, and translation between them."""

import re
from collections.abc import Iterable
from dataclasses import replace
from enum import IntFlag
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.instruments import FlagBit, FlagTable, flag_conventions, load_flags
from ndmapper.instruments.conventions import ALL_BITS
from ndmapper.io.headers import Header, UnreadableCardError

__all__ = [
    "FLAGS_DTYPE",
    "Flag",
    "as_bits",
    "name_flags",
    "named_flags",
    "translated",
    "widened",
]

FLAGS_DTYPE = np.dtype("uint16")
"""Type of new arrays of flags."""

Array = npt.NDArray[Any]

_CONVENTION = "FLAGCONV"
_CARD = re.compile(r"FLAG(\d|[12]\d|3[01])")


class Flag(IntFlag):
    """Why a pixel is not to be trusted: the bits of Gemini's DQ arrays."""

    BAD = 1
    NONLINEAR = 2
    SATURATED = 4
    COSMIC_RAY = 8
    NO_DATA = 16
    OVERLAP = 32
    UNILLUMINATED = 64


def as_bits(value: int, dtype: np.dtype[Any]) -> Any:
    """Make bits of a number, of a type that may be signed or narrower."""
    # The lower 32 bits, which is all that has names, mean those above, too.
    value = ALL_BITS if value == 0xFFFFFFFF else value
    width = 8 * dtype.itemsize
    return np.array(value & ((1 << width) - 1), f"u{dtype.itemsize}").astype(dtype)[()]


def widened(flags: Array, bits: int) -> Array:
    """Return flags in a type that holds some bits: the same array if it does."""
    wanted = bits.bit_length()
    if wanted <= 8 * flags.dtype.itemsize:
        return flags
    return _unsigned(flags).astype(_type_for(bits))


def _type_for(bits: int) -> np.dtype[Any]:
    for dtype in (FLAGS_DTYPE, np.dtype("uint32")):
        if bits <= np.iinfo(dtype).max:
            return dtype
    return np.dtype("uint64")


def _unsigned(flags: Array) -> Array:
    # A view, so that the sign bit of signed flags stays one bit of them.
    return flags.view(f"u{flags.dtype.itemsize}")


def translated(flags: Array, source: FlagTable, to: FlagTable) -> Array:
    """Translate flags into another convention, as a new unsigned array."""
    flags = _unsigned(np.ascontiguousarray(flags))
    table = source.translation(to)
    used = int(np.bitwise_or.reduce(flags, axis=None, keepdims=True).item())
    made = 0
    for value, there in table.items():
        made |= there if used & value else 0
    result = np.zeros(flags.shape, _type_for(made))
    for value, there in table.items():
        if used & value and there:
            result[(flags & flags.dtype.type(value)) != 0] |= result.dtype.type(there)
    return result


def name_flags(header: Header, table: FlagTable) -> None:
    """Write a flag convention into the header of the flags (FLAGCONV, FLAGn)."""
    bits: list[tuple[int, str | None]] = [(b.bit, b.name) for b in table.bits]
    if _text(header, _CONVENTION) == table.name and _bits(header) == bits:
        return
    wrong = [_CONVENTION] if _text(header, _CONVENTION) is None else []
    for keyword in [*wrong, *(k for k in header if _CARD.fullmatch(k))]:
        header.remove(keyword, ignore_missing=True, remove_all=True)
    header[_CONVENTION] = (table.name, "convention of these flags")
    for bit in table.bits:
        # A card has room for 47 characters after a name of up to 18.
        room = 47 - max(0, len(bit.name) - 18)
        header[f"FLAG{bit.bit}"] = (bit.name, bit.means[:room])


def named_flags(header: Header) -> FlagTable | None:
    """Read the flag convention that the header of the flags names, if it does."""
    name, bits = _text(header, _CONVENTION), _bits(header)
    if name is None:
        return None
    if name in flag_conventions():
        table = load_flags(name)
        wanted = {b.bit: b.name for b in table.bits}
        # A card that cannot be read says nothing else than the convention does.
        if {n: wanted.get(n) if text is None else text for n, text in bits} == wanted:
            return table
        more = [(n, flag) for n, flag in bits if n not in wanted]
        if [(n, flag) for n, flag in bits if n in wanted] == sorted(wanted.items()):
            return replace(table, bits=(*table.bits, *_by_name(header, more)))
    named = _by_name(header, bits)
    return FlagTable(
        name=name,
        bits=named,
        from_own={b.name.upper(): b.name for b in named if b.own == b.name.upper()},
    )


def _by_name(
    header: Header, bits: Iterable[tuple[int, str | None]]
) -> tuple[FlagBit, ...]:
    """Describe bits of which nothing is known but their names."""
    own = set(load_flags("ndmapper").from_own)
    return tuple(
        FlagBit(
            bit=number,
            name=flag,
            means=str(header.comments[f"FLAG{number}"]),
            own=flag.upper() if flag.upper() in own else "BAD",
        )
        for number, flag in bits
        if flag is not None
    )


def _bits(header: Header) -> list[tuple[int, str | None]]:
    """Read the names of bits; None for those whose card breaks the standard."""
    found = {int(m[1]): _text(header, k) for k in header if (m := _CARD.fullmatch(k))}
    return sorted(found.items())


def _text(header: Header, keyword: str) -> str | None:
    try:
        return str(header[keyword])
    except (KeyError, UnreadableCardError):
        return None
