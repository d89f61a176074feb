"""A step called with NDData: its engine runs, and no file is read or written."""

from collections.abc import Sequence
from typing import Any

from astropy.nddata import NDData

from ndmapper.config import Settings
from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.engines.base import Output
from ndmapper.errors import ParameterError
from ndmapper.io.digest import DigestCache
from ndmapper.steps.call.bind import Bound
from ndmapper.steps.call.inputs import resolve_calibrations
from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.instrument_table import table_facts
from ndmapper.steps.run.unit import run_engine
from ndmapper.steps.work_unit import WorkUnit

__all__ = ["run_on_nddata"]


def run_on_nddata(
    declaration: Declaration, ndd: NDData, bound: Bound, settings: Settings
) -> Any:
    """
    Run a step on NDData; several outputs come back by name.

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
    # As an unnamed file, so that pixels and files go the same way.
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
