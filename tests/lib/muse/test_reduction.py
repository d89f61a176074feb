"""Nights reduced as a configuration says, by the real recipes."""

import shutil
from pathlib import Path

import pytest
from shared_helpers import assert_same_data, read_events

from ndmapper import config
from ndmapper.cli import main
from ndmapper.data import DataFile
from ndmapper.errors import (
    FormatError,
    MissingCalibrationError,
    ParameterError,
    StepError,
)
from ndmapper.lib.muse import MuseConfig, muse_status, reduce_muse
from ndmapper.lib.muse.reduction import STEPS, steps_between
from ndmapper.lib.muse.settings import TEMPLATE, read_toml

BAND = "lambdamin = 7260.0\nlambdamax = 7365.0\n"
STEP_PARAMETERS = f"""
[steps.flat]
order = 1
nsum = 8
[steps.scibasic]
skylines = "none"
[steps.twilight]
{BAND}
[steps.standard]
{BAND}
[steps.create_sky]
fraction = 0.7
[steps.scipost]
{BAND}
[steps.exp_align]
srcmin = 3
"""


def write_config(night, path="muse.toml", *, more="", outdir="reduced"):
    """Write the configuration of a simulated night."""
    text = (
        f'raw = "{night}/raw"\nstatic = "{night}/static"\n'
        f'masters = ["{night}/masters"]\noutdir = "{outdir}"\n'
    )
    Path(path).write_text(text + more + STEP_PARAMETERS)
    return path


def made_since(count, *folders):
    """Name what was made after so many events of each folder."""
    return {
        Path(name).name
        for folder, n in zip(folders, count, strict=True)
        for event in read_events(folder)[n:]
        if event["event"] == "made"
        for name in event["products"]
    }


@pytest.fixture(scope="module")
def reduced(make_once, muse_night, run_example):
    """Give the night reduced by ``ndmapper muse``, and that of the example."""

    def reduce(folder):
        run_example("muse_night.py", muse_night, folder=folder)

    return make_once("muse_plain_steps", reduce)


@pytest.mark.slow
def test_from_raw_to_cube(muse_night, reduced, folder, capsys):
    write_config(muse_night)
    assert main(["muse"]) == 0
    where = Path("reduced/SIM-OB-1")
    # The same steps in a script give the same pixels.
    assert_same_data(where / "combined.fits", reduced / "cube.fits")
    assert_same_data(where / "offsets.fits", reduced / "offsets.fits")
    capsys.readouterr()
    assert main(["muse", "--status"]) == 0
    assert "pending" not in capsys.readouterr().out

    folders = ("reduced", where)
    before = [len(read_events(name)) for name in folders]
    assert main(["muse"]) == 0
    assert made_since(before, *folders) == set()

    text = Path("muse.toml").read_text()
    Path("muse.toml").write_text(text.replace("fraction = 0.7", "fraction = 0.6"))
    assert main(["muse", "--status", "--table", "status.ecsv"]) == 3
    states = dict(
        zip(*(muse_status(read_toml("muse.toml"))[c] for c in ("step", "state")),
            strict=True)
    )  # fmt: skip
    assert states["sky"] == states["scipost"] == states["combine"] == "stale"
    assert states["scibasic"] == states["standard"] == "done"
    assert states["dark"] == states["lsf"] == "none"
    reduce_muse("muse.toml")
    made = made_since(before, *folders)
    assert made >= {"MUSE.SIM_SKY01_sky.fits", "offsets.fits", "combined.fits"}
    assert not [name for name in made if "SIM_STD" in name or "bias" in name]


@pytest.mark.slow
def test_a_truncated_frame_is_named_and_the_rest_goes_on(muse_night, folder, caplog):
    shutil.copytree(muse_night, "night")
    path = write_config(folder / "night")
    broken = Path("night/raw/MUSE.SIM_FLAT02.fits")
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MissingCalibrationError, match=r"SIM-OB-1 lack.*flat \(2 of"):
        reduce_muse(path, stop="flat")
    assert "MUSE.SIM_FLAT02.fits is not used: it cannot be read" in caplog.text
    assert "truncated" in caplog.text
    broken.write_bytes(whole)
    reduce_muse(path, stop="flat")
    assert made_since([0], "reduced") == {
        f"MUSE.SIM_{name}-0{n}.fits"
        for name in ("BIAS01_bias", "FLAT01_flat", "FLAT01_trace")
        for n in (1, 2)
    }


