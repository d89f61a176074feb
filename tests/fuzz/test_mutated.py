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
import warnings
from pathlib import Path

import astropy
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ndmapper.cli.command import make_parser
from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.errors import NdmapperError
from ndmapper.io.digest import digest
from ndmapper.steps import run_task
from ndmapper.testing import make_mef

MUTATIONS = int(os.environ.get("NDMAPPER_FUZZ", "1000"))
CHUNKS = 8
_RECORD = b"NDM_RECORD"
SAMPLES = Path(astropy.__path__[0]) / "io/fits/tests/data"
NAMES = (
    "ascii.fits", "btable.fits", "comp.fits", "scale.fits", "tdim.fits",
    "variable_length_table.fits", "random_groups.fits", "o4sp040b0_raw.fits",
    "compressed_image.fits", "lzw.fits.Z", "blank.fits", "test0.fits",
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
        record[:2880] + record[record.find(_RECORD) // 2880 * 2880 :]
    )
    for name in NAMES:
        found[name] = (SAMPLES / name).read_bytes()[: 40 * 2880]
    return sorted(found.items())


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
            i for i, byte in enumerate(content[: 12 * 2880]) if chr(byte).isdigit()
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


def use(path, out):
    """Look at everything in a file, and save it."""
    df = DataFile(path)
    df.info()
    for ndd in [*df, *df.extras.values()]:
        _ = ndd.meta, ndd.unit
        if ndd.size < 10**7:
            _ = ndd.data, ndd.variance, ndd.flags
        if ndd.ndim and 0 not in ndd.shape:
            _ = ndd[tuple(slice(0, 2) for _ in ndd.shape)].data
    for name in df.tables:
        len(df.tables[name])
    _ = df.record
    digest(path)
    df.meta["OBSERVER"] = "someone"
    df.save(out, overwrite=True)
    DataFile(out)
    if df.record:
        for verb in ("log", "graph", "qc", "script", "why"):
            args = make_parser().parse_args([verb, str(path)])
            assert args.run(args) in (0, 3)  # `main` would make a message of anything


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_damaged_file_opens_or_fails_with_an_error_of_ours(
    originals, tmp_path, chunk, caplog, bounds
):
    caplog.set_level(logging.CRITICAL)
    failed = []
    for seed in range(chunk, MUTATIONS, CHUNKS):
        rng = np.random.default_rng([20120827, seed])
        name, content = originals[seed % len(originals)]
        path = tmp_path / name
        path.write_bytes(mutated(content, rng))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with bounds():
                    use(path, tmp_path / "out.fits")
            except NdmapperError as err:
                if not any(n in str(err) for n in (name, "out.fits")):
                    failed.append(f"seed {seed} ({name}): no file in {err}")
            except KeyboardInterrupt:
                raise
            except BaseException as err:  # that is what is looked for
                failed.append(f"seed {seed} ({name}): {type(err).__name__} {err}")
    assert failed == []
