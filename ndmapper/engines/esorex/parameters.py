"""Parameters of recipes: parsed from esorex, checked, and formatted."""

import math
import numbers
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ndmapper.data import DataFile
from ndmapper.errors import ParameterError, UnknownParameterError, did_you_mean

__all__ = ["Parameter", "arguments", "is_frames", "python_name", "read_parameters"]


# Tags of frames are upper case, parameters lower case.
_TAG = re.compile(r"[A-Z][A-Z0-9_]+")


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a recipe, as esorex describes it."""

    # Name on the command line.
    name: str
    # bool, int, double or string.
    kind: str
    # Default value.
    default: Any
    # Limits of a number.
    low: float | None = None
    high: float | None = None
    # Allowed values; empty if unknown.
    choices: tuple[Any, ...] = ()
    # Allowed words of a string, from its description; empty if unknown.
    words: tuple[str, ...] = ()


def python_name(name: str) -> str:
    """Return the name of a parameter in Python spelling."""
    return re.sub(r"[-.]", "_", name)


def is_frames(value: Any) -> bool:
    """Whether a value is files, rather than the value of a parameter."""
    if isinstance(value, DataFile):
        return True
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and all(isinstance(item, DataFile) for item in value)
    )


def read_parameters(described: Any) -> dict[str, Parameter]:
    """Parse the output of ``esorex --create-config``."""
    if not isinstance(described, list):
        msg = "it is no list of parameters"
        raise ValueError(msg)
    found = {}
    for entry in described:
        if not _is_described(entry):
            msg = f"{entry!r:.80} does not describe a parameter"
            raise ValueError(msg)
        name, kind, default = entry["display_name"], entry["valtype"], entry["value"]
        choices = tuple(entry.get("valenum", ()))
        words: tuple[str, ...] = ()
        if kind == "string" and not choices:
            words = _words(str(default), str(entry.get("description", "")))
        found[python_name(name)] = Parameter(
            name=name,
            kind=kind,
            default=default,
            low=entry.get("valmin"),
            high=entry.get("valmax"),
            choices=choices,
            words=words,
        )
    return found


def _is_described(entry: Any) -> bool:
    if not isinstance(entry, dict) or "value" not in entry:
        return False
    limits = (entry.get("valmin"), entry.get("valmax"))
    return (
        all(isinstance(entry.get(word), str) for word in ("display_name", "valtype"))
        and all(n is None or type(n) in (int, float) for n in limits)
        and isinstance(entry.get("valenum", []), list)
    )


def _words(default: str, text: str) -> tuple[str, ...]:
    """
    Return the quoted choices in a description.

    They are used only if they include the default; otherwise the quotes may be an
    example.
    """
    quoted = dict.fromkeys(re.findall(r'"([A-Za-z][\w-]*)"', text))
    parts = default.split(",")
    if len(quoted) > 1 and all(part in quoted for part in parts):
        return tuple(quoted)
    return ()


def arguments(
    recipe: str, known: Mapping[str, Parameter], given: Mapping[str, Any]
) -> list[str]:
    """
    Return the command-line arguments for all parameters of a recipe.

    Raises UnknownParameterError, or ParameterError for a wrong type, range or choice.
    """
    for name, value in given.items():
        if name not in known and value is not None and not is_frames(value):
            hint = did_you_mean(name, known)
            if _TAG.fullmatch(name) and isinstance(value, str | Path):
                hint = (
                    f"; a frame is given as a DataFile: {name}=DataFile({str(value)!r})"
                )
            msg = f"{recipe} has no parameter {name!r}{hint}"
            raise UnknownParameterError(msg)
    lines = []
    for name, parameter in known.items():
        value = given.get(name)
        value = parameter.default if value is None else value
        text = _write(recipe, parameter, value, is_given=given.get(name) is not None)
        lines.append(f"--{parameter.name}={text}")
    return lines


def _write(recipe: str, parameter: Parameter, value: Any, *, is_given: bool) -> str:
    write = {"bool": _bool, "int": _int, "double": _double}.get(parameter.kind, _string)
    text = write(value)
    expected = _expected(parameter)
    if text is None:
        raise _wrong(recipe, parameter, expected, value)
    if not is_given:
        return text
    if parameter.choices and text not in {
        write(choice) for choice in parameter.choices
    }:
        raise _wrong(recipe, parameter, expected, value)
    if parameter.words:
        # A method may be followed by numbers, as in 'vpoly:25,1.0'.
        parts = text.partition(":")[0].split(",")
        if any(part.strip() not in parameter.words for part in parts):
            raise _wrong(recipe, parameter, expected, value)
    if parameter.kind in ("int", "double"):
        low = -math.inf if parameter.low is None else parameter.low
        high = math.inf if parameter.high is None else parameter.high
        if not low <= float(text) <= high:
            raise _wrong(recipe, parameter, expected, value)
    return text


def _bool(value: Any) -> str | None:
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return "TRUE" if value else "FALSE"
    return None


def _int(value: Any) -> str | None:
    text = _double(value)
    if text is None or not float(text).is_integer() or abs(float(text)) > 2**31 - 1:
        return None
    return str(int(float(text)))


def _double(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    number = float(value)
    return repr(number) if math.isfinite(number) else None


def _string(value: Any) -> str | None:
    if isinstance(value, Path):
        # Relative paths would not work: the recipe runs in its own folder.
        value = str(value.absolute())
    if isinstance(value, str):
        # Neither character could be written to the header of a product.
        return None if "\0" in value or "\n" in value else value
    if isinstance(value, list | tuple):
        parts = [None if isinstance(v, list | tuple) else _string(v) for v in value]
        return None if None in parts else ",".join(str(part) for part in parts)
    return None if _double(value) is None else str(value)


def _expected(parameter: Parameter) -> str:
    if parameter.choices:
        return "one of " + ", ".join(repr(choice) for choice in parameter.choices)
    if parameter.words:
        return "one of " + ", ".join(repr(word) for word in parameter.words)
    words = {
        "bool": "True or False",
        "int": "a whole number",
        "double": "a number",
    }.get(parameter.kind, "text of one line")
    if parameter.low is not None and parameter.high is not None:
        return f"{words} from {parameter.low:g} to {parameter.high:g}"
    return words


def _wrong(
    recipe: str, parameter: Parameter, expected: str, value: Any
) -> ParameterError:
    name = python_name(parameter.name)
    return ParameterError(f"{recipe}: {name} must be {expected}, not {value!r}")
