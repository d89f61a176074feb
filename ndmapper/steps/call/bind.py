"""Hops 1 and 2: the words of a call, sorted and checked; and its configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ndmapper.config import Settings, config
from ndmapper.errors import ParameterError, UnknownParameterError, did_you_mean
from ndmapper.steps.declare.declaration import (
    CONFIG_WORDS,
    OF_DECLARATION,
    Declaration,
)
from ndmapper.steps.declare.function import check_by
from ndmapper.steps.declare.parameters import check_values
from ndmapper.steps.instrument_table import check_table

__all__ = ["Bound", "bind", "freeze_settings"]


@dataclass(frozen=True, kw_only=True)
class Bound:
    """
    The keywords of one call, sorted.

    Parameters
    ----------
    words : mapping
        Words of the framework that override the configuration.
    calibrations : mapping
        Calibrations given in the call; those it does not name are absent.
    inputs : mapping
        Inputs beside the first, which are given by name.
    out_names : object
        Names given for the products, or None.
    save : bool
        Whether products are written.
    parameters : mapping
        A checked value for every parameter.
    table : object
        The instrument or table given in the call, or None.
    by : tuple of (str or None)
        What the call says that it is to be split by, and the parameter for the key;
        empty where it says nothing.
    given : frozenset of str
        Parameters that the call itself gives.
    """

    words: Mapping[str, Any]
    calibrations: Mapping[str, Any]
    inputs: Mapping[str, Any]
    out_names: Any
    save: bool
    parameters: Mapping[str, Any]
    table: Any = None
    by: tuple[str | None, ...] = ()
    given: frozenset[str] = frozenset()


def bind(declaration: Declaration, keywords: Mapping[str, Any]) -> Bound:
    """
    Sort the keywords of a call, and check the values of parameters.

    Raises
    ------
    UnknownParameterError
        If the step has no such keyword.
    ParameterError
        If a value is wrong.
    """
    step = declaration.name
    rest = dict(keywords)
    words = {n: rest.pop(n) for n in CONFIG_WORDS & set(rest)}
    save = rest.pop("save", True)
    if not isinstance(save, bool):
        msg = f"{step}: save must be True or False, not {save!r}"
        raise ParameterError(msg)
    inputs = {n: rest.pop(n) for n in declaration.more_inputs if n in rest}
    calibrations = {n: rest.pop(n) for n in declaration.cals if n in rest}
    out_names = rest.pop("out_names", None)
    by: tuple[str | None, ...] = ()
    if "by" in rest and "by" not in declaration.parameters:
        by = check_by(rest.pop("by"), step)
        if declaration.is_python and by[1] not in (None, *declaration.parameters):
            msg = f"{step} has no parameter {by[1]!r}, which by names"
            raise UnknownParameterError(msg)
    table = None
    if declaration.table is not None:
        table = check_table(rest.pop(declaration.table, None), step)
    named = {n: rest.pop(n) for n in declaration.outputs if n is not None and n in rest}
    if named and out_names is not None:
        msg = f"{step}: give the name of {sorted(named)} or out_names, not both"
        raise ParameterError(msg)
    known = {
        *declaration.parameters, *declaration.cals, *CONFIG_WORDS, "out_names", "save",
        *declaration.more_inputs, *filter(None, declaration.outputs), "by",
        *filter(None, [declaration.table]),
    }  # fmt: skip
    for name in rest:
        if name not in declaration.parameters:
            msg = f"{step} has no parameter {name!r}{did_you_mean(name, known)}"
            raise UnknownParameterError(msg)
    return Bound(
        words=words,
        calibrations=calibrations,
        inputs=inputs,
        out_names=named or out_names,
        save=save,
        parameters=check_values(declaration.parameters, rest, step),
        table=table,
        by=by,
        given=frozenset(rest),
    )


def freeze_settings(declaration: Declaration, bound: Bound) -> Settings:
    """Take one frozen snapshot of the configuration: the call wins over the step."""
    known = {n: v for n, v in declaration.options.items() if n not in OF_DECLARATION}
    words = {**known, **{n: v for n, v in bound.words.items() if v is not None}}
    if words.get("reprocess") is None:
        words["reprocess"] = declaration.reprocess
    return config.snapshot(**words)
