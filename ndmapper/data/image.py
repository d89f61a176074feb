"""What an image is made of: arrays, header, unit, coordinates, meaning of its flags."""

import copy
import math
import re
import weakref
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.nddata import NDData, NDUncertainty, VarianceUncertainty

from ndmapper.config import config
from ndmapper.data.array import LazyArray, Ownership
from ndmapper.data.flags import FLAGS_DTYPE, Flag, as_bits, named_flags
from ndmapper.data.spectral_axis import spectral_table, spectral_wcs
from ndmapper.data.uncertainty import variance_of
from ndmapper.data.wcs import Coordinates
from ndmapper.data.wcs_tables import CoordinateTables
from ndmapper.errors import ShapeError
from ndmapper.instruments import FlagTable, load_flags, recognise_flags
from ndmapper.io.converted import AsMask, WithNoData, unfit_as_bits
from ndmapper.io.headers import Header, StoredHeader, as_header
from ndmapper.io.labels import Ident
from ndmapper.io.source import Source
from ndmapper.io.units import unit_of, unit_words
from ndmapper.numerics.formulas import as_numbers

if TYPE_CHECKING:
    from ndmapper.data.tables import Belongings

__all__ = [
    "ImageBase",
    "ImageContent",
    "Names",
    "lazy_array",
    "mask_of_array",
    "sharing_arrays",
    "with_content",
    "without_arrays",
]

_CAMERA = re.compile(rb"((?:INSTRUME|TELESCOP|IMAGETYP)=.{71})")

_KEEP: Any = object()

_NOUNS = {"data": "pixels", "uncertainty": "variances", "flags": "flags"}

Names = int | str | Iterable[int | str]
"""Bits, or names of flags."""


# Of these an array that is assigned again is not copied.
_ASSIGNED_AGAIN = (Ownership.PRIVATE, Ownership.EXPOSED)


class _Unit(NamedTuple):
    """The unit of the pixels, and what BUNIT meant and said when that was read."""

    value: Any
    in_header: Any = None
    words: str = ""


