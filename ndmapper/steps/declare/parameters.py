"""
Parameters of a step, read from the annotations of its function.

The signature is the only declaration: type, choices, range and unit are checked when
the step is called, before any pixel is read, and the same values go to the record.
"""

import collections
import functools
import inspect
import operator
import os
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units

from ndmapper.data import DataFile, FileName
from ndmapper.data.planned import open_planned
from ndmapper.errors import (
    DeclarationError,
    ParameterError,
    UnknownParameterError,
    did_you_mean,
)

__all__ = [
    "FromTable",
    "Kind",
    "OfInstrument",
    "Parameter",
    "Range",
    "Unit",
    "check_values",
    "read_parameters",
    "understand",
]


_NUMBERS: dict[Any, tuple[type, ...]] = {
    bool: (bool, np.bool_),
    int: (int, np.integer),
    float: (int, float, np.integer, np.floating),
    complex: (int, float, complex, np.number),
}
_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


@dataclass(frozen=True, kw_only=True)
class Range:
    """
    Limits of a number: ``Annotated[float, Range(gt=0)]``.

    ``Gt``, ``Ge``, ``Lt``, ``Le``, ``Interval``, ``MultipleOf``, ``MinLen``,
    ``MaxLen``, ``Len`` and ``Predicate`` of the package annotated-types count as well.

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
        return bool(
            (self.gt is None or np.all(value > self.gt))
            and (self.ge is None or np.all(value >= self.ge))
            and (self.lt is None or np.all(value < self.lt))
            and (self.le is None or np.all(value <= self.le))
        )

    def __repr__(self) -> str:
        limits = {name: getattr(self, name) for name in _SIGNS}
        given = (f"{name}={x!r}" for name, x in limits.items() if x is not None)
        return f"Range({', '.join(given)})"

    def __str__(self) -> str:
        return " and ".join(
            f"{sign} {_short(getattr(self, name))}"
            for name, sign in _SIGNS.items()
            if getattr(self, name) is not None
        )


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


@dataclass(frozen=True)
class _MultipleOf:
    """A number must be a multiple of another."""

    of: float

    def __contains__(self, value: Any) -> bool:
        return bool(np.all(np.mod(value, self.of) == 0))

    def __str__(self) -> str:
        return f"a multiple of {_short(self.of)}"


@dataclass(frozen=True)
class _Length:
    """A string or container must have so many items."""

    least: int
    most: int | None

    def __contains__(self, value: Any) -> bool:
        return len(value) >= self.least and (
            self.most is None or len(value) <= self.most
        )

    def __str__(self) -> str:
        end = " or more" if self.most is None else f" to {self.most}"
        return f"of length {self.least}{end}"


@dataclass(frozen=True)
class _Predicate:
    """A function must be true of the value."""

    func: Callable[[Any], Any]

    def __contains__(self, value: Any) -> bool:
        return bool(self.func(value))

    def __str__(self) -> str:
        return f"for which {getattr(self.func, '__name__', self.func)} holds"


@dataclass(frozen=True)
class _Convertible:
    """A quantity must have a unit that can be converted: ``Quantity['m']``."""

    unit: Any  # or a physical type: Quantity['length']

    def __contains__(self, value: Any) -> bool:
        if isinstance(self.unit, units.PhysicalType):
            return bool(value.unit.physical_type == self.unit)
        return bool(value.unit.is_equivalent(self.unit))

    def __str__(self) -> str:
        is_type = isinstance(self.unit, units.PhysicalType)
        return f"in {'a unit of ' * is_type}{self.unit}"


_OF_ITEMS = (Range, _MultipleOf)
"""Limits that hold for each number in a container; others hold for the whole."""


@dataclass(frozen=True)
class Kind:
    """The kind of value that a parameter takes; here, any value within the limits."""

    limits: tuple[Any, ...] = ()

    def __contains__(self, value: Any) -> bool:
        try:
            return self.is_kind(value) and all(value in limit for limit in self.limits)
        except (TypeError, ValueError, AttributeError, units.UnitsError):
            return False  # what cannot be compared is not within limits

    def __str__(self) -> str:
        return " ".join([self.words, *map(str, self.limits)])

    @property
    def words(self) -> str:
        """Its name in a message, without the limits."""
        return "anything"

    @property
    def choices(self) -> tuple[str, ...]:
        """The strings that are allowed, where they are listed; also for items."""
        return ()

    @property
    def types(self) -> frozenset[Any]:
        """The types that a value may have, without those of items."""
        return frozenset()

    def is_kind(self, value: Any) -> bool:
        """Whether a value is of the type; limits are not checked."""
        return True

    def converted(self, value: Any) -> Any:
        """Turn file names into the Path, FileName or DataFile of the annotation."""
        return value


@dataclass(frozen=True)
class _Instance(Kind):
    type: Any = None

    @property
    def words(self) -> str:
        if self.type is type(None):
            return "None"
        return str(getattr(self.type, "__name__", self.type))

    @property
    def types(self) -> frozenset[Any]:
        return frozenset({self.type})

    def is_kind(self, value: Any) -> bool:
        if self.type in (Path, DataFile):
            return isinstance(value, (str, FileName, Path, self.type))
        if self.type in _NUMBERS:
            is_bool = isinstance(value, _NUMBERS[bool])
            return (
                isinstance(value, _NUMBERS[self.type])
                and is_bool == (self.type is bool)
                and bool(np.isfinite(np.asarray(value)))
            )
        return isinstance(value, self.type)

    def converted(self, value: Any) -> Any:
        if not isinstance(value, (str, FileName, Path)):
            return value
        if self.type is Path:
            return Path(value)
        return open_planned(str(value)) if self.type is DataFile else value


@dataclass(frozen=True)
class _Choice(Kind):
    values: tuple[Any, ...] = ()

    @property
    def words(self) -> str:
        return "one of " + ", ".join(repr(value) for value in self.values)

    @property
    def choices(self) -> tuple[str, ...]:
        return tuple(str(value) for value in self.values)

    def is_kind(self, value: Any) -> bool:
        if isinstance(value, np.generic):  # as they stand in a table
            value = value.item()
        return any(type(value) is type(v) and value == v for v in self.values)


def _choices_of(kinds: Iterable[Kind]) -> tuple[str, ...]:
    return tuple(choice for kind in kinds for choice in kind.choices)


@dataclass(frozen=True)
class _Either(Kind):
    kinds: tuple[Kind, ...] = ()

    @property
    def words(self) -> str:
        return " or ".join(str(kind) for kind in self.kinds)

    @property
    def choices(self) -> tuple[str, ...]:
        return _choices_of(self.kinds)

    @property
    def types(self) -> frozenset[Any]:
        return frozenset().union(*(kind.types for kind in self.kinds))

    def is_kind(self, value: Any) -> bool:
        return any(value in kind for kind in self.kinds)

    def converted(self, value: Any) -> Any:
        fits = [kind for kind in self.kinds if value in kind]
        # A name stays one where that is allowed as well.
        if any(isinstance(value, tuple(kind.types)) for kind in fits):
            return value
        return fits[0].converted(value) if fits else value


@dataclass(frozen=True)
class _Items(Kind):
    """A container of items of one kind, or of a kind for each place."""

    container: Any = list
    item: Kind = Kind()
    places: tuple[Kind, ...] | None = None

    @property
    def words(self) -> str:
        kinds = [self.item] if self.places is None else self.places
        inside = ", ".join(str(kind) for kind in kinds)
        return f"{self.container.__name__} of {inside or 'nothing'}"

    @property
    def choices(self) -> tuple[str, ...]:
        return _choices_of([self.item] if self.places is None else self.places)

    def is_kind(self, value: Any) -> bool:
        if isinstance(value, (str, bytes)):
            return False
        # A list where a tuple is declared, or the reverse, is no mistake. What can be
        # gone through only once could not be recorded.
        likes: Any = (Sequence, np.ndarray)
        if issubclass(self.container, AbstractSet):
            likes = AbstractSet
        elif not issubclass(self.container, Sequence):
            likes = (Collection, np.ndarray)
        if not isinstance(value, likes):
            return False
        if self.places is None:
            return all(item in self.item for item in value)
        return len(value) == len(self.places) and all(
            item in kind for item, kind in zip(value, self.places, strict=True)
        )

    def converted(self, value: Any) -> Any:
        if type(value) not in (list, tuple, set, frozenset):
            return value
        kinds = [self.item] * len(value) if self.places is None else self.places
        return type(value)(
            kind.converted(item) for kind, item in zip(kinds, value, strict=True)
        )


@dataclass(frozen=True)
class _Mapped(Kind):
    key: Kind = Kind()
    value: Kind = Kind()

    @property
    def words(self) -> str:
        return f"mapping of {self.key} to {self.value}"

    @property
    def choices(self) -> tuple[str, ...]:
        return _choices_of([self.value])

    def is_kind(self, value: Any) -> bool:
        return isinstance(value, Mapping) and all(
            k in self.key and v in self.value for k, v in value.items()
        )

    def converted(self, value: Any) -> Any:
        if type(value) is not dict:
            return value
        return {k: self.value.converted(v) for k, v in value.items()}


@dataclass(frozen=True)
class _Record(Kind):
    """A mapping with certain keys: ``TypedDict``."""

    name: str = ""
    fields: tuple[tuple[str, Kind], ...] = ()
    needed: frozenset[str] = frozenset()

    @property
    def words(self) -> str:
        inside = ", ".join(f"{name}: {kind}" for name, kind in self.fields)
        return f"{self.name} {{{inside}}}"

    @property
    def choices(self) -> tuple[str, ...]:
        return _choices_of(kind for _, kind in self.fields)

    def is_kind(self, value: Any) -> bool:
        if not isinstance(value, Mapping):
            return False
        kinds = dict(self.fields)
        return set(value) >= self.needed and all(
            key in kinds and item in kinds[key] for key, item in value.items()
        )

    def converted(self, value: Any) -> Any:
        if type(value) is not dict:
            return value
        kinds = dict(self.fields)
        return {key: kinds[key].converted(item) for key, item in value.items()}


@dataclass(frozen=True)
class _Array(Kind):
    dtype: Any = None

    @property
    def words(self) -> str:
        if self.dtype is None:
            return "array"
        return f"array of {self._wanted or self.dtype.__name__}"

    @property
    def _wanted(self) -> "np.dtype[Any] | None":
        """The type of the pixels; None for an abstract one, as numpy.floating."""
        try:
            wanted: np.dtype[Any] = np.dtype(self.dtype)
        except TypeError:
            return None
        return wanted

    def is_kind(self, value: Any) -> bool:
        if not isinstance(value, np.ndarray):
            return False
        if self.dtype is None:
            return True
        if (wanted := self._wanted) is None:
            return bool(np.issubdtype(value.dtype, self.dtype))
        return np.can_cast(value.dtype, wanted, "same_kind")


@dataclass(frozen=True)
class _ArrayLike(Kind):
    @property
    def words(self) -> str:
        return "array, or numbers that make one"

    def is_kind(self, value: Any) -> bool:
        return bool(np.asarray(value).dtype.kind != "O")


@dataclass(frozen=True)
class _Subclass(Kind):
    base: Any = object

    @property
    def words(self) -> str:
        return f"class, a kind of {self.base.__name__}"

    def is_kind(self, value: Any) -> bool:
        return isinstance(value, type) and issubclass(value, self.base)


@dataclass(frozen=True)
class _Function(Kind):
    @property
    def words(self) -> str:
        return "Callable"

    def is_kind(self, value: Any) -> bool:
        return callable(value)


def understand(annotation: Any, limits: tuple[Any, ...] = ()) -> Kind:
    """Read an annotation; one that values cannot be checked with is refused."""
    try:
        return _understand(annotation, limits)
    except (NameError, RecursionError, TypeError, ValueError) as err:
        if isinstance(err, DeclarationError):
            raise
        # An alias that names nothing or itself, arguments that do not belong there.
        why = "it names itself" if isinstance(err, RecursionError) else err
        msg = f"{annotation} ({why})"
        raise _refusal(msg) from err


def _understand(annotation: Any, limits: tuple[Any, ...] = ()) -> Kind:
    """Read an annotation or a part of one."""
    if any(annotation is any_ for any_ in (Any, object, inspect.Parameter.empty)):
        return Kind(limits)
    if annotation is None:
        annotation = type(None)
    for inner in _stands_for(annotation):
        return _understand(inner, limits)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _understand(arguments[0], (*limits, *_limits(arguments[1:])))
    if origin is typing.Union or isinstance(annotation, types.UnionType):
        return _union(annotation, arguments, limits)
    if origin is typing.Literal:
        return _Choice(limits, arguments)
    if typing.is_typeddict(origin or annotation):
        return _record(origin or annotation, arguments, limits)
    if origin is not None:
        return _generic(annotation, origin, arguments, limits)
    if annotation is np.ndarray:
        return _Array(limits)
    if annotation is Callable:
        return _Function(limits)
    if isinstance(annotation, type) and not _is_unchecked_protocol(annotation):
        return _Instance(limits, annotation)
    raise _refusal(annotation)


def _refusal(annotation: Any) -> DeclarationError:
    msg = (
        f"no value can be checked against the annotation {annotation}; write a type, "
        "a container of types, Literal, Annotated, NewType or TypedDict, or Any if "
        "anything is allowed"
    )
    return DeclarationError(msg)


def _stands_for(annotation: Any) -> Iterator[Any]:
    """Resolve a NewType, TypeVar or alias to the types that it stands for."""
    origin = typing.get_origin(annotation)
    if isinstance(annotation, typing.NewType):
        yield annotation.__supertype__
    elif type(annotation).__name__ == "TypeAliasType":  # `type Name = ...` of 3.12
        yield annotation.__value__
    elif type(origin).__name__ == "TypeAliasType":
        yield origin.__value__[typing.get_args(annotation)]
    elif isinstance(annotation, typing.TypeVar):
        allowed = annotation.__constraints__ or (annotation.__bound__ or Any,)
        yield functools.reduce(operator.or_, allowed)
    elif origin in (typing.Final, typing.Required, typing.NotRequired):
        yield typing.get_args(annotation)[0]
    elif annotation is typing.LiteralString:
        yield str


def _is_unchecked_protocol(annotation: type) -> bool:
    return bool(getattr(annotation, "_is_protocol", False)) and not getattr(
        annotation, "_is_runtime_protocol", False
    )


def _union(
    annotation: Any, arguments: tuple[Any, ...], limits: tuple[Any, ...]
) -> Kind:
    """Read a union; the members of numpy's ArrayLike cannot be checked one by one."""
    kinds: tuple[Kind, ...] = ()
    if "_SupportsArray" in str(annotation):
        arguments = tuple(a for a in arguments if a is type(None))
        kinds = (_ArrayLike(limits),)
    # None is within any limits.
    none = type(None)
    kinds += tuple(_understand(a, () if a is none else limits) for a in arguments)
    return _Either(kinds=kinds)


