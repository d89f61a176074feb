"""Hop 5, for one unit: whether it runs or its products are re-used, and why."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

from ndmapper.data import DataFile, FileName, FileSet
from ndmapper.data.fold_names import fold_names, list_names
from ndmapper.data.name_pattern import Key, NamePattern, in_order, key_text
from ndmapper.data.plainfile import open_file
from ndmapper.data.planned import plan_file
from ndmapper.engines.base import Output
from ndmapper.errors import (
    FormatError,
    OutputExistsError,
    PartialOutputError,
    RecordError,
)
from ndmapper.io.digest import DigestCache
from ndmapper.io.filetypes import record_name
from ndmapper.io.record import (
    cleaned_path,
    entry_key,
    pending_path,
    read_cleaned,
    read_pending,
    read_records,
)
from ndmapper.io.source import Stamp, stamp_of
from ndmapper.steps.instrument_block import tells_of_tables
from ndmapper.steps.record.decisions import decided_otherwise, word_decisions
from ndmapper.steps.record.differences import Difference, differences, in_short
from ndmapper.steps.record.entry import (
    Entry,
    ancestors,
    expected_entries,
    is_as_recorded,
    output_name,
)
from ndmapper.steps.record.equivalence import Equivalence, own_key
from ndmapper.steps.work_unit import Targets, WorkUnit
from ndmapper.terminal import one_line

__all__ = [
    "Action",
    "PlanItem",
    "decide",
    "describe_products",
    "former_members",
    "plan_in_memory",
    "refuse_unforeseen",
]

log = logging.getLogger(__name__)

Action = Literal["run", "replace", "reuse", "memory"]


@dataclass(frozen=True, kw_only=True)
class PlanItem:
    """
    The decision on one unit: run, replace, re-use, or run and keep in memory.

    Parameters
    ----------
    unit : WorkUnit
        The unit.
    targets : mapping
        The name of each product, by output.
    expected : mapping
        The record entry that each product would have if it were made now.
    action : {'run', 'replace', 'reuse', 'memory'}
        What is done; 'memory' runs, and saves nothing.
    reason : str
        Why.
    changes : tuple of str
        How products that are re-used differ from what would be made now.
    causes : tuple of str
        The same, or why products are made again, less what only follows from other
        products, in words that hold for many.
    in_short : tuple of str
        The changes, or why products are made again, many files together.
    is_kept : bool
        Whether products that differ are kept by 'auto' as well, as somebody has edited
        them, say.
    edited : tuple of str
        The products that somebody has edited, where any was.
    is_open : bool
        Whether it depends on files that are not made yet if the products are stale.
    is_named : bool
        Whether the products of outputs of any number are known, since they were made.
    found : mapping
        Output to the product that is re-used.
    prelude : tuple of PlanItem
        What is done in memory before it, in a chain of steps.
    is_handed_on : bool
        Whether its products go to the next step of a chain, whose function sees only
        copies of their images, and to nothing else.
    seen : mapping
        Output to the stamp of the file that was there, if any, so that what another
        run makes meanwhile is noticed.
    """

    unit: WorkUnit
    targets: Targets
    expected: Mapping[Output, Mapping[str, Any]]
    action: Action
    reason: str
    changes: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    in_short: tuple[str, ...] = ()
    is_kept: bool = False
    edited: tuple[str, ...] = ()
    is_open: bool = False
    is_named: bool = False
    found: Mapping[Output, DataFile] = field(default_factory=dict)
    prelude: "tuple[PlanItem, ...]" = ()
    is_handed_on: bool = False
    seen: Mapping[Output, Stamp | None] = field(default_factory=dict)

    @property
    def units(self) -> list[WorkUnit]:
        """The units of all steps of a chain; one where it is no chain."""
        return [*(item.unit for item in self.prelude), self.unit]

    @property
    def step(self) -> str:
        """The name of the step, or of all steps of a chain."""
        return "+".join(unit.declaration.name for unit in self.units)

    @property
    def sources(self) -> str:
        """The names of the inputs, as far as they fit into a line."""
        return list_names(self.input_names, self.input_names)

    @cached_property
    def input_names(self) -> dict[str, str]:
        """The names of the inputs, with the pattern of the set that each belongs to."""
        names: dict[str, str] = {}
        for item in self.units[0].items:
            # One without a pattern may be in one file, and then has its name.
            is_set = isinstance(item, FileSet) and (item.pattern or not str(item))
            members = item.names if is_set else []
            names |= dict.fromkeys(members or [str(item)], str(item) if members else "")
        return names

    @property
    def line(self) -> str:
        """The step, its inputs and its products in one line."""
        made = ", ".join(fold_names(self.products))
        line = self.step + (f": {self.sources}" if self.sources else "")
        return one_line(line + (f" -> {made}" if made else ""))

    @property
    def in_memory(self) -> bool:
        """Whether the products are not saved."""
        return self.action == "memory"

    @property
    def products(self) -> list[str]:
        """The names of the products; patterns where these are not known yet."""
        known = {output_name(output) for output in self.targets}
        is_known = self.is_named or self.action == "reuse"
        open_ = {} if is_known else self.unit.open
        unknown = [n for o, n in open_.items() if o not in known]
        return [str(name) for name in (*self.targets.values(), *unknown)]

    def __str__(self) -> str:
        made = list_names(self.products)
        why = "; ".join((self.reason, *self.changes))
        return f"{self.action:7} {self.sources} -> {made} ({why})"


def plan_in_memory(unit: WorkUnit, targets: Targets) -> PlanItem:
    """Plan a unit whose products stay in memory, so that it runs whatever is there."""
    return PlanItem(
        unit=unit,
        targets=targets,
        expected=describe_products(unit, targets),
        action="memory",
        reason="kept in memory",
    )


def describe_products(unit: WorkUnit, targets: Targets) -> dict[Output, Entry]:
    """Build the entry that each product would have if it were made now."""
    names = {output: record_name(name) for output, name in targets.items()}
    return expected_entries(unit, names)


def decide(unit: WorkUnit, targets: Targets) -> PlanItem:
    """
    Decide whether a unit runs or its products are re-used, and say why.

    Raises
    ------
    OutputExistsError, PartialOutputError
        If products exist, and ``reprocess`` is None; or what would be replaced was
        made by no step.
    """
    last = {output: _members_of_last_time(unit, output) for output in unit.open}
    targets = {**targets, **{o: n for found in last.values() for o, n in found.items()}}
    paths = {output: Path(str(name)) for output, name in targets.items()}
    seen = {output: stamp_of(path) for output, path in paths.items()}
    expected = describe_products(unit, targets)

    item = partial(_item, unit, targets, expected, seen)
    step, reprocess = unit.declaration.name, unit.settings["reprocess"]
    there = [path for path in paths.values() if path.exists()]
    cleaned = {} if reprocess not in (False, "auto") else _cleaned(paths)
    absent = [
        str(path)
        for output, path in paths.items()
        if path not in there and output not in cleaned
    ] + [
        str(unit.open[output])
        for output, found in last.items()
        if not found and str(output) not in unit.declaration.optional
    ]
    if not there and (absent or not targets):
        return item("run", "new")
    if there and reprocess in (None, "error"):
        _refuse(step, there, absent)
    if reprocess is True or absent:
        _refuse_foreign(step, there)
    if reprocess is True:
        return item("replace", "reprocess=True")
    if absent:
        names = list_names(absent)
        reason = (
            f"{names} {'are' if len(absent) > 1 else 'is'} missing beside {there[0]}"
        )
        _refuse_edited(step, there, reason, unit.digests)
        return _again(item, reason, f"not all outputs of {step} are there")
    try:
        found, changes = _compare(unit, targets, cleaned, expected)
    except _UnusableError as err:
        others = [path for path in there if path != err.path]
        _refuse_edited(step, others, str(err), unit.digests)
        return _again(item, str(err), f"outputs of {step} are damaged")
    expected = {o: _redecided(e, found[o], paths) for o, e in expected.items()}
    item = partial(_item, unit, targets, expected, seen)
    forcing = [c for c in changes if c.forces]
    is_open = bool(forcing) and all(c.is_open for c in forcing)
    # Outputs are made together, so that an edited one keeps the others as well.
    is_edited = any(c.is_edit for c in changes)
    if forcing and not there:
        reason = "it was removed, and would be another now"
        return replace(item("run", reason, changes), changes=(), is_open=is_open)
    if forcing and not is_edited and (cleaned or reprocess == "auto"):
        reason = "; ".join(dict.fromkeys(map(str, forcing)))
        return replace(item("replace", reason, changes), changes=(), is_open=is_open)
    return item("reuse", "removed by clean" if cleaned else "exists", changes, found)


def _members_of_last_time(unit: WorkUnit, output: Output) -> Targets:
    """Find the products of an output that gives any number, as they were last made."""
    pattern = NamePattern(str(unit.open[output]))
    folder = Path(pattern.text).parent
    paths = [path for _, path in pattern.files()]
    removed = NamePattern(str(cleaned_path(Path(pattern.text))))
    paths += [
        str(folder / Path(path).name.removesuffix(".json"))
        for _, path in removed.files()
    ]
    found: dict[Key, str] = {}
    for path in paths:
        if (entry := _entry_of(unit, output, Path(path))) is None:
            continue
        # Those that were made with it may be damaged or gone, and tell nothing.
        for name in (path, *entry.get("members", ())):
            # No record chooses another folder.
            member = str(folder / Path(name).name)
            if (key := pattern.match(member)) is not None:
                found[key] = member
    return {
        f"{output or ''}[{key_text(key)}]": FileName(path)
        for key, path in in_order(found).items()
    }


def _entry_of(unit: WorkUnit, output: Output, path: Path) -> Entry | None:
    """Read how a file was made, if as a member of this very set by the same unit."""
    try:
        if not path.exists():
            rows = _rows_left(path)
        elif pending_path(path).exists():
            rows = read_pending(path)
        else:
            rows = read_records(path)
    except (FormatError, RecordError):
        return None
    # What was edited since is still a member.
    entry = next((row for row in reversed(rows) if row["step"] != "edited"), None)
    pattern = Path(str(unit.sets[output])).name
    if entry is None or (entry["step"], entry.get("set")) != (
        unit.declaration.name,
        pattern,
    ):
        return None
    if entry["product"] != record_name(path):
        return None  # a copy that somebody made is none of the members
    return entry if entry.get("unit", {}) == unit.recorded_key else None


def former_members(unit: WorkUnit, targets: Targets) -> list[Path]:
    """List members of last time that are no products any more, and not edited."""
    made = {str(name) for name in targets.values()}
    former = [
        Path(str(name))
        for output in unit.open
        for name in _members_of_last_time(unit, output).values()
        if str(name) not in made
    ]
    takes_all = unit.settings["reprocess"] is True
    return [p for p in former if takes_all or not _is_edited(p, unit.digests)]


def refuse_unforeseen(unit: WorkUnit, targets: Targets) -> None:
    """
    Refuse to replace what a plan could not look at, since it did not know the names.

    Raises
    ------
    OutputExistsError
        If a product exists that must not, or that no step made, or that was edited.
    """
    step, reprocess = unit.declaration.name, unit.settings["reprocess"]
    there = [path for n in targets.values() if (path := Path(str(n))).exists()]
    if there and reprocess in (None, "error"):
        _refuse(step, there, [])
    _refuse_foreign(step, there)
    if reprocess is not True:
        _refuse_edited(step, there, "they are products now", unit.digests)


def _item(  # noqa: PLR0917  # the first four are bound
    unit: WorkUnit,
    targets: Targets,
    expected: Mapping[Output, Entry],
    seen: Mapping[Output, Stamp | None],
    action: Action,
    reason: str,
    changes: Sequence[Difference] = (),
    found: Mapping[Output, DataFile] | None = None,
) -> PlanItem:
    is_edited = any(c.is_edit for c in changes)
    if action != "reuse":
        # A record that is damaged is an error now, not when a tool has run.
        for df in unit.used:
            _ = df.record
    return PlanItem(
        unit=unit,
        targets=targets,
        expected=expected,
        action=action,
        reason=reason,
        changes=tuple(dict.fromkeys(map(str, changes))),
        causes=tuple(dict.fromkeys(c.cause for c in changes if not c.follows)),
        in_short=tuple(in_short(changes)) if changes else (),
        edited=tuple(dict.fromkeys(c.name for c in changes if c.is_edit)),
        is_kept=bool(changes) and (is_edited or not any(c.forces for c in changes)),
        found=found or {},
        seen=seen,
    )


def _again(item: Callable[..., PlanItem], reason: str, cause: str) -> PlanItem:
    """Make again what is not whole."""
    return replace(item("replace", reason, [Difference(reason, cause)]), changes=())


def _compare(
    unit: WorkUnit,
    targets: Targets,
    cleaned: Mapping[Output, Sequence[Mapping[str, Any]]],
    expected: Mapping[Output, Entry],
) -> tuple[dict[Output, DataFile], list[Difference]]:
    """Map the products that are there, or were removed, and list how they differ."""
    changes: list[Difference] = []
    found: dict[Output, DataFile] = {}
    judge = _Judge(unit, targets)
    for output, name in targets.items():
        try:
            if output in cleaned:
                rows = cleaned[output]
                # It is made only when a step that must run reads it.
                found[output] = plan_file(name, rows, {})
                changes += judge.rows(rows, expected[output])
                continue
            found[output] = product = open_file(name)
            if pending_path(Path(str(name))).exists():
                why = "was published without its record, by a run that was stopped"
                raise _UnusableError(name, why)
            differs = judge.file(product, expected[output])
            # Of outputs that are made together, only one may have been edited.
            changes += _named(differs, str(name), is_alone=len(targets) == 1)
        except RecordError as err:
            raise _UnusableError(name, f"has a damaged record ({err})") from err
        except FormatError as err:
            raise _UnusableError(name, f"is not a whole file ({err})") from err
    return found, changes


def _redecided(
    expected: Entry, product: DataFile, paths: Mapping[Output, Path]
) -> Entry:
    """Expect the decisions that a product was made with, as they are now."""
    made = product.made_as
    if made is not None and made.is_all and made.key == expected["key"]:
        return expected
    rows = product.record
    if not rows or not rows[-1].get("decisions"):
        return expected
    edited = decided_otherwise(next(iter(paths.values())), rows[-1])
    entry = {**expected, "decisions": rows[-1]["decisions"] | edited}
    return {**entry, "key": entry_key(entry)}


def _named(
    changes: Iterable[Difference], name: str, *, is_alone: bool
) -> list[Difference]:
    """Say of an edit which product it is of, in words where there are others."""
    it = "it" if is_alone else name
    return [
        replace(one, text=one.text.replace("it was", f"{it} was", 1), name=name)
        if one.is_edit
        else one
        for one in changes
    ]


def _cleaned(
    paths: Mapping[Output, Path],
) -> dict[Output, Sequence[Mapping[str, Any]]]:
    """Read the records of products that `ndmapper clean` removed."""
    absent = {output: path for output, path in paths.items() if not path.exists()}
    found = {output: _rows_left(path) for output, path in absent.items()}
    return {output: rows for output, rows in found.items() if rows}


def _rows_left(path: Path) -> Sequence[Mapping[str, Any]]:
    try:
        return read_cleaned(path)
    except RecordError as err:
        log.warning("%s; %s is made anew", err, path)
        return []


def _refuse(step: str, there: Sequence[Path], absent: Sequence[str]) -> None:
    if absent:
        msg = (
            f"{step} makes {there[0]} and {list_names(absent)} together, but only the "
            "first exists; pass reprocess=True or False to make both again"
        )
        raise PartialOutputError(msg)
    msg = (
        f"{there[0]} already exists; pass reprocess='auto' to make it again only if it "
        "would differ, reprocess=True to replace it or reprocess=False to re-use it"
    )
    raise OutputExistsError(msg)


def _refuse_foreign(step: str, there: Sequence[Path]) -> None:
    """Refuse to replace a file without a record, such as a raw frame."""
    for path in there:
        try:
            is_ours = bool(open_file(path).record) or pending_path(path).exists()
        except (FormatError, RecordError):
            continue  # a product that was cut off
        if not is_ours:
            msg = (
                f"{step} would replace {path}, which no step made, for it has no "
                "record; give another name with out_names, or delete it yourself"
            )
            raise OutputExistsError(msg)


def _refuse_edited(
    step: str, there: Sequence[Path], reason: str, digests: DigestCache
) -> None:
    """Refuse to replace an edited product when another output is made again."""
    for path in there:
        if _is_edited(path, digests):
            msg = (
                f"{step} makes {path} together with others, and would make all of "
                f"them again ({reason}), but {path} was edited; move it away to keep "
                "it, or pass reprocess=True to replace it"
            )
            raise OutputExistsError(msg)


def _is_edited(path: Path, digests: DigestCache) -> bool:
    """Whether a person changed a product; one that is damaged was not."""
    try:
        if not path.exists():
            return False
        product = open_file(path)
        rows = product.record
        if not rows or pending_path(path).exists():
            return False
        return rows[-1]["step"] == "edited" or not is_as_recorded(product, digests)
    except (FormatError, RecordError):
        return False


class _UnusableError(Exception):
    """A product that cannot be re-used, and why."""

    def __init__(self, name: FileName, why: str) -> None:
        super().__init__(f"{name} {why}")
        self.path = Path(str(name))


def _untold(block: Mapping[str, Any]) -> list[Difference]:
    """Word it that an old record does not tell what a table of the user gave."""
    if not block or block.get("origin") == "packaged":
        return []
    text = f"of an older version and does not say what {block.get('table')} gave"
    return [Difference(f"its record is {text}", f"it is {text}", forces=False)]


def _as_run(expected: Mapping[str, Any], recorded: Mapping[str, Any] | None) -> Entry:
    """
    Add to what was not made yet what only a run knows, as it was in the last one.

    What the user decided, or did in a tool by hand, stands until it must be done again.
    """
    if recorded is None or expected.get("content") is not None:
        return dict(expected)
    facts = {n: recorded[n] for n in ("decisions", "interactive") if n in recorded}
    return {**facts, **expected}


class _Judge:
    """Compares the products of a unit with what would be made of it now."""

    def __init__(self, unit: WorkUnit, targets: Targets) -> None:
        self._work = unit
        self._first = Path(str(next(iter(targets.values()))))
        """The product by whose name decisions are kept."""

    @cached_property
    def _given(self) -> list[dict[str, Any]]:
        """The records of all input files; read only where something differs."""
        return ancestors(self._work.used, self._work.digests)

    def file(self, product: DataFile, expected: Mapping[str, Any]) -> list[Difference]:
        """List how an existing product differs from what would be made now."""
        made = product.made_as
        if made is None:
            text = "it has no record, so nobody knows how it was made"
            return [Difference(text, "they have no record", forces=False)]
        if not is_as_recorded(product, self._work.digests):
            text = "it was changed by hand or by another program"
            return [Difference(text, "they were edited", forces=False, is_edit=True)]
        if made.is_all and made.key == expected["key"]:
            return []
        rows = product.record
        return self.rows(rows, expected) + self._decided_otherwise(rows)

    def _decided_otherwise(self, rows: Sequence[Mapping[str, Any]]) -> list[Difference]:
        """List decisions that were edited, also those on products in memory."""
        places = {id(rows[-1]): self._first}
        if any(row.get("decisions") for row in rows[:-1] if row["content"] is None):
            own = {row["product"] for row in self._given if "content" not in row}
            places |= {
                id(row): self._first.parent / row["product"]
                for row in rows[:-1]
                if row["product"] in own
            }
        return [
            Difference(text, f"{row['step']}: {text}")
            for row in rows
            if id(row) in places
            for text in word_decisions(row, decided_otherwise(places[id(row)], row))
        ]

    def rows(
        self, rows: Sequence[Mapping[str, Any]], expected: Mapping[str, Any]
    ) -> list[Difference]:
        """List how a record differs from the one that would be written now."""
        recorded = rows[-1]
        if recorded["key"] != expected["key"]:
            expected = _as_run(expected, recorded)
            expected = {**expected, "key": entry_key(expected)}
        untold: list[Difference] = []
        if not tells_of_tables(recorded) and "instrument" in expected:
            untold = _untold(expected["instrument"])
            expected = {n: v for n, v in expected.items() if n != "instrument"}
            expected = {**expected, "key": entry_key(expected)}
        return self._since(rows, expected) or untold

    def _since(
        self, rows: Sequence[Mapping[str, Any]], expected: Mapping[str, Any]
    ) -> list[Difference]:
        recorded = rows[-1]
        if recorded["key"] == expected["key"]:
            return []
        if expected["tool"]["version"] is None and "task" in expected:
            # The tool is not installed here, so its version cannot tell anything.
            expected = {**expected, "tool": recorded["tool"]}
        code_forces = self._work.settings["code"] == "make"
        was = {row["product"]: row for row in rows[:-1]}
        given = [_as_run(row, was.get(row["product"])) for row in self._given]
        same = Equivalence.of(rows, expected, given)
        found = [
            Difference(text, text, forces=code_forces)
            for text in (f"the code of {step} has changed" for step in same.recoded)
        ]
        if not found and same.waiting:
            names = list(dict.fromkeys(same.waiting))
            any_of = "any of " if len(names) > 1 else ""
            text = f"if {any_of}{list_names(names)} comes out otherwise"
            found = [Difference(text, text, follows=True, is_open=True)]
        if own_key(recorded) == own_key(same.expected):
            return found
        stale = {df.expected_key[1] for df in self._work.used if df.expected_key}
        planned = {row["key"] for row in self._given if row.get("content", 0) is None}
        found = differences(
            recorded,
            same.expected,
            stale=stale | planned,
            code_forces=code_forces,
        )
        return self._traced(rows, found) or [
            Difference("its inputs have changed", "their inputs have changed")
        ]

    def _traced(
        self, rows: Sequence[Mapping[str, Any]], found: Sequence[Difference]
    ) -> list[Difference]:
        """Replace "input differs" by its reason where the input is only in memory."""
        was = {str(row["product"]): row for row in rows[:-1]}
        traced: list[Difference] = []
        for one in found:
            inner = [
                row
                for row in self._given
                if "content" not in row
                and row["product"] in was
                and one.text == f"input {row['product']} differs"
            ]
            if inner:
                before = [*rows[: rows.index(was[inner[-1]["product"]]) + 1]]
                traced += self.rows(before, inner[-1]) or [one]
            else:
                traced.append(one)
        return traced
