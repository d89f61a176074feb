"""Hops 6 to 11 for every unit of a plan: stage, run, collect, record, publish, map."""

import errno
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from ndmapper.config import usable
from ndmapper.data import DataFile
from ndmapper.data.planned import PlannedFile
from ndmapper.engines.base import Output
from ndmapper.engines.quality import collect_findings
from ndmapper.errors import FileAccessError, StepError
from ndmapper.io.source import find_source
from ndmapper.io.temporary import scratch_folder, sweep_side_data
from ndmapper.log import FILE_ONLY
from ndmapper.parallel import map_parallel
from ndmapper.steps.call.decide import PlanItem
from ndmapper.steps.call.plan import Plan
from ndmapper.steps.paths import absolute
from ndmapper.steps.record.entry import WorkUnit
from ndmapper.steps.record.event_log import now, write_event
from ndmapper.steps.record.summary import summary
from ndmapper.steps.results import Failure, Result
from ndmapper.steps.run.facts import (
    qc_and_decisions,
    recorded_decisions,
    run_block,
    save_decisions,
)
from ndmapper.steps.run.in_memory import run_unsaved
from ndmapper.steps.run.publish import save_products, stage
from ndmapper.steps.run.unit import inputs_unchanged, run_engine, shared_cals
from ndmapper.steps.run.workers import count_workers

__all__ = ["Made", "execute", "map_product"]

log = logging.getLogger(__name__)

_FULL = 2**20
"""A disk with less free space than this is called full where something fails [byte]."""


@dataclass(frozen=True)
class Made:
    """
    What came of one unit of work, as it travels between processes.

    Parameters
    ----------
    contents : dict of str to str
        Path of each product to the digest of its content.
    text : str
        What a tool printed, where it makes no products.
    """

    contents: dict[str, str] = field(default_factory=dict)
    text: str = ""


def execute(plan: Plan) -> list[Result]:
    """
    Do what a plan says.

    Parameters
    ----------
    plan : Plan
        The decisions.

    Returns
    -------
    list of dict, Failure or str
        For each unit of the plan: output to product, lazily mapped from disk; what
        went wrong, with ``on_error='continue'``; what a tool without products printed.
    """
    step, settings = plan.step, plan.settings
    outdir = settings["outdir"]
    title = _title(plan)
    log.info("START %s", title, extra=FILE_ONLY)
    # Also where there is nothing to do: a run may have been killed at its very end.
    sweep_side_data(absolute(outdir) / ".ndmapper")
    write_event(outdir, "start", step=step, units=len(plan.items))
    todo = [item for item in plan.items if item.action != "reuse"]
    made: dict[int, Made | Failure] = {}

    def note(position: int, result: Made | Failure) -> None:
        item = todo[position]
        made[id(item)] = result
        _note(plan, item, result)

    try:
        for item in plan.items:
            if item.action == "reuse":
                _say_reused(item)
        for item in todo:
            _make_inputs(item)
        workers = count_workers(plan)
        # Where there is one unit, its extensions are worked on at once.
        inside = workers if len(todo) == 1 and not usable(settings["cluster"]) else 1
        map_parallel(
            _Doer(settings["on_error"] == "continue", inside),
            todo,
            workers=workers,
            title=step,
            cluster=settings["cluster"],
            notify=note,
        )
    except BaseException as err:
        write_event(outdir, "failed", step=step, error=str(err))
        raise
    finally:
        plan.digests.save()
        counts = _counts(plan, made)
        log.info(
            "END   %s: %d made, %d re-used, %d of these differ",
            title, *counts, extra=FILE_ONLY,
        )  # fmt: skip
        write_event(
            outdir, "end", step=step,
            **dict(zip(("made", "reused", "differing"), counts, strict=True)),
        )  # fmt: skip
    return [_result(item, made.get(id(item))) for item in plan.items]


def _title(plan: Plan) -> str:
    """Name the step, and the task that it runs in full."""
    task = plan.declaration.task
    if plan.declaration.is_python or task.name is None:
        return plan.step
    full = task.name if task.engine == "iraf" else f"{task.engine}:{task.name}"
    is_short = plan.step == task.name.rpartition(".")[2]
    return full if is_short else f"{plan.step} ({full})"


