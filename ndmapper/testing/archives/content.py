"""Small files as archives store them, in their compressions."""

import bz2
import gzip
import hashlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits  # noqa: TID251  # an independent writer is the point here

__all__ = ["ArchiveFile", "compressed", "fits_bytes", "md5_of", "tiled_fits_bytes"]


def fits_bytes(name: str, size: int = 40, **cards: Any) -> bytes:
    """Make a small FITS file whose pixels depend on its name."""
    out = io.BytesIO()
    hdu = fits.PrimaryHDU(_pixels(name, size))
    hdu.header.update(cards)
    hdu.writeto(out)
    return out.getvalue()


def tiled_fits_bytes(name: str, size: int = 40, **cards: Any) -> bytes:
    """Make a FITS file with a tile-compressed image, as in ``.fits.fz``."""
    out = io.BytesIO()
    primary = fits.PrimaryHDU()
    primary.header.update(cards)
    image = fits.CompImageHDU(_pixels(name, size), name="CHAN01")
    fits.HDUList([primary, image]).writeto(out)
    return out.getvalue()


def _pixels(name: str, size: int) -> Any:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    noise = np.random.default_rng(seed).normal(1000, 5, (size, size))
    return noise.astype("int16")


def compressed(content: bytes, kind: str) -> bytes:
    """Compress a file."""
    if kind == "bz2":
        return bz2.compress(content)
    if kind == "gz":
        return gzip.compress(content, mtime=0)
    return _in_codes(content) if kind == "Z" else content


def md5_of(content: bytes) -> str:
    """Return the MD5 of a file."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _in_codes(content: bytes) -> bytes:
    """
    Encode in the format of ``compress``, without compressing.

    All codes are literal bytes of 9 bits; the table is reset before codes would become
    wider. Codes come in groups of eight; a reset fills up its group.
    """
    out = bytearray(b"\x1f\x9d\x90")
    for at in range(0, len(content), 240):
        codes = list(content[at : at + 240])
        if at + 240 < len(content):
            codes += [256, *[0] * 7]
        bits = sum(code << (9 * i) for i, code in enumerate(codes))
        out += bits.to_bytes(-(-9 * len(codes) // 8), "little")
    return bytes(out)


@dataclass(frozen=True)
class ArchiveFile:
    """A file stored in an archive."""

    # Name without compression.
    name: str
    # Stored name.
    stored_name: str
    # Content without compression, and as stored.
    plain: bytes
    stored: bytes
    # Whether it is proprietary.
    is_proprietary: bool = False
