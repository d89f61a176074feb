"""Which image, table and extra goes in the place of which HDU, and under which name."""

import numpy as np

from ndmapper.data.content import FileContent
from ndmapper.data.ndlater import NDLater
from ndmapper.errors import IdentError
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.converted import WithNoData, measured, stored_kind
from ndmapper.io.filemap import HduMap
from ndmapper.io.headers import StoredHeader, UnreadableCardError, changed_keywords
from ndmapper.io.layout import OF_THE_FILE
from ndmapper.io.wcstables import references

__all__ = [
    "Arrangement",
    "Name",
    "belonging_name",
    "extension_name",
    "free_version",
    "is_named",
    "is_of_the_file",
    "kept_name",
    "refuse_same_idents",
]


Name = tuple[str, int | None]
"""EXTNAME and EXTVER; None for an extension that has a name only."""


def refuse_same_idents(content: FileContent, file: object) -> None:
    """Raise IdentError if two groups have one ident, and so one name in the file."""
    idents = content.idents
    for n, ident in enumerate(idents):
        if ident in idents[:n]:
            msg = (
                f"{file!r} has two extensions {ident!r}; give one of them another "
                "ident, or call renumber()"
            )
            raise IdentError(msg)


# ---- arrays of groups


def extension_name(content: FileContent, ndd: NDLater, part: str) -> Name:
    """Name the extension of an array, as the labels of the file say."""
    ident = _repeated_name(content, ndd) or ndd.content.ident
    if part == "data" and all(_has_own_name(content, x) for x in content.groups):
        return str(ident), None
    return content.labels.join(ident, part)


def _has_own_name(content: FileContent, ndd: NDLater) -> bool:
    """Whether a group is one image that has its ident as name, as in raw files."""
    ident = _repeated_name(content, ndd) or ndd.content.ident
    return (
        isinstance(ident, str)
        and len(ndd.content.arrays) == 1
        and is_named(ndd.content.stored, ident, None)
    )


def _repeated_name(content: FileContent, ndd: NDLater) -> str | None:
    """Find the name in the file of a group that got a number, as one of several."""
    ident = ndd.content.ident
    if content.map is None or content.layout is None or not isinstance(ident, str):
        return None
    if not ident.rstrip("_")[-1:].isdecimal():
        return None
    origin = ndd.content.origin
    if origin is None or origin[0] != content.map.source:
        return None
    if (origin[1], ident) not in [(g.data, g.ident) for g in content.layout.groups]:
        return None
    written = str(ndd.content.stored.header.get("EXTNAME", "")).strip()
    stem, part = content.labels.split(written) or ("", "")
    name = stem if stem and part == "data" else written
    given = ident.removeprefix(f"{name}_") != ident and name not in content.idents
    return name if name and given else None


