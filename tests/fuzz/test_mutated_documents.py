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
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ndmapper.calibrations import (
    associate_cals,
    cal_entries,
    init_cal_dict,
    survey,
)
from ndmapper.calibrations.scan import find_frames
from ndmapper.calibrations.survey import frames_of_survey
from ndmapper.cli.command import make_parser
from ndmapper.cli.output import save_table
from ndmapper.config import Config, config
from ndmapper.data import DataFile, load_file_list
from ndmapper.documents import load_json
from ndmapper.engines.decisions import decide
from ndmapper.engines.esorex.parameters import read_parameters
from ndmapper.instruments import load
from ndmapper.instruments.conventions import load_flags
from ndmapper.io.digest import DigestCache, digest
from ndmapper.io.record import read_cleaned, read_records, side_path
from ndmapper.services import look_up_cals
from ndmapper.services.credentials import find_credentials
from ndmapper.services.transfer.manifest import find_note
from ndmapper.services.transfer.partial import PartialDownload, RemoteFile
from ndmapper.services.transfer.replay import RequestKey, find
from ndmapper.steps import run_task
from ndmapper.steps.record.decisions import decisions_path, read_decisions
from ndmapper.testing import make_mef, write_headers

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
MUSE = {"INSTRUME": "MUSE", "OBJECT": "x", "ESO INS MODE": "WFM-NOAO-N",
        "ESO DET READ CURID": 1}  # fmt: skip
RECIPE = json.dumps([
    {"display_name": "nifu", "valtype": "int", "value": 0, "valmin": -1, "valmax": 24,
     "description": "which"},
    {"display_name": "combine", "valtype": "string", "value": "a", "valenum": ["a"]},
])  # fmt: skip
PARSER = make_parser()
RAW = ("x.fits", "y.fits", "b1.fits")
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


def bumped(ndd):
    """Make something of an image, after a question."""
    return ndd * decide("order", lambda default: default, 3)


def verb(name, *words):
    """Run a verb of the command line; `main` would make a message of anything."""
    args = PARSER.parse_args([*name.split(), *words])
    assert args.run(args) in (0, 1, 3)


def make_night(folder):
    """Write headers of biases and one exposure, enough that they are remembered."""
    folder.mkdir()
    for number in range(22):
        cards = MUSE | {"DATE-OBS": f"2017-06-16T03:{number:02d}:00"}
        kind = "SCIENCE", "OBJECT" if number == 0 else "CALIB", "BIAS"
        cards |= {"ESO DPR CATG": kind[0], "ESO DPR TYPE": kind[1]}
        write_headers(folder / ("o.fits" if number == 0 else f"b{number}.fits"),
                      [cards])  # fmt: skip


def calibrated(document):
    """Use a document of calibrations as a script and the command line do."""
    cals = look_up_cals("raw/b1.fits", {"target": ["bias"]}, cache=document,
                        dirname="raw")  # fmt: skip
    for label, names in cal_entries(cals, "bias"):
        assert isinstance(label, str)
        assert all(isinstance(name, str) for name in names)
    associate_cals(DataFile("x.fits"), "x.fits", "bias", cal_dict=cals)


