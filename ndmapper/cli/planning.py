"""Run a script that only plans, and tell how far the plan goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ndmapper.cli.script import run_script
from ndmapper.steps.dry import collect_plans
from ndmapper.steps.planitem import PlanItem

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
        Where the plan ended before the script did, and why.
    """

    items: list[PlanItem]
    ended: str | None

    def find(self, path: Path) -> PlanItem | None:
        """
        Find what makes a product.

        Parameters
        ----------
        path : Path
            The product.

        Returns
        -------
        PlanItem or None
            The last unit of work that does.
        """
        wanted = path.absolute()
        for item in reversed(self.items):
            if any(Path(name).absolute() == wanted for name in item.products):
                return item
        return None


def plan_script(
    script: Path,
    arguments: Sequence[str] = (),
    settings: Mapping[str, object] | None = None,
) -> ScriptPlan:
    """
    Run a script with steps that only plan.

    Parameters
    ----------
    script : Path
        The script. What it does outside of steps is done.
    arguments : sequence of str
        What it finds in ``sys.argv[1:]``.
    settings : mapping, optional
        Configuration keys and values, with the precedence of the command line.

    Returns
    -------
    ScriptPlan
        What its steps would do.
    """
    with collect_plans() as plans:
        result = run_script(
            script,
            arguments,
            settings={"reprocess": "auto", **(settings or {}), "dry_run": True},
            output_to_stderr=True,
            quiet=True,
        )
    items = [item for plan in plans for item in plan.items]
    return ScriptPlan(items, result.error)
