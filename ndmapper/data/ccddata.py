"""NDData for tools that insist on astropy's CCDData, and back."""

import logging
from typing import Any, Self

import numpy as np
from astropy.nddata import (
    CCDData,
    NDUncertainty,
    StdDevUncertainty,
    VarianceUncertainty,
)
from astropy.wcs import WCS

from ndmapper.data.flagging import Flagging
from ndmapper.data.flags import name_flags, named_flags
from ndmapper.data.image import ImageContent, with_content
from ndmapper.data.uncertainty import root_of
from ndmapper.errors import UnitError
from ndmapper.io.headers import Header

__all__ = ["Interchange"]

log = logging.getLogger(__name__)

_OF_PRIMARY = ("SIMPLE", "BITPIX", "NAXIS*", "EXTEND", "NEXTEND", "CHECKSUM", "DATASUM")


class Interchange(Flagging):
    """How an NDLater goes to other packages, and comes back."""

    @property
    def header(self) -> Header:
        """The header; `meta` by the name that CCDData has for it, too."""
        return self.meta

    def to_ccddata(self, unit: Any = None, *, std: bool = False) -> CCDData:
        """
        Make a CCDData, for what takes nothing else (some of ccdproc).

        Parameters
        ----------
        unit : unit or str, optional
            Unit of the pixels where they have none, which a CCDData must have.
        std : bool
            Give the uncertainty as a standard deviation, because photutils takes no
            notice of a variance.

        Returns
        -------
        astropy.nddata.CCDData
            Arrays of its own, with uncertainty, mask and flags. Its header is that of
            the extension, then the cards that only the primary header has; it names
            the flags.

        Raises
        ------
        UnitError
            If there is no unit.
        """
        # What a copy reads is not kept in this one, nor shared with it.
        ndd = self.copy()
        unit = ndd.unit if ndd.unit is not None else unit
        if unit is None:
            msg = (
                f"{self!r} has no unit, which CCDData insists on; give one, as in "
                "to_ccddata(unit='adu')"
            )
            raise UnitError(msg)
        header = ndd.meta.copy()
        if ndd.primary_meta is not None:
            only = ndd.primary_meta.copy()
            for pattern in _OF_PRIMARY:
                only.remove(pattern, ignore_missing=True, remove_all=True)
            header.extend(only, unique=True, update=False)
        if ndd.has("flags"):
            name_flags(header, ndd.flag_table)
        wcs = getattr(ndd.wcs, "low_level_wcs", None)
        if wcs is not None and not isinstance(wcs, WCS):
            log.warning("CCDData takes a plain WCS, so the coordinates are left out")
            wcs = None
        uncertainty: NDUncertainty | None = None
        if (variance := ndd.variance) is not None:
            uncertainty = VarianceUncertainty(variance)
            if std:
                uncertainty = StdDevUncertainty(root_of(variance))
        return CCDData(
            ndd.data,
            unit=unit,
            uncertainty=uncertainty,
            mask=None if ndd.mask is None else np.array(ndd.mask, subok=False),
            flags=ndd.flags,
            meta=header,
            wcs=wcs,
            psf=ndd.psf,
        )

    @classmethod
    def from_ccddata(cls, ccd: CCDData, *, ident: int | str | None = None) -> Self:
        """
        Take over a CCDData.

        Parameters
        ----------
        ccd : astropy.nddata.CCDData
            Any, and above all what became of one of `to_ccddata`.
        ident : int or str, optional
            Name of the extension in its file.

        Returns
        -------
        NDLater
            With its flags; pixels that were masked since get the flag for BAD, and
            those that were unmasked lose the flags that masked them.
        """
        # A copy, since the object of another package stays that of its owner.
        ndd = with_content(cls, ImageContent.of(ccd).copy())
        header = ndd.meta
        if (table := named_flags(header)) is not None:
            ndd.flag_table = table
            for keyword in ("FLAGCONV", *(f"FLAG{b.bit}" for b in table.bits)):
                header.remove(keyword, ignore_missing=True)
        if getattr(ccd, "flags", None) is not None and ccd.mask is not None:
            ndd.flags = np.array(ccd.flags)
            ndd.mask = np.broadcast_to(ccd.mask, ndd.shape)
        if ident is not None:
            ndd.ident = ident
        return ndd
