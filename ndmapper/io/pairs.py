"""Which VAR and DQ belong to which SCI, where neither number nor name tells."""

import logging
from collections.abc import Sequence

from ndmapper.io.filemap import HduMap

__all__ = ["are_numbered", "in_order", "paired"]

log = logging.getLogger(__name__)


def are_numbered(hdus: Sequence[HduMap]) -> bool:
    """
    Say whether each of some extensions has a number of its own.

    Parameters
    ----------
    hdus : sequence of HduMap
        Extensions of one name.

    Returns
    -------
    bool
        True if all have an EXTVER, and no two the same.
    """
    versions = [hdu.version for hdu in hdus]
    return None not in versions and len(set(versions)) == len(versions)


def paired(images: Sequence[HduMap], others: Sequence[HduMap]) -> list[HduMap | None]:
    """
    Pair extensions by their numbers, or else by where they stand.

    Parameters
    ----------
    images : sequence of HduMap
        The data of groups of one name, in file order.
    others : sequence of HduMap
        What belongs to them.

    Returns
    -------
    list of HduMap or None
        One for each of the images.
    """
    if are_numbered(images) and are_numbered(others):
        numbered = {other.number: other for other in others}
        if numbered.keys() <= {image.number for image in images}:
            return [numbered.get(image.number) for image in images]
    return in_order(images, others)


def in_order(images: Sequence[HduMap], others: Sequence[HduMap]) -> list[HduMap | None]:
    """
    Pair extensions by where they stand in the file.

    Parameters
    ----------
    images : sequence of HduMap
        The data of the groups, in file order.
    others : sequence of HduMap
        What belongs to them, for instance all that are called VAR.

    Returns
    -------
    list of HduMap or None
        For each of the images that which stands between it and the next one; or, where
        there are as many of them in another order, that of the same rank.
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