def _counts(plan: Plan, made: dict[int, Made | Failure]) -> tuple[int, int, int]:
    reused = [item for item in plan.items if item.action == "reuse"]
    done = [i for i in plan.items if isinstance(made.get(id(i)), Made)]
    return (
        sum(len(item.targets) for item in done),
        sum(len(item.targets) for item in reused),
        sum(len(item.targets) for item in reused if item.changes),
    )


def _say_reused(item: PlanItem) -> None:
    names = item.products
    summary.add(reused=names)
    if item.reason != "exists":
        summary.cleaned += [n for n in names if not Path(n).exists()]
    if item.changes:
        is_new = summary.note_stale(names, item.causes, kept=item.is_kept)
        # One line for a reason, however many products are stale for it.
        words = "%s: re-used, but it differs from what would be made now: %s"
        extra = None if is_new or item.is_kept else FILE_ONLY
        log.warning(words, _line(item), "; ".join(item.changes), extra=extra)
    elif item.reason == "exists":
        log.info("%s: re-used", _line(item))
    else:
        log.info("%s: %s, and not needed until now", _line(item), item.reason)


def _note(plan: Plan, item: PlanItem, result: Made | Failure) -> None:
    """Keep the books on one unit of work that is done."""
    step, outdir = plan.step, plan.settings["outdir"]
    names = item.products
    if isinstance(result, Failure):
        summary.add(failed=names or [item.sources])
        log.error("%s", result.error)
        write_event(outdir, "failed", step=step, products=names, error=result.error)
        return
    for path, content in result.contents.items():
        plan.digests.put(find_source(path), content, ours=True)
    summary.add(made=names)
    write_event(
        outdir, "made", step=step, products=names, inputs=item.sources, why=item.reason
    )


def _make_inputs(item: PlanItem) -> None:
    """Make what was removed as nobody needed it, and is read now."""
    for df in [df for unit in item.units for df in unit.used]:
        if isinstance(df, PlannedFile) and df.can_be_made:
            log.info("%s is needed, and made again", df)
            df.make()


def _result(item: PlanItem, result: Made | Failure | None) -> Result:
    if isinstance(result, Failure):
        return result
    if isinstance(result, Made) and not item.targets:
        return result.text
    products = {output: map_product(item, output) for output in item.targets}
    if isinstance(result, Made):
        for df in products.values():
            _refuse_replaced(df, result)
    return products


def _refuse_replaced(df: DataFile, made: Made) -> None:
    """Refuse to go on with what another run has put in the place of a product."""
    content = made.contents[str(absolute(str(df)))]
    if not df.record or df.record[-1]["content"] != content:
        msg = (
            f"{df} was replaced by another run as soon as it was made; scripts that "
            "give one name to different products need folders of their own (outdir)"
        )
        raise StepError(msg)


@dataclass(frozen=True)
class _Doer:
    """Do one unit of work, perhaps in another process."""

    goes_on: bool
    workers: int

    def __call__(self, item: PlanItem) -> Made | Failure:
        try:
            return _do(item, self.workers)
        except Exception as err:
            if not self.goes_on:
                raise
            log.debug("%s failed", item.unit.declaration.name, exc_info=err)
            return Failure(str(err) or type(err).__name__)


def _do(item: PlanItem, workers: int = 1) -> Made:
    started = now()
    line = _line(item)
    item = _after_prelude(item)
    with (
        stage(absolute(item.unit.settings["outdir"])) as folder,
        collect_findings() as findings,
        recorded_decisions(item) as decisions,
        _work_folder(item.unit, folder) as place,
        _full_disk_named(item),
    ):
        with inputs_unchanged(item.unit) as files:
            outcome = run_engine(item.unit, item.targets, place, workers=workers)
        for warning in outcome.warnings:
            log.warning("%s: %s", line, warning)
        if outcome.log:
            log.info("%s", outcome.log.rstrip(), extra=FILE_ONLY)
        said = qc_and_decisions(findings, decisions)
        run = run_block(item, outcome, findings, started)
        # First, for no answer of a user is lost where the rest fails.
        save_decisions(item, decisions)
        contents = save_products(item, outcome, folder, files | said | {"run": run})
    why = "made" if item.action == "run" else f"made again, {item.reason}"
    log.info("%s: %s", line, why if item.targets else "done")
    return Made(contents, "" if item.targets else outcome.log)


