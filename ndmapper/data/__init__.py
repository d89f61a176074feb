"""
Files as lists of NDData, their names, and lists of them.

datafile, datafilelist, plainfile, filename
    A file as a list of images, with its name and mode; a list of files; a file that is
    not FITS; names in parts.
fileset, name_pattern, member_keys
    One thing in several files; their names with a key in braces; what the headers of a
    file say it is part of.
ndlater, image, array
    One image; what it is made of (`image.ImageContent`, which NDLater has as
    ``content``); one array of it, read when it is needed and copied on write.
flagging, flags, uncertainty, wcs, wcs_cut, wcs_tables, detector, tables
    Its flags and mask, variance, coordinates, sections in its header, and its tables.
operators, operations, deferred, units, reductions
    Arithmetic and functions of NumPy: checked at once, evaluated when a result is
    read, in blocks of rows.
content, lookup_tables, primary_header
    What is in a file: its images by group, its extras, its tables, its record; what
    goes along with an image, and the header of one in the primary HDU.
saving, save_list, planned
    Writing one file, or many of which some are made of others; files not made yet.
file_arithmetic, list_arithmetic, header_query, display, ccddata
    Files together, questions about headers, pictures, and exchange with others.

The names of files, which the command asks for first, need no images: each class is
imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ndmapper.data.datafile import DataFile
    from ndmapper.data.datafilelist import DataFileList
    from ndmapper.data.filename import FileName, load_file_list
    from ndmapper.data.fileset import FileSet
    from ndmapper.data.flags import Flag
    from ndmapper.data.ndlater import NDLater
    from ndmapper.data.plainfile import PlainFile

__all__ = [
    "DataFile",
    "DataFileList",
    "FileName",
    "FileSet",
    "Flag",
    "NDLater",
    "PlainFile",
    "load_file_list",
]

_HOMES = {
    "DataFile": "datafile",
    "DataFileList": "datafilelist",
    "FileName": "filename",
    "FileSet": "fileset",
    "Flag": "flags",
    "NDLater": "ndlater",
    "PlainFile": "plainfile",
    "load_file_list": "filename",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
