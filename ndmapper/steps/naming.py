"""What the products of a call are named, before anything is touched."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ndmapper.data import DataFile, FileName
from ndmapper.engines.base import Output
from ndmapper.errors import PlanError, ShapeError
from ndmapper.io.filetypes import plain_ext
from ndmapper.steps.declaration import Declaration
from ndmapper.steps.entry import Work

__all__ = ["absolute", "name_products", "refuse_clashes"]

Targets = dict[Output, FileName]

_FITS = ("fits", "fit", "fts")


def absolute(name: str | os.PathLike[str]) -> Path:
    """
    Give the absolute path of a file, without following links.

    Parameters
    ----------
    name : str or path-like
        Its name.

    Returns
    -------
    Path
        The path, with ``..`` taken out.
    """
    return Path(os.path.abspath(name))  # noqa: PTH100  # Path.absolute keeps '..'


def name_products(
    declaration: Declaration,
    units: Sequence[Sequence[DataFile]],
    out_names: Any,
    outdir: str,
) -> list[Targets]:
    """
    Name every product of a call.

    Parameters
    ----------
    declaration : Declaration
        The step.
    units : sequence of sequence of DataFile
        The inputs of each unit of work.
    out_names : object
        What the call says: a name, names aligned with the units, a mapping of those
        by output, or None.
    outdir : str
        The folder for products that are not named with a folder.

    Returns
    -------
    list of dict
        Output to name, for each unit.

    Raises
    ------
    PlanError
        If a product cannot be named.
    ShapeError
        If there are more or fewer names than products.
    """
    by_output = _given_names(declaration, out_names, len(units))
    targets: list[Targets] = []
    for index, inputs in enumerate(units):
        names: Targets = {}
        for output in declaration.outputs:
            given = by_output.get(output)
            if given is not None:
                names[output] = _placed(given[index], outdir)
            else:
                names[output] = _derived(declaration, inputs[0], output, outdir)
        targets.append(names)
    return targets


def _given_names(
    declaration: Declaration, out_names: Any, count: int
) -> dict[Output, list[Any]]:
    if out_names is None:
        return {}
    step, outputs = declaration.name, declaration.outputs
    if not isinstance(out_names, Mapping):
        if len(outputs) > 1:
            msg = f"{step} makes {list(outputs)}; give out_names as a mapping of those"
            raise PlanError(msg)
        out_names = {outputs[0]: out_names}
    elif unknown := set(out_names) - set(outputs):
        msg = f"{step} makes {list(outputs)}, not {sorted(unknown)}"
        raise PlanError(msg)
    found = {}
    for output, names in out_names.items():
        if isinstance(names, (str, FileName, DataFile, os.PathLike)):
            names = [names]  # noqa: PLW2901
        names = list(names)  # noqa: PLW2901
        if len(names) != count:
            products = "1 product" if count == 1 else f"{count} products"
            given = "1 name was" if len(names) == 1 else f"{len(names)} names were"
            msg = (
                f"{step} makes {products} of this call, but {given} given: "
                f"{', '.join(map(str, names))}"
            )
            raise ShapeError(msg)
        found[output] = names
    return found


def _placed(name: Any, outdir: str) -> FileName:
    """Put a name without a folder into outdir, and give it a type."""
    placed = FileName(name)
    if not placed.root:
        msg = "the name of a product is empty; give one such as 'product.fits'"
        raise PlanError(msg)
    if placed.ext is not None and plain_ext(placed.ext.lower()) not in _FITS:
        msg = f"{name} is no name for a product, which is FITS; name it *.fits"
        raise PlanError(msg)
    if not placed.dir:
        placed.dir = _folder(outdir)
    if placed.ext is None:
        placed.ext = "fits"
    return placed


def _folder(outdir: str) -> str:
    return "" if outdir in ("", ".", "./") else outdir


def _derived(
    declaration: Declaration, df: DataFile, output: Output, outdir: str
) -> FileName:
    if df.filename is None or not df.filename.root:
        msg = f"{declaration.name} was given a file without a name; give out_names"
        raise PlanError(msg)
    name = FileName(
        df.filename,
        prefix=declaration.affix("prefix", output),
        suffix=declaration.affix("suffix", output),
        dirname=_folder(outdir),
    )
    # Products are plain FITS unless they are named otherwise: they are read in
    # sections, and by programs that cannot read compressed files.
    name.ext = plain_ext(name.ext) if name.ext else "fits"
    return name


def refuse_clashes(works: Sequence[Work], targets: Sequence[Targets]) -> None:
    """
    Make sure that no product replaces another, or anything that is needed.

    Parameters
    ----------
    works : sequence of Work
        The units of work.
    targets : sequence of dict
        The names of their products.

    Raises
    ------
    PlanError
        If one does.
    """
    needed: dict[Path, str] = {}
    for work in works:
        for df in work.inputs:
            needed.setdefault(absolute(str(df)), "its input")
        for name, cal in work.calibrations.items():
            for df in [] if cal is None else cal if isinstance(cal, list) else [cal]:
                needed.setdefault(absolute(str(df)), f"the {name} of an input")
        for name, value in work.parameters.items():
            if isinstance(value, (DataFile, Path)):
                needed.setdefault(absolute(str(value)), f"the file given as {name}")
    made: dict[Path, str] = {}
    for work, names in zip(works, targets, strict=True):
        step, source = work.declaration.name, str(work.inputs[0])
        for target in names.values():
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
