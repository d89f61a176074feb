"""Small FITS files with predictable content, written by astropy (not by ndmapper)."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits  # noqa: TID251  # an independent writer is the point here

__all__ = ["make_mef", "make_raw"]


def make_mef(
    path: str | os.PathLike[str],
    n_ext: int = 2,
    shape: tuple[int, ...] = (6, 8),
    *,
    var: bool = True,
    dq: bool = True,
    table: bool = True,
    names: tuple[str, str, str] = ("SCI", "VAR", "DQ"),
    unit: str | None = "adu",
    primary: Mapping[str, Any] | None = None,
    extension: Mapping[str, Any] | None = None,
    dtype: str = "float32",
) -> Path:
    """
    Write a multi-extension file.

    Parameters
    ----------
    path : str or path
        The file; compressed if the name ends in .gz.
    n_ext : int
        Number of groups, with EXTVER 1, 2, ...
    shape : tuple of int
        Shape of each array. Pixel k of group n has the value ``1000 n + k``, the
        variance ``k + 1`` and the flags ``k % 3``.
    var, dq, table : bool
        Write variances, flags, and a table MDF.
    names : tuple of str
        EXTNAME of data, variance and flags.
    unit : str or None
        BUNIT of the data.
    primary, extension : mapping, optional
        Further cards of the primary header, and of those of the data.
    dtype : str
        Type of the data.

    Returns
    -------
    Path
        The file.
    """
    count = int(np.prod(shape))
    pixels = np.arange(count).reshape(shape)
    hdus = [fits.PrimaryHDU()]
    hdus[0].header["OBJECT"] = ("test", "predictable numbers")
    hdus[0].header.update(dict(primary or {}))
    if table:
        columns = [
            fits.Column("NO", "J", array=np.arange(3)),
            fits.Column("NAME", "5A", array=["one", "two", "three"]),
        ]
        hdus.append(fits.BinTableHDU.from_columns(columns, name="MDF"))
    for n in range(1, n_ext + 1):
        data = (1000 * n + pixels).astype(dtype)
        hdus.append(fits.ImageHDU(data, name=names[0], ver=n))
        if unit is not None:
            hdus[-1].header["BUNIT"] = unit
        hdus[-1].header.update(dict(extension or {}))
        if var:
            variance = (pixels + 1).astype("float32")
            hdus.append(fits.ImageHDU(variance, name=names[1], ver=n))
        if dq:
            flags = (pixels % 3).astype("uint16")
            hdus.append(fits.ImageHDU(flags, name=names[2], ver=n))
    fits.HDUList(hdus).writeto(path)
    return Path(path)


def make_raw(
    path: str | os.PathLike[str],
    primary: Mapping[str, Any],
    images: Sequence[tuple[Mapping[str, Any], npt.NDArray[Any]]] = (),
    data: npt.NDArray[Any] | None = None,
) -> Path:
    """
    Write a raw frame as a camera does, with header cards and pixels of one's own.

    Parameters
    ----------
    path : str or path
        The file.
    primary : mapping
        Cards of the primary header.
    images : sequence of (mapping, ndarray)
        The cards and the pixels of each image extension.
    data : ndarray, optional
        Pixels of the primary HDU, for cameras without extensions.

    Returns
    -------
    Path
        The file.
    """
    hdus = [fits.PrimaryHDU(data)]
    hdus[0].header.update(dict(primary))
    for cards, pixels in images:
        hdus.append(fits.ImageHDU(pixels))
        hdus[-1].header.update(dict(cards))
    fits.HDUList(hdus).writeto(path)
    return Path(path)
