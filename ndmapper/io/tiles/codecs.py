"""
Decoding one tile of a compressed image (FITS standard 4.0, section 10.4).

Rice, PLIO and H-compress tiles, and quantised numbers, are decoded by astropy, whose
classes for single tiles are private; gzip by Python.
"""

import math
import struct
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    from astropy.io.fits.hdu.compressed import _codecs, _quantization
except ImportError:  # before version 7
    from astropy.io.fits._tiled_compression import (
        codecs as _codecs,
    )
    from astropy.io.fits._tiled_compression import (
        quantization as _quantization,
    )

__all__ = ["ALGORITHMS", "DITHERS", "decode", "dequantise"]

ALGORITHMS = (
    "GZIP_1", "GZIP_2", "RICE_1", "RICE_ONE", "PLIO_1", "HCOMPRESS_1", "NOCOMPRESS"
)  # fmt: skip
"""What can be decoded."""

DITHERS: dict[str, int] = {"NO_DITHER": -1, "SUBTRACTIVE_DITHER_1": 1,
                           "SUBTRACTIVE_DITHER_2": 2}  # fmt: skip
"""Ways of quantising, and their numbers in astropy."""


def decode(
    algorithm: str,
    content: bytes,
    shape: tuple[int, ...],
    settings: dict[str, Any],
    *,
    is_float: bool,
) -> npt.NDArray[Any]:
    """Decode a tile."""
    size = math.prod(shape)
    if algorithm in ("GZIP_1", "GZIP_2", "NOCOMPRESS"):
        if algorithm != "NOCOMPRESS":
            content = _unzipped(content, 8 * size)
        width, rest = divmod(len(content), size)
        if rest or width not in (1, 2, 4, 8):
            msg = f"{len(content)} bytes for {size} pixels"
            raise ValueError(msg)
        if algorithm == "GZIP_2":
            # All first bytes of the numbers, then all second ones, ...
            shuffled = np.frombuffer(content, "u1").reshape(width, size)
            content = shuffled.T.tobytes()
        kind = "f" if is_float and width > 2 else "u" if width == 1 else "i"
        return np.frombuffer(content, f">{kind}{width}").reshape(shape)
    if algorithm == "HCOMPRESS_1":
        nx, ny = _two_axes(shape)
        content = _safe_hcompress(content, nx, ny)
        codec = _codecs.HCompress1(
            scale=int(settings.get("scale", 0)),
            smooth=settings.get("smooth", 0),
            bytepix=8,
            nx=nx,
            ny=ny,
        )
    elif algorithm == "PLIO_1":
        _check_plio(content)
        codec = _codecs.PLIO1(tilesize=size)
    else:
        codec = _rice(settings.get("blocksize", 32), settings.get("bytepix", 4), size)
    decoded = np.asarray(codec.decode(np.frombuffer(content, _TYPES.get(algorithm))))
    if decoded.dtype == np.int8:
        decoded = decoded.view(np.uint8)
    # Tiles at an edge may be padded.
    return decoded.reshape(-1)[:size].reshape(shape)


@lru_cache(maxsize=64)
def _rice(blocksize: int, bytepix: int, size: int) -> Any:
    """Make a decoder, which is cached for all tiles of a size."""
    return _codecs.Rice1(blocksize=blocksize, bytepix=bytepix, tilesize=size)


_TYPES = {"PLIO_1": ">i2", "HCOMPRESS_1": "u1", "RICE_1": "u1", "RICE_ONE": "u1"}


def _two_axes(shape: tuple[int, ...]) -> tuple[int, int]:
    axes = [n for n in shape if n != 1]
    if len(axes) != 2:
        msg = f"an H-compress tile has two axes, not the shape {shape}"
        raise ValueError(msg)
    return axes[0], axes[1]


def _safe_hcompress(content: bytes, nx: int, ny: int) -> bytes:
    """
    Check the size of a tile, and pad it, so that decoding stays in its memory.

    The decoder (astropy 8.0.2) trusts the tile: it writes as many pixels and reads as
    many bits as that states, beyond the memory that there is.
    """
    if len(content) < _HCOMPRESS.size:
        msg = "the tile is shorter than its own header"
        raise ValueError(msg)
    magic, *found, _, _, a, b, c = _HCOMPRESS.unpack_from(content)
    if magic != b"\xdd\x99" or found != [nx, ny] or max(a, b, c) > _BIT_PLANES:
        msg = f"the tile says that it is {found}, and not {[nx, ny]}, pixels large"
        raise ValueError(msg)
    # Zeros are read as planes of bits, of which there are no more than these.
    return content + bytes(16 * nx * ny + 1024)


_HCOMPRESS = struct.Struct(">2siiiq3B")
_BIT_PLANES = 64


def _check_plio(content: bytes) -> None:
    """Check that a list of runs is as long as it states."""
    words = np.frombuffer(content[: len(content) // 2 * 2], ">i2").astype(int)
    if len(words) < 7:
        msg = "the tile is shorter than its own header"
        raise ValueError(msg)
    length = words[2] if words[2] > 0 else (words[4] << 15) + words[3]
    if length > len(words) or not 0 <= words[1] <= len(words):
        msg = f"the tile says that it has {length} words, and has {len(words)}"
        raise ValueError(msg)


def _unzipped(content: bytes, limit: int) -> bytes:
    """Decompress gzip, up to the size of a tile."""
    stream = zlib.decompressobj(wbits=31)
    unzipped = stream.decompress(content, limit + 1)
    if not stream.eof:
        msg = "the tile does not end where it should"
        raise ValueError(msg)
    return unzipped


def dequantise(
    tile: npt.NDArray[Any],
    scale: float,
    zero: float,
    *,
    dither: int,
    row: int,
    bitpix: int,
) -> npt.NDArray[Any]:
    """
    Convert quantised numbers to floating point (section 10.2).

    `row` is that of the table, plus the seed of dithering.
    """
    quantiser = _quantization.Quantize(
        row=row if dither != -1 else 0,
        dither_method=dither,
        quantize_level=None,
        bitpix=bitpix,
    )
    return np.asarray(quantiser.decode_quantized(tile, scale, zero)).reshape(tile.shape)
