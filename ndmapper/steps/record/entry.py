"""The entry of a product in its record, written from the declaration alone."""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ndmapper.config import Settings
from ndmapper.data import DataFile, FileName
from ndmapper.data.saving.save import write_datafile
from ndmapper.data.saving.unsaved import unsaved_key
from ndmapper.engines import get_engine
from ndmapper.engines.base import Calibration, Output
from ndmapper.io.digest import DigestCache, Examined, digest, examine, name_damage
from ndmapper.io.record import SCHEMA, entry_key, is_of_library
from ndmapper.io.temporary import scratch_folder
from ndmapper.steps.call.instrument_table import TableFacts, flags_block
from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.declare.tool_parameters import files_within, plain_values
from ndmapper.steps.paths import absolute
from ndmapper.steps.record.origin import origin_of
from ndmapper.steps.record.source_context import Context
from ndmapper.steps.record.values import recordable

__all__ = [
    "Entry",
    "WorkUnit",
    "ancestors",
    "as_made",
    "describe",
    "is_as_recorded",
    "references",
    "script_block",
    "what_ran",
]


log = logging.getLogger(__name__)

Entry = dict[str, Any]
"""One entry of a record; its fields are listed in `ndmapper.io.record`."""

_CONFIG = ("use_uncert", "use_flags", "bad_flags")
"""Keys of the configuration that change what a step makes."""

_VOLATILE_WORDS = frozenset({"sof"})
"""Words of engines that only say where something lies."""


@dataclass(frozen=True, kw_only=True)
class WorkUnit:
    """
    One unit of work, with everything that decides what comes of it.

    Parameters
    ----------
    declaration : Declaration
        The step.
    roles : mapping of str to sequence of DataFile
        What it works on, by the name of the input.
    calibrations : mapping
        What is applied, by type.
    parameters : mapping
        The checked parameters of the function.
    tool_parameters : mapping
        Those of the tool, where it is not the function that does the work.
    table : TableFacts
        What an instrument table says, where the function takes it.
    ran : mapping
        What `what_ran` says, where that is known already.
    outputs : tuple of (str or None)
        Names of the outputs.
    settings : Settings
        The configuration of the call.
    digests : DigestCache
        Digests that are known already.
    """

    declaration: Declaration
    roles: Mapping[str, Sequence[DataFile]]
    calibrations: Mapping[str, Calibration]
    parameters: Mapping[str, Any]
    tool_parameters: Mapping[str, Any] = field(default_factory=dict)
    table: TableFacts = field(default_factory=TableFacts)
    ran: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[Output, ...]
    settings: Settings
    digests: DigestCache

    def __getstate__(self) -> dict[str, Any]:
        # A client of a cluster does not travel, and where the work is done there is
        # nobody to hand it on to.
        settings = {**self.settings, "cluster": None}
        return {**self.__dict__, "settings": MappingProxyType(settings)}

    @property
    def inputs(self) -> list[DataFile]:
        """All inputs, one role after the other."""
        return [df for files in self.roles.values() for df in files]

    @property
    def named(self) -> list[DataFile | Path]:
        """Every file that a parameter names."""
        values = self.counted_parameters | self.counted_tool_parameters
        return [*files_within(values), *(path for path, _ in self.frames)]

    @cached_property
    def counted_parameters(self) -> dict[str, Any]:
        """The parameters as they count: a text that names a file is that file."""
        declared = self.declaration.parameters
        return {
            name: _naming_files(
                value, declared[name].kind.choices if name in declared else ()
            )
            for name, value in self.parameters.items()
        }

    @cached_property
    def counted_tool_parameters(self) -> dict[str, Any]:
        """The same of the parameters of the tool."""
        return {
            name: _naming_files(value) for name, value in self.tool_parameters.items()
        }

    @property
    def frames(self) -> list[tuple[Path, str]]:
        """What goes in since a file of the user says so: path, and what it is."""
        task = self.declaration.task
        listed = getattr(get_engine(task.engine), "frames_of_user", None)
        return [] if listed is None else listed(task)

    @property
    def used(self) -> list[DataFile]:
        """Every file that goes in: inputs, calibrations, files given as parameters."""
        used = list(self.inputs)
        for cal in self.calibrations.values():
            used.extend(_listed(cal))
        used.extend(df for df in self.named if isinstance(df, DataFile))
        return list({id(df): df for df in used}.values())


