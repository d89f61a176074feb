"""Flags and mask of an image: which pixels are bad, and in which convention."""

import functools
import operator
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ndmapper.data.array import LazyArray
from ndmapper.data.flags import FLAGS_DTYPE, Flag, as_bits, translated, widened
from ndmapper.data.image import (
    ImageBase,
    ImageContent,
    Names,
    with_content,
)
from ndmapper.errors import ModeError, ParameterError, ShapeError
from ndmapper.instruments import FlagTable, load_flags
from ndmapper.numerics.formulas import as_numbers

__all__ = ["Flagging", "Mask"]


class Flagging(ImageBase):
    """What flags mean, and which of them make a pixel masked."""

    @property
    def flag_table(self) -> FlagTable:
        """
        The names of the bits in `flags`: a convention, as of HST.

        It is the one that the header of the flags names, else that of the instrument
        or observatory, else ndmapper's own. It may be set, to a name or a table,
        where nothing in the file tells.
        """
        return self.content.flag_table

    @flag_table.setter
    def flag_table(self, value: FlagTable | str) -> None:
        self.content.flag_table = value

    @property
    def bad_flags(self) -> int:
        """Bits that make a pixel masked; may be set to bits or to names of flags."""
        return self.content.bad_flags

    @bad_flags.setter
    def bad_flags(self, value: Names) -> None:
        self.content.bad_flags = value

    @property
    def mask(self) -> npt.NDArray[np.bool_] | None:
        """
        Where flags have a bit of `bad_flags`; None where there are no flags.

        Where it is set to True, also item by item (``ndd.mask[2, 3] = True``), pixels
        that were good get the flag for BAD of their convention; where it is set to
        False, bad ones lose the bits of `bad_flags`. Flags of others stay as they are.
        """
        found = self.flagged(self.bad_flags)
        return None if found is None else Mask(self.content, found)

    @mask.setter
    def mask(self, value: Any) -> None:
        if value is None or value is np.ma.nomask:
            if not self.has("flags"):
                return
            value = False
        wanted = as_numbers(value, "masks").astype(bool, copy=False)
        if wanted.shape not in ((), self.shape):
            msg = f"the mask has shape {wanted.shape}, but the data have {self.shape}"
            raise ShapeError(msg)
        if not self.has("flags"):
            self.content.set_array("flags", np.zeros(self.shape, FLAGS_DTYPE))
        before: Any = self.flagged(self.bad_flags)
        _change_mask(self.content, wanted & ~before, before & ~wanted)

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
        return self.content.flagged(names)

    def translate_flags(self, to: FlagTable | str) -> Self:
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
        table = to if isinstance(to, FlagTable) else load_flags(to)
        before = self.flag_table
        new = self.content.copy()
        if (part := self.content.arrays.get("flags")) is not None:
            flags = translated(part.read_only(), before, table)
            new.arrays["flags"] = LazyArray(
                array=flags, header=new.arrays["flags"].header
            )
        every = sum(b.value for b in before.bits)
        if self.bad_flags & every != every:
            turned = before.translation(table).items()
            there = [v for bit, v in turned if self.bad_flags & bit]
            new.bad_flags = functools.reduce(operator.or_, there, 0)
        new.flag_table = table
        return with_content(type(self), new)


def _change_mask(
    content: ImageContent,
    marked: npt.NDArray[np.bool_],
    cleared: npt.NDArray[np.bool_],
) -> None:
    """Make pixels bad that are good, and others good that are bad."""
    flags = content.arrays["flags"].array
    if marked.any():
        bad = content.flag_table.like_own(Flag.BAD) or int(Flag.BAD)
        if not bad & content.bad_flags:
            msg = (
                "bad_flags leave BAD out, so that setting the mask would mask "
                "nothing; set flags, or bad_flags"
            )
            raise ParameterError(msg)
        if (wider := widened(flags, bad)) is not flags:
            content.set_array("flags", wider)
            flags = content.arrays["flags"].array
        flags[marked] |= as_bits(bad, flags.dtype)
    if cleared.any():
        flags[cleared] &= ~as_bits(content.bad_flags, flags.dtype)


class Mask(np.ndarray[Any, np.dtype[np.bool_]]):
    """
    Where flags make pixels bad; setting an item changes the flags of these pixels.

    It is a snapshot of the flags. Results of operations are plain arrays, and parts of
    a mask are read-only.

    Parameters
    ----------
    owner : ImageContent
        Whose flags are set.
    array : ndarray of bool
        The mask, an array of its own.
    """

    _owner: ImageContent | None

    def __new__(  # noqa: D102  # the parameters are those of the class
        cls, owner: ImageContent, array: npt.NDArray[np.bool_]
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
        _change_mask(self._owner, wanted & changed, changed & ~wanted)
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
