"""
The HDUs that hold coordinates besides those in the header.

Of the FITS distortion paper: images WCSDVARR and D2IMARR, to which CPDISi and D2IMDISi
refer; and of paper III: tables with the coordinates of -TAB axes, named by PSi_0.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from astropy.io import fits

from ndmapper.io.cards import UnreadableCardError
from ndmapper.io.converted import open_array
from ndmapper.io.filemap import LOOKUP_NAMES, HduMap
from ndmapper.io.headers import Header

__all__ = [
    "TableReference",
    "hdu_list",
    "moved_lookup",
    "read_lookup",
    "references",
    "tab_table",
]


class TableReference(NamedTuple):
    """A reference of a header to an HDU that holds coordinates."""

    name: str
    version: int  # its EXTVER
    axis: int  # the axis that it corrects; 0 for a table of -TAB axes
    keyword: str  # which keyword of the header has the version


def references(header: Header) -> list[TableReference]:
    """List the HDUs with coordinates that a header refers to."""
    found: list[TableReference] = []
    for keyword in dict.fromkeys(header):
        if keyword.startswith(("CPDIS", "D2IMDIS")) and keyword[-1:].isdigit():
            if _text(header, keyword).upper() != "LOOKUP":
                continue
            is_prior, axis = keyword.startswith("CPDIS"), keyword[-1]
            key = f"{'DP' if is_prior else 'D2IM'}{axis}.EXTVER"
            name = LOOKUP_NAMES[0 if is_prior else 1]
            found.append(TableReference(name, _version(header, key), int(axis), key))
        elif keyword.startswith("PS") and keyword.partition("_")[2][:1] == "0":
            axis = keyword[2:].partition("_")[0]
            letter = keyword[-1] if keyword[-1].isalpha() else ""
            name = _text(header, keyword)
            if axis.isdigit() and name and _is_tab(header, f"CTYPE{axis}{letter}"):
                key = f"PV{axis}_1{letter}"
                found.append(TableReference(name, _version(header, key), 0, key))
    return found


def _is_tab(header: Header, keyword: str) -> bool:
    return _text(header, keyword).upper().endswith("-TAB")


def _text(header: Header, keyword: str) -> str:
    try:
        return str(header.get(keyword, "")).strip()
    except UnreadableCardError:
        return ""


def _version(header: Header, keyword: str) -> int:
    try:
        return int(header.get(keyword, 1))
    except (UnreadableCardError, ValueError, TypeError):
        return 1


def read_lookup(hdu: HduMap) -> Any:
    """Read a lookup table."""
    return fits.ImageHDU(open_array(hdu).read(), hdu.header.copy())


def moved_lookup(table: Any, axes: Sequence[tuple[int, int, int]], axis: int) -> Any:
    """Make the lookup table of a section."""
    data, header = table.data, table.header.copy()
    if axes[0][0] == 2:
        data = data.T
        for name in ("CRPIX", "CRVAL", "CDELT"):
            default = 1.0 if name == "CDELT" else 0.0
            one, two = (header.get(f"{name}{n}", default) for n in (1, 2))
            header[f"{name}1"], header[f"{name}2"] = two, one
    for n, (_, start, step) in enumerate(axes[:2], start=1):
        if (start, step) != (0, 1):
            header[f"CRVAL{n}"] = (header.get(f"CRVAL{n}", 0.0) - 1 - start) / step + 1
        if step != 1:
            header[f"CDELT{n}"] = header.get(f"CDELT{n}", 1.0) / step
    if (step := axes[axis - 1][2]) != 1:
        data = data / np.float32(step)  # the corrections are in pixels as well
    return fits.ImageHDU(np.ascontiguousarray(data), header)


def tab_table(column: str, values: Any) -> Any:
    """Make the table of one -TAB axis, which has the coordinate of each index."""
    array = np.asarray(values, np.float64)[np.newaxis]
    return fits.BinTableHDU.from_columns(
        [fits.Column(column, f"{array.size}D", array=array)]
    )


def hdu_list(tables: Sequence[tuple[TableReference, Any]]) -> Any:
    """Assemble HDUs in the form in which astropy.wcs looks for them."""
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for reference, table in tables:
        hdu = fits.BinTableHDU.fromstring(table) if isinstance(table, bytes) else table
        hdu.header["EXTNAME"], hdu.header["EXTVER"] = reference[:2]
        hdu.name, hdu.ver = reference[:2]
        hdus.append(hdu)
    return hdus
