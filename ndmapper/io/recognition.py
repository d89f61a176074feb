"""Which names the extensions of a file have, where nobody says."""

from dataclasses import replace
from typing import Any

from ndmapper.config import config
from ndmapper.instruments import recognise
from ndmapper.io.ccddata import kind_of_uncertainty
from ndmapper.io.filemap import FileMap
from ndmapper.io.labels import (
    CCDDATA_LABELS,
    DEFAULT_LABELS,
    STD_LABELS,
    Labels,
    make_labels,
)

__all__ = ["NO_NAMES", "labels_of"]

NO_NAMES = ("", "COMPRESSED_IMAGE")
"""EXTNAME that says nothing: the second one comes with compression."""


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
    if not images:
        return DEFAULT_LABELS
    lasts = {name.rpartition(".")[2] for name in images}
    if _are_ccddata(fmap, lasts):
        return CCDDATA_LABELS
    if DEFAULT_LABELS.data in lasts:
        has_std = STD_LABELS.uncertainty in lasts
        has_variance = DEFAULT_LABELS.uncertainty in lasts
        return STD_LABELS if has_std and not has_variance else DEFAULT_LABELS
    if (instrument := recognise(fmap.primary.header)) is not None:
        labels = make_labels(instrument.labels)
        if labels != DEFAULT_LABELS:
            return labels
    muse = make_labels("muse")
    if {muse.data, muse.uncertainty} <= lasts or {muse.data, muse.flags} <= lasts:
        return muse
    # One name in several versions is that of the data.
    data = images - {DEFAULT_LABELS.uncertainty, DEFAULT_LABELS.flags}
    name = next(iter(data or images))
    versions = {hdu.version for hdu in fmap.hdus[1:] if hdu.name == name}
    if len(data or images) == 1 < len(versions) == written.count(name):
        return _labelled(name)
    return DEFAULT_LABELS


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
    return any(
        h.name == CCDDATA_LABELS.uncertainty
        or (h.keys["BITPIX"] == 8 and first.name == "")
        or b"FLAGCONV=" in h.raw
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
