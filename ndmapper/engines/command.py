"""The engine for command-line programs, and the placeholders of their arguments."""

import hashlib
import os
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ndmapper.data import DataFile
from ndmapper.data.plainfile import open_file
from ndmapper.engines.base import Each, Job, Outcome, Output, Preview, Task
from ndmapper.engines.process import (
    exit_error,
    find_program,
    printable,
    read_log,
    run_program,
    thread_limit,
    tool_error,
)
from ndmapper.engines.staging import InputLinks, safe_name
from ndmapper.errors import (
    DeclarationError,
    FormatError,
    MissingFileError,
    MissingToolError,
    ParameterError,
    StepError,
    UnknownParameterError,
    did_you_mean,
)
from ndmapper.io.temporary import scratch_folder

__all__ = [
    "CommandEngine",
]


_PLACE = re.compile(r"\{([A-Za-z_]\w*)\}")


def _places(argv: Iterable[object]) -> list[str]:
    """Return the names of the placeholders in argv."""
    return list(dict.fromkeys(name for item in argv for name in _named(item)))


def _arguments(
    job: Job, given: Mapping[str, Sequence[str]], made: Mapping[Output, str]
) -> list[str]:
    """
    Substitute the placeholders of argv, each as one argument, never by a shell.

    Raises ParameterError if a value would be taken for an option.
    """
    paths: dict[str, Sequence[Any]] = {
        **{str(name): [path] for name, path in made.items() if name is not None},
        **given,
    }
    if len(made) == 1:
        paths["out"] = list(made.values())
    if len(job.roles) == 1:
        paths["in"] = given[next(iter(job.roles)) or "in"]
    values = _check_places(job, paths)
    found = []
    for item in job.task.words["argv"]:
        text = _text(job, "argv", item)
        named = _named(item)
        if not named:
            found.append(text)
            continue
        if len(named) > 1:
            msg = f"{job.step}: {text!r} in argv has several places; give each its item"
            raise DeclarationError(msg)
        (name,) = named
        before, after = text.split(f"{{{name}}}")
        for value in values[name]:
            if not before and name not in paths:
                _refuse_option(job, name, value)
            found.append(f"{before}{_text(job, name, value)}{after}")
    return found


def _named(item: object) -> list[str]:
    # A Path in argv is literal: braces in it are no placeholders.
    return [] if isinstance(item, Path) else _PLACE.findall(str(item))


def _check_places(
    job: Job, paths: Mapping[str, Sequence[Any]]
) -> dict[str, Sequence[Any]]:
    """Return the values of all placeholders; an error for extra or missing ones."""
    known = _places(job.task.words["argv"])
    values = dict(paths)
    for name, value in job.parameters.items():
        if name not in known:
            msg = (
                f"{job.step}: {name!r} has no place in argv{did_you_mean(name, known)}"
            )
            raise UnknownParameterError(msg)
        if name not in values:
            is_list = isinstance(value, list | tuple)
            values[name] = value if is_list else [] if value is None else [value]
    for name in known:
        if name not in values:
            msg = (
                f"{job.step}: nothing is given for {{{name}}} in argv"
                f"{did_you_mean(name, values)}"
            )
            raise DeclarationError(msg)
    return values


def _text(job: Job, name: str, value: Any) -> str:
    # Relative paths would not work: the program runs in its own folder.
    text = str(value.absolute() if isinstance(value, Path) else value)
    if "\0" in text:
        msg = f"{job.step}: {name} must be text without the character 0, not {value!r}"
        raise ParameterError(msg)
    return text


def _refuse_option(job: Job, name: str, value: Any) -> None:
    if isinstance(value, str) and value.startswith("-"):
        msg = (
            f"{job.step}: {name}={value!r} starts with '-', so {job.task.name} would "
            f"take it for an option; declare it as one item, '--{name}={{{name}}}'"
        )
        raise ParameterError(msg)


_PROBE = 20.0
"""Time limit for a program to print its version [s]."""


