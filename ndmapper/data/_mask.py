"""The mask of an NDLater: an array of bool that sets flags where it is set."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ndmapper.errors import ModeError

if TYPE_CHECKING:
    from ndmapper.data._flagging import Flagging

__all__ = ["Mask"]


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

    def __new__(cls, owner: "Flagging", array: npt.NDArray[np.bool_]) -> "Mask":
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
