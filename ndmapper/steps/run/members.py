"""Hop 8, for outputs of any number: each product is named by what it says of itself."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ndmapper.data import DataFile, FileName
from ndmapper.data.member_keys import key_of
from ndmapper.data.name_pattern import Key, NamePattern, in_order, key_text
from ndmapper.engines.base import Outcome, Output
from ndmapper.errors import FormatError, StepError
from ndmapper.io.record import read_records
from ndmapper.io.source import stamp_of
from ndmapper.steps.call.decide import PlanItem, describe_products
from ndmapper.steps.record.entry import output_name

__all__ = ["name_members", "remove_former"]

_NUMBERED = re.compile(r"(.*)#\d+|(.*)\[(.*)\]", re.DOTALL)


def name_members(item: PlanItem, outcome: Outcome) -> tuple[PlanItem, Outcome]:
    """
    Name the products of outputs that give as many as are made.

    Raises
    ------
    StepError
        If a product does not say its key, or two say the same.
    """
    unit = item.unit
    closed = {o: df for o, df in outcome.products.items() if o in unit.outputs}
    products: dict[Output, DataFile] = {
        o: df for o, df in closed.items() if o not in unit.open
    }
    targets = {o: name for o, name in item.targets.items() if o in products}
    for output in unit.open:
        pattern = NamePattern(str(unit.open[output]))
        members = in_order(_keyed(item, output, pattern, outcome))
        for key, df in members.items():
            member = f"{output or ''}[{key_text(key)}]"
            products[member], targets[member] = df, FileName(pattern.fill(key))
    expected = describe_products(unit, targets)
    for output in unit.open:
        made = {o: name for o, name in targets.items() if _is_of(o, output)}
        names = sorted(Path(str(name)).name for name in made.values())
        for name in made:
            expected[name]["members"] = names
    seen = {
        o: item.seen[o] if o in item.seen else stamp_of(Path(str(name)))
        for o, name in targets.items()
    }
    named = replace(item, targets=targets, expected=expected, seen=seen)
    return named, replace(outcome, products=products)


def _is_of(name: Output, output: Output) -> bool:
    return name is not None and "[" in name and output_name(name) == output


def _keyed(
    item: PlanItem, output: Output, pattern: NamePattern, outcome: Outcome
) -> dict[Key, DataFile]:
    """Read the key of every product of one output."""
    found: dict[Key, DataFile] = {}
    for name, df in _of_output(output, outcome):
        given = _NUMBERED.fullmatch(str(name or ""))
        key: Key
        if given is not None and given[3] is not None:
            key = int(given[3]) if given[3].isdecimal() else given[3]
        else:
            try:
                key = key_of(df, pattern.fields)
            except FormatError as err:
                msg = (
                    f"{item.step}: a product cannot be named by {pattern}: {err}; "
                    "nothing was saved"
                )
                raise StepError(msg) from err
        if key in found:
            msg = (
                f"{item.step} made two products that both say that they are "
                f"{', '.join(pattern.fields)} {key_text(key)}: {found[key]} and {df}; "
                "nothing was saved"
            )
            raise StepError(msg)
        found[key] = df
    return found


def _of_output(output: Output, outcome: Outcome) -> Sequence[tuple[Output, DataFile]]:
    start = "" if output is None else output
    return [
        (name, df)
        for name, df in outcome.products.items()
        if name == output
        or (name is not None and name.startswith((f"{start}#", f"{start}[")))
    ]


def remove_former(item: PlanItem) -> list[Path]:
    """Remove members of last time that are not made any more, of this step's own."""
    removed = []
    made = {str(name) for name in item.targets.values()}
    for pattern in item.unit.open.values():
        for _, path in NamePattern(str(pattern)).files():
            if path in made:
                continue
            rows = read_records(path)
            if rows and rows[-1]["step"] == item.unit.declaration.name:
                Path(path).unlink(missing_ok=True)
                removed.append(Path(path))
    return removed
