"""Which HDUs a file gets, in order: those that it has keep their place."""

from collections.abc import Iterator
from pathlib import Path

from ndmapper.data.content import FileContent, HasContent
from ndmapper.data.ndlater import NDLater
from ndmapper.data.saving.arrangement import (
    Arrangement,
    extension_name,
    is_of_the_file,
    refuse_same_idents,
)
from ndmapper.data.saving.hdus import HduMaker, PlannedHdu
from ndmapper.io.filemap import HduMap
from ndmapper.io.hdu import HduOut, carried_header
from ndmapper.io.headers import StoredHeader
from ndmapper.io.record import is_record

__all__ = ["changes", "is_rearranged", "plan_hdus"]


def plan_hdus(file: HasContent, target: Path | None = None) -> list[PlannedHdu]:
    """
    List the HDUs of a file as they are written, without its record.

    Images are compressed in tiles where `target` ends in .fz, and stay as they were in
    other files, except that those of an .fz are plain.

    Raises
    ------
    FormatError
        If FITS cannot hold something in it.
    IdentError
        If two groups have the same ident.
    """
    content = file.content
    refuse_same_idents(content, file)
    for ndd in content.images:
        ndd.content.settle_wcs()
    return _Plan(file, target).hdus()


def changes(hdus: list[PlannedHdu]) -> Iterator[str]:
    """Yield what differs from the file, for instance ``"SCI,1"``."""
    for hdu in hdus:
        if hdu.changed is not None:
            yield hdu.changed


def is_rearranged(content: FileContent, hdus: list[PlannedHdu]) -> bool:
    """Whether the HDUs are others than in the file, or in another order."""
    if content.map is None or content.layout is None:
        return True
    count = sum(not is_record(hdu) for hdu in content.map.hdus)
    return len(hdus) != count or not Arrangement(content).is_as_in_file


class _Plan:
    """The HDUs that were planned so far, and what the order of the others needs."""

    def __init__(self, file: HasContent, target: Path | None) -> None:
        self.file = file
        self.content = file.content
        self.groups = self.content.groups
        self.arrangement = Arrangement(self.content)
        self.make = HduMaker(self.arrangement, target)
        self.extensions: list[PlannedHdu] = []
        self.done: set[tuple[int, str]] = set()
        if (single := self.arrangement.single) is not None:
            self.done.add((id(single), "data"))

    def hdus(self) -> list[PlannedHdu]:
        """List the primary HDU and all extensions."""
        self._walk()
        return [self.make.primary(self._counts()), *self.extensions]

    def _counts(self) -> dict[str, int]:
        """Find the keywords that state a number of extensions which has changed."""
        layout = self.content.layout
        before = {"NEXTEND": -1, "NSCIEXT": -1}
        if layout is not None:
            count = sum(not is_record(hdu) for hdu in self.arrangement.hdus)
            before = {"NEXTEND": count - 1, "NSCIEXT": len(layout.groups)}
        now = {"NEXTEND": len(self.extensions), "NSCIEXT": len(self.groups)}
        if now == before:
            return {}
        header = self.content.primary.header
        return {key: n for key, n in now.items() if key in header and n != before[key]}

    def _walk(self) -> None:
        """Go through the HDUs of the file, then add what is new."""
        content, place = self.content, self.arrangement.place
        order = [self._rank(place[at]) for at in sorted(place)]
        in_order = order == sorted(order)
        tables, extras = self.arrangement.tables(), self.arrangement.extras()
        owners = self.arrangement.owners()
        if 0 in place and self.arrangement.single is None:
            self._groups_up_to(place[0])
        for hdu in self.arrangement.hdus[1:]:
            if (owner := owners.get(hdu.index)) is not None:
                self._groups_at(hdu, owner, owners if in_order else None)
            elif hdu.index in tables:
                self._table(tables[hdu.index])
            elif hdu.index in extras:
                self._extra(extras[hdu.index], hdu)
            elif self._is_unknown(hdu):
                self._carry(hdu)
        self._groups_up_to(None)
        for name in content.tables:
            if name not in tables.values():
                self._table(name)
        for name in content.extras:
            if name not in extras.values():
                self._extra(name, None)

    def _groups_at(
        self,
        hdu: HduMap,
        owner: tuple[NDLater, str],
        owners: dict[int, tuple[NDLater, str]] | None,
    ) -> None:
        """Add an array in its place; where groups changed places, all of them."""
        if owners is None:
            self._groups_up_to(None)
            return
        ndd, part = owner
        self._new_before(ndd)
        self._part(ndd, part)
        if hdu.index == max(i for i, (other, _) in owners.items() if other is ndd):
            self._groups_up_to(ndd)

    def _is_unknown(self, hdu: HduMap) -> bool:
        """Whether an HDU plays no known part, so that it is carried along."""
        assert self.content.layout is not None
        if hdu.index in self.content.layout.known or is_record(hdu):
            return False
        # HST leaves places empty, which may have been filled since.
        split = None if hdu.data_size else self.content.labels.split(hdu.name)
        return split is None or (hdu.name, hdu.number) not in [
            extension_name(self.content, ndd, split[1])
            for ndd in self.groups
            if split[1] in ndd.content.arrays
        ]

    def _carry(self, hdu: HduMap) -> None:
        """Copy an HDU of unknown meaning; an empty one goes with its group."""
        content = self.content
        assert content.layout is not None
        group = next((g for g in content.layout.groups if g.ident == hdu.version), None)
        if group is None or hdu.data_size or is_of_the_file(content, hdu.name):
            self.extensions.append(PlannedHdu(hdu))
        elif (ndd := self.arrangement.place.get(group.data)) is not None:
            split = content.labels.split(hdu.name)
            if split is not None and split[1] in ndd.content.arrays:
                return  # filled since
            if ndd.ident == group.ident or not isinstance(ndd.ident, int):
                self.extensions.append(PlannedHdu(hdu))
            else:
                stored = StoredHeader(hdu.raw)
                stored.header["EXTVER"] = ndd.ident
                out = HduOut(carried_header(stored), hdu)
                self.extensions.append(PlannedHdu(out, f"{hdu.name},{ndd.ident}"))

    def _rank(self, ndd: NDLater) -> int:
        return next(i for i, other in enumerate(self.groups) if other is ndd)

    def _new_before(self, ndd: NDLater) -> None:
        """Add the new groups that stand right before one of the file."""
        rank = self._rank(ndd)
        known = {id(other) for other in self.arrangement.place.values()}
        for other in self.groups[:rank]:
            if id(other) not in known:
                self._group(other)

    def _groups_up_to(self, ndd: NDLater | None) -> None:
        """Add one group, and all before it that are missing; None for all."""
        if ndd is None:
            for other in self.groups:
                self._group(other)
        else:
            self._new_before(ndd)
            self._group(ndd)

    def _group(self, ndd: NDLater) -> None:
        for part in ("data", "uncertainty", "flags"):
            self._part(ndd, part)

    def _part(self, ndd: NDLater, part: str) -> None:
        if (id(ndd), part) in self.done or part not in ndd.content.arrays:
            return
        if self.arrangement.is_implied(ndd, part):
            return
        self.done.add((id(ndd), part))
        self.extensions.append(self.make.array(ndd, part))

    def _extra(self, name: str, hdu: HduMap | None) -> None:
        self.extensions.append(self.make.extra(name, hdu, self.file))

    def _table(self, name: str) -> None:
        self.extensions.append(self.make.table(name))