class CommandEngine:
    """Run a program, without a shell."""

    name = "command"
    each: Each = "file"
    words: Mapping[str, Any] = MappingProxyType(
        {"argv": ("{in}", "{out}"), "ok_exit": (0,), "version": None, "bare": True}
    )

    takes_none = True

    def tool(self, task: Task) -> dict[str, str | None]:
        """Return the version of a program."""
        name = Path(str(task.name)).name
        try:
            program = _find(task)
        except MissingToolError:
            return {"name": name, "version": None}
        probe = task.words["version"]
        stamp = program.stat().st_mtime_ns
        if probe is None:
            return {"name": name, "version": _digest(program, stamp)}
        argv = tuple(str(item) for item in probe)
        return {"name": name, "version": _probe(argv, program, stamp)}

    def parameters(self, task: Task) -> Collection[str]:
        """Return the parameters: placeholders in argv that are not files."""
        files = {"in", "out", *task.inputs, *map(str, task.outputs)}
        return [name for name in _places(task.words["argv"]) if name not in files]

    def check(self, job: Job) -> None:
        """Check that every placeholder has a value, and every value a placeholder."""
        _arguments(job, *_show(job))

    def preview(self, job: Job) -> Preview:
        """Show the command line."""
        given, made = _show(job)
        line = shlex.join([str(job.task.name), *_arguments(job, given, made)])
        script = line
        accepted = tuple(job.task.words["ok_exit"])
        if accepted != (0,):
            codes = "|".join(map(str, accepted))
            script = (
                f"code=0; {line} || code=$?\n"
                f'case "$code" in {codes}) ;; *) exit "$code" ;; esac'
            )
        return Preview(text=line, script=f"{script}\n", language="sh")

    def run(self, job: Job) -> Outcome:
        """Run the program, and open its products."""
        assert job.folder is not None
        program = _find(job.task)
        links = InputLinks(
            job.folder / "in", always=True, bare=bool(job.task.words["bare"])
        )
        given = _files(job, lambda df: str(links.provide(df)))
        made = {
            name: str(job.folder / "out" / target)
            for name, target in _targets(job).items()
        }
        argv = [str(program), *_arguments(job, given, made)]
        (job.folder / "out").mkdir()
        work = job.folder / "work"
        work.mkdir()
        end = run_program(
            argv,
            cwd=work,
            log=job.folder / "output",
            env=os.environ | thread_limit(),
            timeout=job.timeout,
        )
        text = printable(read_log(end.log))
        tool = f"the program {job.task.name}"
        if end.timed_out or end.returncode not in job.task.words["ok_exit"]:
            raise exit_error(job, tool, end, text)
        try:
            products = {name: _open(Path(path)) for name, path in made.items()}
        except StepError as err:
            raise tool_error(job, tool, str(err), text) from err
        return Outcome(products=products, log=text)


def _find(task: Task) -> Path:
    advice = "install it, or give its path in the declaration of the step"
    return find_program(str(task.name), advice)


def _show(job: Job) -> tuple[dict[str, list[str]], dict[Output, str]]:
    """Return inputs and outputs under the names that the user knows."""
    given = _files(job, lambda df: str(Path(df).absolute() if df.filename else "-"))
    targets = {name: job.targets.get(name, "out.fits") for name in job.outputs}
    outdir = Path(job.settings["outdir"]).absolute()
    return given, {name: str(outdir / target) for name, target in targets.items()}


def _files(job: Job, name_of: Callable[[DataFile], str]) -> dict[str, list[str]]:
    """Return the paths of all inputs, and of parameters that are files."""
    named = {
        role or "in": [name_of(df) for df in files] for role, files in job.roles.items()
    }
    for name, value in job.parameters.items():
        files = value if isinstance(value, list | tuple) else [value]
        if files and all(isinstance(df, DataFile) for df in files):
            named[name] = [name_of(df) for df in files]
    return named


def _targets(job: Job) -> dict[Output, str]:
    names: dict[Output, str] = {}
    for output in job.outputs:
        wanted = job.targets.get(output, f"{output or 'out'}.fits")
        names[output] = safe_name(wanted, names.values())
    return names


def _open(path: Path) -> DataFile:
    if path.is_symlink() or not path.is_file():
        found = ", ".join(sorted(p.name for p in path.parent.iterdir())) or "nothing"
        msg = f"did not write {path.name}, but {found}"
        raise StepError(msg)
    try:
        return open_file(path)
    except MissingFileError as err:
        msg = f"did not write {path.name}: {err}"
        raise StepError(msg) from err
    except FormatError as err:
        msg = (
            f"wrote {path.name}, which is damaged or not FITS ({err}); products "
            "are FITS unless their names say otherwise, as x.dat does"
        )
        raise StepError(msg) from err


@lru_cache(maxsize=128)
def _digest(program: Path, stamp: int) -> str:
    with program.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()[:16]}"


@lru_cache(maxsize=128)
def _probe(argv: tuple[str, ...], program: Path, stamp: int) -> str | None:
    """Run a program for its version, once for each state of its file."""
    first = program
    if argv[0] != program.name:
        try:
            first = find_program(argv[0], "the version of the program is unknown")
        except MissingToolError:
            return None
    with scratch_folder() as folder:
        log = folder / "output"
        run_program([str(first), *argv[1:]], cwd=folder, log=log, timeout=_PROBE)
        lines = printable(read_log(log)).splitlines()
    words = [line.strip() for line in lines if line.strip()]
    return words[0][:200] if words else _digest(program, stamp)
