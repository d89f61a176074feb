"""The names of the extensions of a file: presets, labels of the user, recognition."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np

from ndmapper.config import config
from ndmapper.errors import ConfigError, FormatError, did_you_mean
from ndmapper.instruments import load, names, recognise
from ndmapper.io.converted import kind_of_uncertainty
from ndmapper.io.filemap import FileMap, HduMap
from ndmapper.io.quickheader import QuickHeader
from ndmapper.io.roles import (
    NO_NAMES,
    Pairs,
    UncertaintyKind,
    find_pairs,
    role_of,
    split_data_name,
)

__all__ = [
    "PRIMARY",
    "USUAL_NAMES",
    "Ident",
    "Labels",
    "labels_of",
    "make_labels",
]


PRIMARY = "PRIMARY"
"""The name that labels give the image in the primary HDU."""

_SEPARATORS = "._- "
"""Separators of group and part in EXTNAME, which depend on the observatory."""

Ident = int | str
"""Identifies a group in a file: EXTVER, or a name."""


@dataclass(frozen=True)
class Labels:
    """The names of the extensions of a file."""

    # EXTNAME of each, in upper case; data may be PRIMARY, for the image in the
    # primary HDU.
    data: str = "SCI"
    uncertainty: str = "VAR"
    flags: str = "DQ"
    # What the uncertainty extension holds; 'ivar' is the inverse of the variance.
    uncertainty_is: UncertaintyKind = "variance"
    separator: str = "."  # in EXTNAME, between the name of a group and these

    @cached_property
    def names(self) -> dict[str, str]:
        """EXTNAME by part; data that leave the primary HDU are SCI."""
        return {
            "data": "SCI" if self.in_primary else self.data,
            "uncertainty": self.uncertainty,
            "flags": self.flags,
        }

    @property
    def in_primary(self) -> bool:
        """Whether the data are in the primary HDU, also beside other extensions."""
        return self.data == PRIMARY

    @property
    def are_ccddata(self) -> bool:
        """Whether uncertainty and mask are named as astropy's CCDData names them."""
        return (self.uncertainty, self.flags) == ("UNCERT", "MASK")

    def split(self, name: str) -> tuple[str, str] | None:
        """Split EXTNAME (CHAN07.DATA) into group and part; None if it is no part."""
        upper = name.upper()
        if (part := self._parts.get(upper)) is not None:
            return "", part
        if not upper.endswith(self._ends):
            return None
        for part, label in self.names.items():
            end = len(name) - len(label)
            if end > 0 and upper.endswith(label) and name[end - 1] in _SEPARATORS:
                return name[: end - 1], part
        return None

    @cached_property
    def _parts(self) -> dict[str, str]:
        """Part by name; the first of equal names counts."""
        return {label: part for part, label in reversed(self.names.items())}

    @cached_property
    def _ends(self) -> tuple[str, ...]:
        return tuple(self.names.values())

    def join(self, ident: Ident | None, part: str) -> tuple[str, int | None]:
        """Return EXTNAME and EXTVER of a part; a group with a name has no EXTVER."""
        label = self.names[part]
        if isinstance(ident, str) and ident.strip():
            return f"{ident}{self.separator}{label}", None
        if isinstance(ident, int | np.integer) and not isinstance(ident, bool):
            return label, int(ident)
        msg = (
            f"the ident {ident!r} cannot be saved: it must be an integer, which "
            "becomes EXTVER, or a name; set it, or call renumber()"
        )
        raise FormatError(msg)


USUAL_NAMES: dict[UncertaintyKind, str] = {
    "variance": "VAR",
    "std": "ERR",
    "ivar": "IVAR",
}
"""What a new uncertainty is called where a file has no name for it."""

_DEFAULT_LABELS = Labels()
"""Those of a new file, by default."""

_STD_LABELS = Labels(uncertainty="ERR", uncertainty_is="std")
"""Those of HST and JWST."""

_CCDDATA_LABELS = Labels(uncertainty="UNCERT", flags="MASK", uncertainty_is="std")
"""Those of astropy's CCDData; which kind the uncertainty is, its header tells."""

_PRESETS = {
    "default": _DEFAULT_LABELS,
    "sci": _DEFAULT_LABELS,
    "gemini": _DEFAULT_LABELS,
    "dragons": _DEFAULT_LABELS,
    "hst": _STD_LABELS,
    "jwst": _STD_LABELS,
    "ccddata": _CCDDATA_LABELS,
}
"""Of observatories and of astropy; the others are in the TOML of an instrument."""


