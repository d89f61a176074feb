"""
Products in memory: what made them is known, and written when they are.

The record of such a product lacks the digest of its content until it is saved. What
somebody changed in it until then shows in a fingerprint of what it holds.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ndmapper.data.content import Content
from ndmapper.data.saving.computed import computed
from ndmapper.data.saving.plan import plan_items
from ndmapper.io.filemap import HduMap
from ndmapper.io.hdu import HduOut
from ndmapper.io.record import edited

__all__ = ["hold", "is_pending", "pending_key", "settled"]


def hold(df: Content, rows: Sequence[Mapping[str, Any]]) -> None:
    """
    Give a product in memory the record of what made it.

    Parameters
    ----------
    df : DataFile
        The product, named and unsaved.
    rows : sequence of mapping
        Its record; the last entry has no ``content`` yet.
    """
    df.record = rows
    df._fingerprint = _fingerprint(df)


def pending_key(df: Content) -> str | None:
    """
    Give the key of a product in memory.

    Parameters
    ----------
    df : DataFile
        Any file.

    Returns
    -------
    str or None
        None for what is no product in memory, or was changed since it was made.
    """
    if df._fingerprint is None or _fingerprint(df) != df._fingerprint:
        return None
    return str(df.record[-1]["key"])


def is_pending(df: Content) -> bool:
    """
    Say whether a file is a product in memory.

    Parameters
    ----------
    df : DataFile
        Any file.

    Returns
    -------
    bool
        True also if it was changed since it was made.
    """
    return df._fingerprint is not None


def settled(df: Content, product: str, content: str) -> list[dict[str, Any]]:
    """
    Complete the record of a product in memory that is being saved.

    Parameters
    ----------
    df : DataFile
        The product.
    product : str
        Name of the file that it becomes.
    content : str
        Digest of that file without its record.

    Returns
    -------
    list of dict
        The record; it says if the product was edited since it was made.
    """
    *before, last = df.record
    if _fingerprint(df) == df._fingerprint:
        return [*before, {**last, "product": product, "content": content}]
    made = {**last, "content": None}
    return edited([*before, made], product=product, what=["memory"], digest=content)


def _fingerprint(df: Content) -> str:
    total = hashlib.blake2b(digest_size=16)
    outs = (item.out for item in plan_items(df))
    for out in computed(outs, at_once=False):
        if isinstance(out, bytes):
            total.update(out)
        elif isinstance(out, HduMap):
            total.update(_where(out))
        elif isinstance(out, HduOut):
            total.update(out.header)
            if isinstance(out.data, np.ndarray):
                total.update(np.ascontiguousarray(out.data).data.cast("B"))
            elif out.data is not None:
                total.update(_where(out.data))
    return total.hexdigest()


def _where(stored: Any) -> bytes:
    """Say where pixels lie that nobody has looked at."""
    source = stored.source
    section = getattr(stored, "section", None)
    place = (str(source.path), source.size, source.mtime_ns, stored.index, section)
    return repr(place).encode()
