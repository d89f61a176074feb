"""A dry run: the plan is logged or collected, and planned files come back."""

import logging
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ndmapper.data.planned import plan_file
from ndmapper.errors import FileAccessError
from ndmapper.io.sidedata import make_side_folder
from ndmapper.log import log_to_terminal
from ndmapper.steps.call.decide import PlanItem
from ndmapper.steps.call.plan import Plan, preview
from ndmapper.steps.record.entry import ancestors
from ndmapper.steps.run.execute import gather, map_product
from ndmapper.steps.run.unit import Result

__all__ = ["collect_plans", "dry_results", "plan_results"]

log = logging.getLogger(__name__)

_collected: list[Plan] | None = None
_begun: set[Path] = set()
"""Replay scripts that this process has started."""


@contextmanager
def collect_plans() -> Iterator[list[Plan]]:
    """Collect the plans of all calls in a ``with`` block, instead of logging them."""
    global _collected  # noqa: PLW0603  # calls come from a script that knows nothing
    before, _collected = _collected, []
    try:
        yield _collected
    finally:
        _collected = before


def dry_results(plan: Plan) -> list[Result]:
    """
    Log or collect a plan, and give planned files for its products.

    Command lines that run the external tools without ndmapper are written to
    ``outdir/.ndmapper/replay.sh`` and ``replay.cl``.
    """
    if _collected is not None:
        _collected.append(plan)
        return plan_results(plan.items)
    log_to_terminal()
    log.info("%r", plan)
    for item in plan.items:
        if item.action != "reuse":
            _write_replay(Path(plan.settings["outdir"]), item)
    return plan_results(plan.items)


def plan_results(items: Sequence[PlanItem]) -> list[Result]:
    """Give a file for every product of a plan: one that exists, or a planned one."""
    results: list[Result] = []
    for item in items:
        if item.action == "reuse":
            results.append(
                {output: map_product(item, output) for output in item.targets}
            )
            continue
        before = ancestors(item.unit.used, item.unit.digests)
        cals = item.unit.own_cals
        results.append(
            {
                # A product on disk has content, though it is not known yet.
                output: plan_file(
                    name,
                    [*before, {**item.expected[output], "content": None}],
                    cals,
                    like=item.units[0].inputs[0],
                )
                for output, name in item.targets.items()
            }
        )
    return gather(items, results, is_plan=True)


def _write_replay(outdir: Path, item: PlanItem) -> None:
    shown = preview(item)
    if not shown.script:
        return
    path = outdir / ".ndmapper" / f"replay.{shown.language}"
    mode = "a" if path in _begun else "w"
    try:
        make_side_folder(path)
        with path.open(mode, encoding="utf-8") as stream:
            if mode == "w":
                folder = shlex.quote(os.getcwd())  # noqa: PTH109  # for a shell
                stream.write(
                    f"#!/bin/sh\nset -e\ncd {folder}\n"
                    if shown.language == "sh"
                    else f"# for cl, in {' '.join(folder.split())}\n"
                )
            stream.write(f"\n{shown.script.rstrip()}\n")
    except OSError as err:
        msg = (
            f"the script {path} cannot be written ({err.strerror}); choose another "
            "folder with outdir"
        )
        raise FileAccessError(msg) from err
    if mode == "w":
        _begun.add(path)
        log.info("what external tools would do is written to %s", path)
