"""Look up calibrations, and store them in a document that the user may edit."""

import copy
import logging
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from ndmapper.calibrations.dependencies import (
    Change,
    Dependencies,
    check_dependencies,
    walk_dependencies,
)
from ndmapper.calibrations.document import (
    CalibrationDict,
    init_cal_dict,
    save_cal_dict,
)
from ndmapper.calibrations.entries import note_target
from ndmapper.calibrations.folders import check_names, note_folders
from ndmapper.calibrations.names import as_list, file_path, original_name
from ndmapper.calibrations.products import bad_with_products
from ndmapper.calibrations.schema import ASSOCIATIONS
from ndmapper.data.fold_names import list_names
from ndmapper.errors import ParameterError, did_you_mean
from ndmapper.log import TERMINAL_ONLY, log_to_terminal
from ndmapper.services.local import LocalService
from ndmapper.services.query import QueryCache, Server
from ndmapper.services.registry import Request

__all__ = ["look_up_cals"]

log = logging.getLogger(__name__)


def look_up_cals(
    filenames: Any,
    dependencies: Dependencies | None = None,
    server: Server = "local",
    cache: str | os.PathLike[str] | None = None,
    obs_type: str = "target",
    *,
    dirname: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    survey: Any = None,
    instrument: str | os.PathLike[str] | None = None,
    refresh: bool = False,
) -> dict[str, Any]:
    """
    Look up the calibrations of files, recursively.

    Entries of the cache that the user edited or locked are never changed, even if
    edited during the look-up. Of its own earlier results, those are looked up again
    that were empty or contain a frame marked bad since, if the service can be reached.
    With `refresh`, all are.

    Parameters
    ----------
    filenames : str, path, DataFile, DataFileList or a list of names
        The files.
    dependencies : mapping, optional
        Types of calibration that each type of frame needs, such as ``{'target':
        ['bias', 'flat'], 'flat': ['bias']}``; by default those of the instrument of
        each file.
    server : str, callable, Service, or a list of them
        Name of the service, or a function that takes the name of a frame and a type of
        calibration and returns names, pairs of name and checksum, or None. Several
        services are tried in turn.
    cache : str or path, optional
        The JSON file of the calibration document.
    obs_type : str
        The key of `dependencies` for the files. If there is no key ``"target"``, the
        class of each file is used.
    dirname : str, path, or several of them, optional
        Folders of raw frames and processed calibrations; by default those of the files.
    survey : Table, str or path, optional
        A survey with corrected classes, or its ECSV file.
    instrument : str or path, optional
        The instrument; by default recognised by header.
    refresh : bool
        Look up again all that the user has not edited; changes are logged.

    Returns
    -------
    dict
        The calibration document.

    Raises
    ------
    CalibrationDocumentError
        If the cache is malformed; it is not changed.
    ServiceError
        If there is no such service.
    ParameterError
        If `dependencies` do not have `obs_type`, the instrument is unknown, or a file
        has no name.
    """
    log_to_terminal()
    files = as_list(filenames)
    cal_dict = init_cal_dict(cache)
    folders = _folders(dirname)
    paths = tuple(Path(file_path(file)) for file in files)
    if isinstance(cal_dict, CalibrationDict):
        cal_dict.folders = list(folders or dict.fromkeys(p.parent for p in paths))
    request = Request(
        files=paths,
        dirname=folders[0] if folders else None,
        survey=survey,
        instrument=instrument,
        folders=folders[1:],
        bad=bad_with_products(cal_dict),
    )
    ask = QueryCache(server, request)
    local = LocalService(
        request.files,
        request.dirname,
        survey=survey,
        instrument=instrument,
        folders=request.folders,
        bad=request.bad,
    )
    names = [original_name(file) for file in files]
    # The document lists the raw frame of a product, which is in another folder.
    raws = [p for p, n in zip(paths, names, strict=True) if p.name == n]
    check_names(raws)
    note_folders(raws, cal_dict)
    starts = _starts(names, dependencies, obs_type, local)
    known = {(n, t) for n, types in cal_dict[ASSOCIATIONS].items() for t in types}
    for name in names:
        note_target(name, cal_dict)
    changes: list[Change] = []
    while True:
        try:
            bad = bad_with_products(cal_dict)
            for needs, start, raw_types in starts:
                changes += walk_dependencies(
                    start, needs, ask, cal_dict, refresh=refresh, bad=bad,
                    raw_types=raw_types,
                )  # fmt: skip
        except BaseException:
            if cache is not None:  # keep what was found so far
                save_cal_dict(cal_dict, cache)
            raise
        if cache is None:
            break
        walked = copy.deepcopy(dict(cal_dict))
        save_cal_dict(cal_dict, cache)
        if cal_dict == walked:
            break
        # The file was edited during the look-up: it may list frames without
        # calibrations. Results so far are cached.
        log.info("%s was edited during the look-up; the edit holds", cache)
    # A file that is not there has no rules; a service may know it all the same.
    there = [local.frame(n).instrument for n in names] if dependencies is None else []
    rules = [rule for one in there if one is not None for rule in one.rules]
    optional = frozenset(rule.type for rule in rules if rule.optional)
    _report(changes, cal_dict, ask, known, optional, refresh=refresh)
    return cal_dict


