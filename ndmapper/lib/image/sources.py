"""Finding sources in an image."""

import logging
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from astropy.table import Table, vstack

from ndmapper.data import DataFile, NDLater
from ndmapper.data.flags import Flag
from ndmapper.errors import ParameterError
from ndmapper.lib.figures import image_panel, report_panels
from ndmapper.lib.image.background import background_of, photutils_needed, require_image
from ndmapper.lib.image.catalogue import (
    SourceFlag,
    make_catalogue,
    pixel_flags,
    sky_positions,
)
from ndmapper.lib.image.correlation import covariances_of
from ndmapper.numerics.sources import Sources, detect_sources, typical_fwhm
from ndmapper.steps import Range, qc, run_task

__all__ = ["find_sources"]

log = logging.getLogger(__name__)


@run_task(
    each="file", outputs={"sources": "{root}_sources.ecsv"}, options={"revision": 3}
)
def find_sources(
    df: DataFile,
    *,
    threshold: Annotated[float, Range(gt=0)] = 5.0,
    fwhm: Annotated[float | None, Range(gt=0)] = None,
    box_size: Annotated[int | None, Range(ge=4)] = 64,
    deblend: bool = True,
    contrast: Annotated[float, Range(ge=0, le=1)] = 0.005,
) -> Table:
    """
    Find sources, and write a catalogue of their positions, fluxes and shapes.

    The image is smoothed by a Gaussian of the width of stars. A source has a peak above
    the threshold there, so that stars of signal-to-noise ratio 5 are found in half of
    the cases, those of 7 nearly always, and noise hardly ever.

    Parameters
    ----------
    df : DataFile
        A frame, best with variance and flags. Masked pixels are left out, save those
        that are saturated.
    threshold : float
        Least signal-to-noise ratio of the peak.
    fwhm : float, optional
        FWHM of stars [pixel]; by default it is measured.
    box_size : int or None
        Size of the boxes in which the background is measured, as by
        `measure_background` [pixel]; None for a frame without background.
    deblend : bool
        Divide sources that overlap.
    contrast : float
        Least share of the light of a source that a part has which is divided from it.

    Returns
    -------
    Table
        One row per source, in all extensions: id, extension, x and y [pixel, from 0]
        with errors, ra and dec (if there is a WCS), flux in 2.5 Kron radii with error,
        snr, fwhm, ellipticity, theta, flags (`SourceFlag`).

    Raises
    ------
    ParameterError
        If nothing is found.
    """
    tables, widths = [], {}
    for ndd in df:
        table = _find(
            ndd,
            threshold=threshold,
            fwhm=fwhm,
            box_size=box_size,
            deblend=deblend,
            contrast=contrast,
            where=f"[{ndd.ident}]" if len(df) > 1 else "",
        )
        if table is not None:
            widths[str(ndd.ident)] = table.meta.pop("fwhm")
            tables.append(table)
    if not tables:
        msg = (
            f"no source is brighter than {threshold:g} times the noise; give a lower "
            "threshold, or look whether the frame has stars"
        )
        raise ParameterError(msg)
    found = vstack(tables, metadata_conflicts="silent")
    found["id"][:] = np.arange(1, len(found) + 1)
    found.meta = {
        "frame": df.filename.name if df.filename is not None else "",
        "threshold": threshold,
        "fwhm": float(np.median(list(widths.values()))),
    }
    return found


def _find(
    ndd: NDLater,
    *,
    threshold: float,
    fwhm: float | None,
    box_size: int | None,
    deblend: bool,
    contrast: float,
    where: str,
) -> Table | None:
    require_image(ndd, "sources are found")
    flags = pixel_flags(ndd)
    data, variance = np.asarray(ndd.data, np.float64), _variance(ndd)
    if box_size is not None:
        background = background_of(ndd, box_size=box_size)
        data = data - background.level
        if variance is None:
            variance = background.rms**2
    if variance is None:
        msg = (
            "a frame without variance and without background says nothing of its "
            "noise; use add_variance before, or give box_size"
        )
        raise ParameterError(msg)
    mask = _mask(ndd, flags)
    if mask.all():
        msg = f"all pixels of the frame{where} are masked or are no numbers"
        raise ParameterError(msg)
    with photutils_needed():
        found = detect_sources(
            data, variance, mask,
            threshold=threshold, fwhm=fwhm, deblend=deblend, contrast=contrast,
            covariances=covariances_of(ndd),
        )  # fmt: skip
    if found is None:
        qc(**{f"sources{where}": 0})
        log.warning("no source is above %g sigma in the frame%s", threshold, where)
        return None
    table = _catalogue(ndd, found, flags)
    _report(data, found, table, where)
    return table


