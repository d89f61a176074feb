"""Small grey pictures, for which nothing needs to be installed."""

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.plot.images import zscale

__all__ = ["thumbnail"]

_RED = (255, 42, 26)


def thumbnail(
    image: npt.NDArray[Any],
    mask: npt.NDArray[np.bool_] | None = None,
    *,
    size: int = 96,
) -> bytes:
    """
    Draw an image small.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        The image; one pixel of many is taken where it is large.
    mask : ndarray of bool, shape (ny, nx), optional
        Pixels that become red.
    size : int
        The picture is no larger than so many pixels.

    Returns
    -------
    bytes
        A PNG, first row at the bottom.
    """
    step = max(1, -(-max(image.shape) // size))
    some = image[::step, ::step].astype(np.float64)
    red = np.zeros(some.shape, bool) if mask is None else mask[::step, ::step]
    low, high = zscale(np.where(red, np.nan, some))
    with np.errstate(invalid="ignore", over="ignore"):
        grey = np.nan_to_num(np.clip((some - low) / (high - low), 0, 1) * 255)
    colour = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    colour[red] = _RED
    return _png(colour[::-1])


def _png(colour: npt.NDArray[np.uint8]) -> bytes:
    ny, nx = colour.shape[:2]
    # Each row starts with the number of its filter: 0, none.
    rows = np.zeros((ny, 1 + 3 * nx), np.uint8)
    rows[:, 1:] = colour.reshape(ny, 3 * nx)
    header = struct.pack(">IIBBBBB", nx, ny, 8, 2, 0, 0, 0)  # 8 bits, RGB
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(rows.tobytes()))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
