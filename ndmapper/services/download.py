"""Download raw files, unless they are there already."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from ndmapper.calibrations.provenance import good_frames, made_labels
from ndmapper.calibrations.schema import CALIBRATIONS, CHECKSUMS, check_document
from ndmapper.errors import ParameterError, did_you_mean
from ndmapper.services.registry import Request, Service, open_service

__all__ = ["download_files"]

_COLUMNS = ("filename", "file")


def download_files(
    filenames: Any,
    server: str | Service | Callable[[str], str] = "local",
    dirname: str | os.PathLike[str] = "",
    *,
    decompress: bool | None = None,
    overwrite: bool = False,
    tar: bool = False,
) -> list[Path]:
    """
    Download raw files into a folder.

    Files that exist and have the right checksum are kept, without network access. The
    others are downloaded in parallel, each under a hidden name until it is complete and
    verified. An existing file that differs is an error, since the user may have edited
    it.

    Parameters
    ----------
    filenames : str, path, sequence of them, calibration document or Table
        Names of the files. Of a calibration document, the raw frames of all
        calibrations, except those marked bad and those of processed calibrations; known
        checksums are verified. Of a table, the column ``filename`` (or ``file``), and
        ``checksum`` if there is one.
    server : str, Service or callable
        The service, or a function that returns the URL of a file. ``"local"`` downloads
        nothing, but checks that the files exist.
    dirname : str or path
        The folder.
    decompress : bool, optional
        True decompresses files, False keeps them as the archive stores them. By default
        names tell: ``x.fits`` is decompressed, ``x.fits.bz2`` is not, and names without
        file type are kept as stored.
    overwrite : bool
        Whether to replace files that differ from those of the archive.
    tar : bool
        Download all files as one tar file, if the archive supports it.

    Returns
    -------
    list of Path
        Paths in the order of `filenames`.

    Raises
    ------
    MissingFileError
        If the archive does not have some files; all of them are named.
    ServiceAccessError
        If the archive requires a login.
    ServiceUnreachableError
        If the archive does not respond.
    ServiceError
        If there is no such service, or files are damaged. All failed files are named,
        with the reasons; the others are in the folder.
    ParameterError
        If a name leads out of the folder.
    """
    checksums: dict[str, str] = {}
    if isinstance(filenames, Mapping):
        check_document(filenames)
        made = made_labels(filenames)
        sets = filenames.get(CALIBRATIONS, {}).items()
        raw = (name for label, files in sets if label not in made for name in files)
        every = list(dict.fromkeys(raw))
        names = good_frames(every, filenames)
        known = filenames.get(CHECKSUMS, {}).items()
        checksums = {name: checksum for name, checksum in known if checksum}
    elif hasattr(filenames, "colnames"):
        names, checksums = _of_table(filenames)
    else:
        names = _names(filenames)
    folder = Path(dirname)
    if os.fspath(dirname):
        for name in names:
            _stays_inside(name)
    request = Request(
        dirname=folder, decompress=decompress, overwrite=overwrite, tar=tar
    )
    return _service(server, request).fetch(names, folder, checksums)


def _service(server: Any, request: Request) -> Service:
    if isinstance(server, str):
        return open_service(server, request)
    if hasattr(server, "fetch"):
        service: Service = server
        return service
    if not callable(server):
        msg = (
            "server must be the name of a service, or a function that gives the URL of "
            f"a file name, not {server!r}"
        )
        raise ParameterError(msg)
    from ndmapper.services.urls import UrlService

    return UrlService(
        server, decompress=request.decompress, overwrite=request.overwrite
    )


def _of_table(table: Any) -> tuple[list[str], dict[str, str]]:
    column = next((name for name in _COLUMNS if name in table.colnames), None)
    if column is None:
        hint = did_you_mean(_COLUMNS[0], table.colnames)
        msg = f"the table has no column 'filename'{hint}"
        raise ParameterError(msg)
    names = [str(name) for name in table[column]]
    if "checksum" not in table.colnames:
        return names, {}
    found = zip(names, map(str, table["checksum"]), strict=True)
    return names, {name: text for name, text in found if text not in {"", "--"}}


def _names(filenames: Any) -> list[str]:
    if isinstance(filenames, str | os.PathLike) or hasattr(filenames, "filename"):
        filenames = [filenames]
    if not isinstance(filenames, Iterable):
        msg = (
            "download_files takes names, a calibration document or a table: "
            f"{filenames!r}"
        )
        raise ParameterError(msg)
    return [str(getattr(file, "filename", file)) for file in filenames]


def _stays_inside(name: str) -> None:
    path = PurePath(name)
    if path.is_absolute() or ".." in path.parts:
        msg = f"the file name {name!r} leads out of dirname; give names without folder"
        raise ParameterError(msg)
