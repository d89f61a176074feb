"""
One HDU of a file that is saved: its form, header and unit.

What nothing changed is copied byte for byte.
"""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u

from ndmapper.data.array import LazyArray
from ndmapper.data.flags import name_flags
from ndmapper.data.ndlater import NDLater
from ndmapper.data.primary_header import (
    extension_header,
    merged_header,
    primary_header,
    replaced_header,
)
from ndmapper.data.saving.arrangement import (
    Arrangement,
    Name,
    belonging_name,
    extension_name,
    free_version,
    is_named,
    kept_name,
)
from ndmapper.data.saving.computed import ComputedOnWrite
from ndmapper.data.uncertainty import as_stored, root_of
from ndmapper.errors import FormatError
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.converted import (
    KIND_KEYWORD,
    KIND_NAMES,
    AsBits,
    AsMask,
    AsVariance,
    WithNoData,
    stored_kind,
)
from ndmapper.io.filemap import HduMap
from ndmapper.io.filetypes import wants_tiles
from ndmapper.io.hdu import HduOut, array_header, carried_header, stored_form
from ndmapper.io.headers import (
    Header,
    StoredHeader,
    is_array_keyword,
    is_frame_keyword,
)
from ndmapper.io.quickheader import form_keywords
from ndmapper.io.roles import UncertaintyKind
from ndmapper.io.tiles.read import TileHandle
from ndmapper.io.units import unit_of, unit_to_text, unit_words
from ndmapper.numerics.formulas import float_type, narrowed

__all__ = ["HduMaker", "PlannedHdu"]


@dataclass(frozen=True)
class PlannedHdu:
    """
    An HDU that a save writes.

    Parameters
    ----------
    out : HduMap, HduOut or bytes
        What is written.
    changed : str or None
        What of it differs from the file, in words; None if nothing does.
    ndd : NDLater, optional
        The image whose array it is.
    part : str, optional
        Which of its arrays.
    table : str, optional
        Name of the table that it is.
    """

    out: HduMap | HduOut | bytes
    changed: str | None = None
    ndd: NDLater | None = None
    part: str | None = None
    table: str | None = None


