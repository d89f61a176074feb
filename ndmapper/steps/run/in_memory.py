"""Hop 10 with save=False: products stay in memory, with their names and records."""

from ndmapper.data import DataFile, PlainFile
from ndmapper.data.saving.save import attach_record
from ndmapper.engines.base import Outcome, Output
from ndmapper.io.record import is_of_library
from ndmapper.steps.call.decide import PlanItem
from ndmapper.steps.record.entry import Entry, ancestors, completed_entries

__all__ = ["keep_in_memory"]


def keep_in_memory(
    item: PlanItem, outcome: Outcome, facts: Entry
) -> dict[Output, DataFile]:
    """Give the products of a unit their names and records; nothing is written."""
    unit = item.unit
    before = ancestors(unit.used, unit.digests)
    entries = completed_entries(item.expected, facts)
    products: dict[Output, DataFile] = {}
    for output, product in outcome.products.items():
        rows = [*before, entries[output]]
        if isinstance(product, PlainFile):
            text = PlainFile(item.targets[output], product.read_bytes())
            text.record = rows
            products[output] = text
            continue
        # A function of a script may keep the arrays that it gave, and change them.
        is_ours = item.is_handed_on and is_of_library(entries[output]["tool"])
        products[output] = made = product if is_ours else DataFile(data=product)
        if not unit.declaration.is_python:
            _load(made)  # the folder with its file is removed
        made.filename = item.targets[output]
        attach_record(made, rows, is_handed_on=item.is_handed_on)
    return products


def _load(df: DataFile) -> None:
    """Read all of a file that is about to be removed."""
    for index, ndd in enumerate([*df]):
        df[index] = ndd.replace(
            data=ndd.data.copy(),
            variance=None if ndd.variance is None else ndd.variance.copy(),
            flags=None if ndd.flags is None else ndd.flags.copy(),
        )
    for name in list(df.tables):
        df.tables[name] = df.tables[name].copy()
    for name, image in list(df.extras.items()):
        df.extras[name] = image.replace(data=image.data.copy())
