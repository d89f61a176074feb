"""
A framework for writing astronomical data reductions as short Python scripts.

A script names files once; ndmapper keeps the books: which file, which extension,
which calibration, what the result is called, whether it must be made again, and what
was really done. The names that most scripts need are here; each is imported when it
is first used, so that ``import ndmapper`` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ndmapper._version import __version__
from ndmapper.config import config

if TYPE_CHECKING:
    from ndmapper.data import (
        DataFile,
        DataFileList,
        FileName,
        FileSet,
        NDLater,
        load_file_list,
    )
    from ndmapper.steps import chain, decide, qc, run_task

__all__ = [
    "DataFile",
    "DataFileList",
    "FileName",
    "FileSet",
    "NDLater",
    "__version__",
    "chain",
    "config",
    "decide",
    "load_file_list",
    "qc",
    "run_task",
]

_HOMES = {
    "DataFile": "ndmapper.data",
    "DataFileList": "ndmapper.data",
    "FileName": "ndmapper.data",
    "FileSet": "ndmapper.data",
    "NDLater": "ndmapper.data",
    "chain": "ndmapper.steps",
    "load_file_list": "ndmapper.data",
    "decide": "ndmapper.steps",
    "qc": "ndmapper.steps",
    "run_task": "ndmapper.steps",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
