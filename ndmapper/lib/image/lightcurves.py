"""Light curves: fluxes of given stars in many frames, by time at the barycentre."""

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from astropy.table import Column, Table, vstack
from astropy.wcs import WCS

from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import ParameterError, UnitError
from ndmapper.lib.alike import check_alike
from ndmapper.lib.figures import new_figure
from ndmapper.lib.image.aperture import (
    Annulus,
    Apertures,
    catalogue_given,
    flux_columns,
)
from ndmapper.lib.image.catalogue import (
    instrumental_magnitudes,
    make_catalogue,
    numbers_in,
    read_catalogue,
    rows_of,
    sky_positions,
)
from ndmapper.lib.image.placing import measure_rows
from ndmapper.lib.times import Site, TimeIs, airmass_of, frame_time, site_of
from ndmapper.numerics.aperture import Level
from ndmapper.numerics.barycentre import barycentric_julian_date
from ndmapper.numerics.ensemble import differential, scatter_over_error
from ndmapper.steps import OfInstrument, Range, qc, run_task

__all__ = ["make_light_curves"]

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]

_MOST_DRAWN = 8
_SHIFTED = 1.0
"""Frames that are not aligned are on the same pixels within this [pixel]."""
_VARIABLE = 3.0
"""A comparison star that scatters more than this, by its error, is named."""


@run_task(
    each="list",
    outputs={"light_curves": "{root}_curves.ecsv"},
    cals=["sources"],
    options={"revision": 2},
)
def make_light_curves(
    files: DataFileList,
    sources: DataFile | None,
    *,
    comparison: Sequence[int] | None = None,
    radius: Annotated[float | None, Range(gt=0)] = None,
    annulus: Annulus = "auto",
    level: Level = "mean",
    clip: Annotated[float, Range(gt=0)] = 3.0,
    target: tuple[float, float] | None = None,
    site: Annotated[Site | None, OfInstrument()] = None,
    time_is: Annotated[TimeIs | None, OfInstrument()] = None,
    exposure: Annotated[float | None, Range(gt=0)] = None,
    mixed: str | Sequence[str] = ("exptime",),
) -> Table:
    """
    Measure given stars in many frames: ``make_light_curves(frames, sources=list)``.

    Parameters
    ----------
    files : DataFileList
        The frames, calibrated, best with variance.
    sources : DataFile
        The stars, as for `aperture_photometry`: a table with x and y, or with ra and
        dec alone. x and y are pixels of the first frame, and followed to the others by
        their coordinates where `align_images` made these; else the stars have to be on
        the same pixels of all frames. Its numbers (id) are those of its rows,
        from 1, unless it has its own.
    comparison : sequence of int, optional
        Numbers (id) of stars that are constant. With them there are differential
        magnitudes, relative to the mean of these stars.
    radius : float, optional
        As for `aperture_photometry`, and the same in all frames; so are the next ones.
    annulus : (float, float), 'auto' or None
        Inner and outer radius of the annulus of the background [pixel].
    level : {'mean', 'median'}
        What is taken of its pixels that are left by clipping.
    clip : float
        Limit of this clipping [standard deviations].
    target : (float, float), optional
        Right ascension and declination [degree, ICRS] of all stars; it is needed where
        neither the list nor the frames have celestial coordinates.
    site : (float, float, float) or 'geocentre', optional
        Where the telescope is: longitude to the east and latitude [degree], height [m].
        By default what the table of the instrument says under
        ``[steps.make_light_curves]``, or the header (OBSGEO-X, -Y, -Z, or what the
        descriptors longitude, latitude and height name).
    time_is : {'start', 'middle', 'end'}, optional
        What the time in headers is. By default DATE-AVG is the middle of an exposure,
        DATE-BEG and DATE-END are its limits, and any other is its start.
    exposure : float, optional
        Exposure time [s]; by default that of each header.
    mixed : str or sequence of str
        In what the frames may differ, by the names of descriptors, as for `combine`.
        Fluxes are not divided by the exposure time.

    Returns
    -------
    Table
        A row for each star and frame, by star and time: the columns of the list, those
        of `aperture_photometry`, and frame, bjd_tdb (the middle of the exposure, as it
        would be seen from the barycentre of the solar system), exposure, airmass (if
        headers have it), and dmag and dmag_error with comparison stars.

    Raises
    ------
    ParameterError
        If the list, a time, the site or a direction are missing, or it cannot be told
        what part of the exposure a time is; if comparison stars are not in the list; if
        frames differ in binning, filter or what else is not in ``mixed``.
    UnitError
        If units differ.
    """
    _check_frames(files, [mixed] if isinstance(mixed, str) else mixed)
    table = read_catalogue(catalogue_given(sources, "make_light_curves"))
    if "id" not in table.colnames:
        table.add_column(Column(np.arange(1, len(table) + 1), name="id"), index=0)
    chosen = _comparison(table, comparison)
    apertures = Apertures.chosen(table, radius, annulus, level=level, clip=clip)
    times = [frame_time(df, time_is=time_is, exposure=exposure) for df in files]
    places = [site_of(df, site) for df in files]
    parts = []
    for n in sorted(range(len(files)), key=lambda n: times[n].middle - times[0].middle):
        df, time, place = files[n], times[n], places[n]
        stars = _followed(table, files[0], df)
        found = _measured(df.copy(), stars, apertures)
        ra, dec = _directions(found, target, df)
        found["frame"] = df.filename.name if df.filename is not None else ""
        found["bjd_tdb"] = barycentric_julian_date(time.middle, ra, dec, place)
        found["exposure"], found["airmass"] = time.exposure, airmass_of(df)
        parts.append(found)
    result = _joined(parts)
    if comparison is not None:
        _add_differences(result, chosen, len(parts))
    result.meta = {
        "aperture_radius": apertures.radius,
        "annulus": None if apertures.annulus is None else list(apertures.annulus),
        "time": "; ".join(dict.fromkeys(t.source for t in times)),
        "comparison": np.asarray(table["id"])[chosen].tolist(),
    }
    log.info("times are those of %s", result.meta["time"])
    _report(result, len(parts), chosen)
    return result


