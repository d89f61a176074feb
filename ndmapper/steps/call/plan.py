"""Hop 5, plan: units of work, their names, and whether each runs or is re-used."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from ndmapper.config import Settings
from ndmapper.data import FileName, FileSet
from ndmapper.data.fileset import files_in
from ndmapper.data.name_pattern import NamePattern
from ndmapper.engines import Preview, get_engine
from ndmapper.engines.base import Output
from ndmapper.errors import ParameterError, PlanError
from ndmapper.io.digest import DigestCache
from ndmapper.steps.call.bind import Bound
from ndmapper.steps.call.decide import PlanItem, decide, plan_in_memory
from ndmapper.steps.call.inputs import Inputs, resolve_calibrations
from ndmapper.steps.call.naming import name_products, refuse_clashes, spread
from ndmapper.steps.call.split import Part, split
from ndmapper.steps.call.tags import resolve_tags
from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.declare.tool_parameters import tool_parameters
from ndmapper.steps.instrument_table import (
    TableFacts,
    parameters_of_instrument,
    plan_facts,
)
from ndmapper.steps.record.entry import what_ran
from ndmapper.steps.work_unit import Roles, Targets, WorkUnit

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
    items : list of PlanItem
        Its units of work.
    digests : DigestCache
        Digests of raw inputs that were needed to decide.
    """

    declaration: Declaration
    settings: Settings
    items: list[PlanItem]
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
    if bound.by:
        by, parameter = bound.by
        declaration = replace(declaration, by=by, by_parameter=parameter)
    # Hop 4: calibrations.
    cals = resolve_calibrations(declaration, bound.calibrations, inputs.first)
    # Hop 5: plan.
    parts = split(declaration, inputs, cals, settings)
    units, targets = _make_units(declaration, bound, settings, parts, digests=digests)
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
    parts: Sequence[Part],
    *,
    digests: DigestCache,
) -> tuple[list[WorkUnit], list[Targets]]:
    """Make the unit of each part of a call, and name its products."""
    resolved = [
        (declaration, part.roles)
        if declaration.is_python
        else resolve_tags(declaration, part.roles)
        for part in parts
    ]
    names = _name_groups(parts, resolved, bound, settings)
    ran = what_ran(declaration, bound.parameters)
    units: list[WorkUnit] = []
    targets: list[Targets] = []
    for part, (declared, roles) in zip(parts, resolved, strict=True):
        closed, open_, sets = spread(names[part.group], part.key, _pattern_of(part))
        _refuse_marks(declared, closed)
        if sets:
            _refuse_braces(declared, str(settings["outdir"]))
        first = next(
            (df for items in roles.values() for df in files_in(items[0])), None
        )
        of_tool, table = {}, TableFacts()
        parameters = {**bound.parameters, **_key_given(declared, bound, part)}
        parameters |= parameters_of_instrument(
            declared.parameters, parameters, declared.name, first, bound.table
        )
        if not declared.is_python:
            of_tool = tool_parameters(
                declared, first, part.calibrations, parameters, settings
            )
            if part.parameter is not None:
                (key,) = part.key.values()
                if (said := of_tool.setdefault(part.parameter, key)) != key:
                    _refuse_parameter(declared, part, said)
        if declared.table is not None:
            files = [df for item in next(iter(roles.values())) for df in files_in(item)]
            table = plan_facts(files, bound.table)
        units.append(
            WorkUnit(
                declaration=declared,
                roles=roles,
                calibrations=part.calibrations,
                parameters=parameters,
                tool_parameters=of_tool,
                table=table,
                ran=ran,
                outputs=(*closed, *open_),
                open=open_,
                sets=sets,
                group=part.group,
                key=part.key,
                member_of=part.member_of,
                parameter=part.parameter,
                cals=part.cals,
                own_cals=part.own_cals,
                lost=part.lost,
                settings=settings,
                digests=digests,
            )
        )
        targets.append(closed)
    return units, targets


def _pattern_of(part: Part) -> NamePattern | None:
    """Give the pattern of the first set that a part was taken out of."""
    items = (item for role in part.whole.values() for item in role)
    return next((i.pattern for i in items if isinstance(i, FileSet)), None)


def _key_given(declared: Declaration, bound: Bound, part: Part) -> dict[str, Any]:
    """Give the key of a unit as a parameter, where the function has such a one."""
    if part.parameter is None or part.parameter not in bound.parameters:
        return {}
    if part.parameter in bound.given:
        _refuse_parameter(declared, part, bound.parameters[part.parameter])
    (key,) = part.key.values()
    return {part.parameter: key}


def _refuse_parameter(declared: Declaration, part: Part, said: Any) -> NoReturn:
    (by,) = part.key
    msg = (
        f"{declared.name} is called once for each {by}, and gives its {part.parameter} "
        f"itself, but {part.parameter}={said!r} was given; leave it out, or give only "
        f"the members that are wanted, as in FileSet(..., keys=[{said!r}])"
    )
    raise ParameterError(msg)


def _refuse_marks(declared: Declaration, closed: Targets) -> None:
    """Refuse an output that may be absent, and has one name that is known before."""
    for output in closed:
        if output in declared.optional:
            msg = (
                f"{declared.name}: the output '{output}?' is marked as one that may be "
                f"absent, but {closed[output]} is the name of one product; the mark is "
                "for names with a key that is known when they are made"
            )
            raise PlanError(msg)


def _refuse_braces(declared: Declaration, outdir: str) -> None:
    """Refuse a folder with braces for sets, whose names have the key in such."""
    if re.search(r"\{[^{}]*\}", outdir):
        msg = (
            f"{declared.name} makes a set of files, whose name has the key in braces, "
            f"so it cannot be in the folder {outdir}; choose another with outdir"
        )
        raise PlanError(msg)


def _name_groups(
    parts: Sequence[Part],
    resolved: Sequence[tuple[Declaration, Roles]],
    bound: Bound,
    settings: Settings,
) -> dict[int, dict[Output, FileName]]:
    """Name the products of each input; a set by a pattern, for all its units."""
    firsts: dict[int, tuple[Declaration, Roles]] = {}
    for part, (declared, _) in zip(parts, resolved, strict=True):
        if part.group not in firsts:
            firsts[part.group] = (declared, part.whole)
    named: dict[int, dict[Output, FileName]] = {}
    declarations = [declared for declared, _ in firsts.values()]
    all_roles = [roles for _, roles in firsts.values()]
    if all(one is declarations[0] or one == declarations[0] for one in declarations):
        found = name_products(
            declarations[0], all_roles, bound.out_names, settings["outdir"]
        )
        return dict(zip(firsts, found, strict=True))
    for group, (declared, roles) in firsts.items():
        (named[group],) = name_products(
            declared, [roles], bound.out_names, settings["outdir"]
        )
    return named