def _record(
    described: Any, arguments: tuple[Any, ...], limits: tuple[Any, ...]
) -> Kind:
    """Read a TypedDict, which may be generic."""
    given = dict(zip(getattr(described, "__parameters__", ()), arguments, strict=False))
    fields = []
    for name, hint in typing.get_type_hints(described, include_extras=True).items():
        free = getattr(hint, "__parameters__", ())
        if isinstance(hint, typing.TypeVar):
            filled = given.get(hint, hint)
        elif given and free:
            filled = hint[tuple(given.get(one, one) for one in free)]
        else:
            filled = hint
        fields.append((name, _understand(filled)))
    return _Record(
        limits, described.__name__, tuple(fields), described.__required_keys__
    )


def _generic(
    annotation: Any, origin: Any, arguments: tuple[Any, ...], limits: tuple[Any, ...]
) -> Kind:
    """Read a type with arguments, such as a container with the type of its items."""
    if origin is Callable:
        return _Function(limits)
    if origin is os.PathLike:
        return _Instance(limits, os.PathLike)
    if origin is type:
        base = object if arguments[0] is Any else arguments[0]
        if isinstance(base, type):
            return _Subclass(limits, base)
        raise _refusal(annotation)
    if origin is np.ndarray:
        dtype = (typing.get_args(arguments[-1]) or (Any,))[0]
        if isinstance(dtype, typing.TypeVar):
            dtype = dtype.__bound__ or Any
        dtype = typing.get_origin(dtype) or dtype  # of numpy.floating[Any]
        return _Array(limits, None if dtype in (Any, np.generic) else dtype)
    of_items = tuple(limit for limit in limits if isinstance(limit, _OF_ITEMS))
    of_whole = tuple(limit for limit in limits if limit not in of_items)
    if not isinstance(origin, type):
        raise _refusal(annotation)
    if issubclass(origin, Mapping):
        if origin is collections.Counter:
            arguments = (*arguments, int)[:2] if arguments else (Any, int)
        key, value = arguments or (Any, Any)
        return _Mapped(of_whole, _understand(key), _understand(value, of_items))
    if not issubclass(origin, Iterable) or issubclass(origin, Iterator):
        raise _refusal(annotation)
    is_empty = isinstance(annotation, types.GenericAlias) and not arguments
    if origin is tuple and arguments[-1:] != (Ellipsis,) and (arguments or is_empty):
        places = tuple(_understand(a, of_items) for a in arguments)
        return _Items(of_whole, origin, places=places)
    if origin.__module__ not in ("builtins", "collections", "collections.abc"):
        raise _refusal(annotation)  # a container class that is not known here
    inside = arguments[0] if arguments else Any
    return _Items(of_whole, origin, _understand(inside, of_items))