def make_labels(labels: Any) -> Labels:
    """Make labels of a preset, an instrument, the path of a TOML, or a mapping."""
    if labels is None:
        return _DEFAULT_LABELS
    if isinstance(labels, Labels):
        return labels
    if isinstance(labels, str):
        return _preset(labels)
    if not isinstance(labels, Mapping):
        msg = f"labels are the name of a preset, or a mapping, not {labels!r}"
        raise ConfigError(msg)
    known = {"data", "uncertainty", "flags", "uncertainty_is"}
    for key in labels:
        if key not in known:
            msg = f"labels have no part {key!r}{did_you_mean(key, known)}"
            raise ConfigError(msg)
        if labels[key] is not None and not isinstance(labels[key], str):
            msg = f"labels[{key!r}] must be a text, not {labels[key]!r}"
            raise ConfigError(msg)
    values = {
        key: str(value) if key == "uncertainty_is" else str(value).strip().upper()
        for key, value in labels.items()
        if value
    }
    made = Labels(**cast(Any, values))
    if made.uncertainty_is not in ("variance", "std", "ivar"):
        msg = (
            "labels['uncertainty_is'] must be 'variance', 'std' or 'ivar', not "
            f"{made.uncertainty_is!r}"
        )
        raise ConfigError(msg)
    if len(set(made.names.values())) < 3:
        msg = f"labels give two parts one name: {made.names}"
        raise ConfigError(msg)
    return made


def _preset(name: str) -> Labels:
    if (known := _PRESETS.get(name.strip().lower())) is not None:
        return known
    if name not in names() and not name.endswith(".toml"):
        choice = did_you_mean(name, [*_PRESETS, *names()])
        msg = f"there is no preset of labels {name!r}{choice}"
        raise ConfigError(msg)
    return make_labels(load(name).labels)


def labels_of(fmap: FileMap, given: Any = None) -> Labels:
    """Return the labels of a file: given, configured, or recognised."""
    given = config["labels"] if given is None else given
    labels = _recognised(fmap) if given is None else make_labels(given)
    # A header may tell the kind of the uncertainty.
    if labels.are_ccddata:
        for hdu in fmap.hdus:
            if hdu.name == labels.uncertainty and hdu.is_image:
                is_std = kind_of_uncertainty(hdu) == "std"
                return replace(labels, uncertainty_is="std" if is_std else "variance")
    return labels


def _recognised(fmap: FileMap) -> Labels:
    """Recognise the labels by the names of extensions, else by the instrument."""
    # HST writes no pixels for arrays of a constant value.
    written = [hdu.name for hdu in fmap.hdus[1:] if not hdu.is_table]
    images = {name for name in written if name not in NO_NAMES}
    has_primary = fmap.primary.is_image and fmap.primary.data_size > 0
    instrument = None
    if images:
        lasts = {name.rpartition(".")[2] for name in images}
        if _are_ccddata(fmap, lasts):
            return _CCDDATA_LABELS
        if _DEFAULT_LABELS.data in lasts:
            return _beside_sci(fmap, lasts)
        instrument = _of_instrument(fmap)
        muse = make_labels("muse")
        if instrument is not None and instrument.data in lasts:
            return instrument
        if muse.data in lasts and (
            muse.uncertainty in lasts or (muse.flags in lasts and not _has_errors(fmap))
        ):
            return muse
    if written and any(role_of(h) for h in fmap.hdus[1:] if h.is_image):
        pairs = find_pairs(fmap.hdus)
        if 0 in pairs.parts or (pairs.parts and not has_primary):
            return _labels_of(pairs)
    if images and not has_primary:
        return _of_mpdaf(images) or instrument or _of_one_name(fmap, written)
    return instrument or _DEFAULT_LABELS


def _has_errors(fmap: FileMap) -> bool:
    """Whether an extension looks like an uncertainty, of whatever name."""
    roles = (role_of(h) for h in fmap.hdus[1:] if h.is_image)
    return any(role is not None and role.part == "uncertainty" for role in roles)


def _of_instrument(fmap: FileMap) -> Labels | None:
    """Return the labels in the instrument's table, if it has any."""
    if (instrument := recognise(QuickHeader(fmap.primary.image_raw))) is None:
        return None
    labels = make_labels(instrument.labels)
    return None if labels == _DEFAULT_LABELS else labels


def _of_one_name(fmap: FileMap, written: list[str]) -> Labels:
    """Take the only name of all images for that of the data."""
    images = [h for h in fmap.hdus[1:] if not h.is_table and h.name not in NO_NAMES]
    names = {h.name for h in images if role_of(h) is None}
    if len(names) == 1:
        (name,) = names
        versions = {hdu.version for hdu in images if hdu.name == name}
        if 1 < len(versions) == written.count(name):
            return _labelled(name)
    return _DEFAULT_LABELS


