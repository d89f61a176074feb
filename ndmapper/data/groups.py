"""
Images made of the map of a file: its groups, and the other images as extras by name.

No pixels are read when they are made.
"""

from ndmapper.data.array import LazyArray
from ndmapper.data.flags import Flag
from ndmapper.data.image import ImageContent, with_content
from ndmapper.data.ndlater import Extras, NDLater
from ndmapper.data.wcs_tables import CoordinateTables
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.converted import (
    InverseHandle,
    NoDataHandle,
    flags_handle,
    in_unit_of_data,
    inverse_handle,
    mask_handle,
    no_data_handle,
    weighed_handle,
)
from ndmapper.io.filemap import FileMap, HduMap
from ndmapper.io.headers import StoredHeader
from ndmapper.io.labels import Ident, Labels
from ndmapper.io.layout import Group, Layout
from ndmapper.io.tiles.read import open_array

__all__ = [
    "flag_no_data",
    "handle_of",
    "make_extras",
    "make_groups",
]


def make_groups(
    fmap: FileMap, layout: Layout, primary: StoredHeader, bad_flags: int | str
) -> list[NDLater]:
    """Make one NDLater for each group of a file, in file order; no pixels are read."""
    fmap.keep_headers()
    tables = CoordinateTables.of(fmap)
    groups = [
        _make_group(fmap, layout, group, primary, bad_flags) for group in layout.groups
    ]
    for ndd in groups:
        ndd.content.coordinate_tables = tables
    return groups


def _make_group(
    fmap: FileMap,
    layout: Layout,
    group: Group,
    primary: StoredHeader,
    bad_flags: int | str,
) -> NDLater:
    parts = {}
    for name, index in group.hdus.items():
        hdu = fmap.hdus[index]
        parts[name] = LazyArray(
            handle_of(hdu, name, layout.labels, fmap.hdus[group.data]),
            header=None
            if name == "data"
            else StoredHeader(hdu.image_raw, place=hdu.place),
            is_std=name == "uncertainty" and layout.labels.uncertainty_is == "std",
        )
    # An image in the primary HDU has one header, which is that of the file.
    data = fmap.hdus[group.data]
    header = (
        primary if group.data == 0 else StoredHeader(data.image_raw, place=data.place)
    )
    ndd = from_parts(parts, header, group.ident, primary, data, bad_flags=bad_flags)
    flag_no_data(ndd)
    return ndd


def flag_no_data(ndd: NDLater) -> None:
    """Flag the pixels of an image as stored whose inverse variance says "no data"."""
    variance = ndd.content.arrays.get("uncertainty")
    if variance is None or not isinstance(variance.handle, InverseHandle):
        return
    flags = ndd.content.arrays.get("flags")
    stored = None if flags is None else flags.handle
    if isinstance(stored, NoDataHandle):
        stored = stored.flags
    table = ndd.flag_table
    bit = table.like_own(Flag.NO_DATA) or table.like_own(Flag.BAD) or int(Flag.NO_DATA)
    handle = no_data_handle(variance.handle, stored, bit)
    if flags is None:
        ndd.content.arrays["flags"] = LazyArray(handle)
    else:
        flags.handle = handle


def _header_of(hdu: HduMap) -> StoredHeader:
    return StoredHeader(hdu.image_raw, place=hdu.place)


def handle_of(hdu: HduMap, part: str, labels: Labels, data: HduMap) -> ArrayHandle:
    """
    Make the handle of an array: it gives integers for flags, variances for errors.

    `data` is the HDU of the data that it belongs to.
    """
    if part == "uncertainty" and labels.uncertainty_is == "ivar":
        return inverse_handle(hdu)
    if part == "uncertainty":
        handle = weighed_handle(hdu) if labels.are_ccddata else open_array(hdu)
        is_std = labels.uncertainty_is == "std"
        return in_unit_of_data(handle, hdu, data, is_std=is_std)
    if labels.are_ccddata and part == "flags" and b"FLAGCONV=" not in hdu.image_raw:
        return mask_handle(hdu)
    return flags_handle(hdu) if part == "flags" else open_array(hdu)


def from_parts(
    parts: dict[str, LazyArray],
    header: StoredHeader,
    ident: Ident | None,
    primary: StoredHeader,
    data: HduMap,
    *,
    bad_flags: int | str,
) -> NDLater:
    """Put an NDLater of a file together; nothing is read."""
    content = ImageContent(bad_flags)
    content.arrays = parts
    content.stored = header
    content.primary = primary
    content.origin = (data.source, data.index)
    content.is_owned = True
    content.ident = ident
    return with_content(NDLater, content)


def make_extras(
    fmap: FileMap, layout: Layout, primary: StoredHeader, bad_flags: int | str
) -> Extras:
    """Make one NDLater for each image of a file that plays no part, by name."""
    made = {}
    for name, index in layout.extras.items():
        hdu = fmap.hdus[index]
        header = primary if index == 0 else _header_of(hdu)
        parts = {"data": LazyArray(open_array(hdu))}
        made[name] = from_parts(parts, header, None, primary, hdu, bad_flags=bad_flags)
    return Extras(primary, made, dict(layout.extras))
