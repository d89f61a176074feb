"""
Parameters of a step, read from the annotations of its function.

The signature is the only declaration: type, choices, range and unit are checked when
the step is called, before any pixel is read, and the same values go to the record.
"""

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units

from ndmapper.data import DataFile
from ndmapper.data.planned import open_planned
from ndmapper.errors import (
    DeclarationError,
    ParameterError,
    UnknownParameterError,
    did_you_mean,
)

__all__ = ["FromTable", "Parameter", "Range", "Unit", "check_values", "read_parameters"]

_EMPTY = inspect.Parameter.empty


@dataclass(frozen=True, kw_only=True)
class Range:
    """
    Limits of a number: ``Annotated[float, Range(gt=0)]``.

    Parameters
    ----------
    gt, ge, lt, le : float, optional
        The number must be greater than, greater or equal, less than, less or equal.
    """

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None

    def __contains__(self, value: Any) -> bool:
        return (
            (self.gt is None or value > self.gt)
            and (self.ge is None or value >= self.ge)
            and (self.lt is None or value < self.lt)
            and (self.le is None or value <= self.le)
        )

    def __str__(self) -> str:
        signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
        return " and ".join(
            f"{sign} {getattr(self, name):g}"
            for name, sign in signs.items()
            if getattr(self, name) is not None
        )


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
    annotation : object
        Its annotation without the extras of ``Annotated``.
    default : object
        Its default, or `inspect.Parameter.empty`.
    limits : Range or None
        Its range.
    unit : Unit or None
        Its unit.
    is_table : bool
        Whether it takes what an instrument table says.
    """

    name: str
    annotation: Any = Any
    default: Any = _EMPTY
    limits: Range | None = None
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
        """
        extras: tuple[Any, ...] = ()
        if typing.get_origin(hint) is typing.Annotated:
            hint, *rest = typing.get_args(hint)
            extras = tuple(rest)
        read = cls(
            name=parameter.name,
            annotation=hint,
            default=parameter.default,
            limits=next((e for e in extras if isinstance(e, Range)), None),
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
        return self.default is None or (
            self.annotation not in (Any, _EMPTY) and _fits(None, self.annotation, None)
        )

    def __str__(self) -> str:
        words = [_words(self.annotation)]
        if self.limits:
            words.append(str(self.limits))
        if self.unit:
            words.append(f"in {self.unit.unit}")
        return " ".join(words)

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
        if not _fits(value, self.annotation, self.limits):
            msg = f"{step}: {self.name} = {value!r} must be {self}"
            if isinstance(value, str) and (choices := _choices(self.annotation)):
                msg += did_you_mean(value, choices)
            raise ParameterError(msg)
        return self._converted(value)

    def _converted(self, value: Any) -> Any:
        """Turn the name of a file into what the annotation says."""
        kinds = (self.annotation, *typing.get_args(self.annotation))
        if isinstance(value, str) and str not in kinds:
            if Path in kinds:
                return Path(value)
            if DataFile in kinds:
                return open_planned(value)
        return value


def _choices(annotation: Any) -> tuple[str, ...]:
    if typing.get_origin(annotation) is typing.Literal:
        return tuple(str(c) for c in typing.get_args(annotation))
    return tuple(c for a in typing.get_args(annotation) for c in _choices(a))


def _words(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is type(None) or annotation is None:
        return "None"
    if origin is typing.Literal:
        return "one of " + ", ".join(repr(a) for a in arguments)
    if origin is typing.Union or isinstance(annotation, types.UnionType):
        return " or ".join(_words(a) for a in arguments)
    if origin is not None and origin is not Callable:
        inside = ", ".join(_words(a) for a in arguments if a is not Ellipsis)
        return f"{getattr(origin, '__name__', origin)} of {inside}"
    return getattr(annotation, "__name__", str(annotation))


def _fits(value: Any, annotation: Any, limits: Range | None) -> bool:
    """Whether a value is of an annotated type; numbers also within the limits."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (Any, _EMPTY) or isinstance(annotation, (str, typing.TypeVar)):
        return True
    if annotation in (None, type(None)):
        return value is None
    if origin is typing.Annotated:
        inner = next((e for e in arguments[1:] if isinstance(e, Range)), limits)
        return _fits(value, arguments[0], inner)
    if origin is typing.Union or isinstance(annotation, types.UnionType):
        return any(_fits(value, a, limits) for a in arguments)
    if origin is typing.Literal:
        return any(type(value) is type(a) and value == a for a in arguments)
    if annotation is bool:
        return isinstance(value, (bool, np.bool_))
    if annotation in (int, float):
        numbers = (int, np.integer) if annotation is int else (
            int, float, np.integer, np.floating)  # fmt: skip
        return (
            isinstance(value, numbers)
            and not isinstance(value, bool)
            and bool(np.isfinite(value))
            and (limits is None or value in limits)
        )
    if annotation in (Path, DataFile):
        return isinstance(value, (str, annotation))
    if origin is not None:
        return _fits_container(value, origin, arguments, limits)
    return not isinstance(annotation, type) or isinstance(value, annotation)


def _fits_container(
    value: Any, origin: Any, arguments: tuple[Any, ...], limits: Range | None
) -> bool:
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and (
            not arguments
            or all(
                _fits(k, arguments[0], None) and _fits(v, arguments[1], limits)
                for k, v in value.items()
            )
        )
    if isinstance(origin, type) and issubclass(origin, Sequence):
        # A list where a tuple is declared, or the reverse, is no mistake.
        if isinstance(value, (str, bytes)) or not isinstance(
            value, (Sequence, np.ndarray)
        ):
            return False
        if origin is tuple and arguments and arguments[-1] is not Ellipsis:
            return len(value) == len(arguments) and all(
                _fits(v, a, limits) for v, a in zip(value, arguments, strict=True)
            )
        return not arguments or all(_fits(v, arguments[0], limits) for v in value)
    if origin is Callable or origin is typing.get_origin(Callable[[], Any]):
        return callable(value)
    return isinstance(value, origin)


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
        else:
            values[name] = parameter.default
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
        if parameter.name not in skip:
            found[parameter.name] = Parameter.read(
                parameter, hints.get(parameter.name, Any)
            )
    return found
