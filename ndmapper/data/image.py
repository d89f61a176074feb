"""What an NDLater is made of, and how it is put together and travels."""

import copy
import functools
import operator
import re
import weakref
from collections.abc import Iterable
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
from ndmapper.data.flags import FLAGS_DTYPE, Flag, named_flags, translated, widened
from ndmapper.data.wcs import Coordinates
from ndmapper.data.wcs_tables import CoordinateTables
from ndmapper.errors import ModeError, ParameterError, ShapeError, UnitError
from ndmapper.instruments import FlagTable, load_flags, recognise_flags
from ndmapper.instruments.conventions import ALL_BITS
from ndmapper.io.converted import ConvertedHandle
from ndmapper.io.headers import StoredHeader, as_header
from ndmapper.io.labels import Ident
from ndmapper.io.source import Source
from ndmapper.io.units import unit_of, unit_words
from ndmapper.numerics.formulas import narrowed

if TYPE_CHECKING:
    from ndmapper.data.tables import Belongings

__all__ = [
    "Flagging",
    "Mask",
    "State",
    "array_part",
    "as_bits",
    "in_convention_of",
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


def linked_variance(ndd: Any, array: npt.NDArray[Any]) -> VarianceUncertainty:
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


_CAMERA = re.compile(rb"((?:INSTRUME|TELESCOP|IMAGETYP)=.{71})")

Names = int | str | Iterable[int | str]
"""Bits, or names of flags."""


class Flagging(State):
    """What flags mean, and which of them make a pixel masked."""

    @property
    def flag_table(self) -> FlagTable:
        """
        The names of the bits in `flags`: a convention, as of HST.

        It is the one that the header of the flags names, else that of the instrument
        or observatory, else ndmapper's own. It may be set, to a name or a table,
        where nothing in the file tells.
        """
        if self._flag_table is not None:
            return self._flag_table
        return self._found_flag_table(self._flag_primary or self._primary)

    @flag_table.setter
    def flag_table(self, value: "FlagTable | str") -> None:
        self._flag_table = value if isinstance(value, FlagTable) else load_flags(value)

    def _found_flag_table(self, primary: StoredHeader | None) -> FlagTable:
        if (found := _stated(self._parts.get("flags"))) is not None:
            return found
        found = None if primary is None else recognise_flags(primary.header)
        return load_flags("ndmapper") if found is None else found

    def _keep_flag_table(self) -> None:
        """See to it that flags keep their meaning in the company of another file."""
        if self._flag_table is None and "flags" in self._parts:
            if self._primary is None and _stated(self._parts["flags"]) is None:
                self._flag_table = load_flags("ndmapper")
            self._flag_primary = self._flag_primary or self._primary

    def _flag_origin(self) -> Any:
        """Give what tells the convention, if possible without parsing a header."""
        if self._flag_table is not None:
            return self._flag_table
        if (found := _stated(self._parts.get("flags"))) is not None:
            return found
        primary = self._flag_primary or self._primary
        if primary is None:
            return load_flags("ndmapper")
        if primary.raw is None:
            return self.flag_table
        return _CAMERA.findall(primary.raw)

    def _must_name_flags(self) -> bool:
        """Whether the file would say something else of flags that nobody changed."""
        if self._flag_table is None and self._flag_primary is None:
            return False
        return self.flag_table != self._found_flag_table(self._primary)

    @property
    def bad_flags(self) -> int:
        """Bits that make a pixel masked; may be set to bits or to names of flags."""
        if not isinstance(self._bad_flags, int):
            self._bad_flags = self.flag_table.value(self._bad_flags)
        return self._bad_flags

    @bad_flags.setter
    def bad_flags(self, value: Names) -> None:
        self._bad_flags = (
            int(value) if isinstance(value, int) else self.flag_table.value(value)
        )

    @property
    def mask(self) -> npt.NDArray[np.bool_] | None:
        """
        Where flags have a bit of `bad_flags`; None where there are no flags.

        Where it is set to True, also item by item (``ndd.mask[2, 3] = True``), pixels
        that were good get the flag for BAD of their convention; where it is set to
        False, bad ones lose the bits of `bad_flags`. Flags of others stay as they are.
        """
        found = self.flagged(self.bad_flags)
        return None if found is None else Mask(self, found)

    @mask.setter
    def mask(self: Any, value: Any) -> None:
        if value is None or value is np.ma.nomask:
            if not self.has("flags"):
                return
            value = False
        wanted = np.asarray(value, dtype=bool)
        if wanted.shape not in ((), self.shape):
            msg = f"the mask has shape {wanted.shape}, but the data have {self.shape}"
            raise ShapeError(msg)
        if not self.has("flags"):
            self._put("flags", np.zeros(self.shape, FLAGS_DTYPE))
        before = self.flagged(self.bad_flags)
        self._change_mask(wanted & ~before, before & ~wanted)

    def _change_mask(
        self: Any, marked: npt.NDArray[np.bool_], cleared: npt.NDArray[np.bool_]
    ) -> None:
        """Make pixels bad that are good, and others good that are bad."""
        flags = self.flags
        if marked.any():
            bad = self.flag_table.like_own(Flag.BAD) or int(Flag.BAD)
            if not bad & self.bad_flags:
                msg = (
                    "bad_flags leave BAD out, so that setting the mask would mask "
                    "nothing; set flags, or bad_flags"
                )
                raise ParameterError(msg)
            if (wider := widened(flags, bad)) is not flags:
                self._put("flags", wider)
                flags = self.flags
            flags[marked] |= as_bits(bad, flags.dtype)
        if cleared.any():
            flags[cleared] &= ~as_bits(self.bad_flags, flags.dtype)

    def flagged(self, names: Names) -> npt.NDArray[np.bool_] | None:
        """
        Find the pixels that have a flag.

        Parameters
        ----------
        names : int, str, or several of them
            Bits, or names of flags: those of `flag_table`, and ndmapper's own, as in
            ``'SATURATED|COSMIC_RAY'``.

        Returns
        -------
        ndarray of bool or None
            True where any of them is set; None where there are no flags.

        Raises
        ------
        ConfigError
            If no convention has such a name.
        """
        part = self._parts.get("flags")
        value = names if isinstance(names, int) else self.flag_table.value(names)
        if part is None:
            return None
        array = part.peek()
        return np.asarray((array & as_bits(value, array.dtype)) != 0)

    def translate_flags(self, to: "FlagTable | str") -> Self:
        """
        Turn the flags into those of another convention.

        Parameters
        ----------
        to : str or FlagTable
            The other convention, for instance ``'jwst'``.

        Returns
        -------
        NDLater
            A copy; its `bad_flags` are turned, too. What the other convention has no
            word for becomes its flag for BAD, or nothing if it says nothing against a
            pixel.
        """
        this: Any = self
        table = to if isinstance(to, FlagTable) else load_flags(to)
        new = this.copy()
        part = self._parts.get("flags")
        if part is not None:
            flags = translated(part.peek(), self.flag_table, table)
            new._parts["flags"] = Part(array=flags, header=new._parts["flags"].header)
        every = sum(b.value for b in self.flag_table.bits)
        if self.bad_flags & every != every:
            turned = self.flag_table.translation(table).items()
            there = [v for bit, v in turned if self.bad_flags & bit]
            new._bad_flags = functools.reduce(operator.or_, there, 0)
        new._flag_table = table
        return new  # type: ignore[no-any-return]


def in_convention_of(like: Any, other: Any) -> Any:
    """
    Give the flags of one operand the meaning that those of another have.

    Parameters
    ----------
    like : NDLater
        Whose convention the result has.
    other : object
        The other operand.

    Returns
    -------
    object
        The same one, unless it is an NDData whose flags mean something else, or a
        masked array: then an NDLater with the flags turned.
    """
    is_other_nddata = isinstance(other, NDData) and not isinstance(other, Flagging)
    if is_other_nddata or mask_of_array(other) is not None:
        other = type(like)(other)  # whose mask becomes the own flag BAD
    if not isinstance(other, Flagging) or "flags" not in other._parts:
        return other
    if like._flag_origin() == other._flag_origin():
        return other
    table = like.flag_table
    return other if other.flag_table == table else other.translate_flags(table)


def _stated(part: Part | None) -> FlagTable | None:
    """Read the table that the header of the flags states, if it does."""
    if part is not None and isinstance(part.handle, ConvertedHandle):
        return load_flags("ndmapper")  # of a mask, whose 1 is our own BAD
    if part is None or part.header is None:
        return None
    raw = part.header.raw
    # Most do not; that is known without making a header of the bytes.
    if raw is not None and b"FLAGCONV=" not in raw:
        return None
    return named_flags(part.header.header)


def as_bits(value: int, dtype: np.dtype[Any]) -> Any:
    """
    Make bits of a number, of a type that may be signed or narrower.

    Parameters
    ----------
    value : int
        The bits; the lower 32 of them, which is all that has names, mean those above,
        too.
    dtype : dtype
        Type of an array of flags.

    Returns
    -------
    numpy.integer
        The bits that fit.
    """
    value = ALL_BITS if value == 0xFFFFFFFF else value
    width = 8 * dtype.itemsize
    return np.array(value & ((1 << width) - 1), f"u{dtype.itemsize}").astype(dtype)[()]


class Mask(np.ndarray[Any, np.dtype[np.bool_]]):
    """
    Where flags make pixels bad; setting an item changes the flags of these pixels.

    It is what the flags were when somebody asked for it. Results of operations are
    plain arrays, and parts of a mask are read-only.

    Parameters
    ----------
    owner : NDLater
        Whose flags are set.
    array : ndarray of bool
        The mask, which nobody else has.
    """

    _owner: "Flagging | None"

    def __new__(  # noqa: D102  # the parameters are those of the class
        cls, owner: "Flagging", array: npt.NDArray[np.bool_]
    ) -> "Mask":
        made = array.view(cls)
        made._owner = owner
        # Whatever writes without asking is refused: flags would not follow.
        made.flags.writeable = False
        return made

    def __array_finalize__(self, obj: Any) -> None:
        self._owner = None

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: Any, *inputs: Any, **options: Any
    ) -> Any:
        plain = (np.asarray(x) if isinstance(x, Mask) else x for x in inputs)
        if (out := options.get("out")) is not None:
            options["out"] = tuple(
                np.asarray(x) if isinstance(x, Mask) else x for x in out
            )
        return getattr(ufunc, method)(*plain, **options)

    def __setitem__(self, item: Any, value: Any) -> None:
        if self._owner is None:
            if not self.flags.writeable:
                msg = (
                    "a part of a mask cannot be set; set an item of the mask itself, "
                    "as in ndd.mask[2:5, 3] = True, or the flags"
                )
                raise ModeError(msg)
            super().__setitem__(item, value)
            return
        wanted = np.array(self, subok=False)
        wanted[item] = value
        changed = wanted != np.asarray(self)
        self._owner._change_mask(wanted & changed, changed & ~wanted)
        np.copyto(self.base, wanted)  # type: ignore[arg-type]

    def _set_all(self, values: Any) -> "Mask":
        self[...] = values
        return self

    def __ior__(self, other: Any) -> "Mask":  # type: ignore[override,misc]
        return self._set_all(np.asarray(self) | other)

    def __iand__(self, other: Any) -> "Mask":  # type: ignore[override,misc]
        return self._set_all(np.asarray(self) & other)

    def __ixor__(self, other: Any) -> "Mask":  # type: ignore[override,misc]
        return self._set_all(np.asarray(self) ^ other)

    def __reduce__(self) -> Any:
        return np.array(self, subok=False).__reduce__()