class ImageContent:
    """
    What an image consists of, for the modules that open, save, copy and combine images.

    `ndmapper.data.NDLater` has one as ``content``, and is the interface for users.

    Parameters
    ----------
    bad_flags : int or str
        Bits, or names of flags, that make a pixel masked.
    """

    def __init__(self, bad_flags: int | str) -> None:
        self.arrays: dict[str, LazyArray] = {}
        """By role: 'data', 'uncertainty' (always a variance) and 'flags'."""
        self.stored = StoredHeader()
        self.primary: StoredHeader | None = None
        """The primary header of its file."""
        self.origin: tuple[Source, int] | None = None
        """Where the data were in a file, so that a product keeps the order of HDUs."""
        self.ident: Ident | None = None
        self.psf: Any = None
        self.tables: Belongings | None = None
        self.extras: Belongings | None = None
        self.has_belonged = False
        """Whether it is of a group of a file, so that its tables are known."""
        self.is_owned = False
        """Whether a DataFile holds it."""
        self.coordinates: Coordinates | None = None
        """Those in use; what the header says is read when they are asked for."""
        self.coordinate_tables: CoordinateTables | None = None
        """Where a file has what its headers only refer to."""
        self.variance_object: LinkedVariance | None = None
        """That of its image, which stays the same object as long as it fits."""
        self._unit: _Unit | None = None
        # What the flags mean, once it was asked for or set.
        self._flag_table: FlagTable | None = None
        # Primary header of the file that the flags are from, if it is another's now.
        self._flag_primary: StoredHeader | None = None
        # Names are looked up when they are needed.
        self._bad_flags = bad_flags

    @classmethod
    def of(cls, data: Any, bad_flags: int | str | None = None) -> Self:
        """Take over an NDData, an array or a Quantity; an NDLater is copied."""
        if isinstance(data, ImageBase):
            new = data.content.copy()
            if bad_flags is not None:
                new._bad_flags = bad_flags
            return new  # type: ignore[return-value]
        new = cls(config["bad_flags"] if bad_flags is None else bad_flags)
        if isinstance(data, NDData):
            new._take_nddata(data)
            return new
        new.arrays["data"] = lazy_array(data)
        if isinstance(data, u.Quantity):
            new._unit = _Unit(data.unit)
        if (mask := mask_of_array(data)) is not None:
            new.arrays["flags"] = _flag_part(mask)
        return new

    def _take_nddata(self, data: NDData) -> None:
        self.arrays["data"] = lazy_array(data.data)
        self.stored = StoredHeader(header=as_header(data.meta))
        if data.unit is not None:
            self._unit = _Unit(data.unit, words=unit_words(self.stored.header))
        self.psf = data.psf
        if data.wcs is not None:
            self.coordinates = Coordinates(data.wcs)
            self.coordinates.put(self.stored.header, came_along=True)
        if data.uncertainty is not None:
            variance = variance_of(data.uncertainty, self.shape, data.unit)
            if variance is not None:
                self.arrays["uncertainty"] = LazyArray(array=variance)
        if (flags := getattr(data, "flags", None)) is not None:
            self.arrays["flags"] = LazyArray(array=_flag_bits(flags))
        if data.mask is not None:
            mask = np.broadcast_to(as_numbers(data.mask, "masks"), self.shape)
            if (known := self.arrays.get("flags")) is None:
                self.arrays["flags"] = _flag_part(mask)
            else:
                # What the flags say already is not said once more by another bit.
                flagged: Any = self.flagged(self.bad_flags)
                bad = np.where(mask & ~flagged, known.dtype.type(Flag.BAD), 0)
                array = known.read_only() | bad
                self.arrays["flags"] = LazyArray(array=array.astype(known.dtype))
        self.check_shapes()

    # ---- copies

    def copy(self, *, leaving_out: Collection[str] = ()) -> "ImageContent":
        """Copy without reading: a change to one never shows in the other."""
        new = self.without_arrays()
        new.arrays = {
            name: part.copy()
            for name, part in self.arrays.items()
            if name not in leaving_out
        }
        return new

    def as_place(self) -> "ImageContent":
        """Stand for an image, without its arrays, in whose place another is put."""
        new = object.__new__(ImageContent)
        new.__dict__.update(self.__dict__)
        new.arrays = {}
        return new

    def sharing_arrays(self) -> "ImageContent":
        """
        Copy all but the arrays, which are those of both, read or not.

        What is written into an array of one shows in the other, but operators in
        place change only the one that they are used on.
        """
        new = self.without_arrays()
        for name, part in self.arrays.items():
            part.is_common = True
            new.arrays[name] = part
        return new

    def without_arrays(self) -> "ImageContent":
        """Copy header, unit, coordinates and the like for an image of no file."""
        self.settle_wcs()
        new = object.__new__(ImageContent)
        new.__dict__.update(self.__dict__)
        new.arrays = {}
        new.variance_object = None
        new.stored = self.stored.copy()
        new.tables = self.tables.detached() if self.tables else None
        new.extras = self.extras.detached() if self.extras else None
        new.has_belonged = self.has_belonged or self.is_owned
        new.is_owned = False
        held = self.coordinates
        new.coordinates = None if held is None else held.copy()
        new.psf = copy.deepcopy(self.psf)
        return new

    def __getstate__(self) -> dict[str, Any]:
        self.settle_wcs()
        held = self.coordinates
        # These are made again when they are asked for. The variance object refers to
        # its image weakly.
        state: dict[str, Any] = {
            **self.__dict__,
            "variance_object": None,
            "coordinates": None,
        }
        if held is not None and held.in_memory:
            table = spectral_table(held.wcs, self.shape)
            state["coordinates"] = held if table is None else table
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if isinstance(table := state["coordinates"], tuple):
            self.coordinates = Coordinates(spectral_wcs(*table))

    # ---- arrays

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data; nothing is read."""
        return self.arrays["data"].shape

    def set_array(self, name: str, value: Any) -> None:
        """Put an array in the place of another, whose file is forgotten."""
        array = as_numbers(value, _NOUNS[name])
        shape = self.shape
        others = [n for n in self.arrays if n != name]
        if array.shape != shape and others:
            if array.shape == () and name != "data":
                array = np.full(shape, array)
            else:
                msg = (
                    f"the {name} have shape {array.shape}, but there is {shape} already"
                )
                raise ShapeError(msg)
        old = self.arrays.get(name)
        if old is None:
            self.arrays[name] = LazyArray(array=array)
        elif old.form is array and old.ownership in _ASSIGNED_AGAIN:
            old.ownership = Ownership.EXPOSED  # as after ``ndd.data += 1``
        else:
            # Where it came from is kept: a save compares, and knows its header.
            same = array.shape == old.shape
            handle = old.handle if same else None
            self.arrays[name] = LazyArray(handle, array, header=old.header)

    def check_shapes(self) -> None:
        """Raise a ShapeError where the arrays differ in shape."""
        shapes = {name: part.shape for name, part in self.arrays.items()}
        if len(set(shapes.values())) > 1:
            msg = "the parts have different shapes: " + ", ".join(
                f"{name} {shape}" for name, shape in shapes.items()
            )
            raise ShapeError(msg)

    @property
    def is_modified(self) -> bool:
        """Whether anything in memory differs from the file, or is in no file."""
        self.settle_wcs()
        return (
            self.stored.is_touched
            or self.unit_edited
            or any(part.is_modified for part in self.arrays.values())
        )

    # ---- header, unit and coordinates

    @property
    def in_primary(self) -> bool:
        """Whether the header is a primary header, as of an image in that HDU."""
        raw = self.stored.raw
        if raw is not None:
            return raw.startswith(b"SIMPLE")
        return "SIMPLE" in self.stored.header

    def _read_unit(self) -> _Unit:
        """Take the unit from the header, where it was not, or was changed since."""
        known = self._unit
        if known is not None and not self.stored.is_parsed:
            return known
        words = unit_words(self.stored.header)
        if known is not None and words == known.words:
            return known
        found = unit_of(self.stored.header)
        # A unit that was set stays when the card goes.
        stays = known is not None and not words and known.value != known.in_header
        self._unit = _Unit(known.value if known and stays else found, found, words)
        return self._unit

    @property
    def unit(self) -> Any:
        """The unit of the data; None where there is none, or it is not understood."""
        return self._read_unit().value

    @unit.setter
    def unit(self, value: Any) -> None:
        known = self._read_unit()  # so that it is known what the header says
        self._unit = known._replace(value=None if value is None else u.Unit(value))

    @property
    def unit_edited(self) -> bool:
        """Whether the unit is not what the header says."""
        if self._unit is None:
            return False
        unit = self._read_unit()
        return bool(unit.value != unit.in_header)

    def unit_and_words(self) -> tuple[Any, str]:
        """Return the unit, and what BUNIT says if that is not understood (else '')."""
        unit = self._read_unit()
        if unit.value is not None or unit.in_header is not None or not unit.words:
            return unit.value, ""
        return None, " ".join(unit.words.split())

    def forget_unit(self) -> None:
        """Read the unit from the header when it is asked for next."""
        self._unit = None

    @property
    def wcs(self) -> Any:
        """World coordinates, made from the header when they are asked for."""
        if self.coordinates is None or self.coordinates.is_outdated(self.stored):
            self.settle_wcs()
            tables = self.coordinate_tables
            self.coordinates = Coordinates.read(self.stored, self.shape, tables)
        return self.coordinates.wcs

    @wcs.setter
    def wcs(self, value: Any) -> None:
        self.coordinates = Coordinates(value)
        self.coordinates.put(self.stored.header)

    def settle_wcs(self) -> None:
        """Write changes that were made to the coordinates in place into the header."""
        if self.coordinates is not None:
            self.coordinates.settle(self.stored)

    # ---- the meaning of flags

    @property
    def flag_table(self) -> FlagTable:
        """What the bits of the flags mean: as set, or as headers and instrument say."""
        if self._flag_table is not None:
            return self._flag_table
        return self._found_flag_table(self._flag_primary or self.primary)

    @flag_table.setter
    def flag_table(self, value: FlagTable | str) -> None:
        self._flag_table = value if isinstance(value, FlagTable) else load_flags(value)

    def _found_flag_table(self, primary: StoredHeader | None) -> FlagTable:
        if (found := _stated(self.arrays.get("flags"))) is not None:
            return found
        found = None if primary is None else recognise_flags(primary.header)
        return load_flags("ndmapper") if found is None else found

    def keep_flag_table(self) -> None:
        """See to it that flags keep their meaning in the company of another file."""
        if self._flag_table is None and "flags" in self.arrays:
            if self.primary is None and _stated(self.arrays["flags"]) is None:
                self._flag_table = load_flags("ndmapper")
            self._flag_primary = self._flag_primary or self.primary

    def flag_origin(self) -> Any:
        """Give what tells the convention, if possible without parsing a header."""
        if self._flag_table is not None:
            return self._flag_table
        if (found := _stated(self.arrays.get("flags"))) is not None:
            return found
        primary = self._flag_primary or self.primary
        if primary is None:
            return load_flags("ndmapper")
        if primary.raw is None:
            return self.flag_table
        return _CAMERA.findall(primary.raw)

    def must_name_flags(self) -> bool:
        """Whether the file would say something else of flags that were not changed."""
        known, now = self._flag_primary, self.primary
        if self._flag_table is None and (known is None or _is_same(known, now)):
            return False
        return self.flag_table != self._found_flag_table(self.primary)

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
    def knows_bad_flags(self) -> bool:
        """Whether `bad_flags` can be given without looking into headers."""
        return type(self._bad_flags) is int

    def flagged(self, names: Names) -> npt.NDArray[np.bool_] | None:
        """Find the pixels that have any of these flags; None where there are none."""
        part = self.arrays.get("flags")
        value = names if isinstance(names, int) else self.flag_table.value(names)
        if part is None:
            return None
        array = part.read_only()
        return np.asarray((array & as_bits(value, array.dtype)) != 0)


def _is_same(one: StoredHeader, other: StoredHeader | None) -> bool:
    """Whether two headers are the same bytes, and neither was edited."""
    if other is None or one.raw is None or one.raw != other.raw:
        return False
    return not one.is_touched and not other.is_touched


def _stated(part: LazyArray | None) -> FlagTable | None:
    """Read the table that the header of the flags states, if it does."""
    handle = None if part is None else part.handle
    if handle is not None and isinstance(handle.conversion, AsMask | WithNoData):
        return load_flags("ndmapper")  # of a mask, whose 1 is our own BAD
    if part is None or part.header is None:
        return None
    raw = part.header.raw
    # Most do not; that is known without making a header of the bytes.
    if raw is not None and b"FLAGCONV=" not in raw:
        return None
    return named_flags(part.header.header)


class LinkedVariance(VarianceUncertainty):  # type: ignore[misc]
    """The variance of an image as astropy has it: its array is that of the image."""

    # Weak, so that an image that is dropped frees its arrays at once.
    _content: "weakref.ref[ImageContent] | None" = None
    _lazy: LazyArray | None = None
    _own: Any = None
    _unit_of_data: Any

    @classmethod
    def of(cls, image: "ImageBase", unit: Any) -> "LinkedVariance":
        """Make that of an image; data and flags stay unread."""
        # The square of a logarithmic unit is none.
        square = unit**2 if isinstance(unit, u.UnitBase) else None
        new = cls(None, copy=False, unit=square)
        new._content = weakref.ref(image.content)
        new._lazy = image.content.arrays["uncertainty"]
        _ = new.array  # the caller has it from now on
        new._unit_of_data = unit
        # Setting parent_nddata itself would look at the data, and so read them.
        new._parent_nddata = weakref.ref(image)
        return new

    def fits(self, unit: Any) -> bool:
        """Say whether it is still that of its image, whose data have a unit."""
        return self._linked() is not None and self._unit_of_data is unit

    def _linked(self) -> ImageContent | None:
        content = None if self._content is None else self._content()
        if content is None or content.arrays.get("uncertainty") is not self._lazy:
            return None
        return content

    # By this name astropy has the array.
    @property
    def _array(self) -> Any:
        return self._own if self._lazy is None else self._lazy.array

    @_array.setter
    def _array(self, value: Any) -> None:
        if (content := self._linked()) is None:
            # It is no longer that of the image, which has another one by now.
            self._lazy, self._own = None, value
        elif value is None:
            del content.arrays["uncertainty"]
            self._lazy = None
        else:
            content.set_array("uncertainty", value)
            self._lazy = content.arrays["uncertainty"]

    # To others it is a plain one: astropy tells by the class how it is written and
    # what becomes of it in operations.

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return VarianceUncertainty

    def __repr__(self) -> str:
        return repr(VarianceUncertainty(self.array, copy=False))

    def __getitem__(self, item: Any) -> VarianceUncertainty:
        return VarianceUncertainty(self.array[item], copy=False, unit=self.unit)

    def __copy__(self) -> VarianceUncertainty:
        new = VarianceUncertainty(self.array, copy=False, unit=self.unit)
        new.parent_nddata = self.parent_nddata
        return new

    def __reduce__(self) -> Any:
        return VarianceUncertainty, (self.array, False, self.unit)


class ImageBase:
    """The arrays of an image and what describes them: the base of NDLater's mixins."""

    content: ImageContent

    # ---- form, which is known without reading

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data; nothing is read."""
        return self.content.arrays["data"].shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the data; nothing is read."""
        return self.content.arrays["data"].dtype

    @property
    def ndim(self) -> int:
        """Number of axes; nothing is read."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of pixels; nothing is read."""
        return math.prod(self.shape)

    def has(self, part: str) -> bool:
        """
        Say whether there is a part, without reading it.

        Parameters
        ----------
        part : {'data', 'uncertainty', 'flags'}
            Which one.

        Returns
        -------
        bool
            True if there is one.
        """
        return part in self.content.arrays

    # ---- the three arrays

    @property
    def data(self) -> npt.NDArray[Any]:
        """The pixels, read now if they were not; ``del`` frees what was read."""
        return self.content.arrays["data"].array

    @data.setter
    def data(self, value: Any) -> None:
        unit = getattr(value, "unit", None)
        self.content.set_array("data", value)
        if isinstance(value, u.Quantity):
            self.unit = unit

    @data.deleter
    def data(self) -> None:
        self.content.arrays["data"].free("data")

    @property
    def variance(self) -> npt.NDArray[Any] | None:
        """The variance as an array [unit squared]; None where there is none."""
        part = self.content.arrays.get("uncertainty")
        return None if part is None else part.array

    @variance.setter
    def variance(self, value: Any) -> None:
        if value is None:
            self.content.arrays.pop("uncertainty", None)
        else:
            self.content.set_array("uncertainty", value)

    @property
    def uncertainty(self) -> VarianceUncertainty | None:
        """The uncertainty, always as a variance; ``del`` frees what was read."""
        if not self.has("uncertainty"):
            return None
        held, unit = self.content.variance_object, self.unit
        if held is None or not held.fits(unit):
            held = self.content.variance_object = LinkedVariance.of(self, unit)
        return held

    @uncertainty.setter
    def uncertainty(self, value: NDUncertainty | None) -> None:
        if value is None:
            self.variance = None
        else:
            self.variance = variance_of(value, self.shape, self.unit)

    @uncertainty.deleter
    def uncertainty(self) -> None:
        if (part := self.content.arrays.get("uncertainty")) is not None:
            part.free("uncertainty")

    @property
    def flags(self) -> npt.NDArray[Any] | None:
        """The flag bits; None where there are none; ``del`` frees what was read."""
        part = self.content.arrays.get("flags")
        return None if part is None else part.array

    @flags.setter
    def flags(self, value: Any) -> None:
        if value is None:
            self.content.arrays.pop("flags", None)
        else:
            self.content.set_array("flags", _flag_bits(value))

    @flags.deleter
    def flags(self) -> None:
        if (part := self.content.arrays.get("flags")) is not None:
            part.free("flags")

    # ---- what describes them

    @property
    def ident(self) -> Ident | None:
        """Number or name of the group in its file (EXTVER); arithmetic pairs by it."""
        return self.content.ident

    @ident.setter
    def ident(self, value: Ident | None) -> None:
        self.content.ident = value

    @property
    def psf(self) -> Any:
        """Whatever was given; only there because NDData has one, and not saved."""
        return self.content.psf

    @psf.setter
    def psf(self, value: Any) -> None:
        self.content.psf = value

    @property
    def meta(self) -> Header:
        """Header of the extension (of the primary HDU for an image in that)."""
        return self.content.stored.header

    @meta.setter
    def meta(self, value: Mapping[str, Any] | None) -> None:
        content = self.content
        content.stored = StoredHeader(content.stored.raw, as_header(value))
        if content.coordinates is not None and not content.coordinates.in_memory:
            content.coordinates = None

    @property
    def unit(self) -> Any:
        """The unit of the data; None where there is none, or it is not understood."""
        return self.content.unit

    @unit.setter
    def unit(self, value: Any) -> None:
        self.content.unit = value

    @property
    def wcs(self) -> Any:
        """World coordinates, made from the header when they are asked for."""
        return self.content.wcs

    @wcs.setter
    def wcs(self, value: Any) -> None:
        self.content.wcs = value

    @property
    def primary_meta(self) -> Header | None:
        """Primary header of the file that this belongs to; None without a file."""
        return None if self.content.primary is None else self.content.primary.header

    # ---- copies

    def copy(self) -> Self:
        """
        Copy without reading: arrays that were handed out at once, others on write.

        Returns
        -------
        NDLater
            A change to one never shows in the other, and an array that was handed out
            by this one stays its own.
        """
        return with_content(type(self), self.content.copy())

    def replace(
        self,
        *,
        data: Any = _KEEP,
        variance: Any = _KEEP,
        flags: Any = _KEEP,
        unit: Any = _KEEP,
        meta: Any = _KEEP,
    ) -> Self:
        """
        Copy with some parts replaced; the others are shared, unread.

        Parameters
        ----------
        data : array_like, optional
            Pixels.
        variance : array_like or None, optional
            Variance [unit of data squared]; None takes it away.
        flags : array_like of int or None, optional
            Flag bits; None takes them away.
        unit : unit or str or None, optional
            Unit of the data; None takes it away.
        meta : Header or mapping, optional
            Header.

        Returns
        -------
        NDLater
            The copy.

        Raises
        ------
        ShapeError
            If the parts do not have one shape in the end.
        """
        given = {"data": data, "uncertainty": variance, "flags": flags}
        changed = [name for name, value in given.items() if value is not _KEEP]
        new = with_content(type(self), self.content.copy(leaving_out=changed))
        if data is not _KEEP:
            new.content.arrays["data"] = lazy_array(data)
        if meta is not _KEEP:
            new.meta = meta
            if unit is _KEEP and not self.content.unit_edited:
                new.content.forget_unit()
        if unit is not _KEEP:
            new.unit = unit
        elif isinstance(data, u.Quantity):
            new.unit = data.unit
        if variance is not _KEEP:
            new.variance = variance
        if flags is not _KEEP:
            new.flags = flags
        new.content.check_shapes()
        return new


