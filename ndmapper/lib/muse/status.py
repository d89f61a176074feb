"""How far a reduction of MUSE is: what is done, stale, failed or to be made."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from astropy.table import Table

from ndmapper.config import config
from ndmapper.data.fold_names import list_names
from ndmapper.errors import MissingCalibrationError, NdmapperError
from ndmapper.lib.muse.reduction import STEPS, MuseReduction
from ndmapper.lib.muse.settings import MuseConfig
from ndmapper.steps.run.dry_run import collect_plans

__all__ = ["muse_status"]


def muse_status(chosen: MuseConfig, ob: str | Sequence[str] | None = None) -> Table:
    """
    Tell what a reduction has made, and what it would make.

    Nothing is run, and nothing written but the calibration document.

    Parameters
    ----------
    chosen : MuseConfig
        The configuration.
    ob : str or sequence of str, optional
        Observation blocks; by default all.

    Returns
    -------
    astropy.table.Table
        A row for each observation block and step: ``ob``, ``step``, ``state`` (done;
        stale, if it would be made again; pending, if it was not made; failed, if the
        last try failed; none, if there is nothing to do), the number of ``products``,
        and ``why``.
    """
    reduction = MuseReduction(chosen)
    rows: list[tuple[str, str, str, int, str]] = []
    words = {"reprocess": "auto", "outdir": str(chosen.outdir), "dry_run": True}
    with config.using(**words):
        for name in reduction.obs(ob):
            failures = dict(_failures(chosen, name))
            rows += _rows(reduction, name, failures)
    names = ("ob", "step", "state", "products", "why")
    return Table(rows=rows, names=names, dtype=("U64", "U16", "U8", "i8", "U256"))


def _rows(
    reduction: MuseReduction, ob: str, failures: dict[str, str]
) -> Iterator[tuple[str, str, str, int, str]]:
    """Yield the state of each step of an observation block."""
    ended = ""
    with collect_plans() as plans:
        walk = reduction.walk(ob, STEPS)
        for name in STEPS:
            before = len(plans)
            try:
                if not ended:
                    next(walk, None)
            except MissingCalibrationError as err:
                ended = str(err)
            except NdmapperError as err:
                # What follows cannot be told before files are there.
                ended = str(err)
            items = [item for plan in plans[before:] for item in plan.items]
            if ended and not items:
                yield ob, name, "pending", 0, ended
                continue
            yield ob, name, *_state(items, failures)


def _state(items: Sequence[Any], failures: dict[str, str]) -> tuple[str, int, str]:
    """Tell the state of the units of a step, the worst of them."""
    count = sum(max(len(item.targets), 1) for item in items)
    if not items:
        return "none", 0, ""
    todo = [item for item in items if item.action != "reuse"]
    names = {str(name) for item in todo for name in item.targets.values()}
    failed = [reason for name, reason in failures.items() if name in names]
    if failed:
        return "failed", count, failed[-1]
    if stale := [item for item in todo if item.action == "replace"]:
        reasons = dict.fromkeys(str(item.reason) for item in stale)
        return "stale", count, "; ".join(reasons)
    if todo:
        return "pending", count, f"to be made: {list_names(sorted(names))}"
    return "done", count, ""


def _failures(chosen: MuseConfig, ob: str) -> Iterator[tuple[str, str]]:
    """Yield products that could not be made when they were last tried, and why."""
    last: dict[str, str] = {}
    for folder in (chosen.outdir, chosen.outdir / chosen.folder_of(ob)):
        for event in _events(folder / ".ndmapper" / "log.jsonl"):
            for name in event.get("products") or ():
                if event.get("event") == "failed":
                    last[str(name)] = str(event.get("error", "it failed"))
                else:
                    last.pop(str(name), None)
    yield from last.items()


def _events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a log; lines that are none are skipped."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event
