"""Extinction of the atmosphere above observatories."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.errors import ParameterError, did_you_mean
from ndmapper.lib.spec.table_files import (
    column_of,
    facts_of,
    files_in,
    read_columns,
    wavelengths_in,
)

__all__ = ["ExtinctionCurve", "extinction_for", "find_extinction", "read_extinction"]

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]

_NEAR = 50.0
"""A curve of a site within so many kilometres is that of the telescope."""

_RADIUS = 6371.0

_MOST = 20.0
"""No atmosphere through which stars are seen takes more [mag/airmass]."""


@dataclass(frozen=True, kw_only=True)
class ExtinctionCurve:
    """
    Extinction by wavelength.

    Parameters
    ----------
    name : str
        Name of the table.
    wavelengths : ndarray of float
        Wavelengths in air [Angstrom], which rise.
    magnitudes : ndarray of float
        Extinction for each unit of airmass [mag].
    """

    name: str
    wavelengths: Array
    magnitudes: Array

    def at(self, wavelengths: npt.ArrayLike) -> Array:
        """
        Interpolate the extinction.

        Parameters
        ----------
        wavelengths : array_like
            Wavelengths in air [Angstrom].

        Returns
        -------
        ndarray of float
            Magnitudes for each unit of airmass; beyond the ends of the table those of
            its ends, of which there is a warning.
        """
        values = np.asarray(wavelengths, np.float64)
        beyond = (values < self.wavelengths[0]) | (values > self.wavelengths[-1])
        if beyond.any():
            log.warning(
                "the extinction of %s goes from %.0f to %.0f Angstrom; beyond, the "
                "values of its ends are taken",
                self.name, self.wavelengths[0], self.wavelengths[-1],
            )  # fmt: skip
        return np.interp(values, self.wavelengths, self.magnitudes)


def find_extinction(
    name: str | None = None,
    *,
    site: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
) -> Path:
    """
    Find the file of an extinction curve, by its name or by the site.

    Parameters
    ----------
    name : str, optional
        Name of a curve: apo, ctio, kpno, lapalma, mko, mtham, paranal; or the path of a
        file.
    site : mapping, optional
        The site (``longitude`` to the east, ``latitude`` [degree]), for the curve of an
        observatory within 50 km.
    folder : path, optional
        Folder with files to choose from, in place of those of the package.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ParameterError
        If there is none, with those that there are.
    """
    if name is not None and Path(name).is_file():
        return Path(name)
    files = {path.stem.lower(): path for path in files_in(folder, "extinction")}
    known = ", ".join(files) or "none"
    if name is not None:
        if (found := files.get(name.lower())) is not None:
            return found
        msg = (
            f"there is no extinction curve {name!r}; give one of {known}, 'none', or "
            "the path of a file with columns wavelength [Angstrom] and extinction "
            f"[mag/airmass]{did_you_mean(name, files)}"
        )
        raise ParameterError(msg)
    if site is not None:
        distances = {
            path: _distance(site, facts_of(path))
            for path in files.values()
            if "longitude" in facts_of(path)
        }
        if distances and min(distances.values()) < _NEAR:
            return min(distances, key=lambda path: distances[path])
    where = "" if site is None else " within 50 km of the telescope"
    msg = (
        f"there is no extinction curve{where}; give extinction= one of {known}, the "
        "path of a file, or 'none'"
    )
    raise ParameterError(msg)


def read_extinction(file: str | Path) -> ExtinctionCurve:
    """
    Read an extinction curve.

    Parameters
    ----------
    file : path
        ECSV or text with columns wavelength [Angstrom] and extinction [mag/airmass].

    Returns
    -------
    ExtinctionCurve
        The curve.

    Raises
    ------
    ParameterError
        If it is no such table.
    """
    table, names = read_columns(file, "extinction")
    wavelengths = wavelengths_in(file, table, names["wavelength"])
    magnitudes = column_of(file, table, names["extinction"])
    order = np.argsort(wavelengths)
    order = order[np.isfinite(wavelengths[order]) & np.isfinite(magnitudes[order])]
    if order.size < 2:
        msg = f"{file} has {order.size} wavelengths with an extinction; 2 are needed"
        raise ParameterError(msg)
    low, high = np.min(magnitudes[order]), np.max(magnitudes[order])
    if low < 0 or high > _MOST:
        msg = (
            f"{file} has extinctions from {low:g} to {high:g}, and 0 to {_MOST:g} "
            "magnitudes for each unit of airmass are possible"
        )
        raise ParameterError(msg)
    return ExtinctionCurve(
        name=Path(file).stem,
        wavelengths=wavelengths[order],
        magnitudes=magnitudes[order],
    )


def extinction_for(
    name: str | None, spectrograph: Mapping[str, Any] | None
) -> ExtinctionCurve | None:
    """Read the curve of a name, else of an instrument's table; None for 'none'."""
    stated = spectrograph or {}
    name = name or stated.get("extinction")
    if name == "none":
        return None
    return read_extinction(find_extinction(name, site=stated.get("site")))


def _distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Give the distance of two sites [km]."""
    (l1, b1), (l2, b2) = (
        np.radians([float(x["longitude"]), float(x["latitude"])]) for x in (one, other)
    )
    half = np.sin((b1 - b2) / 2) ** 2
    half += np.cos(b1) * np.cos(b2) * np.sin((l1 - l2) / 2) ** 2
    return float(2 * _RADIUS * np.arcsin(np.sqrt(half)))
