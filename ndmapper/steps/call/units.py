"""Inputs, calibrations and parameters, sorted into units of work."""

from collections.abc import Mapping, Sequence

from ndmapper.config import Settings
from ndmapper.data import DataFile
from ndmapper.engines.base import Calibration
from ndmapper.errors import ParameterError
from ndmapper.io.digest import DigestCache
from ndmapper.steps.call.bind import Bound
from ndmapper.steps.call.inputs import Inputs
from ndmapper.steps.call.instrument_table import TableFacts, plan_facts
from ndmapper.steps.call.naming import Roles
from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.declare.tool_parameters import tool_parameters
from ndmapper.steps.record.entry import WorkUnit, what_ran

__all__ = ["make_units"]


def make_units(
    declaration: Declaration,
    bound: Bound,
    settings: Settings,
    inputs: Inputs,
    calibrations: Sequence[Mapping[str, Calibration]],
    *,
    digests: DigestCache,
) -> list[WorkUnit]:
    """
    Sort inputs, calibrations and parameters into units of work.

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
    digests : DigestCache
        Digests that are known already.

    Returns
    -------
    list of WorkUnit
        One for each file, or one for all.
    """
    all_roles: list[Roles]
    cals: list[Mapping[str, Calibration]]
    if not inputs.roles:
        all_roles, cals = [{}], list(calibrations)
    elif declaration.each == "list":
        all_roles = [{name: list(files) for name, files in inputs.roles.items()}]
        cals = [_joined(declaration, inputs.first, calibrations)]
    else:
        count = len(inputs.first)
        all_roles = [
            {n: [files[i]] for n, files in inputs.roles.items()} for i in range(count)
        ]
        cals = list(calibrations)
    units = []
    ran = what_ran(declaration, bound.parameters)
    for roles, applied in zip(all_roles, cals, strict=True):
        given = (
            {}
            if declaration.is_python
            else tool_parameters(
                declaration,
                next((files[0] for files in roles.values()), None),
                applied,
                bound.parameters,
                settings,
            )
        )
        units.append(
            WorkUnit(
                declaration=declaration,
                roles=roles,
                calibrations=applied,
                parameters=bound.parameters,
                tool_parameters=given,
                table=TableFacts()
                if declaration.table is None
                else plan_facts(next(iter(roles.values())), bound.table),
                ran=ran,
                outputs=declaration.outputs,
                settings=settings,
                digests=digests,
            )
        )
    return units


def _joined(
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
    """Whether two calibrations are one file; what is only in memory is another."""
    if first is second:
        return True
    return (
        isinstance(first, DataFile)
        and isinstance(second, DataFile)
        and first.filename is not None
        and first.filename == second.filename
        and first.unloaded == second.unloaded is True
    )
