"""Files of tables of wavelengths: those of the package, and those of folders."""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.table import Table
from astropy.table.meta import get_header_from_yaml

from ndmapper.errors import MissingFileError, ParameterError

__all__ = [
    "column_of",
    "facts_of",
    "files_in",
    "normalised",
    "read_columns",
    "wavelengths_in",
]

Array = npt.NDArray[np.float64]

_LONGEST = 2000.0
"""A table whose wavelengths end before is not in Angstrom."""

_ENDINGS = (".ecsv", ".dat", ".txt", ".csv", ".fits")
_WAVELENGTH = ("wavelength", "wave", "lambda")


def files_in(folder: str | Path | None, kind: str) -> list[Path]:
    """List the files of tables of a folder, or those of the package of a kind."""
    if folder is None:
        place = Path(__file__).with_name("tables") / kind
    elif not (place := Path(folder)).is_dir():
        msg = f"{folder} is no folder, and tables of {kind} are looked for there"
        raise MissingFileError(msg)
    return sorted(p for p in place.iterdir() if p.suffix.lower() in _ENDINGS)


@lru_cache(maxsize=2048)
def facts_of(path: Path) -> Mapping[str, Any]:
    """Read what the header of an ECSV file says; nothing of files of other forms."""
    if path.suffix.lower() != ".ecsv":
        return {}
    lines = []
    with path.open() as file:
        for line in file:
            if not line.startswith("# "):
                break
            lines.append(line[2:])
    found: Mapping[str, Any] = get_header_from_yaml(lines[1:]).get("meta") or {}
    return found


def normalised(name: str) -> str:
    """
    Reduce a name of a star to what its spellings have in common.

    Case, spaces and signs do not count, nor do zeros before a number, or the word
    standard: 'Feige 66', 'FEIGE-66' and 'feige066' are one.
    """
    text = re.sub(r"\b(standard|std|specphot|star)\b", "", name.lower())
    text = re.sub(r"[^a-z0-9]", "", text)
    text = re.sub(r"(?<=[a-z])0+(?=\d)", "", text)
    # BD+28d4211 and BD+28 4211
    return re.sub(r"^((?:bd|cd|cpd)\d\d)d(?=\d)", r"\1", text)


def read_columns(path: str | Path, *wanted: str) -> tuple[Table, dict[str, str]]:
    """
    Read a table, and find which of its columns are wavelengths and what is wanted.

    Columns of a text without names are those in order: the wavelength first.

    Raises
    ------
    ParameterError
        If the file cannot be read as a table, or the first wanted column is missing.
    """
    path = Path(path)
    kind = {".ecsv": "ascii.ecsv", ".fits": "fits"}.get(path.suffix.lower())
    try:
        table = (
            Table.read(path, format=kind)
            if kind is not None
            else Table.read(path, format="ascii", comment="#")
        )
    except Exception as err:  # of any reader of astropy
        reason = str(err).strip().partition("\n")[0]
        msg = f"{path} cannot be read as a table of wavelengths: {reason}"
        raise ParameterError(msg) from err
    names = {name.lower(): name for name in table.colnames}
    wavelength = next((names[n] for n in _WAVELENGTH if n in names), None)
    if wavelength is None:
        # No line of names: all columns of a text are numbers, called col1, ...
        keys = ("wavelength", *wanted)
        found = dict(zip(keys, table.colnames, strict=False))
    else:
        found = {name: names[name] for name in wanted if name in names}
        found["wavelength"] = wavelength
    if not set(wanted[:1]) <= set(found) or not len(table):
        msg = (
            f"{path} has columns {', '.join(table.colnames)}, and needs wavelength "
            f"[Angstrom] and {wanted[0] if wanted else 'values'}"
        )
        raise ParameterError(msg)
    return table, found


def column_of(
    path: str | Path, table: Table, name: str, wanted: u.UnitBase | None = None
) -> Array:
    """
    Give the numbers of a column, in a unit if the column says its own.

    Raises
    ------
    ParameterError
        If there are texts.
    """
    try:
        values = np.ma.asarray(table[name], dtype=np.float64)
    except (TypeError, ValueError) as err:
        msg = f"the column {name} of {path} has to have numbers: {err}"
        raise ParameterError(msg) from err
    found = np.asarray(np.ma.filled(values, np.nan), np.float64)
    unit = table[name].unit
    if unit is not None and wanted is not None:
        stated = u.Unit(unit, parse_strict="silent")
        if stated.is_equivalent(wanted):
            found = found * stated.to(wanted)
    return found


def wavelengths_in(path: str | Path, table: Table, name: str) -> Array:
    """
    Give the wavelengths of a column [Angstrom], which may have another unit of length.

    Raises
    ------
    ParameterError
        If there are texts, or numbers that are in another unit, which is not said.
    """
    values = column_of(path, table, name, u.AA)
    longest = np.nanmax(values, initial=0.0)
    if longest < _LONGEST:
        msg = (
            f"the wavelengths of {path} have to be in Angstrom, and the longest is "
            f"{longest:g}; say the unit of the column in an ECSV file, or convert them"
        )
        raise ParameterError(msg)
    return values
