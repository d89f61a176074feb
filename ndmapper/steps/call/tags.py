"""The tag of a frame where a tool takes frames of several classes: 'OBJECT|STD|SKY'."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ndmapper.data import DataFile
from ndmapper.data.fileset import files_in
from ndmapper.data.planned import PlannedFile
from ndmapper.errors import ParameterError
from ndmapper.instruments import recognise
from ndmapper.io.quickheader import values_of
from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.record.entry import output_name
from ndmapper.steps.work_unit import Roles

__all__ = ["alternatives", "resolve_tags"]


def alternatives(name: str) -> list[str]:
    """List the tags that an input may have."""
    return name.split("|")


def resolve_tags(declaration: Declaration, roles: Roles) -> tuple[Declaration, Roles]:
    """
    Give each input the tag of the class of its frames, and outputs the tag of theirs.

    Raises
    ------
    ParameterError
        If frames are of none of the classes, or of several.
    """
    task = declaration.task
    is_open = any("|" in name for name in task.inputs)
    if not is_open and not any("{tag}" in str(name) for name in task.outputs):
        return declaration, roles
    tags = {
        name: _tag_of_all(declaration, name, items) if "|" in name else name
        for name, items in roles.items()
    }
    first = next(iter(tags.values()), "")

    def named(output: Any) -> Any:
        return output.replace("{tag}", first) if isinstance(output, str) else output

    of_outputs: dict[str, Any] = {
        which: {named(o): affix for o, affix in given.items()}
        if isinstance(given := getattr(declaration, which), Mapping)
        else given
        for which in ("prefix", "suffix")
    }
    resolved = replace(
        declaration,
        task=replace(
            task,
            inputs=tuple(
                next((t for t in tags.values() if t in alternatives(name)), name)
                for name in task.inputs
            ),
            outputs=tuple(map(named, task.outputs)),
        ),
        names={
            named(o): text.replace("{tag}", first)
            for o, text in declaration.names.items()
        },
        **of_outputs,
    )
    return resolved, {tags[name]: items for name, items in roles.items()}


def _tag_of_all(declaration: Declaration, name: str, items: Any) -> str:
    known = alternatives(name)
    found: dict[str, str] = {}
    for df in (df for item in items for df in files_in(item)[:1]):
        tag, said = _tag_of(df, known)
        if tag is None:
            msg = (
                f"{declaration.name} takes {', '.join(known)}, but {df} is {said}; "
                f"give the tag yourself: {declaration.name}({{{known[0]!r}: ...}})"
            )
            raise ParameterError(msg)
        found.setdefault(tag, str(df))
    if len(found) != 1:
        listed = ", ".join(f"{df} is {tag}" for tag, df in found.items())
        msg = (
            f"{declaration.name} takes frames of one class in a call, but {listed}; "
            "call it for each"
        )
        raise ParameterError(msg)
    return next(iter(found))


def _tag_of(df: DataFile, known: list[str]) -> tuple[str | None, str]:
    """Find the tag of a frame, and say what it is."""
    if isinstance(df, PlannedFile) and not df.is_made:
        made_as = str(output_name(df.record[-1]["output"]) if df.record else None)
        return (made_as if made_as in known else None), f"planned as {made_as}"
    instrument = recognise(df.header_values)
    if instrument is None:
        return None, "of an unknown instrument"
    first = values_of(df[0].content.stored) if len(df) else None
    values = instrument.describe(df.header_values, first)
    name, _ = instrument.classify_values(values)
    said = [instrument.tags.get(str(name)), values.get("product"), name]
    for word in said:
        for tag in known:
            if str(word).upper() == tag.upper():
                return tag, tag
    return None, f"a frame of the class {name}" if name else "of no class that is known"
