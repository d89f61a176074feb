"""Record and publish: how a product and its record come to disk together."""

import logging
from dataclasses import dataclass
from pathlib import Path

from ndmapper.data import DataFile
from ndmapper.data.save import carries_record, write_datafile
from ndmapper.engines.base import Outcome, Output
from ndmapper.errors import FileAccessError, OutputExistsError
from ndmapper.io.digest import digest
from ndmapper.io.filetypes import is_compressed, split_ext
from ndmapper.io.leftovers import staging_name
from ndmapper.io.provenance import provenance_hdus
from ndmapper.io.record import (
    canonical,
    cleaned_path,
    encode,
    pending_path,
    side_path,
)
from ndmapper.io.source import find_source
from ndmapper.io.write import append_hdu, publish
from ndmapper.steps.entry import Entry, ancestors, as_made
from ndmapper.steps.paths import absolute
from ndmapper.steps.planitem import PlanItem

__all__ = ["save_products"]

log = logging.getLogger(__name__)


@dataclass
class _Finished:
    """A product that is written, and not published yet."""

    temporary: Path
    target: Path
    side: Path | None = None

    def write_side(self, rows: list[Entry]) -> None:
        """Write the side record, under a name that nobody else has."""
        self.side = staging_name(side_path(self.target))
        _make_folder(self.side.parent)
        lines = ",\n".join(canonical(row) for row in rows)
        self.side.write_text(f"[{lines}]\n", encoding="utf-8")

    def publish(self) -> None:
        """Give product and side record their names."""
        # First, so that nobody who deletes it later takes it for removed by us.
        cleaned_path(self.target).unlink(missing_ok=True)
        if self.side is None:
            publish(self.temporary, self.target)
            side_path(self.target).unlink(missing_ok=True)
            return
        # Where a kill comes between the two, what waits tells that the product is
        # without its record.
        pending = pending_path(self.target)
        self.side.replace(pending)
        try:
            publish(self.temporary, self.target)
        except BaseException:
            if self.temporary.exists():
                pending.unlink(missing_ok=True)
            raise
        publish(pending, side_path(self.target))

    def discard(self) -> None:
        """Remove what was not published."""
        self.temporary.unlink(missing_ok=True)
        if self.side is not None:
            self.side.unlink(missing_ok=True)


def save_products(
    item: PlanItem, outcome: Outcome, stage: Path, facts: Entry
) -> dict[str, str]:
    """
    Write all products of one unit of work, then publish them one after the other.

    Parameters
    ----------
    item : PlanItem
        What was planned.
    outcome : Outcome
        What the engine made.
    stage : Path
        Folder for unfinished products of this call.
    facts : dict
        What the entries say beside what was expected: the files as they were, the
        ``run`` block, findings and decisions.

    Returns
    -------
    dict of str to str
        Path of each product to the digest of its content.
    """
    settings = item.work.settings
    outdir = absolute(settings["outdir"])
    finished: list[_Finished] = []
    contents, keys = {}, {}
    try:
        for output, product in outcome.products.items():
            target = absolute(str(item.targets[output]))
            if target.parent == outdir:
                temporary = stage / target.name
            else:  # a rename needs one file system, so it waits beside its place
                _make_folder(target.parent)
                temporary = staging_name(target)
            finished.append(_Finished(temporary, target))
            place = _place_of_record(item, product)
            rows = _write(item, output, product, temporary, facts)
            contents[target], keys[target] = rows[-1]["content"], rows[-1]["key"]
            if place != "file":
                finished[-1].write_side(rows)
        for one in finished:
            target = one.target
            if target.exists() and item.action in ("run", "reuse"):
                contents[target] = _kept(item, target, keys[target])
            else:
                one.publish()
                item.work.digests.put(find_source(target), contents[target], ours=True)
    finally:
        for one in finished:
            one.discard()
    return {str(target): content for target, content in contents.items()}


def _kept(item: PlanItem, target: Path, key: str) -> str:
    """Keep what is there, perhaps since somebody else has made it; give its digest."""
    step = item.work.declaration.name
    if item.action == "reuse":  # only what was made with it had been removed
        return digest(target)
    rows = DataFile(target).record
    if rows and rows[-1]["key"] == key:
        # The same: on a cluster, what a worker did that died before it could say so.
        log.debug("%s: %s was made twice", step, target)
        return str(rows[-1]["content"])
    if item.work.settings["reprocess"] in (None, "error"):
        msg = f"{target} was made by somebody else while {step} worked; it is kept"
        raise OutputExistsError(msg)
    log.warning("%s: %s was made by another run meanwhile; it is kept", step, target)
    return digest(target)


def _place_of_record(item: PlanItem, product: DataFile) -> str:
    """Say where the record goes: where the configuration wants it, if it can."""
    wanted: str = item.work.settings["record"]
    return wanted if carries_record(product) else "side"


def _write(
    item: PlanItem,
    output: Output,
    product: DataFile,
    temporary: Path,
    facts: Entry,
) -> list[Entry]:
    """Write one product, with its record where that belongs in the file."""
    work, name = item.work, Path(str(item.targets[output])).name
    place = _place_of_record(item, product)
    entry = as_made(item.expected[output], facts) | facts
    if not _moved_whole(product, temporary):
        # What is appended below brings all of it to the disk.
        more = place != "side"
        write_datafile(product, temporary, rows=[], more=more)
    entry["content"] = digest(temporary)
    rows = [*ancestors(work.used), entry]
    if place == "side":
        return rows
    tables = provenance_hdus(rows) if work.settings["provenance_tables"] else b""
    if is_compressed(split_ext(name)[1]):
        temporary.unlink()  # nothing can be appended to what is compressed
        write_datafile(product, temporary, rows=rows, tables=tables)
        return rows
    append_hdu(temporary, tables + encode(rows))
    return rows


def _moved_whole(product: DataFile, temporary: Path) -> bool:
    """Move what a tool has written, if nothing of it has to be changed."""
    made = None if product.filename is None else absolute(str(product))
    stage = temporary.parent
    if made is None or not made.is_relative_to(stage) or not product.unloaded:
        return False
    if product.record or any(
        is_compressed(split_ext(path.name)[1]) for path in (made, temporary)
    ):
        return False
    made.replace(temporary)
    return True


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        msg = f"the folder {folder} cannot be made ({err.strerror}); choose another"
        raise FileAccessError(msg) from err
