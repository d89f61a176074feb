"""Hops 6 to 10 for all units of a plan, here or in workers; and hop 11, map."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ndmapper.config import usable
from ndmapper.data import DataFile, DataFileList, FileSet
from ndmapper.data.fold_names import list_names
from ndmapper.data.name_pattern import Key, in_order
from ndmapper.data.plainfile import PlainFile, open_file
from ndmapper.data.planned import PlannedFile, plan_file
from ndmapper.data.saving.save import is_unsaved_product
from ndmapper.engines.base import Output
from ndmapper.errors import StepError
from ndmapper.io.record import identity
from ndmapper.io.source import absolute, find_source
from ndmapper.io.temporary import sweep_side_data
from ndmapper.log import FILE_ONLY
from ndmapper.parallel import map_parallel
from ndmapper.parallel.cores import limit_by_memory, resolve_workers
from ndmapper.steps.call.decide import PlanItem
from ndmapper.steps.call.inputs import Inputs
from ndmapper.steps.call.plan import Plan
from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.record.entry import output_name
from ndmapper.steps.record.summary import summary
from ndmapper.steps.run.call_log import CallLog, outcome_of
from ndmapper.steps.run.unit import Failure, Made, Products, Result, run_unit

__all__ = [
    "count_workers",
    "execute",
    "files_of",
    "gather",
    "map_product",
    "shape_results",
]

log = logging.getLogger(__name__)

_TOLD = 4
"""Largest number of units that one error tells of."""


def execute(plan: Plan) -> list[Result]:
    """Run what a plan says, log it, and map the products."""
    calls = CallLog(plan)
    calls.start()
    # Also where there is nothing to do: a run may have been killed at its very end.
    sweep_side_data(absolute(plan.settings["outdir"]) / ".ndmapper")
    made: dict[int, Made | Failure] = {}
    try:
        _run_units(plan, made, calls)
    except BaseException as err:
        calls.stopped(err)
        raise
    finally:
        plan.digests.save()
        calls.end()
    # Hop 11: map.
    results = [_result(item, made.get(id(item))) for item in plan.items]
    return gather(plan.items, results)


def _run_units(plan: Plan, made: dict[int, Made | Failure], calls: CallLog) -> None:
    """Run all units that are not re-used; note what each has made as soon as it has."""
    places = [i for i, item in enumerate(plan.items) if item.action != "reuse"]
    todo = [plan.items[i] for i in places]

    def note(position: int, result: Made | Failure) -> None:
        item = todo[position]
        if item.unit.open and isinstance(result, Made):
            # What was made is known now.
            item = replace(item, targets=result.targets, is_named=True)
            plan.items[places[position]] = item
        made[id(item)] = result
        if isinstance(result, Failure):
            calls.failed(item, result.error)
            return
        for path, content in result.contents.items():
            plan.digests.put(find_source(path), content, ours=True)
        calls.made(item, result.warnings)

    for item in plan.items:
        if item.action == "reuse":
            calls.reused(item)
    _make_inputs(todo)
    settings, workers = plan.settings, count_workers(plan)
    cluster = settings["cluster"]
    goes_on = settings["on_error"] == "continue" or any(i.unit.key for i in todo)
    # Where there is one unit, its extensions are worked on at once.
    is_local = cluster is None or not usable(cluster)
    inside = workers if len(todo) == 1 and is_local else 1
    map_parallel(
        _Runner(goes_on, inside),
        todo,
        workers=workers,
        title=plan.step,
        cluster=cluster,
        notify=note,
    )
    if settings["on_error"] != "continue":
        _refuse_failed(plan, made)


def _refuse_failed(plan: Plan, made: Mapping[int, Made | Failure]) -> None:
    """Raise what went wrong with units of a split call, of which the others stand."""
    failed = [
        (item, result)
        for item in plan.items
        if isinstance(result := made.get(id(item)), Failure)
    ]
    if failed:
        told = [
            f"{_words_of_key(item)}{item.sources}: {result.error}"
            for item, result in failed[:_TOLD]
        ]
        if more := len(failed) - len(told):
            told.append(f"and {more} more, which the log names")
        words = "; ".join(told)
        kept = "What was made is kept, and the next run makes only what is missing; "
        if all(item.in_memory for item in plan.items):
            kept = "Nothing is kept in memory; "
        msg = (
            f"{plan.step} failed for {len(failed)} of {len(plan.items)}: {words}. "
            f"{kept}on_error='continue' goes on without"
        )
        raise StepError(msg)


def _words_of_key(item: PlanItem) -> str:
    words = ", ".join(f"{by} {key}" for by, key in item.unit.key.items())
    return f"{words} of " if words else ""


def count_workers(plan: Plan) -> int:
    """Count how many units run at once: one where the user may be asked something."""
    declaration, settings = plan.declaration, plan.settings
    if settings["interact"]:
        return 1
    workers = resolve_workers(settings["workers"])
    return limit_by_memory(workers, declaration.options.get("memory"))


def _make_inputs(
    items: Sequence[PlanItem], extra: Mapping[str, bool] | None = None
) -> None:
    """Make input files that `ndmapper clean` removed."""
    used = (df for item in items for unit in item.units for df in unit.used)
    needed = {
        id(df): df for df in used if isinstance(df, PlannedFile) and df.can_be_made
    }
    if needed:
        names = list_names(map(str, needed.values()))
        are = "is" if len(needed) == 1 else "are"
        log.info("%s %s needed, and made again", names, are, extra=extra)
    for df in needed.values():
        df.make()


def _result(item: PlanItem, result: Made | Failure | None) -> Result:
    if isinstance(result, Failure):
        return result
    if result is not None and not (item.targets or item.unit.open):
        return result.text
    if result is not None and item.in_memory:
        return _hold_masters(item, _with_cals(item, result.products))
    products = {output: map_product(item, output) for output in item.targets}
    if result is not None:
        for df in products.values():
            _refuse_replaced(df, result)
    return _hold_masters(item, products)


def _hold_masters(item: PlanItem, products: Products) -> Products:
    """Let products hold the calibrations that are nowhere but in memory."""
    held: dict[str, DataFile] = {}
    for unit in item.units:
        for df in filter(_has_images, unit.used):
            held.update(df.content.masters)
        for tag, cal in unit.calibrations.items():
            if not isinstance(cal, DataFile) or not _has_images(cal):
                continue
            if is_unsaved_product(cal.content) or item.in_memory:
                held.update(_as_recorded(products, unit.declaration.name, tag, cal))
    if held:
        for df in filter(_has_images, products.values()):
            df.content.masters = held
    return products


def _has_images(df: DataFile) -> bool:
    return df.is_made and not isinstance(df, PlainFile)


def _as_recorded(
    products: Products, step: str, tag: str, cal: DataFile
) -> dict[str, DataFile]:
    """Give a calibration in memory as the record of a product identifies it."""
    for df in products.values():
        for entry in reversed(df.record if df.is_made else ()):
            reference = entry["calibrations"].get(tag)
            if entry["step"] != step or not isinstance(reference, Mapping):
                continue
            if is_unsaved_product(cal.content) or reference.get("memory"):
                return {str(identity(reference)): cal}
    return {}


def _with_cals(item: PlanItem, products: Products) -> Products:
    """Hand on the calibrations of the inputs, which a worker has only copies of."""
    for df in products.values():
        df.cals.update(item.unit.own_cals)
    return products


def _refuse_replaced(df: DataFile, made: Made) -> None:
    """Refuse a product that another run has replaced already."""
    content = made.contents[str(absolute(str(df)))]
    if not df.record or df.record[-1]["content"] != content:
        msg = (
            f"{df} was replaced by another run as soon as it was made; scripts that "
            "give one name to different products need folders of their own (outdir)"
        )
        raise StepError(msg)


@dataclass(frozen=True)
class _Runner:
    """Run one unit, perhaps in another process."""

    continues: bool
    workers: int

    def __call__(self, item: PlanItem) -> Made | Failure:
        try:
            return run_unit(item, workers=self.workers)
        except Exception as err:
            if not self.continues:
                raise
            log.debug("%s failed", item.unit.declaration.name, exc_info=err)
            return Failure(str(err) or type(err).__name__)


def map_product(item: PlanItem, output: Output) -> DataFile:
    """Map a product from disk; calibrations that all inputs share go along."""
    found = item.found.get(output)
    if isinstance(found, PlannedFile):
        # A dry run makes nothing, even where pixels are asked for.
        maker = None if item.unit.settings["dry_run"] else partial(_make_again, item)
        product: DataFile = plan_file(
            item.targets[output], found.record, {}, maker, like=item.units[0].inputs[0]
        )
    elif item.action == "reuse" and found is not None:
        product = found
    else:
        product = open_file(item.targets[output])
    product.cals.update(item.unit.own_cals)
    if (
        item.changes
        and not item.is_kept
        and item.unit.settings["reprocess"] != "auto"
        and product.record
        and product.record[-1]["step"] != "edited"
    ):
        # A product edited by hand stays, and what is made of it follows the edit.
        keys = product.record[-1]["key"], item.expected[output]["key"]
        product.expected_key = keys if keys[0] != keys[1] else None
    return product


def _make_again(item: PlanItem) -> None:
    """Make a unit whose products `ndmapper clean` removed; all outputs at once."""
    if all(Path(str(name)).exists() for name in item.targets.values()):
        return
    _make_inputs([item], extra=FILE_ONLY)
    made = run_unit(item)
    for text in made.warnings:
        log.warning("%s: %s", item.line, text)
    log.info("%s: %s", item.line, outcome_of(item), extra=FILE_ONLY)
    summary.add(made=item.products)
    again = set(item.products)
    summary.cleaned = [name for name in summary.cleaned if name not in again]
    summary.reused = [name for name in summary.reused if name not in again]
    for path, content in made.contents.items():
        item.unit.digests.put(find_source(path), content, ours=True)
    item.unit.digests.save()


def gather(
    items: Sequence[PlanItem], results: Sequence[Result], *, is_plan: bool = False
) -> list[Result]:
    """Join the products of the units of one input, and of one output, to sets."""
    groups: dict[int, list[tuple[PlanItem, Result]]] = {}
    for item, result in zip(items, results, strict=True):
        groups.setdefault(item.unit.group, []).append((item, result))
    return [
        _gathered(pairs, is_plan=is_plan)
        if any(item.unit.sets for item, _ in pairs)
        else result
        for pairs in groups.values()
        for _, result in pairs[:1]
    ]


def _gathered(pairs: Sequence[tuple[PlanItem, Result]], *, is_plan: bool) -> Result:
    first = pairs[0][0].unit
    is_known = not is_plan or all(item.action == "reuse" for item, _ in pairs)
    missing: dict[Any, str] = dict(first.lost)
    members: dict[Output, dict[Any, DataFile]] = {}
    products: dict[Output, Any] = {}
    for item, result in pairs:
        if isinstance(result, Failure):
            if not item.unit.key:
                return result
            missing[_key_of(item)] = result.error
            continue
        assert not isinstance(result, str)
        for name, df in result.items():
            output = output_name(name)
            if output not in item.unit.sets:
                products[name] = df
                continue
            key = item.unit.member_key(output, item.targets[name])
            members.setdefault(output, {})[key] = df
    if not members and not products and missing:
        return Failure("; ".join(missing.values()))
    for output, pattern in first.sets.items():
        if output in first.open and not (output in members or missing or is_known):
            # A plan cannot know the members before they are made.
            products[output] = FileSet.promised(pattern, [])
            continue
        made = FileSet(in_order(members.get(output, {})), filename=pattern)
        made.missing.update(missing)
        made.cals.update(first.cals)
        products[output] = made
    return products


def _key_of(item: PlanItem) -> Key:
    """Give the key of a unit, with several fields as one."""
    key = tuple(item.unit.key.values())
    return key if len(key) > 1 else key[0]


def files_of(output: Output, results: list[Result]) -> DataFileList:
    """List the products of one output, of which a unit may have several."""
    files = [
        df
        for result in results
        if isinstance(result, dict)
        for name, df in result.items()
        if _is_of(name, output)
    ]
    return DataFileList(data=files)


def _is_of(name: Output, output: Output) -> bool:
    """Whether a product is one of a declared output, which may leave the tag open."""
    if name == output or str(name).startswith(f"{output}#"):
        return True
    before, tag, after = str(output).partition("{tag}")
    return bool(tag) and str(name).startswith(before) and str(name).endswith(after)


def shape_results(
    declaration: Declaration, given: Inputs, results: list[Result]
) -> Any:
    """
    Give one file or a list, and a dict where outputs have names.

    Raises
    ------
    StepError
        If one file was given, and went wrong.
    """
    single = given.form == "one" or declaration.each == "list"
    failures = [result for result in results if isinstance(result, Failure)]
    if single and failures:
        raise StepError(failures[0].error)
    shaped: dict[Output, Any] = {}
    for output in declaration.outputs:
        files = files_of(output, results)
        made = {
            n for r in results if isinstance(r, dict) for n in r if _is_of(n, output)
        }
        # The tag is known by now, unless inputs were of several classes.
        is_known = "{tag}" in str(output) and len(made) == 1
        name = made.pop() if is_known else output
        shaped[name] = files[0] if single and len(files) == 1 else files
    return shaped if len(declaration.outputs) != 1 else next(iter(shaped.values()))