@contextmanager
def _full_disk_named(item: PlanItem) -> Iterator[None]:
    """
    Say of whatever fails that a disk is full, where one is.

    Tools that cannot write say so in many ways, or not at all.
    """
    try:
        yield
    except Exception as err:
        if getattr(err.__cause__, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise  # it says so already
        # Now, before what was half written is removed.
        outdir = absolute(item.unit.settings["outdir"])
        for folder in (outdir, Path(tempfile.gettempdir())):
            if _is_full(folder):
                product = next(iter(item.targets.values()), item.sources)
                msg = (
                    f"{item.step}: the disk of {folder} is full, so {product} is not "
                    f"made from {item.sources}; make room, or choose another folder "
                    f"with outdir or TMPDIR, and run again. What failed first: {err}"
                )
                raise FileAccessError(msg) from err
        raise


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _FULL
    except OSError:
        return False


def _after_prelude(item: PlanItem) -> PlanItem:
    """Do the steps of a chain that come before the last one, in memory."""
    made: list[DataFile] = []
    for one in (*item.prelude, item):
        unit = one.unit
        if made:
            first = next(iter(unit.roles))
            unit = replace(unit, roles={**unit.roles, first: made})
        one = replace(one, unit=unit)  # noqa: PLW2901  # the same, with real input
        if one.action == "memory":
            made = list(run_unsaved(one).values())
    return one


@contextmanager
def _work_folder(unit: WorkUnit, folder: Path) -> Iterator[Path]:
    """Make a folder for a tool, beside the products where its path is plain."""
    if unit.declaration.is_python:
        yield folder  # a function needs none of its own
        return
    place = folder / "work"
    # Tools of other times take no blanks, and cut off what is long.
    if re.fullmatch(r"[\w./+-]+", str(place), re.ASCII) and len(str(place)) < 120:
        place.mkdir()
        yield place
        return
    with scratch_folder() as other:
        yield other


def _line(item: PlanItem) -> str:
    targets = ", ".join(item.products)
    line = item.step + (f": {item.sources}" if item.sources else "")
    line += f" -> {targets}" if targets else ""
    # A name may hold anything, and a line of the log is a line.
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def map_product(item: PlanItem, output: Output) -> DataFile:
    """
    Map a product from disk; calibrations that all inputs share go along.

    Parameters
    ----------
    item : PlanItem
        A unit of work that is done.
    output : str or None
        The output.

    Returns
    -------
    DataFile
        The product.
    """
    found = item.found.get(output)
    if isinstance(found, PlannedFile):
        # Who only plans makes nothing, whoever looks.
        maker = None if item.unit.settings["dry_run"] else partial(_make_again, item)
        product: DataFile = PlannedFile(
            item.targets[output], found.record, {}, maker, like=item.units[0].inputs[0]
        )
    elif item.action == "reuse" and found is not None:
        product = found
    else:
        product = DataFile(item.targets[output])
    product.cals.update(shared_cals(item.unit.inputs))
    if (
        item.changes
        and not item.is_kept
        and item.unit.settings["reprocess"] != "auto"
        and product.record
        and product.record[-1]["step"] != "edited"
    ):
        # What was edited by hand stays, so what is made of it follows the edit.
        keys = product.record[-1]["key"], item.expected[output]["key"]
        product.expected_key = keys if keys[0] != keys[1] else None
    return product


def _make_again(item: PlanItem) -> None:
    """Make what was removed; all outputs of a unit are made at once."""
    if all(Path(str(name)).exists() for name in item.targets.values()):
        return
    _make_inputs(item)
    with_digests = _do(item)
    summary.add(made=item.products)
    summary.cleaned = [name for name in summary.cleaned if name not in item.products]
    for path, content in with_digests.contents.items():
        item.unit.digests.put(find_source(path), content, ours=True)
    item.unit.digests.save()
