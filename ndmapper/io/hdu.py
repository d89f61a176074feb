"""An HDU that is put together for writing."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.filemap import HduMap
from ndmapper.io.tiles.read import TileHandle

__all__ = ["HduOut"]


@dataclass(frozen=True)
class HduOut:
    """
    An HDU that is put together for writing.

    Parameters
    ----------
    header : bytes
        The header, padded to whole blocks.
    data : ArrayHandle, ndarray or HduMap, optional
        Pixels that are copied as they are stored, an array to be encoded, or an HDU
        of which the data are copied.
    is_tiled : bool
        Compress the pixels in tiles.
    like : TileHandle, optional
        A compressed image whose tiles are taken over.
    """

    header: bytes
    data: ArrayHandle | npt.NDArray[Any] | HduMap | None = None
    is_tiled: bool = False
    like: TileHandle | None = None
