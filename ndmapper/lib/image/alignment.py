"""Aligning images with a reference image or a catalogue."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from astropy.table import Table
from astropy.wcs import WCS

from ndmapper.data import DataFile, NDLater, PlainFile
from ndmapper.errors import ParameterError, StepError
from ndmapper.lib.flagging import good_pixels
from ndmapper.lib.image.catalogue import numbers_in, sky_columns
from ndmapper.lib.image.grid import transformed
from ndmapper.numerics.background import estimate_background
from ndmapper.numerics.matching import Match, Similarity, fit_similarity, match_points
from ndmapper.numerics.sources import detect_sources
from ndmapper.steps import Range, qc, run_task

__all__ = ["align_images"]

Array = npt.NDArray[np.float64]

_NEAR = 30.0
"""Coordinates are taken to be this good at first [pixel]."""

_FLOOR = 0.02
"""What positions lack beside their noise, as pixels are not points [pixel]."""

_BRIGHTNESS = ("mag", "gmag", "phot_g_mean_mag", "rmag", "vmag", "flux")


@dataclass(frozen=True)
class _Stars:
    """Stars of an image, the brightest first."""

    places: Array  # x, y [pixel], from 0
    variance: Array  # of a position along an axis [pixel**2]
    flux: Array


@dataclass(frozen=True, kw_only=True)
class _Goal:
    """Where the stars of an image should be."""

    name: str
    # In pixels of these coordinates, from 0.
    places: Array
    variance: Array
    wcs: WCS
    # Whether the coordinates of the image are roughly right already.
    is_rough: bool
    # Of an image as reference.
    flux: Array | None = None
    level: float = 0.0


@run_task(each="file", prefix="a")
def align_images(
    df: DataFile,
    *,
    reference: DataFile,
    near: Annotated[float | None, Range(gt=0)] = None,
    fit: Literal["similarity", "shift"] = "similarity",
    threshold: Annotated[float, Range(gt=0)] = 10.0,
    fwhm: Annotated[float | None, Range(gt=0)] = None,
) -> DataFile:
    """
    Correct the world coordinates of images by their stars; pixels stay as they are.

    Parameters
    ----------
    df : DataFile
        The images, best with variance.
    reference : DataFile
        An image of the same field, whose coordinates they take over; of a file with
        the same extensions the one of the same name. Or a table with columns ``ra``
        and ``dec`` [degree] (as catalogues call them), and best with magnitudes, such
        as an extract of Gaia; images must have rough coordinates then.
    near : float, optional
        The coordinates are wrong by so much at most [pixel]. By default 30 is tried,
        and then any shift and rotation; so it is of images that have no coordinates.
    fit : {'similarity', 'shift'}
        What is corrected: shift, rotation and scale, or the shift alone.
    threshold : float
        Stars of this signal-to-noise ratio are used.
    fwhm : float, optional
        FWHM of the stars [pixel]; by default it is measured.

    Returns
    -------
    DataFile
        The images with corrected coordinates. Headers say how many stars agree
        (ALNSTARS), the standard deviation of their positions along an axis (ALNRMS
        [pixel]), and, for an image as reference, how bright stars are relative to those
        of the reference (ALNFLUX), and how much the sky differs from it (ALNSKY).

    Raises
    ------
    StepError
        If there are too few stars, or these do not match.
    ParameterError
        If a catalogue has no coordinates, or an image none where these are needed.

    Notes
    -----
    Where neither image has coordinates, the pixels of the reference are the coordinates
    of both, so that `stack_images` can put them onto one grid.
    """
    if not len(df):
        msg = f"{df} has no image that could be aligned"
        raise StepError(msg)
    new = df.copy()
    for ndd in new:
        where = f"{df.filename or 'the image'}[{ndd.ident}]"
        stars = _stars(ndd, where, threshold, fwhm)
        if isinstance(reference, PlainFile):
            goal = _goal_on_sky(ndd, where, _positions(reference), near or _NEAR)
        else:
            name = f"the reference {reference.filename or ''}".rstrip()
            other = _counterpart(reference, ndd)
            goal = _goal_in_image(ndd, other, name, threshold, fwhm)
        match = _matched(stars.places, goal, where, near)
        variance = stars.variance[match.first] + goal.variance[match.second]
        transform = fit_similarity(
            stars.places[match.first], goal.places[match.second], 1 / variance,
            turns=fit == "similarity",
        )  # fmt: skip
        ndd.wcs = _corrected(goal.wcs, transform)
        if goal.flux is not None:
            _compare_light(ndd, stars.flux[match.first], goal, match)
        _report(ndd, match, transform)
    return new


def _stars(ndd: NDLater, where: str, threshold: float, fwhm: float | None) -> _Stars:
    """Find the stars of an image that are neither flagged nor cut off."""
    if len(ndd.shape) != 2:
        msg = f"{where} has {len(ndd.shape)} axes; images with two are aligned"
        raise StepError(msg)
    values = np.asarray(ndd.data, np.float64)
    mask = ~good_pixels(ndd)
    try:
        sky = estimate_background(values, mask)
    except ValueError as err:
        msg = f"{where} has no good pixels ({err})"
        raise StepError(msg) from err
    noise = sky.rms**2 if ndd.variance is None else np.asarray(ndd.variance)
    found = detect_sources(
        values - sky.level, noise, mask, threshold=threshold, fwhm=fwhm
    )
    if found is None:
        msg = (
            f"{where} has no stars above {threshold:g} times the noise to align it by; "
            "lower the threshold, or give its coordinates otherwise"
        )
        raise StepError(msg)
    shapes = found.shapes
    good = shapes.converged & np.isfinite(shapes.x + shapes.y) & (found.flux > 0)
    rows, columns = (
        np.clip(np.rint(np.where(good, at, 0)).astype(int), 0, n - 1)
        for at, n in ((shapes.y, values.shape[0]), (shapes.x, values.shape[1]))
    )
    good &= ~mask[rows, columns]
    order = np.flatnonzero(good)[np.argsort(-found.flux[good], kind="stable")]
    places = np.column_stack([shapes.x[order], shapes.y[order]])
    error = (shapes.x_error[order] ** 2 + shapes.y_error[order] ** 2) / 2
    variance = np.where(np.isfinite(error), error, 1.0) + _FLOOR**2
    return _Stars(places, variance, found.flux[order])


def _counterpart(reference: DataFile, ndd: NDLater) -> NDLater:
    """Find the image of the reference for an image."""
    for position, ident in enumerate(reference.idents):
        if ident == ndd.ident or len(reference) == 1:
            image: NDLater = reference[position]
            return image
    msg = (
        f"{reference} has no extension {ndd.ident!r}, and its extensions are "
        f"{list(reference.idents)}; give a reference with one image, or with the same "
        "extensions"
    )
    raise ParameterError(msg)


def _positions(catalogue: PlainFile) -> Array:
    """Read the positions of a catalogue [degree], the brightest first."""
    table: Table = catalogue.table()
    found = sky_columns(table)
    if found is None:
        msg = (
            f"{catalogue} has the columns {', '.join(table.colnames)}; its positions "
            "must be in columns ra and dec [degree]"
        )
        raise ParameterError(msg)
    sky: Array = np.column_stack(
        [numbers_in(table, str(name), "catalogue", "deg") for name in found]
    )
    keep = np.isfinite(sky).min(axis=1)
    names = {name.lower(): name for name in table.colnames}
    key = next((n for n in _BRIGHTNESS if n in names), None)
    if key is not None:
        by = numbers_in(table, names[key], "catalogue", "mag")
        order = np.argsort(-by if key == "flux" else by, kind="stable")
        sky, keep = sky[order], keep[order]
    return np.asarray(sky[keep])


def _sky_of(ndd: NDLater) -> WCS | None:
    wcs = ndd.wcs
    return wcs if isinstance(wcs, WCS) and wcs.naxis == 2 else None


def _goal_on_sky(ndd: NDLater, where: str, sky: Array, margin: float) -> _Goal:
    """Give the stars of a catalogue that are on an image, or close to it."""
    wcs = _sky_of(ndd)
    if wcs is None or not wcs.has_celestial:
        msg = (
            f"{where} has no coordinates, not even rough ones, by which a catalogue "
            "could be compared with it; give it some, or an image as reference"
        )
        raise ParameterError(msg)
    places = _pixels(wcs, sky)
    middle = (np.array(ndd.shape[::-1]) - 1) / 2
    near = (np.abs(places - middle) < middle + 0.5 + margin).all(axis=1)
    places = places[near]
    none = np.zeros(len(places))
    return _Goal(
        name="the catalogue", places=places, variance=none, wcs=wcs, is_rough=True
    )


def _goal_in_image(
    ndd: NDLater, other: NDLater, name: str, threshold: float, fwhm: float | None
) -> _Goal:
    """Give the stars of a reference image."""
    theirs = _stars(other, name, threshold, fwhm)
    ours, target = _sky_of(ndd), _sky_of(other)
    # Where there are none, the pixels of the reference are the coordinates.
    wcs, places = target or _pixel_coordinates(), theirs.places
    is_rough = ours is not None and target is not None
    if ours is not None and target is not None:
        wcs, places = ours, _pixels(ours, target.all_pix2world(places, 0))
    keep = np.isfinite(places).all(axis=1)
    return _Goal(
        name=name,
        places=places[keep],
        variance=theirs.variance[keep],
        wcs=wcs,
        is_rough=is_rough,
        flux=theirs.flux[keep],
        level=_level(other),
    )


def _matched(stars: Array, goal: _Goal, where: str, near: float | None) -> Match:
    """Match stars with where they should be; StepError where they do not."""
    tries = [near] if near is not None else [_NEAR, None] if goal.is_rough else [None]
    for reach in tries:
        if (found := match_points(stars, goal.places, near=reach)) is not None:
            return found
    within = f" within {near:g} pixels" if near is not None else ""
    msg = (
        f"the {len(stars)} stars of {where} do not match the {len(goal.places)} of "
        f"{goal.name}{within}; is it the same field? Else lower the threshold for more "
        "stars, or give near as large as the coordinates may be wrong"
    )
    raise StepError(msg)


def _compare_light(ndd: NDLater, flux: Array, goal: _Goal, match: Match) -> None:
    """Note how bright stars and sky are, against the reference."""
    assert goal.flux is not None
    ratio = float(np.median(flux / goal.flux[match.second]))
    sky = _level(ndd) - ratio * goal.level
    ndd.meta["ALNFLUX"] = (round(ratio, 6), "flux of stars, relative to the reference")
    ndd.meta["ALNSKY"] = (round(sky, 4), "sky less that of the reference * ALNFLUX")
    qc(flux_ratio=round(ratio, 5))


def _level(ndd: NDLater) -> float:
    values = np.asarray(ndd.data, np.float64)
    return float(np.median(values[good_pixels(ndd)]))


def _pixels(wcs: WCS, world: Array) -> Array:
    """Give the pixels of positions; NaN where there are none."""
    with np.errstate(all="ignore"):
        return np.asarray(wcs.all_world2pix(world, 0, quiet=True), np.float64)


def _pixel_coordinates() -> WCS:
    """Make coordinates that are the pixels, counted from 1."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["LINEAR", "LINEAR"]
    wcs.wcs.cdelt = wcs.wcs.crpix = wcs.wcs.crval = [1.0, 1.0]
    return wcs


def _corrected(wcs: WCS, transform: Similarity) -> WCS:
    """Make the coordinates of pixels that a similarity takes to those of a WCS."""
    turn, shift = transform.turn, transform.shift
    matrix = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return transformed(wcs, matrix, np.array([shift.real, shift.imag]))


def _report(ndd: NDLater, match: Match, transform: Similarity) -> None:
    ny, nx = ndd.shape
    middle = np.array([[(nx - 1) / 2, (ny - 1) / 2]])
    dx, dy = (transform(middle) - middle)[0]
    ndd.meta["ALNSTARS"] = (len(match.first), "number of stars it is aligned by")
    if np.isfinite(match.rms):
        ndd.meta["ALNRMS"] = (
            round(match.rms, 4),
            "[pixel] std. deviation of them along an axis",
        )
        qc(rms=round(match.rms, 4))
    qc(
        stars=len(match.first),
        shift_x=round(float(dx), 4),
        shift_y=round(float(dy), 4),
        rotation=round(transform.angle, 5),
        scale=round(transform.scale, 7),
    )
