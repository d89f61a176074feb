"""Get raw files, or make sure that they are there."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from ndmapper.calibrations.schema import CALIBRATIONS, CHECKSUMS, check_document
from ndmapper.errors import ParameterError
from ndmapper.services.registry import Request, Service, open_service

__all__ = ["download_files"]


def download_files(
    filenames: Any,
    server: str | Service = "local",
    dirname: str | os.PathLike[str] = "",
) -> list[Path]:
    """
    See to it that raw files are in a folder.

    Parameters
    ----------
    filenames : str, path, sequence of them, or calibration document
        Names of the files. Of a document, the raw frames of all calibrations; those
        with a checksum are compared with it.
    server : str or Service
        The service that has them. ``"local"`` gets nothing, but checks that they are
        there.
    dirname : str or path
        The folder.

    Returns
    -------
    list of Path
        Their paths, in the order asked.

    Raises
    ------
    MissingFileError
        If some are not to be had; all of them are named.
    ServiceError
        If there is no such service, or files are damaged.
    ParameterError
        If a name leads out of the folder.
    """
    checksums: dict[str, str] = {}
    if isinstance(filenames, Mapping):
        check_document(filenames)
        sets = filenames.get(CALIBRATIONS, {}).values()
        names = list(dict.fromkeys(name for files in sets for name in files))
        known = filenames.get(CHECKSUMS, {}).items()
        checksums = {name: checksum for name, checksum in known if checksum}
    else:
        names = _names(filenames)
    folder = Path(dirname)
    if os.fspath(dirname):
        for name in names:
            _stays_inside(name)
    if isinstance(server, str):
        server = open_service(server, Request(dirname=folder))
    return server.fetch(names, folder, checksums)


def _names(filenames: Any) -> list[str]:
    if isinstance(filenames, str | os.PathLike) or hasattr(filenames, "filename"):
        filenames = [filenames]
    if not isinstance(filenames, Iterable):
        msg = f"download_files takes names, or a calibration document: {filenames!r}"
        raise ParameterError(msg)
    return [str(getattr(file, "filename", file)) for file in filenames]


def _stays_inside(name: str) -> None:
    path = PurePath(name)
    if path.is_absolute() or ".." in path.parts:
        msg = f"the file name {name!r} leads out of dirname; give names without folder"
        raise ParameterError(msg)
