"""
A recipe of ESO, a function, an IRAF task and a program, in one script.

    python four_engines.py [SIGMA]      (of the smoothing, in pixels)

Works in the current folder, on frames that it simulates there. It needs esorex with
the pipeline of HAWK-I, IRAF with PyRAF, and source-extractor.
"""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np

from ndmapper import DataFileList, config, qc, run_task
from ndmapper.lib.simulate import simulate_hawki_darks, simulate_hawki_stars
from ndmapper.steps import Range

SIGMA = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
config["reprocess"] = "auto"  # made again is only what differs from what is there
if not Path("raw").is_dir():
    simulate_hawki_darks("raw", number=5, size=128)
    simulate_hawki_stars("raw", number=2, size=128)
Path("columns.param").write_text("NUMBER\nX_IMAGE\nY_IMAGE\nFLUX_AUTO\n")


@run_task(prefix="d", cals=["dark"])
def subtract_dark(ndd, dark):
    """Subtract the dark, and say how bright the sky is."""
    qc(sky=float(np.median(ndd.data - dark.data)))
    return ndd - dark


@run_task("images.imfilter.gauss", inputs="input", outputs="output", prefix="g")
def smooth(*, sigma: Annotated[float, Range(gt=0)] = 1.0):
    """Smooth with a Gaussian."""
    return {"sigma": sigma}


@run_task(
    "command:source-extractor", inputs="in", outputs="out", suffix="_cat",
    argv=["{in}", "-c", "/usr/share/source-extractor/default.sex", "-FILTER", "N",
          "-CATALOG_TYPE", "FITS_1.0", "-CATALOG_NAME", "{out}",
          "-PARAMETERS_NAME", "{columns}", "-DETECT_THRESH", "{threshold}"],
    version=["source-extractor", "--version"],
)  # fmt: skip
def detect(*, threshold: Annotated[float, Range(gt=0)] = 5.0):
    """Find stars."""
    return {"threshold": threshold, "columns": Path("columns.param")}


darks = DataFileList("raw/*DARK*.fits")
master = run_task(
    "esorex:hawki_dark_combine", inputs={"DARK": darks},
    outputs={"MASTER_DARK": "master_dark.fits"},
)["MASTER_DARK"][0]  # fmt: skip
images = smooth(subtract_dark("raw/*OBJECT*.fits", dark=master), sigma=SIGMA)
for df in detect(images):
    print(df, "has", sum(len(table) for table in df.tables.values()), "sources")
