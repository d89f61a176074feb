"""
Products in memory: their record is known, and completed when they are saved.

Until then it lacks the digest of the content. Whether a product was changed since it
was made shows in a fingerprint of what it holds.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ndmapper.data.content import FileContent, HasContent
from ndmapper.data.saving.computed import computed
from ndmapper.data.saving.plan import plan_hdus
from ndmapper.io.filemap import HduMap
from ndmapper.io.hdu import HduOut
from ndmapper.io.record import edited

__all__ = ["attach_record", "complete_record", "is_unsaved_product", "unsaved_key"]


def attach_record(df: HasContent, rows: Sequence[Mapping[str, Any]]) -> None:
    """
    Give a product in memory the record of what made it.

    The last entry has no ``content`` yet.
    """
    df.content.record = rows
    df.content.fingerprint = _fingerprint(df)


def unsaved_key(df: HasContent) -> str | None:
    """Return the key of a product in memory that was not changed since it was made."""
    content = df.content
    if content.fingerprint is None or _fingerprint(df) != content.fingerprint:
        return None
    return str(content.record[-1]["key"])


def is_unsaved_product(content: FileContent) -> bool:
    """Whether it is that of a product in memory, changed or not."""
    return content.fingerprint is not None


def complete_record(df: HasContent, product: str, digest: str) -> list[dict[str, Any]]:
    """
    Complete the record of a product in memory that is being saved.

    `product` is the name of the file, and `digest` that of it without its record. The
    record says if the product was edited since it was made.
    """
    *before, last = df.content.record
    if _fingerprint(df) == df.content.fingerprint:
        return [*before, {**last, "product": product, "content": digest}]
    made = {**last, "content": None}
    return edited([*before, made], product=product, what=["memory"], digest=digest)


def _fingerprint(df: HasContent) -> str:
    total = hashlib.blake2b(digest_size=16)
    outs = (hdu.out for hdu in plan_hdus(df))
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
    """Identify pixels that are still in a file."""
    source = stored.source
    section = getattr(stored, "section", None)
    place = (str(source.path), source.size, source.mtime_ns, stored.index, section)
    return repr(place).encode()
