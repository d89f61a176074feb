"""Arithmetic of many files, done when somebody looks at a result or saves it."""

import pickle
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.nddata import NDData

from ndmapper.data import DataFile
from ndmapper.errors import IdentError, NdmapperError, ShapeError, UnitError
from ndmapper.lib.muse.calibfile import CalibFile
from ndmapper.lib.muse.ifus import ifu_number, shortened

__all__ = ["CalibFiles", "Deferred", "computed", "snapshot"]


@dataclass(frozen=True)
class Deferred:
    """
    The result of an operation that is not carried out yet.

    Parameters
    ----------
    name : str
        The operation.
    left, right : CalibFile, Deferred, or what a CalibFile is combined with
        The operands; at least one is of the first two kinds. They must be nobody
        else's: see `snapshot`.
    where : str
        What is combined, for errors.
    """

    name: str
    left: Any
    right: Any
    where: str

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of the result; None where there is more than one image."""
        operand = self.left if _is_file(self.left) else self.right
        return shape_of(operand)

    def check(self) -> None:
        """
        Find what cannot be combined before anything is read.

        Raises
        ------
        ShapeError
            If the shapes do not match.
        UnitError
            If the units do not.
        """
        one, two = shape_of(self.left), shape_of(self.right)
        if one is not None and two is not None and one != two:
            msg = (
                f"{self.where}: arrays of shape {one} and {two} cannot be combined; "
                "use files of one binning and trimming"
            )
            raise ShapeError(msg)
        if self.name not in ("add", "subtract"):
            return
        units = [_unit_of(operand) for operand in (self.left, self.right)]
        if None not in units and not units[0].is_equivalent(units[1]):
            msg = f"{self.where}: {units[0]} and {units[1]} cannot be combined"
            raise UnitError(msg)

    def result(self) -> CalibFile:
        """
        Carry it out.

        Returns
        -------
        CalibFile
            The result, without a name.

        Raises
        ------
        NdmapperError
            If it cannot be carried out; the error says for which IFU.
        """
        left, right = computed(self.left), computed(self.right)
        try:
            if isinstance(left, CalibFile):
                made = left._operate(self.name, right)
            else:
                made = right._operate(self.name, left, swapped=True)
        except NdmapperError as err:
            msg = f"{self.where}: {err}"
            raise type(err)(msg) from err
        if made is NotImplemented:
            msg = f"{self.name} is not defined for {type(right).__name__}"
            raise TypeError(msg)
        assert isinstance(made, CalibFile)
        return made


def computed(value: Any) -> Any:
    """
    Carry out what is deferred.

    Parameters
    ----------
    value : Deferred or object
        An operand.

    Returns
    -------
    CalibFile or object
        The result of what is deferred; anything else as it is.
    """
    return value.result() if isinstance(value, Deferred) else value


def snapshot(value: Any) -> Any:
    """
    Take an operand as it is now, so that no later change to it shows in the result.

    Parameters
    ----------
    value : CalibFile, Deferred, NDData, array or number
        An operand.

    Returns
    -------
    same type
        Pixels that are in a file, and unchanged, are neither read nor copied.
    """
    if isinstance(value, Deferred | int | float | np.generic):
        return value
    # What travels to a worker process is just this: the values at this moment.
    return pickle.loads(pickle.dumps(value))


def shape_of(value: Any) -> tuple[int, ...] | None:
    """
    Find the shape that an operand has in every pixel.

    Parameters
    ----------
    value : CalibFile, Deferred, NDData, array or number
        An operand.

    Returns
    -------
    tuple of int or None
        None for what goes with any shape, and for a file of several images.
    """
    if isinstance(value, Deferred):
        return value.shape
    if isinstance(value, DataFile):
        return next(iter(value)).shape if len(value) == 1 else None
    return value.shape if isinstance(value, NDData) else None


def _unit_of(value: Any) -> Any:
    """Give the unit that an operand has, as far as that is known by now."""
    if isinstance(value, DataFile):
        return next(iter(value)).unit if len(value) == 1 else None
    return value.unit if isinstance(value, NDData) else None


def _is_file(value: Any) -> bool:
    return isinstance(value, CalibFile | Deferred)


class CalibFiles(MutableMapping[int, CalibFile]):
    """
    Calibration files by IFU; results of arithmetic are computed when looked at.

    Parameters
    ----------
    entries : mapping of int to CalibFile or Deferred, optional
        What there is for each IFU.
    """

    def __init__(
        self, entries: Mapping[int, CalibFile | Deferred] | None = None
    ) -> None:
        self.entries = dict(sorted((entries or {}).items()))

    def __getitem__(self, ifu: int) -> CalibFile:
        made: CalibFile = computed(self.entries[ifu])
        self.entries[ifu] = made
        return made

    def __setitem__(self, ifu: int | str, value: DataFile | NDData) -> None:
        if not isinstance(value, DataFile | NDData):
            msg = f"a CalibFile was expected for IFU {ifu}, not {type(value).__name__}"
            raise TypeError(msg)
        number = ifu_number(ifu)
        if isinstance(value, DataFile) and len(value) > 1:
            msg = (
                f"IFU {number} needs a file of one IFU, but {value!r} has "
                f"{value.idents}; take one of a CalibDir of this file"
            )
            raise IdentError(msg)
        made = value if isinstance(value, CalibFile) else CalibFile(data=value)
        self.entries = dict(sorted({**self.entries, number: made}.items()))

    def __delitem__(self, ifu: int) -> None:
        del self.entries[ifu]

    def __contains__(self, ifu: object) -> bool:
        return ifu in self.entries

    def __iter__(self) -> Iterator[int]:
        return iter(list(self.entries))

    def __len__(self) -> int:
        return len(self.entries)

    # Files are compared by what they are, and not pixel by pixel.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<calibration files of the IFUs {shortened(self.entries)}>"