def _check_frames(files: DataFileList, mixed: Sequence[str]) -> None:
    """Raise an error unless all files have images, of one setup and unit."""
    check_alike(files, mixed=mixed)
    names = [str(df.filename or f"frame {n}") for n, df in enumerate(files, start=1)]
    for df, name in zip(files, names, strict=True):
        if not len(df):
            msg = f"{name} has no image in which stars could be measured"
            raise ParameterError(msg)
        if df[0].unit != files[0][0].unit:
            msg = f"{name} is in {df[0].unit}, but {names[0]} in {files[0][0].unit}"
            raise UnitError(msg)


def _comparison(table: Table, wanted: Sequence[int] | None) -> npt.NDArray[np.int_]:
    """Find the rows of comparison stars."""
    known = np.asarray(table["id"]).tolist()
    if len(set(known)) < len(known):
        msg = "the list has several stars of the same id"
        raise ParameterError(msg)
    if wanted is None:
        return np.array([], int)
    missing = [one for one in wanted if one not in known]
    if missing or not wanted:
        msg = (
            f"comparison = {list(wanted)} has to be numbers (id) of the list, and "
            f"{missing or 'an empty one'} is not"
        )
        raise ParameterError(msg)
    return np.array([known.index(one) for one in wanted])


def _followed(table: Table, first: DataFile, df: DataFile) -> Table:
    """Give the list with the pixels of a frame that was aligned, as the first one."""
    if df is first or not {"x", "y"} <= set(table.colnames):
        return table
    result = table.copy()
    for name in ("x", "y"):
        result[name] = numbers_in(table, name, "list of stars")
    for ndd in df:
        origin = next((one for one in first if one.ident == ndd.ident), first[0])
        wcs, old = ndd.wcs, origin.wcs
        rows = rows_of(result, ndd)
        if not (isinstance(wcs, WCS) and isinstance(old, WCS) and rows.size):
            continue
        before = np.column_stack([result["x"][rows], result["y"][rows]])
        after = wcs.all_world2pix(old.all_pix2world(before, 0), 0, quiet=True)
        if "ALNSTARS" in ndd.meta and "ALNSTARS" in origin.meta:
            result["x"][rows], result["y"][rows] = after.T
        elif (shift := np.nanmax(np.abs(after - before))) > _SHIFTED:
            log.warning(
                "x and y are taken as pixels of each frame, though by its coordinates "
                "%s is shifted by up to %.1f pixels; give ra and dec alone, or use "
                "align_images before", df.filename or "a frame", shift,
            )  # fmt: skip
    return result


def _measured(df: DataFile, table: Table, apertures: Apertures) -> Table:
    """Measure a frame, with the sky positions of the stars where it has them."""

    def measure(ndd: NDLater, x: Array, y: Array, rows: Table) -> Mapping[str, Any]:
        columns = flux_columns(apertures.measure(ndd, x, y)[0])
        if (sky := sky_positions(ndd, x, y)) is not None:
            columns |= {"sky_ra": sky[0], "sky_dec": sky[1]}
        return columns

    return measure_rows(df, table, measure)


