"""
The layout of a file: the role of each HDU.

A layout is data. Modules above this one do not look at names of extensions, so another
way of laying out a file is another function in `_FORMS`.
"""

import functools
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ndmapper.io.filemap import FileMap, HduMap
from ndmapper.io.labels import PRIMARY, USUAL_NAMES, Ident, Labels, labels_of
from ndmapper.io.record import EXTNAME, is_record
from ndmapper.io.roles import NO_NAMES, are_alike, find_pairs, is_never_data, role_of
from ndmapper.io.source import Source

__all__ = [
    "OF_THE_FILE",
    "Group",
    "Layout",
    "find_layout",
    "in_order",
    "paired",
]


log = logging.getLogger(__name__)


def _are_numbered(hdus: Sequence[HduMap]) -> bool:
    """Whether each of some extensions has an EXTVER of its own."""
    versions = [hdu.version for hdu in hdus]
    return None not in versions and len(set(versions)) == len(versions)


def paired(images: Sequence[HduMap], others: Sequence[HduMap]) -> list[HduMap | None]:
    """Pair extensions with images of one name by EXTVER, or else by their order."""
    if _are_numbered(images) and _are_numbered(others):
        numbered = {other.number: other for other in others}
        if numbered.keys() <= {image.number for image in images}:
            return [numbered.get(image.number) for image in images]
    return in_order(images, others)


def in_order(images: Sequence[HduMap], others: Sequence[HduMap]) -> list[HduMap | None]:
    """
    Pair extensions with images by their order in the file.

    An extension belongs to the image before it; if that leaves some out and there are
    as many extensions as images, to the one of the same rank.
    """
    owners = [
        sum(image.index < other.index for image in images) - 1 for other in others
    ]
    if -1 not in owners and len(set(owners)) == len(owners):
        placed = dict(zip(owners, others, strict=True))
        return [placed.get(n) for n in range(len(images))]
    if len(others) == len(images) or len(images) < 2:
        return list(others[: len(images)])
    log.warning(
        "%s: neither numbers nor places of the %d extensions %s tell to which of %d "
        "images they belong; they are left among the extras",
        others[0].source.path,
        len(others),
        others[0].name,
        len(images),
    )
    return [None] * len(images)


_UNNAMED = re.compile(r"IMAGE(?:_([1-9]\d{0,3}))?")

Part = Literal["data", "uncertainty", "flags"]


OF_THE_FILE = frozenset((
    "MDF", "WCSDVARR", "D2IMARR", "WCSCORR", "WCS-TABLE", "WCS-TAB", "HDRLET", "ASDF",
))  # fmt: skip
"""Names whose EXTVER does not number groups: they are of the file, or of several."""


@dataclass(frozen=True)
class Group:
    """The HDUs that make one NDData."""

    ident: Ident  # what names the group in its file
    data: int  # position of the HDU of the pixels
    # Positions of the other two.
    uncertainty: int | None = None
    flags: int | None = None
    # The tables that belong to it: their names in the group, and in the file.
    tables: dict[str, str] = field(default_factory=dict, hash=False)
    # The images without a part that belong to it, in the same way.
    extras: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def hdus(self) -> dict[str, int]:
        """Position by part, of the parts that exist."""
        found = {
            "data": self.data,
            "uncertainty": self.uncertainty,
            "flags": self.flags,
        }
        return {part: index for part, index in found.items() if index is not None}


@dataclass(frozen=True)
class Layout:
    """The roles of the HDUs of a file."""

    labels: Labels  # the names of the extensions
    groups: tuple[Group, ...]  # in file order
    # Position by name of each table, and of each image without a role.
    tables: dict[str, int]
    extras: dict[str, int]
    record: int | None = None  # position of the record of the product
    # The extras that hold errors beside the uncertainty, such as VAR_POISSON, and the
    # positions of the data which they belong to.
    further: dict[str, tuple[int, ...]] = field(default_factory=dict, hash=False)
    # The extras that have the shape of the data, and neither name nor cards that say
    # that they are something else.
    unplaced: tuple[str, ...] = ()
    # Names of what belongs to no group, whatever its number.
    of_the_file: frozenset[str] = OF_THE_FILE

    @property
    def known(self) -> set[int]:
        """Positions of the HDUs that are a group's, a table or an extra."""
        groups = {index for group in self.groups for index in group.hdus.values()}
        return groups | {*self.tables.values()} | {*self.extras.values()}


