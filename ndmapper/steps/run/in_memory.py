"""Steps whose products stay in memory."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from astropy.nddata import NDData

from ndmapper.config import Settings
from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.data.saving.unsaved import attach_record
from ndmapper.engines.base import Output
from ndmapper.engines.quality import collect_findings
from ndmapper.errors import ParameterError
from ndmapper.io.digest import DigestCache
from ndmapper.io.temporary import scratch_folder
from ndmapper.log import FILE_ONLY
from ndmapper.steps.call.bind import Bound
from ndmapper.steps.call.calibrations import resolve_calibrations
from ndmapper.steps.call.decide import PlanItem
from ndmapper.steps.call.inputs import Inputs, coerce_roles
from ndmapper.steps.call.instrument_table import table_facts
from ndmapper.steps.call.naming import Targets, name_products
from ndmapper.steps.call.units import make_units
from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.record.entry import WorkUnit, ancestors, as_made, describe
from ndmapper.steps.record.event_log import now
from ndmapper.steps.record.summary import summary
from ndmapper.steps.results import Failure, Products, Result
from ndmapper.steps.run.facts import (
    qc_and_decisions,
    recorded_decisions,
    run_block,
    save_decisions,
)
from ndmapper.steps.run.unit import inputs_unchanged, run_engine, shared_cals

log = logging.getLogger(__name__)

__all__ = ["in_memory", "memory_item", "run_unsaved", "unsaved"]


def unsaved(
    declaration: Declaration, inputs: Any, bound: Bound, settings: Settings
) -> tuple[Inputs, list[Result]]:
    """
    Do the work of a call, and keep the products in memory.

    Parameters
    ----------
    declaration : Declaration
        The step.
    inputs : object
        What to work on.
    bound : Bound
        The words of the call.
    settings : Settings
        Its configuration.

    Returns
    -------
    inputs : Inputs
        The inputs as files.
    results : list of dict
        Output to a file that has its name and its record, and is not saved.
    """
    given = coerce_roles(declaration, inputs, bound.inputs)
    cals = resolve_calibrations(declaration, bound.calibrations, given.first)
    digests = DigestCache(Path(settings["outdir"]) / ".ndmapper")
    units = make_units(declaration, bound, settings, given, cals, digests=digests)
    all_roles = [unit.roles for unit in units]
    targets = name_products(declaration, all_roles, bound.out_names, settings["outdir"])
    results: list[Result] = []
    for unit, names in zip(units, targets, strict=True):
        try:
            results.append(run_unsaved(memory_item(unit, names)))
        except Exception as err:
            if settings["on_error"] != "continue":
                raise
            log.error("%s", err)
            summary.add(failed=[str(name) for name in names.values()])
            results.append(Failure(str(err) or type(err).__name__))
    digests.save()
    return given, results


def memory_item(unit: WorkUnit, targets: Targets) -> PlanItem:
    """
    Plan one unit of work whose products stay in memory.

    Parameters
    ----------
    unit : WorkUnit
        The unit.
    targets : mapping
        Output to the name that the product takes.

    Returns
    -------
    PlanItem
        The plan.
    """
    unit = replace(unit, outputs=tuple(targets))
    return PlanItem(
        unit=unit,
        targets=targets,
        expected={
            output: describe(unit, output, Path(str(name)).name)
            for output, name in targets.items()
        },
        action="memory",
        reason="kept in memory",
    )


def run_unsaved(item: PlanItem) -> Products:
    """
    Do one unit of work in memory.

    Parameters
    ----------
    item : PlanItem
        The unit.

    Returns
    -------
    dict
        Output to a file that has its name and its record, and is not saved.
    """
    started, unit = now(), item.unit
    with (
        scratch_folder() as folder,
        collect_findings() as findings,
        recorded_decisions(item) as decisions,
    ):
        with inputs_unchanged(unit) as files:
            outcome = run_engine(unit, item.targets, folder)
        for warning in outcome.warnings:
            log.warning("%s: %s: %s", unit.declaration.name, item.sources, warning)
        if outcome.log:
            log.info("%s", outcome.log.rstrip(), extra=FILE_ONLY)
        facts = qc_and_decisions(findings, decisions)
        facts["run"] = run_block(item, outcome, findings, started)
        save_decisions(item, decisions)
        before = ancestors(unit.used)
        products: Products = {}
        for output, product in outcome.products.items():
            made = DataFile(data=product)
            if not unit.declaration.is_python:
                _load(made)  # the folder with its file goes
            made.filename = item.targets[output]
            made.cals.update(shared_cals(unit.inputs))
            entry = as_made(item.expected[output], files) | facts
            attach_record(made, [*before, entry])
            products[output] = made
    return products


def _load(df: DataFile) -> None:
    """Read everything of a file that is about to vanish."""
    for index, ndd in enumerate([*df]):
        df[index] = ndd.replace(
            data=ndd.data.copy(),
            variance=None if ndd.variance is None else ndd.variance.copy(),
            flags=None if ndd.flags is None else ndd.flags.copy(),
        )
    for name in list(df.tables):
        df.tables[name] = df.tables[name].copy()
    for name, image in list(df.extras.items()):
        df.extras[name] = image.replace(data=image.data.copy())


def in_memory(
    declaration: Declaration, ndd: NDData, bound: Bound, settings: Settings
) -> Any:
    """
    Do the work of a call with NDData, which touches no file.

    Parameters
    ----------
    declaration : Declaration
        The step.
    ndd : NDData
        What to work on.
    bound : Bound
        The words of the call.
    settings : Settings
        Its configuration.

    Returns
    -------
    NDLater or dict
        The result, or for several outputs those by name.

    Raises
    ------
    ParameterError
        If the step does not work on extensions, or names of files are given.
    """
    if declaration.each != "ndd":
        msg = (
            f"{declaration.name} works on a whole {declaration.each}, not on NDData; "
            "give it files"
        )
        raise ParameterError(msg)
    if bound.out_names is not None:
        msg = f"{declaration.name} writes no file for NDData in memory; leave out_names"
        raise ParameterError(msg)
    # As an unnamed file, so that memory and files go the same way.
    item = ndd if isinstance(ndd, NDLater) else NDLater(ndd)
    file = _as_file(item)
    given = {
        name: _as_file(value) if isinstance(value, NDData) else value
        for name, value in bound.calibrations.items()
    }
    (cals,) = resolve_calibrations(declaration, given, DataFileList(data=[file]))
    unit = WorkUnit(
        declaration=declaration,
        roles={declaration.task.inputs[0]: (file,)},
        calibrations=cals,
        parameters=bound.parameters,
        table=table_facts(item, bound.table),
        outputs=declaration.outputs,
        settings=settings,
        digests=DigestCache(settings["outdir"]),
    )
    products = run_engine(unit, {}, None).products
    results = {output: df[0] for output, df in products.items()}
    for result in results.values():
        result.ident = item.ident
    outputs: Sequence[Output] = declaration.outputs
    return results if len(outputs) > 1 else results[outputs[0]]


def _as_file(ndd: NDData) -> DataFile:
    """Hold NDData like a file of one extension, with the header of its own file."""
    item = ndd if isinstance(ndd, NDLater) else NDLater(ndd)
    return DataFile(data=[item], meta=item.primary_meta)
