"""Little functions that several modules of tests use."""

import json
import logging
import time
from pathlib import Path

from astropy.io import fits

from ndmapper.io.filemap import map_file


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
        return float(hdus[1].data[0, 0])


def read_document(path):
    """Read a document of JSON."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_document(path, document):
    """Write a document of JSON."""
    Path(path).write_text(json.dumps(document, indent=1), encoding="utf-8")


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
