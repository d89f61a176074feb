"""
The headers of an image that lives in the primary HDU.

Such an image has one header for two things: the file, and the pixels. As long as it is
saved as a single image both stay together. Once it gets a variance, flags or company it
becomes an extension, and what describes the pixels goes there: coordinates, unit, and
what was changed in the header of the image since it was read.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ndmapper.io.headers import (
    Header,
    StoredHeader,
    card_bytes,
    changed_keywords,
    is_array_keyword,
)

if TYPE_CHECKING:
    from ndmapper.data.ndlater import NDLater

__all__ = ["extension_header", "merged_header", "primary_header"]

_COMMENTARY = {"COMMENT", "HISTORY", ""}


def merged_header(primary: StoredHeader, image: StoredHeader) -> StoredHeader:
    """
    Make the header of a single image of the file's header and the image's.

    Parameters
    ----------
    primary, image : StoredHeader
        Both come from one header; either may have been changed since.

    Returns
    -------
    StoredHeader
        The file's header with the image's changes.
    """
    if image is primary:
        return primary
    merged = primary.copy()
    _overlay(merged.header, image, _changes(primary, image))
    return merged


def extension_header(primary: StoredHeader, image: StoredHeader) -> StoredHeader:
    """
    Make the header of the extension that such an image becomes.

    Parameters
    ----------
    primary, image : StoredHeader
        Both come from one header; either may have been changed since.

    Returns
    -------
    StoredHeader
        Coordinates, unit and the image's changes.
    """
    changed = set() if image is primary else _changes(primary, image)
    header = Header()
    for card in image.header.cards:
        if is_array_keyword(card.keyword) and card.keyword not in changed:
            header.append(card, end=True)
    _overlay(header, image, changed)
    return StoredHeader(header=header)


def primary_header(primary: StoredHeader, groups: Sequence["NDLater"]) -> StoredHeader:
    """
    Make the primary header that such an image leaves behind.

    Parameters
    ----------
    primary : StoredHeader
        The file's header.
    groups : sequence of NDLater
        The images of the file.

    Returns
    -------
    StoredHeader
        Without what goes with the image; the same one if no image was in the
        primary HDU.
    """
    images = [ndd for ndd in groups if ndd._in_primary]
    if not images:
        return primary
    stored = primary.copy()
    kept = changed_keywords(primary)
    for ndd in images:
        changed = set()
        if ndd._stored is not primary:
            changed = _changes(primary, ndd._stored) - kept - _COMMENTARY
        for keyword in dict.fromkeys(stored.header):
            if keyword in changed or is_array_keyword(keyword):
                stored.header.remove(keyword, ignore_missing=True, remove_all=True)
    return stored


def _changes(primary: StoredHeader, image: StoredHeader) -> set[str]:
    raw = image.raw or primary.raw
    return {
        keyword
        for keyword in changed_keywords(StoredHeader(raw, image.header))
        if keyword not in ("SIMPLE", "BITPIX", "EXTEND", "BSCALE", "BZERO", "BLANK")
        and not keyword.startswith("NAXIS")
    }


def _overlay(target: Header, image: StoredHeader, keywords: Iterable[str]) -> None:
    """Put the cards with these keywords in the place of the target's."""
    before = {card_bytes(card) for card in image.pristine().cards}
    wanted = set(keywords)
    for keyword in wanted - _COMMENTARY:
        target.remove(keyword, ignore_missing=True, remove_all=True)
    for card in image.header.cards:
        if card.keyword in wanted and not (
            card.keyword in _COMMENTARY and card_bytes(card) in before
        ):
            target.append(card, end=True)
