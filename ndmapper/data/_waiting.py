"""Parts of results that are computed when somebody asks for them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ndmapper.data._operands import Waiting

__all__ = ["WaitingPart", "WaitingSection"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class WaitingPart:
    """
    One part of the result of an operation, or a section of it.

    Parameters
    ----------
    node : Waiting
        The operation.
    name : str
        Which part.
    """

    node: "Waiting"
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape; nothing is computed."""
        return self.node.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its type; nothing is computed."""
        return self.node.dtype(self.name)

    def read(self, *, whole: bool = False) -> Array:
        """
        Compute it.

        Parameters
        ----------
        whole : bool
            The other parts of the result will be asked for as well.

        Returns
        -------
        ndarray
            An array that nobody else has.
        """
        return self.node.read(self.name, whole=whole)

    def take(self, item: Any) -> "WaitingPart | WaitingSection":
        """
        Take a section; nothing is computed.

        Parameters
        ----------
        item : index
            Numbers, slices and an ellipsis.

        Returns
        -------
        WaitingPart or WaitingSection
            The section.
        """
        cut = self.node.section(item)
        return (
            WaitingSection(self, item) if cut is None else WaitingPart(cut, self.name)
        )


@dataclass(frozen=True)
class WaitingSection:
    """
    A section of what has to be computed whole, since an operand is broadcast.

    Parameters
    ----------
    whole : WaitingPart or WaitingSection
        What it is a section of.
    item : index
        Numbers, slices and an ellipsis.
    """

    whole: "WaitingPart | WaitingSection"
    item: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape; nothing is computed."""
        return tuple(np.broadcast_to(0, self.whole.shape)[self.item].shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its type; nothing is computed."""
        return self.whole.dtype

    def read(self, *, whole: bool = False) -> Array:
        """
        Compute it.

        Parameters
        ----------
        whole : bool
            Of no consequence here.

        Returns
        -------
        ndarray
            An array that nobody else has.
        """
        return np.array(self.whole.read()[self.item])

    def take(self, item: Any) -> "WaitingSection":
        """
        Take a section; nothing is computed.

        Parameters
        ----------
        item : index
            Numbers, slices and an ellipsis.

        Returns
        -------
        WaitingSection
            The section.
        """
        return WaitingSection(self, item)
