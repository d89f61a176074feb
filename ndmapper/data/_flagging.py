"""Flags of an NDLater by name, and the mask that they make."""

import functools
import operator
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.nddata import NDData

from ndmapper.data._mask import Mask
from ndmapper.data.array import Part
from ndmapper.data.flags import FLAGS_DTYPE, Flag, named_flags, translated, widened
from ndmapper.data.image import State, mask_of_array
from ndmapper.errors import ParameterError, ShapeError
from ndmapper.instruments import FlagTable, load_flags, recognise_flags
from ndmapper.instruments.conventions import ALL_BITS
from ndmapper.io.converted import ConvertedHandle
from ndmapper.io.headers import StoredHeader

if TYPE_CHECKING:
    from ndmapper.data.datafile import DataFile
    from ndmapper.data.ndlater import NDLater

__all__ = ["FlaggedFile", "Flagging", "as_bits", "in_convention_of"]

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

    def translate_flags(self, to: "FlagTable | str") -> "NDLater":
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


class FlaggedFile:
    """What a DataFile does with the flags of all its groups."""

    def translate_flags(self, to: "FlagTable | str") -> "DataFile":
        """
        Turn the flags into those of another convention.

        Parameters
        ----------
        to : str or FlagTable
            The other convention, for instance ``'jwst'``.

        Returns
        -------
        DataFile
            A copy without a name, with `NDLater.translate_flags` of each group.
        """
        new: DataFile = self.copy()  # type: ignore[attr-defined]
        for i, ndd in enumerate(new):
            new[i] = ndd.translate_flags(to)
        return new


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