class HduMaker:
    """
    Makes the HDUs of a file that is saved.

    Parameters
    ----------
    arrangement : Arrangement
        Where the content lies among the HDUs of its file.
    target : Path, optional
        Where they are written, which says whether images are compressed in tiles.
    """

    def __init__(self, arrangement: Arrangement, target: Path | None = None) -> None:
        self.arrangement = arrangement
        self.content = content = arrangement.content
        self._stored_extras = arrangement.extras()
        source = None if content.map is None else content.map.source.path
        self._is_tiled = wants_tiles(source, target)
        # Asked before the header is parsed for the others: then it takes no time.
        self._is_primary_touched = content.primary.is_touched

    # ---- the primary HDU

    def primary(self, counts: dict[str, int]) -> PlannedHdu:
        """Make the primary HDU; its header states these numbers of extensions."""
        hdus = self.arrangement.hdus
        file_header = self._file_header(counts)
        is_same = file_header is self.content.primary
        is_touched = self._is_primary_touched or not is_same
        if (single := self.arrangement.single) is not None:
            header = self._header_in_primary(file_header, single)
            return self._array(single, "data", header, None, primary=True)
        if (name := self._stored_extras.get(0)) is not None:
            extra = self.content.extras[name]
            header = self._header_in_primary(file_header, extra)
            in_place = self._extra_name(name, hdus[0], header)
            return self._array(
                extra, "data", header, in_place, primary=True, words=name
            )
        stored = primary_header(file_header, self.content.groups)
        is_empty = bool(hdus) and not hdus[0].data_size
        raw = stored.raw
        is_edited = is_touched if stored is file_header else stored.is_touched
        if raw is not None and is_empty and not is_edited:
            return PlannedHdu(HduOut(raw))
        touched = "primary header" if is_touched else None
        if hdus and not is_empty and not hdus[0].is_image:
            # Random groups are carried along as they are.
            header_bytes = carried_header(file_header)
            return PlannedHdu(HduOut(header_bytes, hdus[0]), touched)
        what = touched or ("primary image" if hdus else None)
        header_bytes = array_header(stored, None, primary=True)
        return PlannedHdu(HduOut(header_bytes), what)

    def _file_header(self, counts: dict[str, int]) -> StoredHeader:
        stored = self.content.primary
        wanted = {k: n for k, n in counts.items() if stored.header.get(k) != n}
        if wanted:
            stored = stored.copy()
            stored.header.update(wanted)
        return stored

    @staticmethod
    def _header_in_primary(file_header: StoredHeader, ndd: NDLater) -> StoredHeader:
        """Make the primary header of an image, which may be of an extension."""
        image = ndd.content
        combine = merged_header if image.in_primary else replaced_header
        return combine(file_header, image.stored)

    # ---- arrays of groups

    def array(self, ndd: NDLater, part: str) -> PlannedHdu:
        """Make the extension of an array of a group."""
        image = ndd.content
        if part == "data":
            header = image.stored
            if image.in_primary:
                header = extension_header(image.stored)
        else:
            header = image.arrays[part].header or self._left_empty(ndd, part)
        return self._array(ndd, part, header, self._name(ndd, part, header))

    def _left_empty(self, ndd: NDLater, part: str) -> StoredHeader:
        """Make the header of a new array, from the HDU that HST left empty for it."""
        header = _described_like(ndd)
        place = self.arrangement.place
        at = next((at for at, other in place.items() if other is ndd), None)
        layout = self.content.layout
        for group in () if layout is None or at is None else layout.groups:
            if group.data == at:
                name = self.content.labels.join(group.ident, part)
        for hdu in self.arrangement.hdus[1:] if at is not None else ():
            if not hdu.data_size and (hdu.name, hdu.version or 1) == name:
                return _filled(StoredHeader(hdu.image_raw), header)
        return header

    def _name(self, ndd: NDLater, part: str, stored: StoredHeader) -> Name | None:
        """Find EXTNAME and EXTVER; None where the header has the right ones."""
        if not self.arrangement.is_as_in_file:
            return extension_name(self.content, ndd, part)
        layout, origin = self.content.layout, ndd.content.origin
        assert layout is not None
        assert origin is not None
        at = next(group for group in layout.groups if group.data == origin[1])
        hdu = self.arrangement.hdus[at.hdus[part]]
        if not hdu.index:  # the image that was in the primary HDU
            return extension_name(self.content, ndd, part)
        return kept_name(hdu, stored)

    # ---- extras and tables

    def extra(self, name: str, hdu: HduMap | None, file: object) -> PlannedHdu:
        """Make the extension of an extra, which had this HDU; `file` is for errors."""
        ndd = self.content.extras[name]
        if len(ndd.content.arrays) > 1:
            msg = (
                f"the extra {name!r} of {file} has an uncertainty or flags, which "
                "only groups have; append it to the file instead"
            )
            raise FormatError(msg)
        stored = ndd.content.stored
        if ndd.content.in_primary:  # what was in the primary HDU, here or elsewhere
            stored = extension_header(stored)
        in_place = self._extra_name(name, hdu, stored)
        return self._array(ndd, "data", stored, in_place, words=name)

    def _extra_name(
        self, name: str, hdu: HduMap | None, stored: StoredHeader
    ) -> Name | None:
        """Find EXTNAME and EXTVER of an extra; None where the header has them."""
        if (owned := belonging_name(self.content, "extras", name)) is not None:
            return owned
        extras = self.content.extras
        if name in extras.lookups:
            return None  # it has the name and number that other headers lead to
        if hdu is None or extras.places.get(name) != hdu.index:
            return name, None
        kept = kept_name(hdu, stored)
        version = free_version(self.content, hdu)
        return kept if version is None else (kept[0] if kept else hdu.name, version)

    def table(self, name: str) -> PlannedHdu:
        """Make the extension of a table."""
        content = self.content
        hdu = content.tables.stored(name)
        written: str | None = None
        if (owned := belonging_name(content, "tables", name)) is not None:
            written, version = owned
        else:
            version = None if hdu is None else free_version(content, hdu)
        out = content.tables.to_write(name, version, written)
        is_changed = out is not hdu or hdu is None or not self._is_of_file(hdu)
        return PlannedHdu(out, name if is_changed else None, table=name)

    def _is_of_file(self, stored: HduMap | ArrayHandle) -> bool:
        fmap = self.content.map
        return fmap is not None and stored.source == fmap.source

    # ---- any array

    def _array(
        self,
        ndd: NDLater,
        part: str,
        stored: StoredHeader,
        name: Name | None,
        *,
        primary: bool = False,
        words: str | None = None,
    ) -> PlannedHdu:
        source = ndd.content.arrays[part]
        labels = self.content.labels
        kind = labels.uncertainty_is if part == "uncertainty" else "variance"
        data = self._data(ndd, part, kind)
        if name is not None and is_named(stored, *name):
            name = None
        is_new = not isinstance(data, ArrayHandle)
        unit = _unit_card(
            ndd, part, kind=kind, is_new=stored.raw is None, is_copied=not is_new
        )
        unnamed = part == "flags" and ndd.content.must_name_flags()
        if is_new or (labels.are_ccddata and _is_as_labelled(data)):
            # What such a file would take for standard deviations, or for a mask.
            if part == "uncertainty":
                stored = _with_kind(
                    stored, kind=kind, is_ccddata=labels.are_ccddata, is_new=is_new
                )
            elif part == "flags":
                unnamed = unnamed or is_new or "FLAGCONV" not in stored.header
        same = not is_new and not stored.is_touched and not unnamed
        if same and name is None and stored.raw is not None and unit is None:
            out = self._out(stored.raw, data, source.handle)
            if self.content.map is None or self._is_of_file(data):
                return PlannedHdu(out, None, ndd, part)
        else:
            if unnamed:
                stored = stored.copy()
                name_flags(stored.header, ndd.content.flag_table)
            made = array_header(
                stored, stored_form(data), primary=primary, unit=unit,
                name=None if name is None else name[0],
                version=None if name is None else name[1],
            )  # fmt: skip
            out = self._out(made, data, source.handle)
        if words is None:
            words = ",".join(map(str, extension_name(self.content, ndd, part)))
        return PlannedHdu(out, words, ndd, part)

    def _data(self, ndd: NDLater, part: str, kind: UncertaintyKind) -> Any:
        """Find what is written of an array: as it is stored, its values, or later."""
        source = ndd.content.arrays[part]
        data = _to_write(
            source, kind=kind, data_dtype=ndd.dtype,
            is_ccddata=self.content.labels.are_ccddata,
            is_relabelled=_is_rescaled(source.handle) and _is_relabelled(ndd),
        )  # fmt: skip
        how = data.conversion if isinstance(data, ArrayHandle) else None
        if not isinstance(how, WithNoData):
            return data
        told = how.flags is not None and self.arrangement.tells_no_data(ndd, data)
        return how.flags if told else source.read_uncached()

    def _out(self, header: bytes, data: Any, before: ArrayHandle | None) -> HduOut:
        """Put an image together, compressed where it was, or where that is asked."""
        like = before if isinstance(before, TileHandle) else None
        if like is not None and isinstance(like.conversion, WithNoData):
            like = None  # its tiles are those of the weights
        is_tiled = like is not None if self._is_tiled is None else self._is_tiled
        return HduOut(header, data, is_tiled, like)


