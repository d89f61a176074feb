"""
Static tables of MUSE, and the masters that muse_wavecal and muse_lsf would make.

Those two recipes need detectors with all of their rows.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, Table
from astropy.units import UnrecognizedUnit

from ndmapper.data import DataFile
from ndmapper.lib.simulate.eso import NIGHT, eso_header
from ndmapper.lib.simulate.muse.frames import MODE
from ndmapper.lib.simulate.muse.optics import (
    SLICE_ON_SKY,
    SLICES,
    slice_place,
    wavelength_polynomial,
)
from ndmapper.lib.simulate.muse.scene import LINE_WIDTH, SKY_LINES

__all__ = ["write_masters", "write_statics"]

# As the recipes want them to be spelt, which the FITS standard does not.
_FLUX = UnrecognizedUnit("erg/s/cm**2/Angstrom")
_LINE_FLUX = UnrecognizedUnit("erg/(s cm^2 arcsec^2)")
# Lines of neon: wavelength [Angstrom], strength, quality.
_NEON = (
    (6929.467, 1700.0, 5), (7032.413, 2300.0, 5), (7173.938, 500.0, 5),
    (7245.167, 1500.0, 5), (7438.898, 700.0, 5), (7488.871, 600.0, 3),
)  # fmt: skip
_IFUS = range(1, 25)

Columns = Mapping[str, Any]


def write_statics(folder: Path) -> dict[str, list[Path]]:
    """Write the static tables that recipes need, by tag."""
    wave = np.arange(3000.0, 10501.0, 25.0)
    star = 3e-13 * (wave / 7000.0) ** -2
    lines, fluxes = np.array(SKY_LINES).T
    neon, strength, quality = np.array(_NEON).T
    angstrom = Column(wave, unit="Angstrom")
    tables: dict[str, tuple[str, dict[str, Columns]]] = {
        "GEOMETRY_TABLE": ("geometry_table_wfm", {"": _geometry()}),
        "EXTINCT_TABLE": ("extinct_table", {"": {
            "lambda": angstrom,
            "extinction": Column(0.08 * (wave / 6000) ** -3 + 0.02, unit="mag"),
        }}),
        "FILTER_LIST": ("filter_list", {
            name: _band(start) for name, start in (("Sim_V", 5000.0), ("Sim_R", 6000.0))
        }),
        "STD_FLUX_TABLE": ("std_flux_table", {"SIM_STAR": {
            "lambda": angstrom, "flux": Column(star, unit=_FLUX),
            "fluxerr": Column(0.01 * star, unit=_FLUX),
        }}),
        "SKY_LINES": ("sky_lines", {"LINES": {
            "name": [f"OH {line:.0f}" for line in lines],
            "group": np.arange(len(lines), dtype="i4") // 4,
            "lambda": Column(lines, unit="Angstrom"),
            "flux": Column(fluxes, unit=_LINE_FLUX),
            "dq": np.zeros(len(lines), "i4"),
        }}),
        "LINE_CATALOG": ("line_catalog", {"": {
            "lambda": Column(neon, unit="Angstrom", dtype="f4"),
            "flux": strength.astype("f4"), "ion": ["NeI"] * len(_NEON),
            "quality": quality.astype("i4"),
        }}),
    }  # fmt: skip
    files = {}
    for tag, (name, contents) in tables.items():
        files[tag] = [folder / f"{name}.fits"]
        _write(files[tag][0], tag, contents)
    return files


def write_masters(
    folder: Path, ifus: Sequence[int], rows: int
) -> dict[str, list[Path]]:
    """Write the solutions of the wavelengths and the line profiles, by tag."""
    number = np.arange(1, SLICES + 1, dtype="i4")
    polynomial = wavelength_polynomial(rows)
    wave = {f"wlc{i}{j}": values for (i, j), values in polynomial.items()}
    files = {"WAVECAL_TABLE": [], "LSF_PROFILE": [folder / "LSF_PROFILE.fits"]}
    for ifu in ifus:
        path = folder / f"WAVECAL_TABLE-{ifu:02d}.fits"
        table = {"SliceNo": number, **wave, "MSE": np.full(SLICES, 1e-6)}
        _write(path, "WAVECAL_TABLE", {"": table}, EXTNAME=f"CHAN{ifu:02d}")
        files["WAVECAL_TABLE"].append(path)
    one = np.ones(len(_IFUS) * SLICES)
    profile = {
        "ifu": np.repeat(np.arange(1, 25, dtype="i4"), SLICES),
        "slice": np.tile(number, len(_IFUS)),
        "sensitivity": one, "offset": 0.0 * one, "refraction": one,
        "slit_width": Column(2.61 * one, unit="Angstrom"),
        "bin_width": Column(1.25 * one, unit="Angstrom"),
        # A constant and a linear term.
        "lsf_width": Column(
            np.stack([0.7 * LINE_WIDTH * one, 0.0 * one], axis=1), unit="Angstrom"
        ),
        **{f"hermit{n}": 0.0 * one for n in (3, 4, 5, 6)},
    }  # fmt: skip
    _write(files["LSF_PROFILE"][0], "LSF_PROFILE", {"SLICE_PARAM": profile})
    return files


def _geometry() -> Columns:
    """Return where each slice is in the field."""
    ifu, number = (a.ravel() for a in np.mgrid[1:25, :SLICES].astype("i4"))
    places = [slice_place(*place) for place in zip(ifu, number, strict=True)]
    x, y = np.array(places).T
    return {
        "SubField": ifu, "SliceCCD": number + 1,
        "SliceSky": np.tile(np.array(SLICE_ON_SKY, "i4"), len(_IFUS)),
        "x": Column(x, unit="pix"), "y": Column(y, unit="pix"),
        "angle": Column(0.0 * x, unit="deg"), "width": Column(0.0 * x + 75, unit="pix"),
    }  # fmt: skip


def _band(start: float) -> Columns:
    """Return a filter that is 1000 Angstrom wide."""
    edges = np.array([-10.0, 0.0, 10.0, 990.0, 1000.0, 1010.0])
    return {
        "lambda": Column(start + edges, unit="Angstrom"),
        "throughput": [0.0, 0.0, 1.0, 1.0, 0.0, 0.0],
    }


def _write(path: Path, tag: str, tables: Mapping[str, Columns], **cards: Any) -> None:
    """Write tables, by EXTNAME, with a primary header that says what they are."""
    eso = {"DPR TYPE": tag, "PRO CATG": tag, "PRO TYPE": "REDUCED", **MODE}
    header = eso_header("MUSE", NIGHT, 0.0, eso)
    header.update(cards)
    df = DataFile(path, meta=header, mode="overwrite")
    for name, columns in tables.items():
        table = df.tables[name or tag] = Table(dict(columns))
        # Where the star of a table of fluxes is.
        table.meta |= {key: header[key] for key in ("RA", "DEC")}
    path.parent.mkdir(parents=True, exist_ok=True)
    df.save()
