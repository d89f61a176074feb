"""
Hop 9, record: the entry of a product, built from the declaration and the run.

Eleven names: an entry is built in two halves, what is known before the run and what
only after it, and each of its parts is needed by what compares or publishes.
"""

import hashlib
import json
import logging
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import astropy
import numpy as np
from astropy import units

from ndmapper._version import __version__
from ndmapper.config import Settings
from ndmapper.data import DataFile, FileName, FileSet
from ndmapper.data.fileset import files_in, given_keys
from ndmapper.data.name_pattern import field_name
from ndmapper.data.plainfile import PlainFile, write_file
from ndmapper.data.saving.save import unsaved_key
from ndmapper.engines import Outcome, get_engine
from ndmapper.engines.base import Output
from ndmapper.engines.decisions import Decisions
from ndmapper.engines.quality import Findings
from ndmapper.errors import ParameterError
from ndmapper.io.digest import DigestCache, Examined, digest, examine, name_damage
from ndmapper.io.filetypes import record_name
from ndmapper.io.record import SCHEMA, is_of_library, output_keys
from ndmapper.io.sidedata import make_side_folder
from ndmapper.io.source import absolute
from ndmapper.io.temporary import scratch_folder
from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.declare.tool_parameters import plain_values
from ndmapper.steps.instrument_table import flags_block
from ndmapper.steps.record.origin import Context, origin_of
from ndmapper.steps.record.summary import now
from ndmapper.steps.work_unit import WorkUnit, as_list, files_within

__all__ = [
    "Entry",
    "ancestors",
    "completed_entries",
    "expected_entries",
    "is_as_recorded",
    "keep_figures",
    "output_name",
    "qc_and_decisions",
    "recordable",
    "references",
    "run_block",
    "what_ran",
]


_MAX_LISTED = 64
"""Arrays of more values than this are recorded by their digest."""


def recordable(value: Any, where: str) -> Any:  # noqa: PLR0912  # a chain of types
    """
    Serialise the value of a parameter for the record.

    Raises
    ------
    ParameterError
        If the value cannot be recorded.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not np.isfinite(value):
            return str(value)
        # JSON has one kind of numbers; 5 and 5.0 are the same parameter.
        return int(value) if value.is_integer() else value
    if isinstance(value, units.Quantity):
        return {"value": recordable(value.value, where), "unit": value.unit.to_string()}
    if isinstance(value, (units.UnitBase, np.dtype)):
        return str(value)
    if isinstance(value, complex):
        return str(value)
    if isinstance(value, np.generic):
        plain = value.item()
        # Long floating point numbers stay what they are.
        return recordable(str(plain) if isinstance(plain, np.generic) else plain, where)
    if isinstance(value, np.ndarray):
        if value.size <= _MAX_LISTED or value.dtype.hasobject:
            return recordable(value.tolist(), where)
        return _digested(value)
    if isinstance(value, (Path, FileName, DataFile)):
        return Path(value).name
    if isinstance(value, Mapping):
        return {str(k): recordable(v, where) for k, v in value.items()}
    if isinstance(value, (Sequence, set, frozenset)):
        if not isinstance(value, (set, frozenset)):
            return [recordable(v, where) for v in value]
        items = [recordable(v, where) for v in value]
        try:
            return sorted(items)
        except TypeError:  # of several types
            return sorted(items, key=json.dumps)
    if isinstance(value, slice):
        return f"{value.start}:{value.stop}:{value.step}"
    if callable(value) and hasattr(value, "__qualname__"):
        name, origin = f"{value.__module__}:{value.__qualname__}", origin_of(value)
        return name if origin.module else {"function": name, "code": origin.code}
    if hasattr(value, "value") and hasattr(type(value), "__members__"):  # an Enum
        return recordable(value.value, where)
    msg = (
        f"{where} is a {type(value).__name__}, which a record cannot hold; pass "
        "numbers, strings, lists, mappings, arrays, quantities or paths"
    )
    raise ParameterError(msg)


def _digested(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Record shape, type and digest of a large array, and of its mask."""
    found: dict[str, Any] = {"shape": list(array.shape), "dtype": array.dtype.str}
    parts = {"digest": np.asarray(array)}
    if isinstance(array, np.ma.MaskedArray) and array.mask is not np.ma.nomask:
        parts = {"digest": array.filled(), "mask": np.asarray(array.mask)}
    for name, part in parts.items():
        content = hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest()
        found[name] = f"sha256:{content}"
    return found


log = logging.getLogger(__name__)

Entry = dict[str, Any]
"""One entry of a record; its fields are listed in `ndmapper.io.record`."""

