"""
Damaged documents: JSON, TOML, ECSV and side files are read, or are an error of ours.

Each is damaged at random, with fixed seeds: bytes changed, cut, repeated, values put in
place of others, brackets nested. NDMAPPER_FUZZ says how many times: 10000 is the full
count.
"""

import json
import logging
import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from ndmapper.calibrations import init_cal_dict, survey
from ndmapper.calibrations.survey import frames_of_survey
from ndmapper.cli.output import save_table
from ndmapper.config import Config
from ndmapper.data import load_file_list
from ndmapper.errors import NdmapperError
from ndmapper.instruments import load
from ndmapper.instruments.conventions import load_flags
from ndmapper.io.digest import DigestCache, digest
from ndmapper.io.record import read_cleaned, read_records, side_path
from ndmapper.services.manifest import find_note
from ndmapper.steps import run_task
from ndmapper.steps.decided import decisions_path, read_decisions
from ndmapper.testing import make_mef

MUTATIONS = int(os.environ.get("NDMAPPER_FUZZ", "1000"))
CHUNKS = 4
PACKAGE = Path(str(load.__code__.co_filename)).parent

CALIBRATIONS = {
    "schema": 1, "associations": {"a.fits": {"bias": "b"}},
    "calibrations": {"b": ["c.fits", "d.fits"]}, "checksums": {"c.fits": "00"},
}  # fmt: skip
CONFIG = """\
reprocess = "auto"
labels = {data = "SCI", uncertainty = "VAR", flags = "DQ"}
bad_flags = ["BAD", "SATURATED"]
workers = 2
archive_urls = {gemini = "https://mirror.example"}
"""
INTERESTING = (
    b"null", b"true", b"-1", b"1e999", b"NaN", b"9" * 5000, b"{}", b"[]", b'""',
    b"[" * 50_000, b'{"a":' * 2000, b"\x00", b"\xff\xfe", b"\\ud800", b"'", b"\n",
    b'"../../x"', b"a." * 3000, b"1979-05-27", b"inf",
)  # fmt: skip
_VALUE = re.compile(rb'"[^"\n]*"|-?\d+(?:\.\d+)?|true|false|null|[\[\]{},:=]')


def mutated(content, rng):
    """Damage a document."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        kind = rng.choice(["bytes", "cut", "repeat", "value", "swap", "insert"])
        size = len(content)
        one, other = sorted(int(n) for n in rng.integers(0, size + 1, 2))
        values = [match.span() for match in _VALUE.finditer(content)]
        put = INTERESTING[rng.integers(0, len(INTERESTING))]
        if kind == "bytes":
            for at in rng.integers(0, max(1, size), 4):
                content[at : at + 1] = bytes([rng.integers(0, 256)])
        elif kind == "cut":
            del content[one : min(other, one + 40)]
        elif kind == "repeat":
            content[one:one] = content[one:other]
        elif kind == "insert":
            content[one:one] = put
        elif values:
            start, end = values[rng.integers(0, len(values))]
            if kind == "swap":
                begin, stop = values[rng.integers(0, len(values))]
                put = bytes(content[begin:stop])
            content[start:end] = put
    return bytes(content)


@pytest.fixture
def documents(tmp_path, monkeypatch):
    """Give each document: its place, and what reads it."""
    monkeypatch.chdir(tmp_path)
    make_mef("x.fits", n_ext=1, shape=(4, 4))
    run_task(lambda ndd: ndd, prefix="d")("x.fits", outdir=".")
    Path(".ndmapper/records").mkdir(parents=True, exist_ok=True)
    Path(".ndmapper/cleaned").mkdir(parents=True, exist_ok=True)
    rows = json.dumps(read_records("dx.fits"), indent=1)
    side = side_path(Path("x.fits"))
    cleaned = Path(".ndmapper/cleaned/x.fits.json")
    decided = decisions_path(Path("x.fits"))
    note = Path(".ndmapper/downloads/x.fits.json")
    for place in (decided, note):
        place.parent.mkdir(parents=True, exist_ok=True)
    Path("raw").mkdir()
    make_mef("raw/y.fits", n_ext=1, shape=(4, 4))
    save_table(survey("raw"), Path("survey.ecsv"))
    digests = Path(".ndmapper/digests.json")
    kept = {"version": 1, "digests": {str(Path("x.fits").absolute()): [1, 2, "sha"]}}
    noted = {"schema": 1, "size": 1, "mtime_ns": 2, "md5": "0", "published": ["1"],
             "source": "u"}  # fmt: skip
    flags = sorted((PACKAGE / "flags").glob("*.toml"))[0]

    def cached():
        cache = DigestCache(Path(".ndmapper"))
        digest("x.fits", cache)

    return [
        (Path("c.json"), json.dumps(CALIBRATIONS, indent=1),
         lambda: init_cal_dict("c.json")),
        (side, rows, lambda: read_records("x.fits")),
        (cleaned, rows, lambda: read_cleaned(Path("x.fits"))),
        (decided, '{"order": 3, "x": [1, 2]}', lambda: read_decisions(decided)),
        (digests, json.dumps(kept), cached),
        (note, json.dumps(noted), lambda: find_note(Path("x.fits"))),
        (Path("ndmapper.toml"), CONFIG,
         lambda: dict(Config({}, Path("no"), Path("ndmapper.toml")))),
        (Path("i.toml"), (PACKAGE / "gmos.toml").read_text(), lambda: load("i.toml")),
        (Path("f.toml"), flags.read_text(), lambda: load_flags("f.toml")),
        (Path("survey.ecsv"), Path("survey.ecsv").read_text(),
         lambda: frames_of_survey("survey.ecsv", [Path("raw")])),
        (Path("list.txt"), "x.fits\ny.fits # two\n",
         lambda: load_file_list("list.txt")),
    ]  # fmt: skip


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_damaged_document_is_read_or_is_an_error_of_ours(
    documents, chunk, caplog, bounds
):
    caplog.set_level(logging.CRITICAL)
    failed = []
    for seed in range(chunk, MUTATIONS, CHUNKS):
        rng = np.random.default_rng([20120828, seed])
        path, text, look = documents[seed // CHUNKS % len(documents)]
        path.write_bytes(mutated(text.encode(), rng))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with bounds():
                    look()
            except NdmapperError as err:
                if not any(n in str(err) for n in (path.name, "y.fits")):
                    failed.append(f"seed {seed} ({path}): no file in {err}")
            except KeyboardInterrupt:
                raise
            except BaseException as err:  # that is what is looked for
                failed.append(f"seed {seed} ({path}): {type(err).__name__} {err}")
        path.unlink(missing_ok=True)
    assert failed == []
