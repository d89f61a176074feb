"""The second half of a call: stage, run, collect, record, publish, map."""

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ndmapper.data import DataFile, FileName
from ndmapper.data.save import write_datafile
from ndmapper.engines import Job, get_engine
from ndmapper.engines.base import Output
from ndmapper.errors import FileAccessError, ParameterError
from ndmapper.io.digest import digest
from ndmapper.io.record import canonical, encode, side_path
from ndmapper.io.write import publish, staging_name
from ndmapper.parallel import progress
from ndmapper.steps.entry import ancestors, describe, run_block
from ndmapper.steps.naming import absolute
from ndmapper.steps.plan import Plan, PlanItem
from ndmapper.steps.stage import stage
from ndmapper.steps.tally import tally

__all__ = ["execute"]

log = logging.getLogger("ndmapper.steps")

Results = dict[Output, DataFile]


def execute(plan: Plan) -> list[Results]:
    """
    Do what a plan says.

    Parameters
    ----------
    plan : Plan
        The decisions.

    Returns
    -------
    list of dict
        Output to product, lazily mapped from disk, for each unit of the plan.
    """
    step = plan.declaration.name
    log.debug("START %s", step)
    results = [_do(plan, item) for item in progress(plan.items, step)]
    made, reused, differing = [], [], []
    for item in plan.items:
        names = [str(name) for name in item.targets.values()]
        (reused if item.action == "reuse" else made).extend(names)
        differing += names if item.changes else []
    log.debug("END   %s: %d made, %d re-used", step, len(made), len(reused))
    tally.add(made=made, reused=reused, differing=differing)
    plan.digests.save()
    return results


def _do(plan: Plan, item: PlanItem) -> Results:
    step = plan.declaration.name
    line = _line(step, item)
    if item.action == "reuse":
        if item.changes:
            log.warning(
                "%s: re-used, but it differs from what would be made now: %s",
                line,
                "; ".join(item.changes),
            )
        else:
            log.info("%s: re-used", line)
    else:
        with stage(absolute(plan.settings["outdir"])) as folder:
            _make(plan, item, folder)
        why = "made" if item.action == "run" else f"made again ({item.reason})"
        log.info("%s: %s", line, why)
    return {output: _map(plan, item, output) for output in item.targets}


def _line(step: str, item: PlanItem) -> str:
    sources = [str(df) for df in item.inputs]
    if len(sources) > 3:
        sources = [f"{sources[0]} ... {sources[-1]} ({len(sources)} files)"]
    targets = ", ".join(str(name) for name in item.targets.values())
    return f"{step}: {', '.join(sources)} -> {targets}"


def _make(plan: Plan, item: PlanItem, folder: Path) -> None:
    started = _now()
    products = _run(plan, item)
    finished = {}
    for output, product in products.items():
        target = absolute(str(item.targets[output]))
        finished[target] = _write(plan, item, output, product, target, folder, started)
    for target, (temporary, rows) in finished.items():
        publish(temporary, target)
        side = side_path(target)
        if plan.settings["record"] != "file":
            _write_side(side, rows)
        else:
            side.unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _run(plan: Plan, item: PlanItem) -> Results:
    declaration = plan.declaration
    if _passes_through(plan, item):
        return {declaration.outputs[0]: DataFile(data=item.inputs[0])}
    handed_in = {name: plan.settings[name] for name in declaration.handed_in}
    job = Job(
        step=declaration.name,
        func=declaration.func,
        each=declaration.each,
        inputs=item.inputs,
        calibrations=item.calibrations,
        parameters={**plan.bound.parameters, **handed_in},
        outputs=declaration.outputs,
        settings=plan.settings,
    )
    return get_engine("python").run(job)


def _passes_through(plan: Plan, item: PlanItem) -> bool:
    """
    Whether a step that only applies calibrations was told to apply none.

    A function that takes None for a calibration decides itself; one that does not
    is not called, and its product is the input, with a record that says so.
    """
    declaration = plan.declaration
    refused = [
        name
        for name, cal in item.calibrations.items()
        if cal is None and not declaration.cal_parameters[name].takes_none
    ]
    if not refused:
        return False
    if (
        len(refused) == len(declaration.cals)
        and len(declaration.outputs) == 1
        and declaration.each != "list"
    ):
        return True
    msg = f"{declaration.name} cannot go without a {refused[0]}; give {refused[0]}=<file>"
    raise ParameterError(msg)


def _write(
    plan: Plan,
    item: PlanItem,
    output: Output,
    product: DataFile,
    target: Path,
    folder: Path,
    started: str,
) -> tuple[Path, list[dict[str, Any]]]:
    """Write a product and its record to a temporary file."""
    ours = target.parent == absolute(plan.settings["outdir"])
    temporary = folder / target.name if ours else staging_name(target)
    if not ours:
        _make_folder(target.parent)
    entry = describe(
        plan.declaration, item.inputs, item.calibrations, plan.bound.parameters,
        plan.settings, output, target.name, plan.digests, expected=False,
    )  # fmt: skip
    used = [*item.inputs]
    for cal in item.calibrations.values():
        used += [] if cal is None else cal if isinstance(cal, list) else [cal]
    used += [v for v in plan.bound.parameters.values() if isinstance(v, DataFile)]
    try:
        write_datafile(product, temporary, rows=[])
        entry["content"] = digest(temporary)
        paths = {Path(str(df)).name: str(absolute(str(df))) for df in used}
        entry["run"] = run_block(started, _now(), paths)
        rows = [*ancestors(used), entry]
        if plan.settings["record"] != "side":
            _append(temporary, product, rows)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary, rows


def _append(temporary: Path, product: DataFile, rows: list[dict[str, Any]]) -> None:
    if FileName(temporary).ext not in ("fits", "fit", "fts"):
        write_datafile(product, temporary, rows=rows)  # compressed: write it whole
        return
    with temporary.open("ab") as stream:
        stream.write(encode(rows))
        stream.flush()
        os.fsync(stream.fileno())


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        msg = f"the folder {folder} cannot be made ({err.strerror}); choose another"
        raise FileAccessError(msg) from err


def _write_side(side: Path, rows: list[dict[str, Any]]) -> None:
    _make_folder(side.parent)
    temporary = staging_name(side)
    lines = ",\n".join(canonical(row) for row in rows)
    temporary.write_text(f"[{lines}]\n", encoding="utf-8")
    publish(temporary, side)


def _map(plan: Plan, item: PlanItem, output: Output) -> DataFile:
    """Map a product from disk; calibrations that all inputs share go along."""
    product = DataFile(item.targets[output])
    shared = dict(item.inputs[0].cals)
    for df in item.inputs[1:]:
        shared = {n: c for n, c in shared.items() if df.cals.get(n) is c}
    product.cals.update(shared)
    product.expected_key = item.expected[output]["key"]
    return product
