"""Hop 5, plan: units of work, their names, and whether each runs or is re-used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ndmapper.config import Settings
from ndmapper.data import DataFile
from ndmapper.engines import Preview, get_engine
from ndmapper.engines.base import Calibration
from ndmapper.errors import ParameterError
from ndmapper.io.digest import DigestCache
from ndmapper.steps.call.bind import Bound
from ndmapper.steps.call.decide import PlanItem, decide, plan_in_memory
from ndmapper.steps.call.inputs import Inputs, resolve_calibrations
from ndmapper.steps.call.naming import name_products, refuse_clashes
from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.declare.tool_parameters import tool_parameters
from ndmapper.steps.instrument_table import TableFacts, plan_facts
from ndmapper.steps.record.entry import what_ran
from ndmapper.steps.work_unit import Roles, WorkUnit

__all__ = ["Plan", "make_plan", "open_digests", "plan_units", "preview"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    What a call would do.

    Parameters
    ----------
    declaration : Declaration
        The step.
    settings : Settings
        The configuration of the call.
    items : sequence of PlanItem
        Its units of work.
    digests : DigestCache
        Digests of raw inputs that were needed to decide.
    """

    declaration: Declaration
    settings: Settings
    items: Sequence[PlanItem]
    digests: DigestCache

    @property
    def step(self) -> str:
        """The name of the step, or of all steps of a chain."""
        return self.items[0].step if self.items else self.declaration.name

    def __repr__(self) -> str:
        lines = [f"Plan of {self.step}"]
        for item in self.items:
            lines.append(str(item))
            for one in (*item.prelude, item) if item.action != "reuse" else ():
                text = preview(one).text.rstrip()
                lines += [f"        {line}" for line in text.splitlines()]
        return "\n".join(lines)


def preview(item: PlanItem) -> Preview:
    """Show exactly what the engine would do for one unit of work."""
    engine = get_engine(item.unit.declaration.task.engine)
    return engine.preview(item.unit.job(item.targets, None))


def make_plan(
    declaration: Declaration,
    bound: Bound,
    settings: Settings,
    inputs: Inputs,
    *,
    digests: DigestCache | None = None,
    preludes: Sequence[Sequence[PlanItem]] = (),
) -> Plan:
    """
    Decide what a call would do. Nothing is written.

    A dry run plans as if products were saved, since what it gives stands for them.

    Raises
    ------
    PlanError
        If products would replace one another or an input.
    OutputExistsError, PartialOutputError
        If products exist, and ``reprocess`` is None.
    ParameterError, UnknownParameterError
        If a tool says that its parameters are wrong.
    """
    if digests is None:
        digests = open_digests(settings)
    in_memory = not bound.save and not settings["dry_run"]
    items = plan_units(
        declaration, bound, settings, inputs,
        digests=digests, in_memory=in_memory, preludes=preludes,
    )  # fmt: skip
    for item in items:
        for one in (*item.prelude, item) if item.action != "reuse" else ():
            engine = get_engine(one.unit.declaration.task.engine)
            engine.check(one.unit.job(one.targets, None))
    return Plan(
        declaration=declaration, settings=settings, items=items, digests=digests
    )


def open_digests(settings: Settings) -> DigestCache:
    """Open the digests that are kept beside the products of a call."""
    return DigestCache(Path(settings["outdir"]) / ".ndmapper")


def plan_units(
    declaration: Declaration,
    bound: Bound,
    settings: Settings,
    inputs: Inputs,
    *,
    digests: DigestCache,
    in_memory: bool,
    preludes: Sequence[Sequence[PlanItem]] = (),
) -> list[PlanItem]:
    """Decide on every unit of a call, or of one step of a chain."""
    # Hop 4: calibrations.
    cals = resolve_calibrations(declaration, bound.calibrations, inputs.first)
    # Hop 5: plan.
    units = _make_units(declaration, bound, settings, inputs, cals, digests=digests)
    roles = [unit.roles for unit in units]
    targets = name_products(declaration, roles, bound.out_names, settings["outdir"])
    units = [
        replace(unit, outputs=tuple(names))
        for unit, names in zip(units, targets, strict=True)
    ]
    if not in_memory:
        before = [(one.unit, one.targets) for prelude in preludes for one in prelude]
        refuse_clashes(units, targets, before=before)
    judge = plan_in_memory if in_memory else decide
    items = [judge(unit, names) for unit, names in zip(units, targets, strict=True)]
    if not preludes:
        return items
    return [
        replace(item, prelude=tuple(prelude))
        for item, prelude in zip(items, preludes, strict=True)
    ]


def _make_units(
    declaration: Declaration,
    bound: Bound,
    settings: Settings,
    inputs: Inputs,
    calibrations: Sequence[Mapping[str, Calibration]],
    *,
    digests: DigestCache,
) -> list[WorkUnit]:
    """Sort inputs, calibrations and parameters into units: one per file, or one."""
    all_roles: list[Roles]
    if not inputs.roles:
        all_roles = [{}]
    elif declaration.each == "list":
        all_roles = [{name: list(files) for name, files in inputs.roles.items()}]
        calibrations = [_join_calibrations(declaration, inputs.first, calibrations)]
    else:
        all_roles = [
            {name: [files[i]] for name, files in inputs.roles.items()}
            for i in range(len(inputs.first))
        ]
    ran = what_ran(declaration, bound.parameters)

    def make(roles: Roles, applied: Mapping[str, Calibration]) -> WorkUnit:
        first = next((files[0] for files in roles.values()), None)
        of_tool, table = {}, TableFacts()
        if not declaration.is_python:
            of_tool = tool_parameters(
                declaration, first, applied, bound.parameters, settings
            )
        if declaration.table is not None:
            table = plan_facts(next(iter(roles.values())), bound.table)
        return WorkUnit(
            declaration=declaration,
            roles=roles,
            calibrations=applied,
            parameters=bound.parameters,
            tool_parameters=of_tool,
            table=table,
            ran=ran,
            outputs=declaration.outputs,
            settings=settings,
            digests=digests,
        )

    return [make(*pair) for pair in zip(all_roles, calibrations, strict=True)]


def _join_calibrations(
    declaration: Declaration,
    files: Sequence[DataFile],
    calibrations: Sequence[Mapping[str, Calibration]],
) -> dict[str, Calibration]:
    """Join the calibrations of a list: one file if all share it, else aligned."""
    joined: dict[str, Calibration] = {}
    for name in calibrations[0]:
        column = [cals[name] for cals in calibrations]
        absent = [df for df, cal in zip(files, column, strict=True) if cal is None]
        if len(absent) not in (0, len(column)):
            msg = (
                f"{declaration.name} works on all files together, but no {name} is "
                f"applied to {', '.join(map(str, absent))}, and one to the others; "
                f"give {name}=<file or list>, or {name}=None for all"
            )
            raise ParameterError(msg)
        if all(_is_same(cal, column[0]) for cal in column):
            joined[name] = column[0]
        else:
            joined[name] = column  # type: ignore[assignment]
    return joined


def _is_same(first: Calibration, second: Calibration) -> bool:
    """Compare by file name; one that is only in memory equals nothing but itself."""
    if first is second:
        return True
    return (
        isinstance(first, DataFile)
        and isinstance(second, DataFile)
        and first.filename is not None
        and first.filename == second.filename
        and first.unloaded == second.unloaded is True
    )
