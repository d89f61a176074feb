"""NDData whose pixels are read from the file when they are first accessed."""

from collections import UserDict
from collections.abc import Iterable, Mapping, MutableMapping
from functools import partial
from typing import Any

import numpy as np
from astropy.nddata import NDData, NDDataArray, NDUncertainty
from astropy.table import Table

from ndmapper.data.ccddata import Interchange
from ndmapper.data.detector import cut_sections, drop_sections
from ndmapper.data.display import PixelViews
from ndmapper.data.flagging import Flagging
from ndmapper.data.image import ImageContent, sharing_arrays, with_content
from ndmapper.data.operations import is_operand
from ndmapper.data.operators import Operators, compared
from ndmapper.data.reductions import Reductions
from ndmapper.data.tables import Belongings, TableStore
from ndmapper.data.wcs_cut import cut_header, drop_coordinates
from ndmapper.io.arrays import is_basic_index, section_of
from ndmapper.io.headers import StoredHeader
from ndmapper.io.labels import Ident
from ndmapper.io.quickheader import HeaderValues, values_of

__all__ = ["Extras", "NDLater"]


class NDLater(
    Operators,
    Reductions,
    Interchange,
    PixelViews,
    Flagging,
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
        self.content = ImageContent.of(data, bad_flags)
        if meta is not None:
            is_foreign = isinstance(data, NDData) and not isinstance(data, NDLater)
            if wcs is None and is_foreign:
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
            arrays = self.content.arrays
            self.content.arrays = {name: part.copy() for name, part in arrays.items()}

    @property
    def tables(self) -> MutableMapping[str, Table]:
        """The tables of the file that belong to this group: its EXTVER, or name."""
        if self.content.tables is None:
            self.content.tables = Belongings(TableStore())
        self.content.tables.ident = self.ident
        return self.content.tables

    @property
    def extras(self) -> MutableMapping[str, "NDLater"]:
        """The images without a part that belong to this group: its EXTVER, or name."""
        if self.content.extras is None:
            self.content.extras = Belongings(Extras(StoredHeader()), what="extra")
        self.content.extras.ident = self.ident
        return self.content.extras

    @property
    def header_values(self) -> HeaderValues:
        """The header to find values in, not parsed where it was not changed."""
        return values_of(self.content.stored)

    @property
    def primary_values(self) -> HeaderValues | None:
        """The primary header, likewise; None without a file."""
        return None if self.content.primary is None else values_of(self.content.primary)

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
        return self.replace(data=np.abs(self.content.arrays["data"].read_only()))

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
        self.content.arrays = other.content.sharing_arrays().arrays

    def __copy__(self) -> "NDLater":
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> "NDLater":
        return self.copy()

    # ---- sections

    def __getitem__(self, item: Any) -> "NDLater":
        if not self.shape:
            msg = "a single number has no sections"
            raise TypeError(msg)
        if isinstance(item, str):
            msg = f"sections are given by numbers and slices, not {item!r}"
            raise TypeError(msg)
        content = self.content
        new = content.without_arrays()
        new.arrays = {n: part.section(item) for n, part in content.arrays.items()}
        made = with_content(type(self), new)
        for name, image in (new.extras or {}).items():
            if image.shape == self.shape:  # of the same pixels
                made.extras[name] = image[item]
        whole = tuple(range(n) for n in self.shape)
        cut: partial[None] = partial(drop_coordinates)
        cut_detector = partial(drop_sections, detector=True)
        if is_basic_index(item):
            section = section_of(whole, item)
            cut = partial(cut_header, section=section)
            cut_detector = partial(cut_sections, section=section, shape=self.shape)
            if (held := new.coordinates) is not None:
                new.coordinates = held.section(section)
            if (tables := new.coordinate_tables) is not None:
                new.coordinate_tables = tables.section(section)
        else:
            new.coordinates = None
        new.stored.edit(cut)
        new.stored.edit(cut_detector)
        for name, part in content.arrays.items():
            # It has coordinates too, and says what the bits of flags mean.
            if part.header is not None:
                new.arrays[name].header = header = part.header.copy()
                header.edit(partial(cut, is_part=True))
                header.edit(cut_detector)
        return made


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
            name: image.content.origin[1]
            for name, image in self.data.items()
            if image.content.origin is not None
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
        image.content.primary = self._primary
        image.content.is_owned = True
        self.data[name] = image

    def __setitem__(self, name: str, value: Any) -> None:
        if not isinstance(value, NDData | np.ndarray):
            msg = f"an extra is an image, so an NDData, not a {type(value).__name__}"
            raise TypeError(msg)
        old = self.data.get(name)
        if value is old:
            return
        if isinstance(value, NDLater):
            image = value.copy() if value.content.is_owned else sharing_arrays(value)
            if value.content.stored is self._primary:
                image.content.stored = self._primary
        else:
            image = NDLater(value)
        if old is not None:  # it goes where that was
            image.content.origin = old.content.origin
        image.content.primary = self._primary
        image.content.is_owned = True
        self.data[str(name)] = image
