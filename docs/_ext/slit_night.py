"""
The pictures of the tutorial, made by reducing a simulated night while Sphinx builds.

What is drawn is what a user sees: the figures of steps (`ndmapper qc`) and the previews
of `ndmapper show`. The night is that of ``examples/slit_night.py``.
"""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ndmapper import DataFile

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "slit_night.py"

FIGURES = {
    "arc": "slit0009_arc.fits-1.png",
    "sky": "sxfgvbslit0011.fits-1.png",
    "trace": "sxfgvbslit0011_trace.ecsv-1.png",
    "sensitivity": "slit0010_standard.fits-1.png",
}
"""Pictures that steps drew."""

FILES = {
    "raw": "raw/slit0011.fits",
    "flat": "slit0006_flat.fits",
    "extracted": "esxfgvbslit0011.fits",
    "calibrated": "galaxy.fits",
}
"""Pictures of files."""


def make(folder):
    """
    Reduce the night, and write the pictures.

    Parameters
    ----------
    folder : Path
        Where they go.
    """
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        run = [sys.executable, str(SCRIPT)]
        done = subprocess.run(
            run, cwd=work, check=False, capture_output=True, text=True
        )
        if done.returncode:
            msg = f"{SCRIPT.name} failed: {done.stderr[-2000:]}"
            raise RuntimeError(msg)
        for word, figure in FIGURES.items():
            drawn = work / ".ndmapper/figures" / figure
            shutil.copyfile(drawn, folder / f"{word}.png")
        with contextlib.chdir(work):  # for the names in the pictures
            for word, file in FILES.items():
                preview = DataFile(file).preview(size=800)
                preview.save(folder / f"{word}.png", overwrite=True)


def setup(app):
    """Have Sphinx make the pictures before it reads the pages."""
    app.connect("builder-inited", lambda app: make(Path(app.srcdir) / "pictures"))
    return {"parallel_read_safe": True}
