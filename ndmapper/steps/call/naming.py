"""Hop 5, names: what the products of a call are called, and that none clash."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ndmapper.data import DataFile, FileName, FileSet
from ndmapper.data.name_pattern import (
    Key,
    NamePattern,
    field_name,
    parse_pattern,
    without_key,
)
from ndmapper.engines.base import Output
from ndmapper.errors import PlanError, ShapeError, did_you_mean
from ndmapper.io.filetypes import (
    in_database,
    is_compressed,
    is_fits,
    is_plain,
    plain_ext,
)
from ndmapper.io.source import absolute
from ndmapper.steps.declare.declaration import Declaration
from ndmapper.steps.work_unit import Roles, Targets, WorkUnit, as_list, files_within

__all__ = ["name_products", "refuse_clashes", "spread"]


_OF_INPUT = ("{base}", "{root}")
"""What stands in a pattern for the name of the first input, or the whole of it."""


class _Pattern(FileName):
    """A name whose braces hold a key; in any other they are part of the name."""

    __slots__ = ()


def name_products(
    declaration: Declaration,
    all_roles: Sequence[Roles],
    out_names: Any,
    outdir: str,
) -> list[dict[Output, FileName]]:
    """
    Name every product of a call.

    Raises
    ------
    PlanError
        If a product cannot be named.
    ShapeError
        If there are more or fewer names than products.
    """
    given = _by_output(declaration, out_names)
    takes_all = declaration.each == "list"
    targets: list[dict[Output, FileName]] = [{} for _ in all_roles]
    for output in declaration.outputs:
        pattern = given.get(output, declaration.names.get(output))
        is_for_each = len(all_roles) > 1 and any(f in str(pattern) for f in _OF_INPUT)
        if isinstance(pattern, str) and (output not in given or is_for_each):
            for names, roles in zip(targets, all_roles, strict=True):
                (name,) = _expanded(declaration, pattern, output, roles)
                names[output] = _Pattern(_placed(declaration, name, outdir))
            continue
        if output not in given:
            for names, roles in zip(targets, all_roles, strict=True):
                first = _first(declaration, roles)
                names[output] = _derived(declaration, first, output, outdir)
            continue
        spec = given[output]
        if isinstance(spec, str) and spec[:1] in ("@", "!"):
            for names, roles in zip(targets, all_roles, strict=True):
                sources = _named_role(declaration, spec, roles, all_roles)
                made = [_derived(declaration, df, output, outdir) for df in sources]
                names.update(_numbered(output, made))
            continue
        wanted = _expanded(declaration, spec, output, all_roles[0])
        may_have_key = (
            not declaration.is_python
            or declaration.by is not None
            or output in declaration.names
            or any(isinstance(i, FileSet) for i in _items(all_roles))
        )
        if takes_all and (len(wanted) == 1 or not declaration.is_python):
            placed = [_placed(declaration, name, outdir) for name in wanted]
            if may_have_key:
                placed = [_Pattern(name) for name in placed]
            targets[0].update(_numbered(output, placed))
            continue
        if len(wanted) != len(all_roles):
            products = (
                "1 product" if len(all_roles) == 1 else f"{len(all_roles)} products"
            )
            count = len(wanted)
            were = "1 name was" if count == 1 else f"{count} names were"
            msg = (
                f"{declaration.name} makes {products} of this call, but {were} given: "
                f"{', '.join(map(str, wanted))}"
            )
            raise ShapeError(msg)
        for names, name in zip(targets, wanted, strict=True):
            placed_name = _placed(declaration, name, outdir)
            is_set = isinstance(name, FileSet) or may_have_key
            names[output] = _Pattern(placed_name) if is_set else placed_name
    return targets


def _items(all_roles: Sequence[Roles]) -> list[Any]:
    return [i for roles in all_roles for items in roles.values() for i in items]


def _by_output(declaration: Declaration, out_names: Any) -> Mapping[Output, Any]:
    """Sort the names given in a call by output."""
    step, outputs = declaration.name, declaration.outputs
    if out_names is None:
        return {}
    if not isinstance(out_names, Mapping):
        if len(outputs) != 1:
            msg = f"{step} makes {list(outputs)}; give out_names as a mapping of those"
            raise PlanError(msg)
        return {outputs[0]: out_names}
    if unknown := set(out_names) - set(outputs):
        msg = f"{step} makes {list(outputs)}, not {sorted(map(str, unknown))}"
        raise PlanError(msg)
    return {name: spec for name, spec in out_names.items() if spec is not None}


def _first(declaration: Declaration, roles: Roles) -> Any:
    """Give the file that a product is named after."""
    for files in roles.values():
        return files[0]
    msg = f"{declaration.name} has no input to name its product after; give out_names"
    raise PlanError(msg)


def _named_role(
    declaration: Declaration, spec: str, roles: Roles, all_roles: Sequence[Roles]
) -> Sequence[DataFile]:
    """Find the files that ``'@p'`` or ``'!p'`` names products after."""
    name = spec[1:]
    if name not in roles:
        msg = (
            f"{declaration.name}: the output {spec!r} is named after the input {name!r}"
            f", which is not there{did_you_mean(name, roles)}"
        )
        raise PlanError(msg)
    return roles[name] if spec[0] == "@" else all_roles[0][name][:1]


def _expanded(
    declaration: Declaration, spec: Any, output: Output, roles: Roles
) -> list[Any]:
    """List the names given for an output, with what stands in braces filled in."""
    names = (
        [spec]
        if isinstance(spec, (str, FileName, DataFile, FileSet, os.PathLike))
        else list(spec)
    )
    found: list[Any] = []
    for name in names:
        if not isinstance(name, str) or "{" not in name:
            found.append(name)
            continue
        first = next((files[0] for files in roles.values()), None)
        named = None if first is None else _name_of(first)
        own = FileName() if named is None else _without_key(first, named)
        text = name.replace("{output}", str(output or ""))
        for field, part in zip(_OF_INPUT, (own.base, own.root), strict=True):
            text = text.replace(field, part)
        found += _braces(text)
    return found


def _braces(text: str) -> list[str]:
    """Expand ``{01..24}`` as shells do."""
    match = re.search(r"\{(\d+)\.\.(\d+)\}", text)
    if match is None:
        return [text]
    start, stop = match.groups()
    numbers = range(int(start), int(stop) + 1)
    head, tail = text[: match.start()], text[match.end() :]
    return [
        f"{head}{n:0{len(start)}d}{rest}" for n in numbers for rest in _braces(tail)
    ]


def _numbered(output: Output, names: Sequence[FileName]) -> dict[Output, FileName]:
    """Tell the products of one output apart by a number."""
    if len(names) == 1:
        return {output: names[0]}
    return {f"{output}#{n}": name for n, name in enumerate(names, 1)}


def _placed(declaration: Declaration, name: Any, outdir: str) -> FileName:
    """Complete a given name: outdir where it has no folder, fits where no type."""
    placed = FileName(name)
    if not placed.root:
        msg = "the name of a product is empty; give one such as 'product.fits'"
        raise PlanError(msg)
    gives_images = declaration.is_python and declaration.each == "ndd"
    may_be = is_plain(placed) and not gives_images and not is_compressed(placed.ext)
    if not (may_be or placed.ext is None or is_fits(placed.ext)):
        msg = f"{name} is no name for a product, which is FITS; name it *.fits"
        raise PlanError(msg)
    is_entry = in_database(placed)
    if not placed.dir:
        placed.dir = _folder(outdir)
    elif placed.dir == "database":  # which IRAF has in the folder of the products
        placed.dir = os.path.join(_folder(outdir), "database")  # noqa: PTH118
    if placed.ext is None and not is_entry:
        placed.ext = "fits"
    return placed


def _folder(outdir: str) -> str:
    return "" if outdir in ("", ".", "./") else outdir


def _without_key(item: Any, name: FileName) -> FileName:
    """Take the key in braces, with the dash before it, off the name of a set."""
    if not isinstance(item, FileSet):
        return name
    text = without_key(name.name)
    return FileName(os.path.join(name.dir, text)) if text != name.name else name  # noqa: PTH118


def spread(
    names: Targets, key: Mapping[str, Key], like: NamePattern | None = None
) -> tuple[dict[Output, FileName], dict[Output, FileName], dict[Output, FileName]]:
    """
    Sort the names of the products of a unit: of one each, of open ones, and of sets.

    Where a call is split, the name of each product has the key of its unit, written as
    in the pattern of its input.
    """
    closed: dict[Output, FileName] = {}
    open_: dict[Output, FileName] = {}
    sets: dict[Output, FileName] = {}
    for output, name in names.items():
        own, pattern = name, None
        if isinstance(name, _Pattern):
            pattern = parse_pattern(str(name))
        values = {field_name(field): value for field, value in key.items()}
        lacking = [f for f in values if pattern is None or f not in pattern.fields]
        if lacking:
            own = FileName(name)
            for field in lacking:
                digits = ":02d" if isinstance(values[field], int) else ""
                text = f"{{{field}{digits}}}"
                if like is not None and field in like.fields:
                    text = like.in_braces(field)
                own.suffix = [*own.suffix, f"-{text}"]
            pattern = NamePattern(str(own))
        if pattern is None:
            closed[output] = own
            continue
        sets[output] = own
        filled = FileName(pattern.fill_fields(values))
        if set(pattern.fields) <= set(values):
            closed[output] = filled
        else:
            open_[output] = filled
    return closed, open_, sets


def _name_of(item: Any) -> FileName | None:
    """Give the name of a file or set, of a set that is in one file that of the file."""
    if isinstance(item, FileSet) and item.source is not None and not item.filename:
        item = item.source
    name: FileName | None = item.filename
    return name


def _keeps_key(declaration: Declaration) -> bool:
    """Whether a product is of one member of a set, not of all."""
    is_alone = declaration.each == "file" and not declaration.is_python
    return bool(declaration.by) or declaration.each == "ndd" or is_alone


def _derived(
    declaration: Declaration, df: Any, output: Output, outdir: str
) -> FileName:
    named = _name_of(df)
    if named is None or not named.root:
        msg = f"{declaration.name} was given a file without a name; give out_names"
        raise PlanError(msg)
    name = FileName(
        named if _keeps_key(declaration) else _without_key(df, named),
        prefix=declaration.affix("prefix", output),
        suffix=declaration.affix("suffix", output),
        dirname=_folder(outdir),
    )
    # Products are plain FITS unless they are named otherwise: they are read in
    # sections, and by programs that cannot read compressed files.
    name.ext = plain_ext(name.ext) if name.ext else "fits"
    is_set = isinstance(df, FileSet) and df.pattern is not None
    return _Pattern(name) if is_set else name


def _files_needed(units: Sequence[WorkUnit]) -> dict[Path, str]:
    """Find all files that go in, and as what."""
    # Units share most of them.
    files: dict[int, tuple[Any, str]] = {}
    for unit in units:
        for df in unit.inputs:
            files.setdefault(id(df), (df, "its input"))
        for name, cal in unit.calibrations.items():
            for df in as_list(cal):
                files.setdefault(id(df), (df, f"the {name} of an input"))
        for name, value in {**unit.parameters, **unit.tool_parameters}.items():
            for file in files_within(value):
                files.setdefault(id(file), (file, f"the file given as {name}"))
    needed: dict[Path, str] = {}
    for file, what in files.values():
        needed.setdefault(absolute(str(file)), what)
    return needed


def refuse_clashes(
    units: Sequence[WorkUnit],
    targets: Sequence[Targets],
    *,
    before: Sequence[tuple[WorkUnit, Targets]] = (),
) -> None:
    """
    Make sure that no product replaces another, an input or a calibration.

    Raises
    ------
    PlanError
        If one does.
    """
    needed = _files_needed([*units, *(unit for unit, _ in before)])
    for _, names in before:
        for target in names.values():  # it is never written
            needed.pop(absolute(str(target)), None)
    made: dict[Path, str] = {}
    for unit, names in zip(units, targets, strict=True):
        step, source = (
            unit.declaration.name,
            ", ".join(map(str, unit.inputs[:1])) or "nothing",
        )
        # Of an output of any number, the pattern stands for the names.
        for target in (*names.values(), *unit.open.values()):
            path = absolute(str(target))
            if path in made:
                msg = (
                    f"{step} would write {target} twice, from {made[path]} and from "
                    f"{source}; give out_names"
                )
                raise PlanError(msg)
            made[path] = source
            if path in needed:
                msg = (
                    f"{step} would write {target}, which is {needed[path]}; give "
                    "another name with out_names, or another folder with outdir"
                )
                raise PlanError(msg)