def find_layout(fmap: FileMap, labels: Any = None, *, warn: bool = True) -> Layout:
    """Find the groups, tables and extras of a file."""
    labels = labels_of(fmap, labels)
    # Another program may have added something behind it.
    records = [hdu.index for hdu in fmap.hdus if is_record(hdu)]
    own = [index for index in records if fmap.hdus[index].name == EXTNAME]
    record = own[-1] if own else None
    hdus = [hdu for hdu in fmap.hdus if hdu.index not in records]
    groups: tuple[Group, ...] = ()
    for form in _FORMS:
        if groups := form(hdus, labels):
            break
    groups = _completed(groups, hdus, labels)
    tables = [h for h in hdus if h.is_table]
    names = _by_name(tables, "TABLE")
    taken = {index for group in groups for index in group.hdus.values()}
    free = [h for h in hdus if h.index not in taken and h.is_image and _has_pixels(h)]
    extras = _by_name(free, "IMAGE")
    of_the_file = OF_THE_FILE.union(*(h.keys.get("-TAB", ()) for h in hdus))
    if tables or free:
        groups = tuple(
            Group(
                group.ident,
                group.data,
                group.uncertainty,
                group.flags,
                _belonging(group.ident, tables, names, of_the_file),
                _belonging(group.ident, free, extras, of_the_file),
            )
            for group in groups
        )
    if extras and warn:
        _warn_of_left_out(fmap, groups, extras)
    further = _further(fmap, groups, extras)
    shapes = {fmap.hdus[group.data].shape for group in groups}
    return Layout(
        labels=labels,
        groups=groups,
        tables=names,
        extras=extras,
        record=record,
        further=further,
        of_the_file=of_the_file,
        unplaced=tuple(
            name
            for name, index in extras.items()
            if name not in further
            and fmap.hdus[index].shape in shapes
            and not _is_described(fmap.hdus[index])
        ),
    )


def _named(hdus: list[HduMap], labels: Labels) -> tuple[Group, ...]:
    """Make groups of extensions named as the data, alone or after a separator."""
    if labels.in_primary and (groups := _primary(hdus, labels)):
        return groups
    numbered: list[HduMap] = []
    dotted: list[tuple[str, HduMap]] = []
    for hdu in hdus:
        found = labels.split(_written_name(hdu)) if hdu.is_image else None
        if found is not None and found[1] == "data":
            if found[0]:
                dotted.append((found[0], hdu))
            else:
                numbered.append(hdu)
    groups = _grouped(numbered, hdus, labels) + _own_parts(dotted, hdus, labels)
    return tuple(sorted(groups, key=lambda group: group.data))


def _primary(hdus: list[HduMap], labels: Labels) -> tuple[Group, ...]:
    """Make a group of the image in the primary HDU."""
    others = any(h.is_image for h in hdus[1:])
    if others and hdus[0].data_size and hdus[0].name not in (*NO_NAMES, PRIMARY):
        # HAWC+ and FIFI-LS of SOFIA have the first of several images with errors there.
        pairs = find_pairs(hdus)
        images = [h for h in hdus if h.index in pairs.parts]
        if 0 in pairs.parts and len(images) > 1:
            return _own_parts([(_written_name(h), h) for h in images], hdus, labels)
    images = [h for h in hdus[:1] if h.is_image and (h.data_size or not others)]
    return _grouped(images, hdus, labels, by_order=True)


def _unnamed(hdus: list[HduMap], labels: Labels) -> tuple[Group, ...]:
    """Make groups of the image extensions without a name, in file order."""
    images = [h for h in hdus[1:] if h.is_image and h.name in NO_NAMES]
    if len(images) > 1:
        # A card may say that one is the error of another.
        images = [h for h in images if role_of(h) is None] or images
    return _grouped(images, hdus, labels, by_order=True)


def _own_names(hdus: list[HduMap], labels: Labels) -> tuple[Group, ...]:
    """Make groups of all images under their own names, such as CHAN01."""
    images = [h for h in hdus[1:] if h.is_image and labels.split(h.name) is None]
    images = [h for h in images if not is_never_data(h)]
    roles = [role_of(h) for h in images]
    if any(roles):
        pairs = find_pairs(hdus)
        known = set(pairs.parts) | {
            h.index
            for h, role in zip(images, roles, strict=True)
            if role is None
            or not (role.at_end or (pairs.parts and role.part == "other"))
        }
        paired = {
            other.index
            for parts in pairs.parts.values()
            for others in parts.values()
            for other, _ in others
        }
        images = [h for h in images if h.index in known - paired] or images
    return _own_parts([(_written_name(h), h) for h in images], hdus, labels)


_FORMS: tuple[Callable[[list[HduMap], Labels], tuple[Group, ...]], ...] = (
    _named,
    _primary,
    _unnamed,
    _own_names,
)
"""Forms of files; the first that finds a group is taken."""


