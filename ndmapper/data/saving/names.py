"""Under which EXTNAME and EXTVER an HDU is written."""

from ndmapper.data.content import FileContent
from ndmapper.data.ndlater import NDLater
from ndmapper.errors import IdentError
from ndmapper.io.filemap import HduMap
from ndmapper.io.headers import StoredHeader, UnreadableCardError, changed_keywords
from ndmapper.io.layout import OF_THE_FILE
from ndmapper.io.wcstables import references

__all__ = [
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
    ident = _repeated_name(content, ndd) or ndd.ident
    if part == "data" and all(_has_own_name(content, x) for x in content.groups):
        return str(ident), None
    return content.labels.join(ident, part)


def _has_own_name(content: FileContent, ndd: NDLater) -> bool:
    """Whether a group is one image that has its ident as name, as in raw files."""
    ident = _repeated_name(content, ndd) or ndd.ident
    return (
        isinstance(ident, str)
        and len(ndd.content.arrays) == 1
        and is_named(ndd.content.stored, ident, None)
    )


def _repeated_name(content: FileContent, ndd: NDLater) -> str | None:
    """Find the name in the file of a group that got a number, as one of several."""
    ident = ndd.ident
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
            mine.ident = ndd.ident
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
