"""In which form an array is written, and with which cards."""

from typing import Any

import numpy as np
from astropy import units as u

from ndmapper.data.array import Part, as_stored, root_of
from ndmapper.data.content import Content
from ndmapper.data.ndlater import NDLater
from ndmapper.data.saving.computed import Later
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.converted import (
    KIND_KEYWORD,
    KIND_NAMES,
    ConvertedHandle,
    InverseHandle,
    NoDataHandle,
    RescaledHandle,
)
from ndmapper.io.filemap import HduMap
from ndmapper.io.formkeys import form_keywords
from ndmapper.io.headers import (
    StoredHeader,
    UnreadableCardError,
    changed_keywords,
    is_array_keyword,
    is_frame_keyword,
)
from ndmapper.io.roles import UncertaintyKind
from ndmapper.io.units import unit_of, unit_to_text, unit_words
from ndmapper.numerics.formulas import float_type, narrowed

__all__ = [
    "Name",
    "described_like",
    "extension_name",
    "filled",
    "is_named",
    "is_relabelled",
    "kept_name",
    "to_write",
    "unit_card",
    "with_kind",
]


Name = tuple[str, int | None]
"""EXTNAME and EXTVER."""


def to_write(
    part: Part,
    *,
    data_dtype: np.dtype[Any],
    kind: UncertaintyKind = "variance",
    is_ccddata: bool = False,
    is_relabelled: bool = False,
) -> Any:
    """
    Give the stored bytes of an array if nobody changed it, else its values.

    Parameters
    ----------
    part : Part
        The array.
    data_dtype : dtype
        Type of the data; standard deviations are written as wide as these.
    kind : {'variance', 'std', 'ivar'}
        What is written of variances.
    is_ccddata : bool
        The file is laid out as those of CCDData; elsewhere the numbers of a mask
        would mean something else.
    is_relabelled : bool
        The header says another unit of the data than it did.

    Returns
    -------
    ArrayHandle, ndarray or Later
        What is written; a NoDataHandle where flags are as they were read.
    """
    as_std = kind == "std"
    if not part.is_loaded and part.pending is not None:
        return Later(part.pending, kind, float_type(data_dtype) if as_std else None)
    handle = part.handle
    if (
        handle is not None
        and (handle.is_whole or (not handle.shape and handle.stored_shape == (1,)))
        and part.is_std == as_std
        # Of one that is only turned into the unit of its data the header tells.
        and (
            is_ccddata
            or (isinstance(handle, RescaledHandle) and not is_relabelled)
            or _means_the_same(handle, kind)
        )
        and not part.is_modified
    ):
        return handle
    array = part.values()
    return narrowed(root_of(array), data_dtype) if as_std else as_stored(array, kind)


def _means_the_same(handle: ArrayHandle, kind: UncertaintyKind) -> bool:
    """Whether the stored numbers mean in the file to be written what they meant."""
    if isinstance(handle, InverseHandle):
        return kind == "ivar"
    if isinstance(handle, NoDataHandle):
        return True  # whoever writes it sees to that
    return not isinstance(handle, ConvertedHandle) and kind != "ivar"


def described_like(ndd: NDLater) -> StoredHeader:
    """
    Make the header of a new variance or flags: the coordinates of the data.

    Parameters
    ----------
    ndd : NDLater
        The data.

    Returns
    -------
    StoredHeader
        The header.
    """
    header = ndd.meta.copy()
    for keyword in dict.fromkeys(header):
        is_wanted = is_array_keyword(keyword) or is_frame_keyword(keyword)
        if not is_wanted or keyword == "BUNIT":
            header.remove(keyword, ignore_missing=True, remove_all=True)
    return StoredHeader(header=header)


def filled(empty: StoredHeader, described: StoredHeader) -> StoredHeader:
    """
    Make the header of an array that takes an empty place, as HST leaves them.

    Parameters
    ----------
    empty : StoredHeader
        The header of the place; with NPIX1, NPIX2 and PIXVALUE it says how the array
        would be, if it was there.
    described : StoredHeader
        The coordinates, where it has none itself.

    Returns
    -------
    StoredHeader
        The header.
    """
    header = empty.header
    for keyword in ("NPIX1", "NPIX2", "PIXVALUE"):
        header.remove(keyword, ignore_missing=True, remove_all=True)
    if not any(map(is_array_keyword, header)):
        header.extend(described.header.cards)
    return StoredHeader(header=header)


def with_kind(
    stored: StoredHeader, *, kind: UncertaintyKind, is_ccddata: bool, is_new: bool
) -> StoredHeader:
    """
    See to it that a header says of which kind an uncertainty is, where that is usual.

    Parameters
    ----------
    stored : StoredHeader
        The header.
    kind : {'variance', 'std', 'ivar'}
        What is written.
    is_ccddata : bool
        The file is laid out as those of CCDData.
    is_new : bool
        The array is not copied from a file.

    Returns
    -------
    StoredHeader
        The same, or a copy that says it.
    """
    name = KIND_NAMES["inverse" if kind == "ivar" else kind]
    found = stored.header.get(KIND_KEYWORD)
    if found is None and (not is_ccddata or (kind == "std" and not is_new)):
        return stored  # which says enough
    if found == name:
        return stored
    stored = stored.copy()
    stored.header[KIND_KEYWORD] = name
    return stored


def is_relabelled(ndd: NDLater) -> bool:
    """
    Say whether the unit of the data is another one than in their file.

    Parameters
    ----------
    ndd : NDLater
        The data.

    Returns
    -------
    bool
        True where somebody set the unit, or changed BUNIT.
    """
    if ndd.content.unit_edited:
        return True
    stored = ndd.content.stored
    if not stored.is_parsed and not stored.is_touched:
        return False
    before = {} if stored.raw is None else form_keywords(stored.raw)
    return unit_words(stored.header) != unit_words(before)


