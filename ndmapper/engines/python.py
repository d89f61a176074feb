"""The engine for Python functions, run in this process."""

import platform
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, cast

from astropy.nddata import NDData

from ndmapper.config import Settings
from ndmapper.data import DataFile, DataFileList, FileSet, NDLater, PlainFile
from ndmapper.data.fileset import files_in
from ndmapper.data.image import sharing_arrays
from ndmapper.data.name_pattern import key_text
from ndmapper.engines.base import (
    Calibration,
    Each,
    Job,
    Outcome,
    Output,
    Preview,
    Task,
)
from ndmapper.engines.decisions import (
    ExtensionNotes,
    collect_notes,
    known_decisions,
    replay_notes,
)
from ndmapper.engines.plain_results import plain_result
from ndmapper.errors import IdentError, NdmapperError, ShapeError, StepError
from ndmapper.io.filetypes import is_plain
from ndmapper.parallel import map_parallel

__all__ = ["PythonEngine"]

_ALIKE = frozenset({"", "SCI", "DATA", "PRIMARY", "IMAGE", "FLUX", "SIGNAL"})
"""Names of extensions that do not identify a detector or amplifier."""


class PythonEngine:
    """Call the function of a step on extensions, files or lists of files."""

    name = "python"
    each: Each = "ndd"
    words: Mapping[str, Any] = MappingProxyType({})

    def tool(self, task: Task) -> dict[str, str | None]:
        """Return the version of Python; the step itself identifies its function."""
        return {"name": "python", "version": platform.python_version()}

    def parameters(self, task: Task) -> None:
        """Return None: the declaration checks the function's parameters."""

    def check(self, job: Job) -> None:
        """Do nothing: the declaration has checked the job."""

    def preview(self, job: Job) -> Preview:
        """Show the call of the function."""
        cals = {
            name: None if cal is None else _names(cal)
            for name, cal in job.calibrations.items()
        }
        given = ", ".join(
            f"{name}={value!r}" for name, value in (cals | dict(job.parameters)).items()
        )
        names = [str(df) for df in job.inputs]
        first = repr(names if job.each == "list" else names[0])
        return Preview(text=f"{job.step}({first}{', ' if given else ''}{given})")

    def run(self, job: Job) -> Outcome:
        """Call the function; StepError if it fails or its result cannot be saved."""
        run = {"ndd": _run_ndd, "file": _run_file, "list": _run_list}[job.each]
        return Outcome(products=run(job))


def _stripper(
    settings: Settings, parameters: Mapping[str, Any]
) -> Callable[[Any], Any]:
    """Return a function that drops variance or flags if the call does not use them."""
    drop: dict[str, None] = {}
    if not settings["use_uncert"] and "use_uncert" not in parameters:
        drop["variance"] = None
    if not settings["use_flags"] and "use_flags" not in parameters:
        drop["flags"] = None

    def strip(item: Any) -> Any:
        if item is None or not drop or isinstance(item, PlainFile):
            return item
        if isinstance(item, FileSet):
            return item.changed(strip)
        if isinstance(item, DataFile):
            copy = _own(item)
            for index, ndd in enumerate(item):
                copy[index] = ndd.replace(**drop)
            return copy
        if isinstance(item, list):
            return type(item)([strip(i) for i in item])
        return (item if isinstance(item, NDLater) else NDLater(item)).replace(**drop)

    return strip


def _run_ndd(job: Job) -> dict[Output, DataFile]:
    (df,) = job.inputs
    if isinstance(df, PlainFile):
        msg = (
            f"{df} is not FITS, so it has no image for {job.step} to work on; a step "
            "of files is declared with each='file'"
        )
        raise StepError(msg)
    if not len(df):
        held = [f"table {name}" for name in df.tables] + list(df.extras)
        msg = (
            f"{df} has no image for {job.step} to work on; it holds "
            f"{', '.join(held) or 'nothing but a header'}"
        )
        raise StepError(msg)
    strip = _stripper(job.settings, job.parameters)
    results: dict[Output, list[NDLater]] = {name: [] for name in job.outputs}
    known = known_decisions()

    def work(ndd: NDLater) -> tuple[dict[Output, NDLater], ExtensionNotes]:
        where = f"{df.filename or 'unnamed file'}[{ndd.ident}]"
        cals = {
            name: None if cal is None else strip(_matching(cal, ndd, df, name, job))
            for name, cal in job.calibrations.items()
        }
        # What was handed on in a chain is of no further use to anybody.
        own = sharing_arrays(ndd) if df.content.is_handed_on else ndd.copy()
        call = partial(_func(job), strip(own), **cals, **job.parameters)
        with collect_notes(f"[{ndd.ident}]" if len(df) > 1 else "", known) as said:
            result = _guarded(job, where, call)
        found = _by_output(job, result, where)
        return {
            name: strip(_as_ndd(job, value, ndd, where))
            for name, value in found.items()
        }, said

    # Several processes share a file, one extension each.
    for made, said in map_parallel(work, list(df), job.workers, title=None):
        replay_notes(said)
        for name, ndd in made.items():
            results[name].append(ndd)
    return {name: df.with_images(ndds) for name, ndds in results.items()}


