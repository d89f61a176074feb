"""The task calls of a job, and the files staged for them under plain names."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ndmapper.data import DataFile, NDLater, PlainFile
from ndmapper.data.plainfile import write_file
from ndmapper.engines.base import Job, Output
from ndmapper.engines.iraf.entries import made_entries
from ndmapper.engines.iraf.headers import header_for
from ndmapper.engines.iraf.parameters import Parameter
from ndmapper.engines.iraf.pixels import convert
from ndmapper.engines.iraf.side_effects import describe_changes
from ndmapper.engines.iraf.stage_mef import stage_mef
from ndmapper.engines.iraf.values import LONGEST, is_files, to_iraf
from ndmapper.engines.staging import PlainNames, plain_root, write_image
from ndmapper.errors import IdentError, StepError
from ndmapper.io.filetypes import in_database, is_plain, split_ext
from ndmapper.io.headers import Header
from ndmapper.io.labels import Ident

__all__ = ["Call", "Calls", "base_output", "files_of", "texts_of"]

Files = Mapping[str, list[DataFile]]

_BARE = {
    "longslit.fitcoords": "images",
    "longslit.transform": "fitnames",
    "longslit.fceval": "fitnames",
}
"""
Tasks with a parameter that is the literal name of a database entry, which is written
without file type.
"""

# The pixels of an .imh file are in a separate file.
_WITH_PIXELS_BESIDE = re.compile(r"\.(imh|\w\wh)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a task."""

    # Ident of the extension; None for whole files.
    ident: Ident | None
    # 'data', 'uncertainty' or 'flags'.
    part: str
    # Parameters of the task.
    parameters: dict[str, Any]
    # Names of the files to be made, by output.
    outputs: dict[Output, str]
    # Header of the base image, by output.
    given: dict[Output, Header] = field(default_factory=dict)


class _Copy(NamedTuple):
    """A writable copy of an input."""

    role: str
    df: DataFile
    ident: Ident | None
    part: str
    stamp: tuple[int, int]


def base_output(output: Output) -> str:
    """Return the parameter to which an output belongs."""
    return str(output).partition("#")[0]


def files_of(job: Job) -> dict[str, list[DataFile]]:
    """Return all FITS inputs of a task, by parameter."""
    return {
        name: kept
        for name, files in _named(job).items()
        if (kept := [df for df in files if not isinstance(df, PlainFile)]) or not files
    }


def texts_of(job: Job) -> dict[str, list[PlainFile]]:
    """
    Return the other inputs by parameter, such as texts.

    Entries of a database are none: the task finds them by the names of its images.
    """
    return {
        name: kept
        for name, files in _named(job).items()
        if (
            kept := [
                df for df in files if isinstance(df, PlainFile) and not in_database(df)
            ]
        )
    }


def _named(job: Job) -> dict[str, list[DataFile]]:
    found = {name: list(files) for name, files in job.roles.items()}
    for name, value in job.parameters.items():
        if is_files(value):
            found[name] = [value] if isinstance(value, DataFile) else list(value)
    return found


