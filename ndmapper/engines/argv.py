"""Arguments of a program, with places for files and values."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ndmapper.engines.base import Job, Output
from ndmapper.errors import (
    DeclarationError,
    ParameterError,
    UnknownParameterError,
    did_you_mean,
)

__all__ = ["arguments", "places"]

_PLACE = re.compile(r"\{([A-Za-z_]\w*)\}")


def places(argv: Iterable[object]) -> list[str]:
    """List the places of a command line."""
    return list(dict.fromkeys(name for item in argv for name in _named(item)))


def arguments(
    job: Job, given: Mapping[str, Sequence[str]], made: Mapping[Output, str]
) -> list[str]:
    """
    Put values into the places of argv, each as a whole and as nothing but data.

    Raises UnknownParameterError if a parameter has no place in argv.; ParameterError if
    a value would be taken for an option.; DeclarationError if a place has no value, or
    an item several places.
    """
    paths: dict[str, Sequence[Any]] = {
        **{str(name): [path] for name, path in made.items() if name is not None},
        **given,
    }
    if len(made) == 1:
        paths["out"] = list(made.values())
    if len(job.roles) == 1:
        paths["in"] = given[next(iter(job.roles)) or "in"]
    values = _check_places(job, paths)
    found = []
    for item in job.task.words["argv"]:
        text = _text(job, "argv", item)
        named = _named(item)
        if not named:
            found.append(text)
            continue
        if len(named) > 1:
            msg = f"{job.step}: {text!r} in argv has several places; give each its item"
            raise DeclarationError(msg)
        (name,) = named
        before, after = text.split(f"{{{name}}}")
        for value in values[name]:
            if not before and name not in paths:
                _refuse_option(job, name, value)
            found.append(f"{before}{_text(job, name, value)}{after}")
    return found


def _named(item: object) -> list[str]:
    # A path that is written in argv is what it is, whatever its folders are called.
    return [] if isinstance(item, Path) else _PLACE.findall(str(item))


def _check_places(
    job: Job, paths: Mapping[str, Sequence[Any]]
) -> dict[str, Sequence[Any]]:
    """Pair places and values."""
    known = places(job.task.words["argv"])
    values = dict(paths)
    for name, value in job.parameters.items():
        if name not in known:
            msg = (
                f"{job.step}: {name!r} has no place in argv{did_you_mean(name, known)}"
            )
            raise UnknownParameterError(msg)
        if name not in values:
            is_list = isinstance(value, list | tuple)
            values[name] = value if is_list else [] if value is None else [value]
    for name in known:
        if name not in values:
            msg = (
                f"{job.step}: nothing is given for {{{name}}} in argv"
                f"{did_you_mean(name, values)}"
            )
            raise DeclarationError(msg)
    return values


def _text(job: Job, name: str, value: Any) -> str:
    # The program runs in a folder of its own, where the name alone means nothing.
    text = str(value.absolute() if isinstance(value, Path) else value)
    if "\0" in text:
        msg = f"{job.step}: {name} must be text without the character 0, not {value!r}"
        raise ParameterError(msg)
    return text


def _refuse_option(job: Job, name: str, value: Any) -> None:
    if isinstance(value, str) and value.startswith("-"):
        msg = (
            f"{job.step}: {name}={value!r} starts with '-', so {job.task.name} would "
            f"take it for an option; declare it as one item, '--{name}={{{name}}}'"
        )
        raise ParameterError(msg)
