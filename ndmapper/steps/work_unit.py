"""One unit of work: a step with its inputs, calibrations and parameters."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ndmapper.config import Settings
from ndmapper.data import DataFile, FileName, FileSet, PlainFile
from ndmapper.data.fileset import files_in
from ndmapper.data.member_keys import cut, keys_in
from ndmapper.data.name_pattern import (
    Key,
    NamePattern,
    field_name,
    find_key,
    key_text,
)
from ndmapper.data.planned import PlannedFile
from ndmapper.engines import Job, get_engine
from ndmapper.engines.base import Calibration, Output
from ndmapper.io.digest import DigestCache
from ndmapper.io.filetypes import in_database, record_name
from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.declare.tool_parameters import switch_values
from ndmapper.steps.instrument_table import TableFacts

__all__ = ["Roles", "Targets", "WorkUnit", "as_list", "files_within", "shared_cals"]

Roles = Mapping[str, Sequence[Any]]
"""Input files and sets by the name of the parameter or tag they are given for."""

Targets = Mapping[Output, FileName]
"""The name of each product, by the name of the output."""


@dataclass(frozen=True, kw_only=True)
class WorkUnit:
    """
    One run of a step, with everything that decides what comes of it.

    Parameters
    ----------
    declaration : Declaration
        The step.
    roles : mapping of str to sequence of DataFile
        The inputs.
    calibrations : mapping
        What is applied, by type.
    parameters : mapping
        The checked parameters of the function.
    tool_parameters : mapping
        Those of the tool, where it is not the function that does the work.
    table : TableFacts
        What an instrument table says, where the function takes it.
    ran : mapping
        What `ndmapper.steps.record.entry.what_ran` gives, the same for all units.
    outputs : tuple of (str or None)
        Names of the outputs.
    open : mapping of (str or None) to FileName
        The outputs that give as many products as are made, and the pattern by which
        these are named.
    sets : mapping of (str or None) to FileName
        The pattern of the set that a product is a member of.
    group : int
        Which of the inputs of the call it works on.
    key : mapping of str to int or str
        The key of the parts that it works on, where a call is split.
    member_of : mapping
        The name of the set that each file of an input is a member of, or an empty one.
    parameter : str or None
        The parameter that is given the key.
    cals : mapping
        Calibrations that all its inputs share, which products are handed on with.
    own_cals : mapping
        Of these, the members that belong to the key.
    lost : mapping
        Why keys of the same input have no unit.
    settings : Settings
        The configuration of the call.
    digests : DigestCache
        Digests that are known already.
    """

    declaration: Declaration
    roles: Roles
    calibrations: Mapping[str, Calibration]
    parameters: Mapping[str, Any]
    tool_parameters: Mapping[str, Any] = field(default_factory=dict)
    table: TableFacts = field(default_factory=TableFacts)
    ran: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[Output, ...]
    open: Mapping[Output, FileName] = field(default_factory=dict)
    sets: Mapping[Output, FileName] = field(default_factory=dict)
    group: int = 0
    key: Mapping[str, Key] = field(default_factory=dict)
    member_of: Mapping[str, Sequence[str]] = field(default_factory=dict)
    parameter: str | None = None
    cals: Mapping[str, Any] = field(default_factory=dict)
    own_cals: Mapping[str, Any] = field(default_factory=dict)
    lost: Mapping[Key, str] = field(default_factory=dict)
    settings: Settings
    digests: DigestCache

    def __getstate__(self) -> dict[str, Any]:
        # The client of a cluster cannot be pickled, and a worker has no use for it.
        settings = {**self.settings, "cluster": None}
        return {**self.__dict__, "settings": MappingProxyType(settings)}

    @property
    def inputs(self) -> list[DataFile]:
        """All input files, one role after the other."""
        return [df for item in self.items for df in files_in(item)]

    @property
    def items(self) -> list[Any]:
        """All inputs, one role after the other: files, and sets as one."""
        return [item for items in self.roles.values() for item in items]

    @property
    def named(self) -> list[DataFile | Path]:
        """The files that parameters name."""
        values = self.counted_parameters | self.counted_tool_parameters
        return [*files_within(values), *(path for path, _ in self.frames)]

    @cached_property
    def counted_parameters(self) -> dict[str, Any]:
        """The parameters, with each text that names a file turned into its path."""
        declared = self.declaration.parameters
        return {
            name: _naming_files(
                value, declared[name].kind.choices if name in declared else ()
            )
            for name, value in self.parameters.items()
        }

    @cached_property
    def counted_tool_parameters(self) -> dict[str, Any]:
        """The same for the parameters of the tool."""
        return {
            name: _naming_files(value) for name, value in self.tool_parameters.items()
        }

    @property
    def frames(self) -> list[tuple[Path, str]]:
        """Input files listed in a set of frames of the user: path and tag of each."""
        task = self.declaration.task
        listed = getattr(get_engine(task.engine), "frames_of_user", None)
        return [] if listed is None else listed(task)

    @property
    def used(self) -> list[DataFile]:
        """All files that go in: inputs, calibrations, and files given as parameters."""
        used = list(self.inputs)
        for cal in self.calibrations.values():
            used.extend(as_list(cal))
        used.extend(df for df in self.named if isinstance(df, DataFile))
        return list({id(df): df for df in used}.values())

    @property
    def entries(self) -> dict[str, Calibration]:
        """The calibrations that are entries of a database."""
        return {
            name: cal
            for name, cal in self.calibrations.items()
            if any(in_database(df) for df in as_list(cal) if df.filename is not None)
        }

    @property
    def recorded_key(self) -> dict[str, int | str]:
        """The key as records have it: numbers and texts."""
        return {
            name: key if isinstance(key, int | str) else key_text(key)
            for name, key in self.key.items()
        }

    def member_key(self, output: Output, name: FileName) -> Key:
        """Give the key by which a product is a member of the set of its output."""
        pattern = NamePattern(str(self.sets[output]))
        known: dict[str, Any] = {field_name(f): key for f, key in self.key.items()}
        if not set(pattern.fields) <= set(known):
            read = pattern.match(name)
            assert read is not None
            known = pattern.values(read) | known
        key = tuple(known[name] for name in pattern.fields)
        return key if len(key) > 1 else key[0]

    def job(self, targets: Targets, folder: Path | None, *, workers: int = 1) -> Job:
        """Put together what the engine is handed; without a folder, for a preview."""
        declaration, settings = self.declaration, self.settings
        if declaration.is_python:
            handed_in = {name: settings[name] for name in declaration.handed_in}
            parameters = {**self.parameters, **handed_in}
            calibrations = {n: self._own_part(c) for n, c in self.calibrations.items()}
            roles = {n: self._own_part(items) for n, items in self.roles.items()}
            if declaration.table is not None:
                parameters[declaration.table] = self.table
        else:
            # A parameter that the step gives wins over the switch that would set it.
            # Switches are not recorded as parameters: two of them are in the entry's
            # config, and interact never counts.
            parameters = {
                **switch_values(declaration.task, settings),
                **{n: self._own_files(v) for n, v in self.tool_parameters.items()},
            }
            # No parameter takes these: a task of IRAF finds them in its database.
            calibrations = {n: as_list(c) for n, c in self.entries.items()}
            roles = {n: self._own_files([*items]) for n, items in self.roles.items()}
        names = {**{o: str(name) for o, name in self.open.items()}, **targets}
        return Job(
            step=declaration.name,
            task=declaration.task,
            func=declaration.func if declaration.is_python else None,
            each=declaration.each,
            roles=roles,
            calibrations=calibrations,
            parameters=parameters,
            outputs=self.outputs,
            open=frozenset(self.open),
            targets={o: record_name(str(name)) for o, name in names.items()},
            settings=settings,
            folder=folder,
            timeout=None if settings["interact"] else settings["timeout"],
            workers=workers,
        )

    def _own_files(self, value: Any) -> Any:
        """List the members of sets, which tools do not know, in the place of these."""
        if isinstance(value, FileSet):
            value = files_in(value)
        if isinstance(value, list) and any(isinstance(v, FileSet) for v in value):
            value = [df for item in value for df in files_in(item)]
        return self._own_part(value)

    def _own_part(self, value: Any) -> Any:
        """Cut the part of the key out of files that hold several."""
        if not self.key or (self.parameter and not self.declaration.is_python):
            return value
        if isinstance(value, list):
            return [self._own_part(item) for item in value]
        is_planned = isinstance(value, PlannedFile) and not value.is_made
        if not isinstance(value, DataFile) or isinstance(value, PlainFile):
            return value
        if is_planned:  # its content is not known, and only a preview asks
            return value
        for by, key in self.key.items():
            said = keys_in(value, by)
            if len(said) > 1 and find_key(said, key) is not None:
                part = cut(value, by, key)
                part.filename = value.filename
                value = part
        return value


def shared_cals(items: Sequence[Any]) -> dict[str, Any]:
    """Find the calibrations that files and sets share, by type."""
    if not items:
        return {}
    first, *others = items
    return {
        name: cal
        for name, cal in first.cals.items()
        if all(df.cals.get(name) is cal for df in others)
    }


def files_within(value: Any) -> Iterator[DataFile | Path]:
    """Find the files in the value of a parameter, in lists and mappings too."""
    if isinstance(value, (DataFile, Path)):
        yield value
    elif isinstance(value, FileSet):
        yield from files_in(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from files_within(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from files_within(item)
    elif isinstance(value, (set, frozenset)):
        yield from sorted(v for v in value if isinstance(v, Path))


def as_list(cal: Calibration) -> list[DataFile]:
    """List the files of a calibration, which may be one, several or None."""
    items = [] if cal is None else cal if isinstance(cal, list) else [cal]
    return [df for item in items for df in files_in(item)]


def _naming_files(value: Any, choices: Sequence[str] = ()) -> Any:
    """Turn each text that names an existing file into a path, unless it is a choice."""
    if isinstance(value, str):
        try:
            is_file = value and value not in choices and Path(value).is_file()
            return Path(value) if is_file else value
        except (OSError, ValueError):  # too long for a name, or with NUL
            return value
    if isinstance(value, FileSet):
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
