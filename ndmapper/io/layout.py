"""
The layout of a file: which HDU plays which part.

A layout is data. Nothing above this module asks for the names of extensions, so
another way of laying out a file is another function in `_FORMS`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

from ndmapper.config import config
from ndmapper.errors import ConfigError, did_you_mean
from ndmapper.instruments import load, names, recognise
from ndmapper.io.filemap import FileMap, HduMap
from ndmapper.io.record import EXTNAME

__all__ = [
    "DEFAULT_LABELS",
    "Group",
    "Ident",
    "Labels",
    "Layout",
    "find_layout",
    "make_labels",
]

log = logging.getLogger(__name__)

Ident = int | str
"""What names a group in a file: EXTVER, or a name."""

Part = Literal["data", "uncertainty", "flags"]


@dataclass(frozen=True)
class Labels:
    """
    The names of extensions.

    Parameters
    ----------
    data, uncertainty, flags : str
        EXTNAME of each, in upper case.
    uncertainty_is : {'variance', 'std'}
        What the uncertainty extension holds.
    """

    data: str = "SCI"
    uncertainty: str = "VAR"
    flags: str = "DQ"
    uncertainty_is: Literal["variance", "std"] = "variance"

    @property
    def names(self) -> dict[str, str]:
        """Name by part."""
        return {
            "data": self.data,
            "uncertainty": self.uncertainty,
            "flags": self.flags,
        }


DEFAULT_LABELS = Labels()
"""What a new file gets where nobody says anything."""


@dataclass(frozen=True)
class Group:
    """
    The HDUs that make one NDData.

    Parameters
    ----------
    ident : int or str
        What names the group in its file.
    data : int
        Position of the HDU of the pixels.
    uncertainty, flags : int, optional
        Positions of the other two.
    """

    ident: Ident
    data: int
    uncertainty: int | None = None
    flags: int | None = None

    @property
    def hdus(self) -> dict[str, int]:
        """Position by part, of the parts that there are."""
        found = {
            "data": self.data,
            "uncertainty": self.uncertainty,
            "flags": self.flags,
        }
        return {part: index for part, index in found.items() if index is not None}


@dataclass(frozen=True)
class Layout:
    """
    What each HDU of a file is.

    Parameters
    ----------
    labels : Labels
        The names of the extensions.
    groups : tuple of Group
        In file order.
    tables, extras : dict of str to int
        Position of each table, and of each image that plays no part, by name.
    record : int, optional
        Position of the record of the product.
    """

    labels: Labels
    groups: tuple[Group, ...]
    tables: dict[str, int]
    extras: dict[str, int]
    record: int | None = None


def find_layout(fmap: FileMap, labels: Any = None) -> Layout:
    """
    Find which HDU plays which part.

    Parameters
    ----------
    fmap : FileMap
        The map of a file.
    labels : str or mapping or Labels, optional
        Name of a preset, or the labels themselves; None takes those of the
        configuration, else recognises them.

    Returns
    -------
    Layout
        The layout.

    Raises
    ------
    ConfigError
        If there is no such preset, or the labels are malformed.
    """
    labels = _labels(labels, fmap)
    record = fmap.hdus[-1].index if fmap.hdus[-1].name == EXTNAME else None
    hdus = [hdu for hdu in fmap.hdus if hdu.index != record]
    groups: tuple[Group, ...] = ()
    for form in _FORMS:
        if groups := form(hdus, labels):
            break
    taken = {index for group in groups for index in group.hdus.values()}
    free = [hdu for hdu in hdus if hdu.index not in taken]
    return Layout(
        labels=labels,
        groups=groups,
        tables=_by_name([h for h in free if h.is_table], "TABLE"),
        extras=_by_name([h for h in free if h.is_image], "IMAGE"),
        record=record,
    )


def _named(hdus: list[HduMap], labels: Labels) -> tuple[Group, ...]:
    """Take the extensions whose EXTNAME is that of the data."""
    return _grouped([h for h in hdus if h.is_image and h.name == labels.data],
                    hdus, labels)  # fmt: skip


def _unnamed(hdus: list[HduMap], labels: Labels) -> tuple[Group, ...]:
    """Take the image extensions without a name, in file order."""
    images = [h for h in hdus[1:] if h.is_image and not h.name]
    return _grouped(images, hdus, labels, by_order=True)


def _primary(hdus: list[HduMap], labels: Labels) -> tuple[Group, ...]:
    """Take the image in the primary HDU."""
    images = [h for h in hdus[:1] if h.is_image]
    return _grouped(images, hdus, labels, by_order=True)


_FORMS: tuple[Callable[[list[HduMap], Labels], tuple[Group, ...]], ...] = (
    _named,
    _unnamed,
    _primary,
)
"""The forms of files, the first that finds something wins."""


def _grouped(
    images: list[HduMap], hdus: list[HduMap], labels: Labels, *, by_order: bool = False
) -> tuple[Group, ...]:
    versions = [1 if h.version is None else h.version for h in images]
    if by_order or len(set(versions)) < len(versions):
        versions = list(range(1, len(images) + 1))
        by_order = True
    groups = []
    for order, (ident, image) in enumerate(zip(versions, images, strict=True)):
        parts: dict[str, int | None] = {}
        for part in ("uncertainty", "flags"):
            same = [h for h in hdus if h.is_image and h.name == labels.names[part]]
            unnumbered = len({h.version for h in same}) < len(same)
            if by_order and unnumbered:
                found = same[order] if order < len(same) else None
            else:
                found = next((h for h in same if (h.version or 1) == ident), None)
            if found is not None and found.shape != image.shape:
                log.warning(
                    "%s: HDU %d (%s) has not the shape of its data; it is left among "
                    "the extras",
                    found.source.path,
                    found.index,
                    found.name,
                )
                found = None
            parts[part] = None if found is None else found.index
        groups.append(Group(ident, image.index, **parts))
    return tuple(groups)


def _by_name(hdus: list[HduMap], default: str) -> dict[str, int]:
    """Name HDUs; of several with one name, each gets its version or number."""
    texts = [_written_name(h) or ("PRIMARY" if h.index == 0 else default) for h in hdus]
    found: dict[str, int] = {}
    for name in dict.fromkeys(texts):
        same = [h for h, n in zip(hdus, texts, strict=True) if n == name]
        versions = [h.version for h in same]
        if None in versions or len(set(versions)) < len(versions):
            versions = list(range(1, len(same) + 1))
        for hdu, version in zip(same, versions, strict=True):
            found[name if len(same) == 1 else f"{name}_{version}"] = hdu.index
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _written_name(hdu: HduMap) -> str:
    return str(hdu.keys.get("EXTNAME") or "").strip()


def _labels(labels: Any, fmap: FileMap) -> Labels:
    if labels is None:
        labels = config["labels"]
    if labels is None:
        return _recognised(fmap)
    return make_labels(labels)


def make_labels(labels: Any) -> Labels:
    """
    Make labels of what a user may give.

    Parameters
    ----------
    labels : str or mapping or Labels or None
        Name of a preset, which is that of an instrument; or a mapping with the keys
        data, uncertainty, flags and uncertainty_is; or None for the default.

    Returns
    -------
    Labels
        The labels.

    Raises
    ------
    ConfigError
        If there is no such preset, or the labels are malformed.
    """
    if labels is None:
        return DEFAULT_LABELS
    if isinstance(labels, Labels):
        return labels
    if isinstance(labels, str):
        return _preset(labels)
    known = set(DEFAULT_LABELS.__dict__)
    for key in labels:
        if key not in known:
            msg = f"labels have no part {key!r}{did_you_mean(key, known)}"
            raise ConfigError(msg)
    values = {
        key: str(value) if key == "uncertainty_is" else str(value).strip().upper()
        for key, value in labels.items()
        if value
    }
    made = Labels(**cast(Any, values))
    if made.uncertainty_is not in ("variance", "std"):
        msg = (
            "labels['uncertainty_is'] must be 'variance' or 'std', not "
            f"{made.uncertainty_is!r}"
        )
        raise ConfigError(msg)
    if len(set(made.names.values())) < 3:
        msg = f"labels give two parts one name: {made.names}"
        raise ConfigError(msg)
    return made


def _preset(name: str) -> Labels:
    if name.strip().lower() in ("sci", "default"):
        return DEFAULT_LABELS
    if name not in names():
        choice = did_you_mean(name, ["default", *names()])
        msg = f"there is no preset of labels {name!r}{choice}"
        raise ConfigError(msg)
    return make_labels(load(name).labels)


def _recognised(fmap: FileMap) -> Labels:
    """Take the labels of the instrument where the file has such extensions."""
    images = {hdu.name for hdu in fmap.hdus if hdu.is_image}
    if DEFAULT_LABELS.data in images or not images - {""}:
        return DEFAULT_LABELS
    if (instrument := recognise(fmap.primary.header)) is not None:
        labels = make_labels(instrument.labels)
        if labels.data in images:
            return labels
    return DEFAULT_LABELS
