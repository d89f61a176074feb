"""Little functions that several modules of tests use."""

import json
import linecache
import logging
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from ndmapper.data import DataFile, NDLater
from ndmapper.io.filemap import map_file
from ndmapper.io.hdu import array_header

REPOSITORY = Path(__file__).resolve().parents[1]


def files_in(folder):
    """List the names in a folder, hidden ones included."""
    return sorted(path.name for path in Path(folder).iterdir())


def hdu_names(path):
    """List EXTNAME and EXTVER of the HDUs of a file."""
    return [(hdu.name, hdu.version) for hdu in map_file(path).hdus]


def hdu_bytes(path):
    """List the bytes of the HDUs of a file, headers included."""
    return [hdu.read_bytes() for hdu in map_file(path).hdus]


def first_pixel(path):
    """Read the first pixel of the first extension with another reader."""
    with fits.open(path) as hdus:
        return float(hdus[1].data.flat[0])


def assert_same_data(first, second):
    """Compare all images and tables of two files, but their records, bit by bit."""

    def read(path):
        with fits.open(path) as hdus:
            return [
                (hdu.name, hdu.data.shape, hdu.data.tobytes())
                for hdu in hdus
                if hdu.data is not None and hdu.name != "NDM_RECORD"
            ]

    ours, theirs = read(first), read(second)
    assert ours
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    assert [row[0] for row, other in zip(ours, theirs, strict=True)
            if row != other] == []  # fmt: skip


def edit_pixel(path, value):
    """Change the first pixel of the first extension, and save the file."""
    df = DataFile(path, mode="update")
    df[0].data[0, 0] = value
    df.save()


def edit_pixel_elsewhere(path, value):
    """Change the first pixel of the first extension with another program."""
    with fits.open(path, mode="update") as hdus:
        hdus[1].data[0, 0] = value


def write_image(path, data=((1.0,),), cards=()):
    """Write a file of one image of floats, which is in the primary HDU."""
    hdu = fits.PrimaryHDU(np.asarray(data, dtype="f4"))
    hdu.header.update(cards)
    hdu.writeto(path)
    return path


def write_extensions(path, *extensions, primary=None, cards=()):
    """Write a file of image extensions, each given as (name, version, array)."""
    hdus = [fits.PrimaryHDU(primary)]
    hdus[0].header.update(cards)
    for name, version, array in extensions:
        hdu = fits.ImageHDU(np.asarray(array), name=name or None)
        if version is not None:
            hdu.header["EXTVER"] = version
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path)
    return path


def tangent_wcs(crpix=(5.5, 6), **more):
    """Make celestial coordinates in the tangent projection; more are set in wcs.wcs."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [10, 20], crpix
    wcs.wcs.cdelt = [-1e-4, 1e-4]
    for name, value in more.items():
        setattr(wcs.wcs, name, value)
    return wcs


def read_picture(path):
    """Read the pixels of a PNG file."""
    from matplotlib.image import imread

    return imread(path)


def read_document(path):
    """Read a document of JSON."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_document(path, document):
    """Write a document of JSON."""
    Path(path).write_text(json.dumps(document, indent=1), encoding="utf-8")


def run_here(text, path="script.py"):
    """Write a script, and run it in this process; its steps have a source."""
    Path(path).write_text(text)
    linecache.checkcache()
    runpy.run_path(str(path), run_name="__main__")


def run_as_user(script, *arguments, folder, verb=()):
    """
    Run a script in a folder, in a process of its own; warnings are errors there.

    ``verb`` is what stands before the script, ``('-m', 'ndmapper.cli', 'run')``.
    """
    env = {k: v for k, v in os.environ.items() if not k.startswith("NDMAPPER_")}
    env["PYTHONPATH"] = str(REPOSITORY)
    return subprocess.run(
        [sys.executable, "-W", "error", *verb, script, *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    )


def is_running(pid):
    """Tell whether a process runs, and is not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def empty_primary(header):
    """Give the bytes of a primary HDU of this header and no data."""
    return array_header(header, None, primary=True)


def open_descriptors():
    """Give the numbers of the files that this process has open."""
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def read_events(outdir="."):
    """Read the events that the steps of a folder have logged."""
    lines = Path(outdir, ".ndmapper", "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def products_warned_of(caplog):
    """List the products that warnings like ``"a.fits -> ba.fits: .."`` name."""
    return [
        record.getMessage().split(" -> ")[1].split(":")[0]
        for record in caplog.records
        if record.levelno == logging.WARNING
    ]


def wait_until(condition, seconds=120):
    """Wait until a condition is true, and give its value."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return found


def write_levels(name, values, **cards):
    """Write a file of small images, each of one value, with cards of its header."""
    df = DataFile(data=[NDLater(np.full((4, 4), float(v))) for v in values])
    df.meta.update(cards)
    df.save(name)


def levels_of(files):
    """Give the value of the first image of each member of a set."""
    return [float(df[0].data[0, 0]) for df in files.members]
