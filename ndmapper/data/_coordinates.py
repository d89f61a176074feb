"""World coordinates as an object, beside the cards of a header that say the same."""

import copy
import logging
from collections.abc import Sequence
from typing import Any

from astropy.wcs import WCS
from astropy.wcs.wcsapi import (
    BaseHighLevelWCS,
    BaseLowLevelWCS,
    HighLevelWCSWrapper,
    SlicedLowLevelWCS,
)

from ndmapper.data.wcs import fits_cards, put_wcs, read_wcs, update_wcs
from ndmapper.data.wcs_tables import CoordinateTables
from ndmapper.io.headers import Header, StoredHeader, card_bytes, is_array_keyword
from ndmapper.io.wcstables import references

__all__ = ["Coordinates"]

log = logging.getLogger(__name__)


class Coordinates:
    """
    World coordinates as an object that somebody may change in place.

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
        """
        Make the object that a header describes.

        Parameters
        ----------
        stored : StoredHeader
            The header; it stays as it is.
        shape : tuple of int
            Shape of the image.
        tables : CoordinateTables, optional
            What the file has of them beside the header.

        Returns
        -------
        Coordinates
            With None as object where the header has none that is understood.
        """
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
        """
        Say whether the header that they are from was changed since.

        Parameters
        ----------
        stored : StoredHeader
            The header.

        Returns
        -------
        bool
            False where the object says more than the header can.
        """
        if self._seen is None or not stored.is_parsed:
            return False
        return self._seen != _cards_of(stored.header)

    def put(self, header: Header, *, came_along: bool = False) -> None:
        """
        Write them into a header, unless it says the same already.

        Parameters
        ----------
        header : Header
            The header, changed in place.
        came_along : bool
            The header is from where the object is from. Then its cards stay where
            FITS cannot hold the object: they may be all that can be said in FITS.
        """
        if self._cards is None and came_along:
            return
        if self._cards is not None and not references(header):
            there, _ = fits_cards(read_wcs(header))
            if _same(there, self._cards):
                return
        put_wcs(header, self._cards)

    def settle(self, stored: StoredHeader) -> None:
        """
        Write into the header what somebody changed in the object.

        Parameters
        ----------
        stored : StoredHeader
            The header; nothing of it changes where the object did not.
        """
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
        """
        Copy, where a header does not say all.

        Returns
        -------
        Coordinates or None
            None where a copy of the header is as good.
        """
        return copy.deepcopy(self) if self.in_memory else None

    def section(self, section: Sequence[range | int]) -> "Coordinates | None":
        """
        Take those of a section, where a header does not say all.

        Parameters
        ----------
        section : sequence of range or int
            What is taken of each axis, in the order of Python.

        Returns
        -------
        Coordinates or None
            None where those in the header of the section are as good, or all that
            there are.
        """
        if not self.in_memory:
            return None
        wcs = copy.deepcopy(self.wcs)
        try:
            cut = SlicedLowLevelWCS(wcs.low_level_wcs, [_as_slice(x) for x in section])
        except Exception as err:  # of packages that nobody knows; pixels matter more
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
