"""What an engine is handed for one unit of work."""

from pathlib import Path

from ndmapper.engines import Job
from ndmapper.steps.call.naming import Targets
from ndmapper.steps.declare.tool_parameters import switch_values
from ndmapper.steps.record.entry import WorkUnit

__all__ = ["make_job"]


def make_job(
    unit: WorkUnit, targets: Targets, folder: Path | None, *, workers: int = 1
) -> Job:
    """
    Put together what an engine is handed.

    Parameters
    ----------
    unit : WorkUnit
        The unit of work.
    targets : mapping
        Output to the name of the product.
    folder : Path or None
        A folder for this work alone; None where nothing is written.
    workers : int
        How many processes the engine may use for it.

    Returns
    -------
    Job
        The job.
    """
    declaration, settings = unit.declaration, unit.settings
    if declaration.is_python:
        handed_in = {name: settings[name] for name in declaration.handed_in}
        parameters, calibrations = {**unit.parameters, **handed_in}, unit.calibrations
        if declaration.table is not None:
            parameters[declaration.table] = unit.table
    else:
        # Whoever gives a parameter itself means that. The switches are no parameters in
        # the record: two of them are its config, and interact never counts.
        parameters = {
            **switch_values(declaration.task, settings),
            **unit.tool_parameters,
        }
        calibrations = {}
    return Job(
        step=declaration.name,
        task=declaration.task,
        func=declaration.func if declaration.is_python else None,
        each=declaration.each,
        roles=unit.roles,
        calibrations=calibrations,
        parameters=parameters,
        outputs=unit.outputs,
        targets={o: Path(str(name)).name for o, name in targets.items()},
        settings=settings,
        folder=folder,
        timeout=None if settings["interact"] else settings["timeout"],
        workers=workers,
    )
