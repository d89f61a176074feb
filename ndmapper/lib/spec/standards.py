"""Spectrophotometric standard stars: their tables, by name and by position."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.table import Table

from ndmapper.errors import ParameterError, did_you_mean
from ndmapper.lib.spec.table_files import (
    column_of,
    facts_of,
    files_in,
    normalised,
    read_columns,
    wavelengths_in,
)
from ndmapper.numerics.air import vacuum_to_air

__all__ = ["StandardStar", "find_standard", "list_standards", "read_standard"]

Array = npt.NDArray[np.float64]

_LIGHT = 2.99792458e18
"""The velocity of light [Angstrom/s]."""

_AB = 48.60
"""Zero point of AB magnitudes (Oke and Gunn 1983, ApJ 266, 713)."""

_SAME_RANGE = 0.01
"""Tables that cover more of a spectrum by less than this part cover as much."""


@dataclass(frozen=True, kw_only=True)
class StandardStar:
    """
    Fluxes of a standard star.

    Parameters
    ----------
    name : str
        Name of the star.
    table : str
        Name of the table.
    wavelengths : ndarray of float
        Centres of bands, or of samples, in air [Angstrom], which rise.
    flux : ndarray of float
        The flux there [erg/s/cm2/Angstrom].
    widths : ndarray of float or None
        Widths of the bands [Angstrom]; None where the table does not say them.
    """

    name: str
    table: str
    wavelengths: Array
    flux: Array
    widths: Array | None

    @property
    def step(self) -> float:
        """The median distance of wavelengths [Angstrom]."""
        return float(np.median(np.diff(self.wavelengths)))


def list_standards(folder: str | Path | None = None) -> Table:
    """
    List the tables of standard stars.

    Parameters
    ----------
    folder : path, optional
        Folder with files, in place of those of the package.

    Returns
    -------
    Table
        Name of each table, star, other names, ra and dec [degree, ICRS; NaN where they
        are not known], source, and file.
    """
    files = files_in(folder, "standards")
    facts = [facts_of(path) for path in files]
    return Table(
        {
            "table": [path.stem for path in files],
            "star": [f.get("star", p.stem) for f, p in zip(facts, files, strict=True)],
            "names": [", ".join(f.get("names", ())) for f in facts],
            "ra": [float(f.get("ra", "nan")) for f in facts],
            "dec": [float(f.get("dec", "nan")) for f in facts],
            "source": [f.get("source", "") for f in facts],
            "file": [str(path) for path in files],
        },
        dtype=["U64", "U64", "U128", float, float, "U256", "U512"],
    )


def find_standard(
    name: str | None = None,
    *,
    near: tuple[float, float] | None = None,
    radius: float = 120.0,
    wavelengths: tuple[float, float] | None = None,
    folder: str | Path | None = None,
) -> Path:
    """
    Find the file of a standard star.

    Parameters
    ----------
    name : str, optional
        Name of the star in any spelling ('Feige 66', 'FEIGE-66'), of a table
        ('feige66_oke'), or the path of a file.
    near : (float, float), optional
        Right ascension and declination [degree, ICRS], which count where no star has
        the name. Not all stars of the package have coordinates.
    radius : float
        The star is no further from there than this [arcsec].
    wavelengths : (float, float), optional
        What the spectrum covers [Angstrom].
    folder : path, optional
        Folder with files to choose from, in place of those of the package.

    Returns
    -------
    Path
        The file. Of several tables of one star it is the one that covers most of
        `wavelengths`; of those that cover as much (to 1 percent), the one of the
        smallest steps of wavelength; and of those the first by name.

    Raises
    ------
    ParameterError
        If there is none, with similar names.
    """
    if name is not None and Path(name).is_file():
        return Path(name)
    known = list_standards(folder)
    if name is not None:
        if name in known["table"]:
            return Path(str(known["file"][known["table"] == name][0]))
        if found := _tables_of(name, known):
            return _best([Path(str(known["file"][n])) for n in found], wavelengths)
    if near is not None and (found := _rows_near(near, radius, known)):
        return _best([Path(str(known["file"][n])) for n in found], wavelengths)
    words = [str(star) for star in sorted(set(known["star"]))]
    place = "" if near is None else f" or within {radius:g} arcsec of {near}"
    msg = (
        f"no standard star is called {name!r}{place}; give standard= its name, or the "
        "path of a table of wavelength [Angstrom] and AB magnitude"
        f"{did_you_mean(name or '', words)}"
    )
    raise ParameterError(msg)


def read_standard(file: str | Path) -> StandardStar:
    """
    Read the fluxes of a standard star.

    Parameters
    ----------
    file : path
        ECSV or text with columns wavelength [Angstrom, in air] and magnitude [AB], and
        best width [Angstrom] of the bands, as of IRAF; or a FITS table of CALSPEC with
        WAVELENGTH [Angstrom, in vacuum] and FLUX [erg/s/cm2/Angstrom].

    Returns
    -------
    StandardStar
        Its fluxes.

    Raises
    ------
    ParameterError
        If it is no such table.
    """
    path = Path(file)
    is_fits = path.suffix.lower() == ".fits"
    wanted = ("flux",) if is_fits else ("magnitude", "width")
    table, names = read_columns(path, *wanted)
    wave = wavelengths_in(path, table, names["wavelength"])
    values = column_of(path, table, names[wanted[0]])
    if is_fits:
        wave, flux = vacuum_to_air(wave), values
    else:
        flux = 10 ** (-0.4 * (values + _AB)) * _LIGHT / wave**2
        # Tables of IRAF have 0 where there is no magnitude.
        flux = np.where(values == 0, np.nan, flux)
    order = np.argsort(wave, kind="stable")
    order = order[np.isfinite(wave[order]) & (flux[order] > 0)]
    order = order[np.diff(wave[order], prepend=-np.inf) > 0]
    if order.size < 2:
        msg = f"{path} has {order.size} wavelengths with a flux, and 2 are needed"
        raise ParameterError(msg)
    widths = None
    if "width" in names:
        widths = column_of(path, table, names["width"], u.AA)[order]
        if not (np.isfinite(widths) & (widths > 0)).all():
            widths = None
    return StandardStar(
        name=str(facts_of(path).get("star", path.stem)),
        table=path.stem,
        wavelengths=wave[order],
        flux=flux[order],
        widths=widths,
    )


def _tables_of(name: str, known: Table) -> list[int]:
    """List the rows of a star, by any of its names, to which something may be added."""
    wanted = normalised(name)
    names = [
        [normalised(one) for one in (row["star"], *row["names"].split(","))]
        for row in known
    ]
    found = [n for n, ours in enumerate(names) if wanted in ours and wanted]
    if found:
        return found
    # As in 'Feige 66 wide slit', but not Feige 660.
    begun = {
        n: max((len(x) for x in ours if x and _begins(wanted, x)), default=0)
        for n, ours in enumerate(names)
    }
    longest = max(begun.values(), default=0)
    return [n for n, length in begun.items() if length == longest > 0]


def _begins(text: str, name: str) -> bool:
    return text.startswith(name) and not text[len(name) :][:1].isdigit()


def _rows_near(near: tuple[float, float], radius: float, known: Table) -> list[int]:
    from astropy.coordinates import SkyCoord

    rows = np.flatnonzero(np.isfinite(known["ra"]))
    if not rows.size:
        return []
    stars = SkyCoord(known["ra"][rows], known["dec"][rows], unit="deg")
    distance = stars.separation(SkyCoord(*near, unit="deg")).arcsec
    nearest = np.min(distance)
    if nearest > radius:
        return []
    # All tables of the nearest star.
    return [int(n) for n in rows[distance < nearest + 1.0]]


def _best(files: Sequence[Path], wavelengths: tuple[float, float] | None) -> Path:
    """Choose a table by the range that it covers, and by its steps."""
    if len(files) == 1:
        return files[0]
    stars = [read_standard(file) for file in files]
    shares = [_covered(star, wavelengths) for star in stars]
    first = [n for n, x in enumerate(shares) if x >= max(shares) - _SAME_RANGE]
    return files[min(first, key=lambda n: (stars[n].step, stars[n].table))]


def _covered(star: StandardStar, wavelengths: tuple[float, float] | None) -> float:
    if wavelengths is None:
        return 1.0
    low, high = wavelengths
    inside = min(high, star.wavelengths[-1]) - max(low, star.wavelengths[0])
    return float(max(0.0, inside / (high - low)))