def _variance(ndd: NDLater) -> npt.NDArray[np.float64] | None:
    if ndd.variance is None:
        log.warning(
            "the frame has no variance, so that errors are those of the background, "
            "without the noise of the light of sources; use add_variance before"
        )
        return None
    return np.asarray(ndd.variance, np.float64)


def _mask(ndd: NDLater, flags: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
    """Leave out bad pixels, but for saturated ones, which are the middle of stars."""
    mask: npt.NDArray[np.bool_] = np.zeros(ndd.shape, np.bool_)
    if ndd.mask is not None:
        mask |= np.asarray(ndd.mask)
    mask &= (flags & Flag.SATURATED) == 0
    mask |= ~np.isfinite(ndd.data)
    return mask


def _catalogue(ndd: NDLater, found: Sources, flags: npt.NDArray[np.uint16]) -> Table:
    shapes = found.shapes
    columns: dict[str, Any] = {
        "id": np.arange(1, len(found.flux) + 1),
        "extension": [str(ndd.ident)] * len(found.flux),
        "x": shapes.x,
        "y": shapes.y,
        "x_error": shapes.x_error,
        "y_error": shapes.y_error,
    }
    if (sky := sky_positions(ndd, shapes.x, shapes.y)) is not None:
        columns |= dict(zip(("ra", "dec"), sky, strict=True))
    columns |= {
        "flux": found.flux,
        "flux_error": found.flux_error,
        "snr": found.significance,
        "fwhm": shapes.fwhm,
        "ellipticity": shapes.ellipticity,
        "theta": shapes.theta,
        "flags": _flags(found, flags),
    }
    meta: Mapping[str, Any] = {"fwhm": found.fwhm}
    return make_catalogue(columns, unit=ndd.unit, meta=meta)


def _flags(found: Sources, flags: npt.NDArray[np.uint16]) -> npt.NDArray[np.int32]:
    """Join the flags of the pixels of each source, and say what is wrong with it."""
    from scipy.ndimage import maximum

    count = len(found.flux)
    result = np.zeros(count, np.int32)
    numbers = np.arange(1, count + 1)
    for flag in Flag:
        if (there := (flags & flag) != 0).any():
            hit = np.asarray(maximum(there, found.labels, numbers)) > 0
            result[hit] |= int(flag)
    border = np.ones(flags.shape, np.bool_)
    border[1:-1, 1:-1] = False
    at_edge = np.unique(found.labels[border])
    result[at_edge[at_edge > 0] - 1] |= SourceFlag.EDGE
    result[found.is_blended] |= SourceFlag.BLENDED
    result[~found.shapes.converged] |= SourceFlag.NO_SHAPE
    return result


def _report(
    data: npt.NDArray[np.float64], found: Sources, table: Table, where: str
) -> None:
    usable = np.asarray(table["flags"]) == 0
    width = typical_fwhm(found.shapes.fwhm, found.significance, usable)
    shape = np.asarray(table["ellipticity"])[usable & (found.significance > 20)]
    numbers = {
        "sources": len(table),
        "flagged": int((~usable).sum()),
        "fwhm": width,
        "ellipticity": float(np.median(shape)) if shape.size else float("nan"),
    }
    qc(**{f"{name}{where}": value for name, value in numbers.items()})
    edges = _outlines(found.labels)
    report_panels([image_panel(data, "sources", {"source": edges})])


def _outlines(labels: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    from scipy.ndimage import binary_dilation

    there = labels > 0
    around = binary_dilation(there, iterations=2) & ~there
    return np.asarray(around, np.bool_)
