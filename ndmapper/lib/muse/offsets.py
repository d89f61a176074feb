"""Offsets of exposures of MUSE against a reference image, for their recipes."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.wcs import WCS

from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import MissingPackageError, ParameterError, StepError
from ndmapper.lib.figures import image_panel, report_panels
from ndmapper.lib.flagging import good_pixels
from ndmapper.lib.muse.offset_list import (
    Exposure,
    Row,
    exposure_of,
    offset_table,
    row_of,
)
from ndmapper.lib.muse.trials import Trial, decide_offset
from ndmapper.numerics.flux_comparison import FluxLine, fit_flux_line, measure_chunks
from ndmapper.numerics.image_offset import (
    ImageOffset,
    Registration,
    correlation_shift,
    phase_shift,
)
from ndmapper.steps import Range, qc, run_task

__all__ = ["measure_offsets"]

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_SIGNIFICANT = 5.0
"""An image must agree with the reference by so many standard deviations of noise."""

_WELL = 0.1
"""A flux scale whose relative error is larger is none."""


@dataclass(frozen=True, kw_only=True)
class _Image:
    """An image on the sky."""

    name: str
    values: Array
    good: Mask
    wcs: WCS
    unit: u.UnitBase | None

    @property
    def pixel(self) -> float:
        """Size of a pixel [arcsec]."""
        scales = np.sqrt(np.abs(np.linalg.det(self.wcs.pixel_scale_matrix)))
        return float(scales) * 3600

    @property
    def turn(self) -> int:
        """1 where position angles run from x towards y, as east is at the left."""
        return -1 if np.linalg.det(self.wcs.pixel_scale_matrix) > 0 else 1


@dataclass(frozen=True, kw_only=True)
class _Options:
    """What a call asks for."""

    measure: str
    reach: float
    turns: bool
    border: int
    sigma: float
    chunk: int
    least: float


@run_task(each="list", outputs="offsets", suffix="_measured_offsets")
def measure_offsets(
    files: DataFileList,
    *,
    reference: DataFile | None = None,
    measure: Literal["correlation", "phase", "none"] = "correlation",
    guess: DataFile | None = None,
    user: Mapping[str, Sequence[float]] | None = None,
    user_unit: Literal["arcsec", "pixel"] = "arcsec",
    rotation: bool = True,
    reach: Annotated[float, Range(gt=0)] = 10.0,
    border: Annotated[int, Range(ge=0)] = 10,
    smooth: Annotated[float, Range(gt=0)] = 1.5,
    common: bool = False,
    flux: Literal["fit", "none"] = "fit",
    chunk: Annotated[int, Range(ge=3)] = 15,
    least: Annotated[float, Range(gt=0, le=1)] = 0.3,
    pivot: Annotated[float | None, Range(gt=0)] = None,
) -> DataFile:
    """
    Measure the offsets of exposures against an image of their field.

    Parameters
    ----------
    files : DataFileList
        An image of each exposure, such as IMAGE_FOV of a filter.
    reference : DataFile, optional
        An image of the field through a similar filter, with the coordinates and
        brightness that are right. By default it is the first exposure.
    measure : {'correlation', 'phase', 'none'}
        What the offset is first found by: cross-correlation, or the phases of Fourier
        transforms (needs scikit-image); then it is fitted to all pixels. With
        ``'none'`` the offset is that of `guess` and `user`, and only brightness is
        compared.
    guess : DataFile, optional
        An OFFSET_LIST to begin with; its rows belong to the exposures of their date.
    user : mapping of str to sequence of float, optional
        Offsets to begin with, added to those of `guess`: ``{name: (east, north)}`` or
        ``(east, north, rotation)`` [`user_unit`; degree], where a name is that of a
        file, with or without ``.fits``, or a DATE-OBS. Of pixels they are in x and y.
    user_unit : {'arcsec', 'pixel'}
        Unit of these.
    rotation : bool
        Whether rotation is measured as well.
    reach : float
        Largest offset from what it begins with, along each axis [arcsec].
    border : int
        So many pixels at each edge are not used, but at most a tenth of the image.
    smooth : float
        Images are smoothed by a Gaussian of this standard deviation [pixel].
    common : bool
        Whether only that part of the field is compared which all exposures have.
    flux : {'fit', 'none'}
        Whether brightness and background are compared with those of the reference.
    chunk : int
        They are, by medians of squares of this side [pixel].
    least : float
        Squares with this part of good pixels are used.
    pivot : float, optional
        Pivot wavelength of the filter [Angstrom], where the reference is in units per
        frequency and the exposures per wavelength, or the other way round.

    Returns
    -------
    DataFile
        The OFFSET_LIST. RA_OFFSET (not multiplied by the cosine of the declination) and
        DEC_OFFSET are what exposures show, less what is right [degree], and ROTANGLE
        the same of position angles around the middle of the image [degree]. BACKGROUND
        is to be added to an exposure [its unit], and it is then to be multiplied by
        FLUX_SCALE, to have the brightness of the reference. A FLUX_SCALE of NaN, which
        recipes ignore, is not known.

    Raises
    ------
    StepError
        If an image does not agree with the reference.
    ParameterError
        If images lack what is needed, or a name is that of no exposure.

    Notes
    -----
    With ``interact=True`` trial offsets can be compared, accepted or cleared on the
    terminal; what is accepted is kept with the product, and holds until it is cleared.

    The image of better seeing is blurred before brightness is compared. The line is
    fitted by orthogonal distances.
    """
    images = [_image(df, "exposure") for df in files]
    exposures = [exposure_of(df) for df in files]
    _check_distinct(exposures)
    goal = _image(files[0] if reference is None else reference, "reference")
    if common:
        goal = _common(goal, images)
    given = _users(user, exposures)
    options = _Options(
        measure=measure, reach=reach, turns=rotation, border=border, sigma=smooth,
        chunk=chunk, least=least,
    )  # fmt: skip
    rows = []
    for n, (image, exposure) in enumerate(zip(images, exposures, strict=True)):
        start = _start(image, exposure, guess, given.get(exposure.name), user_unit)
        itself = reference is None and n == 0
        rows.append(
            _one(image, exposure, goal, start, options,
                 factor=_factor(goal, image, pivot) if flux == "fit" else None,
                 itself=itself)
        )  # fmt: skip
    made = DataFile(data=[], meta=files[0].meta.copy())
    made.meta["HIERARCH ESO PRO CATG"] = "OFFSET_LIST"
    made.tables["OFFSET_LIST"] = offset_table(
        exposures, rows, [_middle_dec(image) for image in images], before=guess
    )
    return made


def _image(df: DataFile, what: str) -> _Image:
    """Read the image of a file; ParameterError where it has none on the sky."""
    name = str(df.filename or what)
    if len(df) != 1 or len(df[0].shape) != 2:
        shapes = [tuple(ndd.shape) for ndd in df]
        msg = (
            f"the {what} {name} has arrays of shape {shapes}, and one image is needed, "
            "such as an IMAGE_FOV"
        )
        raise ParameterError(msg)
    ndd: NDLater = df[0]
    wcs = ndd.wcs
    if not isinstance(wcs, WCS) or wcs.naxis != 2 or not wcs.has_celestial:
        msg = f"the {what} {name} has no coordinates of the sky in its header"
        raise ParameterError(msg)
    good = good_pixels(ndd)
    if not good.any():
        msg = f"the {what} {name} has no good pixels"
        raise StepError(msg)
    return _Image(
        name=name, values=np.asarray(ndd.data, np.float64), good=good, wcs=wcs,
        unit=ndd.unit,
    )  # fmt: skip


def _check_distinct(exposures: Sequence[Exposure]) -> None:
    seen: dict[str, str] = {}
    for exposure in exposures:
        if exposure.date in seen:
            msg = (
                f"{seen[exposure.date]} and {exposure.name} are of one exposure, of "
                f"{exposure.date}; give one image of each"
            )
            raise ParameterError(msg)
        seen[exposure.date] = exposure.name


def _users(
    user: Mapping[str, Sequence[float]] | None, exposures: Sequence[Exposure]
) -> dict[str, tuple[float, float, float]]:
    """Give offsets of the user by the name of the exposure."""
    found = {}
    for key, value in (user or {}).items():
        names = [e.name for e in exposures if key in (e.name, e.stem, e.date)]
        if len(names) != 1 or len(value) not in (2, 3):
            wrong = "names no exposure" if not names else "names several exposures"
            if len(names) == 1:
                wrong = f"has {len(value)} numbers, not two or three,"
            known = ", ".join(e.stem for e in exposures)
            msg = f"{key!r} in user {wrong}; the exposures are {known}"
            raise ParameterError(msg)
        east, north, *turn = (float(number) for number in value)
        found[names[0]] = (east, north, turn[0] if turn else 0.0)
    return found


def _start(
    image: _Image,
    exposure: Exposure,
    guess: DataFile | None,
    user: tuple[float, float, float] | None,
    unit: str,
) -> Row:
    """Give the offset that an exposure begins with [arcsec; degree]."""
    row = row_of(guess, exposure) if guess is not None else None
    before = Row.of_table(row, _middle_dec(image)) if row is not None else Row()
    if guess is not None and row is None:
        log.warning("%s has no row for %s", guess, exposure.name)
    if user is None:
        return before
    east, north, angle = user
    if unit == "pixel":
        east, north = _on_sky(image, east, north)
    return before.moved(east, north, angle)


def _middle(image: _Image) -> Array:
    return (np.array(image.values.shape[::-1]) - 1) / 2


def _middle_dec(image: _Image) -> float:
    return float(image.wcs.all_pix2world([_middle(image)], 0)[0, 1])


def _on_sky(image: _Image, dx: float, dy: float) -> tuple[float, float]:
    """Turn a shift of pixels, from the middle, into one on the sky [arcsec]."""
    middle = _middle(image)
    here, there = image.wcs.all_pix2world([middle, middle + np.array([dx, dy])], 0)
    east = (there[0] - here[0] + 180) % 360 - 180
    return (
        float(east * np.cos(np.radians(here[1])) * 3600),
        float((there[1] - here[1]) * 3600),
    )


def _offset_of(image: _Image, row: Row) -> ImageOffset:
    """Turn an offset on the sky into the one of pixels that corrects it."""
    middle = _middle(image)
    here = image.wcs.all_pix2world([middle], 0)[0]
    right = [
        here[0] - row.east / 3600 / np.cos(np.radians(here[1])),
        here[1] - row.north / 3600,
    ]
    dx, dy = image.wcs.all_world2pix([right], 0)[0] - middle
    return ImageOffset(dx=float(dx), dy=float(dy), angle=-image.turn * row.angle)


def _row_of(image: _Image, offset: ImageOffset) -> Row:
    """Turn an offset of pixels into what the exposure shows, less what is right."""
    east, north = _on_sky(image, offset.dx, offset.dy)
    return Row(
        # No negative zeros.
        east=0.0 - east, north=0.0 - north, angle=0.0 - image.turn * offset.angle,
        error=offset.shift_error * image.pixel, angle_error=offset.angle_error,
        correlation=offset.correlation,
    )  # fmt: skip


def _mapping(image: _Image, goal: _Image) -> Any:
    """Take pixels of an image to those of the reference, by their coordinates."""

    def mapping(x: Array, y: Array) -> tuple[Array, Array]:
        ra, dec = image.wcs.all_pix2world(x, y, 0)
        with np.errstate(all="ignore"):
            right, above = goal.wcs.all_world2pix(ra, dec, 0, quiet=True)
        return np.asarray(right, np.float64), np.asarray(above, np.float64)

    return mapping


def _common(goal: _Image, images: Sequence[_Image]) -> _Image:
    """Keep of the reference what all images have, by their coordinates as they are."""
    y, x = np.indices(goal.values.shape, np.float64)
    good = goal.good.copy()
    for image in images:
        u_, v_ = _mapping(goal, image)(x.ravel(), y.ravel())
        ny, nx = image.values.shape
        inside = (u_ > -0.5) & (u_ < nx - 0.5) & (v_ > -0.5) & (v_ < ny - 0.5)
        column = np.rint(np.where(inside, u_, 0)).astype(int)
        row = np.rint(np.where(inside, v_, 0)).astype(int)
        good &= (inside & image.good[row, column]).reshape(good.shape)
    if not good.any():
        msg = (
            f"no part of the field of {goal.name} is in all {len(images)} images; "
            "leave out those of other pointings, or give common=False"
        )
        raise StepError(msg)
    return _Image(
        name=goal.name, values=goal.values, good=good, wcs=goal.wcs, unit=goal.unit
    )


def _factor(goal: _Image, image: _Image, pivot: float | None) -> float | None:
    """Give what the reference is multiplied by to have the unit of an image, if any."""
    if goal.unit == image.unit:
        return 1.0
    if goal.unit is not None and image.unit is not None:
        how = [] if pivot is None else u.spectral_density(pivot * u.AA)
        try:
            return float(goal.unit.to(image.unit, equivalencies=how))
        except u.UnitConversionError:
            pass
    hint = "" if pivot is not None else ", perhaps with pivot"
    log.warning(
        "%s is in %s, and the reference %s in %s, so that FLUX_SCALE stays open; give "
        "a reference whose unit can be converted%s",
        image.name, image.unit, goal.name, goal.unit, hint,
    )  # fmt: skip
    return None


def _inner(image: _Image, border: int) -> Mask:
    """Leave out a border, of at most a tenth of the image."""
    good = np.ones_like(image.good)
    for axis, n in enumerate(good.shape):
        width = min(border, n // 10)
        if width:
            view = np.moveaxis(good, axis, 0)
            view[:width] = view[n - width :] = False
    return good


def _one(
    image: _Image,
    exposure: Exposure,
    goal: _Image,
    start: Row,
    options: _Options,
    *,
    factor: float | None,
    itself: bool,
) -> Row:
    """Measure one exposure, and report it."""
    registration = Registration(
        image.values, image.good, goal.values, goal.good,
        _mapping(image, goal), sigma=options.sigma, inner=_inner(image, options.border),
    )  # fmt: skip
    begin = _offset_of(image, start)
    if itself:
        measured = ImageOffset(correlation=1.0)
    elif options.measure == "none":
        measured = begin
    else:
        measured = _measured(registration, image, goal, begin, options)
    row = _row_of(image, measured)

    def judge(trial: Trial) -> float:
        where = _offset_of(image, Row(*trial))
        return _correlation(registration, where)

    chosen = decide_offset(exposure.stem, row.trial, judge)
    if chosen is not None:
        row = Row(*chosen)
        measured = _offset_of(image, row)
        row = row.judged(_correlation(registration, measured))
    # Pixels tell how much the seeing differs, also where they do not tell the place.
    if not itself and (chosen is not None or options.measure == "none"):
        measured = _with_blur(registration, measured)
    cross = (row.east - start.east, row.north - start.north)
    line = None
    if itself and factor is not None:
        row = row.bright(1.0, 0.0, (0.0, 0.0), valid=1.0, scatter=0.0)
    elif factor is not None:
        line, valid = _brightness(registration, measured, options, factor, image)
        if line is not None:
            row = row.bright(
                line.slope, line.background, (line.slope_error, line.background_error),
                valid=valid, scatter=line.scatter,
            )  # fmt: skip
    row = row.crossed(*cross)
    if not itself:
        ours, theirs, good = _alike(registration, measured)
        _report(exposure, row, line, (ours, theirs * (factor or 1.0), good))
    return row


def _measured(
    registration: Registration,
    image: _Image,
    goal: _Image,
    begin: ImageOffset,
    options: _Options,
) -> ImageOffset:
    """Find an offset, and refuse what does not tell."""
    reach = options.reach / image.pixel
    ours, theirs = registration.on_grid(begin)
    if options.measure == "phase":
        try:
            found = phase_shift(ours, theirs)
        except ImportError as err:
            msg = "measure='phase' needs scikit-image: pip install ndmapper[muse]"
            raise MissingPackageError(msg) from err
    else:
        found = correlation_shift(ours, theirs, reach)
    where = f"{image.name} against {goal.name}"
    hint = (
        "is it the same field? Else give a larger reach, or the offset by user or "
        "guess with measure='none'"
    )
    if found is None:
        msg = f"{where} has no shift within {options.reach:g} arcsec that fits; {hint}"
        raise StepError(msg)
    start = _added(begin, found)
    try:
        result = registration.refine(start, turns=options.turns)
    except ValueError as err:
        msg = f"the offset of {where} cannot be measured: {err}; {hint}"
        raise StepError(msg) from err
    away = max(abs(result.dx - begin.dx), abs(result.dy - begin.dy))
    if away > reach + 1 or not result.significance > _SIGNIFICANT:
        msg = (
            f"the images of {where} do not agree: the correlation is "
            f"{result.correlation:.2f} ({result.significance:.1f} standard deviations) "
            f"at a shift of {away * image.pixel:.2f} arcsec, where {_SIGNIFICANT:g} "
            f"and at most {options.reach:g} are asked for; {hint}"
        )
        raise StepError(msg)
    return result


def _added(begin: ImageOffset, found: ImageOffset) -> ImageOffset:
    """Join an offset, and a shift that was measured of pixels before it."""
    turn = np.radians(begin.angle)
    return ImageOffset(
        dx=begin.dx + float(np.cos(turn) * found.dx - np.sin(turn) * found.dy),
        dy=begin.dy + float(np.sin(turn) * found.dx + np.cos(turn) * found.dy),
        angle=begin.angle,
    )


def _correlation(registration: Registration, offset: ImageOffset) -> float:
    """Give the correlation coefficient of image and reference at an offset."""
    ours, theirs = registration.on_grid(offset)
    good = ours.good & theirs.good
    if good.sum() < 3:
        return float("nan")
    pair = ours.values[good], theirs.values[good]
    if not min(np.std(values) for values in pair) > 0:
        return float("nan")
    return float(np.corrcoef(*pair)[0, 1])


def _with_blur(registration: Registration, offset: ImageOffset) -> ImageOffset:
    """Add how much the seeing differs; none where the pixels do not tell."""
    try:
        found = registration.refine(offset)
    except ValueError:
        return offset
    away = np.hypot(found.dx - offset.dx, found.dy - offset.dy)
    return replace(offset, blur=found.blur) if away < 1 else offset


def _alike(
    registration: Registration, offset: ImageOffset
) -> tuple[Array, Array, Mask]:
    """Give image and reference on one grid, with the same seeing."""
    sigma = registration.sigma
    ours = registration.image_at(
        sigma=float(np.sqrt(sigma**2 + max(0.0, -offset.blur)))
    )
    theirs, known = registration.reference_at(
        offset, sigma=float(np.sqrt(sigma**2 + max(0.0, offset.blur)))
    )
    return ours.values, theirs, ours.good & known


def _brightness(
    registration: Registration,
    offset: ImageOffset,
    options: _Options,
    factor: float,
    image: _Image,
) -> tuple[FluxLine | None, float]:
    """Compare brightness and background; None where chunks do not tell."""
    ours, theirs, good = _alike(registration, offset)
    chunks = measure_chunks(
        ours, theirs * factor, good, size=options.chunk, least=options.least
    )
    try:
        line = fit_flux_line(chunks)
    except ValueError as err:
        reason = str(err)
    else:
        if line.slope > 0 and line.slope_error < _WELL * line.slope:
            return line, chunks.valid
        reason = f"it is {line.slope:.3g} +- {line.slope_error:.2g}"
    log.warning("FLUX_SCALE of %s is not known: %s", image.name, reason)
    return None, chunks.valid


def _report(
    exposure: Exposure,
    row: Row,
    line: FluxLine | None,
    alike: tuple[Array, Array, Mask],
) -> None:
    """Report numbers, and draw image, reference and what differs."""
    name = exposure.stem
    numbers = {
        "east": row.east, "north": row.north, "rotation": row.angle,
        "error": row.error, "correlation": row.correlation,
    }  # fmt: skip
    if line is not None:
        numbers |= {
            "flux_scale": row.flux_scale, "background": row.background,
            "valid_chunks": row.valid, "flux_scatter": row.scatter,
        }  # fmt: skip
    qc(
        **{
            f"{k}[{name}]": float(f"{v:.6g}")
            for k, v in numbers.items()
            if np.isfinite(v)
        }
    )
    ours, theirs, good = alike
    if line is not None:
        ours = line.slope * (ours + line.background)
    shown = np.where(good, ours, np.nan), np.where(good, theirs, np.nan)
    level = np.nanpercentile(shown[1], 97) if good.any() else np.nan
    outline = {"reference": _edges(np.nan_to_num(shown[1], nan=-np.inf) > level)}
    report_panels(
        [image_panel(shown[0], f"{name}, contour of the reference", outline),
         image_panel(shown[0] - shown[1], "less the reference", {})],
        f"{name}: {row.east:+.3f} east, {row.north:+.3f} north [arcsec], "
        f"{row.angle:+.3f} degree",
    )  # fmt: skip


def _edges(inside: Mask) -> Mask:
    """Give the pixels at the edge of regions."""
    from scipy.ndimage import binary_erosion

    return np.asarray(inside & ~binary_erosion(inside))
