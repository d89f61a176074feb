"""Compressing an image in tiles, or copying one that is compressed."""

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from ndmapper.errors import FormatError
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.cards import header_size
from ndmapper.io.filemap import BLOCK, padded
from ndmapper.io.filetypes import split_ext
from ndmapper.io.hdu import encoded, stored_form
from ndmapper.io.tile_header import table_header
from ndmapper.io.tiles.read import TileHandle, tiling_of

__all__ = [
    "can_be_tiled",
    "compressed_hdu",
    "packed_header",
    "wants_tiles",
]

_END = 80
_LOSSLESS = ("RICE_1", "GZIP_1", "GZIP_2")


def can_be_tiled(data: Any) -> bool:
    """Whether an array has pixels and axes, so that it can be compressed in tiles."""
    shape = data.stored_shape if isinstance(data, ArrayHandle) else np.shape(data)
    return data is not None and len(shape) > 0 and 0 not in shape


def wants_tiles(source: Path | None, target: Path | None) -> bool | None:
    """Whether a file name asks for compression; None leaves images as they were."""
    if target is None:
        return None
    if _is_packed(target):
        return True
    return False if source is not None and _is_packed(source) else None


def _is_packed(path: Path) -> bool:
    return (split_ext(path.name)[1] or "").lower().endswith("fz")


def _stored_values(data: ArrayHandle | npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the stored numbers of an array, to which BSCALE and BZERO apply."""
    if isinstance(data, ArrayHandle):
        return data.stored()
    form = stored_form(data)
    kind = "f" if form.bitpix < 0 else "u" if form.bitpix == 8 else "i"
    stored = encoded(np.ravel(data), form).view(f">{kind}{abs(form.bitpix) // 8}")
    return stored.reshape(data.shape).astype(stored.dtype.newbyteorder("="))


def packed_header(header: bytes, data: TileHandle) -> Iterator[bytes]:
    """Make the headers of a compressed image whose data are copied."""
    if header.startswith(b"SIMPLE"):
        yield data.hdu.before or _dummy_primary()
    yield table_header(header, data.hdu.raw)


def compressed_hdu(
    header: bytes,
    data: ArrayHandle | npt.NDArray[Any],
    like: ArrayHandle | None = None,
) -> Iterator[bytes]:
    """
    Compress an image losslessly, with tiles and algorithm like those of `like`.

    By default a tile is a row, integers are compressed by Rice and the rest by gzip. A
    primary image comes with the empty primary HDU before it.
    """
    values = _stored_values(data)
    small = values.dtype.kind in "iu" and values.dtype.itemsize <= 4
    algorithm, tile_shape = ("RICE_1" if small else "GZIP_2"), None
    if isinstance(like, TileHandle):
        tiling = tiling_of(like.hdu)
        if tiling.algorithm in _LOSSLESS and (small or tiling.algorithm != "RICE_1"):
            algorithm = tiling.algorithm
        if len(tiling.tile_shape) == values.ndim:
            tile_shape = tuple(
                min(t, n) for t, n in zip(tiling.tile_shape, values.shape, strict=True)
            )
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            hdu = fits.CompImageHDU(
                values, compression_type=algorithm, tile_shape=tile_shape,
                quantize_level=0.0,
            )  # fmt: skip
            fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(buffer)
        except (ValueError, TypeError, OverflowError) as err:
            msg = f"an image of shape {values.shape} cannot be compressed ({err})"
            raise FormatError(msg) from err
    content = buffer.getbuffer()[BLOCK:]
    # END stands within the first blocks: this header has the cards of form alone.
    size = padded(header_size(bytes(content[: 100 * BLOCK])) + _END)
    if header.startswith(b"SIMPLE"):
        yield _dummy_primary()
    yield table_header(header, bytes(content[:size]))
    yield bytes(content[size:])


def _dummy_primary() -> bytes:
    return str(fits.PrimaryHDU().header).encode("ascii")
