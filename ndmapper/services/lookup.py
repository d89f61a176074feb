"""Look up calibrations, and remember them in a document that the user may edit."""

import copy
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ndmapper.calibrations.document import init_cal_dict, save_cal_dict
from ndmapper.calibrations.entries import Matches
from ndmapper.calibrations.names import file_path, original_name
from ndmapper.calibrations.schema import ASSOCIATIONS
from ndmapper.calibrations.walk import (
    Dependencies,
    LookUp,
    check_dependencies,
    walk_dependencies,
)
from ndmapper.errors import ParameterError, did_you_mean
from ndmapper.services.local import LocalService
from ndmapper.services.registry import Request, Service, open_service

__all__ = ["look_up_cals"]

log = logging.getLogger(__name__)

Server = str | Callable[[str, str], Matches] | Service


class _Remembering:
    """Ask every question once."""

    def __init__(self, look_up: LookUp) -> None:
        self.look_up = look_up
        self.answers: dict[tuple[str, str], Matches] = {}

    def __call__(self, filename: str, cal_type: str) -> Matches:
        question = filename, cal_type
        if question not in self.answers:
            self.answers[question] = self.look_up(filename, cal_type)
        return self.answers[question]


def look_up_cals(
    filenames: Any,
    dependencies: Dependencies | None = None,
    server: Server = "local",
    cache: str | os.PathLike[str] | None = None,
    obs_type: str = "target",
    *,
    dirname: str | os.PathLike[str] | None = None,
    survey: Any = None,
    instrument: str | os.PathLike[str] | None = None,
    refresh: bool = False,
) -> dict[str, Any]:
    """
    Look up the calibrations of files, and the calibrations of those in turn.

    What the cache has already is never looked up again nor changed, so that the user
    can correct it by hand, even while the look-up runs.

    Parameters
    ----------
    filenames : str, path, DataFile, DataFileList or a list of names
        The files.
    dependencies : mapping, optional
        What each kind of frame needs, such as ``{'target': ['bias', 'flat'], 'flat':
        ['bias']}``; by default what the instrument of the files says.
    server : str, callable or Service
        Name of the service to ask, or a function that takes the name of a frame and
        a type, and gives names, or pairs of name and checksum, or None.
    cache : str or path, optional
        The JSON file that remembers.
    obs_type : str
        The key of `dependencies` that holds for the files. Where there is no
        ``"target"``, the class of each file is taken.
    dirname : str or path, optional
        Folder of the raw frames; by default that of the files.
    survey : Table, str or path, optional
        A survey, as somebody corrected it, or its ECSV file.
    instrument : str or path, optional
        The instrument; by default the headers tell.
    refresh : bool
        Ask again where the cache has null.

    Returns
    -------
    dict
        The calibration document.

    Raises
    ------
    CalibrationDocumentError
        If the cache is malformed; it is left as it is.
    ServiceError
        If there is no such service.
    ParameterError
        If `dependencies` do not have `obs_type`, the instrument is not known, or a
        file has no name.
    """
    files = _several(filenames)
    request = Request(
        files=tuple(Path(file_path(file)) for file in files),
        dirname=None if dirname is None else Path(dirname),
        survey=survey,
        instrument=instrument,
    )
    cal_dict = init_cal_dict(cache)
    ask = _Remembering(_asker(server, request))
    local = LocalService(request.files, request.dirname, survey, instrument)
    names = [original_name(file) for file in files]
    if dependencies is None:
        dependencies = _of_instrument(local, names)
    check_dependencies(dependencies)
    start = [(name, _kind(name, obs_type, dependencies, local)) for name in names]
    while True:
        try:
            walk_dependencies(start, dependencies, ask, cal_dict, refresh=refresh)
        except BaseException:
            if cache is not None:  # what was found until now need not be asked again
                save_cal_dict(cal_dict, cache)
            raise
        if cache is None:
            break
        walked = copy.deepcopy(dict(cal_dict))
        save_cal_dict(cal_dict, cache)
        if cal_dict == walked:
            break
        # Somebody edited the file meanwhile. It may name frames whose calibrations
        # nobody has looked up yet; what is known already is not asked for again.
        log.info("%s was edited during the look-up; the edit holds", cache)
    _report_null(cal_dict, ask)
    return cal_dict


def _report_null(cal_dict: Mapping[str, Any], ask: _Remembering) -> None:
    """Say which calibrations are known to be missing and were not looked for now."""
    old = [
        f"{cal_type} of {name}"
        for name, types in cal_dict[ASSOCIATIONS].items()
        for cal_type, label in types.items()
        if label is None and (name, cal_type) not in ask.answers
    ]
    if old:
        log.info("none, by the cache: %s; refresh=True asks again", ", ".join(old))


def _several(filenames: Any) -> list[Any]:
    # A DataFile is a list as well, but of extensions.
    if isinstance(filenames, str | os.PathLike) or hasattr(filenames, "filename"):
        return [filenames]
    if isinstance(filenames, Iterable):
        return list(filenames)
    msg = f"look_up_cals takes names of files or DataFiles, not {filenames!r}"
    raise ParameterError(msg)


def _asker(server: Server, request: Request) -> LookUp:
    if isinstance(server, str):
        return open_service(server, request).look_up
    look_up = getattr(server, "look_up", server)
    if not callable(look_up):
        msg = (
            "server must be the name of a service, or a function that takes the name "
            f"of a frame and a type of calibration, not {server!r}"
        )
        raise ParameterError(msg)
    answer: LookUp = look_up
    return answer


def _of_instrument(local: LocalService, names: Iterable[str]) -> Dependencies:
    found: dict[str, Mapping[str, Any]] = {}
    for name in names:
        frame = local.frame(name)
        if frame.instrument is None:
            msg = (
                f"the instrument of {name} is not known, so neither is which "
                "calibrations it needs; name it with instrument=, or give dependencies="
            )
            raise ParameterError(msg)
        found[frame.instrument.name] = frame.instrument.dependencies
    if len(found) > 1:
        msg = (
            f"the files are of several instruments ({', '.join(sorted(found))}); look "
            "up those of one at a time, or give dependencies="
        )
        raise ParameterError(msg)
    return next(iter(found.values()), {"target": ()})


def _kind(
    name: str, obs_type: str, dependencies: Dependencies, local: LocalService
) -> str:
    if obs_type in dependencies:
        return obs_type
    if obs_type != "target":
        hint = did_you_mean(obs_type, dependencies)
        msg = f"dependencies have no {obs_type!r}{hint}"
        raise ParameterError(msg)
    frame_class = local.frame(name).frame_class
    if frame_class not in dependencies:
        msg = (
            f"dependencies have neither 'target' nor {frame_class!r}, the class of "
            f"{name}; there are: {', '.join(dependencies)}; say which with obs_type="
        )
        raise ParameterError(msg)
    return str(frame_class)