def _directions(
    table: Table, target: tuple[float, float] | None, df: DataFile
) -> tuple[Array, Array]:
    """Give the directions of the stars: of the list, of the frame, or one for all."""
    columns = [table.columns.pop(n, None) for n in ("sky_ra", "sky_dec")]
    if target is not None:
        if not (-360 <= target[0] <= 360 and -90 <= target[1] <= 90):
            msg = (
                "target is a right ascension and a declination [degree, ICRS], not "
                f"{target}"
            )
            raise ParameterError(msg)
        ra, dec = (np.full(len(table), float(one)) for one in target)
        return ra, dec
    if "ra" in table.colnames and "dec" in table.colnames:
        ra, dec = (numbers_in(table, n, "list of stars", "deg") for n in ("ra", "dec"))
        return ra, dec
    if columns[0] is None or columns[1] is None:
        msg = (
            f"neither the list has ra and dec, nor {df.filename or 'the frame'} "
            "celestial coordinates (WCS), so that the light travel time is not known; "
            "give target=(ra, dec) [degree]"
        )
        raise ParameterError(msg)
    return np.asarray(columns[0], np.float64), np.asarray(columns[1], np.float64)


def _joined(parts: list[Table]) -> Table:
    """Put the tables of frames, which are by time, together by star and time."""
    stars = len(parts[0])
    joined = vstack(parts, metadata_conflicts="silent")
    joined = joined[np.arange(len(joined)).reshape(-1, stars).T.ravel()]
    if not np.isfinite(joined["airmass"]).any():
        del joined["airmass"]
    names = [n for n in ("bjd_tdb", "exposure", "airmass") if n in joined.colnames]
    made = make_catalogue({name: joined[name] for name in names})
    for name in names:
        joined[name] = made[name]
    return joined


def _add_differences(table: Table, chosen: npt.NDArray[np.int_], frames: int) -> None:
    """Add magnitudes relative to the comparison stars."""
    flux, error = (
        np.asarray(table[name], np.float64).reshape(-1, frames).T
        for name in ("flux", "flux_error")
    )
    magnitude, error = instrumental_magnitudes(flux, error)
    usable = np.zeros(flux.shape, np.bool_)
    is_clean = np.asarray(table["flags"]).reshape(-1, frames).T == 0
    usable[:, chosen] = is_clean[:, chosen]
    if not (usable & np.isfinite(magnitude)).any():
        msg = "no comparison star is measured without flags in any frame"
        raise ParameterError(msg)
    difference, variance = differential(magnitude, error**2, usable)
    made = make_catalogue(
        {"dmag": difference.T.ravel(), "dmag_error": np.sqrt(variance).T.ravel()}
    )
    for name in made.colnames:
        table[name] = made[name]
    for star in chosen:
        ratio = scatter_over_error(difference[:, star], variance[:, star])
        if ratio > _VARIABLE and len(chosen) > 1:
            log.warning(
                "comparison star %s scatters by %.1f times its error; is it variable?",
                table["id"][star * frames], ratio,
            )  # fmt: skip


def _report(table: Table, frames: int, chosen: npt.NDArray[np.int_]) -> None:
    """Report how much stars scatter by their errors, and draw the light curves."""
    is_clean = np.asarray(table["flags"]).reshape(-1, frames) == 0
    names = (
        ("dmag", "dmag_error") if "dmag" in table.colnames else ("flux", "flux_error")
    )
    values, errors = (
        np.where(is_clean, np.asarray(table[n], np.float64).reshape(-1, frames), np.nan)
        for n in names
    )
    ratios = np.array(
        [scatter_over_error(v, e**2) for v, e in zip(values, errors, strict=True)]
    )
    qc(frames=frames, stars=len(values), flagged=int((~is_clean).sum()))
    for what, which in (("stars", ratios), ("comparison", ratios[chosen])):
        if np.isfinite(which).any():
            qc(**{f"scatter_over_error_of_{what}": float(np.nanmedian(which))})
    _draw(table, values, errors, ratios, names[0])


def _draw(table: Table, values: Array, errors: Array, ratios: Array, what: str) -> None:
    if (figure := new_figure()) is None:
        return
    curves, widths = figure.subplots(1, 2)
    frames = values.shape[1]
    times = np.asarray(table["bjd_tdb"], np.float64).reshape(-1, frames)
    first = np.floor(np.nanmin(times)) if np.isfinite(times).any() else 0.0
    for n in range(min(len(values), _MOST_DRAWN)):
        curves.errorbar(
            times[n] - first,
            values[n],
            errors[n],
            fmt=".",
            label=str(table["id"][n * frames]),
        )
    curves.set_xlabel(f"BJD_TDB - {first:.0f}")
    curves.set_ylabel(what)
    curves.legend(title="star")
    known = np.isfinite(ratios)
    if known.any():
        typical = np.nanmedian(errors[known], axis=1)
        widths.loglog(typical, ratios[known] * typical, "k.")
        limits = [np.min(typical), np.max(typical)]
        widths.loglog(limits, limits, color="0.6")
    widths.set_xlabel(f"error of {what}")
    widths.set_ylabel("scatter")
    figure.tight_layout()
    qc(figure=figure)