def _report(
    changes: list[Change],
    cal_dict: Mapping[str, Any],
    ask: QueryCache,
    known: Set[tuple[str, str]],
    optional: Set[str],
    *,
    refresh: bool,
) -> None:
    """Log what the look-up found and changed, a line for frames that are alike."""
    new = {question: a for question, a in ask.answers.items() if question not in known}
    found: dict[tuple[str, tuple[str, ...]], dict[str, str]] = {}
    missing: dict[tuple[str, str], list[str]] = {}
    for (name, cal_type), answer in new.items():
        if answer.is_empty:
            missing.setdefault((cal_type, answer.why), []).append(name)
        else:
            files = tuple(answer.names) or (str(answer.product),)
            found.setdefault((cal_type, files), {})[name] = answer.why
    for (cal_type, files), frames in found.items():
        reasons = {*frames.values()}
        why = f" ({reasons.pop()})" if len(reasons) == 1 and any(reasons) else ""
        line = f"{cal_type} of {list_names(frames)}: {list_names(files)}{why}"
        log.info("%s", line, extra=TERMINAL_ONLY)
    for (cal_type, why), names in missing.items():
        line = f"there is no {cal_type} for {list_names(names)}"
        level = logging.INFO if cal_type in optional else logging.WARNING
        log.log(level, "%s: %s", line, why or "none was found", extra=TERMINAL_ONLY)
    _report_changes(changes)
    if changes or refresh:
        log.info("%d calibrations changed", len(changes))
    old: dict[str, list[str]] = {}
    for name, types in cal_dict[ASSOCIATIONS].items():
        for cal_type, label in types.items():
            if label is None and (name, cal_type) not in new:
                old.setdefault(cal_type, []).append(name)
    if old:
        listed = [
            f"{cal_type} of {list_names(names)}" for cal_type, names in old.items()
        ]
        log.info("none, as the document says: %s", "; ".join(listed))


def _report_changes(changes: Iterable[Change]) -> None:
    alike: dict[tuple[Any, ...], list[str]] = {}
    for change in changes:
        kind = change.cal_type, change.before, change.after
        alike.setdefault(kind, []).append(change.name)
    for (cal_type, *files), names in alike.items():
        before, after = (list_names(some) or "none" for some in files)
        log.info(
            "%s of %s: %s instead of %s", cal_type, list_names(names), after, before
        )


def _folders(dirname: Any) -> tuple[Path, ...]:
    if dirname is None:
        return ()
    if isinstance(dirname, str | os.PathLike):
        return (Path(dirname),)
    return tuple(Path(folder) for folder in dirname)


def _starts(
    names: Iterable[str],
    dependencies: Dependencies | None,
    obs_type: str,
    local: LocalService,
) -> list[tuple[Dependencies, list[tuple[str, str]], tuple[str, ...]]]:
    """
    Return the frames to start from, with the dependencies of each instrument, and the
    types of raw frames that are used as they are.
    """
    if dependencies is not None:
        check_dependencies(dependencies)
        kinds = [(n, _kind(n, obs_type, dependencies, local)) for n in names]
        return [(dependencies, kinds, ())]
    found: dict[str, tuple[Dependencies, list[tuple[str, str]], tuple[str, ...]]] = {}
    for name in names:
        instrument = local.frame(name).instrument
        if instrument is None:
            msg = (
                f"the instrument of {name} is not known, so neither is which "
                "calibrations it needs; name it with instrument=, or give dependencies="
            )
            raise ParameterError(msg)
        needs = instrument.dependencies
        raw_types = tuple(rule.type for rule in instrument.rules if rule.raw)
        start = found.setdefault(instrument.name, (needs, [], raw_types))[1]
        start.append((name, _kind(name, obs_type, needs, local)))
    return list(found.values())


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
