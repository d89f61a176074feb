"""
Damaged files: each opens, or fails with an error of ndmapper's own that names it.

Whole and sound files are damaged at random, with fixed seeds: bits flipped, cut short,
blocks swapped, repeated, zeroed, and digits of headers changed. NDMAPPER_FUZZ says how
many times: 25000 is the full count.
"""

import bz2
import gzip
import logging
import os
import re
import zlib
from functools import partial
from pathlib import Path

import astropy
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ndmapper.calibrations import survey
from ndmapper.cli.command import make_parser
from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.io.digest import digest
from ndmapper.steps import run_task
from ndmapper.testing import make_mef

MUTATIONS = int(os.environ.get("NDMAPPER_FUZZ", "1000"))
CHUNKS = 8
RECORD = "record"
PARSER = make_parser()
SAMPLES = Path(astropy.__path__[0]) / "io/fits/tests/data"
NAMES = (
    "ascii.fits", "btable.fits", "scale.fits", "tdim.fits",
    "variable_length_table.fits", "random_groups.fits",
    "compressed_image.fits", "lzw.fits.Z", "blank.fits",
)  # fmt: skip


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Give the names and bytes of small sound files of many forms."""
    folder = tmp_path_factory.mktemp("sound")
    make_mef(folder / "mef.fits", n_ext=2)
    mef = (folder / "mef.fits").read_bytes()
    pixels = np.random.default_rng(7).normal(10, 2, (16, 20))
    for algorithm in ("RICE_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1"):
        data = np.abs(pixels).astype("i4")
        hdu = fits.CompImageHDU(
            data, compression_type=algorithm, tile_shape=(8, 10), name="SCI"
        )
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(folder / f"{algorithm}.fits")
    hdu = fits.CompImageHDU(pixels.astype("f4"), quantize_method=1)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(folder / "quantised.fits")
    image = fits.ImageHDU(pixels.astype("f4"), sky_header(), name="SCI")
    errors = fits.ImageHDU(np.sqrt(np.abs(pixels)), name="ERR")
    flags = fits.ImageHDU((pixels > 12).astype("u2"), name="DQ")
    fits.HDUList([fits.PrimaryHDU(), image, errors, flags]).writeto(
        folder / "errors.fits"
    )
    rows = Table({"a": [1, 2], "b": ["x", "y"], "c": [[1.0, 2.0], [3.0, 4.0]]})
    fits.HDUList([fits.PrimaryHDU(), fits.table_to_hdu(rows)]).writeto(
        folder / "rows.fits"
    )
    found = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    found["mef.fits.gz"] = gzip.compress(mef, mtime=0)
    found["mef.fits.bz2"] = bz2.compress(mef)
    made = run_task(lambda ndd: ndd * 2, prefix="r")
    with config.using(outdir=str(folder), logfile=None):
        made(folder / "mef.fits")
    record = (folder / "rmef.fits").read_bytes()
    found["record.fits"] = record
    # Most of it is its record, which then takes most of the damage.
    found["record_alone.fits"] = (
        record[:2880] + record[record.find(b"NDM_RECORD") // 2880 * 2880 :]
    )
    for name in NAMES:
        found[name] = (SAMPLES / name).read_bytes()[: 40 * 2880]
    return sorted(found.items())


def sky_header():
    """Give world coordinates with a distortion, and a unit."""
    cards = {
        "BUNIT": "electron/s", "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP",
        "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 8.0, "CRPIX2": 10.0,
        "CD1_1": -1e-4, "CD1_2": 1e-6, "CD2_1": 1e-6, "CD2_2": 1e-4, "RADESYS": "ICRS",
        "A_ORDER": 2, "A_2_0": 1e-6, "B_ORDER": 2, "B_0_2": 1e-6,
        "CCDSEC": "[1:20,1:16]", "DATE-OBS": "2026-01-01T00:00:00",
    }  # fmt: skip
    return fits.Header(cards)


def mutated(content, rng):
    """Damage a file."""
    content = bytearray(content)
    kind = rng.choice(["bits", "header", "digit", "cut", "swap", "repeat", "zero"])
    size = len(content)
    blocks = size // 2880
    if kind == "bits":
        for at in rng.integers(0, size, rng.integers(1, 20)):
            content[at] ^= 1 << rng.integers(0, 8)
    elif kind == "header":
        start = 2880 * rng.integers(0, max(1, blocks))
        for at in rng.integers(start, min(size, start + 2880), rng.integers(1, 6)):
            content[at] = rng.integers(32, 127)
    elif kind == "digit":
        digits = [
            match.start() for match in re.finditer(rb"[0-9]", content[: 12 * 2880])
        ]
        for at in rng.choice(digits or [0], 3):
            content[at] = rng.integers(48, 58)
    elif kind == "cut":
        del content[rng.integers(0, size) :]
    elif blocks > 1:
        one, other = (2880 * int(n) for n in rng.integers(0, blocks, 2))
        first, second = content[one : one + 2880], content[other : other + 2880]
        if kind == "swap":
            content[other : other + len(first)] = first
            content[one : one + len(second)] = second
        elif kind == "repeat":
            content[other:other] = first
        else:
            content[one : one + 2880] = bytes(2880)
    return bytes(content)


def uses(path, out):
    """List what is done with a file, each by itself: one failure hides no other."""
    yield lambda: digest(path)
    # Of what costs more, a part each time.
    save, further = divmod(zlib.crc32(path.read_bytes()) % 9, 3)
    if further == 0:
        yield lambda: survey(path.parent)
    elif further == 1:
        yield lambda: run_verb("info", path)
    df = DataFile(path)
    if further == 0:
        yield lambda: (repr(df.meta), str(df.meta), list(df.meta.items()))
    for ndd in [*df, *df.extras.values()]:
        yield from uses_of(ndd, shown=further == 2)
    for name in df.tables:
        yield lambda name=name: (len(df.tables[name]), str(df.tables[name]))
    yield lambda: df.record
    saved = (
        lambda: (df * 2).save(out, overwrite=True),
        lambda: df.save(out, overwrite=True),
        lambda: edit(df, out),
    )
    yield saved[save]
    if RECORD in path.name:
        for verb in ("log", "graph", "qc", "script", "why"):
            yield lambda verb=verb: run_verb(verb, path)
        yield lambda: run_verb("diff", path, path)


def list_into(calls, path, out):
    """Keep what was listed before the list itself failed."""
    calls.extend(uses(path, out))


def uses_of(ndd, *, shown):
    """List what is done with an image."""
    if shown:
        yield lambda: (repr(ndd), repr(ndd.meta), list(ndd.meta.items()))
    yield lambda: (ndd.unit, ndd.shape, ndd.dtype, ndd.ident)
    yield lambda: ndd.wcs and (str(ndd.wcs), ndd.wcs.pixel_to_world_values(
        *[1] * ndd.wcs.pixel_n_dim))  # fmt: skip
    if ndd.size < 10**7:
        yield lambda: (ndd.data, ndd.uncertainty, ndd.variance, ndd.flags, ndd.mask)
        yield lambda: (ndd * 2).variance
    if ndd.ndim and 0 not in ndd.shape:
        part = tuple(slice(0, 2) for _ in ndd.shape)
        yield lambda: (ndd[part].data, ndd[part].variance, ndd[part].flags)
        if shown:
            yield lambda: str(ndd[part].wcs)


def edit(df, out):
    """Change a card, and save."""
    df.meta["OBSERVER"] = "someone"
    df.save(out, overwrite=True)
    DataFile(out)


def run_verb(verb, *paths):
    """Run a verb of the command line; `main` would make a message of anything."""
    args = PARSER.parse_args([verb, *map(str, paths)])
    assert args.run(args) in (0, 1, 3)


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_damaged_file_opens_or_fails_with_an_error_of_ours(
    originals, tmp_path, chunk, failure_of, capsys
):
    (tmp_path / "raw").mkdir()
    out = tmp_path / "out.fits"
    failed = []
    for seed in range(chunk, MUTATIONS, CHUNKS):
        rng = np.random.default_rng([20120827, seed])
        name, content = originals[seed // CHUNKS % len(originals)]
        path = tmp_path / "raw" / name
        path.write_bytes(mutated(content, rng))

        calls = []
        found = [failure_of(partial(list_into, calls, path, out), name)]
        found += [failure_of(call, name, out.name) for call in calls]
        failed += [f"seed {seed} ({name}): {f}" for f in dict.fromkeys(found) if f]
        path.unlink()
        out.unlink(missing_ok=True)
        capsys.readouterr()
    assert failed == []
