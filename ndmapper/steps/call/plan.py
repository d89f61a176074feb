"""Fifth hop: decide what would be done, and why, before anything is touched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ndmapper.config import Settings
from ndmapper.engines import Preview, get_engine
from ndmapper.engines.base import Calibration
from ndmapper.io.digest import DigestCache
from ndmapper.steps.call.bind import Bound
from ndmapper.steps.call.decide import PlanItem, decide
from ndmapper.steps.call.inputs import Inputs
from ndmapper.steps.call.job import make_job
from ndmapper.steps.call.naming import name_products, refuse_clashes
from ndmapper.steps.call.units import make_units
from ndmapper.steps.declare.declaration import Declaration

__all__ = ["Plan", "make_plan", "preview"]


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
    """
    Say exactly what one unit of work would do.

    Parameters
    ----------
    item : PlanItem
        The unit.

    Returns
    -------
    Preview
        For a person, and as lines of a script.
    """
    engine = get_engine(item.unit.declaration.task.engine)
    return engine.preview(make_job(item.unit, item.targets, None))


def make_plan(
    declaration: Declaration,
    bound: Bound,
    settings: Settings,
    inputs: Inputs,
    calibrations: Sequence[Mapping[str, Calibration]],
    *,
    digests: DigestCache | None = None,
    before: Sequence[PlanItem] = (),
) -> Plan:
    """
    Decide what a call would do. Nothing is written.

    Parameters
    ----------
    declaration : Declaration
        The step.
    bound : Bound
        The words of the call.
    settings : Settings
        Its configuration.
    inputs : Inputs
        Its inputs.
    calibrations : sequence of mapping
        The calibrations of each file of the first input.
    digests : DigestCache, optional
        Digests that are known already; by default those of the folder of products.
    before : sequence of PlanItem
        What a chain does in memory before.

    Returns
    -------
    Plan
        The decisions.

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
        digests = DigestCache(Path(settings["outdir"]) / ".ndmapper")
    units = make_units(
        declaration, bound, settings, inputs, calibrations, digests=digests
    )
    all_roles = [unit.roles for unit in units]
    targets = name_products(declaration, all_roles, bound.out_names, settings["outdir"])
    units = [
        replace(unit, outputs=tuple(names))
        for unit, names in zip(units, targets, strict=True)
    ]
    refuse_clashes(
        units, targets, before=[(item.unit, item.targets) for item in before]
    )
    items = [decide(unit, names) for unit, names in zip(units, targets, strict=True)]
    engine = get_engine(declaration.task.engine)
    for item in items:
        if item.action != "reuse":
            engine.check(make_job(item.unit, item.targets, None))
    return Plan(
        declaration=declaration, settings=settings, items=items, digests=digests
    )
