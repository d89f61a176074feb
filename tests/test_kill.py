"""A run killed at any moment loses nothing, and leaves nothing half done."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from ndmapper.data import DataFile
from ndmapper.io.digest import differences
from ndmapper.lib.simulate import Night, simulate_night
from ndmapper.testing import make_mef

NIGHT = Path(__file__).parents[1] / "examples" / "demo_night.py"

# Small, so that 50 runs take little time, but with a bit of everything.
MIXED = """
import sys
from ndmapper import DataFileList, chain, config, qc, run_task

config["record"] = "both"

@run_task(each="list", outputs="bias")
def make_bias(files):
    return [(files[0][n] + files[1][n]) / 2 for n in range(len(files[0]))]

@run_task(prefix="b", cals=["bias"])
def subtract(ndd, bias):
    qc(mean=float(ndd.data.mean()))
    return ndd - bias

@run_task(prefix="d")
def double(ndd):
    return ndd * 2

@run_task(outputs=("low", "high"))
def split(ndd):
    return ndd / 2, ndd * 3

@run_task("command:cp", inputs="a", outputs="b", prefix="c", argv=["{in}", "{out}"])
def copied():
    "Copy the file."

raws = DataFileList(sys.argv[1] + "/*.fits")
bias = make_bias(raws[:2], bias="bias.fits")
science = chain(subtract, double)(raws[2:], bias=bias)
halves = split(copied(science))
held = double(halves["high"], save=False)
double(held, out_names=[f"end{n}.fits.gz" for n in range(len(held))])
"""

# Units of one call, outputs of any number, and members that are made no more.
SETS = """
import sys
from ndmapper import DataFile, DataFileList, config, run_task

config["record"] = "both"
config["reprocess"] = "auto"

@run_task(each="file", by="ident", suffix="_e")
def extension(df):
    return df

@run_task(prefix="d", cals=["bias"])
def subtract(ndd, bias):
    return ndd - bias

@run_task(outputs=("low", "high"))
def halves(ndd):
    return ndd / 2, ndd * 3

@run_task("command:cp", inputs="a", outputs="b", prefix="c", argv=["{a}", "{b}"])
def copied():
    "Copy the file."

@run_task(each="file", outputs={"part": "{base}-p{CHIP}.fits"})
def parts(df, *, count: int):
    made = [DataFile(data=[ndd * 2]) for ndd in [*df, *df][:count]]
    for number, one in enumerate(made, 1):
        one.meta["CHIP"] = f"k{number}"
    return made

raws = DataFileList(sys.argv[1] + "/*.fits")
chips = extension(raws)
dark = copied(subtract(chips, bias=chips[0]))
halves(dark[1])
parts(raws[:2], count=4)
parts(raws[:2], count=3)
"""

RUNS = {"night": 3, "mixed": 50, "sets": 10}
"""How often each is killed."""

# All is imported once; every run is a fork of this process, so that a moment between
# zero and the duration of a run falls into the run and not into its imports.
HARNESS = """
import os, random, shutil, signal, sys, time
from pathlib import Path

import astroscrappy
import matplotlib.pyplot
import scipy.interpolate
import ndmapper.lib.ccd, ndmapper.lib.cosmetics, ndmapper.plot, ndmapper.services
from ndmapper.cli.run_script import run_script

script, raw, home, kills = sys.argv[1:]


def start(folder):
    pid = os.fork()
    if pid == 0:
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        os._exit(run_script(script, [raw], settings={"reprocess": "auto"}).code)
    return pid


def finish(folder):
    began = time.monotonic()
    assert os.waitpid(start(folder), 0)[1] == 0
    return time.monotonic() - began


home = Path(home)
finish(home / "first")  # fills caches, which would make the first run a slow one
duration = finish(home / "whole")
random.seed(20120827)
for n in range(int(kills)):
    folder = home / f"killed{n}"
    pid = start(folder)
    time.sleep(random.uniform(n, n + 1) / int(kills) * duration)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    print(n, len(list(folder.glob("*.fits*"))), "products before the kill")
    finish(folder)
"""


@pytest.fixture(scope="module", params=RUNS)
def runs(request, tmp_path_factory):
    """Reduce frames undisturbed, and many times killed and run again."""
    home = tmp_path_factory.mktemp("kill")
    raw = home / "raw"
    if request.param == "night":
        script = NIGHT
        simulate_night(
            raw,
            Night(biases=3, flats=2, science=2, amplifiers=4, shape=(64, 64), rays=8),
        )
    else:
        script = home / f"{request.param}.py"
        script.write_text({"mixed": MIXED, "sets": SETS}[request.param])
        raw.mkdir()
        for n in range(4):
            make_mef(raw / f"x{n}.fits", n_ext=2, shape=(30, 40))
    kills = RUNS[request.param]
    before = {path.name: path.read_bytes() for path in raw.iterdir()}
    result = subprocess.run(
        [sys.executable, "-c", HARNESS, script, raw, home, str(kills)],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    after = {path.name: path.read_bytes() for path in raw.iterdir()}
    return home, kills, before == after, result.stdout


pytestmark = pytest.mark.slow


def products(folder):
    return sorted(path.name for path in folder.glob("*.fits*"))


def test_kill_moments_are_spread_over_the_run(runs):
    home, kills, _, output = runs
    counts = [
        int(line.split()[1]) for line in output.splitlines() if "products" in line
    ]
    whole = len(products(home / "whole"))
    assert len(counts) == kills
    # If all fell into one half of the run, the test would show little. Of a few kills
    # where the first one falls depends on how busy the machine is.
    assert min(counts) < (whole / 2 if kills > 10 else whole)
    assert max(counts) > whole / 2


def test_kill_loses_no_input(runs):
    assert runs[2]


def test_kill_and_run_again_ends_as_an_undisturbed_run(runs):
    home, kills, *_ = runs
    whole = home / "whole"
    assert products(whole)
    found = {}
    for n in range(kills):
        killed = home / f"killed{n}"
        assert products(killed) == products(whole)
        for name in products(whole):
            found[killed.name, name] = differences(whole / name, killed / name)
            ours, theirs = (DataFile(f / name).record for f in (whole, killed))
            assert [e["key"] for e in ours] == [e["key"] for e in theirs]
    assert {where: diff for where, diff in found.items() if diff} == {}


def test_kill_leaves_no_stray_file(runs):
    home, kills, *_ = runs

    def listing(folder):
        return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))

    for n in range(kills):
        assert listing(home / f"killed{n}") == listing(home / "whole")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_kill_leaves_no_stray_process(runs):
    home = str(runs[0])
    stray = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            command = (process / "cmdline").read_bytes().decode(errors="replace")
            if home in command or str((process / "cwd").readlink()).startswith(home):
                stray.append(command)
    assert stray == []