def _run_file(job: Job) -> dict[Output, DataFile]:
    ((item,),) = job.roles.values()
    return _run_whole(job, _own(item), item, str(item.filename or "unnamed file"))


def _own(df: Any) -> Any:
    """Return a lazy copy of a file or set that the function may change."""
    if isinstance(df, FileSet):
        return df.changed(_own)
    own = df.copy()
    own.filename = df.filename
    return own


def _run_list(job: Job) -> dict[Output, DataFile]:
    (items,) = job.roles.values()
    files = DataFileList(data=[_own(item) for item in items])
    where = ", ".join(str(df.filename) for df in files[:3])
    if len(files) > 3:
        where += f" and {len(files) - 3} more"
    return _run_whole(job, files, files[0], where)


def _run_whole(
    job: Job, argument: Any, first: Any, where: str
) -> dict[Output, DataFile]:
    strip = _stripper(job.settings, job.parameters)
    cals = {
        name: strip(DataFileList(data=cal) if isinstance(cal, list) else cal)
        for name, cal in job.calibrations.items()
    }
    result = _guarded(
        job, where, lambda: _func(job)(strip(argument), **cals, **job.parameters)
    )
    products: dict[Output, DataFile] = {}
    for name, value in _by_output(job, result, where).items():
        if name in job.open:
            products |= _several(job, name, value, where, strip)
            continue
        target = job.targets.get(name, "")
        if is_plain(target):
            products[name] = plain_result(value, target, job.step)
            continue
        if isinstance(value, FileSet):
            msg = (
                f"{job.step} returned a set on {where}, and declares one file; declare "
                "outputs={'name': '{base}-{key}.fits'} to return as many as there are"
            )
            raise StepError(msg)
        if isinstance(value, DataFile):
            products[name] = strip(DataFile(data=value))
            continue
        ndds = value if isinstance(value, Sequence) else [value]
        products[name] = files_in(first)[0].with_images(
            [strip(_as_ndd(job, ndd, None, where)) for ndd in ndds]
        )
    return products


def _several(
    job: Job, name: Output, value: Any, where: str, strip: Callable[[Any], Any]
) -> dict[Output, DataFile]:
    """Sort what a function returned for an output of any number: a set, or a list."""
    pattern = job.targets.get(name, "")
    if is_plain(pattern):
        return _several_texts(job, name, value, pattern, where)
    if isinstance(value, Mapping):
        members = _by_key(job, name, value, where)
    elif isinstance(value, Sequence):
        members = {f"{name or ''}#{n}": one for n, one in enumerate(value, 1)}
    else:
        members = {f"{name or ''}#1": value}
    for one in members.values():
        if not isinstance(one, DataFile | NDData):
            msg = (
                f"{job.step} must return a FileSet, a mapping of key to file, or a "
                f"list of files for {name or 'its output'}, but on {where} it returned "
                f"a {type(one).__name__}"
            )
            raise StepError(msg)
    return {o: strip(DataFile(data=one)) for o, one in members.items()}


def _several_texts(
    job: Job, name: Output, value: Any, pattern: str, where: str
) -> dict[Output, DataFile]:
    """Sort what is not FITS, and so does not say its key itself."""
    if not isinstance(value, Mapping):
        msg = (
            f"{job.step} must return a mapping of key to content for {pattern}, but on "
            f"{where} it returned a {type(value).__name__}"
        )
        raise StepError(msg)
    members = _by_key(job, name, value, where)
    return {n: plain_result(one, pattern, job.step) for n, one in members.items()}


def _by_key(
    job: Job, name: Output, value: Mapping[Any, Any], where: str
) -> dict[str, Any]:
    """Call members by their keys, of which two may differ in type alone."""
    members: dict[str, Any] = {}
    for key, one in value.items():
        member = f"{name or ''}[{key_text(key)}]"
        if member in members:
            msg = f"{job.step} returned two files of one key, {key!r} on {where}"
            raise StepError(msg)
        members[member] = one
    return members