# ---- the form of an array


def _to_write(
    part: LazyArray,
    *,
    data_dtype: np.dtype[Any],
    kind: UncertaintyKind = "variance",
    is_ccddata: bool = False,
    is_relabelled: bool = False,
) -> Any:
    """
    Return the stored array if nothing changed it, else its values or how to compute.

    Standard deviations are written as wide as `data_dtype`. The numbers of a mask of a
    CCDData would mean something else in other files (`is_ccddata`). `is_relabelled`
    tells that the header states another unit of the data than it did. Flags that are
    as they were read come back as their handle, also if that adds NO_DATA.
    """
    as_std = kind == "std"
    if not part.is_loaded and part.deferred is not None:
        return ComputedOnWrite(
            part.deferred, kind, float_type(data_dtype) if as_std else None
        )
    handle = part.handle
    if (
        handle is not None
        and (handle.is_whole or (not handle.shape and handle.stored_shape == (1,)))
        and (stored_kind(handle) == "std") == as_std
        # Of one that is only turned into the unit of its data the header tells.
        and (
            is_ccddata
            or (_is_rescaled(handle) and not is_relabelled)
            or _means_the_same(handle, kind)
        )
        and not part.is_modified
    ):
        return handle
    array = part.read_uncached()
    return narrowed(root_of(array), data_dtype) if as_std else as_stored(array, kind)


