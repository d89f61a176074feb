"""The images of a file that play no part, by name."""

from collections import UserDict
from collections.abc import Iterable
from typing import Any

import numpy as np
from astropy.nddata import NDData

from ndmapper.data.ndlater import NDLater
from ndmapper.io.headers import StoredHeader

__all__ = ["Extras"]


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
