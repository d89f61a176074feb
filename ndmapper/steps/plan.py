"""Fifth hop: decide what would be done, and why, before anything is touched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ndmapper.config import Settings
from ndmapper.data import DataFile, DataFileList
from ndmapper.engines.base import Calibration, Output
from ndmapper.errors import (
    FormatError,
    OutputExistsError,
    PartialOutputError,
    RecordError,
)
from ndmapper.io.digest import DigestCache
from ndmapper.io.record import pending_path
from ndmapper.steps.bind import Bound
from ndmapper.steps.declaration import Declaration
from ndmapper.steps.differences import differences
from ndmapper.steps.entry import Work, describe, is_as_recorded
from ndmapper.steps.naming import Targets, name_products, refuse_clashes

__all__ = ["Action", "Plan", "PlanItem", "make_plan"]

Action = Literal["run", "replace", "reuse"]


@dataclass(frozen=True, kw_only=True)
class PlanItem:
    """
    One unit of work, decided.

    Parameters
    ----------
    work : Work
        What it is made of.
    targets : mapping
        Output to name.
    expected : mapping
        Output to the entry of what would be made now.
    action : {'run', 'replace', 'reuse'}
        What is done.
    reason : str
        Why.
    changes : tuple of str
        How products that are re-used differ from what would be made now.
    found : mapping
        Output to the product that is re-used.
    """

    work: Work
    targets: Targets
    expected: Mapping[Output, Mapping[str, Any]]
    action: Action
    reason: str
    changes: tuple[str, ...] = ()
    found: Mapping[Output, DataFile] = field(default_factory=dict)

    def __str__(self) -> str:
        names = [str(df) for df in self.work.inputs]
        if len(names) > 3:
            names = [*names[:2], f"... ({len(names)} files)"]
        made = ", ".join(str(t) for t in self.targets.values())
        return f"{self.action:7} {', '.join(names)} -> {made} ({self.reason})"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    What a call would do.

    Parameters
    ----------
    declaration : Declaration
        The step.
    settings : Settings
        The configuration of the call.
    items : sequence of PlanItem
        Its units of work.
    digests : DigestCache
        Digests of raw inputs that were needed to decide.
    """

    declaration: Declaration
    settings: Settings
    items: Sequence[PlanItem]
    digests: DigestCache

    def __repr__(self) -> str:
        return "\n".join([f"Plan of {self.declaration.name}", *map(str, self.items)])


def make_plan(
    declaration: Declaration,
    bound: Bound,
    settings: Settings,
    files: DataFileList,
    calibrations: Sequence[Mapping[str, Calibration]],
) -> Plan:
    """
    Decide what a call would do. Nothing is written.

    Parameters
    ----------
    declaration : Declaration
        The step.
    bound : Bound
        The words of the call.
    settings : Settings
        Its configuration.
    files : DataFileList
        Its inputs.
    calibrations : sequence of mapping
        The calibrations of each input.

    Returns
    -------
    Plan
        The decisions.

    Raises
    ------
    PlanError
        If products would replace one another or an input.
    OutputExistsError, PartialOutputError
        If products exist, and ``reprocess`` is None.
    """
    units: list[list[DataFile]]
    cals: list[Mapping[str, Calibration]]
    if declaration.each == "list":
        units, cals = [list(files)], [_joined(calibrations)]
    else:
        units, cals = [[df] for df in files], list(calibrations)
    digests = DigestCache(Path(settings["outdir"]) / ".ndmapper")
    works = [
        Work(
            declaration=declaration,
            inputs=tuple(inputs),
            calibrations=applied,
            parameters=bound.parameters,
            settings=settings,
            digests=digests,
        )
        for inputs, applied in zip(units, cals, strict=True)
    ]
    targets = name_products(declaration, units, bound.out_names, settings["outdir"])
    refuse_clashes(works, targets)
    items = [_decided(work, names) for work, names in zip(works, targets, strict=True)]
    return Plan(
        declaration=declaration, settings=settings, items=items, digests=digests
    )


def _joined(
    calibrations: Sequence[Mapping[str, Calibration]],
) -> dict[str, Calibration]:
    """Join the calibrations of a list: one file if all share it, else aligned."""
    joined: dict[str, Calibration] = {}
    for name in calibrations[0]:
        column = [cals[name] for cals in calibrations]
        if len({str(cal) for cal in column}) == 1:
            joined[name] = column[0]
        else:
            joined[name] = column  # type: ignore[assignment]
    return joined


def _decided(work: Work, targets: Targets) -> PlanItem:
    """Decide one unit of work."""
    paths = {output: Path(str(name)) for output, name in targets.items()}
    expected = {
        output: describe(work, output, path.name, expected=True)
        for output, path in paths.items()
    }
    changes: list[str] = []
    found: dict[Output, DataFile] = {}

    def item(action: Action, reason: str) -> PlanItem:
        return PlanItem(
            work=work,
            targets=targets,
            expected=expected,
            action=action,
            reason=reason,
            changes=tuple(dict.fromkeys(changes)),
            found=found,
        )

    there = [path for path in paths.values() if path.exists()]
    if not there:
        return item("run", "new")
    absent = [str(path) for path in paths.values() if path not in there]
    reprocess = work.settings["reprocess"]
    if reprocess in (None, "error"):
        _refuse(work.declaration.name, there, absent)
    if reprocess is True or absent:
        _refuse_foreign(work.declaration.name, there)
    if reprocess is True:
        return item("replace", "reprocess=True")
    if absent:
        return item("replace", f"{', '.join(absent)} is missing beside {there[0]}")
    try:
        for output, name in targets.items():
            found[output] = product = DataFile(name)
            changes += _differences(product, expected[output], work.digests)
    except _Unusable as err:
        damage = str(err)
    except RecordError as err:
        damage = f"has a damaged record ({err})"
    except FormatError as err:
        damage = f"is not a whole file ({err})"
    else:
        return item("reuse", "exists")
    changes.clear()
    return item("replace", f"{name} {damage}")


def _refuse(step: str, there: Sequence[Path], absent: Sequence[str]) -> None:
    if absent:
        msg = (
            f"{step} makes {there[0]} and {', '.join(absent)} together, but only the "
            "first exists; pass reprocess=True or False to make both again"
        )
        raise PartialOutputError(msg)
    msg = (
        f"{there[0]} already exists; pass reprocess=True to replace it or "
        "reprocess=False to re-use it"
    )
    raise OutputExistsError(msg)


def _refuse_foreign(step: str, there: Sequence[Path]) -> None:
    """Refuse to replace a file that no step made: a raw frame, perhaps."""
    for path in there:
        try:
            is_ours = bool(DataFile(path).record) or pending_path(path).exists()
        except (FormatError, RecordError):
            continue  # what is left of a product
        if not is_ours:
            msg = (
                f"{step} would replace {path}, which no step made, for it has no "
                "record; give another name with out_names, or delete it yourself"
            )
            raise OutputExistsError(msg)


class _Unusable(Exception):  # noqa: N818  # never leaves this module
    """A product that cannot be re-used."""


def _differences(
    product: DataFile, expected: Mapping[str, Any], digests: DigestCache
) -> list[str]:
    """Say how an existing product differs from what would be made now."""
    if pending_path(Path(product)).exists():
        msg = "was published without its record, by a run that was stopped"
        raise _Unusable(msg)
    rows = product.record
    if not rows:
        return ["it has no record, so nobody knows how it was made"]
    if not is_as_recorded(product, digests):
        return ["it was changed by hand or by another program"]
    if rows[-1]["key"] == expected["key"]:
        return []
    return differences(rows[-1], expected) or ["its inputs have changed"]