def _means_the_same(handle: ArrayHandle, kind: UncertaintyKind) -> bool:
    """Whether the stored numbers mean in the file to be written what they meant."""
    how = handle.conversion
    if isinstance(how, AsVariance):
        return how.kind == kind and how.factor == 1
    # To WithNoData the caller sees.
    return kind == "variance" and not isinstance(how, AsMask)


def _is_as_labelled(handle: ArrayHandle) -> bool:
    """Whether the labels say what the stored numbers mean: no mask, nor rescaled."""
    how = handle.conversion
    if isinstance(how, AsVariance):
        return how.kind != "ivar" and how.factor == 1
    return how is None or isinstance(how, AsBits)


def _is_rescaled(handle: ArrayHandle | None) -> bool:
    """Whether an uncertainty is turned into the unit of its data when it is read."""
    how = None if handle is None else handle.conversion
    return isinstance(how, AsVariance) and how.factor != 1


def _described_like(ndd: NDLater) -> StoredHeader:
    """Make the header of a new variance or flags: the coordinates of the data."""
    cards = [
        copy.copy(card)
        for card in ndd.meta.cards
        if card.keyword != "BUNIT"
        and (is_array_keyword(card.keyword) or is_frame_keyword(card.keyword))
    ]
    return StoredHeader(header=Header(cards))


def _filled(empty: StoredHeader, described: StoredHeader) -> StoredHeader:
    """
    Make the header of an array that takes an empty place, as HST leaves them.

    NPIX1, NPIX2 and PIXVALUE say there how a constant array would be. The coordinates
    are those `described` where the place has none.
    """
    header = empty.header
    for keyword in ("NPIX1", "NPIX2", "PIXVALUE"):
        header.remove(keyword, ignore_missing=True, remove_all=True)
    if not any(map(is_array_keyword, header)):
        header.extend(described.header.cards)
    return StoredHeader(header=header)


def _with_kind(
    stored: StoredHeader, *, kind: UncertaintyKind, is_ccddata: bool, is_new: bool
) -> StoredHeader:
    """State in a header which kind of uncertainty it is of, where that is usual."""
    name = KIND_NAMES[kind]
    found = stored.header.get(KIND_KEYWORD)
    if found is None and (not is_ccddata or (kind == "std" and not is_new)):
        return stored  # which says enough
    if found == name:
        return stored
    stored = stored.copy()
    stored.header[KIND_KEYWORD] = name
    return stored


def _is_relabelled(ndd: NDLater) -> bool:
    """Whether the unit of the data is another than in their file."""
    if ndd.content.unit_edited:
        return True
    stored = ndd.content.stored
    if not stored.is_parsed and not stored.is_touched:
        return False
    before = {} if stored.raw is None else form_keywords(stored.raw)
    return unit_words(stored.header) != unit_words(before)


def _unit_card(
    ndd: NDLater, part: str, *, kind: UncertaintyKind, is_new: bool, is_copied: bool
) -> str | None:
    """
    Find what BUNIT must say: a text, '' for no card, None to leave it as it is.

    A new array has no header yet; a copied one is written as it is stored.
    """
    if part == "flags":
        return None
    if part == "uncertainty" and _is_relabelled(ndd):
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


_POWERS: dict[str, int] = {"std": 1, "variance": 2, "ivar": -2}
"""The unit of what a file holds is this power of that of the data."""


def _unit_of_values(ndd: NDLater, kind: UncertaintyKind) -> str | None:
    """
    Find what BUNIT must say of an uncertainty that is not copied.

    It was turned into the unit of the data, or a square of that, when it was read.
    """
    source = ndd.content.arrays["uncertainty"]
    if source.header is None or "BUNIT" not in (header := source.header.header):
        return None
    # What was computed has the header of what is stored.
    before = source.header.kind or "variance"
    stated = unit_of(header)
    if isinstance(ndd.unit, u.UnitBase) and not before == kind == "ivar":
        wanted = ndd.unit ** _POWERS[kind]
        return None if stated == wanted else unit_to_text(wanted)
    if _is_relabelled(ndd) and not unit_words(ndd.meta):
        return ""
    if before == kind:
        return None
    power = _POWERS[kind] / _POWERS[before]
    return "" if stated is None else unit_to_text(stated**power)