def _beside_sci(fmap: FileMap, lasts: set[str]) -> Labels:
    """Find the names of errors and flags of SCI."""
    if _DEFAULT_LABELS.uncertainty in lasts:
        return _DEFAULT_LABELS
    if {_STD_LABELS.uncertainty, _STD_LABELS.flags} <= lasts:
        return _STD_LABELS
    sci = {h.index for h in fmap.hdus if split_data_name(h.name)[2] == "SCI"}
    pairs = find_pairs(fmap.hdus, sci)
    if not any("uncertainty" in parts for parts in pairs.parts.values()):
        # A MASK alone may be one of objects.
        return _STD_LABELS if _STD_LABELS.uncertainty in lasts else _DEFAULT_LABELS
    return _labels_of(pairs)


def _labels_of(pairs: Pairs) -> Labels:
    """Make labels of the names of paired arrays."""
    kind = _kind(pairs)
    found = [
        (hdu, pairs.of_kind(hdu.index, kind), pairs.flags(hdu.index))
        for hdu in pairs.data
        if hdu.index in pairs.parts
    ]
    made = [_labels_of_group(*some, kind) for some in found]
    # What has no name before the word for its part says nothing of what stands between.
    is_parted = [
        bool(hdu.index and split_data_name(hdu.name)[1]) for hdu, _, _ in found
    ]
    first = made[is_parted.index(True)] if any(is_parted) else made[0]
    usual = Labels(uncertainty=USUAL_NAMES[kind], uncertainty_is=kind)
    if first is None or None in made:
        return usual
    # Some groups may have no flags, or no errors.
    names = {"uncertainty": usual.uncertainty, "flags": usual.flags}
    for labels, has_separator in zip(made, is_parted, strict=True):
        assert labels is not None
        if labels.data != first.data:
            return usual
        if has_separator and labels.separator != first.separator:
            return usual
        for part, name in names.items():
            mine = labels.names[part]
            if mine and name == usual.names[part]:
                names[part] = mine
            elif mine and mine != name:
                return usual
    if len({first.names["data"], *names.values()}) < 3:
        return usual
    return replace(first, uncertainty=names["uncertainty"], flags=names["flags"])


def _labels_of_group(
    data: HduMap,
    uncertainty: HduMap | None,
    flags: HduMap | None,
    kind: UncertaintyKind,
) -> Labels | None:
    """Split the names of a group into its own and those of parts; None on failure."""
    stem, separator, word = split_data_name(data.name)
    errors, masks = ("" if hdu is None else hdu.name for hdu in (uncertainty, flags))
    if data.index and word and stem:
        start = stem + separator
        if all(not name or name.startswith(start) for name in (errors, masks)):
            errors, masks = errors.removeprefix(start), masks.removeprefix(start)
            return Labels(word, errors, masks, kind, separator)
        return None
    if data.index and data.name not in NO_NAMES:
        if not word and (data.name in errors or data.name in masks):
            return None
        return Labels(data.name, errors, masks, kind)
    errors, masks = ("" if name in NO_NAMES else name for name in (errors, masks))
    return Labels(_DEFAULT_LABELS.data if data.index else PRIMARY, errors, masks, kind)


def _kind(pairs: Pairs) -> UncertaintyKind:
    """Return what the uncertainties of a file hold."""
    for hdu in pairs.data:
        for _, role in pairs.parts.get(hdu.index, {}).get("uncertainty", ()):
            if role.kind is not None:
                return role.kind
    return "variance"


def _of_mpdaf(images: set[str]) -> Labels | None:
    """Return the labels of an mpdaf Source (IMA_x_DATA) without STAT."""
    muse = make_labels("muse")
    found = [split_data_name(name) for name in images]
    if any(stem and (gap, word) == ("_", muse.data) for stem, gap, word in found):
        return replace(muse, separator="_")
    return None


def _are_ccddata(fmap: FileMap, names: set[str]) -> bool:
    """Whether astropy's CCDData wrote a file, or could have."""
    mine = {_CCDDATA_LABELS.uncertainty, _CCDDATA_LABELS.flags}
    if names & (
        {_DEFAULT_LABELS.uncertainty, _DEFAULT_LABELS.flags, _STD_LABELS.uncertainty}
    ):
        return False
    # An image in the primary HDU, or alone, has no name.
    images = (h for h in fmap.hdus if h.is_image and (h.index or h.data_size))
    first = next(images, None)
    if first is None or first.name not in ("", _DEFAULT_LABELS.data):
        return False
    same = [h for h in fmap.hdus if h.name in mine and h.shape == first.shape]
    if any(h.name == _CCDDATA_LABELS.uncertainty for h in same):
        return True
    return not _has_errors(fmap) and any(
        (h.keys["BITPIX"] == 8 and first.name == "") or b"FLAGCONV=" in h.raw
        for h in same
    )


def _labelled(data: str) -> Labels:
    """Make labels of files whose data have a name of their own."""
    others = {
        part: f"{label}_{part}".upper() if label == data else label
        for part, label in _DEFAULT_LABELS.names.items()
        if part != "data"
    }
    return Labels(data, others["uncertainty"], others["flags"])