Image = TypeVar("Image", bound=ImageBase)


def with_content(kind: type[Image], content: ImageContent) -> Image:
    """Make an image of what it consists of."""
    new = object.__new__(kind)
    new.content = content
    return new


def sharing_arrays(image: Image) -> Image:
    """Make an image with the same arrays: see `ImageContent.sharing_arrays`."""
    return with_content(type(image), image.content.sharing_arrays())


def without_arrays(image: Image) -> Image:
    """Make an image with the same header, unit and coordinates, and no arrays yet."""
    return with_content(type(image), image.content.without_arrays())


def lazy_array(data: Any) -> LazyArray:
    """Wrap numbers; the unit of a Quantity and the mask of an array are left out."""
    if isinstance(data, u.Quantity):
        data = data.value
    if isinstance(data, np.ma.MaskedArray):
        data = data.data
    data = getattr(data, "unmasked", data)  # of astropy's masked arrays
    return LazyArray(array=as_numbers(data, _NOUNS["data"]))


def mask_of_array(value: Any) -> npt.NDArray[np.bool_] | None:
    """Return the mask of a masked array, NumPy's or astropy's, if it has one."""
    mask = getattr(value, "mask", None) if isinstance(value, np.ndarray) else None
    return None if mask is None or mask is np.ma.nomask else np.asarray(mask)


def _flag_bits(value: Any) -> npt.NDArray[Any]:
    """Return flags as an array of integers."""
    array = as_numbers(value, _NOUNS["flags"])
    if array.dtype.kind in "iu":
        return array
    if array.dtype.kind == "f" and (wrong := unfit_as_bits(array)) is not None:
        msg = f"flags are bits, so they must be integers of up to 32 bits, not {wrong}"
        raise ShapeError(msg)
    is_wide = array.size and array.max() > np.iinfo(FLAGS_DTYPE).max
    return array.astype(np.uint32 if is_wide else FLAGS_DTYPE)


def _flag_part(mask: Any) -> LazyArray:
    return LazyArray(array=np.where(mask, Flag.BAD, 0).astype(FLAGS_DTYPE))
