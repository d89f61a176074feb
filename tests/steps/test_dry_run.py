"""dry_run and plan(): what would be done is said, and nothing is touched."""

import logging
import subprocess
from pathlib import Path

import pytest
from shared_steps import DONE, add_up, copied, double, subtract

from ndmapper.config import config
from ndmapper.data import DataFile, DataFileList, FileName
from ndmapper.data.planned import PlannedFile
from ndmapper.errors import (
    MissingFileError,
    NotMadeError,
    OutputExistsError,
    ParameterError,
)
from ndmapper.io.digest import differences
from ndmapper.steps import run_task
from ndmapper.steps.run import dry_run
from ndmapper.steps.run.dry_run import collect_plans


@pytest.fixture(autouse=True)
def _no_plans_begun(monkeypatch):
    monkeypatch.setattr(dry_run, "_begun", set())


@pytest.fixture
def raws(make_raw):
    make_raw("bias.fits", (1.0,))
    return [make_raw("raw/x1.fits", (10.0,)), make_raw("raw/x2.fits", (20.0,))]


def state(folder):
    """Say what is in a folder, and since when."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in [folder, *folder.rglob("*")]
    }


def script(raws, **keywords):
    subtracted = subtract(raws, bias="bias.fits", **keywords)
    return add_up(double(subtracted, **keywords), total="all.fits", **keywords)


@pytest.mark.parametrize("outdir", [".", "made"])
def test_dry_run_touches_nothing(raws, folder, outdir):
    before = state(folder)
    script(raws, dry_run=True, outdir=outdir)
    assert state(folder) == before
    assert DONE == []


def test_dry_run_by_configuration_touches_nothing(raws, folder):
    before = state(folder)
    with config.using(dry_run=True, workers=2):
        script(raws)
    assert state(folder) == before


def test_plan_touches_nothing(raws, folder):
    before = state(folder)
    plan = subtract.plan(raws, bias="bias.fits")
    assert [item.action for item in plan.items] == ["run", "run"]
    assert "raw/x1.fits -> bx1.fits (new)" in repr(plan)
    assert state(folder) == before


@pytest.mark.parametrize("reprocess", [True, False, "auto"])
def test_dry_run_over_products_touches_nothing(raws, folder, reprocess):
    script(raws)
    DONE.clear()
    before = state(folder)
    script(raws, dry_run=True, reprocess=reprocess)
    assert state(folder) == before
    assert DONE == []


def test_dry_run_gives_what_a_run_gives_by_name(raws):
    planned = script(raws, dry_run=True)
    assert isinstance(planned, PlannedFile)
    assert repr(planned) == "DataFile 'all.fits' (not made)"
    made = script(raws)
    assert str(planned) == str(made)
    pairs = list(zip(planned.record, made.record, strict=True))
    assert [a["key"] == b["key"] for a, b in pairs] == [True] * 5


def test_dry_run_gives_a_list_for_a_list(raws):
    planned = double(raws, dry_run=True)
    assert isinstance(planned, DataFileList)
    assert [str(df) for df in planned] == ["dx1.fits", "dx2.fits"]


def test_dry_run_planned_files_carry_calibrations(raws):
    files = DataFileList(raws)
    bias = DataFile("bias.fits")
    for df in files:
        df.cals["bias"] = bias
    planned = subtract(double(files, dry_run=True), dry_run=True)
    assert planned[0].record[-1]["calibrations"]["bias"]["name"] == "bias.fits"


def test_dry_run_planned_files_are_found_by_name(raws):
    held = double(raws, dry_run=True, outdir="made")
    planned = double(["made/dx1.fits", Path("made/dx2.fits")], dry_run=True)
    assert [str(df) for df in planned] == ["ddx1.fits", "ddx2.fits"]
    assert planned[0].record[0]["key"] == held[0].record[0]["key"]


def test_dry_run_planned_bias_is_found_by_name(raws):
    held = double("bias.fits", dry_run=True)
    planned = subtract(raws[0], bias="dbias.fits", dry_run=True)
    assert [e["step"] for e in planned.record] == ["double", "subtract"]
    assert str(held) == "dbias.fits"


def test_dry_run_planned_file_is_found_by_a_parameter(raws):
    @run_task(prefix="s")
    def shift(ndd, *, mask: DataFile):
        return ndd

    held = double("bias.fits", dry_run=True)
    planned = shift(raws[0], mask="dbias.fits", dry_run=True)
    reference = planned.record[-1]["references"]["mask"]
    assert reference["key"] == held.record[-1]["key"]


def test_dry_run_planned_file_is_found_by_the_parameter_of_a_tool(raws, fake):
    @run_task("fake:add", inputs="a", outputs="b", prefix="f")
    def add():
        return {"one": FileName("dx1.fits"), "list": [FileName("dx2.fits")]}

    held = double(raws, dry_run=True)
    references = add("bias.fits", dry_run=True).record[-1]["references"]
    keys = [df.record[-1]["key"] for df in held]
    assert [references["one"]["key"], references["list"][0]["key"]] == keys


def test_dry_run_of_what_nobody_plans_names_it(raws):
    with pytest.raises(MissingFileError, match=r"nowhere\.fits"):
        double("nowhere.fits", dry_run=True)


@pytest.mark.parametrize(
    "look",
    [
        lambda df: df[0].data,
        len,
        lambda df: df.meta["OBJECT"],
        lambda df: df.tables,
        lambda df: df * 2,
        lambda df: [ndd.ident for ndd in df],
    ],
    ids=["data", "len", "meta", "tables", "arithmetic", "iterate"],
)
def test_dry_run_looking_into_a_planned_file_is_an_error(raws, look):
    planned = double(raws[0], dry_run=True)
    with pytest.raises(NotMadeError, match=r"dx1\.fits is not made yet.*only plans"):
        look(planned)


def test_dry_run_says_what_would_be_done(raws, caplog):
    with caplog.at_level(logging.INFO):
        double(raws, dry_run=True, offset=3)
    assert "Plan of double" in caplog.text
    assert "run     raw/x1.fits -> dx1.fits (new)" in caplog.text
    assert "double('raw/x1.fits', offset=3" in caplog.text


def test_dry_run_follows_what_a_change_would_do(raws):
    with config.using(reprocess="auto"), collect_plans() as plans:
        double(double(raws))
        double(double(raws, offset=1.0, dry_run=True), dry_run=True)
        double(double(raws, dry_run=True), dry_run=True)
    reasons = [[item.reason for item in plan.items] for plan in plans]
    assert reasons[0] == ["parameter offset was 0, now 1"] * 2
    assert reasons[1] == ["input dx1.fits differs", "input dx2.fits differs"]
    assert [item.action for plan in plans[2:] for item in plan.items] == ["reuse"] * 4


def test_dry_run_products_that_exist_are_real_files(raws):
    double(raws)
    planned = double(raws, dry_run=True, reprocess=False)
    assert planned[0][0].data[0, 0] == 20


def test_dry_run_of_existing_products_is_an_error_like_a_run(raws):
    double(raws)
    with pytest.raises(OutputExistsError):
        double(raws, dry_run=True)


def test_dry_run_checks_parameters(raws):
    with pytest.raises(ParameterError):
        double(raws, dry_run=True, offset="much")


def test_dry_run_ignores_save(raws):
    planned = double(raws[0], dry_run=True, save=False)
    assert (str(planned), DONE) == ("dx1.fits", [])


def test_dry_run_collected_writes_no_replay(raws, folder):
    before = state(folder)
    with collect_plans() as plans:
        copied(raws, dry_run=True)
    assert state(folder) == before
    assert [plan.step for plan in plans] == ["copied"]


def test_dry_run_of_a_tool_shows_its_command_line(raws, folder, caplog):
    with caplog.at_level(logging.INFO):
        copied(raws[0], dry_run=True)
    line = f"cp {folder}/raw/x1.fits {folder}/cx1.fits"
    assert line in caplog.text
    assert line in repr(copied.plan(raws[0]))


def replay(path=".ndmapper/replay.sh", cwd="/"):
    return subprocess.run(
        ["/bin/sh", Path(path).absolute()], cwd=cwd, check=True, timeout=240
    )


def test_replay_is_all_that_is_written(raws, folder):
    before = state(folder)
    copied(raws, dry_run=True)
    new = set(state(folder)) - set(before)
    assert new == {".ndmapper", ".ndmapper/replay.sh"}


def test_replay_makes_what_the_tool_makes(raws):
    copied(raws, dry_run=True)
    replay()
    (made, _) = copied(raws, outdir="made")
    assert differences("cx1.fits", str(made)) == []


def test_replay_has_all_steps_of_a_script_in_order(raws):
    copied(copied(raws, dry_run=True), dry_run=True)
    replay()
    assert sorted(p.name for p in Path().iterdir()) == [
        ".ndmapper", "bias.fits", "ccx1.fits", "ccx2.fits", "cx1.fits", "cx2.fits",
        "raw",
    ]  # fmt: skip


def test_replay_leaves_out_what_is_there(raws):
    copied(raws)
    copied(raws, dry_run=True, reprocess="auto")
    assert not Path(".ndmapper/replay.sh").exists()


def test_replay_is_begun_anew_by_the_next_process(raws, monkeypatch):
    copied(raws[0], dry_run=True)
    first = Path(".ndmapper/replay.sh").read_text()
    monkeypatch.setattr(dry_run, "_begun", set())
    copied(raws[0], dry_run=True)
    assert Path(".ndmapper/replay.sh").read_text() == first


def test_replay_of_hostile_names_runs_nothing_else(make_raw):
    hostile = "-x $(touch hit) 'q'; touch hit2.fits"
    make_raw(hostile)
    copied(hostile, dry_run=True)
    replay()
    assert sorted(p.name for p in Path().glob("*")) == sorted(
        [".ndmapper", hostile, f"c{hostile}"]
    )


def test_replay_stops_where_a_command_fails(raws):
    copied(copied(raws[0], dry_run=True), dry_run=True)
    Path(raws[0]).unlink()
    with pytest.raises(subprocess.CalledProcessError):
        replay()


def test_plan_of_a_tool_run_at_once_by_configuration(raws, folder):
    with config.using(dry_run=True):
        result = run_task(
            "command:cp", inputs={"in": raws}, outputs={"out": "@in"}, prefix="c"
        )
    assert [str(df) for df in result["out"]] == ["cx1.fits", "cx2.fits"]
    assert not Path("cx1.fits").exists()
