"""Real recipes on simulated frames."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.engines import Job, Outcome, get_engine
from ndmapper.io.digest import digest
from ndmapper.io.record import encode
from ndmapper.lib.simulate.hawki import simulate_hawki_darks
from ndmapper.lib.simulate.muse import MuseDetector, simulate_muse

pytestmark = pytest.mark.esorex

MakeJob = Callable[..., Job]
Run = Callable[[Job], Outcome]
engine = get_engine("esorex")


def test_hawki_dark_chain(
    dark_files: list[DataFile], make_job: MakeJob, esorex: Run
) -> None:
    job = make_job("esorex:hawki_dark_combine", {"DARK": dark_files}, ["MASTER_DARK"])
    engine.check(job)
    outcome = esorex(job)
    assert outcome.warnings == ()
    assert "Saving products for extension 4" in outcome.log
    master = outcome.products["MASTER_DARK"]
    # The file itself becomes the product, by a rename.
    assert master.unloaded
    assert Path(master).parent == job.folder
    expected = np.median([df[0].data for df in dark_files], axis=0)
    # Hot pixels are rejected, and levels adjusted, so not all are the same.
    assert np.mean(np.isclose(master[0].data, expected, atol=3.0)) > 0.95
    second = make_job(
        "esorex:hawki_dark_combine", {"DARK": dark_files},
        ["MASTER_DARK", "DIFFIMG_DARK", "DIFFIMG_STATS_DARK"], REFERENCE_DARK=master,
    )  # fmt: skip
    engine.check(second)
    outcome = esorex(second)
    assert outcome.warnings == ()
    difference = outcome.products["DIFFIMG_DARK"]
    assert np.allclose(difference[0].data, 0.0, atol=1e-3)
    assert len(outcome.products["DIFFIMG_STATS_DARK"].tables) == 4


def test_muse_chain_with_our_record(
    muse: dict[str, list[Path]], tmp_path: Path, make_job: MakeJob, esorex: Run
) -> None:
    raws = {kind: [DataFile(p) for p in paths] for kind, paths in muse.items()}
    job = make_job("esorex:muse_bias", {"BIAS": raws["bias"]}, ["MASTER_BIAS"], nifu=1)
    assert engine.tool(job.task)["name"] == "muse"
    made = Path(esorex(job).products["MASTER_BIAS"])
    bias = tmp_path / "master bias.fits"
    made.replace(bias)
    row = {"step": "make_bias", "product": bias.name, "schema": 1, "key": "sha256:1"}
    rows = [row | {"inputs": [], "calibrations": {}, "references": {}, "run": {}}]
    with bias.open("ab") as stream:
        stream.write(encode(rows))
    master = DataFile(bias)
    assert master.record[-1]["step"] == "make_bias"
    assert np.median(master[0].data) == pytest.approx(0.0, abs=0.5)
    job = make_job("esorex:muse_dark", {"DARK": raws["dark"]}, ["MASTER_DARK"],
                   MASTER_BIAS=master, nifu=1)  # fmt: skip
    outcome = esorex(job)
    assert outcome.warnings == ()
    # 3 electrons in an hour, with a gain of 1.1
    dark = outcome.products["MASTER_DARK"]
    assert np.median(dark[0].data) == pytest.approx(2.7, abs=1.5)
    job = make_job("esorex:muse_flat", {"FLAT": raws["flat"]},
                   ["MASTER_FLAT", "TRACE_TABLE"],
                   MASTER_BIAS=[master], nifu=1, order=1, nsum=8)  # fmt: skip
    engine.check(job)
    outcome = esorex(job)
    assert outcome.warnings == ()
    assert set(outcome.products) == {"MASTER_FLAT", "TRACE_TABLE"}
    (table,) = outcome.products["TRACE_TABLE"].tables.values()
    assert len(table) == 48
    assert np.allclose(table["Width"], 76.6, atol=0.3)


def test_products_of_each_ifu_and_merged(
    tmp_path: Path, make_job: MakeJob, esorex: Run
) -> None:
    raws = simulate_muse(
        tmp_path / "raw", ("bias",), ifus=range(1, 25), detector=MuseDetector(rows=32)
    )["bias"]
    roles = {"BIAS": [DataFile(path) for path in raws]}
    outputs = [f"MASTER_BIAS#{n}" for n in range(1, 25)]
    outcome = esorex(make_job("esorex:muse_bias", roles, outputs, nifu=-1))
    assert outcome.warnings == ()
    names = [Path(outcome.products[name]).name for name in outputs]
    assert names == [f"MASTER_BIAS-{n:02d}.fits" for n in range(1, 25)]
    job = make_job("esorex:muse_bias", roles, ["MASTER_BIAS"], nifu=-1, merge=True)
    outcome = esorex(job)
    merged = outcome.products["MASTER_BIAS"]
    assert merged.idents == [f"CHAN{n:02d}" for n in range(1, 25)]
    job = make_job("esorex:muse_bias", roles, ["MASTER_BIAS#3"], nifu=0)
    outcome = esorex(job)
    assert outcome.warnings == ("it also made 23 more MASTER_BIAS that no output asks "
                                "for",)  # fmt: skip
    third = outcome.products["MASTER_BIAS#3"]
    assert np.array_equal(third[0].data, merged["CHAN03"].data)


def test_parameters_of_the_user_do_not_leak_in(
    dark_files: list[DataFile],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_job: MakeJob,
    esorex: Run,
) -> None:
    home = tmp_path / "home"
    (home / ".esorex").mkdir(parents=True)
    (home / ".esorex" / "esorex.rc").write_text(
        "esorex.caller.suppress-prefix=FALSE\nesorex.caller.recipe-dir=.\n"
    )
    (home / ".esorex" / "hawki_dark_combine.rc").write_text(
        "hawki.hawki_dark_combine.combtype=mean\n"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("ESOREX_OUTPUT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("ESOREX_PLUGIN_DIR", "/nowhere")
    job = make_job("esorex:hawki_dark_combine", {"DARK": dark_files}, ["MASTER_DARK"])
    meta = esorex(job).products["MASTER_DARK"].meta
    assert meta["ESO PRO REC1 PARAM1 NAME"] == "combtype"
    assert meta["ESO PRO REC1 PARAM1 VALUE"] == "median"


def test_pixels_are_those_of_the_bare_command(
    dark_files: list[DataFile], tmp_path: Path, make_job: MakeJob, esorex: Run
) -> None:
    job = make_job("esorex:hawki_dark_combine", {"DARK": dark_files}, ["MASTER_DARK"])
    ours = esorex(job).products["MASTER_DARK"]
    sof = tmp_path / "in.sof"
    sof.write_text("".join(f"{df} DARK\n" for df in dark_files))
    bare = ["esorex", "--suppress-prefix=TRUE", "hawki_dark_combine", str(sof)]
    subprocess.run(bare, cwd=tmp_path, check=True, capture_output=True)
    assert ours.meta["DATAMD5"] == DataFile(tmp_path / "darkcomb.fits").meta["DATAMD5"]


HOSTILE = [
    "-rf", "a b", "$(touch x)", "$HOME", "`id`", "; id", "'\"", "l1\nl2 DARK", "#",
    "..", "!d", "d[1]", "d+2", "\N{GREEK SMALL LETTER ALPHA}", "x" * 200,
]  # fmt: skip


def test_hostile_names(darks: list[Path], tmp_path: Path, make_job: MakeJob,
                       esorex: Run) -> None:  # fmt: skip
    odd = tmp_path / "an odd\n$folder"
    odd.mkdir()
    files = []
    for name, path in zip(HOSTILE, darks * 5, strict=True):
        target = odd / f"{name}.fits"
        target.write_bytes(path.read_bytes())
        files.append(DataFile(target))
    job = make_job("esorex:hawki_dark_combine", {"DARK": files}, ["MASTER_DARK"])
    outcome = esorex(job)
    assert outcome.warnings == ()
    assert outcome.products["MASTER_DARK"].meta["ESO PRO DATANCOM"] == len(HOSTILE)
    assert len(list(odd.iterdir())) == len(HOSTILE)


def test_changes_in_memory_are_seen(
    dark_files: list[DataFile], make_job: MakeJob, esorex: Run
) -> None:
    brighter = []
    for df in dark_files:
        copy = DataFile(data=df)
        for index, ndd in enumerate(df):
            copy[index] = ndd.replace(data=ndd.data + 1000)
        brighter.append(copy)
    job = make_job("esorex:hawki_dark_combine", {"DARK": brighter}, ["MASTER_DARK"])
    master = esorex(job).products["MASTER_DARK"]
    assert np.median(master[0].data) == pytest.approx(1100, abs=5)


def test_four_at_once(tmp_path: Path, make_job: MakeJob, esorex: Run) -> None:
    jobs = []
    for n in range(4):
        paths = simulate_hawki_darks(tmp_path / f"raw{n}", seed=n)
        roles = {"DARK": [DataFile(path) for path in paths]}
        jobs.append(make_job("esorex:hawki_dark_combine", roles, ["MASTER_DARK"]))
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(esorex, jobs))
    for job, outcome in zip(jobs, outcomes, strict=True):
        again = esorex(replace(job, folder=_new(job.folder)))
        assert np.array_equal(
            outcome.products["MASTER_DARK"][0].data,
            again.products["MASTER_DARK"][0].data,
        )


def _new(folder: Path | None) -> Path:
    assert folder is not None
    new = folder.with_name(f"{folder.name}-again")
    new.mkdir()
    return new


def test_script_of_the_preview(
    dark_files: list[DataFile],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_job: MakeJob,
    esorex: Run,
) -> None:
    monkeypatch.chdir(tmp_path)
    odd = tmp_path / "it's odd.fits"
    odd.write_bytes(Path(dark_files[0]).read_bytes())
    roles = {"DARK": [DataFile(odd), *dark_files[1:]]}
    job = make_job("esorex:hawki_dark_combine", roles, ["MASTER_DARK"],
                   targets={"MASTER_DARK": "dark's.fits"}, thresh=4.0)  # fmt: skip
    preview = engine.preview(job)
    assert list(job.folder.iterdir()) == []
    assert f"{dark_files[1]} DARK" in preview.text
    assert "hawki_dark_combine --combtype=median" in preview.text
    assert "--thresh=4.0" in preview.text
    (tmp_path / "script.sh").write_text(preview.script)
    before = {path.name for path in tmp_path.iterdir()}
    subprocess.run(["sh", "script.sh"], check=True, capture_output=True)
    assert {path.name for path in tmp_path.iterdir()} - before == {"dark's.fits"}
    ours = esorex(job).products["MASTER_DARK"]
    assert digest("dark's.fits") == digest(ours)


def test_all_recipes_describe_themselves(
    make_job: MakeJob, esorex: Run, darks: list[Path]
) -> None:
    folder = Path(engine_folder(make_job, darks)).parent
    names = [path.stem for path in sorted(folder.glob("*/*.so"))]
    assert len(names) > 40
    for name in names[::6]:
        roles = {"DARK": [DataFile(darks[0])]}
        job = make_job(f"esorex:{name}", roles, ["X"])
        found = engine.parameters(job.task)
        assert found is not None, name
        assert all(parameter.isidentifier() for parameter in found), name
        engine.check(job)


def engine_folder(make_job: MakeJob, darks: list[Path]) -> str:
    roles = {"DARK": [DataFile(darks[0])]}
    job = make_job("esorex:hawki_dark_combine", roles, ["MASTER_DARK"])
    (option,) = [
        word for word in engine.preview(job).text.split() if "--recipe-dir=" in word
    ]
    return option.partition("=")[2]


def test_tool_starts_nothing(
    make_job: MakeJob, dark_files: list[DataFile], monkeypatch: pytest.MonkeyPatch,
    esorex: Run,
) -> None:  # fmt: skip
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a program is started")

    job = make_job("esorex:hawki_dark_combine", {"DARK": dark_files}, ["MASTER_DARK"])
    monkeypatch.setattr(subprocess, "Popen", refuse)
    for _ in range(200):
        version = engine.tool(job.task)["version"]
        assert version is not None
        assert version[0].isdecimal()


def test_description_is_kept_for_other_processes(
    make_job: MakeJob, dark_files: list[DataFile], tmp_path: Path, esorex: Run
) -> None:
    code = (
        "import subprocess, json\n"
        "from ndmapper.engines import Task, get_engine\n"
        "e = get_engine('esorex')\n"
        "t = Task(engine='esorex', name='hawki_dark_combine', inputs=(), outputs=())\n"
        "print(json.dumps(list(e.parameters(t))))\n"
        "def refuse(*a, **k): raise SystemExit('asked again')\n"
        "subprocess.Popen = refuse\n"
        "e.parameters(t)\n"
    )
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    first, second = (
        subprocess.run(
            [sys.executable, "-c", prelude + code],
            env=env,
            check=True,
            capture_output=True,
        ).stdout
        for prelude in ("", "import subprocess; subprocess.Popen = None\n")
    )
    assert json.loads(first) == json.loads(second)
    assert "thresh" in json.loads(first)
    assert config["esorex"] == "esorex"
