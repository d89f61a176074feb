"""Small files as archives hold them, in the compressions that archives use."""

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
    """Make a FITS file whose image is compressed in tiles, as in ``.fits.fz``."""
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
    """Compute the MD5 of a file."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _in_codes(content: bytes) -> bytes:
    """
    Write the form of ``compress``, without its gain.

    All codes are bytes as they are, of 9 bits; the table is emptied before they would
    become wider. Codes come in groups of eight, and a group that the emptying ends
    is filled up.
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
    """A file that an archive holds."""

    # Its name without compression.
    name: str
    # Its name there.
    stored_name: str
    # Its content without compression, and as it is there.
    plain: bytes
    # Its content without compression, and as it is there.
    stored: bytes
    # Whether it is given only to those who are logged in.
    is_proprietary: bool = False