def _grouped(
    images: list[HduMap], hdus: list[HduMap], labels: Labels, *, by_order: bool = False
) -> tuple[Group, ...]:
    """Make groups that are numbered by EXTVER, or in file order."""
    if not images:
        return ()
    versions = [h.number for h in images]
    if by_order or len(set(versions)) < len(versions):
        versions = list(range(1, len(images) + 1))
        by_order = True
    found: dict[str, dict[int, HduMap | None]] = {}
    for part in ("uncertainty", "flags"):
        same = _called(labels.names[part], hdus)
        found[part] = (
            dict(zip(versions, in_order(images, same), strict=True))
            if by_order and (len(images) == len(same) == 1 or not _are_numbered(same))
            else {h.number: h for h in reversed(same)}
        )
    return tuple(
        Group(
            ident,
            image.index,
            _fitting(found["uncertainty"].get(ident), image),
            _fitting(found["flags"].get(ident), image),
        )
        for ident, image in zip(versions, images, strict=True)
    )


def _called(name: str, hdus: list[HduMap]) -> list[HduMap]:
    """Find images by EXTNAME, or by the name an unnamed one has among the extras."""
    same = [h for h in hdus if h.is_image and h.name == name]
    if same or not (match := _UNNAMED.fullmatch(name)):
        return same
    unnamed = [h for h in hdus[1:] if h.is_image and h.name in NO_NAMES]
    number = int(match[1] or 1)
    alone = match[1] is None and len(unnamed) != 1
    return [] if alone else unnamed[number - 1 : number]


def _own_parts(
    images: list[tuple[str, HduMap]], hdus: list[HduMap], labels: Labels
) -> tuple[Group, ...]:
    """Make groups named by what stands before the separator."""
    if not images:
        return ()
    parts: dict[tuple[str, str], list[HduMap]] = {}
    for hdu in hdus:
        if hdu.is_image and (split := labels.split(_written_name(hdu))) is not None:
            parts.setdefault((split[0].upper(), split[1]), []).append(hdu)
    stems: dict[str, list[HduMap]] = {}
    for stem, image in images:
        stems.setdefault(stem.upper(), []).append(image)
    found: dict[tuple[int, str], HduMap | None] = {}
    for stem, same in stems.items():
        for part in ("uncertainty", "flags"):
            others = paired(same, parts.get((stem, part), []))
            for image, other in zip(same, others, strict=True):
                found[image.index, part] = other
    return tuple(
        Group(
            ident,
            image.index,
            _fitting(found[image.index, "uncertainty"], image),
            _fitting(found[image.index, "flags"], image),
        )
        for ident, (_, image) in zip(_distinct(images), images, strict=True)
    )


def _completed(
    groups: tuple[Group, ...], hdus: list[HduMap], labels: Labels
) -> tuple[Group, ...]:
    """Add uncertainties and flags that have other names than the labels."""
    # Labels that the user set mean these extensions and no others.
    usual = {"uncertainty": USUAL_NAMES[labels.uncertainty_is], "flags": "DQ"}
    parts = [part for part, name in usual.items() if labels.names[part] == name]
    if all(getattr(group, part) is not None for part in parts for group in groups):
        return groups
    taken = {i for g in groups for i in (g.data, g.uncertainty, g.flags)}
    stems = {"", *(str(group.ident).upper() for group in groups)}
    splits = {h.index: labels.split(h.name) for h in hdus if h.is_image}
    free = [
        h for h in hdus
        if h.is_image and h.data_size and h.index not in taken
        # else it was looked at already
        and ((split := splits[h.index]) is None or split[0].upper() not in stems)
    ]  # fmt: skip
    if not any(role_of(h) for h in free):
        return groups
    data = [group.data for group in groups]
    pairs = find_pairs([h for h in hdus if h.index in data or h in free], data)
    found = []
    for group in groups:
        new = group
        if "uncertainty" in parts and group.uncertainty is None:
            hdu = pairs.of_kind(group.data, labels.uncertainty_is)
            new = replace(new, uncertainty=None if hdu is None else hdu.index)
        if "flags" in parts and group.flags is None:
            hdu = pairs.flags(group.data)
            # A mask of objects is called MASK, too.
            known = new.uncertainty is not None or labels.data != "SCI"
            if hdu is not None and (known or not is_never_data(hdu) or not group.data):
                new = replace(new, flags=hdu.index)
        found.append(new)
    return tuple(found)


def _is_described(hdu: HduMap) -> bool:
    """Whether name or cards say that it is neither error nor mask."""
    role = role_of(hdu)
    return role is not None and role.part == "other"


