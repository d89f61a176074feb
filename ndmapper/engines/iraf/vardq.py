"""Variance and flags of the products of a task that processes only the data."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ndmapper.data import DataFile, NDLater
from ndmapper.engines.base import Job
from ndmapper.engines.iraf.calls import Call, Calls, files_of
from ndmapper.engines.iraf.pixels import dtype_of_flags, fit_flags
from ndmapper.errors import ParameterError

__all__ = ["CHOICES", "check_vardq", "choose_method", "propagate"]

CHOICES = ("auto", "carry", "recompute", "drop")

_ARITHMETIC = {"images.imutil.imarith"}
# Tasks that only move or cut pixels: run on variance and flags as well.
_REARRANGE = {
    "images.imutil.imcopy",
    "images.imgeom.imtranspose",
}
_OPERATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


def check_vardq(job: Job) -> None:
    """Check the option vardq; raises ParameterError."""
    word = job.task.words.get("vardq", "auto")
    if word not in CHOICES:
        msg = f"vardq must be one of {', '.join(CHOICES)}, not {word!r}"
        raise ParameterError(msg)
    if word != "auto" and not job.task.words.get("MEF_ext", True):
        msg = (
            f"vardq={word!r} goes with MEF_ext=True; where {job.task.name} is given "
            "whole files it must see to variance and flags itself"
        )
        raise ParameterError(msg)
    if word == "recompute" and _known_way(job) is None:
        msg = (
            f"it is not known how {job.task.name} changes variance and flags, so "
            "vardq='recompute' cannot be done; use 'carry' or 'drop'"
        )
        raise ParameterError(msg)


def _known_way(job: Job) -> str | None:
    if job.task.name in _REARRANGE:
        return "run"
    if job.task.name not in _ARITHMETIC or len(job.outputs) != 1:
        return None
    files = files_of(job)
    is_known = job.parameters.get("op", "+") in _OPERATIONS and all(
        name in files or _number(job.parameters.get(name)) is not None
        for name in ("operand1", "operand2")
    )
    return "arithmetic" if is_known else None


def _number(value: Any) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def choose_method(job: Job, calls: Calls) -> str:
    """Choose how variance and flags are propagated."""
    word: str = job.task.words.get("vardq", "auto")
    way = _known_way(job)
    if word in ("carry", "drop"):
        return word
    if way is not None:
        return way
    several = max((len(files) for files in calls.files.values()), default=1) > 1
    images = sum(len(files) for files in calls.files.values())
    kept = [part for part in ("uncertainty", "flags") if _has(calls, part)]
    if not kept or not calls.images:
        return "drop" if several else "carry"
    names = " and ".join({"uncertainty": "variance"}.get(k, k) for k in kept)
    if several or images > 1:
        calls.warnings.append(
            f"{job.task.name} knows data alone: the product has no {names}; pass "
            "vardq='carry' to give it those of the first input"
        )
        return "drop"
    calls.warnings.append(
        f"{job.task.name} knows data alone: the product has the {names} of its input, "
        "as they were; pass vardq='drop' to leave them out, or 'carry' if that is right"
    )
    return "carry"


def _has(calls: Calls, part: str) -> bool:
    return any(ndd.has(part) for base in calls.bases.values() for ndd in base)


def propagate(
    job: Job,
    calls: Calls,
    way: str,
    run: Callable[[Call], Mapping[Any, DataFile]],
) -> dict[Any, dict[Any, dict[str, Any]]]:
    """Compute the variance and flags of the products."""
    found: dict[Any, dict[Any, dict[str, Any]]] = {}
    for output in job.outputs:
        found[output] = {}
        for ident in calls.idents:
            found[output][ident] = {"drop": {"variance": None, "flags": None}}.get(
                way, {}
            )
    if way == "run":
        for ident in calls.idents:
            _run_over(calls, ident, found, run)
    if way == "arithmetic":
        (output,) = job.outputs
        for ident in calls.idents:
            found[output][ident] = _computed(job, calls, ident)
    for parts in (p for by_ident in found.values() for p in by_ident.values()):
        if not job.settings["use_uncert"]:
            parts["variance"] = None
        if not job.settings["use_flags"]:
            parts["flags"] = None
    return found


def _run_over(
    calls: Calls,
    ident: Any,
    found: dict[Any, dict[Any, dict[str, Any]]],
    run: Callable[[Call], Mapping[Any, DataFile]],
) -> None:
    for part, word in (("uncertainty", "variance"), ("flags", "flags")):
        if not _has(calls, part):
            continue
        for output, df in run(calls.one(ident, part)).items():
            base = calls.bases[output]
            like = _group_of(base, ident)
            array = df[0].data
            if part == "flags":
                array = fit_flags(array, dtype_of_flags(like), f"{base}[{ident}]")
            found[output][ident] = found[output][ident] | {word: np.asarray(array)}


def _group_of(df: DataFile, ident: Any) -> NDLater:
    ndd: NDLater = df[0] if len(df) == 1 else df[df.idents.index(ident)]
    return ndd


def _computed(job: Job, calls: Calls, ident: Any) -> dict[str, Any]:
    """Compute variance and flags by ndmapper's own arithmetic."""
    operands: list[Any] = []
    for name in ("operand1", "operand2"):
        if name in calls.files:
            operands.append(_group_of(calls.files[name][0], ident).copy())
            continue
        operands.append(_number(job.parameters.get(name)))
    if not any(_is_image(o) for o in operands):
        return {}
    # The task ignores units; the product has those of the first header.
    plain = [o.replace(unit=None) if _is_image(o) else o for o in operands]
    result = _OPERATIONS[job.parameters.get("op", "+")](*plain)
    return {"variance": result.variance, "flags": result.flags}


def _is_image(value: Any) -> bool:
    return isinstance(value, NDLater)
