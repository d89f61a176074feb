"""Several steps as one: file by file in memory, of which only the last is published."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from astropy.nddata import NDData

from ndmapper.data import DataFile, DataFileList, FileSet
from ndmapper.data.planned import PlannedFile, plan_file
from ndmapper.errors import (
    DeclarationError,
    ParameterError,
    PlanError,
    UnknownParameterError,
    did_you_mean,
)
from ndmapper.steps.call.bind import Bound, bind, freeze_settings
from ndmapper.steps.call.decide import PlanItem
from ndmapper.steps.call.inputs import Inputs, coerce_roles
from ndmapper.steps.call.plan import Plan, make_plan, open_digests, plan_units
from ndmapper.steps.declare.declaration import CONFIG_WORDS, Declaration
from ndmapper.steps.record.entry import ancestors
from ndmapper.steps.run.execute import gather, shape_results
from ndmapper.steps.run.unit import Result
from ndmapper.steps.step import Step, run_planned

__all__ = ["Chain", "chain"]


def chain(*steps: Step) -> "Chain":
    """
    Make one step of several.

    It takes the same inputs as the first. Each file goes through all steps in memory,
    and only what the last one makes is published; its record tells of all of them.

    Parameters
    ----------
    *steps : Step
        Two steps or more that work file by file and, but for the last, have one
        output each.

    Returns
    -------
    Chain
        Call it like a step. Parameters and calibrations go to the steps that have
        them; a parameter that several steps have is given by the name of the step:
        ``chain(trim, fit)(files, fit={'order': 3})``.

    Raises
    ------
    DeclarationError
        If the steps cannot be chained.

    Examples
    --------
    >>> reduce = chain(subtract_overscan, trim, subtract_bias)  # doctest: +SKIP
    >>> science = reduce("raw/*.fits", bias="bias.fits")  # doctest: +SKIP
    """
    return Chain(steps)


class Chain:
    """
    What `chain` makes of steps.

    Parameters
    ----------
    steps : tuple of Step
        The steps.
    """

    def __init__(self, steps: tuple[Step, ...]) -> None:
        if len(steps) < 2 or not all(isinstance(step, Step) for step in steps):
            msg = "chain takes two steps or more, as run_task makes them"
            raise DeclarationError(msg)
        for step in steps:
            if step.declaration.each == "list":
                msg = f"{step.name} takes a list of files, and a chain works on one"
                raise DeclarationError(msg)
            if step is not steps[-1] and len(step.declaration.outputs) != 1:
                msg = (
                    f"{step.name} has {len(step.declaration.outputs)} outputs; only "
                    "the last step of a chain may have several"
                )
                raise DeclarationError(msg)
        if len({step.name for step in steps}) < len(steps):
            msg = "a chain has each step once, so that parameters can be given by name"
            raise DeclarationError(msg)
        self.steps = steps

    @property
    def name(self) -> str:
        """The names of the steps."""
        return "+".join(step.name for step in self.steps)

    def __repr__(self) -> str:
        return f"<chain {' -> '.join(step.name for step in self.steps)}>"

    def __call__(self, inputs: Any, /, **keywords: Any) -> Any:
        """
        Run all steps.

        Parameters
        ----------
        inputs : str, Path, FileName, DataFile, list of those or NDData
            As the first step takes them.
        **keywords : object
            Parameters, calibrations and words of the framework.

        Returns
        -------
        DataFile, DataFileList, NDLater or dict
            What the last step gives.
        """
        declarations, bounds = self._bound(keywords)
        if isinstance(inputs, NDData):
            result: Any = inputs
            for step, words in zip(self.steps, self._routed(keywords), strict=True):
                result = step(result, **words)
            return result
        last = declarations[-1]
        settings = freeze_settings(last, bounds[-1])
        given, results = run_planned(
            last, settings, lambda: self._planned(declarations, bounds, inputs)
        )
        return shape_results(last, given, results)

    def plan(self, inputs: Any, /, **keywords: Any) -> Plan:
        """
        Decide what a call would do, without doing it.

        Parameters
        ----------
        inputs : object
            As in a call.
        **keywords : object
            As in a call.

        Returns
        -------
        Plan
            That of the last step.
        """
        return self._planned(*self._bound(keywords), inputs)[1]

    def _bound(
        self, keywords: Mapping[str, Any]
    ) -> tuple[list[Declaration], list[Bound]]:
        routed = self._routed(keywords)
        declarations = [
            step.chosen(given.get("engine"))
            for step, given in zip(self.steps, routed, strict=True)
        ]
        return declarations, [
            bind(declaration, given)
            for declaration, given in zip(declarations, routed, strict=True)
        ]

    def _routed(self, keywords: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Sort the keywords of a call by the step that takes them."""
        routed: list[dict[str, Any]] = [{} for _ in self.steps]
        own = [
            {
                *s.declaration.parameters,
                *s.declaration.cals,
                *s.declaration.more_inputs,
                *filter(None, [s.declaration.table]),
            }
            for s in self.steps
        ]
        last = {"out_names", "save", *filter(None, self.steps[-1].declaration.outputs)}
        names = {step.name: position for position, step in enumerate(self.steps)}
        for name, value in keywords.items():
            takers = [i for i, known in enumerate(own) if name in known]
            if name == "engine" and value is not None:
                takers = [i for i, s in enumerate(self.steps) if s.has_engine(value)]
                if not takers:
                    known = {e for step in self.steps for e in step.engines}
                    hint = did_you_mean(value, known)
                    msg = f"no step of {self.name} has an engine {value!r}{hint}"
                    raise ParameterError(msg)
            elif name in CONFIG_WORDS or (name == "by" and not takers):
                takers = list(range(len(self.steps)))
            elif name in names and isinstance(value, Mapping):
                routed[names[name]].update(value)
                continue
            elif name in last:
                takers = [len(self.steps) - 1]
            if not takers:
                hint = did_you_mean(name, set().union(*own, last, CONFIG_WORDS))
                msg = f"no step of {self.name} has a parameter {name!r}{hint}"
                raise UnknownParameterError(msg)
            parameters = [
                i for i in takers if name in self.steps[i].declaration.parameters
            ]
            if len(parameters) > 1:
                both = " and ".join(self.steps[i].name for i in parameters)
                first = self.steps[parameters[0]].name
                msg = (
                    f"{both} have a parameter {name!r}; say whose it is: "
                    f"{first}={{{name!r}: {value!r}}}"
                )
                raise ParameterError(msg)
            for i in takers:
                routed[i][name] = value
        return routed

    def _planned(
        self, declarations: list[Declaration], bounds: list[Bound], inputs: Any
    ) -> tuple[Inputs, Plan]:
        given = coerce_roles(declarations[0], inputs, bounds[0].inputs)
        last, bound = declarations[-1], bounds[-1]
        settings = freeze_settings(last, bound)
        # One for all steps, so that those of the raw files are kept with the others.
        digests = open_digests(settings)
        preludes: list[list[PlanItem]] = []
        current = given
        for position, following in enumerate(declarations[1:]):
            declaration, own = declarations[position], bounds[position]
            items = plan_units(
                declaration, own, freeze_settings(declaration, own), current,
                digests=digests, in_memory=True,
            )  # fmt: skip
            if any(item.unit.open for item in items):
                msg = (
                    f"{self.name}: how many products {declaration.name} makes is only "
                    "known when it has; it can be the last step of a chain"
                )
                raise PlanError(msg)
            preludes = preludes or [[] for _ in items]
            if len(preludes) != len(items):
                msg = (
                    f"{self.name}: {declaration.name} works on {len(items)} parts, and "
                    f"the step before it on {len(preludes)}; a chain splits its input "
                    "once"
                )
                raise PlanError(msg)
            # A function of files could save or hand on its input, changed or not.
            sees_images = following.is_python and following.each == "ndd"
            for prelude, item in zip(preludes, items, strict=True):
                prelude.append(replace(item, is_handed_on=sees_images))
            files = DataFileList(data=_stand_ins(items))
            current = coerce_roles(following, files, bounds[position + 1].inputs)
        plan = make_plan(
            last, bound, settings, current, digests=digests, preludes=preludes
        )
        return given, plan


def _stand_ins(items: Sequence[PlanItem]) -> list[DataFile | FileSet]:
    """Plan the products of a step before the last, which are never saved."""
    results: list[Result] = [
        {output: _stand_in(item) for output in item.targets} for item in items
    ]
    return [
        product
        for result in gather(items, results)
        if isinstance(result, dict)
        for product in result.values()
    ]


def _stand_in(item: PlanItem) -> PlannedFile:
    unit = item.unit
    ((output, name),) = item.targets.items()
    rows = [*ancestors(unit.used, unit.digests), item.expected[output]]
    return plan_file(name, rows, unit.own_cals, like=unit.inputs[0])
