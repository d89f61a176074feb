"""The registry of services, and the protocol that a service implements."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from ndmapper.calibrations.lookup_result import Matches
from ndmapper.errors import ServiceError, did_you_mean
from ndmapper.services.local import LocalService

__all__ = ["Request", "Service", "names", "open_service"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """
    What a service may need to know when it is created.

    Parameters
    ----------
    files : tuple of Path
        The files whose calibrations are looked up.
    dirname : Path or None
        Folder of the raw frames, if it was given.
    survey : Table, str, path or None
        A survey of the raw frames, if one was given.
    instrument : str, path or None
        The instrument, if it was given.
    decompress : bool or None
        Whether to decompress downloaded files; None: as their names say.
    overwrite : bool
        Whether to replace files that differ from those of the service.
    tar : bool
        Whether files may be downloaded as one tar file.
    folders : tuple of Path
        Further folders of raw frames and processed calibrations.
    bad : mapping of str to str
        Frames marked bad: name without compression, to author and reason. They are
        removed from the answers of a service, which may use this to find others.
    """

    files: tuple[Path, ...] = ()
    dirname: Path | None = None
    survey: Any = None
    instrument: str | os.PathLike[str] | None = None
    decompress: bool | None = None
    overwrite: bool = False
    tar: bool = False
    folders: tuple[Path, ...] = ()
    bad: Mapping[str, str] = field(default_factory=dict)


class Service(Protocol):
    """A source of calibration associations and of files."""

    def look_up(self, filename: str, cal_type: str) -> Matches:
        """
        Find the frames that calibrate another one.

        Parameters
        ----------
        filename : str
            Name of the frame, without folder.
        cal_type : str
            Type of calibration.

        Returns
        -------
        sequence, Answer or None
            Names, or pairs of name and checksum; or an
            `ndmapper.calibrations.lookup_result.Answer` with reason and quality of the
            match; None if there is no match.
        """

    def fetch(
        self, files: Sequence[str], dirname: Path, checksums: Mapping[str, str]
    ) -> list[Path]:
        """
        Make sure that files are in a folder.

        Parameters
        ----------
        files : sequence of str
            Their names.
        dirname : Path
            The folder.
        checksums : mapping of str to str
            The known checksums.

        Returns
        -------
        list of Path
            Paths in the order of `files`.
        """


def _gemini(request: Request) -> Service:
    from ndmapper.services.gemini.service import (
        GeminiService,  # imported only when needed
    )

    return GeminiService(
        decompress=request.decompress, overwrite=request.overwrite, tar=request.tar
    )


def _eso(request: Request, mode: str = "raw2raw") -> Service:
    from ndmapper.services.eso.service import EsoService

    return EsoService(
        request.files,
        request.dirname,
        mode=mode,
        decompress=request.decompress,
        overwrite=request.overwrite,
    )


_BUILT_IN: Mapping[str, Callable[[Request], Service]] = {
    "local": lambda request: LocalService(
        files=request.files,
        dirname=request.dirname,
        survey=request.survey,
        instrument=request.instrument,
        folders=request.folders,
        bad=request.bad,
    ),
    "gemini": _gemini,
    "eso": _eso,
    "eso-raw2master": lambda request: _eso(request, mode="raw2master"),
}


def names() -> list[str]:
    """
    List the names of the available services.

    Returns
    -------
    list of str
        Those of ndmapper, and those that installed packages offer as entry points
        ``ndmapper.services``: callables that take a `Request` and give a `Service`.
    """
    offered = entry_points(group="ndmapper.services")
    return sorted({*_BUILT_IN, *(point.name for point in offered)})


def open_service(name: str, request: Request) -> Service:
    """
    Create a service.

    Parameters
    ----------
    name : str
        Its name.
    request : Request
        What the service may need to know.

    Returns
    -------
    Service
        The service, which does nothing until it is asked.

    Raises
    ------
    ServiceError
        If there is no such service.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name](request)
    for point in entry_points(group="ndmapper.services"):
        if point.name == name:
            service: Service = point.load()(request)
            return service
    msg = (
        f"there is no service {name!r}{did_you_mean(name, names())}; a function "
        "(filename, cal_type) that gives names can be used as well"
    )
    raise ServiceError(msg)