def describe(unit: WorkUnit, output: Output, product: str) -> Entry:
    """
    Describe what would be made: all of an entry that is known before it is.

    Inputs that were re-used although they differ from what would be made now count as
    what they would be.

    Parameters
    ----------
    unit : WorkUnit
        What it is made of.
    output : str or None
        Name of the output.
    product : str
        File name of the product, without folder.

    Returns
    -------
    dict
        The entry, without ``content`` and ``run``.
    """
    declaration = unit.declaration
    step, task = declaration.name, declaration.task
    entry: Entry = {
        "schema": SCHEMA,
        "step": step,
        **(unit.ran or what_ran(declaration, unit.parameters)),
        "product": product,
        "output": output,
        "parameters": {
            name: recordable(value, f"{step}: {name}")
            for name, value in unit.counted_parameters.items()
        },
        "config": _config(unit.settings),
        **references(unit, expected=True),
        **_instrument(unit),
    }
    if not declaration.is_python:
        defaults = get_engine(task.engine).words
        entry["task"] = {
            "name": task.name,
            "parameters": {
                name: recordable(value, f"{step}: {name}")
                for name, value in plain_values(unit.counted_tool_parameters).items()
            },
            "words": {
                name: recordable(value, f"{step}: {name}")
                for name, value in task.words.items()
                if value != defaults.get(name) and name not in _VOLATILE_WORDS
            },
        }
        if unit.frames:
            entry["task"]["words"]["frames"] = [
                f"{path.name} {what}" for path, what in unit.frames
            ]
    entry["key"] = entry_key(entry)
    return entry


def _instrument(unit: WorkUnit) -> Entry:
    """Give what instrument tables said; nothing for a step that asks for none."""
    if not unit.declaration.is_python:
        return {}
    block = {**flags_block(unit.inputs[0]), **unit.table.block}
    if unit.declaration.table is None and not block:
        return {}
    return {"instrument": block}


def _config(settings: Settings) -> Entry:
    """Give what of the configuration changes what a step makes."""
    found: Entry = {name: settings[name] for name in _CONFIG}
    if settings["labels"] is not None:
        found["labels"] = recordable(settings["labels"], "labels")
    return found


def as_made(expected: Mapping[str, Any], files: Entry) -> Entry:
    """
    Describe what is made: as it was expected, with the inputs as they are.

    Parameters
    ----------
    expected : mapping
        What `describe` said. The process that works may not know the script of a
        function, so what it is was said before.
    files : dict
        What `references` says of the inputs as they are.

    Returns
    -------
    dict
        The entry, without ``content`` and ``run``.
    """
    entry = {**expected, **files}
    entry["key"] = entry_key(entry)
    return entry


def references(unit: WorkUnit, *, expected: bool) -> Entry:
    """
    Refer to all files that go into a product.

    Parameters
    ----------
    unit : WorkUnit
        What it is made of.
    expected : bool
        Refer to what was re-used although it differs as it would be made now, not as
        it is.

    Returns
    -------
    dict
        ``inputs``, ``calibrations``, ``references`` and ``tags`` of an entry.
    """
    known: dict[int, Entry] = {}

    def refer(file: DataFile | Path) -> Entry:
        # A calibration stands in several places, and is looked at once.
        if id(file) not in known:
            known[id(file)] = look(file)
        return dict(known[id(file)])

    def look(file: DataFile | Path) -> Entry:
        if isinstance(file, DataFile):
            return _reference(file, unit, expected=expected)
        path = absolute(file)
        found = examine(path, unit.digests)
        if expected:
            _name_damage(path, found, unit)
        return {"name": path.name, "digest": found.digest}

    is_python = unit.declaration.is_python
    tags = {} if is_python else {"tags": _tags(unit, refer)}
    return {
        "inputs": [
            refer(df) if is_python else {**refer(df), "role": role}
            for role, files in unit.roles.items()
            for df in files
        ],
        "calibrations": {
            name: None
            if cal is None
            else [refer(df) for df in cal]
            if isinstance(cal, list)
            else refer(cal)
            for name, cal in unit.calibrations.items()
        },
        "references": _named(unit, refer),
        **tags,
    }