@pytest.fixture
def documents(tmp_path, monkeypatch):
    """Give each document: its place, its text, and all that reads it."""
    monkeypatch.chdir(tmp_path)
    make_mef("x.fits", n_ext=1, shape=(4, 4))
    step = run_task(bumped, prefix="d")
    with config.using(record="both"):
        step("x.fits")
    product = Path("dx.fits").read_bytes()
    rows = json.dumps(read_records("dx.fits"), indent=1)
    side = side_path(Path("dx.fits"))
    cleaned = Path(".ndmapper/cleaned/dx.fits.json")
    decided = decisions_path(Path("dx.fits"))
    note = Path(".ndmapper/downloads/x.fits.json")
    make_night(Path("raw"))
    night = survey("raw")
    save_table(night, Path("survey.ecsv"))
    remembered = next(Path(".ndmapper").glob("frames-*.json"))
    part = PartialDownload.of(Path("raw"), RemoteFile(path="/a/p.fits"))
    part.path.write_bytes(b"abc")
    digests = Path(".ndmapper/digests.json")
    kept = {"version": 1, "digests": {str(Path("x.fits").absolute()): [1, 2, "sha"]}}
    noted = {"schema": 1, "size": 1, "mtime_ns": 2, "md5": "0", "published": ["1"],
             "source": "u"}  # fmt: skip
    parted = {"path": part.path_digest, "validator": "v", "total": 5}
    flags = sorted((PACKAGE / "flags").glob("*.toml"))[0]
    key = RequestKey("eso", "[]")
    answer = Path("replies") / f"{key.stem}.json"
    secret = Path("credentials.toml")
    monkeypatch.setenv("NDMAPPER_CREDENTIALS", str(secret))
    for place in (side, cleaned, decided, note, digests, answer):
        place.parent.mkdir(parents=True, exist_ok=True)

    def again():
        with config.using(reprocess="auto", record="both"):
            step("x.fits")

    def cleaned_again():
        Path("dx.fits").unlink(missing_ok=True)
        side.unlink(missing_ok=True)
        try:
            again()
        finally:
            Path("dx.fits").write_bytes(product)

    def replayed():
        with config.using(archive_replay="replies"):
            find(key)

    def looked(name):
        return [
            partial(verb, name, "dx.fits"),
            partial(verb, f"{name} --json", "dx.fits"),
        ]

    def set_up():
        fresh = Config({}, Path("no"), Path("ndmapper.toml"))
        dict(fresh)
        fresh.snapshot()

    def resumed():
        found = PartialDownload.of(Path("raw"), RemoteFile(path="/a/p.fits"))
        assert found.total is None or isinstance(found.total, int)

    def described():
        try:
            read_parameters(load_json(Path("recipe.json").read_bytes()))
        except (ValueError, KeyError, TypeError):  # what `describe` works around
            return

    monkeypatch.setattr(config, "_project_file", Path("ndmapper.toml"))
    shown = [look for name in ("log", "graph", "qc", "script", "why", "info")
             for look in looked(name)]  # fmt: skip
    seen = [partial(find_frames, "raw"), partial(survey, "raw")]
    return [
        (Path("c.json"), json.dumps(CALIBRATIONS, indent=1),
         [lambda: init_cal_dict("c.json"), partial(calibrated, "c.json"),
          *(partial(verb, f"cals {name}", "-d", "c.json") for name in
            ("show", "graph", "check"))]),
        (side, rows, [lambda: read_records("dx.fits"), *shown, again]),
        (cleaned, rows, [lambda: read_cleaned(Path("dx.fits")), cleaned_again]),
        (decided, '{"order": 3, "x": [1, 2]}',
         [lambda: read_decisions(decided), *looked("why"), again]),
        (digests, json.dumps(kept),
         [lambda: digest("x.fits", DigestCache(Path(".ndmapper"))), again]),
        (note, json.dumps(noted), [lambda: find_note(Path("x.fits"))]),
        (part.note, json.dumps(parted), [resumed]),
        (Path("ndmapper.toml"), CONFIG, [set_up]),
        (Path("i.toml"), (PACKAGE / "gmos.toml").read_text(),
         [lambda: load("i.toml"), partial(survey, "raw", "i.toml")]),
        (Path("f.toml"), flags.read_text(), [lambda: load_flags("f.toml")]),
        (Path("survey.ecsv"), Path("survey.ecsv").read_text(),
         [lambda: frames_of_survey("survey.ecsv", [Path("raw")]),
          partial(survey, "raw", known="survey.ecsv"),
          lambda: look_up_cals("raw/b1.fits", {"target": ["bias"]},
                               survey="survey.ecsv", dirname="raw")]),
        (remembered, remembered.read_text(), seen),
        (Path("list.txt"), "x.fits\ny.fits # two\n",
         [lambda: load_file_list("list.txt")]),
        (secret, '[eso]\nuser = "u"\npassword = "p"\n',
         [lambda: (secret.chmod(0o600), find_credentials("eso"))]),
        (answer, '{"status": 200, "headers": {"etag": "x"}}', [replayed]),
        (Path("recipe.json"), RECIPE, [described]),
        (Path(".ndmapper/log.jsonl"), '{"event": "start"}\n', [again]),
    ]  # fmt: skip


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_damaged_document_is_read_or_is_an_error_of_ours(
    documents, chunk, failure_of, caplog, capsys
):
    caplog.set_level(logging.CRITICAL)
    failed = []
    for seed in range(chunk, MUTATIONS, CHUNKS):
        rng = np.random.default_rng([20120828, seed])
        path, text, looks = documents[seed // CHUNKS % len(documents)]
        damaged = mutated(text.encode(), rng)
        for look in looks:
            path.write_bytes(damaged)
            failure = failure_of(look, path.name, *RAW)
            if failure:
                failed.append(f"seed {seed} ({path}): {failure}")
        path.unlink(missing_ok=True)
        capsys.readouterr()
    assert failed == []
