"""The file types that ndmapper knows, and how a file name ends in one of them."""

import os
from itertools import product
from pathlib import Path

__all__ = [
    "FITS_TYPES",
    "in_database",
    "is_compressed",
    "is_fits",
    "is_plain",
    "plain_ext",
    "record_name",
    "split_ext",
    "wants_tiles",
]

FITS_TYPES = ("fits", "fit", "fts")
"""Types of FITS files, without compression."""

_COMPRESSIONS = ("gz", "bz2", "fz", "Z", "xz", "zip")
_OTHERS = (
    "asdf", "cat", "cl", "csv", "dat", "db", "ecsv", "hdf5", "html", "jpg", "json",
    "list", "log", "lst", "md", "par", "pdf", "pl", "png", "ps", "py", "rdb", "reg",
    "sof", "svg", "tar", "tex", "tif", "toml", "tsv", "txt", "vot", "xml", "yaml",
    "yml",
)  # fmt: skip

_KNOWN = frozenset(
    [
        *FITS_TYPES,
        *_OTHERS,
        *(c.lower() for c in _COMPRESSIONS),
        *(
            f"{kind}.{compression.lower()}"
            for kind, compression in product((*FITS_TYPES, *_OTHERS), _COMPRESSIONS)
        ),
    ]
)


def split_ext(name: str) -> tuple[str, str | None]:
    """Split a file name at the longest known file type at its end."""
    # The dots are tried from the left, so the first known type is the longest.
    at = name.find(".", 1)
    while at != -1:
        if name[at + 1 :].lower() in _KNOWN:
            return name[:at], name[at + 1 :]
        at = name.find(".", at + 1)
    return name, None


def wants_tiles(source: Path | None, target: Path | None) -> bool | None:
    """Whether a name asks for images in tiles; None leaves images as they were."""
    if target is None:
        return None
    if _is_packed(target):
        return True
    return False if source is not None and _is_packed(source) else None


def _is_packed(path: Path) -> bool:
    return (split_ext(path.name)[1] or "").lower().endswith("fz")


def plain_ext(ext: str | None) -> str | None:
    """Strip the compression from a file type."""
    if ext is not None and is_compressed(ext):
        return ext.rpartition(".")[0] or ext
    return ext


def is_compressed(ext: str | None) -> bool:
    """Whether a file type names a compression."""
    last = (ext or "").rpartition(".")[2].lower()
    return last in {c.lower() for c in _COMPRESSIONS}


def is_fits(ext: str | None) -> bool:
    """Whether a file type is FITS, compressed or not."""
    return (plain_ext(ext) or "").lower() in FITS_TYPES


def in_database(name: str | os.PathLike[str]) -> bool:
    """Whether a name is that of an entry in a database folder of IRAF."""
    folder, own = _folder_and_name(name)
    return folder == "database" and not is_fits(split_ext(own)[1])


def record_name(name: str | os.PathLike[str]) -> str:
    """Write the name of a file without its folder, but that of a database of IRAF."""
    own = _folder_and_name(name)[1]
    return f"database/{own}" if in_database(name) else own


def is_plain(name: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a known file other than FITS: text, table, picture."""
    ext = plain_ext(split_ext(_folder_and_name(name)[1])[1])
    return (ext or "").lower() in _OTHERS or in_database(name)


def _folder_and_name(name: str | os.PathLike[str]) -> tuple[str, str]:
    """Split off the name of a file, and that of the folder that it is in."""
    # Asked several times for each product; a Path would take three times as long.
    folder, own = os.path.split(os.fspath(name))
    return os.path.basename(folder), own  # noqa: PTH119
