"""World coordinates: from headers, for sections, and back into headers."""

import contextlib
import logging
import re
import warnings
from typing import Any

from astropy.wcs import WCS
from astropy.wcs.wcsapi import HighLevelWCSWrapper

from ndmapper.io.headers import Header, UnreadableCardError, is_array_keyword

__all__ = ["cut_header", "put_wcs", "read_wcs"]

log = logging.getLogger(__name__)

_PIXEL_AXIS = re.compile(r"(CRPIX|LTV)(\d+)([A-Z]?)")
_SCALE_AXIS = re.compile(r"(?:CD\d+_|PC\d+_)(\d+)([A-Z]?)|LTM\d+_(\d+)([A-Z]?)")


def read_wcs(header: Header) -> Any:
    """
    Make the world coordinate system that a header describes.

    Parameters
    ----------
    header : Header
        The header of an image.

    Returns
    -------
    astropy.wcs.WCS or None
        None where the header has none, or one that astropy does not understand.
    """
    if not any(key in header for key in ("CTYPE1", "CRPIX1", "CD1_1", "CDELT1")):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return WCS(header)
        except Exception as err:  # wcslib raises many kinds; pixels matter more
            log.debug("the world coordinates are not understood: %s", err)
            return None


def cut_header(header: Header, section: tuple[range | int, ...]) -> None:
    """
    Adjust the coordinates in a header to a section of its image.

    Parameters
    ----------
    header : Header
        The header, changed in place.
    section : tuple of range or int
        What is taken of each axis, in the order of Python.
    """
    naxis = len(section)
    axes = {naxis - i: pixels for i, pixels in enumerate(section)}  # FITS numbers
    dropped = [n for n, pixels in axes.items() if isinstance(pixels, int)]
    if dropped and min(dropped) <= naxis - len(dropped):
        # Axes in the middle would have to be renumbered, with all that couples them.
        keys = [k for k in header if is_array_keyword(k) and k != "BUNIT"]
        if keys:
            log.warning("a section without axis %s has no coordinates", min(dropped))
        for key in keys:
            header.remove(key, ignore_missing=True, remove_all=True)
        return
    if dropped and any(f"CTYPE{n}" in header for n in dropped):
        header["WCSAXES"] = (max(naxis, header.get("WCSAXES", 0)), "axes of the WCS")
    for keyword in list(header):
        # A card that breaks the standard is nobody's coordinate, and stays as it is.
        with contextlib.suppress(UnreadableCardError):
            _cut_card(header, keyword, axes)


def _cut_card(header: Header, keyword: str, axes: dict[int, range | int]) -> None:
    if found := _PIXEL_AXIS.fullmatch(keyword):
        start, step = _line(axes.get(int(found[2])))
        value = header[keyword]
        if not isinstance(value, int | float):
            return
        if found[1] == "CRPIX":
            header[keyword] = (value - 1 - start) / step + 1
        else:  # physical = (logical - LTV) / LTM, as IRAF has it
            header[keyword] = (value - 1 - start) / step + 1
    elif found := _SCALE_AXIS.fullmatch(keyword):
        start, step = _line(axes.get(int(found[1] or found[3])))
        if step != 1 and isinstance(header[keyword], int | float):
            header[keyword] = (
                header[keyword] * step if found[1] else header[keyword] / step
            )
    elif found := re.fullmatch(r"CDELT(\d+)([A-Z]?)", keyword):
        _, step = _line(axes.get(int(found[1])))
        # With a PC matrix the step is in that already.
        has_pc = any(re.fullmatch(rf"PC\d+_{found[1]}{found[2]}", k) for k in header)
        if step != 1 and not has_pc and isinstance(header[keyword], int | float):
            header[keyword] = header[keyword] * step


def _line(pixels: range | int | None) -> tuple[int, int]:
    if pixels is None:
        return 0, 1
    if isinstance(pixels, int):
        return pixels, 1
    return pixels.start, pixels.step


def put_wcs(header: Header, wcs: Any) -> None:
    """
    Write a world coordinate system into a header, in place of what is there.

    Parameters
    ----------
    header : Header
        The header, changed in place.
    wcs : object or None
        A system of astropy; None takes the coordinates out.
    """
    for key in [k for k in header if is_array_keyword(k) and k != "BUNIT"]:
        header.remove(key, ignore_missing=True, remove_all=True)
    if isinstance(wcs, HighLevelWCSWrapper):
        wcs = wcs.low_level_wcs
    if isinstance(wcs, WCS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header.update(wcs.to_header(relax=True))
    elif wcs is not None:
        log.warning("coordinates of type %s cannot be saved", type(wcs).__name__)