def what_ran(declaration: Declaration, parameters: Mapping[str, Any]) -> Entry:
    """
    Say what does the work: the code or revision of a function, or a tool's version.

    Parameters
    ----------
    declaration : Declaration
        The step.
    parameters : mapping
        The checked parameters of the function.

    Returns
    -------
    dict
        A part of an entry, the same for all units of a call.
    """
    origin = None if declaration.func is None else origin_of(declaration.func)
    revision = declaration.revision
    said: Entry = {} if revision is None else {"revision": revision}
    if declaration.is_python and origin is not None:
        if is_of_library(origin.tool):
            said.setdefault("revision", 1)
        return {
            **said,
            "module": origin.module,
            "engine": "python",
            "tool": origin.tool,
            "source": origin.source,
            "code": origin.code,
            "script": script_block(declaration, origin.context, parameters),
        }
    # The code of a function that only gives parameters shows in these.
    return {
        **said,
        "module": origin.module if origin else None,
        "engine": declaration.task.engine,
        "tool": get_engine(declaration.task.engine).tool(declaration.task),
        "source": None,
        "code": None,
    }


def _named(unit: WorkUnit, refer: Callable[[DataFile | Path], Entry]) -> dict[str, Any]:
    """Refer to the files that parameters name, but to calibrations only once."""
    applied = {id(df) for cal in unit.calibrations.values() for df in _listed(cal)}
    found: dict[str, Any] = {}
    for name, value in {
        **unit.counted_parameters,
        **unit.counted_tool_parameters,
    }.items():
        files = [*files_within(value)]
        references = [refer(file) for file in files if id(file) not in applied]
        if files and value is not files[0]:
            found[name] = references
        elif references:
            found[name] = references[0]
    if unit.frames:
        found["sof"] = [refer(path) for path, _ in unit.frames]
    return found


def _naming_files(value: Any, choices: Sequence[str] = ()) -> Any:
    """Turn each text that is the name of an existing file, and no choice, into one."""
    if isinstance(value, str):
        try:
            is_file = value and value not in choices and Path(value).is_file()
            return Path(value) if is_file else value
        except (OSError, ValueError):  # too long for a name, or with NUL
            return value
    if isinstance(value, (DataFile, FileName)):
        return Path(value) if isinstance(value, FileName) else value
    if isinstance(value, Mapping):
        return {key: _naming_files(item, choices) for key, item in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind in "UO":
        return _naming_files(value.tolist(), choices)
    if isinstance(value, (set, frozenset)):
        return frozenset(_naming_files(item, choices) for item in value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, range)):
        return [_naming_files(item, choices) for item in value]
    return value


def _tags(unit: WorkUnit, refer: Callable[[DataFile | Path], Entry]) -> dict[str, Any]:
    """Refer to all files that a tool is given by its parameters or tags."""
    found: dict[str, Any] = {}
    for name, value in unit.tool_parameters.items():
        files = [*files_within(value)]
        if files:
            is_one = value is files[0]
            found[name] = refer(files[0]) if is_one else [refer(f) for f in files]
    return found


def _listed(cal: Calibration) -> list[DataFile]:
    return [] if cal is None else cal if isinstance(cal, list) else [cal]


def is_as_recorded(df: DataFile, digests: DigestCache) -> bool:
    """
    Say whether a product is still what its record describes.

    Parameters
    ----------
    df : DataFile
        A product with a record.
    digests : DigestCache
        Digests that are known already, so that no product is read twice for this.

    Returns
    -------
    bool
        False if its content was changed by something that keeps no record.
    """
    return digest(Path(df), digests) == str(df.record[-1]["content"])