def _further(
    fmap: FileMap, groups: tuple[Group, ...], extras: dict[str, int]
) -> dict[str, tuple[int, ...]]:
    """Find the errors of groups that have an uncertainty already."""
    found = {}
    for name, index in extras.items():
        hdu = fmap.hdus[index]
        role = role_of(hdu)
        if role is None or role.part != "uncertainty" or not hdu.data_size:
            continue
        about = [
            fmap.hdus[group.data]
            for group in groups
            if group.uncertainty is not None
            and fmap.hdus[group.data].shape == hdu.shape
        ]
        others = (fmap.hdus[i].name for i in extras.values() if i != index)
        if role.rest and any(are_alike(role.rest, other) for other in others):
            continue  # it is the error of that one
        same = [data for data in about if are_alike(role.rest, data.name)]
        same = same or [data for data in about if data.number == hdu.number] or about
        if same:
            found[name] = tuple(data.index for data in same)
    return found


def _warn_of_left_out(
    fmap: FileMap, groups: tuple[Group, ...], extras: dict[str, int]
) -> None:
    """Warn of images without a role that look like an error or a mask."""
    for name, index in extras.items():
        hdu = fmap.hdus[index]
        role = role_of(hdu)
        part = "flags" if role is not None and role.part == "flags" else "uncertainty"
        like = [g for g in groups if fmap.hdus[g.data].shape == hdu.shape]
        if not hdu.data_size or not any(part not in group.hdus for group in like):
            continue
        if role is not None and role.part in ("uncertainty", "flags", "weight"):
            what = {"flags": "a mask", "weight": "a weight"}.get(role.part, "an error")
            _warn_once(
                fmap.source, f"looks like {what} ({role.word})", hdu.index, hdu.name
            )
        elif role is None and hdu.name in NO_NAMES and groups[0].data == 0:
            what = "may be an error or a mask"
            _warn_once(fmap.source, what, hdu.index, f"without a name, {name}")


@functools.lru_cache(maxsize=4096)
def _warn_once(source: Source, what: str, index: int, name: str) -> None:
    log.warning(
        "%s: HDU %d (%s) has the shape of the data and %s, but takes no part in "
        "arithmetic; if it should, say so with labels",
        source.path, index, name, what,
    )  # fmt: skip


def _belonging(
    ident: Ident,
    hdus: list[HduMap],
    names: dict[str, int],
    of_the_file: frozenset[str],
) -> dict[str, str]:
    """Find the extensions that have the EXTVER or the name of a group."""
    found = {}
    for hdu, name in zip(hdus, names, strict=True):
        written = _written_name(hdu)
        if isinstance(ident, int):
            if hdu.version == ident and written.upper() not in of_the_file:
                found[written or name] = name
        elif written.upper() == ident.upper():
            found[written] = name
        elif written.upper().startswith(f"{ident.upper()}."):
            found[written[len(ident) + 1 :]] = name
    return found


def _fitting(hdu: HduMap | None, image: HduMap) -> int | None:
    """Return the position of an extension if it has the shape of its data."""
    if hdu is None or hdu.shape == image.shape:
        return None if hdu is None else hdu.index
    log.warning(
        "%s: HDU %d (%s) has not the shape of its data; it is left among the extras",
        hdu.source.path,
        hdu.index,
        hdu.name,
    )
    return None


def _by_name(hdus: list[HduMap], default: str) -> dict[str, int]:
    """Name HDUs; of several with one name, each gets its version or number."""
    named = [
        (_written_name(h) or ("PRIMARY" if h.index == 0 else default), h) for h in hdus
    ]
    names = _distinct(named)
    return {name: hdu.index for name, hdu in zip(names, hdus, strict=True)}


def _distinct(named: list[tuple[str, HduMap]]) -> list[str]:
    """Make names unique by appending version or number."""
    same: dict[str, list[HduMap]] = {}
    for name, hdu in named:
        same.setdefault(name, []).append(hdu)
    made: list[str] = []
    taken = {name for name, hdus in same.items() if len(hdus) == 1}
    for name, hdu in named:
        hdus = same[name]
        if len(hdus) > 1:
            versions = [h.version for h in hdus]
            if None in versions or len(set(versions)) < len(versions):
                versions = list(range(1, len(hdus) + 1))
            name = f"{name}_{versions[hdus.index(hdu)]}"  # noqa: PLW2901
            while name in taken:
                name += "_"  # noqa: PLW2901  # such a name is there already
            taken.add(name)
        made.append(name)
    return made


def _has_pixels(hdu: HduMap) -> bool:
    """Whether it is more than the primary header of a MEF."""
    return hdu.index > 0 or hdu.data_size > 0


def _written_name(hdu: HduMap) -> str:
    return str(hdu.keys.get("EXTNAME") or "").strip()
