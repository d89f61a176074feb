"""
The noise of a flat in spectra, which those that were divided by the same flat share.

The noise of one pixel of a flat is in every spectrum that has light on this pixel. What
it adds to a spectrum is kept by pixel, along the slit and the spectrum, in proportion
to the flux, so that it stays right where the spectrum is scaled.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ndmapper.data import DataFile, NDLater
from ndmapper.lib.shared_masters import SharedMasters
from ndmapper.lib.spectrograph import Spectrograph
from ndmapper.numerics.extraction import ExtractedSpectrum

__all__ = ["FLAT_ERROR", "FlatError", "FlatErrors", "flat_errors_of", "on_same_rows"]

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]

FLAT_ERROR = "FLAT_ERROR"
"""Extras of a spectrum: the relative error by pixels of a flat, numbered from 1."""

_ID = "FLATID"
_FIRST_ROW = "FLATROW"
_NAME = "FLATNAME"


@dataclass(frozen=True, kw_only=True)
class FlatError:
    """
    What the noise of a flat adds to a spectrum.

    Parameters
    ----------
    flat, name : str
        What identifies the flat, and the name of its file.
    first_row : int
        Row of the frame along the slit, from 0, that the first row of `relative` is.
    relative : ndarray, shape (rows, n)
        The part of the flux that the standard deviation of each pixel adds, in the
        order of the pixels of the spectrum.
    """

    flat: str
    name: str
    first_row: int
    relative: Array

    def write(self, spectrum: NDLater, number: int) -> None:
        """Write it into an extra of a spectrum."""
        extra = NDLater(self.relative.astype(np.float32))
        extra.meta[_ID] = (self.flat, "of the flat whose noise this is")
        extra.meta[_NAME] = self.name
        extra.meta[_FIRST_ROW] = (self.first_row, "row along the slit, from 0")
        spectrum.extras[f"{FLAT_ERROR}{number}"] = extra


class FlatErrors:
    """
    The relative errors of the flats of a frame.

    Parameters
    ----------
    df : DataFile
        The frame, whose record says which flats it was divided by.
    """

    def __init__(self, df: DataFile) -> None:
        self._masters = SharedMasters([df], quiet=True)
        self._known: Mapping[str, tuple[str, Array]] = {}
        self._df = df
        self._image: NDLater | None = None

    def _of(self, ndd: NDLater) -> Mapping[str, tuple[str, Array]]:
        """Read the errors of the flats of an extension."""
        if self._image is not ndd:
            found: dict[str, tuple[str, Array]] = {}
            for flat, plane in self._masters.flat_errors(ndd):
                if plane is None:
                    log.warning(
                        "the flat %s of %s %s: in combined spectra its noise counts as "
                        "that of each by itself, and is averaged down too far",
                        flat.name, self._df,
                        flat.untold or "is not there any more, or does not fit",
                    )  # fmt: skip
                    continue
                found[flat.reference] = flat.name, plane
            self._known, self._image = found, ndd
        return self._known

    def write(
        self,
        spectrum: NDLater,
        ndd: NDLater,
        geometry: Spectrograph,
        found: ExtractedSpectrum,
        rows: npt.NDArray[np.int_],
    ) -> None:
        """Write what the flats add to a spectrum that was extracted from `ndd`."""
        errors = self._of(ndd)
        if not errors:
            return
        columns = np.arange(found.flux.size)
        light = found.flux * found.profile + found.background
        with np.errstate(invalid="ignore", divide="ignore"):
            part = np.nan_to_num(found.weights * light / found.flux, posinf=0, neginf=0)
        some = rows[(part != 0)]
        if not some.size:
            return
        first, last = int(np.min(some)), int(np.max(some))
        for number, (flat, (name, plane)) in enumerate(errors.items(), start=1):
            full = np.zeros((last - first + 1, columns.size))
            own = part * geometry.turned(plane)[rows, columns]
            inside = (rows >= first) & (rows <= last)
            where = np.broadcast_to(columns, rows.shape)[inside]
            np.add.at(full, (rows[inside] - first, where), own[inside])
            FlatError(flat=flat, name=name, first_row=first, relative=full).write(
                spectrum, number
            )


def flat_errors_of(ndd: NDLater) -> list[FlatError]:
    """List what flats add to a spectrum, as its extras say."""
    found = []
    number = 1
    while (key := f"{FLAT_ERROR}{number}") in ndd.extras:
        extra = ndd.extras[key]
        number += 1
        plane = np.asarray(extra.data, np.float64)
        if plane.ndim != 2 or plane.shape[1] != ndd.shape[0]:
            log.warning(
                "%r was cut since it was extracted, so that the noise of its flat "
                "counts as that of each spectrum by itself", ndd,
            )  # fmt: skip
            continue
        found.append(
            FlatError(
                flat=str(extra.meta.get(_ID)), name=str(extra.meta.get(_NAME)),
                first_row=int(extra.meta.get(_FIRST_ROW, 0)), relative=plane,
            )
        )  # fmt: skip
    return found


def on_same_rows(errors: Sequence[FlatError | None], n: int) -> tuple[int, Array]:
    """Give the first row, and the errors of one flat in spectra from this row on."""
    some = [one for one in errors if one is not None]
    first = min(one.first_row for one in some)
    last = max(one.first_row + len(one.relative) for one in some)
    planes = np.zeros((len(errors), last - first, n))
    for plane, one in zip(planes, errors, strict=True):
        if one is not None:
            start = one.first_row - first
            plane[start : start + len(one.relative)] = one.relative
    return first, planes
