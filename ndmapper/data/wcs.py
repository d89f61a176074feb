"""World coordinates: from headers, for sections, and back into headers."""

import contextlib
import logging
import math
import re
import sys
import warnings
from collections.abc import Collection, Iterator
from typing import Any

from astropy.wcs import WCS
from astropy.wcs.wcsapi import HighLevelWCSWrapper, SlicedLowLevelWCS

from ndmapper.data.wcs_cut import cut_header, systems
from ndmapper.io.headers import Header, UnreadableCardError, is_array_keyword
from ndmapper.io.wcstables import hdu_list, references

__all__ = ["fits_cards", "is_described", "put_wcs", "read_wcs", "update_wcs"]

log = logging.getLogger(__name__)

_OBSERVATION = re.compile(r"(DATE|MJD)-|OBSGEO|TELESCOP|TIMESYS")
_OTHER = re.compile(
    r"(?:CRPIX|CRVAL|CDELT|CTYPE|CUNIT|CNAME|CROTA|(?:CD|PC|PV|PS)\d+_)\d+[A-Z]"
    r"|(?:WCSAXES|WCSNAME|LONPOLE|LATPOLE)[A-Z]|LTV\d+|LTM\d+_\d+"
    r"|(?:CPDIS|CPERR|DP|D2IMDIS|D2IMERR|D2IM)\d+(?:\..+)?|D2IMEXT|AXISCORR"
)
"""Keywords of a second system, of the pixels of the detector, and of lookup tables."""


# What astropy and wcslib raise at headers that they do not understand.
_NOT_UNDERSTOOD = (
    ValueError, TypeError, LookupError, AttributeError, AssertionError,
    ArithmeticError, MemoryError, UnreadableCardError,
)  # fmt: skip

_NUMBER = re.compile(
    r"(?:CRPIX|CRVAL|CDELT|CROTA)\d+|(?:CD|PC|PV)\d+_\d+|[AB]P?_\d+_\d+"
    r"|LONPOLE|LATPOLE"
)


def read_wcs(
    header: Header, ndim: int | None = None, tables: Any = None, where: str = ""
) -> Any:
    """
    Make the world coordinate system that a header describes.

    Parameters
    ----------
    header : Header
        The header of an image.
    ndim : int, optional
        Number of axes of the image. Where WCSAXES says that the coordinates have
        more, the object has those of the image alone.
    tables : astropy.io.fits.HDUList, optional
        The HDUs that the header refers to.
    where : str
        Where the header is from, for the warning.

    Returns
    -------
    astropy.wcs.WCS or HighLevelWCSWrapper or None
        None where the header has none, or one that astropy does not understand, which
        is said in a warning. The wrapper, as astropy's slices have it, where the axes
        of the image cannot be told apart from those that it has no more.
    """
    if not is_described(header):
        return None
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        try:
            _refuse_unreadable(header)
            if tables is None and references(header):
                tables = hdu_list([])  # else astropy leaves D2IM out without a word
            if ndim and _has_more_axes(header, ndim):
                return _of_image(header, ndim, tables)
            return WCS(header, tables)
        except _NOT_UNDERSTOOD as err:
            reason = str(err).strip().replace("\n", " ") or type(err).__name__
    log.warning(
        "there are no coordinates%s, as its header is not understood: %s",
        f" of {where}" if where else "", reason,
    )  # fmt: skip
    return None


def is_described(header: Header) -> bool:
    """
    Say whether a header has a primary coordinate system.

    Parameters
    ----------
    header : Header
        The header.

    Returns
    -------
    bool
        True where any of its axes has something, or a plate has.
    """
    return "" in systems(header) or ("PLTRAH" in header and "AMDX1" in header)


def _refuse_unreadable(header: Header) -> None:
    """Refuse numbers that are none: wcslib would take the default in their place."""
    for keyword in header:
        if _NUMBER.fullmatch(keyword):
            value = header[keyword]
            if isinstance(value, bool) or not isinstance(value, int | float):
                msg = f"{keyword} is {value!r}, and must be a number"
                raise ValueError(msg)


def _has_more_axes(header: Header, ndim: int) -> bool:
    """Whether a header says that the coordinates have more axes than the image."""
    if isinstance(count := header.get("WCSAXES"), int):
        return count > ndim
    # The form of a section in memory is still that of the whole.
    naxis = header.get("NAXIS")
    is_stale = isinstance(naxis, int) and naxis > ndim
    return is_stale and max(systems(header).get("", {0})) <= ndim


def _of_image(header: Header, ndim: int, tables: Any) -> Any:
    """Read the coordinates of the first axes, of more that the header describes."""
    try:
        whole = WCS(header, tables)
    except ValueError:  # distortion is read only where there are two axes in all
        return WCS(header, tables, naxis=ndim)
    depends = whole.axis_correlation_matrix
    if not (depends[:, :ndim].any(axis=1) & depends[:, ndim:].any(axis=1)).any():
        return whole.sub(list(range(1, ndim + 1)))
    whole.pixel_shape = None  # that of the header has fewer axes
    left = [0] * (whole.naxis - ndim) + [slice(None)] * ndim
    return HighLevelWCSWrapper(SlicedLowLevelWCS(whole, left))


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
        except _NOT_UNDERSTOOD as err:
            log.warning("coordinates cannot be put into a header: %s", err)
            return None, False
    if has_tables:  # which would have to be another HDU
        return None, False
    if section is not None:
        pixels = tuple(
            range(x.start or 0, sys.maxsize) if isinstance(x, slice) else int(x)
            for x in section
        )
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
