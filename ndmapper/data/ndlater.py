"""NDData whose pixels are read from the file when somebody looks at them."""

import math
from collections import UserDict
from collections.abc import Iterable, Mapping, MutableMapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.nddata import NDData, NDDataArray, NDUncertainty, VarianceUncertainty
from astropy.table import Table

from ndmapper.data.ccddata import Interchange
from ndmapper.data.detector import cut_sections, drop_sections
from ndmapper.data.display import PixelViews
from ndmapper.data.flags import FLAGS_DTYPE
from ndmapper.data.image import (
    Flagging,
    State,
    array_part,
    linked_variance,
    variance_part,
)
from ndmapper.data.numpy_functions import compared
from ndmapper.data.operations import is_operand
from ndmapper.data.operators import Operators
from ndmapper.data.reductions import Reductions
from ndmapper.data.tables import Belongings, TableStore
from ndmapper.data.wcs import Coordinates
from ndmapper.data.wcs_cut import cut_header, drop_coordinates
from ndmapper.errors import ShapeError
from ndmapper.io.arrays import is_basic_index, section_of
from ndmapper.io.converted import unfit_as_bits
from ndmapper.io.headers import Header, StoredHeader, as_header
from ndmapper.io.labels import Ident
from ndmapper.io.quickheader import HeaderValues, values_of

__all__ = ["Extras", "NDLater"]

_KEEP: Any = object()


