"""The steps that there are: those of ndmapper, of other modules, and of scripts."""

import importlib
import pkgutil
from pathlib import Path

from ndmapper.errors import (
    MissingFileError,
    MissingPackageError,
    ParameterError,
    did_you_mean,
)
from ndmapper.steps import Step

__all__ = ["find_step", "library_steps", "revision_now"]


def library_steps() -> dict[str, Step]:
    """Import the libraries, and list their steps by ``module.name``, sorted."""
    from ndmapper import lib

    found: dict[str, Step] = {}
    seen: set[int] = set()
    for info in pkgutil.walk_packages(lib.__path__, f"{lib.__name__}."):
        if any(part.startswith("_") for part in info.name.split(".")):
            continue
        try:
            module = importlib.import_module(info.name)
        except (ImportError, MissingPackageError):
            continue
        for name, value in vars(module).items():
            if isinstance(value, Step) and id(value) not in seen:
                seen.add(id(value))
                place = module.__name__.removeprefix(f"{lib.__name__}.")
                found[f"{place}.{name}"] = value
    return dict(sorted(found.items()))


def revision_now(module: str, step: str) -> int | None:
    """Give the revision of a library step; None where there is no such step."""
    from ndmapper import lib

    for info in pkgutil.walk_packages(lib.__path__, f"{lib.__name__}."):
        if info.name == module:
            for value in vars(importlib.import_module(info.name)).values():
                if isinstance(value, Step) and value.name == step:
                    return value.declaration.revision or 1
    return None


def find_step(name: str, *, to_run: bool = False) -> Step:
    """
    Find a step.

    Of a script nothing is run but imports, ``def``, ``class`` and assignments of
    literals.
    """
    place, colon, last = name.rpartition(":")
    if place.endswith(".py"):
        from ndmapper.cli.definitions import ScriptDefinitions

        script = ScriptDefinitions(Path(place))
        step = script.step(last)
        if to_run:
            script.check_whole(step)
        return step
    if colon:
        value = getattr(_load(place), last, None)
        if isinstance(value, Step):
            return value
        msg = f"{place} has no step {last!r}"
        raise ParameterError(msg)
    known = library_steps()
    matching = [
        step
        for full, step in known.items()
        if full == name or full.endswith(f".{name}")
    ]
    if len({id(step) for step in matching}) == 1:
        return matching[0]
    if matching:
        full = [n for n in known if n.endswith(f".{name}")]
        msg = f"there are several steps {name!r}; say which: {', '.join(full)}"
        raise ParameterError(msg)
    short = {full.rpartition(".")[2] for full in known}
    msg = (
        f"there is no step {name!r}{did_you_mean(name, short)}; one of a script is "
        "named 'script.py:step'"
    )
    raise ParameterError(msg)


def _load(place: str) -> object:
    try:
        return importlib.import_module(place)
    except ImportError as err:
        msg = f"the module {place} cannot be imported ({err})"
        raise MissingFileError(msg) from err