def _name_damage(
    path: Path, found: Examined, unit: WorkUnit, name: str | None = None
) -> None:
    """Say once in a call that an input is damaged, unless that is an error."""
    wrong = name_damage(path, found, checksums=unit.settings["checksums"])
    place = path if name is None else Path(name)
    if wrong and place not in unit.digests.named:
        unit.digests.named.add(place)
        log.warning(
            "%s: %s may be damaged, or a program that changed it left its checksums as "
            "they were: %s", unit.declaration.name, name or path, "; ".join(wrong),
        )  # fmt: skip


def _reference(df: DataFile, unit: WorkUnit, *, expected: bool) -> Entry:
    """Refer to a file by its key if a step made it, else by its content."""
    name = Path(str(df)).name if df.filename is not None else "unnamed"
    if not df.is_made:
        return {"name": name, "key": df.record[-1]["key"]}
    if (key := unsaved_key(df)) is not None:
        return {"name": name, "key": key}
    # A file that was replaced meanwhile is found out by whoever compares the digests.
    if not df.unchanged or df.filename is None:
        # What is only in memory is what counts, not what lies on disk.
        with scratch_folder() as folder:
            path = folder / "content.fits"
            write_datafile(df, path, rows=[])
            found = examine(path)
            if expected:
                _name_damage(path, found, unit, name)
            return {"name": name, "digest": found.digest, "memory": True}
    found = examine(Path(str(df)), unit.digests)
    if expected:
        _name_damage(Path(str(df)), found, unit)
    if df.record and found.digest == str(df.record[-1]["content"]):
        key = df.record[-1]["key"]
        if expected and df.expected_key and df.expected_key[0] == key:
            key = df.expected_key[1]
        return {"name": name, "key": key}
    return {"name": name, "digest": found.digest}


def ancestors(files: Sequence[DataFile]) -> list[Entry]:
    """
    Join the records of everything that a product is made of.

    Parameters
    ----------
    files : sequence of DataFile
        Inputs and calibrations.

    Returns
    -------
    list of dict
        Their entries, oldest first, each once.
    """
    joined: dict[tuple[str, str], Entry] = {}
    for df in files:
        for entry in df.record:
            joined.setdefault((entry["key"], entry["product"]), entry)
    return list(joined.values())


def script_block(
    declaration: Declaration, context: Context, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Collect what a script needs to call a step of pure Python again.

    Parameters
    ----------
    declaration : Declaration
        The step.
    context : Context
        What its source refers to; what values of parameters need is added.
    parameters : mapping
        The values of its parameters.

    Returns
    -------
    dict
        The ``script`` of an entry.
    """
    exact: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name, value in parameters.items():
        if isinstance(value, (Path, DataFile)):  # they are among the references
            if isinstance(value, DataFile):
                exact[name] = "DataFile"
            continue
        recorded = repr(recordable(value, name))
        text = context.express(value)
        if text is None:
            kind = type(value).__name__
            missing[name] = f"its value is a {kind}, which no short text can give"
        elif text != recorded:
            exact[name] = text
    block: dict[str, Any] = {
        "each": declaration.each,
        "outputs": list(declaration.outputs),
    }
    if declaration.func is not None:
        block["wrapped"] = _is_wrapped(declaration.func)
    if context.items:
        block["context"] = [list(item) for item in context.items.items()]
    if context.files:
        block["files"] = list(context.files)
    if exact:
        block["parameters"] = exact
    if missing | context.missing:
        block["missing"] = missing | context.missing
    return block


def _is_wrapped(func: Callable[..., Any]) -> bool:
    """Tell a plain function of a module, which a script made a step of, from a step."""
    module = sys.modules.get(getattr(func, "__module__", None) or "")
    return getattr(module, getattr(func, "__name__", ""), None) is func