@pytest.mark.slow
def test_a_frame_that_the_recipe_cannot_use_fails_one_ifu(muse_night, folder):
    """What one IFU lacks does not stop the other, and is all that is made again."""
    shutil.copytree(muse_night, "night")
    path = write_config(folder / "night")
    table = Path("night/masters/WAVECAL_TABLE-02.fits")
    df = DataFile(table, mode="update")
    df.tables["WAVECAL_TABLE"] = df.tables["WAVECAL_TABLE"]["SliceNo", "MSE"]
    df.save()
    config_text = Path(path).read_text()
    Path(path).write_text('without = ["dark", "raman", "twilight"]\n' + config_text)
    with pytest.raises(StepError, match=r"ifu 2.*WAVECAL|ifu 2"):
        reduce_muse(path, stop="scibasic")
    status = muse_status(read_toml(path))
    row = status[status["step"] == "scibasic"][0]
    assert row["state"] == "failed"
    made = {p.name for p in Path("reduced").glob("MUSE.SIM_OBJECT*.fits")}
    assert made == {"MUSE.SIM_OBJECT01-01.fits", "MUSE.SIM_OBJECT02-01.fits"}
    shutil.copy(muse_night / "masters" / table.name, table)
    before = len(read_events("reduced"))
    reduce_muse(path, stop="scibasic")
    assert made_since([before], "reduced") == {
        "MUSE.SIM_OBJECT01-02.fits", "MUSE.SIM_OBJECT02-02.fits",
    }  # fmt: skip


def test_dry_run_shows_all_and_runs_nothing(muse_night, folder, caplog):
    path = write_config(muse_night)
    caplog.set_level("INFO")
    with config.using(dry_run=True):
        reduce_muse(path)
    shown = caplog.text
    for recipe in ("bias", "flat", "twilight", "scibasic", "standard", "create_sky",
                   "scipost"):  # fmt: skip
        assert f"muse_{recipe} " in shown
    assert "--order=1" in shown
    assert not list(Path("reduced").rglob("*.fits"))
    assert "muse_bias" in Path("reduced/.ndmapper/replay.sh").read_text()


def test_steps_of_ones_own(muse_night, folder):
    """A step is replaced, and the result of another is handed on."""
    write_config(muse_night)
    seen = []

    def biases(frames, **words):
        seen.append(("bias", len(frames), words))
        return [DataFile(frames[0].filename)]

    def after(result):
        seen.append(("after", len(result)))
        return result

    reduce_muse("muse.toml", only="bias", replace={"bias": biases})
    reduce_muse("muse.toml", only="bias", replace={"bias": biases},
                after={"bias": after})  # fmt: skip
    assert seen == [("bias", 3, {}), ("bias", 3, {}), ("after", 1)]
    for words in ({"replace": {"bais": biases}}, {"after": {"bais": after}}):
        with pytest.raises(
            ParameterError, match=r"no step 'bais'.*did you mean 'bias'"
        ):
            reduce_muse("muse.toml", **words)


