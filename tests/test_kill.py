"""A run killed at any moment loses nothing, and leaves nothing half done."""

import subprocess
import sys
from pathlib import Path

import pytest

from ndmapper.io.digest import differences
from ndmapper.lib.simulate import Night, simulate_night

KILLS = 20

# All is imported once; every run is a fork of this process, so that a moment between
# zero and the duration of a run falls into the run and not into its imports.
HARNESS = """
import os, random, shutil, signal, sys, time
from pathlib import Path

import astroscrappy
import matplotlib.pyplot
import scipy.interpolate
import ndmapper.lib.ccd, ndmapper.lib.cosmetics, ndmapper.plot, ndmapper.services
from ndmapper.cli.script import run_script

script, raw, home, kills = sys.argv[1:]


def start(folder):
    pid = os.fork()
    if pid == 0:
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        os._exit(run_script(script, [raw]).code)
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
    time.sleep(random.uniform(0, duration))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    print(n, len(list(folder.glob("*.fits"))), "products before the kill")
    finish(folder)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Reduce a small night undisturbed, and many times killed and run again."""
    home = tmp_path_factory.mktemp("kill")
    raw = home / "raw"
    simulate_night(
        raw, Night(biases=3, flats=2, science=2, amplifiers=4, shape=(64, 64), rays=8)
    )
    before = {path.name: path.read_bytes() for path in raw.iterdir()}
    script = Path(__file__).parents[1] / "examples" / "demo_night.py"
    result = subprocess.run(
        [sys.executable, "-c", HARNESS, script, raw, home, str(KILLS)],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    after = {path.name: path.read_bytes() for path in raw.iterdir()}
    return home, before == after, result.stdout


pytestmark = pytest.mark.slow


def products(folder):
    return sorted(path.name for path in folder.glob("*.fits"))


def test_kill_moments_are_spread_over_the_run(runs):
    home, _, output = runs
    counts = [
        int(line.split()[1]) for line in output.splitlines() if "products" in line
    ]
    whole = len(products(home / "whole"))
    assert len(counts) == KILLS
    # 20 moments, evenly spread: if all fell into one half, the test would show little.
    assert min(counts) < whole / 2 < max(counts)


def test_kill_loses_no_input(runs):
    assert runs[1]


@pytest.mark.parametrize("n", range(KILLS))
def test_kill_and_run_again_ends_as_an_undisturbed_run(runs, n):
    home = runs[0]
    whole, killed = home / "whole", home / f"killed{n}"
    assert products(killed) == products(whole)
    found = {name: differences(whole / name, killed / name) for name in products(whole)}
    assert {name: diff for name, diff in found.items() if diff} == {}


@pytest.mark.parametrize("n", range(KILLS))
def test_kill_leaves_no_stray_file(runs, n):
    home = runs[0]

    def listing(folder):
        return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))

    assert listing(home / f"killed{n}") == listing(home / "whole")