def _limits(extras: Iterable[Any]) -> Iterator[Any]:
    """Read the limits in ``Annotated``; other extras are ignored."""
    for extra in extras:
        if isinstance(extra, Range):
            yield extra
        # astropy's Quantity['m'] and Quantity['length']
        elif isinstance(extra, (units.UnitBase, units.PhysicalType)):
            yield _Convertible(extra)
        elif isinstance(extra, slice):
            yield _Length(extra.start or 0, extra.stop)
        elif type(extra).__module__.partition(".")[0] == "annotated_types":
            yield from _foreign_limits(extra)


def _foreign_limits(extra: Any) -> Iterator[Any]:
    """Read a limit of the package annotated-types by its attributes."""
    if isinstance(extra, Iterable):  # Interval and Len are made of others
        yield from _limits(extra)
        return
    found = {name: getattr(extra, name) for name in _SIGNS if hasattr(extra, name)}
    if found:
        yield Range(**found)
    elif hasattr(extra, "multiple_of"):
        yield _MultipleOf(extra.multiple_of)
    elif hasattr(extra, "min_length"):
        yield _Length(extra.min_length, None)
    elif hasattr(extra, "max_length"):
        yield _Length(0, extra.max_length)
    elif hasattr(extra, "func"):  # Not is called itself
        yield _Predicate(extra if callable(extra) else extra.func)
    elif type(extra).__name__ != "DocInfo":
        raise _refusal(extra)


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


