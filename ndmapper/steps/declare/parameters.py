"""
Parameters of a step, read from the annotations of its function.

The signature is the only declaration: type, choices, range and unit are checked when
the step is called, before any pixel is read, and the same values go to the record.
"""

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy import units

from ndmapper.errors import (
    DeclarationError,
    ParameterError,
    UnknownParameterError,
    did_you_mean,
)
from ndmapper.steps.declare.annotations import Kind, Range, understand

__all__ = ["FromTable", "Parameter", "Range", "Unit", "check_values", "read_parameters"]

_EMPTY = inspect.Parameter.empty


@dataclass(frozen=True)
class Unit:
    """
    Unit of a number: ``Annotated[float, Unit('electron / adu')]``.

    A `~astropy.units.Quantity` given for it is converted; a bare number is taken to
    be in this unit.

    Parameters
    ----------
    unit : str
        The unit, in words that `astropy.units` knows.
    """

    unit: str

    def __post_init__(self) -> None:
        try:
            units.Unit(self.unit)
        except ValueError as err:
            msg = f"Unit({self.unit!r}) is not a unit that astropy knows"
            raise DeclarationError(msg) from err


@dataclass(frozen=True)
class FromTable:
    """Marks the parameter that takes what an instrument table says of amplifiers."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """
    One parameter of a step.

    Parameters
    ----------
    name : str
        Its name.
    kind : Kind
        What its annotation says that a value must be like.
    default : object
        Its default, or `inspect.Parameter.empty`.
    unit : Unit or None
        Its unit.
    is_table : bool
        Whether it takes what an instrument table says.
    """

    name: str
    kind: Kind = field(default_factory=Kind)
    default: Any = _EMPTY
    unit: Unit | None = None
    is_table: bool = False

    @classmethod
    def read(cls, parameter: inspect.Parameter, hint: Any) -> "Parameter":
        """
        Read one parameter of a signature.

        Parameters
        ----------
        parameter : inspect.Parameter
            From the signature.
        hint : object
            Its resolved annotation, with extras.

        Returns
        -------
        Parameter
            The declaration.

        Raises
        ------
        DeclarationError
            If the annotation cannot be checked, or the default does not fit it.
        """
        extras: tuple[Any, ...] = ()
        if typing.get_origin(hint) is typing.Annotated:
            extras = typing.get_args(hint)[1:]
        try:
            kind = understand(hint)
        except DeclarationError as err:
            msg = f"{parameter.name}: {err}"
            raise DeclarationError(msg) from None
        read = cls(
            name=parameter.name,
            kind=kind,
            default=parameter.default,
            unit=next((e for e in extras if isinstance(e, Unit)), None),
            is_table=any(isinstance(e, FromTable) for e in extras),
        )
        if not read.required and read.default is not None:
            try:
                read.check(read.default, "its default")
            except ParameterError as err:
                msg = f"{read.name} does not fit its own annotation: {err}"
                raise DeclarationError(msg) from err
        return read

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is _EMPTY

    @property
    def takes_none(self) -> bool:
        """Whether it says that None is a value for it."""
        return self.default is None or type(None) in self.kind.types

    def __str__(self) -> str:
        return f"{self.kind} in {self.unit.unit}" if self.unit else str(self.kind)

    def check(self, value: Any, step: str) -> Any:
        """
        Check a value.

        Parameters
        ----------
        value : object
            What was given.
        step : str
            Name of the step, for the error.

        Returns
        -------
        object
            The value, with a quantity converted to the unit of the parameter.

        Raises
        ------
        ParameterError
            If the value does not fit.
        """
        if self.unit and isinstance(value, units.Quantity):
            try:
                value = value.to(self.unit.unit).value
                value = value.item() if np.ndim(value) == 0 else value
            except units.UnitConversionError as err:
                msg = f"{step}: {self.name} = {value} must be {self}; {err}"
                raise ParameterError(msg) from None
        if value not in self.kind:
            msg = f"{step}: {self.name} = {value!r} must be {self}"
            if isinstance(value, str) and (choices := self.kind.choices):
                msg += did_you_mean(value, choices)
            raise ParameterError(msg)
        return self.kind.converted(value)


def check_values(
    parameters: Mapping[str, Parameter], given: Mapping[str, Any], step: str
) -> dict[str, Any]:
    """
    Check all values given to a step, and fill in the defaults.

    Parameters
    ----------
    parameters : mapping of str to Parameter
        What the step takes.
    given : mapping
        What was given.
    step : str
        Name of the step, for the errors.

    Returns
    -------
    dict
        A value for every parameter.

    Raises
    ------
    UnknownParameterError
        If a name is not a parameter.
    ParameterError
        If a value is missing or wrong.
    """
    for name in given:
        if name not in parameters:
            known = did_you_mean(name, parameters) or "; it takes none"
            msg = f"{step} has no parameter {name!r}{known}"
            raise UnknownParameterError(msg)
    values = {}
    for name, parameter in parameters.items():
        if name in given:
            values[name] = parameter.check(given[name], step)
        elif parameter.required:
            msg = f"{step} needs the parameter {name} ({parameter})"
            raise ParameterError(msg)
        elif parameter.default is None:
            values[name] = None
        else:
            values[name] = parameter.check(parameter.default, step)
    return values


def read_parameters(
    func: Callable[..., Any], skip: frozenset[str]
) -> dict[str, Parameter]:
    """
    Read the parameters of a step's function.

    Parameters
    ----------
    func : callable
        The function.
    skip : frozenset of str
        Names that the framework fills in.

    Returns
    -------
    dict of str to Parameter
        In the order of the signature.

    Raises
    ------
    DeclarationError
        If the function takes ``*args`` or ``**kwargs``, which nobody could check, or
        an annotation names something that does not exist.
    """
    name = getattr(func, "__name__", repr(func))
    try:
        hints = typing.get_type_hints(func, include_extras=True)
    except NameError as err:
        msg = f"the step {name} has an annotation that cannot be understood: {err}"
        raise DeclarationError(msg) from err
    found = {}
    for parameter in inspect.signature(func).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            msg = (
                f"the step {name} takes {parameter}; name its parameters, so that "
                "they can be checked and recorded"
            )
            raise DeclarationError(msg)
        if parameter.name in skip:
            continue
        try:
            found[parameter.name] = Parameter.read(
                parameter, hints.get(parameter.name, Any)
            )
        except DeclarationError as err:
            msg = f"the step {name}: {err}"
            raise DeclarationError(msg) from err
    return found
