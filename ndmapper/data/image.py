"""What an NDLater is made of, and how it is put together and travels."""

import copy
import weakref
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.nddata import (
    InverseVariance,
    NDData,
    NDUncertainty,
    StdDevUncertainty,
    VarianceUncertainty,
)

from ndmapper.config import config
from ndmapper.data.array import Part, squared
from ndmapper.data.flags import FLAGS_DTYPE, Flag
from ndmapper.data.wcs import Coordinates
from ndmapper.data.wcs_tables import CoordinateTables
from ndmapper.errors import ShapeError, UnitError
from ndmapper.instruments import FlagTable
from ndmapper.io.headers import StoredHeader, as_header, unit_of, unit_words
from ndmapper.io.layout import Ident
from ndmapper.io.source import Source
from ndmapper.numerics.formulas import narrowed

if TYPE_CHECKING:
    from ndmapper.data.ndlater import NDLater
    from ndmapper.data.tables import Belongings

__all__ = [
    "State",
    "array_part",
    "linked_variance",
    "mask_of_array",
    "variance_part",
]


class State:
    """The attributes of an NDLater, without the interface to them."""

    _parts: dict[str, Part]
    _stored: StoredHeader
    _primary: StoredHeader | None
    _origin: tuple[Source, int] | None
    """Where the data were in a file, so that a product keeps the order of HDUs."""
    _unit: Any
    _unit_of_meta: Any
    _unit_words: str
    """What BUNIT said when the unit was read or set."""
    _has_unit: bool
    _coordinates: Coordinates | None
    """What the header says of them is read when somebody asks."""
    _coordinate_tables: CoordinateTables | None
    """Where a file has what its headers only refer to."""
    _variance_object: VarianceUncertainty | None
    _is_owned: bool
    """Whether a DataFile holds this one."""
    _flag_table: FlagTable | None
    """What the flags mean, once somebody asked or said it."""
    _flag_primary: StoredHeader | None
    """Primary header of the file that the flags are from, if it is another's now."""
    _bad_flags: int | str
    """Bits, or names of flags until somebody asks what they mean."""
    _tables: "Belongings | None"
    _extras: "Belongings | None"
    _has_belonged: bool
    """Whether it is of a group of a file, so that it is known what belongs to it."""
    ident: Ident | None
    psf: Any

    def _start_empty(self, bad_flags: int | str) -> None:
        self._parts = {}
        self._stored = StoredHeader()
        self._primary = None
        self._origin = None
        self._tables = self._extras = None
        self._has_belonged = False
        self._unit = self._unit_of_meta = None
        self._unit_words = ""
        self._has_unit = False
        self._coordinates = None
        self._coordinate_tables = None
        self._variance_object = None
        self._is_owned = False
        self.ident = None
        self.psf = None
        self._flag_table = self._flag_primary = None
        self._bad_flags = bad_flags

    def _start(self, data: Any, bad_flags: int | str | None = None) -> None:
        """
        Take over what `data` has, without reading it.

        The arrays of another NDLater are copied as by its `copy`, those of the user
        taken as they are.
        """
        self._start_empty(config["bad_flags"] if bad_flags is None else bad_flags)
        if isinstance(data, State):
            data._synced("uncertainty")
            self._parts = {name: part.copy() for name, part in data._parts.items()}
            self._take(data)
            if bad_flags is not None:
                self._bad_flags = bad_flags
        elif isinstance(data, NDData):
            self._take_nddata(data)
        else:
            self._parts = {"data": array_part(data)}
            if isinstance(data, u.Quantity):
                self._unit, self._has_unit = data.unit, True
            if (mask := mask_of_array(data)) is not None:
                self._parts["flags"] = _flag_part(mask)

    def _take(self, other: "State") -> None:
        """Take over all but the arrays."""
        other._settle_wcs()
        self._stored = other._stored.copy()
        self._primary = other._primary
        self._origin = other._origin
        self._tables = other._tables.detached() if other._tables else None
        self._extras = other._extras.detached() if other._extras else None
        self._has_belonged = other._has_belonged or other._is_owned
        self._unit, self._has_unit = other._unit, other._has_unit
        self._unit_of_meta, self._unit_words = other._unit_of_meta, other._unit_words
        held = other._coordinates
        self._coordinates = None if held is None else held.copy()
        self._coordinate_tables = other._coordinate_tables
        self._flag_table = other._flag_table
        self._flag_primary = other._flag_primary
        self._bad_flags = other._bad_flags
        self.ident, self.psf = other.ident, copy.deepcopy(other.psf)

    def _take_nddata(self, data: NDData) -> None:
        self._parts = {"data": array_part(data.data)}
        self._stored = StoredHeader(header=as_header(data.meta))
        if data.unit is not None:
            self._unit, self._has_unit = data.unit, True
            self._unit_words = unit_words(self._stored.header)
        self.psf = data.psf
        if data.wcs is not None:
            self._coordinates = Coordinates(data.wcs)
            self._coordinates.put(self._stored.header, came_along=True)
        if data.uncertainty is not None:
            self._parts["uncertainty"] = variance_part(
                data.uncertainty, self._parts["data"].shape, data.unit
            )
        if (flags := getattr(data, "flags", None)) is not None:
            array = np.asarray(flags)
            if array.dtype.kind not in "iu":
                array = array.astype(FLAGS_DTYPE)
            self._parts["flags"] = Part(array=array)
        if data.mask is not None:
            mask = np.broadcast_to(data.mask, self._parts["data"].shape)
            if (known := self._parts.get("flags")) is None:
                self._parts["flags"] = _flag_part(mask)
            else:
                # What the flags say already is not said once more by another bit.
                unsaid = mask & ~cast(Any, self).mask
                array = known.peek() | np.where(unsaid, known.dtype.type(Flag.BAD), 0)
                self._parts["flags"] = Part(array=array.astype(known.dtype))
        self._check_shapes()

    def _view(self) -> Self:
        """
        Make another one with the same arrays, read or not.

        What is written into an array of one shows in the other, but operators in
        place change only the one that they are used on.
        """
        new = self._bare()
        self._synced("uncertainty")
        for name, part in self._parts.items():
            part.shared = True
            new._parts[name] = part
        return new

    def _bare(self) -> Self:
        """Make another one like this, without arrays, that no file owns."""
        new = object.__new__(type(self))
        new._parts = {}
        new._variance_object = None
        new._is_owned = False
        new._take(self)
        return new

    def _synced(self, name: str) -> Part | None:
        """Give a part, after taking over an array that was put into `uncertainty`."""
        part = self._parts.get(name)
        held = self._variance_object
        if part is None or name != "uncertainty" or held is None:
            return part
        if held.array is not part.peek():
            self._put(name, np.asarray(held.array))
        return self._parts[name]

    def _put(self, name: str, array: npt.NDArray[Any]) -> None:
        """Put an array in the place of a part, of which the file is forgotten."""
        shape = self._parts["data"].shape
        others = [n for n in self._parts if n != name]
        if array.shape != shape and others:
            if array.shape == () and name != "data":
                array = np.full(shape, array)
            else:
                msg = (
                    f"the {name} have shape {array.shape}, but there is {shape} already"
                )
                raise ShapeError(msg)
        old = self._parts.get(name)
        if old is None:
            self._parts[name] = Part(array=array)
        elif old.is_loaded and old.form is array and not old.borrowed:
            old.held = True  # as after ``ndd.data += 1``
        else:
            # Where it came from is kept: a save compares, and knows its header.
            same = array.shape == old.shape
            self._parts[name] = Part(
                old.handle if same else None,
                array,
                header=old.header,
                is_std=old.is_std,
            )

    def _check_shapes(self) -> None:
        shapes = {name: part.shape for name, part in self._parts.items()}
        if len(set(shapes.values())) > 1:
            msg = "the parts have different shapes: " + ", ".join(
                f"{name} {shape}" for name, shape in shapes.items()
            )
            raise ShapeError(msg)

    @property
    def _in_primary(self) -> bool:
        """Whether the header is a primary header, as of an image in that HDU."""
        raw = self._stored.raw
        if raw is not None:
            return raw.startswith(b"SIMPLE")
        return "SIMPLE" in self._stored.header

    @property
    def _unit_edited(self) -> bool:
        """Whether the unit is not what the header says."""
        if self._has_unit:
            self._read_unit()
        return self._has_unit and self._unit != self._unit_of_meta

    def _read_unit(self) -> None:
        """Take the unit from the header, where it was not, or was changed since."""
        if self._has_unit and not self._stored.is_parsed:
            return
        words = unit_words(self._stored.header)
        if self._has_unit and words == self._unit_words:
            return
        # A unit that was set stays when the card goes.
        stays = self._has_unit and not words and self._unit != self._unit_of_meta
        self._unit_of_meta = unit_of(self._stored.header)
        if not stays:
            self._unit = self._unit_of_meta
        self._unit_words, self._has_unit = words, True
        self._variance_object = None

    def _settle_wcs(self) -> None:
        """Write into the header what somebody changed in the coordinates."""
        if self._coordinates is not None:
            self._coordinates.settle(self._stored)

    @property
    def _is_modified(self) -> bool:
        """Whether anything in memory differs from the file, or is in no file."""
        self._synced("uncertainty")
        self._settle_wcs()
        return (
            self._stored.is_touched
            or self._unit_edited
            or any(part.is_modified for part in self._parts.values())
        )

    def __getstate__(self) -> dict[str, Any]:
        self._synced("uncertainty")
        self._settle_wcs()
        held = self._coordinates
        # The variance object refers to its parent weakly. Both are made again when they
        # are asked for.
        return {
            **self.__dict__,
            "_variance_object": None,
            "_coordinates": held if held is not None and held.in_memory else None,
        }


