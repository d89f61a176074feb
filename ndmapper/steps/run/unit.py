"""Hop 7, run: one unit of work, done by its engine, while its inputs stay the same."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ndmapper.data import DataFile
from ndmapper.engines import Outcome, get_engine
from ndmapper.errors import ParameterError, StepError
from ndmapper.steps.call.job import make_job
from ndmapper.steps.call.naming import Targets
from ndmapper.steps.paths import Stamp, absolute, stamp_of
from ndmapper.steps.record.entry import Entry, WorkUnit, references

__all__ = [
    "inputs_unchanged",
    "run_engine",
    "shared_cals",
]


def run_engine(
    unit: WorkUnit, targets: Targets, folder: Path | None, *, workers: int = 1
) -> Outcome:
    """
    Do one unit of work; nothing is published.

    Parameters
    ----------
    unit : WorkUnit
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
    declaration = unit.declaration
    if _passes_through(unit):
        return Outcome(products={unit.outputs[0]: DataFile(data=unit.inputs[0])})
    engine = get_engine(declaration.task.engine)
    outcome = engine.run(make_job(unit, targets, folder, workers=workers))
    if set(outcome.products) != set(unit.outputs):
        missing = sorted(map(str, set(unit.outputs) - set(outcome.products)))
        msg = f"{declaration.name}: the engine {engine.name} gave no {missing}"
        raise StepError(msg)
    return outcome


def _passes_through(unit: WorkUnit) -> bool:
    """
    Whether a step that only applies calibrations was told to apply none.

    A function that takes None for a calibration decides itself; one that does not
    is not called, and its product is the input, with a record that says so.
    """
    declaration = unit.declaration
    refused = [
        name
        for name, cal in unit.calibrations.items()
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


@contextmanager
def inputs_unchanged(unit: WorkUnit) -> Iterator[Entry]:
    """
    Refer to the files that go in, and see to it that they stay as they are.

    Parameters
    ----------
    unit : WorkUnit
        What is done while the ``with`` block lasts.

    Yields
    ------
    dict
        What `references` says of the files as they are.

    Raises
    ------
    StepError
        At the end, if a file has another content by then.
    """
    stamps = _stamps(unit)
    found = references(unit, expected=False)
    yield found
    changed = [path for path, stamp in stamps.items() if stamp_of(path) != stamp]
    if changed and references(unit, expected=False) != found:
        msg = (
            f"{unit.declaration.name}: {', '.join(map(str, changed))} was changed "
            "while the step worked, so nobody can tell which content the product is "
            "made of; nothing was saved. Run it again when the file is complete"
        )
        raise StepError(msg)


def _stamps(unit: WorkUnit) -> dict[Path, Stamp | None]:
    """Note when each file on disk was changed."""
    paths = [
        absolute(str(df))
        for df in unit.used
        if df.is_made and df.unloaded and df.filename is not None
    ]
    paths += [absolute(path) for path in unit.named if isinstance(path, Path)]
    return {path: stamp_of(path) for path in paths}
