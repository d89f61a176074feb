"""Hops 6 and 10: stage products, and rename them into place with their records."""

import logging
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from ndmapper.data import DataFile
from ndmapper.data.plainfile import PlainFile, open_file, write_file
from ndmapper.data.saving.save import carries_record, write_datafile
from ndmapper.engines.base import Outcome, Output
from ndmapper.errors import (
    FileAccessError,
    FormatError,
    OutputExistsError,
    RecordError,
)
from ndmapper.io.checksum import take_sums_out
from ndmapper.io.digest import digest, examine
from ndmapper.io.filetypes import is_compressed, split_ext
from ndmapper.io.provenance import provenance_hdus
from ndmapper.io.record import (
    cleaned_path,
    encode,
    entry_key,
    pending_path,
    side_path,
    side_text,
)
from ndmapper.io.sidedata import make_side_folder
from ndmapper.io.source import absolute, find_source, stamp_of
from ndmapper.io.temporary import staging_mark, staging_name, sweep
from ndmapper.io.write import append_hdu, publish
from ndmapper.steps.call.decide import PlanItem
from ndmapper.steps.record.differences import differences
from ndmapper.steps.record.entry import Entry, ancestors, completed_entries
from ndmapper.steps.run.members import removing_former
from ndmapper.steps.work_unit import WorkUnit

__all__ = [
    "publish_products",
    "stage",
]


log = logging.getLogger(__name__)

_PATIENCE = 30.0
"""Longest wait for other runs that publish [s]; each needs an instant."""


@dataclass
class _Finished:
    """A product that is written to the stage, and not published yet."""

    temporary: Path
    target: Path
    side: Path | None = None

    def write_side(self, rows: list[Entry]) -> None:
        """Write the side record under a unique name."""
        self.side = staging_name(side_path(self.target))
        _make_folder(self.side.parent)
        self.side.write_text(side_text(rows), encoding="utf-8")

    def publish(self) -> None:
        """Rename product and side record into place."""
        # First: a product that the user deletes later must not count as cleaned.
        cleaned_path(self.target).unlink(missing_ok=True)
        if self.side is None:
            publish(self.temporary, self.target)
            side_path(self.target).unlink(missing_ok=True)
            return
        # After a kill between the two renames, the pending record tells that the
        # product is without its record.
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
        """Remove the files if they were not published."""
        self.temporary.unlink(missing_ok=True)
        if self.side is not None:
            self.side.unlink(missing_ok=True)


def publish_products(
    item: PlanItem, outcome: Outcome, stage: Path, facts: Entry
) -> dict[str, str]:
    """Write all products of a unit, then rename them into place; give their digests."""
    settings = item.unit.settings
    outdir = absolute(settings["outdir"])
    finished: list[_Finished] = []
    before = ancestors(item.unit.used, item.unit.digests)
    entries = completed_entries(item.expected, facts)
    contents, keys = {}, {}
    asks = bool(settings["interact"]) and not item.unit.declaration.is_python
    by_hand = asks or outcome.replayed
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
            rows = [*before, entries[output]]
            _write(item, product, temporary, rows, by_hand=by_hand)
            contents[target], keys[target] = rows[-1]["content"], rows[-1]["key"]
            if place != "file":
                finished[-1].write_side(rows)
        outputs = list(outcome.products)
        with _publishing({one.target.parent for one in finished}):
            # All are looked at before the first is published.
            kept = {
                one.target: content
                for output, one in zip(outputs, finished, strict=True)
                if (content := _kept(item, output, one.target, keys[one.target]))
            }
            with removing_former(item) if item.unit.open else nullcontext():
                for one in finished:
                    if one.target not in kept:
                        one.publish()
        for target, content in contents.items():
            if target not in kept:
                item.unit.digests.put(find_source(target), content, ours=True)
        contents |= kept
    finally:
        for one in finished:
            one.discard()
    return {str(target): content for target, content in contents.items()}