def array_part(data: Any) -> Part:
    """
    Make a part of anything like an array.

    Parameters
    ----------
    data : array_like
        Numbers; the unit of a Quantity and the mask of a masked array are left out.

    Returns
    -------
    Part
        A part in memory.
    """
    if isinstance(data, u.Quantity):
        data = data.value
    if isinstance(data, np.ma.MaskedArray):
        data = data.data
    array = np.asarray(data)
    if array.dtype.kind not in "biuf":
        msg = f"pixels must be numbers, not {array.dtype}"
        raise TypeError(msg)
    return Part(array=array)


def mask_of_array(value: Any) -> npt.NDArray[np.bool_] | None:
    """
    Give the mask of a masked array, NumPy's or astropy's.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    ndarray of bool or None
        The mask; None where nothing has one.
    """
    mask = getattr(value, "mask", None) if isinstance(value, np.ndarray) else None
    return None if mask is None or mask is np.ma.nomask else np.asarray(mask)


def _flag_part(mask: Any) -> Part:
    return Part(array=np.where(mask, Flag.BAD, 0).astype(FLAGS_DTYPE))


def variance_part(value: NDUncertainty, shape: tuple[int, ...], unit: Any) -> Part:
    """
    Make a part of an uncertainty of any kind.

    Parameters
    ----------
    value : NDUncertainty
        The uncertainty.
    shape : tuple of int
        Shape that it must have.
    unit : unit or None
        Unit of the data.

    Returns
    -------
    Part
        The variance, in the unit of the data squared.

    Raises
    ------
    TypeError
        If it cannot be turned into a variance.
    ShapeError
        If it has another shape.
    UnitError
        If its unit does not go with that of the data.
    """
    if not isinstance(value, NDUncertainty):
        msg = (
            "uncertainty must be a VarianceUncertainty or another of astropy's, not "
            f"{type(value).__name__}; set variance to give an array"
        )
        raise TypeError(msg)
    array, own = np.asarray(value.array), value.unit
    dtype = array.dtype
    if isinstance(value, StdDevUncertainty):
        array, own = squared(array), None if own is None else own**2
    elif isinstance(value, InverseVariance):
        with np.errstate(divide="ignore", over="ignore"):
            array = 1 / np.asarray(array, np.float64)
        own = None if own is None else own**-1
    elif not isinstance(value, VarianceUncertainty):
        msg = f"a variance cannot be made of a {type(value).__name__}"
        raise TypeError(msg)
    if unit is not None and own is not None:
        try:
            factor = own.to(unit**2)
        except u.UnitConversionError as err:
            msg = f"an uncertainty in {own} does not go with data in {unit}"
            raise UnitError(msg) from err
        array = array if factor == 1 else np.asarray(array, np.float64) * factor
    if array is not value.array:
        array = narrowed(array, dtype)
    if array.shape != shape:
        array = _spread(array, shape)
    return Part(array=array)


def _spread(array: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    try:
        return np.broadcast_to(array, shape).copy()
    except ValueError as err:
        msg = f"the uncertainty has shape {array.shape}, but the data have {shape}"
        raise ShapeError(msg) from err


def linked_variance(ndd: "NDLater", array: npt.NDArray[Any]) -> VarianceUncertainty:
    """
    Make the uncertainty object of an NDLater, without reading its data.

    Parameters
    ----------
    ndd : NDLater
        Whose uncertainty it is.
    array : ndarray
        The variance; the object holds this very array.

    Returns
    -------
    VarianceUncertainty
        The object.
    """
    # The square of a logarithmic unit is none.
    unit = ndd.unit**2 if isinstance(ndd.unit, u.UnitBase) else None
    made = VarianceUncertainty(array, copy=False, unit=unit)
    # Setting parent_nddata itself would look at the data, and so read them.
    made._parent_nddata = weakref.ref(ndd)
    return made
