"""One HDU that a save writes, and what of it differs from the file."""

from collections.abc import Iterator
from dataclasses import dataclass

from ndmapper.data.ndlater import NDLater
from ndmapper.io.filemap import HduMap
from ndmapper.io.hdu import HduOut

__all__ = ["Item", "changes"]


@dataclass(frozen=True)
class Item:
    """
    One HDU that a save writes.

    Parameters
    ----------
    out : HduMap, HduOut or bytes
        What is written.
    changed : str or None
        What of it differs from the file, in words; None if nothing does.
    ndd : NDLater, optional
        Whose array it is.
    part : str, optional
        Which of its arrays.
    table : str, optional
        Name of the table that it is.
    """

    out: HduMap | HduOut | bytes
    changed: str | None = None
    ndd: NDLater | None = None
    part: str | None = None
    table: str | None = None


def changes(items: list[Item]) -> Iterator[str]:
    """
    Say what differs from the file.

    Parameters
    ----------
    items : list of Item
        What a save would write.

    Yields
    ------
    str
        For instance ``"SCI,1"``.
    """
    for item in items:
        if item.changed is not None:
            yield item.changed