@dataclass(frozen=True)
class OfInstrument:
    """
    Marks a parameter that depends on the instrument: None is what its table says.

    ``Annotated[float | None, OfInstrument()]`` is looked up in the TOML of the
    instrument of the first input, as ``[steps.NAME]``, before the step runs. With a
    table, such as ``OfInstrument("spectrograph")``, the mapping that the step takes is
    that table, as it holds for the first input; what a call gives replaces single keys.

    Parameters
    ----------
    table : str
        The table of the TOML; empty for a value under ``[steps.NAME]``.
    """

    table: str = ""

    @property
    def completes(self) -> bool:
        """Whether what a call gives is completed from the table."""
        return bool(self.table)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """
    One parameter of a step.

    Parameters
    ----------
    name : str
        Its name.
    kind : Kind
        The kind of value that its annotation asks for.
    default : object
        Its default, or `inspect.Parameter.empty`.
    unit : Unit or None
        Its unit.
    is_table : bool
        Whether it takes what an instrument table says.
    of_instrument : OfInstrument or None
        Where the instrument table has it, if the call does not give it.
    """

    name: str
    kind: Kind = field(default_factory=Kind)
    default: Any = _EMPTY
    unit: Unit | None = None
    is_table: bool = False
    of_instrument: OfInstrument | None = None

    @classmethod
    def read(cls, parameter: inspect.Parameter, hint: Any) -> "Parameter":
        """Read one parameter of a signature."""
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
            of_instrument=next(
                (e for e in extras if isinstance(e, OfInstrument)), None
            ),
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
        """Whether None is allowed."""
        return self.default is None or type(None) in self.kind.types

    def __str__(self) -> str:
        return f"{self.kind} in {self.unit.unit}" if self.unit else str(self.kind)

    def check(self, value: Any, step: str) -> Any:
        """Check a value; a quantity is converted to the unit of the parameter."""
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
    """Check the values of all parameters, and fill in the defaults."""
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

    Raises
    ------
    DeclarationError
        If the function takes ``*args`` or ``**kwargs``, which cannot be checked, or
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
