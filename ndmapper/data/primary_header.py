"""
The header of an image in the primary HDU, which is that of the file too.

As long as such an image is saved alone both stay together. Once it gets a variance,
flags or company it becomes an extension with all of that header, as it had in memory.
The file keeps what does not describe the pixels: coordinates, unit, sections and what
is known of amplifiers go, and so does what was changed in the header of the image since
it was read.

An image from the primary HDU of another file brings a header of its own. Saved alone it
keeps that; in company it goes into its extension.
"""

from collections.abc import Iterable, Sequence

from ndmapper.data.detector import pixel_keywords
from ndmapper.data.ndlater import NDLater
from ndmapper.io.headers import (
    Header,
    StoredHeader,
    card_bytes,
    cards_by_keyword,
    changed_keywords,
    is_array_keyword,
    is_form_keyword,
)
from ndmapper.io.quickheader import QuickHeader

__all__ = [
    "caught_up",
    "extension_header",
    "merged_header",
    "primary_header",
    "replaced_header",
]

_COMMENTARY = {"COMMENT", "HISTORY", ""}
# What says something of a file, or of its first HDU, and nothing of an extension.
_PRIMARY_ONLY = {"SIMPLE", "EXTEND", "NEXTEND", "BLOCKED", "GROUPS"}


def merged_header(primary: StoredHeader, image: StoredHeader) -> StoredHeader:
    """
    Merge the file's primary header with the changes made to the image's header.

    Of an image from elsewhere it is the header that came with the image, with what was
    set in that of the file.
    """
    if image is primary:
        return primary
    # One that was put together in memory has all that it wants to have.
    if image.raw is None or not _is_of(primary, image):
        return _brought_header(primary, image)
    merged = primary.copy()
    _overlay(merged.header, image, _changes(primary, image))
    return merged


def extension_header(image: StoredHeader) -> StoredHeader:
    """
    Make the header of the extension that such an image becomes.

    All of it but the cards of a file, so that nothing is lost that it had in memory.
    """
    brought = image.header.copy()
    for keyword in _PRIMARY_ONLY:
        brought.remove(keyword, ignore_missing=True, remove_all=True)
    return StoredHeader(header=brought)


def primary_header(primary: StoredHeader, groups: Sequence[NDLater]) -> StoredHeader:
    """
    Make the primary header that such an image leaves behind.

    It lacks what goes with the image, or went with one that was removed. The same one
    is returned if no image was in the primary HDU.
    """
    images = [ndd for ndd in groups if ndd.content.in_primary]
    if not images and not _has_pixels(primary):
        return primary
    stored = primary.copy()
    kept = changed_keywords(primary)
    gone = {keyword for keyword in stored.header if is_array_keyword(keyword)}
    gone |= set(pixel_keywords(stored.header))
    for ndd in images:
        if ndd.content.stored is not primary and _is_of(primary, ndd.content.stored):
            gone |= _changes(primary, ndd.content.stored) - kept - _COMMENTARY
    for keyword in gone:
        stored.header.remove(keyword, ignore_missing=True, remove_all=True)
    return stored


def caught_up(primary: StoredHeader, image: StoredHeader) -> StoredHeader:
    """
    Re-base the header edits of an image on the header its file has since the last save.

    Only as far as the file still has an image in the primary HDU.
    """
    if image.raw in (None, primary.raw) or not _has_pixels(primary):
        return image
    new = StoredHeader(primary.raw)
    if changed := _changes(primary, image):
        _overlay(new.header, image, changed)
    return new


def replaced_header(primary: StoredHeader, image: StoredHeader) -> StoredHeader:
    """
    Make the primary header where an image without such a header takes that place.

    It is the file's without what described its pixels, and with the image's cards.
    """
    stored = primary.copy()
    header = stored.header
    gone = {*filter(is_array_keyword, header), *pixel_keywords(header)}
    for keyword in gone - changed_keywords(primary):
        header.remove(keyword, ignore_missing=True, remove_all=True)
    own = {key for key in image.header if not is_form_keyword(key)}
    own -= {"EXTNAME", "EXTVER", "INHERIT", "PCOUNT", "GCOUNT"}
    _overlay(header, image, own - _COMMENTARY)
    there = {card_bytes(card) for card in header.cards}
    for card in image.header.cards:
        if card.keyword in own & _COMMENTARY and card_bytes(card) not in there:
            header.append(card, end=True)
    return stored


def _is_of(primary: StoredHeader, image: StoredHeader) -> bool:
    """Whether the header of an image was that of this file once."""
    if image is primary:
        return True
    # One that was put together in memory may be that of the file, with changes.
    return primary.raw is not None and image.raw in (None, primary.raw)


def _brought_header(primary: StoredHeader, image: StoredHeader) -> StoredHeader:
    """Add the cards that were set in the file to the header of a foreign image."""
    if _has_pixels(primary):
        # It described the pixels that were there. What was set since is wanted.
        wanted = changed_keywords(primary)
    else:
        wanted = set(primary.header)
    if not wanted:
        return image
    theirs, ours = cards_by_keyword(image.pristine()), cards_by_keyword(primary.header)
    # Where the file says what the image did at first, the image may have changed it.
    wanted = {
        keyword
        for keyword in wanted & ours.keys()
        if not is_array_keyword(keyword)
        and not is_form_keyword(keyword)
        and ours[keyword] != theirs.get(keyword)
    }
    merged = image.copy()
    there = {card_bytes(card) for card in merged.header.cards}
    for keyword in wanted - _COMMENTARY:
        merged.header.remove(keyword, ignore_missing=True, remove_all=True)
    for card in primary.header.cards:
        if card.keyword in wanted and not (
            card.keyword in _COMMENTARY and card_bytes(card) in there
        ):
            merged.header.append(card, end=True)
    return merged


def _has_pixels(primary: StoredHeader) -> bool:
    return primary.raw is not None and bool(QuickHeader(primary.raw).get("NAXIS"))


def _changes(primary: StoredHeader, image: StoredHeader) -> set[str]:
    raw = image.raw or primary.raw
    return {
        keyword
        for keyword in changed_keywords(StoredHeader(raw, image.header))
        if not is_form_keyword(keyword)
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
