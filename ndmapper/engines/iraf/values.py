"""Values of task parameters: checked, and formatted for IRAF."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ndmapper.data import DataFile
from ndmapper.engines.iraf.parameters import Parameter
from ndmapper.errors import ParameterError, UnknownParameterError, did_you_mean

__all__ = ["LONGEST", "check_names", "check_required", "is_files", "to_iraf"]

LONGEST = 900
"""Longer strings break the pipe between PyRAF and a task (at about 1015)."""

_YES, _NO = ("yes", "y", "+"), ("no", "n", "-")
_NUMBERS = {"i": "an integer", "r": "a number", "d": "a number"}


def is_files(value: Any) -> bool:
    """Whether a value stands for FITS files."""
    if isinstance(value, DataFile):
        return True
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and all(isinstance(v, DataFile) for v in value)
    )


def check_names(
    task: str, given: Mapping[str, Any], known: Mapping[str, Parameter]
) -> None:
    """Raise UnknownParameterError for unknown or abbreviated parameter names."""
    for name in given:
        if name not in known:
            short = [n for n in known if n.startswith(name)]
            hint = (
                f"; write the name in full: {short[0]!r}"
                if len(short) == 1
                else did_you_mean(name, known)
            )
            msg = f"the IRAF task {task} has no parameter {name!r}{hint}"
            raise UnknownParameterError(msg)


def check_required(
    task: str, given: Mapping[str, Any], known: Mapping[str, Parameter]
) -> None:
    """Raise ParameterError if a query parameter has no value."""
    for name, par in known.items():
        if par.is_required and name not in given:
            msg = f"the IRAF task {task} needs a value for {name!r} ({par.prompt})"
            raise ParameterError(msg)


def to_iraf(task: str, name: str, value: Any, par: Parameter | None) -> Any:
    """Check a value and convert it for IRAF; raises ParameterError."""
    where = f"{name} of the IRAF task {task}"
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Path):
        value = str(value.absolute())  # the task runs in another folder
    if not isinstance(value, bool | int | float | str):
        hint = {
            type(None): "leave it out for the default, or pass 'INDEF'",
            list: "join names with ',' in one string",
            tuple: "join names with ',' in one string",
        }.get(type(value), "pass a number, a string, True or False")
        msg = f"{where} cannot be {value!r}; {hint}"
        raise ParameterError(msg)
    if isinstance(value, float) and not math.isfinite(value):
        msg = f"{where} cannot be {value}; IRAF knows 'INDEF' for no value"
        raise ParameterError(msg)
    if isinstance(value, str):
        _check_text(where, value)
    return value if par is None else _typed(where, value, par)


def _check_text(where: str, value: str) -> None:
    if len(value.encode("utf-8", "replace")) > LONGEST:
        msg = (
            f"{where} has {len(value)} characters, and IRAF breaks at about 1000; put "
            "names in a file, one a line, and pass '@' with its absolute path"
        )
        raise ParameterError(msg)
    bad = sorted({c for c in value if not 32 <= ord(c) < 127})
    if bad:
        msg = (
            f"{where} is {value!r}, and IRAF takes printable ASCII alone, not "
            f"{', '.join(map(repr, bad))}"
        )
        raise ParameterError(msg)
    if value.startswith(")"):
        msg = (
            f"{where} is {value!r}: a value that starts with ')' would make IRAF take "
            "that of another parameter; pass the value itself"
        )
        raise ParameterError(msg)


def _typed(where: str, value: Any, par: Parameter) -> Any:
    kind = par.type.lstrip("*")
    if kind == "pset":
        msg = f"{where} is a set of parameters; give those by their own names"
        raise ParameterError(msg)
    if isinstance(value, str) and value.upper() == "INDEF":
        return "INDEF"
    if kind == "b":
        return _boolean(where, value)
    if kind in _NUMBERS:
        return _number(where, value, par, kind)
    if isinstance(value, bool):
        value = "yes" if value else "no"
    value = str(value)
    if par.choices and value not in par.choices:
        msg = f"{where} cannot be {value!r}{did_you_mean(value, par.choices)}"
        raise ParameterError(msg)
    return value


def _boolean(where: str, value: Any) -> bool:
    word = value.lower() if isinstance(value, str) else value
    if word is True or word in _YES:
        return True
    if word is False or word in _NO:
        return False
    msg = f"{where} must be True or False, not {value!r}"
    raise ParameterError(msg)


def _number(where: str, value: Any, par: Parameter, kind: str) -> Any:
    what = f"{where} must be {_NUMBERS[kind]}"
    if isinstance(value, bool):
        msg = f"{what}, not {value!r}"
        raise ParameterError(msg)
    try:
        number = float(value)
        if kind == "i":
            if number != int(number):
                raise ValueError
            number = int(value) if not isinstance(value, float) else int(number)
    except (ValueError, OverflowError):
        # IRAF also accepts sexagesimal numbers.
        if kind != "i" and isinstance(value, str) and _is_sexagesimal(value):
            return value
        msg = f"{what}, not {value!r}"
        raise ParameterError(msg) from None
    if not math.isfinite(number):
        msg = f"{what}, not {value!r}"
        raise ParameterError(msg)
    if kind == "i" and not -(2**31) < number < 2**31:
        msg = f"{what} of 32 bits, not {value!r}"
        raise ParameterError(msg)
    for limit, is_wrong in ((par.min, number.__lt__), (par.max, number.__gt__)):
        if isinstance(limit, int | float) and is_wrong(limit) is True:
            low = "" if par.min is None else f" from {par.min}"
            high = "" if par.max is None else f" up to {par.max}"
            msg = f"{what}{low}{high}, not {value!r}"
            raise ParameterError(msg)
    if par.choices and str(number) not in par.choices:
        msg = f"{where} cannot be {value!r}{did_you_mean(str(value), par.choices)}"
        raise ParameterError(msg)
    return number


def _is_sexagesimal(text: str) -> bool:
    parts = text.lstrip("+-").split(":")
    return len(parts) in (2, 3) and all(p.replace(".", "", 1).isdigit() for p in parts)