def is_named(stored: StoredHeader, name: str, version: int | None) -> bool:
    """Whether a header has a name and number already; None is any number."""
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

    The header of an image from elsewhere, or one that was set, may have another name or
    none. None where name and number are as they were.
    """
    if stored.raw == hdu.image_raw and not (
        stored.is_touched and changed_keywords(stored) & {"EXTNAME", "EXTVER"}
    ):
        return None
    # A number that was brought along would make it another one's.
    is_new = hdu.version is None and "EXTVER" in stored.header
    written = str(hdu.keys.get("EXTNAME") or "").strip()  # im2, where the name is IM2
    return written, 1 if is_new else hdu.version


# ---- tables and extras, which may belong to a group


def belonging_name(content: FileContent, kind: str, key: str) -> Name | None:
    """
    Name a table or an extra that belongs to a group; None for one that does not.

    `kind` is 'tables' or 'extras', and `key` its name among these.
    """
    store = getattr(content, kind)
    for ndd in content.groups:
        mine = getattr(ndd.content, kind)
        if mine is not None and mine.store is store:
            mine.ident = ndd.content.ident
            if (name := mine.name_of(key)) is not None:
                return name  # type: ignore[no-any-return]
    return None


def is_of_the_file(content: FileContent, name: str) -> bool:
    """
    Whether extensions of a name belong to no group, whatever their number.

    So do tables that the coordinates of an image of the file lie in.
    """
    layout = content.layout
    known = OF_THE_FILE if layout is None else layout.of_the_file
    return name.upper() in known or any(
        one.name.upper() == name.upper()
        for ndd in content.groups
        if ndd.content.coordinate_tables is not None
        for one in references(ndd.meta)
    )


def free_version(content: FileContent, hdu: HduMap) -> int | None:
    """
    Find a free EXTVER for an HDU of no group whose number became that of a group.

    That group would own it when the file is opened. None where the number may stay.
    """
    if hdu.version is None or is_of_the_file(content, hdu.name):
        return None
    taken = {ident for ident in content.idents if isinstance(ident, int)}
    if hdu.version not in taken:
        return None
    stored = () if content.map is None else content.map.hdus
    versions = {h.version for h in stored if h.version is not None} | {hdu.version}
    # Those of one number stay together, and apart from those of another.
    return max(taken | versions) + sorted(taken & versions).index(hdu.version) + 1


class Arrangement:
    """
    How a content lies among the HDUs of the file that it was opened from.

    Parameters
    ----------
    content : FileContent
        What is to be saved; of a new file nothing has a place.

    Attributes
    ----------
    hdus : tuple of HduMap
        The HDUs of that file.
    place : dict of int to NDLater
        The group that took the place of the data in each HDU.
    is_as_in_file : bool
        Whether the file has these groups, with these names, and these alone.
    single : NDLater or None
        The image that stays in the primary HDU.
    """

    def __init__(self, content: FileContent) -> None:
        self.content = content
        self.hdus: tuple[HduMap, ...] = ()
        if content.map is not None:
            self.hdus = tuple(content.map.hdus)
        self.place = self._places()
        self.is_as_in_file = self._is_as_in_file()
        self.single = self._single_image()

    def _places(self) -> dict[int, NDLater]:
        found: dict[int, NDLater] = {}
        for ndd in self.content.groups:
            if (at := self._place_of(ndd)) is not None:
                found.setdefault(at, ndd)
        return found

    def _place_of(self, ndd: NDLater) -> int | None:
        """Find the HDU that the data of an image came from, if it is of this file."""
        origin, fmap = ndd.content.origin, self.content.map
        if origin is None or fmap is None or origin[0] != fmap.source:
            return None
        return origin[1]

    def _is_as_in_file(self) -> bool:
        content, layout = self.content, self.content.layout
        if layout is None or layout.labels != content.labels:
            return False
        return len(layout.groups) == len(content.groups) and all(
            self.place.get(group.data) is ndd
            and group.ident == ndd.content.ident
            and self._written_parts(ndd) == set(group.hdus)
            for group, ndd in zip(layout.groups, content.groups, strict=True)
        )

    def _single_image(self) -> NDLater | None:
        groups, labels = self.content.groups, self.content.labels
        inside = [ndd for ndd in groups if ndd.content.in_primary]
        if self.is_as_in_file and len(inside) == 1 and self.place.get(0) is inside[0]:
            return inside[0]
        if len(groups) != 1:
            return None
        only = groups[0]
        if labels.in_primary and only.content.ident == 1:
            return only
        # CCDData has it there, and the other arrays behind it.
        usual = labels.are_ccddata and only.content.ident == 1
        alone = len(only.content.arrays) == 1 or usual or self.is_as_in_file
        return only if only.content.in_primary and alone else None

    def _written_parts(self, ndd: NDLater) -> set[str]:
        return {part for part in ndd.content.arrays if not self.is_implied(ndd, part)}

    def is_implied(self, ndd: NDLater, part: str) -> bool:
        """Whether flags need no HDU, since inverse variances of 0 say the same."""
        flags = ndd.content.arrays[part]
        handle = flags.handle
        return (
            part == "flags"
            and handle is not None
            and isinstance(handle.conversion, WithNoData)
            and handle.conversion.flags is None
            and self.tells_no_data(ndd, handle)
            and not flags.is_modified
        )

    def tells_no_data(self, ndd: NDLater, handle: ArrayHandle) -> bool:
        """Whether the variances that are written tell which pixels have no data."""
        variance = ndd.content.arrays.get("uncertainty")
        if variance is None or not handle.is_whole:
            return False
        labels = self.content.labels
        if labels.uncertainty_is != "ivar":
            is_kept = labels.are_ccddata and not variance.is_modified
            return is_kept and stored_kind(variance.handle) == "ivar"
        if not variance.is_loaded:
            return True  # what is computed of no variance is none
        return not np.isfinite(variance.read_only()[~measured(handle)]).any()

    def owners(self) -> dict[int, tuple[NDLater, str]]:
        """Find whose array, and which, goes where each HDU was."""
        owners: dict[int, tuple[NDLater, str]] = {}
        layout = self.content.layout
        for group in () if layout is None else layout.groups:
            if (ndd := self.place.get(group.data)) is not None:
                owners |= {index: (ndd, part) for part, index in group.hdus.items()}
        return owners

    def tables(self) -> dict[int, str]:
        """Find which table goes where each HDU was."""
        found: dict[int, str] = {}
        content = self.content
        if content.layout is None:
            return found
        places = set(content.layout.tables.values())
        for name in content.tables:
            if (at := content.tables.places.get(name)) in places and at is not None:
                found.setdefault(at, name)
        return found

    def extras(self) -> dict[int, str]:
        """Find which extra goes where each HDU was."""
        content = self.content
        if content.layout is None or content.map is None:
            return {}
        free, extras = set(content.layout.extras.values()), content.extras
        # Of several from one place it is the one that has its name.
        found = {at: name for name in extras if (at := extras.places.get(name)) in free}
        for name, ndd in extras.items():
            at = self._place_of(ndd)
            if at in free and at is not None and name not in found.values():
                found.setdefault(at, name)
        return found
