"""Which image, table and extra goes in the place of which HDU of its file."""

import numpy as np

from ndmapper.data.content import FileContent
from ndmapper.data.ndlater import NDLater
from ndmapper.io.converted import InverseHandle, NoDataHandle
from ndmapper.io.filemap import HduMap

__all__ = ["Arrangement"]


class Arrangement:
    """
    How a content lies among the HDUs of the file that it was opened from.

    Parameters
    ----------
    content : FileContent
        What is to be saved; of a new file nothing has a place.

    Attributes
    ----------
    hdus : tuple of HduMap
        The HDUs of that file.
    place : dict of int to NDLater
        The group that took the place of the data in each HDU.
    is_as_in_file : bool
        Whether the file has these groups, with these names, and these alone.
    single : NDLater or None
        The image that stays in the primary HDU.
    """

    def __init__(self, content: FileContent) -> None:
        self.content = content
        self.hdus: tuple[HduMap, ...] = ()
        if content.map is not None:
            self.hdus = tuple(content.map.hdus)
        self.place = self._places()
        self.is_as_in_file = self._is_as_in_file()
        self.single = self._single_image()

    def _places(self) -> dict[int, NDLater]:
        found: dict[int, NDLater] = {}
        for ndd in self.content.groups:
            if (at := self._place_of(ndd)) is not None:
                found.setdefault(at, ndd)
        return found

    def _place_of(self, ndd: NDLater) -> int | None:
        """Find the HDU that the data of an image came from, if it is of this file."""
        origin, fmap = ndd.content.origin, self.content.map
        if origin is None or fmap is None or origin[0] != fmap.source:
            return None
        return origin[1]

    def _is_as_in_file(self) -> bool:
        content, layout = self.content, self.content.layout
        if layout is None or layout.labels != content.labels:
            return False
        return len(layout.groups) == len(content.groups) and all(
            self.place.get(group.data) is ndd
            and group.ident == ndd.ident
            and self._written_parts(ndd) == set(group.hdus)
            for group, ndd in zip(layout.groups, content.groups, strict=True)
        )

    def _single_image(self) -> NDLater | None:
        groups, labels = self.content.groups, self.content.labels
        inside = [ndd for ndd in groups if ndd.content.in_primary]
        if self.is_as_in_file and len(inside) == 1 and self.place.get(0) is inside[0]:
            return inside[0]
        if len(groups) != 1:
            return None
        only = groups[0]
        if labels.in_primary and only.ident == 1:
            return only
        # CCDData has it there, and the other arrays behind it.
        usual = labels.are_ccddata and only.ident == 1
        alone = len(only.content.arrays) == 1 or usual or self.is_as_in_file
        return only if only.content.in_primary and alone else None

    def _written_parts(self, ndd: NDLater) -> set[str]:
        return {part for part in ndd.content.arrays if not self.is_implied(ndd, part)}

    def is_implied(self, ndd: NDLater, part: str) -> bool:
        """Whether flags need no HDU, since inverse variances of 0 say the same."""
        flags = ndd.content.arrays[part]
        return (
            part == "flags"
            and isinstance(flags.handle, NoDataHandle)
            and flags.handle.flags is None
            and self.tells_no_data(ndd, flags.handle)
            and not flags.is_modified
        )

    def tells_no_data(self, ndd: NDLater, handle: NoDataHandle) -> bool:
        """Whether the variances that are written tell which pixels have no data."""
        variance = ndd.content.arrays.get("uncertainty")
        if variance is None or not handle.is_whole:
            return False
        labels = self.content.labels
        if labels.uncertainty_is != "ivar":
            is_kept = labels.are_ccddata and not variance.is_modified
            return is_kept and isinstance(variance.handle, InverseHandle)
        if not variance.is_loaded:
            return True  # what is computed of no variance is none
        return not np.isfinite(
            variance.read_only()[~handle.weights.is_measured()]
        ).any()

    def owners(self) -> dict[int, tuple[NDLater, str]]:
        """Find whose array, and which, goes where each HDU was."""
        owners: dict[int, tuple[NDLater, str]] = {}
        layout = self.content.layout
        for group in () if layout is None else layout.groups:
            if (ndd := self.place.get(group.data)) is not None:
                owners |= {index: (ndd, part) for part, index in group.hdus.items()}
        return owners

    def tables(self) -> dict[int, str]:
        """Find which table goes where each HDU was."""
        found: dict[int, str] = {}
        content = self.content
        if content.layout is None:
            return found
        places = set(content.layout.tables.values())
        for name in content.tables:
            if (at := content.tables.places.get(name)) in places and at is not None:
                found.setdefault(at, name)
        return found

    def extras(self) -> dict[int, str]:
        """Find which extra goes where each HDU was."""
        content = self.content
        if content.layout is None or content.map is None:
            return {}
        free, extras = set(content.layout.extras.values()), content.extras
        # Of several from one place it is the one that has its name.
        found = {at: name for name in extras if (at := extras.places.get(name)) in free}
        for name, ndd in extras.items():
            at = self._place_of(ndd)
            if at in free and at is not None and name not in found.values():
                found.setdefault(at, name)
        return found