def test_other_blocks_go_on_when_one_fails(muse_night, folder):
    shutil.copytree(muse_night, "night")
    df = DataFile("night/raw/MUSE.SIM_OBJECT02.fits", mode="update")
    df.meta["HIERARCH ESO OBS NAME"] = "Other OB/2"
    df.save()
    path = write_config(folder / "night")
    done = []

    def tables(frames, **words):
        if len(done) == 0:
            done.append("failed")
            msg = "no light"
            raise StepError(msg)
        done.append(frames[0].meta["HIERARCH ESO OBS NAME"])
        return frames

    words = {"only": "scibasic", "replace": {"scibasic": tables}}
    with pytest.raises(StepError, match=r"1 of 2 .*SIM-OB-1: no light"):
        reduce_muse(path, **words)
    assert done == ["failed", "Other OB/2"]
    done.clear()
    with pytest.raises(StepError, match=r"^no light"):
        reduce_muse(path, on_error="stop", **words)
    with pytest.raises(ParameterError, match=r"'SIM-OB-3'.*there are: SIM-OB-1, Other"):
        reduce_muse(path, ob="SIM-OB-3")
    # A name that is no folder is made one.
    assert read_toml(path).folder_of("../Other OB/2") == "_Other_OB_2"


def test_blocks_whose_folders_would_be_the_same_are_refused(muse_night, folder):
    shutil.copytree(muse_night, "night")
    for n, name in ((1, "A/B"), (2, "A B")):
        df = DataFile(f"night/raw/MUSE.SIM_OBJECT0{n}.fits", mode="update")
        df.meta["HIERARCH ESO OBS NAME"] = name
        df.save()
    with pytest.raises(ParameterError, match=r"'A/B' and 'A B'.*same folder, A_B"):
        reduce_muse(write_config(folder / "night"), stop="bias")
    assert not list(Path("reduced").glob("*.fits"))


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        ({}, STEPS), ({"only": "sky"}, ("sky",)),
        ({"only": ["flat", "bias"]}, ("bias", "flat")),
        ({"start": "scipost"}, ("scipost", "align", "combine")),
        ({"stop": "dark"}, ("bias", "dark")),
        ({"start": "flat", "stop": "flat"}, ("flat",)),
    ],
)  # fmt: skip
def test_steps(words, steps):
    assert steps_between(**words) == steps


@pytest.mark.parametrize(
    "words", [{"only": "x"}, {"start": "sky", "stop": "bias"}, {"stop": "scibasics"}]
)
def test_no_steps(words):
    with pytest.raises(ParameterError, match="step"):
        steps_between(**words)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("raw = 5", "raw is 5; expected str"),
        ("", "does not say where the raw frames are"),
        ("raw = 'x'\nraws = 'y'", "unknown key 'raws'"),
        ("raw = 'x'\nobs = [1]", "obs is .1.; give a list of texts"),
        ("raw = 'x'\nexptime = true", "exptime is True"),
        ("raw = 'x'\nsky_field = 'none'", "give 'auto' or 'object'"),
        ("raw = 'x'\n[steps.scipots]\na = 1", "no step 'scipots'.*did you mean"),
        ("raw = ", "is no TOML"),
    ],
)
def test_wrong_configurations(folder, text, told):
    Path("muse.toml").write_text(text)
    with pytest.raises(FormatError, match=rf"muse\.toml.*{told}"):
        read_toml("muse.toml")


def test_template_is_a_configuration(folder, capsys):
    assert main(["muse", "--init"]) == 0
    assert read_toml("muse.toml") == MuseConfig(raw=Path("raw"), outdir=Path("reduced"))
    # What is commented out is understood as well.
    lines = [
        line.removeprefix("# ") if " = " in line or line.startswith("# [") else line
        for line in TEMPLATE.splitlines()
    ]
    Path("all.toml").write_text("\n".join(lines))
    chosen = read_toml("all.toml")
    assert chosen.mode == "WFM-NOAO-N"
    assert chosen.steps["scipost"]["extra"] == {"dlambda": 1.25}
    assert main(["muse", "--init"]) == 1
    assert "exists already" in capsys.readouterr().err


def test_how_recipes_are_started_changes_no_product(muse_night, folder):
    path = write_config(muse_night)
    with (
        config.using(esorex_prefix="no-such-command -x"),
        pytest.raises(Exception, match="no-such-command is not installed"),
    ):
        reduce_muse(path, only="bias")
    with config.using(esorex_prefix="env MARK=1"):
        reduce_muse(path, only="bias")
    before = len(read_events("reduced"))
    reduce_muse(path, only="bias")
    assert made_since([before], "reduced") == set()