_CONFIG = ("use_uncert", "use_flags", "bad_flags")
"""Keys of the configuration that change what a step makes."""

_LINES = 40
"""So many of the last lines that a tool printed are kept in the record."""

_VOLATILE_WORDS = frozenset({"sof"})
"""Words of engines that only say where something lies."""


def expected_entries(
    unit: WorkUnit, products: Mapping[Output, str]
) -> dict[Output, Entry]:
    """
    Build the expected entry of each product: all fields but `content` and `run`.

    Inputs that were re-used although they differ from what would be made now count as
    what they would be.
    """
    declaration = unit.declaration
    step, task = declaration.name, declaration.task
    shared: Entry = {
        "schema": SCHEMA,
        "step": step,
        **(unit.ran or what_ran(declaration, unit.parameters)),
        "output": None,
        "parameters": {
            name: recordable(value, f"{step}: {name}")
            for name, value in unit.counted_parameters.items()
        },
        "config": _config(unit.settings),
        **references(unit, expected=True),
        **_instrument(unit),
    }
    if unit.key:
        shared["unit"] = unit.recorded_key
        if unit.parameter is not None:
            shared["unit_parameter"] = unit.parameter
    if declaration.is_python and (given := _given_keys(unit)):
        shared["keys"] = given
    if not declaration.is_python:
        defaults = get_engine(task.engine).words
        shared["task"] = {
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
            shared["task"]["words"]["frames"] = [
                f"{path.name} {what}" for path, what in unit.frames
            ]
    keys = output_keys(shared, products)
    entries = {}
    for output, product in products.items():
        entry = {**shared, "product": product, "output": output, "key": keys[output]}
        if (pattern := unit.sets.get(output_name(output))) is not None:
            entry["set"] = Path(str(pattern)).name
        entries[output] = entry
    return entries


def _braced(by: Sequence[str]) -> str:
    return "".join(f"{{{field_name(field)}}}" for field in by or ("key",))


def _given_keys(unit: WorkUnit) -> dict[str, Any]:
    """List the keys of sets that a function sees, and no file says."""
    found: dict[str, Any] = {}
    for name, value in (*unit.roles.items(), *unit.calibrations.items()):
        items = value if isinstance(value, list) else [value]
        keys = [given_keys(item) for item in items if isinstance(item, FileSet)]
        if any(keys):
            found[name] = keys
    return found


def output_name(output: Output) -> Output:
    """Give the name of the output that a product is one of: of ``TAG[7]``, ``TAG``."""
    return None if output is None else output.partition("[")[0] or None


def _instrument(unit: WorkUnit) -> Entry:
    """Build the ``instrument`` block; none for a step that uses no table."""
    if not unit.declaration.is_python:
        return {}
    block = {**flags_block(unit.inputs[0]), **unit.table.block}
    if unit.declaration.table is None and not block:
        return {}
    return {"instrument": block}


def _config(settings: Settings) -> Entry:
    """Select the configuration that changes pixels."""
    found: Entry = {name: settings[name] for name in _CONFIG}
    if settings["labels"] is not None:
        found["labels"] = recordable(settings["labels"], "labels")
    return found


def completed_entries(
    expected: Mapping[Output, Mapping[str, Any]], files: Entry
) -> dict[Output, Entry]:
    """Complete expected entries by the facts of their run, and compute keys again."""
    entries = {output: {**entry, **files} for output, entry in expected.items()}
    for first in [*entries.values()][:1]:
        for output, key in output_keys(first, entries).items():
            entries[output]["key"] = key
    return entries


def references(unit: WorkUnit, *, expected: bool) -> Entry:
    """Build the references to all input files; what was re-used counts as made now."""
    # A file stands in several places, and in several units, and is looked at once; but
    # again after the run.
    known = unit.digests.references if expected else {}

    def refer(file: DataFile | Path) -> Entry:
        if isinstance(file, DataFile) and not file.is_made:
            return look(file)
        if id(file) not in known:
            known[id(file)] = file, look(file)
        return dict(known[id(file)][1])

    def refer_all(items: Sequence[Any], names: Sequence[str] = ()) -> list[Entry]:
        found = []
        for position, item in enumerate(items):
            name = names[position] if position < len(names) else ""
            if isinstance(item, FileSet):
                # Of a set without a name, the name of the key.
                name = Path(str(item)).name or _braced(item.by)
            of_set = {"set": name} if name else {}
            found += [{**refer(df), **of_set} for df in files_in(item)]
        return found

    def look(file: DataFile | Path) -> Entry:
        if isinstance(file, DataFile):
            return _reference(file, unit, expected=expected)
        path = absolute(file)
        found = examine(path, unit.digests)
        if expected:
            _name_damage(path, found, unit)
        return {"name": record_name(path), "digest": found.digest}

    is_python = unit.declaration.is_python
    tags = {} if is_python else {"tags": _tags(unit, refer)}
    return {
        "inputs": [
            found if is_python else {**found, "role": role}
            for role, items in unit.roles.items()
            for found in refer_all(items, unit.member_of.get(role, ()))
        ],
        "calibrations": {
            name: None
            if cal is None
            else refer_all(cal)
            if isinstance(cal, list)
            else refer_all([cal])
            if isinstance(cal, FileSet)
            else refer(cal)
            for name, cal in unit.calibrations.items()
        },
        "references": _named(unit, refer),
        **tags,
    }


def what_ran(declaration: Declaration, parameters: Mapping[str, Any]) -> Entry:
    """Identify the code: source or revision of a function, or version of a tool."""
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
    """Refer to the files that parameters name, less those that are calibrations."""
    applied = {id(df) for cal in unit.calibrations.values() for df in as_list(cal)}
    found: dict[str, Any] = {}
    for name, value in {
        **unit.counted_parameters,
        **unit.counted_tool_parameters,
    }.items():
        files = [*files_within(value)]
        of_set = {"set": Path(str(value)).name} if isinstance(value, FileSet) else {}
        references = [refer(f) | of_set for f in files if id(f) not in applied]
        if files and value is not files[0]:
            found[name] = references
        elif references:
            found[name] = references[0]
    if unit.frames:
        found["sof"] = [refer(path) for path, _ in unit.frames]
    return found


def _tags(unit: WorkUnit, refer: Callable[[DataFile | Path], Entry]) -> dict[str, Any]:
    """Refer to the files that a tool is given, by parameter or tag."""
    found: dict[str, Any] = {}
    for name, value in unit.tool_parameters.items():
        files = [*files_within(value)]
        if files:
            is_one = value is files[0]
            found[name] = refer(files[0]) if is_one else [refer(f) for f in files]
    for name, cal in unit.entries.items():
        found.setdefault(name, [refer(df) for df in as_list(cal)])
    return found


def is_as_recorded(df: DataFile, digests: DigestCache) -> bool:
    """Whether a product has the content that its record gives."""
    made = df.made_as
    return made is not None and digest(str(df), digests) == made.content


def _name_damage(
    path: str | Path, found: Examined, unit: WorkUnit, name: str | None = None
) -> None:
    """Warn of a damaged input once per call, or raise, as the configuration says."""
    if not found.damaged:
        return
    wrong = name_damage(path, found, checksums=unit.settings["checksums"])
    place = Path(name or path)
    if wrong and place not in unit.digests.named:
        unit.digests.named.add(place)
        log.warning(
            "%s: %s may be damaged, or a program that changed it left its checksums as "
            "they were: %s", unit.declaration.name, name or path, "; ".join(wrong),
        )  # fmt: skip


def _reference(df: DataFile, unit: WorkUnit, *, expected: bool) -> Entry:
    """Refer to a file by the key of its record, or by its digest if it has none."""
    name = "unnamed" if df.filename is None else record_name(str(df))
    if not df.is_made:
        return {"name": name, "key": df.record[-1]["key"]}
    key = df.unsaved_key if isinstance(df, PlainFile) else unsaved_key(df)
    if key is not None:
        return {"name": name, "key": key}
    # A file that is replaced meanwhile shows when the digests are compared.
    if not df.unchanged or df.filename is None:
        # The content in memory counts, not that on disk.
        with scratch_folder() as folder:
            path = folder / "content.fits"
            write_file(df, path, rows=[])
            found = examine(path)
            if expected:
                _name_damage(path, found, unit, name)
            return {"name": name, "digest": found.digest, "memory": True}
    place = str(df)
    found = examine(place, unit.digests)
    if expected:
        _name_damage(place, found, unit)
    if (made := df.made_as) is not None and found.digest == made.content:
        key = made.key
        if expected and df.expected_key and df.expected_key[0] == key:
            key = df.expected_key[1]
        return {"name": name, "key": key}
    return {"name": name, "digest": found.digest}


def ancestors(files: Sequence[DataFile], digests: DigestCache) -> list[Entry]:
    """
    Join the records of all input files: each entry once, oldest first.

    The longest record comes first, which files of one night share most often, so that
    their products begin alike. What tools printed is left to the products that they
    made, if these were saved.
    """
    joined: dict[tuple[str, str], Entry] = {}
    for rows in sorted((df.record for df in files), key=len, reverse=True):
        for entry in rows:
            joined.setdefault((entry["key"], entry["product"]), entry)
    return [_without_log(entry, digests) for entry in joined.values()]


def _without_log(entry: Entry, digests: DigestCache) -> Entry:
    """Leave out what a tool printed; the same object for all units of a call."""
    run = entry.get("run") or {}
    if "log" not in run or entry.get("content") is None:
        return entry
    known = digests.shortened
    if id(entry) not in known:
        short = {name: fact for name, fact in run.items() if name != "log"}
        known[id(entry)] = entry, {**entry, "run": short}
    return known[id(entry)][1]


def script_block(
    declaration: Declaration, context: Context, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Collect what a script needs to call a Python step again."""
    exact: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name, value in parameters.items():
        if isinstance(value, (Path, DataFile)):  # they are among the references
            if isinstance(value, DataFile):
                exact[name] = (
                    "PlainFile" if isinstance(value, PlainFile) else "DataFile"
                )
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
    if declaration.by is not None:
        parameter = declaration.by_parameter
        block["by"] = {declaration.by: parameter} if parameter else declaration.by
    if declaration.names:
        block["names"] = {str(o): text for o, text in declaration.names.items()}
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
    """Whether it is a plain function of a module, of which a script made a step."""
    module = sys.modules.get(getattr(func, "__module__", None) or "")
    return getattr(module, getattr(func, "__name__", ""), None) is func


def qc_and_decisions(findings: Findings, decisions: Decisions) -> Entry:
    """Serialise QC values and decisions for the record."""
    found: Entry = {}
    if findings.numbers:
        found["qc"] = {n: recordable(v, n) for n, v in findings.numbers.items()}
    if decisions.made:
        found["decisions"] = decisions.made
    return found


def run_block(
    unit: WorkUnit,
    products: Sequence[str],
    outcome: Outcome,
    findings: Findings,
    started: str,
) -> Entry:
    """
    Build the ``run`` block of an entry: what is volatile, and is never compared.

    The log of a tool and the figures of a step are kept beside the products, and the
    block says where.
    """
    side = absolute(unit.settings["outdir"]) / ".ndmapper"
    stem = next((Path(name).name for name in products), unit.declaration.name)
    facts: Entry = {
        "started": started,
        "ended": now(),
        "host": platform.node(),
        "platform": platform.platform(),
        "paths": _paths([*unit.used, *unit.named]),
        "workers": unit.settings["workers"],
        "versions": {
            "ndmapper": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "astropy": astropy.__version__,
        },
    }
    if unit.table.block and unit.table.instrument is not None:
        facts["table"] = str(absolute(unit.table.instrument.source))
    if outcome.log:
        lines = outcome.log.splitlines()
        facts["log"] = "\n".join(lines[-_LINES:])
        if len(lines) > _LINES:
            facts["log_file"] = _keep(side / "logs" / f"{stem}.log", outcome.log)
    if findings.figures:
        facts["figures"] = keep_figures(unit, products, findings)
    return facts


def keep_figures(
    unit: WorkUnit, products: Sequence[str], findings: Findings, word: str = ""
) -> list[str]:
    """Draw the figures of a step beside its products; give their names there."""
    side = absolute(unit.settings["outdir"]) / ".ndmapper"
    stem = next((Path(name).name for name in products), unit.declaration.name)
    return [
        _draw(figure, side / "figures" / f"{stem}{word}-{n}.png")
        for n, figure in enumerate(findings.figures, 1)
    ]


def _paths(files: Sequence[DataFile | Path]) -> dict[str, str | list[str]]:
    """Map file names to paths; a list where several have the same name."""
    places: dict[str, list[str]] = {}
    names = [str(file) for file in files]
    for path in dict.fromkeys(absolute(name) for name in names if name):
        places.setdefault(record_name(path), []).append(str(path))
    return {n: p[0] if len(p) == 1 else p for n, p in places.items()}


def _keep(path: Path, text: str) -> str:
    make_side_folder(path)
    path.write_text(text, encoding="utf-8", errors="replace")
    return f"{path.parent.name}/{path.name}"


def _draw(figure: Any, path: Path) -> str:
    make_side_folder(path)
    if hasattr(figure, "savefig"):
        figure.savefig(path)
    else:
        path = path.with_suffix(Path(figure).suffix)
        make_side_folder(path)
        path.write_bytes(Path(figure).read_bytes())
    return f"{path.parent.name}/{path.name}"
