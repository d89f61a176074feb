"""World coordinates: as an object, in headers, and for sections."""

import contextlib
import copy
import logging
import math
import re
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from astropy.wcs import WCS
from astropy.wcs.wcsapi import (
    BaseHighLevelWCS,
    BaseLowLevelWCS,
    HighLevelWCSWrapper,
    SlicedLowLevelWCS,
)

from ndmapper.data.wcs_cut import cut_header, systems
from ndmapper.data.wcs_tables import CoordinateTables
from ndmapper.io.headers import (
    Header,
    StoredHeader,
    UnreadableCardError,
    card_bytes,
    is_array_keyword,
)
from ndmapper.io.wcstables import hdu_list, references

__all__ = [
    "Coordinates",
    "fits_cards",
    "is_described",
    "put_wcs",
    "read_wcs",
    "unsliced",
    "update_wcs",
]


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
    Make the world coordinate system of a header for an image of `ndim` axes.

    None where the header has none, or, with a warning, one that astropy does not
    understand. A wrapper as of astropy's slices where the axes of the image cannot be
    told apart from others that are described.
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
    """Say whether a header has a primary coordinate system."""
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
    """Return the FITS cards of a WCS, if there can be any, and whether they are all."""
    wcs, section = unsliced(wcs)
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


def unsliced(wcs: Any) -> tuple[Any, Any]:
    """Return what a WCS is a section of, and which section, or None."""
    wcs = getattr(wcs, "low_level_wcs", wcs)
    if isinstance(wcs, SlicedLowLevelWCS):
        return wcs._wcs, wcs._slices_array
    return wcs, None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warnings that astropy gave when the header was read."""
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
    """Write the cards of a WCS into a header, in place of those in `only` (or all)."""
    for key in [k for k in header if is_array_keyword(k) and k != "BUNIT"]:
        if only is None or key in only:
            header.remove(key, ignore_missing=True, remove_all=True)
    for card in () if cards is None else cards.cards:
        # When and where the image was taken its own header knows better.
        if not (_OBSERVATION.match(card.keyword) and card.keyword in header):
            header[card.keyword] = (card.value, card.comment)


def update_wcs(header: Header, before: Header | None, after: Header) -> None:
    """Write into a header what changed in its WCS; other systems in it stay."""
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


class Coordinates:
    """
    World coordinates as an object that may be changed in place.

    Parameters
    ----------
    wcs : object or None
        The object, of astropy or with the interface of those.

    Attributes
    ----------
    wcs : object or None
        The same.
    in_memory : bool
        FITS cards cannot say all of it, so that it is there as long as the object is.
    """

    def __init__(self, wcs: Any) -> None:
        if isinstance(wcs, BaseLowLevelWCS) and not isinstance(wcs, BaseHighLevelWCS):
            wcs = HighLevelWCSWrapper(wcs)
        self.wcs = wcs
        self._cards, whole = fits_cards(wcs)
        self._before = _inside(wcs)
        self.in_memory = wcs is not None and not whole
        self._is_read = False
        self._seen: list[bytes] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # The numbers are those of the object, and cannot be pickled themselves.
        return {**self.__dict__, "_before": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._before = _inside(self.wcs)

    @property
    def kind(self) -> str:
        """What sort of object it is, in words."""
        inner = getattr(self.wcs, "low_level_wcs", self.wcs)
        return f"{type(inner).__module__.partition('.')[0]} {type(inner).__name__}"

    @classmethod
    def read(
        cls,
        stored: StoredHeader,
        shape: tuple[int, ...],
        tables: CoordinateTables | None = None,
    ) -> "Coordinates":
        """Make the object that a header describes: None where none is understood."""
        header = stored.header
        where = "" if stored.place is None else str(stored.place)
        hdus = None if tables is None else tables.hdus(header)
        wcs = read_wcs(header, len(shape), hdus, where)
        if isinstance(wcs, WCS) and wcs.naxis == len(shape):
            wcs.array_shape = shape  # the header of a section has still the old one
        new = cls(wcs)
        new._is_read = True
        new.in_memory = False
        new._seen = _cards_of(header)
        return new

    def is_outdated(self, stored: StoredHeader) -> bool:
        """Say whether the header was changed since; never if it says less than this."""
        if self._seen is None or not stored.is_parsed:
            return False
        return self._seen != _cards_of(stored.header)

    def put(self, header: Header, *, came_along: bool = False) -> None:
        """
        Write them into a header, unless it says the same already.

        Cards that `came_along` with an object that FITS cannot hold stay: they may be
        all that can be said in FITS.
        """
        if self._cards is None and came_along:
            return
        if self._cards is not None and not references(header):
            there, _ = fits_cards(read_wcs(header))
            if _same(there, self._cards):
                return
        put_wcs(header, self._cards)

    def settle(self, stored: StoredHeader) -> None:
        """Write changes of the object into the header, which else stays as it is."""
        if self.wcs is None or _is_inside(self.wcs, self._before):
            return
        before = self._cards
        cards, whole = fits_cards(self.wcs)
        self._before = _inside(self.wcs)
        if _same(cards, before):
            return
        self._cards = cards
        # What a header says with the tables of its file is not only in memory.
        self.in_memory = not whole and not self._is_read
        if cards is not None:
            is_known = self._seen is not None and not self.is_outdated(stored)
            update_wcs(stored.header, before, cards)
            self._seen = _cards_of(stored.header) if is_known else None

    def copy(self) -> "Coordinates | None":
        """Copy; None where a copy of the header is as good."""
        return copy.deepcopy(self) if self.in_memory else None

    def section(self, section: Sequence[range | int]) -> "Coordinates | None":
        """Take those of a section; None where its header says as much, or all."""
        if not self.in_memory:
            return None
        wcs = copy.deepcopy(self.wcs)
        try:
            cut = SlicedLowLevelWCS(wcs.low_level_wcs, [_as_slice(x) for x in section])
        except Exception as err:  # of any package; pixels matter more
            log.warning("the section has no coordinates: %s", err)
            return None
        return Coordinates(cut)


def _cards_of(header: Header) -> list[bytes]:
    return [card_bytes(c) for c in header.cards if is_array_keyword(c.keyword)]


def _inside(wcs: Any) -> tuple[Any, Any] | None:
    """Copy the numbers of a WCS of astropy, by which a change is noticed at once."""
    if not isinstance(wcs, WCS):
        return None
    return copy.deepcopy(wcs.wcs), _distortion(wcs)


def _is_inside(wcs: Any, inside: tuple[Any, Any] | None) -> bool:
    return (
        inside is not None
        and wcs.wcs.compare(inside[0])
        and _distortion(wcs) == inside[1]
    )


def _distortion(wcs: WCS) -> tuple[bytes | None, ...] | None:
    sip = wcs.sip
    if sip is None:
        return None
    arrays = (sip.a, sip.b, sip.ap, sip.bp, sip.crpix)
    return tuple(None if a is None else a.tobytes() for a in arrays)


def _same(one: Header | None, two: Header | None) -> bool:
    if one is None or two is None:
        return one is two
    return bool(one.tostring() == two.tostring())


def _as_slice(pixels: range | int) -> slice | int:
    if isinstance(pixels, int):
        return pixels
    # Only sections without a step have them, so the end is never before zero.
    return slice(pixels.start, max(pixels.stop, 0), pixels.step)
