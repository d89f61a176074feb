"""Run a script that only plans, and tell how far the plan goes."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ndmapper.cli.run_script import run_script
from ndmapper.data.planned import PlannedFile, watch_looks
from ndmapper.steps.call.decide import PlanItem
from ndmapper.steps.run.dry_run import collect_plans

__all__ = ["ScriptPlan", "plan_script"]


@dataclass(frozen=True)
class ScriptPlan:
    """
    What a script would do.

    Parameters
    ----------
    items : list of PlanItem
        The units of work of all its steps, in order.
    ended : str or None
        Beyond which line of the script nothing can be told, and why: it looks at what
        is not made yet, or ends with an error.
    """

    items: list[PlanItem]
    ended: str | None

    def find(self, path: Path) -> PlanItem | None:
        """Find the planned unit of work that makes a product."""
        return self._makers.get(path.absolute())

    @cached_property
    def _makers(self) -> dict[Path, PlanItem]:
        """The last unit of work that makes each product."""
        return {
            Path(name).absolute(): item for item in self.items for name in item.products
        }


def plan_script(
    script: Path,
    arguments: Sequence[str] = (),
    settings: Mapping[str, object] | None = None,
) -> ScriptPlan:
    """Run a script with steps that only plan."""
    looks: list[tuple[int, int | None, str]] = []

    def note(file: PlannedFile) -> None:
        stack = traceback.extract_stack()
        lines = [f.lineno for f in stack if f.filename == str(script)]
        planned = sum(len(plan.items) for plan in plans)
        reason = f"{file} is not made yet, and what is in it is not known"
        looks.append((planned, lines[-1] if lines else None, reason))

    with collect_plans() as plans, watch_looks(note):
        result = run_script(
            script,
            arguments,
            settings={**(settings or {}), "dry_run": True},
            output_to_stderr=True,
            quiet=True,
        )
    items = [item for plan in plans for item in plan.items]
    if looks:
        # The first counts, also where the script goes on, with what it cannot know.
        planned, line, reason = looks[0]
        return ScriptPlan(items[:planned], _ended(script, line, reason))
    if result.error is None:
        return ScriptPlan(items, None)
    reason = result.error.removeprefix(f"{script}, line {result.line}: ")
    return ScriptPlan(items, _ended(script, result.line, reason))


def _ended(script: Path, line: int | None, reason: str) -> str:
    where = f"line {line} of {script}" if line else str(script)
    return f"cannot tell beyond {where}: {reason}"