class NDLater(
    Operators,
    Reductions,
    Flagging,
    Interchange,
    PixelViews,
    NDDataArray,  # type: ignore[misc]
):
    """
    An image, or any array, with variance, flags, unit, coordinates and header.

    What comes from a file is read when it is first looked at: data, uncertainty and
    flags each on their own, and of a section only the section.

    Parameters
    ----------
    data : array_like, Quantity or NDData
        The pixels. The parts of an NDData are taken over as they are; those of an
        NDLater are copied without reading them, as by its `copy`.
    uncertainty : NDUncertainty, optional
        Kept as a variance, whatever it is.
    mask : array_like of bool, optional
        True where a pixel is bad; becomes the bit BAD of the flags.
    wcs : object, optional
        World coordinates; by default those of the NDData, or of the header.
    meta : Header or mapping, optional
        The header.
    unit : unit or str, optional
        Unit of the pixels; by default what BUNIT says.
    copy : bool
        Copy the arrays. Otherwise those that are given are shared, so that operators
        in place change them, where their type can hold the result.
    psf : object, optional
        Only there because NDData has one; it is not saved.
    flags : array_like of int, optional
        Flag bits of each pixel; see `ndmapper.data.Flag`.
    variance : array_like, optional
        The variance, instead of `uncertainty` [unit of data squared].
    ident : int or str, optional
        Name of the extension in its file (EXTVER).
    bad_flags : int or str, optional
        Bits, or names of flags, that make a pixel masked; by default those of the
        configuration.
    """

    def __init__(  # noqa: PLR0917  # the published order
        self,
        data: Any,
        uncertainty: NDUncertainty | None = None,
        mask: Any = None,
        wcs: Any = None,
        meta: Mapping[str, Any] | None = None,
        unit: Any = None,
        copy: bool = False,
        psf: Any = None,
        *,
        flags: Any = None,
        variance: Any = None,
        ident: Ident | None = None,
        bad_flags: int | str | None = None,
    ) -> None:
        self._start(data, bad_flags)
        if meta is not None:
            if wcs is None and isinstance(data, NDData) and not isinstance(data, State):
                wcs = data.wcs  # an object of its own, not what its header says
            self.meta = meta
        if unit is not None:
            self.unit = unit
        if wcs is not None:
            self.wcs = wcs
        if uncertainty is not None:
            self.uncertainty = uncertainty
        if variance is not None:
            self.variance = variance
        if flags is not None:
            self.flags = flags
        if mask is not None and mask is not np.ma.nomask:
            self.mask = mask
        if ident is not None:
            self.ident = ident
        if psf is not None:
            self.psf = psf
        if copy:
            self._parts = {name: part.copy() for name, part in self._parts.items()}

    # ---- form, which is known without reading

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data; nothing is read."""
        return self._parts["data"].shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the data; nothing is read."""
        return self._parts["data"].dtype

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
        return part in self._parts

    # ---- the three arrays

    @property
    def data(self) -> npt.NDArray[Any]:
        """The pixels, read now if they were not; ``del`` frees what was read."""
        return self._parts["data"].array

    @data.setter
    def data(self, value: Any) -> None:
        unit = getattr(value, "unit", None)
        self._put("data", np.asarray(value))
        if isinstance(value, u.Quantity):
            self.unit = unit

    @data.deleter
    def data(self) -> None:
        self._parts["data"].free("data")

    @property
    def variance(self) -> npt.NDArray[Any] | None:
        """The variance as an array [unit squared]; None where there is none."""
        part = self._synced("uncertainty")
        return None if part is None else part.array

    @variance.setter
    def variance(self, value: Any) -> None:
        self._variance_object = None
        if value is None:
            self._parts.pop("uncertainty", None)
        else:
            self._put("uncertainty", np.asarray(value))

    @property
    def uncertainty(self) -> VarianceUncertainty | None:
        """The uncertainty, always as a variance; ``del`` frees what was read."""
        part = self._synced("uncertainty")
        if part is None:
            return None
        if self._variance_object is None:
            self._variance_object = linked_variance(self, part.array)
        return self._variance_object

    @uncertainty.setter
    def uncertainty(self, value: NDUncertainty | None) -> None:
        if value is None:
            self.variance = None
        else:
            part = variance_part(value, self.shape, self.unit)
            self._variance_object = None
            self._put("uncertainty", part.peek())

    @uncertainty.deleter
    def uncertainty(self) -> None:
        if (part := self._synced("uncertainty")) is not None:
            part.free("uncertainty")
            self._variance_object = None

    @property
    def flags(self) -> npt.NDArray[Any] | None:
        """The flag bits; None where there are none; ``del`` frees what was read."""
        part = self._parts.get("flags")
        return None if part is None else part.array

    @flags.setter
    def flags(self, value: Any) -> None:
        if value is None:
            self._parts.pop("flags", None)
            return
        array = np.asarray(value)
        if array.dtype.kind not in "iu":
            if array.dtype.kind == "f" and (wrong := unfit_as_bits(array)) is not None:
                msg = (
                    "flags are bits, so they must be integers of up to 32 bits, "
                    f"not {wrong}"
                )
                raise ShapeError(msg)
            is_wide = array.size and array.max() > np.iinfo(FLAGS_DTYPE).max
            array = array.astype(np.uint32 if is_wide else FLAGS_DTYPE)
        self._put("flags", array)

    @flags.deleter
    def flags(self) -> None:
        if (part := self._parts.get("flags")) is not None:
            part.free("flags")

    # ---- what describes them

    @property
    def meta(self) -> Header:
        """Header of the extension (of the primary HDU for an image in that)."""
        return self._stored.header

    @meta.setter
    def meta(self, value: Mapping[str, Any] | None) -> None:
        self._stored = StoredHeader(self._stored.raw, as_header(value))
        if self._coordinates is not None and not self._coordinates.in_memory:
            self._coordinates = None

    @property
    def tables(self) -> MutableMapping[str, Table]:
        """The tables of the file that belong to this group: its EXTVER, or name."""
        if self._tables is None:
            self._tables = Belongings(TableStore())
        self._tables.ident = self.ident
        return self._tables

    @property
    def extras(self) -> MutableMapping[str, "NDLater"]:
        """The images without a part that belong to this group: its EXTVER, or name."""
        if self._extras is None:
            self._extras = Belongings(Extras(StoredHeader()), what="extra")
        self._extras.ident = self.ident
        return self._extras

    @property
    def primary_meta(self) -> Header | None:
        """Primary header of the file that this belongs to; None without a file."""
        return None if self._primary is None else self._primary.header

    @property
    def header_values(self) -> HeaderValues:
        """The header to find values in, not parsed where nobody changed it."""
        return values_of(self._stored)

    @property
    def primary_values(self) -> HeaderValues | None:
        """The primary header, likewise; None without a file."""
        return None if self._primary is None else values_of(self._primary)

    @property
    def unit(self) -> Any:
        """The unit of the data; None where there is none, or it is not understood."""
        self._read_unit()
        return self._unit

    @unit.setter
    def unit(self, value: Any) -> None:
        _ = self.unit  # so that it is known what the header says
        self._unit = None if value is None else u.Unit(value)
        self._variance_object = None

    @property
    def wcs(self) -> Any:
        """World coordinates, made from the header when somebody asks for them."""
        if self._coordinates is None or self._coordinates.is_outdated(self._stored):
            self._settle_wcs()
            tables = self._coordinate_tables
            self._coordinates = Coordinates.read(self._stored, self.shape, tables)
        return self._coordinates.wcs

    @wcs.setter
    def wcs(self, value: Any) -> None:
        self._coordinates = Coordinates(value)
        self._coordinates.put(self.meta)

    # ---- copies and sections

    def copy(self) -> "NDLater":
        """
        Copy, without reading; of arrays in memory those that somebody may hold.

        Returns
        -------
        NDLater
            A change to one never shows in the other, and an array that was handed out
            by this one stays its own.
        """
        self._synced("uncertainty")
        new = self._bare()
        new._parts = {name: part.copy() for name, part in self._parts.items()}
        return new

    # ---- functions of NumPy, and comparisons

    _baseclass = np.ndarray
    """By this name numpy.ma asks for the type of the pixels."""

    @property
    def _mask(self) -> Any:
        """The mask by the name that numpy.ma asks for, so that none gets lost there."""
        if not self.has("flags"):
            return np.ma.nomask
        return np.array(self.mask, subok=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.has("flags"):
            array = np.array(self.data, dtype=dtype, copy=copy)
            return np.ma.MaskedArray(array, self._mask)
        return np.array(self.data, dtype=dtype, copy=copy)

    def __abs__(self) -> "NDLater":
        return self.replace(data=np.abs(self._parts["data"].peek()))

    def __float__(self) -> float:
        if self.size != 1:
            msg = f"an image of {self.size} pixels is no number"
            raise TypeError(msg)
        return float(self.data.item())

    def __lt__(self, other: Any) -> Any:
        return compared(np.less, self, other) if is_operand(other) else NotImplemented

    def __le__(self, other: Any) -> Any:
        known = is_operand(other)
        return compared(np.less_equal, self, other) if known else NotImplemented

    def __gt__(self, other: Any) -> Any:
        known = is_operand(other)
        return compared(np.greater, self, other) if known else NotImplemented

    def __ge__(self, other: Any) -> Any:
        known = is_operand(other)
        return compared(np.greater_equal, self, other) if known else NotImplemented

    def share(self, other: "NDLater") -> None:
        """
        Share the arrays of another image, read or not.

        Parameters
        ----------
        other : NDLater
            The other one. What is written into an array of one shows in the other, but
            operators in place change only the one that they are used on.
        """
        self._parts = other._view()._parts
        self._variance_object = None

    def __copy__(self) -> "NDLater":
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> "NDLater":
        return self.copy()

    def replace(
        self,
        *,
        data: Any = _KEEP,
        variance: Any = _KEEP,
        flags: Any = _KEEP,
        unit: Any = _KEEP,
        meta: Any = _KEEP,
    ) -> "NDLater":
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
        new = self.copy()
        given = {"data": data, "uncertainty": variance, "flags": flags}
        for name, value in given.items():
            if value is not _KEEP:
                new._parts.pop(name, None)
        if data is not _KEEP:
            new._parts["data"] = array_part(data)
        if meta is not _KEEP:
            new.meta = meta
            new._has_unit = unit is not _KEEP or self._unit_edited
        if unit is not _KEEP:
            new.unit = unit
        elif isinstance(data, u.Quantity):
            new.unit = data.unit
        if variance is not _KEEP:
            new.variance = variance
        if flags is not _KEEP:
            new.flags = flags
        new._check_shapes()
        return new

    def __getitem__(self, item: Any) -> "NDLater":
        if not self.shape:
            msg = "a single number has no sections"
            raise TypeError(msg)
        if isinstance(item, str):
            msg = f"sections are given by numbers and slices, not {item!r}"
            raise TypeError(msg)
        self._synced("uncertainty")
        new = self._bare()
        new._parts = {name: part.section(item) for name, part in self._parts.items()}
        for name, image in (new._extras or {}).items():
            if image.shape == self.shape:  # of the same pixels
                new.extras[name] = image[item]
        whole = tuple(range(n) for n in self.shape)
        cut: partial[None] = partial(drop_coordinates)
        cut_detector = partial(drop_sections, detector=True)
        if is_basic_index(item):
            section = section_of(whole, item)
            cut = partial(cut_header, section=section)
            cut_detector = partial(cut_sections, section=section, shape=self.shape)
            if (held := new._coordinates) is not None:
                new._coordinates = held.section(section)
            if (tables := new._coordinate_tables) is not None:
                new._coordinate_tables = tables.section(section)
        else:
            new._coordinates = None
        new._stored.edit(cut)
        new._stored.edit(cut_detector)
        for name, part in self._parts.items():
            # It has coordinates too, and says what the bits of flags mean.
            if part.header is not None:
                new._parts[name].header = header = part.header.copy()
                header.edit(partial(cut, is_part=True))
                header.edit(cut_detector)
        return new


class Extras(UserDict[str, NDLater]):
    """
    Images by name, each an NDLater of the file's own.

    Parameters
    ----------
    primary : StoredHeader
        The primary header of the file.
    images : dict of str to NDLater
        The images that the file has, which are taken as they are.
    places : dict of str to int
        Which HDU of the file has which of these names.
    """

    def __init__(
        self,
        primary: StoredHeader,
        images: dict[str, NDLater] | None = None,
        places: dict[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.family = object()  # which it shares with its copies
        self._primary = primary
        self.data = {} if images is None else images
        self.places = {} if places is None else places
        self.lookups: set[str] = set()  # those of sections, that are in no file yet

    def connect(self) -> None:
        """Take over the places that a save gave the images, with the names here."""
        self.places = {
            name: image._origin[1]
            for name, image in self.data.items()
            if image._origin is not None
        }
        self.lookups = set()

    def put_lookup(self, name: str, image: NDLater) -> None:
        """
        Put a lookup table of coordinates here, that has its EXTNAME and EXTVER.

        Parameters
        ----------
        name : str
            Its name here.
        image : NDLater
            The table.
        """
        self[name] = image
        self.lookups.add(name)

    def copy(self, names: Iterable[str] | None = None) -> "Extras":
        """
        Copy; nothing is read.

        Parameters
        ----------
        names : iterable of str, optional
            Which images; None takes all.

        Returns
        -------
        Extras
            A change to one never shows in the other.
        """
        new = Extras(StoredHeader(), None, dict(self.places))
        new.family = self.family
        for name in list(self.data) if names is None else names:
            new.take_over(name, self, name)
        return new

    def take_over(self, name: str, other: "Extras", key: str) -> None:
        """
        Copy an image of another file, unread.

        Parameters
        ----------
        name : str
            Its name here.
        other : Extras
            The images of the other file.
        key : str
            Its name there.
        """
        image = other.data[key].copy()
        image._primary = self._primary
        image._is_owned = True
        self.data[name] = image

    def __setitem__(self, name: str, value: Any) -> None:
        if not isinstance(value, NDData | np.ndarray):
            msg = f"an extra is an image, so an NDData, not a {type(value).__name__}"
            raise TypeError(msg)
        old = self.data.get(name)
        if value is old:
            return
        if isinstance(value, NDLater):
            image = value.copy() if value._is_owned else value._view()
            if value._stored is self._primary:
                image._stored = self._primary
        else:
            image = NDLater(value)
        if old is not None:  # it goes where that was
            image._origin = old._origin
        image._primary = self._primary
        image._is_owned = True
        self.data[str(name)] = image
