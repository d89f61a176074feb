"""Sections and regions of arrays, written as text in the FITS or NumPy convention."""

import re
from collections.abc import Sequence
from typing import Literal

__all__ = [
    "Convention",
    "format_section",
    "intersect",
    "offset_section",
    "parse_region",
    "parse_section",
]

Convention = Literal["numpy", "fits"]
"""How regions are written: order of the axes, origin, and whether ends are included."""

_RANGE = re.compile(r"\s*(\d+)\s*:\s*(\d+)\s*")


def parse_section(text: str) -> tuple[slice, ...]:
    """
    Turn a FITS section, as in DATASEC and BIASSEC, into slices.

    Parameters
    ----------
    text : str
        For instance ``'[1:1024,1:350]'``: columns first, counted from 1, ends
        included (the NOAO convention for DATASEC and its relatives).

    Returns
    -------
    tuple of slice
        One slice per axis in array order ``(ny, nx)``, from 0, ends not included.

    Raises
    ------
    ValueError
        If the text is not of that form, or a range is empty or reversed.
    """
    match = re.fullmatch(r"\s*\[(.*)\]\s*", text)
    parts = match[1].split(",") if match else []
    slices = []
    for part in parts:
        ends = _RANGE.fullmatch(part)
        if ends is None or not 1 <= int(ends[1]) <= int(ends[2]):
            break
        slices.append(slice(int(ends[1]) - 1, int(ends[2])))
    if not slices or len(slices) != len(parts):
        msg = f"section {text!r} is not of the form '[x1:x2,y1:y2]' with 1 <= x1 <= x2"
        raise ValueError(msg)
    return tuple(reversed(slices))


def format_section(slices: Sequence[slice]) -> str:
    """
    Write slices as a FITS section; the inverse of `parse_section`.

    Parameters
    ----------
    slices : sequence of slice
        One per axis in array order, with integer starts and stops and no step.

    Returns
    -------
    str
        For instance ``'[1:1024,1:350]'``.
    """
    return "[" + ",".join(f"{s.start + 1}:{s.stop}" for s in reversed(slices)) + "]"


def offset_section(slices: Sequence[slice], origin: Sequence[int]) -> tuple[slice, ...]:
    """
    Express a section in the coordinates of a part of the array.

    Parameters
    ----------
    slices : sequence of slice
        Section of the whole array.
    origin : sequence of int
        Index of the part's first pixel in the whole array.

    Returns
    -------
    tuple of slice
        The same pixels, counted from `origin`.
    """
    return tuple(
        slice(s.start - o, s.stop - o) for s, o in zip(slices, origin, strict=True)
    )


def intersect(
    first: Sequence[slice], second: Sequence[slice]
) -> tuple[slice, ...] | None:
    """
    Find the pixels that two sections share.

    Parameters
    ----------
    first, second : sequence of slice
        Sections of one array, with integer starts and stops and no step.

    Returns
    -------
    tuple of slice or None
        The common section; None when they do not touch.
    """
    common = tuple(
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(first, second, strict=True)
    )
    return common if all(s.start < s.stop for s in common) else None


def parse_region(text: str, convention: str = "numpy") -> tuple[slice, ...]:
    """
    Turn a region given by a user into slices.

    Parameters
    ----------
    text : str
        For instance ``'100:110,50:60'``, ``'100,*'`` or ``':,99'``. A single number
        is one row or column; ``*`` or ``:`` is a whole axis; brackets around the
        region are allowed.
    convention : str
        ``'numpy'``: rows first, from 0, ends not included. ``'fits'``: columns
        first, from 1, ends included. Upper or lower case.

    Returns
    -------
    tuple of slice
        One slice per axis in array order.

    Raises
    ------
    ValueError
        If the convention is unknown or the text cannot be understood.
    """
    if convention.lower() not in ("numpy", "fits"):
        msg = f"convention must be 'numpy' or 'fits', not {convention!r}"
        raise ValueError(msg)
    is_fits = convention.lower() == "fits"
    bare = text.strip().removeprefix("[").removesuffix("]")
    try:
        slices = [_parse_axis(part.strip(), is_fits) for part in bare.split(",")]
    except ValueError as err:
        msg = f"region {text!r} is not in the {convention} convention: {err}"
        raise ValueError(msg) from None
    return tuple(reversed(slices)) if is_fits else tuple(slices)


def _parse_axis(text: str, is_fits: bool) -> slice:
    if text in ("*", ":"):
        return slice(None)
    origin = 1 if is_fits else 0
    ends = [part.strip() for part in text.split(":")]
    if not all(re.fullmatch(r"\d*", end) for end in ends) or len(ends) > 2:
        msg = f"{text!r} is neither 'n', 'n:m', ':' nor '*', with n and m >= {origin}"
        raise ValueError(msg)
    if len(ends) == 1:
        if not text:
            msg = "an axis is empty"
            raise ValueError(msg)
        start = int(text) - origin
        stop: int | None = start + 1
    else:
        # Only the start moves: the inclusive end and the origin 1 cancel.
        start = int(ends[0]) - origin if ends[0] else 0
        stop = int(ends[1]) if ends[1] else None
    if start < 0 or (stop is not None and stop <= start):
        msg = f"{text!r} contains no pixels"
        raise ValueError(msg)
    return slice(start, stop)
