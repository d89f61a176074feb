"""Sky of MUSE beyond its recipes: modified, normalised, and as a calibration."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from ndmapper.data import DataFile, DataFileList, FileSet
from ndmapper.errors import ParameterError, StepError, did_you_mean
from ndmapper.lib.muse.offset_list import exposure_of, row_of
from ndmapper.lib.muse.recipes import create_sky, scipost
from ndmapper.steps import qc, run_task

__all__ = [
    "autocalibration_factors",
    "create_modified_sky",
    "keep_atmospheric_lines",
    "normalise_sky_continuum",
    "zero_continuum",
]

Array = npt.NDArray[np.float64]

_SODIUM = (5800.0, 5970.0)
"""Light of the laser guide stars is in this range [Angstrom]."""

_COVERED = 0.99
"""A continuum must cover this part of the light that a filter lets through."""


def _table(df: DataFile, what: str, *columns: str) -> tuple[str, Table]:
    """Find the table of a file that has some columns."""
    for name, table in df.tables.items():
        if set(columns) <= set(table.colnames):
            return name, table
    found = {name: list(table.colnames) for name, table in df.tables.items()}
    msg = (
        f"{df} is no {what}: it needs a table with {', '.join(columns)}, and its "
        f"tables are {found or 'none'}"
    )
    raise ParameterError(msg)


@run_task(each="file", suffix="_zero")
def zero_continuum(df: DataFile) -> DataFile:
    """
    Set the continuum of the sky to zero.

    Parameters
    ----------
    df : DataFile
        A SKY_CONTINUUM.

    Returns
    -------
    DataFile
        The same, without flux.

    Raises
    ------
    ParameterError
        If the file is no SKY_CONTINUUM.
    """
    made = df.copy()
    name, table = _table(df, "SKY_CONTINUUM", "lambda", "flux")
    table = table.copy()
    table["flux"] = np.zeros_like(table["flux"])
    made.tables[name] = table
    return made


@run_task(each="file", suffix="_atmosphere")
def keep_atmospheric_lines(
    df: DataFile, *, names: Sequence[str] = ("O2", "OH")
) -> DataFile:
    """
    Keep only those lines of the sky that no target emits.

    Parameters
    ----------
    df : DataFile
        SKY_LINES, as `create_sky` fits them.
    names : sequence of str
        Lines whose names begin so are kept.

    Returns
    -------
    DataFile
        The same, with fewer lines.

    Raises
    ------
    ParameterError
        If the file is no SKY_LINES.
    StepError
        If no line is left.
    """
    made = df.copy()
    name, table = _table(df, "SKY_LINES", "name", "lambda", "flux")
    lines = [str(line).strip() for line in table["name"]]
    keep = np.array([line.startswith(tuple(names)) for line in lines], np.bool_)
    if not keep.any():
        msg = (
            f"no line of {df} has a name that begins with {' or '.join(names)}; they "
            f"are {', '.join(lines[:8]) or 'none'}"
        )
        raise StepError(msg)
    made.tables[name] = table[keep]
    qc(lines=int(keep.sum()), left_out=int((~keep).sum()))
    return made


def create_modified_sky(
    frames: DataFile | DataFileList | FileSet,
    *,
    names: Sequence[str] = ("O2", "OH"),
    **parameters: Any,
) -> dict[str, Any]:
    """
    Find the sky where the target fills the field, by atmospheric lines alone.

    Parameters
    ----------
    frames : DataFile, DataFileList or FileSet
        Pixel tables, with their calibrations, as for `recipes.create_sky`.
    names : sequence of str
        Lines whose names begin so are taken to be of the atmosphere.
    **parameters : object
        Parameters of `recipes.create_sky`.

    Returns
    -------
    dict of str to DataFile
        SKY_CONTINUUM, which is zero, SKY_LINES and SKY_MASK, for `recipes.scipost` with
        ``skymethod='subtract-model'``.

    Raises
    ------
    StepError
        If a recipe fails, or no line is left.

    Notes
    -----
    The sky is created twice: with a continuum of zero the second time, so that all
    light is in lines; and then only those of the atmosphere are kept, so that neither
    continuum nor emission of the target is subtracted [1]_.

    References
    ----------
    .. [1] P. Zeidler et al., 2019, Astronomical Journal 158, 201.
    """
    first = create_sky(
        frames,
        **{tag: f"{{base}}_first_{tag.lower()}.fits"
           for tag in ("SKY_CONTINUUM", "SKY_LINES", "SKY_MASK")},
        **parameters,
    )  # fmt: skip
    zero = zero_continuum(first["SKY_CONTINUUM"])
    second = create_sky(frames, continuum=zero, **parameters)
    lines = keep_atmospheric_lines(second["SKY_LINES"], names=tuple(names))
    return {
        "SKY_CONTINUUM": zero, "SKY_LINES": lines, "SKY_MASK": second["SKY_MASK"],
    }  # fmt: skip


@run_task(each="file", suffix="_normalised")
def normalise_sky_continuum(
    df: DataFile,
    *,
    exposure: DataFile,
    offsets: DataFile,
    filters: DataFile | None = None,
    band: str = "white",
) -> DataFile:
    """
    Scale the continuum of the sky by the background that an exposure is left with.

    Parameters
    ----------
    df : DataFile
        The SKY_CONTINUUM that was subtracted from the exposure.
    exposure : DataFile
        The exposure: any file of it, since its date tells.
    offsets : DataFile
        The OFFSET_LIST that `measure_offsets` made of images of `band`; its BACKGROUND
        is what the exposure lacks, and so what was subtracted too much.
    filters : DataFile, optional
        A FILTER_LIST, for any band but ``'white'``.
    band : str
        The filter of the images.

    Returns
    -------
    DataFile
        The continuum times 1 - B / S, with B the background and S the mean of the
        continuum in the band. With laser guide stars, their range is left out of S.

    Raises
    ------
    ParameterError
        If there is no background of the exposure, or no such filter.
    StepError
        If the continuum does not cover the band, or the result would be negative.
    """
    name, table = _table(df, "SKY_CONTINUUM", "lambda", "flux")
    this = exposure_of(exposure)
    row = row_of(offsets, this)
    if row is None or "BACKGROUND" not in row:
        what = "row" if row is None else "BACKGROUND"
        msg = f"{offsets} has no {what} of {this.name}, of {this.date}"
        raise ParameterError(msg)
    wavelengths = np.asarray(table["lambda"], np.float64)
    flux = np.asarray(table["flux"], np.float64)
    through = _throughput(wavelengths, filters, band, df)
    if _has_lasers(exposure):
        through = np.where(
            (wavelengths > _SODIUM[0]) & (wavelengths < _SODIUM[1]), 0.0, through
        )
    through = np.where(np.isfinite(flux), through, 0.0)
    weight = float(np.trapezoid(through, wavelengths))
    total = float(np.trapezoid(through * np.where(through > 0, flux, 0), wavelengths))
    if not weight > 0 or not total > 0:
        msg = (
            f"the continuum of {df} has no light in the band {band}, so that a "
            "background cannot be expressed in it"
        )
        raise StepError(msg)
    level = total / weight
    factor = 1 - row["BACKGROUND"] / level
    if not factor > 0:
        msg = (
            f"the background {row['BACKGROUND']:.4g} of {this.name} is more than the "
            f"sky's continuum {level:.4g} in {band}; was it subtracted from this one?"
        )
        raise StepError(msg)
    qc(sky_factor=round(factor, 6), sky_level=float(f"{level:.6g}"))
    made = df.copy()
    table = table.copy()
    table["flux"] = flux * factor
    made.tables[name] = table
    made.meta["SKYFACT"] = (
        round(factor, 8),
        "continuum multiplied by, by its background",
    )
    return made


def _throughput(
    wavelengths: Array, filters: DataFile | None, band: str, df: DataFile
) -> Array:
    """Give the throughput of a filter, where a continuum is known."""
    if band == "white":
        return np.ones_like(wavelengths)
    known = [] if filters is None else list(filters.tables)
    if filters is None or band not in known:
        hint = did_you_mean(band, known)
        msg = f"the filter {band!r} is in no FILTER_LIST that was given{hint}; "
        msg += f"filters={filters or 'None'} has {', '.join(known) or 'none'}"
        raise ParameterError(msg)
    curve = filters.tables[band]
    at = np.asarray(curve["lambda"], np.float64)
    through = np.asarray(curve["throughput"], np.float64)
    inside = (at >= wavelengths[0]) & (at <= wavelengths[-1])
    found = np.interp(wavelengths, at, through, left=0.0, right=0.0)
    covered = float(np.trapezoid(found, wavelengths)) / float(np.trapezoid(through, at))
    if covered < _COVERED or not inside.any():
        msg = (
            f"{df} covers {wavelengths[0]:.0f} to {wavelengths[-1]:.0f} Angstrom, only "
            f"{covered:.0%} of the filter {band}; give one of the whole range"
        )
        raise StepError(msg)
    return np.asarray(found, np.float64)


def _has_lasers(exposure: DataFile) -> bool:
    return "-AO-" in str(exposure.meta.get("HIERARCH ESO INS MODE", ""))


def autocalibration_factors(
    frames: DataFile | DataFileList | FileSet,
    *,
    step: Callable[..., Any] = scipost,
    **parameters: Any,
) -> Any:
    """
    Find the AUTOCAL_FACTORS of exposures of the sky, for those of a target.

    Parameters
    ----------
    frames : DataFile, DataFileList or FileSet
        Pixel tables of the sky, given as PIXTABLE_OBJECT, with their calibrations; of
        these a SKY_MASK tells what is sky.
    step : callable
        The step, `recipes.scipost`.
    **parameters : object
        Its parameters.

    Returns
    -------
    FileSet, or list of these
        The factors, for ``autocalib='user'`` with ``autocal=...``.

    Raises
    ------
    StepError
        If the recipe fails, or makes no factors.
    """
    words = {"autocalib": "deepfield", "skymethod": "none",
             "saved": "cube,individual,autocal"} | parameters  # fmt: skip
    made = step(frames, **words)
    found = made["AUTOCAL_FACTORS"]
    if not found or any(len(one) == 0 for one in found if isinstance(one, FileSet)):
        msg = (
            f"the recipe made no AUTOCAL_FACTORS of {frames}: a SKY_MASK must say "
            "what is sky (mask=...)"
        )
        raise StepError(msg)
    return found