@contextmanager
def _publishing(folders: Collection[Path]) -> Iterator[None]:
    """Lock the folders of products, so that runs compare and publish in turns."""
    from filelock import FileLock  # slow to import

    with ExitStack() as stack:
        for folder in sorted(folders):
            lock = folder / ".ndmapper" / "publish.lock"
            try:
                make_side_folder(lock)
                stack.enter_context(FileLock(lock, timeout=_PATIENCE))
            except (OSError, NotImplementedError) as err:
                # A file system without locks, or the lock of another user: files are
                # compared anyway, an instant before they are replaced.
                log.debug("no lock %s: %s", lock, err)
        yield


def _kept(item: PlanItem, output: Output, target: Path, key: str) -> str | None:
    """Give the digest of an existing product that is kept; None if it is replaced."""
    stamp, step = stamp_of(target), item.unit.declaration.name
    if stamp is None:
        return None
    if stamp == item.seen[output]:
        # Made again with what was removed beside it, and not to be replaced.
        return digest(target) if item.action == "reuse" else None
    try:
        rows = open_file(target).record
    except (FormatError, RecordError):
        rows = []
    if rows and rows[-1]["key"] == key:
        # The same: another run of the same script, or on a cluster what a worker did
        # that died before it could say so.
        log.debug("%s: %s was made twice", step, target)
        return str(rows[-1]["content"])
    reasons = (
        [str(d) for d in differences(rows[-1], item.expected[output])] if rows else []
    )
    how = f" ({'; '.join(reasons)})" if reasons else ""
    msg = (
        f"{target} was made or changed by somebody else while {step} worked, and it is "
        f"not what {step} makes{how}; it is kept. Run again when the other run has "
        "ended; scripts that give one name to different products need folders of their "
        "own (outdir)"
    )
    raise OutputExistsError(msg)


def _place_of_record(item: PlanItem, product: DataFile) -> str:
    """Choose where the record goes: as configured, or beside what cannot hold it."""
    if isinstance(product, PlainFile) or not carries_record(product.content):
        return "side"
    wanted: str = item.unit.settings["record"]
    return wanted


def _write(
    item: PlanItem,
    product: DataFile,
    temporary: Path,
    rows: list[Entry],
    *,
    by_hand: bool,
) -> None:
    """Write one product to the stage, with its record if that goes into the file."""
    place, (*_, entry) = _place_of_record(item, product), rows
    if _moved_whole(product, temporary):
        pass
    elif isinstance(product, PlainFile):
        write_file(product, temporary)
    else:
        # Appending the record, below, syncs the whole file.
        more = place != "side"
        write_datafile(product, temporary, rows=[], more=more)
    found = examine(temporary)
    entry["content"] = found.digest
    if by_hand:  # what the user did in the tool is in its product alone
        entry["interactive"] = found.digest
        entry["key"] = entry_key(entry)
    if place != "side":
        _add_record(item.unit, product, temporary, rows, entry["product"])
    if found.damaged:
        take_sums_out(temporary, found.damaged)


def _add_record(
    unit: WorkUnit, product: DataFile, temporary: Path, rows: list[Entry], name: str
) -> None:
    tables = provenance_hdus(rows) if unit.settings["provenance_tables"] else b""
    if is_compressed(split_ext(name)[1]):
        temporary.unlink()  # nothing can be appended to a compressed file
        write_datafile(product, temporary, rows=rows, tables=tables)
        return
    append_hdu(temporary, tables + encode(rows))


def _moved_whole(product: DataFile, temporary: Path) -> bool:
    """Move the file of a tool to the stage as it is, if it need not be changed."""
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
        make_side_folder(folder / "any")
    except OSError as err:
        msg = f"the folder {folder} cannot be made ({err.strerror}); choose another"
        raise FileAccessError(msg) from err


@contextmanager
def stage(outdir: Path) -> Iterator[Path]:
    """
    Make a folder for unfinished products, on the same file system; remove it after.

    Raises
    ------
    FileAccessError
        If the folder cannot be written.
    """
    home = outdir / ".ndmapper" / "stage"
    folder = home / staging_mark()
    try:
        make_side_folder(folder)
        folder.mkdir()
    except OSError as err:
        msg = (
            f"products cannot be written to {outdir.absolute()} ({err.strerror}: "
            f"{err.filename}); choose another folder with outdir, or run in one that "
            "you can write to"
        )
        raise FileAccessError(msg) from err
    sweep(home)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