def unit_card(
    ndd: NDLater, part: str, *, kind: UncertaintyKind, is_new: bool, is_copied: bool
) -> str | None:
    """
    Find what BUNIT must say.

    Parameters
    ----------
    ndd : NDLater
        Whose unit it is.
    part : str
        Which array is written.
    kind : {'variance', 'std', 'ivar'}
        What is written of variances.
    is_new : bool
        The array has no header yet.
    is_copied : bool
        The array is copied as it is stored.

    Returns
    -------
    str or None
        The text; empty to take it out, None to leave it as it is.
    """
    if part == "flags":
        return None
    if part == "uncertainty" and is_relabelled(ndd):
        is_copied = False
    if not (is_new or ndd.content.unit_edited):
        if part != "uncertainty" or is_copied:
            return None
        return _unit_of_values(ndd, kind)
    unit = ndd.unit
    if unit is None:
        return "" if ndd.content.unit_edited else None
    if part == "data":
        return unit_to_text(unit) if ndd.content.unit_edited else None
    return unit_to_text(unit ** _POWERS[kind])


_POWERS: dict[UncertaintyKind, int] = {"std": 1, "variance": 2, "ivar": -2}
"""The unit of what a file holds is this power of that of the data."""


def _unit_of_values(ndd: NDLater, kind: UncertaintyKind) -> str | None:
    """
    Find what BUNIT must say of an uncertainty that is not copied.

    It was turned into the unit of the data, or a square of that, when it was read.
    """
    source = ndd.content.arrays["uncertainty"]
    header = None if source.header is None else source.header.header
    if header is None or "BUNIT" not in header:
        return None
    before: UncertaintyKind = "std" if source.is_std else "variance"
    if isinstance(source.handle, InverseHandle):
        before = "ivar"
    elif source.handle is None and kind == "ivar" and not source.is_std:
        before = kind  # what was computed has the header of what is stored
    stated = unit_of(header)
    if isinstance(ndd.unit, u.UnitBase) and not before == kind == "ivar":
        wanted = ndd.unit ** _POWERS[kind]
        return None if stated == wanted else unit_to_text(wanted)
    if is_relabelled(ndd) and not unit_words(ndd.meta):
        return ""
    if before == kind:
        return None
    power = _POWERS[kind] / _POWERS[before]
    return "" if stated is None else unit_to_text(stated**power)


def extension_name(df: Content, ndd: NDLater, part: str) -> tuple[str, int | None]:
    """
    Name an extension.

    Parameters
    ----------
    df : DataFile
        The file.
    ndd : NDLater
        The group.
    part : str
        Which of its arrays.

    Returns
    -------
    name : str
        EXTNAME.
    version : int or None
        EXTVER; None where the group has a name instead of a number.

    Raises
    ------
    FormatError
        If its ident can be neither.
    """
    ident = _repeated_name(df, ndd) or ndd.ident
    if part == "data" and all(_has_own_name(df, group) for group in df._groups):
        return str(ident), None
    return df._labels.join(ident, part)


def _has_own_name(df: Content, ndd: NDLater) -> bool:
    """Whether a group is one image that has its ident as name, as in raw files."""
    ident = _repeated_name(df, ndd) or ndd.ident
    return (
        isinstance(ident, str)
        and len(ndd.content.arrays) == 1
        and is_named(ndd.content.stored, ident, None)
    )


def _repeated_name(df: Content, ndd: NDLater) -> str | None:
    """Find the name in the file of a group that got a number, as one of several."""
    ident = ndd.ident
    if df._map is None or df._layout is None or not isinstance(ident, str):
        return None
    if not ident.rstrip("_")[-1:].isdecimal():
        return None
    origin = ndd.content.origin
    if origin is None or origin[0] != df._map.source:
        return None
    if (origin[1], ident) not in [(g.data, g.ident) for g in df._layout.groups]:
        return None
    written = str(ndd.content.stored.header.get("EXTNAME", "")).strip()
    stem, part = df._labels.split(written) or ("", "")
    name = stem if stem and part == "data" else written
    given = ident.removeprefix(f"{name}_") != ident and name not in df.idents
    return name if name and given else None


def is_named(stored: StoredHeader, name: str, version: int | None) -> bool:
    """
    Say whether an extension has a name and number already.

    Parameters
    ----------
    stored : StoredHeader
        Its header.
    name : str
        EXTNAME.
    version : int or None
        EXTVER; None for any.

    Returns
    -------
    bool
        True if nothing needs to be set.
    """
    header = stored.header
    try:
        written = str(header.get("EXTNAME", "")).strip()
        number = header.get("EXTVER")
    except UnreadableCardError:
        return False
    return written.upper() == name.upper() and version in (None, number)


def kept_name(hdu: HduMap, stored: StoredHeader) -> Name | None:
    """
    Find the name that an extension must keep, whatever was put in its place.

    Parameters
    ----------
    hdu : HduMap
        What was there.
    stored : StoredHeader
        The header of what is there now: that of an image from elsewhere, or one that
        somebody set, may have another name or none.

    Returns
    -------
    (str, int or None) or None
        EXTNAME, which may be empty, and EXTVER; None where they are as they were.
    """
    if stored.raw == hdu.image_raw and not (
        stored.is_touched and changed_keywords(stored) & {"EXTNAME", "EXTVER"}
    ):
        return None
    # A number that was brought along would make it another one's.
    is_new = hdu.version is None and "EXTVER" in stored.header
    written = str(hdu.keys.get("EXTNAME") or "").strip()  # im2, where the name is IM2
    return written, 1 if is_new else hdu.version
