"""The work itself: one unit, done by its engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ndmapper.data import DataFile
from ndmapper.engines import Outcome, get_engine
from ndmapper.errors import ParameterError, StepError
from ndmapper.steps.call.job import make_job
from ndmapper.steps.call.naming import Targets
from ndmapper.steps.record.entry import Work

__all__ = ["run_work", "shared_cals"]


def run_work(
    work: Work, targets: Targets, folder: Path | None, *, workers: int = 1
) -> Outcome:
    """
    Do one unit of work; nothing is published.

    Parameters
    ----------
    work : Work
        What to do.
    targets : mapping
        Output to the name that the product will have.
    folder : Path or None
        An empty folder for it.
    workers : int
        How many processes the engine may use for it.

    Returns
    -------
    Outcome
        An unsaved file for every output.

    Raises
    ------
    ParameterError
        If the step cannot go without a calibration that is not applied.
    StepError
        If a tool did not make what was declared.
    """
    declaration = work.declaration
    if _passes_through(work):
        return Outcome(products={work.outputs[0]: DataFile(data=work.inputs[0])})
    engine = get_engine(declaration.task.engine)
    outcome = engine.run(make_job(work, targets, folder, workers=workers))
    if set(outcome.products) != set(work.outputs):
        missing = sorted(map(str, set(work.outputs) - set(outcome.products)))
        msg = f"{declaration.name}: the engine {engine.name} gave no {missing}"
        raise StepError(msg)
    return outcome


def _passes_through(work: Work) -> bool:
    """
    Whether a step that only applies calibrations was told to apply none.

    A function that takes None for a calibration decides itself; one that does not
    is not called, and its product is the input, with a record that says so.
    """
    declaration = work.declaration
    refused = [
        name
        for name, cal in work.calibrations.items()
        if cal is None and not declaration.cal_parameters[name].takes_none
    ]
    if not refused or not declaration.is_python:
        return False
    if (
        len(refused) == len(declaration.cals)
        and len(declaration.outputs) == 1
        and declaration.each != "list"
    ):
        return True
    name = refused[0]
    msg = f"{declaration.name} cannot go without a {name}; give {name}=<file>"
    raise ParameterError(msg)


def shared_cals(inputs: Sequence[DataFile]) -> dict[str, Any]:
    """
    Give the calibrations that all inputs share.

    Parameters
    ----------
    inputs : sequence of DataFile
        The inputs.

    Returns
    -------
    dict of str to DataFile
        By type.
    """
    if not inputs:
        return {}
    first, *others = inputs
    return {
        name: cal
        for name, cal in first.cals.items()
        if all(df.cals.get(name) is cal for df in others)
    }