def _func(job: Job) -> Callable[..., Any]:
    assert job.func is not None
    return job.func


def _guarded(job: Job, where: str, call: Callable[[], Any]) -> Any:
    """Call, naming step and file in every error."""
    cals = "".join(
        f", {name} = {_names(cal)}"
        for name, cal in job.calibrations.items()
        if cal is not None
    )
    prefix = f"{job.step} failed on {where}{cals}: "
    try:
        return call()
    except NdmapperError as err:
        advice = ""
        if isinstance(err, ShapeError) and cals:
            advice = "; use calibrations with the same trim and binning as the input"
        msg = f"{prefix}{err}{advice}"
        raise type(err)(msg) from err
    except (Exception, SystemExit) as err:  # other units go on, perhaps elsewhere
        msg = f"{prefix}{type(err).__name__}: {err}"
        raise StepError(msg) from err


def _names(cal: Calibration) -> str:
    files = cal if isinstance(cal, list) else [cal]
    return ", ".join(str(df) for df in files)


def _matching(
    cal: Calibration, ndd: NDLater, df: DataFile, name: str, job: Job
) -> NDLater | PlainFile:
    """Return the extension of a calibration by ident, or its only one."""
    if isinstance(cal, PlainFile):
        return cal
    if not isinstance(cal, DataFile):
        msg = f"{job.step}: {name} must be one file for {df}, not {cal!r}"
        if isinstance(cal, FileSet):
            msg += (
                "; members of a set are taken where its key has the name of that of "
                "the input, as in FileSet(..., by='ifu')"
            )
        raise StepError(msg)
    if ndd.ident in cal.idents:
        found = cast(NDLater, cal[cal.idents.index(ndd.ident)])
    elif len(cal) == 1:
        found = cast(NDLater, cal[0])
    else:
        found = None
    if found is not None:
        own, other = _own_name(ndd), _own_name(found)
        if not own or not other or own == other:
            return found
        msg = (
            f"{job.step}: the extension {own} of {df} is not {other}, which {name} "
            f"{cal} has in its place; use a {name} of the same detector"
        )
        raise IdentError(msg)
    msg = (
        f"{job.step}: {df} has the extension {ndd.ident!r}, but its {name} {cal} has "
        f"only {cal.idents}; use a {name} with the same extensions"
    )
    raise IdentError(msg)


def _own_name(ndd: NDLater) -> str:
    """Return the name of an extension that identifies it."""
    name = str(ndd.meta.get("EXTNAME") or "").strip().upper()
    return "" if name in _ALIKE else name


def _by_output(job: Job, result: Any, where: str) -> dict[Output, Any]:
    """Sort the results of a function by output."""
    if len(job.outputs) == 1:
        (name,) = job.outputs
        if isinstance(result, Mapping) and set(result) == {name}:
            return dict(result)
        found = {name: result}
    elif isinstance(result, Mapping) and _needed(job) <= set(result) <= {*job.outputs}:
        found = {name: result[name] for name in job.outputs if name in result}
    elif isinstance(result, tuple) and len(result) == len(job.outputs):
        found = dict(zip(job.outputs, result, strict=True))
    else:
        got = sorted(result) if isinstance(result, Mapping) else type(result).__name__
        msg = (
            f"{job.step} must return a mapping with {list(job.outputs)}, or a tuple in "
            f"that order, but on {where} it returned {got}"
        )
        raise StepError(msg)
    for name, value in found.items():
        if value is None:
            what = f" for {name!r}" if name else ""
            msg = f"{job.step} returned nothing{what} on {where}; return the result"
            raise StepError(msg)
    return found


def _needed(job: Job) -> set[Output]:
    """Name the outputs that have one product; others may have none."""
    return set(job.outputs) - job.open


def _as_ndd(job: Job, value: Any, like: NDLater | None, where: str) -> NDLater:
    if not isinstance(value, NDData):
        msg = (
            f"{job.step} must return NDData, but on {where} it returned a "
            f"{type(value).__name__}; use for instance ndd.replace(data=...)"
        )
        raise StepError(msg)
    ndd = value if isinstance(value, NDLater) else NDLater(value)
    if like is not None:
        if not isinstance(value, NDLater) and not len(ndd.meta):
            ndd = ndd.replace(meta=like.meta)
        if ndd.ident != like.ident:
            ndd = ndd.copy()
            ndd.ident = like.ident
    return ndd
