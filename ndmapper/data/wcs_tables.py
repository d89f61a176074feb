"""The tables of distortion and coordinates of an image, moved along with sections."""

from collections.abc import Mapping, Sequence
from typing import Any

from ndmapper.data.array import register
from ndmapper.data.wcs_cut import moves_of, order_of
from ndmapper.io.filemap import FileMap, HduMap
from ndmapper.io.headers import Header
from ndmapper.io.wcstables import (
    TableReference,
    hdu_list,
    moved_lookup,
    read_lookup,
    references,
)

__all__ = ["CoordinateTables"]

_Axes = tuple[tuple[int, int, int], ...]
_WHOLE: _Axes = ((1, 0, 1), (2, 0, 1))


class CoordinateTables:
    """
    The HDUs that the coordinates of an image lie in, each read when it is needed.

    Parameters
    ----------
    fmap : FileMap
        The file that has them.

    Attributes
    ----------
    source : Source
        That file, as it was when it was mapped.
    """

    def __init__(self, fmap: FileMap) -> None:
        self.source = fmap.source
        self._hdus = fmap.coordinate_hdus
        self._axes: _Axes | None = None
        self._names: dict[tuple[str, int], tuple[str, int]] = {}
        self._kept: dict[int, Any] = {}

    @property
    def is_whole(self) -> bool:
        """Whether they are as they are in the file, of the whole image."""
        return self._axes is None

    def _with(self, **changes: Any) -> "CoordinateTables":
        new = object.__new__(CoordinateTables)
        new.__dict__.update(self.__dict__, **changes)
        register(self.source, new)
        return new

    def section(self, section: Sequence[range | int]) -> "CoordinateTables":
        """Move them to a section, given in the order of Python; nothing is read."""
        moves, order = moves_of(section), order_of(section)
        before = self._axes or tuple((n, 0, 1) for n in range(1, len(section) + 1))
        known = dict(enumerate(before, start=1))
        made = [
            (old, first + step * moves[n].start, step * moves[n].step)
            for n in order
            for old, first, step in [known[n]]
        ]
        # Axes of which a section before has left one pixel stay behind the others.
        rest = before[len(section) :]
        axes = (*made, *rest)
        is_whole = axes == tuple((n, 0, 1) for n in range(1, len(axes) + 1))
        return self._with(_axes=None if is_whole else axes)

    def renamed(
        self, names: Mapping[TableReference, tuple[str, int]]
    ) -> "CoordinateTables":
        """Return the same tables for a header that refers to them by other names."""
        before = self._names
        moved = {new: before.get(one[:2], one[:2]) for one, new in names.items()}
        return self._with(_names=before | moved)

    def find(self, reference: TableReference) -> HduMap | None:
        """Find the HDU that a header refers to, if there is one."""
        named = reference.name, reference.version
        name, version = self._names.get(named, named)
        wanted = (reference.axis > 0, name.upper(), version)
        same = (h for h in self._hdus if (h.is_image, h.name, h.number) == wanted)
        return next(same, None)

    def table(self, hdu: HduMap, reference: TableReference) -> Any:
        """Read a table, in pixels of the section."""
        if hdu.index not in self._kept:
            is_image = reference.axis > 0
            self._kept[hdu.index] = read_lookup(hdu) if is_image else hdu.read_bytes()
        table = self._kept[hdu.index]
        if reference.axis == 0:
            return table
        return moved_lookup(table, (self._axes or _WHOLE)[:2], reference.axis)

    def hdus(self, header: Header) -> Any:
        """Return the tables that a header refers to and that exist, for astropy."""
        wanted = references(header)
        if not wanted:
            return None
        found = [(one, self.find(one)) for one in wanted]
        return hdu_list(
            [(x, self.table(hdu, x)) for x, hdu in found if hdu is not None]
        )

    def load(self) -> None:
        """Read them all, as their file is about to be replaced."""
        for hdu in self._hdus:
            name = TableReference(hdu.name, hdu.number, int(hdu.is_image), "")
            self.table(hdu, name)
