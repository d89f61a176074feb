"""Many units of work in words: those of a step in one line."""

from collections.abc import Iterable, Sequence

from ndmapper.data.fold_names import list_names
from ndmapper.steps.call.decide import PlanItem
from ndmapper.terminal import one_line

__all__ = ["describe_units", "group_units", "reason_of"]

_WIDTH = 40
"""Largest length of the inputs in a line about many units [characters]."""


def describe_units(items: Sequence[PlanItem]) -> str:
    """Name step, inputs and products of several units of a step in one line."""
    if len(items) == 1:
        return items[0].line
    files = {n: of for item in items for n, of in item.input_names.items()}
    sources = list_names(files, files)
    if len(sources) > _WIDTH:
        sources = f"{len(files)} files"
    products = list_names([name for item in items for name in item.products])
    made = f" -> {products}" if products else ""
    return one_line(f"{items[0].step}: {sources}{made}")


def group_units(items: Iterable[PlanItem]) -> list[list[PlanItem]]:
    """Group units that the same is done with, for the same reason."""
    groups: dict[tuple[str, ...], list[PlanItem]] = {}
    for item in items:
        because = item.causes or (item.reason if item.reason == "new" else "",)
        kinds = (item.step, item.action, str(item.is_open), str(item.is_kept))
        groups.setdefault((*kinds, *because), []).append(item)
    return [*groups.values()]


def reason_of(items: Sequence[PlanItem]) -> str:
    """Word the reason that the units of a group share."""
    reasons = {"; ".join(item.in_short or (item.reason,)) for item in items}
    if len(reasons) == 1:
        return reasons.pop()
    return "; ".join(items[0].causes) or "as what they are made of differs"
