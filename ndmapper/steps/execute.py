"""The second half of a call: stage, run, collect, record, publish, map."""

import logging

from ndmapper.data import DataFile
from ndmapper.engines import Job, Task, get_engine
from ndmapper.engines.base import Output
from ndmapper.errors import ParameterError
from ndmapper.log import FILE_ONLY
from ndmapper.parallel import progress
from ndmapper.steps.entry import Work
from ndmapper.steps.naming import absolute
from ndmapper.steps.plan import Plan, PlanItem
from ndmapper.steps.product import now, save_products
from ndmapper.steps.stage import stage
from ndmapper.steps.tally import tally

__all__ = ["execute", "run_work"]

log = logging.getLogger(__name__)

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
    log.info("START %s", step, extra=FILE_ONLY)
    counts = [0, 0, 0]
    results = []
    try:
        for item in progress(plan.items, step):
            results.append(_do(item))
            names = [str(name) for name in item.targets.values()]
            reused = names if item.action == "reuse" else []
            made = names if item.action != "reuse" else []
            differing = names if item.changes else []
            tally.add(made=made, reused=reused, differing=differing)
            for index, group in enumerate((made, reused, differing)):
                counts[index] += len(group)
    finally:
        plan.digests.save()
        words = "END   %s: %d made, %d re-used, %d of these differ"
        log.info(words, step, *counts, extra=FILE_ONLY)
    return results


def _do(item: PlanItem) -> Results:
    line = _line(item)
    if item.action != "reuse":
        started = now()
        with stage(absolute(item.work.settings["outdir"])) as folder:
            save_products(item, run_work(item.work), folder, started)
        why = "made" if item.action == "run" else f"made again, {item.reason}"
        log.info("%s: %s", line, why)
    elif item.changes:
        words = "%s: re-used, but it differs from what would be made now: %s"
        log.warning(words, line, "; ".join(item.changes))
    else:
        log.info("%s: re-used", line)
    return {output: _map(item, output) for output in item.targets}


def _line(item: PlanItem) -> str:
    sources = [str(df) for df in item.work.inputs]
    if len(sources) > 3:
        sources = [f"{sources[0]} ... {sources[-1]} ({len(sources)} files)"]
    targets = ", ".join(str(name) for name in item.targets.values())
    return f"{item.work.declaration.name}: {', '.join(sources)} -> {targets}"


def run_work(work: Work) -> Results:
    """
    Do one unit of work; nothing is written.

    Parameters
    ----------
    work : Work
        What to do.

    Returns
    -------
    dict of (str or None) to DataFile
        Output to an unsaved file.

    Raises
    ------
    ParameterError
        If the step cannot go without a calibration that is not applied.
    """
    declaration = work.declaration
    if _passes_through(work):
        return {declaration.outputs[0]: DataFile(data=work.inputs[0])}
    handed_in = {name: work.settings[name] for name in declaration.handed_in}
    job = Job(
        step=declaration.name,
        task=Task(
            engine="python", name=None, inputs=("",), outputs=declaration.outputs
        ),
        func=declaration.func,
        each=declaration.each,
        roles={"": work.inputs},
        calibrations=work.calibrations,
        parameters={**work.parameters, **handed_in},
        outputs=declaration.outputs,
        settings=work.settings,
    )
    return dict(get_engine("python").run(job).products)


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
    if not refused:
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


def _map(item: PlanItem, output: Output) -> DataFile:
    """Map a product from disk; calibrations that all inputs share go along."""
    reused = item.action == "reuse"
    product = item.found[output] if reused else DataFile(item.targets[output])
    first, *others = item.work.inputs
    for name, cal in first.cals.items():
        if all(df.cals.get(name) is cal for df in others):
            product.cals[name] = cal
    if product.record and product.record[-1]["step"] != "edited":
        # What was edited by hand stays, so what is made of it follows the edit.
        keys = product.record[-1]["key"], item.expected[output]["key"]
        product.expected_key = keys if keys[0] != keys[1] else None
    return product
