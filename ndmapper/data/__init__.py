"""Files as lists of NDData, their names, and lists of them."""

from ndmapper.data.datafile import DataFile
from ndmapper.data.datafilelist import DataFileList
from ndmapper.data.filename import FileName, load_file_list
from ndmapper.data.flags import Flag
from ndmapper.data.ndlater import NDLater

__all__ = [
    "DataFile",
    "DataFileList",
    "FileName",
    "Flag",
    "NDLater",
    "load_file_list",
]
