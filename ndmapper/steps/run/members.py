"""Hop 8, for outputs of any number: each product is named by what it says of itself."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ndmapper.data import DataFile, FileName
from ndmapper.data.member_keys import key_of
from ndmapper.data.name_pattern import (
    Key,
    NamePattern,
    in_order,
    key_text,
    key_words,
)
from ndmapper.engines.base import Outcome, Output
from ndmapper.errors import FormatError, ParameterError, StepError
from ndmapper.io.record import cleaned_path, side_path
from ndmapper.io.source import stamp_of
from ndmapper.steps.call.decide import (
    PlanItem,
    describe_products,
    former_members,
    refuse_unforeseen,
)
from ndmapper.steps.call.naming import refuse_clashes
from ndmapper.steps.record.entry import output_name

__all__ = ["name_members", "removing_former"]

log = logging.getLogger(__name__)

_NUMBERED = re.compile(r"([^\[]*)#\d+|([^\[]*)\[(.*)\]", re.DOTALL)


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
    unforeseen = {o: name for o, name in targets.items() if o not in item.targets}
    if not item.in_memory:
        refuse_clashes([unit], [targets])
        refuse_unforeseen(unit, unforeseen)
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
    known: set[tuple[str, ...]] = set()
    for name, df in _of_output(output, outcome):
        given = _NUMBERED.fullmatch(str(name or ""))
        given_key = None
        if given is not None and given[3] is not None:
            given_key = given[3]
        try:
            if given_key is None:
                key = key_of(df, pattern.fields)
            else:
                key = pattern.read(given_key)
            pattern.fill(key)
        except (FormatError, ParameterError) as err:
            msg = (
                f"{item.step}: a product of {item.sources} cannot be named by "
                f"{pattern}: {err}; nothing was saved"
            )
            raise StepError(msg) from err
        if key_words(key) in known:
            msg = (
                f"{item.step} made two products of {item.sources} that both say that "
                "they are "
                f"{', '.join(pattern.fields)} {key_text(key)}; nothing was saved"
            )
            raise StepError(msg)
        known.add(key_words(key))
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


@contextmanager
def removing_former(item: PlanItem) -> Iterator[None]:
    """Remove members of last time that are not made any more, at the end of a block."""
    former = former_members(item.unit, item.targets)
    yield
    for path in former:
        for one in (cleaned_path(path), path, side_path(path)):
            one.unlink(missing_ok=True)
        log.info("%s: %s is not made any more, and was removed", item.step, path)
