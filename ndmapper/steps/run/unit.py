"""
Hops 6 to 10, for one unit of work: stage, run, collect, record, publish.

Products that are saved and those that stay in memory go the same way; only the last hop
differs, and whether there is a stage.
"""

import errno
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from ndmapper.data import DataFile, FileSet, PlainFile
from ndmapper.data.member_keys import described_keys
from ndmapper.data.name_pattern import Key, find_key, key_text
from ndmapper.engines import Outcome, get_engine
from ndmapper.engines.base import Output
from ndmapper.engines.quality import Findings, collect_findings
from ndmapper.errors import FileAccessError, ParameterError, StepError
from ndmapper.io.filetypes import is_plain
from ndmapper.io.source import Stamp, absolute, stamp_of
from ndmapper.io.temporary import scratch_folder
from ndmapper.log import FILE_ONLY
from ndmapper.steps.call.decide import PlanItem
from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.record.decisions import collect_unit_decisions, save_decisions
from ndmapper.steps.record.entry import (
    Entry,
    keep_figures,
    output_name,
    qc_and_decisions,
    references,
    run_block,
)
from ndmapper.steps.record.summary import now
from ndmapper.steps.run.in_memory import keep_in_memory
from ndmapper.steps.run.members import name_members
from ndmapper.steps.run.publish import publish_products, stage
from ndmapper.steps.work_unit import Targets, WorkUnit

__all__ = [
    "Failure",
    "Made",
    "Products",
    "Result",
    "run_engine",
    "run_unit",
]

log = logging.getLogger(__name__)

_FULL = 2**20
"""A disk with less free space than this is called full where something fails [byte]."""


Products = dict[Output, DataFile]
"""Output to product."""


@dataclass(frozen=True)
class Failure:
    """Why a unit failed, where the others go on."""

    error: str


@dataclass(frozen=True)
class Made:
    """
    What a unit has made, as it travels between processes.

    Parameters
    ----------
    contents : dict of str to str
        Path of each product that was saved, with the digest of its content.
    products : dict of str to DataFile
        The products that stay in memory, by output.
    text : str
        What a tool printed, where it makes no products.
    targets : dict of str to FileName
        The name of each product, by output, with those that were named as they were
        made.
    warnings : tuple of str
        What a tool warned of.
    """

    contents: dict[str, str] = field(default_factory=dict)
    products: Products = field(default_factory=dict)
    text: str = ""
    targets: Targets = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


Result = Products | Failure | str
"""Products; why there are none; or what a tool without products printed."""


def run_unit(item: PlanItem, *, workers: int = 1) -> Made:
    """Make the products of one unit, and publish them, or keep them in memory."""
    started = now()
    item, warnings = _after_prelude(item)
    unit = item.unit
    with (
        # Hop 6: stage.
        _stage(item) as (folder, tool_folder),
        collect_findings() as findings,
        collect_unit_decisions(unit, item.products) as decisions,
        _full_disk_named(item),
        _figures_of_failure(item, findings),
    ):
        _refuse_misnamed(unit)
        # Hops 7 and 8: run, collect.
        with _inputs_unchanged(unit) as files:
            outcome = run_engine(unit, item.targets, tool_folder, workers=workers)
        if unit.open:
            item, outcome = name_members(item, outcome)
        warnings += outcome.warnings
        if outcome.log:
            log.info("%s", outcome.log.rstrip(), extra=FILE_ONLY)
        # Hop 9: record.
        facts = files | qc_and_decisions(findings, decisions)
        facts["run"] = run_block(unit, item.products, outcome, findings, started)
        # Before publishing: no answer of the user is lost if that fails.
        save_decisions(unit, item.products, decisions)
        # Hop 10: publish, where the products are saved.
        text = "" if item.targets else outcome.log
        if folder is None:
            products = keep_in_memory(item, outcome, facts)
            return Made(
                products=products, text=text, targets=item.targets, warnings=warnings
            )
        contents = publish_products(item, outcome, folder, facts)
        return Made(
            contents=contents, text=text, targets=item.targets, warnings=warnings
        )


def _after_prelude(item: PlanItem) -> tuple[PlanItem, tuple[str, ...]]:
    """Run the steps of a chain that come before the last one; give their warnings."""
    made: list[DataFile] = []
    warnings: tuple[str, ...] = ()
    for one in item.prelude:
        placed = _with_input(one, made)
        found = run_unit(placed)
        warnings += tuple(f"{placed.step}: {text}" for text in found.warnings)
        made = list(found.products.values())
        for df in made:
            df.cals.update(placed.unit.own_cals)  # the next step may look at them
    return _with_input(item, made), warnings


def _with_input(item: PlanItem, made: list[DataFile]) -> PlanItem:
    """Put what the step before has made in the place of the first input."""
    if not made:
        return item
    roles = item.unit.roles
    return replace(
        item, unit=replace(item.unit, roles={**roles, next(iter(roles)): made})
    )


@contextmanager
def _stage(item: PlanItem) -> Iterator[tuple[Path | None, Path | None]]:
    """Make a folder for products that are to be saved, and one for a tool."""
    with ExitStack() as stack:
        folder = tool_folder = None
        if not item.in_memory:
            outdir = absolute(item.unit.settings["outdir"])
            folder = stack.enter_context(stage(outdir))
        if not item.unit.declaration.is_python:
            # Beside the products where the path is plain: many old tools take no
            # blanks, and cut off what is long.
            place = "" if folder is None else str(folder / "work")
            if re.fullmatch(r"[\w./+-]+", place, re.ASCII) and len(place) < 120:
                tool_folder = Path(place)
                tool_folder.mkdir()
            else:
                tool_folder = stack.enter_context(scratch_folder())
        yield folder, tool_folder


