"""Line lists: those of the package by name, and those of the user as files."""

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.table import Table

from ndmapper.data import DataFile
from ndmapper.errors import ParameterError, did_you_mean
from ndmapper.lib.image.catalogue import read_catalogue
from ndmapper.lib.spec.axis import Medium
from ndmapper.lib.spec.table_files import files_in
from ndmapper.numerics.air import air_to_vacuum, vacuum_to_air
from ndmapper.numerics.identification import LineList

__all__ = ["find_line_list", "join_lists", "known_lists"]

_SAME = 0.005
"""Lines of several lists that are nearer than this are the same [Angstrom]."""

_COLUMNS = ("wavelength", "wave", "lambda", "col1")


def known_lists() -> list[str]:
    """Give the names of the lists of the package."""
    tables = files("ndmapper.lib.spec") / "tables" / "lines"
    names = (entry.name for entry in tables.iterdir())
    return sorted(name.removesuffix(".ecsv") for name in names if "ecsv" in name)


def find_line_list(name: str, folder: str | Path | None = None) -> Path:
    """
    Find the file of a line list, in a folder of the user or in the package.

    ``make_wavelengths(arc, line_list=find_line_list("CuNe", "~/lists"))`` identifies
    the lines of an arc by a list of that folder.

    Parameters
    ----------
    name : str
        Name of the list, which is that of the file without its type, in any case.
    folder : path, optional
        Folder with files (ecsv, dat, txt, csv, fits), in place of those of the package.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    MissingFileError
        If there is no such folder.
    ParameterError
        If there is no such list, with what there is.
    """
    place = None if folder is None else Path(folder).expanduser()
    files = {path.stem.lower(): path for path in files_in(place, "lines")}
    if name.lower() in files:
        return files[name.lower()]
    where = "the package" if place is None else str(place)
    known = [path.stem for path in files.values()]
    listed = did_you_mean(name, known) if known else "; it has no tables"
    msg = f"there is no line list {name!r} in {where}{listed}"
    raise ParameterError(msg)


def join_lists(
    names: Sequence[str], medium: Medium, own: DataFile | None = None
) -> LineList:
    """
    Give the lines of some lists of the package, and of one of the user.

    Names of several elements without a list of their own, such as HgCd or Hg-Cd, are
    taken apart.

    Raises
    ------
    ParameterError
        If a list is not known, or does not tell whether its wavelengths are in air.
    """
    known = known_lists()
    tables = [_of_package(name) for n in names for name in _parts(n, known)]
    if own is not None:
        tables.append(read_catalogue(own, "line list"))
    if not tables:
        msg = (
            "nothing tells which lines the lamps of the arc have: give lines=, such as "
            f"['He', 'Hg'] (there are {', '.join(known)}), or line_list='lines.ecsv'"
        )
        raise ParameterError(msg)
    return _joined([_lines_of(table, medium, str(own)) for table in tables])


def _parts(name: str, known: Sequence[str]) -> list[str]:
    """Find the lists that a name means."""
    by_case = {k.lower(): k for k in known}
    if name.lower() in by_case:
        return [by_case[name.lower()]]
    symbols = re.findall(r"[A-Z][a-z]?", name)
    rest = re.sub(r"[A-Z][a-z]?|[-+ ,/IV]", "", name)
    if symbols and not rest and all(s in known for s in symbols):
        return symbols
    msg = (
        f"there is no line list {name!r}{did_you_mean(name, known)}; give one of your "
        "own as line_list='lines.ecsv', or one of a folder by find_line_list"
    )
    raise ParameterError(msg)


def _of_package(name: str) -> Table:
    folder = files("ndmapper.lib.spec") / "tables" / "lines"
    text = (folder / f"{name}.ecsv").read_text("utf-8")
    return Table.read(text, format="ascii.ecsv")


def _lines_of(table: Table, medium: Medium, name: str) -> LineList:
    """Read wavelengths, in the medium that is asked for, and strengths."""
    column = next((c for c in _COLUMNS if c in table.colnames), None)
    if column is None:
        msg = (
            f"the line list {name} has no column 'wavelength'; it has "
            f"{', '.join(table.colnames)}"
        )
        raise ParameterError(msg)
    values = np.asarray(table[column], np.float64)
    unit = table[column].unit or u.AA
    values = values * u.Unit(unit).to(u.AA)
    own = _medium_of(table, name)
    if own != medium:
        values = vacuum_to_air(values) if medium == "air" else air_to_vacuum(values)
    strengths = None
    if "strength" in table.colnames:
        strengths = np.asarray(table["strength"], np.float64)
    return LineList(values, strengths)


def _medium_of(table: Table, name: str) -> str:
    """Find what the wavelengths of a list are in: of its metadata or comments."""
    stated = table.meta.get("medium")
    comments = " ".join(map(str, table.meta.get("comments", ()))).lower()
    if stated is None and ("medium" in comments):
        words = re.findall(r"medium\W+(air|vacuum)", comments)
        stated = words[0] if words else None
    if stated not in ("air", "vacuum"):
        msg = (
            f"the line list {name} does not tell whether its wavelengths are in air or "
            "in vacuum: write 'medium: air' or 'medium: vacuum' into its metadata, or "
            "'# medium: air' above the lines of a text"
        )
        raise ParameterError(msg)
    return str(stated)


def _joined(lists: Sequence[LineList]) -> LineList:
    """Join lists; lines that several of them have are taken once."""
    wavelengths = np.concatenate([one.wavelengths for one in lists])
    strengths = np.concatenate([_strengths(one) for one in lists])
    order = np.argsort(wavelengths, kind="stable")
    wavelengths, strengths = wavelengths[order], strengths[order]
    is_new = np.concatenate([[True], np.diff(wavelengths) > _SAME])
    wavelengths, strengths = wavelengths[is_new], strengths[is_new]
    known: npt.NDArray[Any] = np.isfinite(strengths)
    return LineList(wavelengths, strengths if known.any() else None)


def _strengths(one: LineList) -> npt.NDArray[np.float64]:
    """Give strengths, NaN where they are not known."""
    if one.strengths is None:
        return np.full(len(one.wavelengths), np.nan)
    return np.where(one.strengths > 0, one.strengths, np.nan)
