"""IRAF's long-slit tasks by run_task, with the parameters of bench_peers.py."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

from ndmapper import run_task
from ndmapper.data import DataFile, DataFileList
from ndmapper.iraf_task import read_db

APALL: dict[str, Any] = {
    "apextract_dispaxis": 1, "interactive": False, "recenter": False, "resize": False,
    "edit": False, "fittrace": False, "review": False, "format": "multispec",
    "line": 200, "nsum": 10, "t_nsum": 10, "t_step": 10, "t_function": "legendre",
    "t_order": 3, "lower": -12.0, "upper": 12.0, "background": "fit",
    "b_function": "chebyshev", "b_order": 1, "b_naverage": 1, "b_niterate": 0,
    "b_sample": "-25:-15,15:25", "extras": True, "gain": 1.0, "weights": "none",
}  # fmt: skip
"""Parameters of apall; radius and background are those that the others have."""

ONEDSPEC = "noao.onedspec"


def apall(files: Any, prefix: str, **words: Any) -> DataFileList:
    """Extract; without `references` the brightest object is found and traced."""
    own = "references" not in words
    return run_task(
        "noao.twodspec.apextract.apall", inputs={"input": files},
        outputs={"output": "@input"}, prefix=prefix,
        **APALL | {"find": own, "nfind": 1, "trace": own} | words,
    )["output"]  # fmt: skip


def autoidentify(arcs: DataFileList, centre: float, step: float, **words: Any) -> None:
    """Identify lines, by those of the file lines.dat; the answer is in the database."""
    run_task(
        f"{ONEDSPEC}.autoidentify", inputs={"images": arcs}, outputs={}, crval=centre,
        cdelt=step, coordlist=Path("lines.dat"), interactive=False,
        **{"function": "chebyshev", "order": 4, "units": "angstroms", "fwidth": 4.0,
           "cradius": 5.0, "threshold": 50.0} | words,
    )  # fmt: skip


def wavelengths_of(entry: str, columns: int) -> np.ndarray:
    """Give the wavelengths of all columns by an entry of the database."""
    *_, last = read_db(f"database/{entry}")
    _, _, low, high, *terms = last.numbers("coefficients")
    x = np.arange(1, columns + 1)
    return np.asarray(chebyshev.chebval((2 * x - low - high) / (high - low), terms))


def dispcor(files: DataFileList) -> DataFileList:
    """Rebin to linear wavelengths, by the entry that REFSPEC1 names."""
    return run_task(
        f"{ONEDSPEC}.dispcor", inputs={"input": files}, outputs={"output": "@input"},
        prefix="d", linearize=True, flux=True,
    )["output"]  # fmt: skip


def sensfunc(star: DataFile, table: Path, order: int = 8) -> DataFile:
    """Find the sensitivity by a star, whose table of AB magnitudes is a file."""
    common = {"extinction": "", "observatory": "lick"}
    bands = run_task(
        f"{ONEDSPEC}.standard", inputs={"input": star},
        outputs={"output": "{root}_std.dat"},
        params={
            **common, "caldir": f"{table.parent.resolve()}/", "star_name": table.stem,
            "interact": False, "answer": "no", "airmass": star.meta["AIRMASS"],
            "exptime": star.meta["EXPTIME"], "fnuzero": 10 ** (-0.4 * 48.6),
        },
    )["output"]  # fmt: skip
    made = run_task(
        f"{ONEDSPEC}.sensfunc", inputs={"standards": bands},
        outputs={"sensitivity": f"sens_{star.filename.base}.fits"},
        params={
            **common, "newextinction": "", "interactive": False, "answer": "no",
            "ignoreaps": True, "function": "spline3", "order": order, "logfile": "",
            "graphs": "",
        },
    )["sensitivity"]  # fmt: skip
    return made[0]


def calibrate(spectrum: DataFile, sensitivity: DataFile) -> DataFile:
    """Divide by the sensitivity, without extinction."""
    made = run_task(
        f"{ONEDSPEC}.calibrate", inputs={"input": spectrum},
        outputs={"output": "@input"}, prefix="k",
        params={
            "extinct": False, "extinction": "", "flux": True, "ignoreaps": True,
            "sensitivity": sensitivity, "observatory": "lick", "fnu": False,
            "airmass": spectrum.meta["AIRMASS"], "exptime": spectrum.meta["EXPTIME"],
        },
    )["output"]  # fmt: skip
    return made[0]