@contextmanager
def _full_disk_named(item: PlanItem) -> Iterator[None]:
    """Blame a full disk for whatever fails: tools word it in many ways, or not."""
    try:
        yield
    except Exception as err:
        if getattr(err.__cause__, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise  # it says so already
        # Now, before what was half written is removed.
        folders = [Path(tempfile.gettempdir())]
        if not item.in_memory:
            folders.insert(0, absolute(item.unit.settings["outdir"]))
        for folder in folders:
            if _is_full(folder):
                product = next(iter(item.targets.values()), item.sources)
                msg = (
                    f"{item.step}: the disk of {folder} is full, so {product} is not "
                    f"made from {item.sources}; make room, or choose another folder "
                    f"with outdir or TMPDIR, and run again. What failed first: {err}"
                )
                raise FileAccessError(msg) from err
        raise


@contextmanager
def _figures_of_failure(item: PlanItem, findings: Findings) -> Iterator[None]:
    """Keep the figures of a step that fails, since they show why it does."""
    try:
        yield
    except Exception:
        if findings.figures and not item.in_memory:
            names = keep_figures(item.unit, item.products, findings, "-failed")
            folder = absolute(item.unit.settings["outdir"]) / ".ndmapper"
            log.warning(
                "%s fails; why is shown by %s",
                item.step,
                ", ".join(str(folder / name) for name in names),
            )
        raise


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _FULL
    except OSError:
        return False


def run_engine(
    unit: WorkUnit, targets: Targets, folder: Path | None, *, workers: int = 1
) -> Outcome:
    """
    Let the engine make the products of one unit; none is saved.

    Raises
    ------
    ParameterError
        If the step cannot go without a calibration that is not applied.
    StepError
        If a tool did not make what was declared.
    """
    declaration = unit.declaration
    if _passes_through(unit):
        # Of a unit that is split off, its part.
        ((item,),) = unit.job(targets, folder).roles.values()
        if isinstance(item, FileSet):
            msg = (
                f"{declaration.name} makes one file of {str(item) or repr(item)}, and "
                "cannot do so without calibrations; leave the step out, or give them"
            )
            raise ParameterError(msg)
        return Outcome(products={unit.outputs[0]: DataFile(data=item)})
    engine = get_engine(declaration.task.engine)
    outcome = engine.run(unit.job(targets, folder, workers=workers))
    made = {o for o in outcome.products if o in unit.outputs}
    made |= {output_name(o and o.partition("#")[0]) for o in outcome.products}
    lacking = set(unit.outputs) - made
    if lacking := {o for o in lacking if o not in declaration.optional}:
        missing = sorted(map(str, lacking))
        msg = f"{declaration.name}: the engine {engine.name} gave no {missing}"
        if any(output in unit.open for output in lacking):
            msg += f"; mark an output that may have no product, as in '{missing[0]}?'"
        raise StepError(msg)
    for output, product in outcome.products.items():
        name = targets.get(output)
        if name is not None and isinstance(product, PlainFile) != is_plain(name):
            msg = (
                f"{declaration.name} made {product} for {name}, which is another type "
                "of file; name the product for what it is"
            )
            raise StepError(msg)
    return outcome


def _passes_through(unit: WorkUnit) -> bool:
    """Whether a step was told to apply none of its calibrations: input is product."""
    # A function that takes None for a calibration decides itself.
    declaration = unit.declaration
    refused = [
        name
        for name, cal in unit.calibrations.items()
        if cal is None and not _can_go_without(declaration, name)
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


def _can_go_without(declaration: Declaration, name: str) -> bool:
    parameter = declaration.cal_parameters.get(name)
    if parameter is None:
        return name in declaration.optional
    return parameter.takes_none


def _refuse_misnamed(unit: WorkUnit) -> None:
    """Refuse members whose names say another key than their headers do."""
    for df, name, key in _keyed_files(unit):
        # A keyword of that name may be of something else.
        said = None if isinstance(df, PlainFile) else described_keys(df, name)
        if said is not None and len(said) == 1 and find_key(said, key) is None:
            msg = (
                f"{unit.declaration.name}: {df} was taken for {name} {key_text(key)}, "
                f"but its header says {key_text(said[0])}; give it the right name"
            )
            raise StepError(msg)


def _keyed_files(unit: WorkUnit) -> Iterator[tuple[DataFile, str, Key]]:
    """List files of a part, and members of whole sets, with each field of their key."""
    items = [item for role in unit.roles.values() for item in role]
    for cal in unit.calibrations.values():
        items += cal if isinstance(cal, list) else [cal]
    for item in items:
        if isinstance(item, FileSet):
            for key, df in item.items() if item.whole is None else ():
                parts = key if isinstance(key, tuple) else (key,)
                yield from ((df, n, k) for n, k in zip(item.by, parts, strict=False))
        elif item is not None:
            yield from ((item, name, key) for name, key in unit.key.items())


@contextmanager
def _inputs_unchanged(unit: WorkUnit) -> Iterator[Entry]:
    """
    Give references to the input files, and make sure that they stay as they are.

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
    """Note size and time of change of every input file on disk."""
    paths = [
        absolute(str(df))
        for df in unit.used
        if df.is_made and df.unloaded and df.filename is not None
    ]
    paths += [absolute(path) for path in unit.named if isinstance(path, Path)]
    return {path: stamp_of(path) for path in paths}
