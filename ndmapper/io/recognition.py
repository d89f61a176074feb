"""Which names the extensions of a file have, where nobody says."""

from dataclasses import replace
from typing import Any

from ndmapper.config import config
from ndmapper.instruments import recognise
from ndmapper.io.ccddata import kind_of_uncertainty
from ndmapper.io.filemap import FileMap, HduMap
from ndmapper.io.labels import (
    CCDDATA_LABELS,
    DEFAULT_LABELS,
    PRIMARY,
    STD_LABELS,
    USUAL_NAMES,
    Labels,
    make_labels,
)
from ndmapper.io.roles import (
    NO_NAMES,
    Pairs,
    UncertaintyKind,
    find_pairs,
    role_of,
    split_data_name,
)

__all__ = ["labels_of"]


def labels_of(fmap: FileMap, given: Any = None) -> Labels:
    """
    Find the names of the extensions of a file.

    Parameters
    ----------
    fmap : FileMap
        The map of a file.
    given : str or mapping or Labels, optional
        Name of a preset, or the labels themselves; None takes those of the
        configuration, else recognises them.

    Returns
    -------
    Labels
        The labels.

    Raises
    ------
    ConfigError
        If there is no such preset, or the labels are malformed.
    """
    given = config["labels"] if given is None else given
    labels = _recognised(fmap) if given is None else make_labels(given)
    # Of which kind the uncertainty is, a header may tell.
    if labels.are_ccddata:
        for hdu in fmap.hdus:
            if hdu.name == labels.uncertainty and hdu.is_image:
                is_std = kind_of_uncertainty(hdu) == "std"
                return replace(labels, uncertainty_is="std" if is_std else "variance")
    return labels


def _recognised(fmap: FileMap) -> Labels:
    """Find the labels by the names that there are, else by the instrument."""
    # HST leaves the place of arrays empty that have one value everywhere.
    written = [hdu.name for hdu in fmap.hdus[1:] if not hdu.is_table]
    images = {name for name in written if name not in NO_NAMES}
    has_primary = fmap.primary.is_image and fmap.primary.data_size > 0
    instrument = None
    if images:
        lasts = {name.rpartition(".")[2] for name in images}
        if _are_ccddata(fmap, lasts):
            return CCDDATA_LABELS
        if DEFAULT_LABELS.data in lasts:
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
    return instrument or DEFAULT_LABELS


def _has_errors(fmap: FileMap) -> bool:
    """Whether an extension looks like an uncertainty, of whatever name."""
    roles = (role_of(h) for h in fmap.hdus[1:] if h.is_image)
    return any(role is not None and role.part == "uncertainty" for role in roles)


def _of_instrument(fmap: FileMap) -> Labels | None:
    """Give the labels that the instrument's table names, if it does."""
    if (instrument := recognise(fmap.primary.header)) is None:
        return None
    labels = make_labels(instrument.labels)
    return None if labels == DEFAULT_LABELS else labels


def _of_one_name(fmap: FileMap, written: list[str]) -> Labels:
    """Take one name in several versions for that of the data."""
    images = [h for h in fmap.hdus[1:] if not h.is_table and h.name not in NO_NAMES]
    names = {h.name for h in images if role_of(h) is None}
    if len(names) == 1:
        (name,) = names
        versions = {hdu.version for hdu in images if hdu.name == name}
        if 1 < len(versions) == written.count(name):
            return _labelled(name)
    return DEFAULT_LABELS


def _beside_sci(fmap: FileMap, lasts: set[str]) -> Labels:
    """Find what errors and flags of SCI are called."""
    if DEFAULT_LABELS.uncertainty in lasts:
        return DEFAULT_LABELS
    if {STD_LABELS.uncertainty, STD_LABELS.flags} <= lasts:
        return STD_LABELS
    sci = {h.index for h in fmap.hdus if split_data_name(h.name)[2] == "SCI"}
    pairs = find_pairs(fmap.hdus, sci)
    if not any("uncertainty" in parts for parts in pairs.parts.values()):
        # A MASK alone may be one of objects.
        return STD_LABELS if STD_LABELS.uncertainty in lasts else DEFAULT_LABELS
    return _labels_of(pairs)


def _labels_of(pairs: Pairs) -> Labels:
    """Make labels of the names of what belongs together."""
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
    """Split the names of a group into its own and those of parts; None if not so."""
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
    return Labels(DEFAULT_LABELS.data if data.index else PRIMARY, errors, masks, kind)


def _kind(pairs: Pairs) -> UncertaintyKind:
    """Say what the uncertainties of a file are, where there are several of them."""
    for hdu in pairs.data:
        for _, role in pairs.parts.get(hdu.index, {}).get("uncertainty", ()):
            if role.kind is not None:
                return role.kind
    return "variance"


def _of_mpdaf(images: set[str]) -> Labels | None:
    """Give the labels of MUSE for IMA_x_DATA of a source, of which no STAT is there."""
    muse = make_labels("muse")
    found = [split_data_name(name) for name in images]
    if any(stem and (gap, word) == ("_", muse.data) for stem, gap, word in found):
        return replace(muse, separator="_")
    return None


def _are_ccddata(fmap: FileMap, names: set[str]) -> bool:
    """Whether astropy's CCDData wrote a file, or could have."""
    mine = {CCDDATA_LABELS.uncertainty, CCDDATA_LABELS.flags}
    if names & (
        {DEFAULT_LABELS.uncertainty, DEFAULT_LABELS.flags, STD_LABELS.uncertainty}
    ):
        return False
    # An image in the primary HDU, or alone, has no name.
    images = (h for h in fmap.hdus if h.is_image and (h.index or h.data_size))
    first = next(images, None)
    if first is None or first.name not in ("", DEFAULT_LABELS.data):
        return False
    same = [h for h in fmap.hdus if h.name in mine and h.shape == first.shape]
    if any(h.name == CCDDATA_LABELS.uncertainty for h in same):
        return True
    return not _has_errors(fmap) and any(
        (h.keys["BITPIX"] == 8 and first.name == "") or b"FLAGCONV=" in h.raw
        for h in same
    )


def _labelled(data: str) -> Labels:
    """Make labels for files whose data have a name of their own."""
    others = {
        part: f"{label}_{part}".upper() if label == data else label
        for part, label in DEFAULT_LABELS.names.items()
        if part != "data"
    }
    return Labels(data, others["uncertainty"], others["flags"])
