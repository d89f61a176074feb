"""World coordinates: from headers, for sections, and back into headers."""

import contextlib
import logging
import math
import re
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from astropy.wcs import WCS
from astropy.wcs.wcsapi import SlicedLowLevelWCS

from ndmapper.io.headers import Header, UnreadableCardError, is_array_keyword

__all__ = ["cut_header", "fits_cards", "put_wcs", "read_wcs", "update_wcs"]

log = logging.getLogger(__name__)

_PIXEL_AXIS = re.compile(r"(CRPIX|LTV)(\d+)([A-Z]?)")
_SCALE_AXIS = re.compile(r"(?:CD\d+_|PC\d+_)(\d+)([A-Z]?)|LTM\d+_(\d+)([A-Z]?)")

_OBSERVATION = re.compile(r"(DATE|MJD)-|OBSGEO|TELESCOP|TIMESYS")
_OTHER = re.compile(
    r"(?:CRPIX|CRVAL|CDELT|CTYPE|CUNIT|CNAME|CROTA|(?:CD|PC|PV|PS)\d+_)\d+[A-Z]"
    r"|(?:WCSAXES|WCSNAME|LONPOLE|LATPOLE)[A-Z]|LTV\d+|LTM\d+_\d+"
)
"""Keywords of a second system, and of the pixels of the detector."""


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
    if _drops_middle(section):
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


def _drops_middle(section: Sequence[range | int]) -> bool:
    """Whether an axis goes that FITS counts before one that stays."""
    numbers = [isinstance(pixels, int) for pixels in section]
    return any(numbers[numbers.index(False) :]) if False in numbers else False


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


def fits_cards(wcs: Any) -> tuple[Header | None, bool]:
    """
    Say a world coordinate system in FITS.

    Parameters
    ----------
    wcs : object or None
        A system of astropy, or a section of one.

    Returns
    -------
    cards : Header or None
        None where FITS cannot say it.
    whole : bool
        Whether the cards say all of it.
    """
    wcs = getattr(wcs, "low_level_wcs", wcs)
    section = None
    if isinstance(wcs, SlicedLowLevelWCS):
        wcs, section = wcs._wcs, wcs._slices_array
    if not isinstance(wcs, WCS):
        return None, False
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        try:
            cards = wcs.to_header(relax=True)
            has_tables = bool(wcs.wcs.tab)
        except Exception as err:  # wcslib raises many kinds; pixels matter more
            log.debug("the world coordinates cannot be written: %s", err)
            return None, False
    if has_tables:  # which would have to be another HDU
        return None, False
    if section is not None:
        pixels = tuple(
            range(x.start or 0, sys.maxsize) if isinstance(x, slice) else int(x)
            for x in section
        )
        if _drops_middle(pixels):
            return None, False
        cut_header(cards, pixels)
    tables = (wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2)
    return cards, all(table is None for table in tables)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep astropy from saying each time what it said when the header was read."""
    logger = logging.getLogger("astropy")
    logger.addFilter(_is_not_about_sip)
    try:
        yield
    finally:
        logger.removeFilter(_is_not_about_sip)


def _is_not_about_sip(record: logging.LogRecord) -> bool:
    return "SIP" not in str(record.msg)


def put_wcs(
    header: Header, cards: Header | None, *, only: Collection[str] | None = None
) -> None:
    """
    Write a world coordinate system into a header, in place of what is there.

    Parameters
    ----------
    header : Header
        The header, changed in place.
    cards : Header or None
        The cards of the system; None takes the coordinates out.
    only : collection of str, optional
        Keywords that may be taken out; by default all that describe coordinates.
    """
    for key in [k for k in header if is_array_keyword(k) and k != "BUNIT"]:
        if only is None or key in only:
            header.remove(key, ignore_missing=True, remove_all=True)
    for card in () if cards is None else cards.cards:
        # When and where the image was taken its own header knows better.
        if not (_OBSERVATION.match(card.keyword) and card.keyword in header):
            header[card.keyword] = (card.value, card.comment)


def update_wcs(header: Header, before: Header | None, after: Header) -> None:
    """
    Write into a header what changed in its world coordinate system.

    Parameters
    ----------
    header : Header
        The header, changed in place. Other systems that it has stay.
    before : Header or None
        The cards of the system before the change.
    after : Header
        The cards of the system now.
    """
    known = Header() if before is None else before
    keys = dict.fromkeys([*known, *after])
    changed = [k for k in keys if known.get(k) != after.get(k)]
    if all(_is_place(k) and _agree(header, known, k) and k in after for k in changed):
        # The rest may be written in another way than astropy does, and stays as it is.
        for key in changed:
            header[key] = after[key]
        return
    put_wcs(header, after, only=[k for k in header if not _OTHER.fullmatch(k)])


def _is_place(keyword: str) -> bool:
    return re.fullmatch(r"CR(PIX|VAL)\d+[A-Z]?", keyword) is not None


def _agree(header: Header, known: Header, keyword: str) -> bool:
    """Whether a header has the value of a keyword that is known."""
    try:
        value, other = header.get(keyword), known.get(keyword)
    except UnreadableCardError:
        return False
    if not isinstance(value, int | float) or not isinstance(other, int | float):
        return False
    return math.isclose(value, other, rel_tol=1e-12)