class Calls:
    """The calls of one job, and their staged files."""

    def __init__(self, job: Job, known: Mapping[str, Parameter] | None) -> None:
        assert job.folder is not None
        assert job.task.name is not None
        self.job = job
        self.known = known
        self.folder: Path = job.folder
        self.warnings: list[str] = []
        self.written: set[Path] = set()
        self.files = files_of(job)
        self.texts = texts_of(job)
        entries = made_entries(job)
        self.outputs = [output for output in job.outputs if output not in entries]
        """Those that a parameter of the task names."""
        self.images = [o for o in self.outputs if not is_plain(job.targets.get(o, ""))]
        """Those of them that are FITS."""
        self.by_extension = bool(job.task.words.get("MEF_ext", True))
        self._names = PlainNames()
        self._staged: dict[tuple[object, Ident | None, str, str], str] = {}
        self._headers: dict[str, Header] = {}
        self._lists = 0
        self._links: dict[Path, str] = {}
        self._copies: dict[Path, _Copy] = {}
        nan_value = job.task.words.get("nan_value")
        self._nan = None if nan_value is None else float(nan_value)

    # ---- which extensions

    @cached_property
    def idents(self) -> list[Ident | None]:
        """Idents of the extensions to loop over; None for whole files."""
        if not self.by_extension:
            return [None]
        files = [df for several in self.files.values() for df in several]
        if not files:
            return [None]
        for df in files:
            if not len(df):
                held = [f"table {t}" for t in df.tables] + list(df.extras)
                msg = (
                    f"{df} has no image for {self.job.task.name} to work on; it holds "
                    f"{', '.join(held) or 'nothing but a header'}"
                )
                raise StepError(msg)
        longest = max(files, key=len)
        for df in files:
            if len(df) > 1 and set(df.idents) != set(longest.idents):
                msg = (
                    f"{df} has the extensions {df.idents}, but {longest} has "
                    f"{longest.idents}; files that go together need the same ones, or "
                    "just one"
                )
                raise IdentError(msg)
        return list(longest.idents)

    @cached_property
    def bases(self) -> dict[Output, DataFile]:
        """For every output, the file that provides header and structure."""
        found: dict[Output, DataFile] = {}
        counts: dict[str, int] = {}
        given = {n: files for n, files in self.files.items() if n in self.job.roles}
        inputs = [df for files in (given or self.files).values() for df in files]
        for output in self.images:
            name = base_output(output)
            place = counts[name] = counts.get(name, -1) + 1
            several = sum(base_output(other) == name for other in self.images)
            alike = [
                files
                for key, files in given.items()
                if key == name or (several > 1 and len(files) == several)
            ]
            alike.sort(key=lambda files: files is not given.get(name))
            if alike and place < len(alike[0]):
                found[output] = alike[0][place]
                continue
            if not inputs:
                continue
            whole = [df for df in inputs if len(df) == len(self.idents)]
            found[output] = (whole or inputs)[0]
        return found

    # ---- the calls

    def all(self) -> Iterator[Call]:
        """Stage files and yield calls, one after the other."""
        for ident in self.idents:
            yield self.one(ident, "data")

    def one(self, ident: Ident | None, part: str) -> Call:
        """Stage the files of one call."""
        task = str(self.job.task.name)
        edited = {base_output(o) for o in self.images} & set(self.files)
        path_param = self.job.task.words.get("path_param")
        inside = "raw" if path_param else ""
        given: dict[str, Any] = {}
        for name, known in (self.known or {}).items():
            # Query parameters with a value must be given, or IRAF asks.
            if known.mode.startswith("a") and known.default is not None:
                given[name] = known.default
        outputs: dict[Output, str] = {}
        for name, files in self.files.items():
            folder = inside if name in self.job.roles else ""
            staged = [self._stage(df, ident, part, folder) for df in files]
            if name in self.job.roles and not self.images:
                for df, file in zip(files, staged, strict=True):
                    path = self.folder / folder / file
                    copy = _Copy(name, df, ident, part, _stamp(path))
                    self._copies.setdefault(path, copy)
            given[name] = self._joined([self._called(name, n) for n in staged])
            if name in edited:
                mine = [o for o in self.images if base_output(o) == name]
                outputs |= dict(zip(mine, staged, strict=False))
        for name, texts in self.texts.items():
            given[name] = self._joined([self._text(text) for text in texts])
        files_given = _named(self.job)
        for name, value in self.job.parameters.items():
            if name not in files_given:
                par = None if self.known is None else self.known.get(name)
                short = self._link(value) if isinstance(value, Path) else value
                given[name] = to_iraf(task, name, short, par)
        if path_param:
            given[path_param] = f"{inside}/"
        made: dict[str, list[str]] = {}
        for output in self.outputs:
            if output not in outputs:
                outputs[output] = self._output(output, ident, part)
                made.setdefault(base_output(output), []).append(outputs[output])
        given |= {name: self._joined(names) for name, names in made.items()}
        headers = {
            output: self._headers[key]
            for output, df in self.bases.items()
            if (key := self._key_of(df, ident, part)) is not None
        }
        return Call(
            ident=ident,
            part=part,
            parameters={self._iraf_name(n): v for n, v in given.items()},
            outputs=outputs,
            given=headers,
        )

    def _iraf_name(self, name: str) -> str:
        par = None if self.known is None else self.known.get(name)
        return name if par is None else par.name

    def _called(self, name: str, file: str) -> str:
        short = ".".join(str(self.job.task.name).split(".")[-2:])
        return file.removesuffix(".fits") if _BARE.get(short) == name else file

    def _link(self, path: Path) -> Path | str:
        """
        Link a file that is no image to the folder of the task.

        Many tasks have room for short names only, without blanks.
        """
        if not path.is_file() or _WITH_PIXELS_BESIDE.fullmatch(path.suffix):
            return path
        path = path.absolute()
        if path not in self._links:
            ext = re.sub(r"[^A-Za-z0-9.]", "", path.suffix)
            root = path.name.removesuffix(path.suffix)
            self._links[path] = self._names.new(f"{root}.fits", ext=ext)
            (self.folder / self._links[path]).symlink_to(path)
        return self._links[path]

    def _text(self, text: PlainFile) -> str:
        """Link or write a text to the folder of the task."""
        if text.unloaded:
            return str(self._link(text.path))
        path = self.folder / self._names.new(str(text), ext=_ending(str(text)))
        self.written.add(path)
        write_file(text, path)
        return path.name

    def changed(self) -> Iterator[tuple[str, DataFile, str]]:
        """Return the inputs whose copies the task has changed."""
        for path, copy in self._copies.items():
            if not path.exists():
                yield copy.role, copy.df, "it is gone"
            elif _stamp(path) != copy.stamp:
                again = self._stage(copy.df, copy.ident, copy.part, "", "before")
                before, after = DataFile(self.folder / again), DataFile(path)
                if what := describe_changes(before, after):
                    yield copy.role, copy.df, what

    def _joined(self, names: Sequence[str]) -> str:
        """Join names into one value, or write many into an @file."""
        text = ",".join(names)
        if len(text) <= LONGEST:
            return text
        self._lists += 1
        path = self.folder / f"names{self._lists}.lis"
        self.written.add(path)
        path.write_text("".join(f"{name}\n" for name in names))
        return f"@{path.name}"

    def _output(self, output: Output, ident: Ident | None, part: str) -> str:
        name = self.job.targets.get(output) or str(output)
        if output not in self.images:
            return self._names.new(name, ext=_ending(name))
        base = self.bases.get(output)
        many = base is not None and _is_mef(base)
        return self._names.new(name, _tail(ident if many else None, part))

    # ---- files

    def _key_of(self, df: DataFile, ident: Ident | None, part: str) -> str | None:
        for (which, own, of, _), name in self._staged.items():
            if (which, of) == (_which(df), part) and own in (
                ident,
                _own_ident(df, ident),
            ):
                return name if name in self._headers else None
        return None

    def _stage(
        self, df: DataFile, ident: Ident | None, part: str, folder: str, tag: str = ""
    ) -> str:
        own = _own_ident(df, ident) if self.by_extension else None
        key = (_which(df), own, part, f"{folder}/{tag}")
        if key in self._staged:
            return self._staged[key]
        tail = _tail(own if _is_mef(df) else None, part)
        name = self._names.new(str(df) or "unnamed", tail)
        if folder:
            (self.folder / folder).mkdir(exist_ok=True)
        path = self.folder / folder / name
        self.written.add(path)
        if own is None or not self.by_extension:
            stage_mef(df, path, self._nan, self.warnings)
        else:
            self._stage_image(df, df[df.idents.index(own)], part, path, name)
        self._staged[key] = name
        return name

    def _stage_image(
        self, df: DataFile, ndd: NDLater, part: str, path: Path, name: str
    ) -> None:
        # Read a copy, so that pixels do not stay in memory with the user's file.
        array = getattr(ndd.copy(), {"uncertainty": "variance"}.get(part, part))
        where = f"{df}[{ndd.ident}]" + ("" if part == "data" else f" ({part})")
        if array is None:
            msg = f"{where} is missing, so {self.job.task.name} cannot run over it"
            raise StepError(msg)
        header = header_for(df, ndd)
        self._headers[name] = header
        write_image(path, header, convert(array, where, self._nan, self.warnings))


def _ending(name: str) -> str:
    ext = split_ext(Path(name).name)[1]
    return "" if ext is None else f".{ext}"


def _which(df: DataFile) -> object:
    """Identity of a file: the same file opened twice is staged once."""
    return Path(df).absolute() if df.filename and df.unloaded else id(df)


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _is_mef(df: DataFile) -> bool:
    """Whether the extensions of a file have idents."""
    return len(df) != 1 or df[0].meta is not df.meta


def _own_ident(df: DataFile, ident: Ident | None) -> Ident | None:
    return df.idents[0] if ident is not None and len(df) == 1 else ident


def _tail(ident: Ident | None, part: str) -> str:
    tail = "" if ident is None else f"_{plain_root(f'x{ident}')[1:]}"
    return tail + {"data": "", "uncertainty": "_var", "flags": "_dq"}[part]
