"""Whether a product is stale, judged by its record and its input files."""

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ndmapper.data.plainfile import open_file
from ndmapper.engines import Task, get_engine
from ndmapper.errors import (
    DeclarationError,
    FormatError,
    InstrumentError,
    MissingFileError,
    RecordError,
)
from ndmapper.instruments import has_own_tables
from ndmapper.io.digest import DigestCache, digest
from ndmapper.io.record import identity, read_cleaned, read_records
from ndmapper.steps.instrument_block import (
    block_differences,
    block_of,
    named_changes,
)
from ndmapper.steps.instrument_table import flags_block, plan_facts
from ndmapper.steps.record.decisions import decided_otherwise, word_decisions
from ndmapper.steps.record.entry import is_as_recorded
from ndmapper.steps.record.equivalence import revision_of
from ndmapper.steps.record.versions import package_version

__all__ = ["find_input", "references_of", "table_changes", "why_stale"]

log = logging.getLogger(__name__)


def why_stale(
    path: Path,
    digests: DigestCache | None = None,
    *,
    revision_now: Callable[[str, str], int | None] | None = None,
) -> list[str]:
    """
    List what has changed since a product was made.

    Raises
    ------
    RecordError
        If the file has no record.
    """
    digests = digests or DigestCache(path.parent / ".ndmapper")
    df = open_file(path)
    if not df.record:
        msg = f"{path} has no record: no step of ndmapper made it"
        raise RecordError(msg)
    found = []
    last = df.record[-1]
    if last["step"] == "edited":
        found.append("it was edited and saved in Python")
    elif not is_as_recorded(df, digests):
        found.append("it was changed by hand or by another program")
    for row in df.record:
        name = "" if row is last else f"{row['product']}: "
        made = Path(find_input(row["product"], row, path) or path)
        for word, reference in references_of(row):
            reason = _reference_differs(reference, row, made, digests)
            if reason:
                found.append(f"{name}{word} {reference['name']} {reason}")
        decided = word_decisions(row, decided_otherwise(made, row))
        found += [f"{name}{text}" for text in (*table_changes(row, made), *decided)]
        tool, old = row["tool"]["name"], row["tool"]["version"]
        if (was := revision_of(row)) is not None and row["engine"] == "python":
            now = revision_now(row["module"], row["step"]) if revision_now else None
            if now not in (None, was):
                text = f"the revision of {row['step']} was {was}, now {now}"
                found.append(f"{name}{text}")
        elif _needs_a_script(row):
            log.info(
                "%s%s was %s; which version there is now can only be told by "
                "'ndmapper why SCRIPT', since the command that asks for it stands in "
                "the script",
                name, tool, old,
            )  # fmt: skip
        elif (version := _tool_version(row)) is not None and version != old:
            found.append(f"{name}{tool} was {old}, now {version}")
    digests.save()
    return list(dict.fromkeys(found))


def table_changes(row: Mapping[str, Any], product: Path) -> list[str]:
    """List what an instrument table gives otherwise than a record says."""
    block = block_of(row)
    if block is None or not (block or has_own_tables()):
        return []
    source = row["run"].get("table")
    given = source if source is not None and Path(str(source)).is_file() else None
    path = next(
        (p for ref in row["inputs"] if (p := find_input(ref["name"], row, product))),
        None,
    )
    if path is None or not path.exists():
        return named_changes(block)
    try:
        df = open_file(path)
        now = {**flags_block(df), **plan_facts([df], given).block}
    except (FormatError, RecordError, MissingFileError):
        return []  # listed for the input already
    except InstrumentError as err:
        return [str(err)]
    return block_differences(block, now)


def references_of(
    row: Mapping[str, Any],
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """List all files that an entry refers to."""
    for reference in row["inputs"]:
        yield "input", reference
    for part in ("calibrations", "references"):
        for name, value in row[part].items():
            listed = value if isinstance(value, list) else [value]
            for reference in listed:
                if reference is not None:
                    yield name, reference


def find_input(name: str, row: Mapping[str, Any], product: Path) -> Path | None:
    """Find an input file by the paths in the record, or beside the product."""
    return next(_places(name, row, product), None)


def _places(name: str, row: Mapping[str, Any], product: Path) -> Iterator[Path]:
    """List the recorded paths of a name that exist, else the one beside the product."""
    recorded = row["run"].get("paths", {}).get(name) or []
    places = [Path(p) for p in ([recorded] if isinstance(recorded, str) else recorded)]
    found = [path for path in places if _was_there(path)]
    if not found:
        # No record chooses another folder.
        own = Path(name).name
        beside = (product.parent / own, product.parent / "database" / own)
        found = [path for path in beside if _was_there(path)][:1]
    yield from found


def _was_there(path: Path) -> bool:
    try:
        return path.exists() or bool(read_cleaned(path))
    except (OSError, ValueError):  # a record may hold what can be no path
        return False


def _reference_differs(
    reference: Mapping[str, Any],
    row: Mapping[str, Any],
    product: Path,
    digests: DigestCache,
) -> str | None:
    if reference.get("memory"):
        return "was only in memory, so nobody can tell"
    if not (reference.get("key") or reference.get("digest")):
        return "has no digest in the record, so nobody can tell"
    reasons = []
    for path in _places(reference["name"], row, product):
        reason = _place_differs(path, reference, digests)
        if reason is None:
            return None
        reasons.append(reason)
    return reasons[0] if reasons else "is not here any more"


def _place_differs(
    path: Path, reference: Mapping[str, Any], digests: DigestCache
) -> str | None:
    try:
        return _content_differs(path, reference, digests)
    except MissingFileError:
        return "is not here any more"
    except (FormatError, RecordError) as err:
        return f"cannot be read ({err})"


def _content_differs(
    path: Path, reference: Mapping[str, Any], digests: DigestCache
) -> str | None:
    if not path.exists():
        rows = read_cleaned(path)
        same = bool(rows) and rows[-1]["key"] == identity(reference)
        return None if same else "was removed, and was another one"
    if not reference.get("key"):
        same = digest(path, digests) == reference["digest"]
        return None if same else "has another content now"
    rows = read_records(path)
    if not rows or rows[-1]["key"] != reference["key"]:
        return "was made anew since"
    if not is_as_recorded(open_file(path), digests):
        return "was changed by hand or by another program"
    return None


def _needs_a_script(row: Mapping[str, Any]) -> bool:
    """
    Whether the version of a tool comes from a command that a script declares.

    The record repeats that command, but nothing that a record says is ever run.
    """
    task = row.get("task")
    return bool(task and task["words"].get("version"))


def _tool_version(row: Mapping[str, Any]) -> str | None:
    """
    Ask the engine for the version of the tool; None where it cannot tell.

    The engine, which is installed code, is asked with its own words alone, not with
    those of the record.
    """
    task = row.get("task")
    if task is None:
        name = row["tool"]["name"]
        return None if name in ("script", "user") else package_version(name)
    try:
        engine = get_engine(row["engine"])
    except DeclarationError:
        return None
    wanted = Task(
        engine=engine.name,
        name=task["name"],
        inputs=(),
        outputs=(),
        words=engine.words,
    )
    return engine.tool(wanted)["version"]
